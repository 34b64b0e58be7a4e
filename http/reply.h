/* reply.h: answers with the headers that every answer has. Bodies are JSON; refusals are RFC 9457
 * problems whose code, status and title come from core/refusal.h (what the ledger said) or
 * http/problem.h (what the edge found). */
#ifndef HTTP_REPLY_H
#define HTTP_REPLY_H

#include "core/json_write.h"
#include "core/verdict.h"
#include "http/app.h"
#include "http/problem.h"

/* nosniff, no-store, CSP, referrer, COOP/CORP; HSTS over TLS (not for localhost). */
void reply_headers(struct response *response, const struct request *request);

void reply_problem(struct loop *loop, struct ref ref, const struct problem *problem);
/* The common case: a code, a sentence, a field (both may be NULL). */
void reply_no(struct loop *loop, struct ref ref, enum problem_code code, const char *detail,
    const char *field);

/* What the ledger refused. With X-RateLimit-*, RateLimit, RateLimit-Policy and Retry-After where a
 * limit was looked at; `events` or `reference` as the verdict has them. */
void reply_refusal(struct loop *loop, struct ref ref, const struct verdict *verdict);

/* A JSON body that `w` has finished writing (json_write_done was OK). verdict (may be NULL) adds
 * the limit's figures and Gatehouse-Position. extra (may be NULL): more headers. */
struct reply_extra {
    const char *name;
    const char *value;
    const struct reply_extra *next;
};
void reply_json(struct loop *loop, struct ref ref, uint16_t status, struct json_write *w,
    const struct verdict *verdict, const struct reply_extra *extra);
void reply_empty(struct loop *loop, struct ref ref, uint16_t status, const struct verdict *verdict);
/* 503 with Retry-After: a bounded queue was full. */
void reply_busy(struct loop *loop, struct ref ref);

#endif
