/* problem.h: how the API says no: RFC 9457 bodies from one table of codes. The code is what
 * programs match on and never changes; title and status follow from it. */
#ifndef HTTP_PROBLEM_H
#define HTTP_PROBLEM_H

#include "core/json_write.h"

#define PROBLEM_CONTENT_TYPE "application/problem+json"

enum problem_code {
    PROBLEM_MALFORMED,       /* 400 the request breaks its own form */
    PROBLEM_BAD_FIELD,       /* 400 one member or parameter; `field` names it */
    PROBLEM_BAD_FILTER,      /* 400 */
    PROBLEM_BAD_CURSOR,      /* 400 */
    PROBLEM_UNAUTHENTICATED, /* 401 no, or no valid, credential */
    PROBLEM_LOGIN_FAILED,    /* 401 one answer for every way a login can fail */
    PROBLEM_FORBIDDEN,       /* 403 known, but not allowed */
    PROBLEM_HTTPS_REQUIRED,  /* 403 */
    PROBLEM_ORIGIN,          /* 403 names expected and received */
    PROBLEM_ADDRESS,         /* 403 the caller's address is on no allow list */
    PROBLEM_NOT_FOUND,       /* 404 also: somebody else's */
    PROBLEM_METHOD,          /* 405 */
    PROBLEM_NOT_ACCEPTABLE,  /* 406 */
    PROBLEM_TIMEOUT,         /* 408 */
    PROBLEM_CONFLICT,        /* 409 not in this state */
    PROBLEM_EXISTS,          /* 409 the name is taken */
    PROBLEM_GONE,            /* 410 was there, has ended */
    PROBLEM_PRECONDITION,    /* 412 If-Match is out of date */
    PROBLEM_TOO_LARGE,       /* 413 */
    PROBLEM_URI_TOO_LONG,    /* 414 */
    PROBLEM_MEDIA_TYPE,      /* 415 */
    PROBLEM_WEAK_PASSWORD,   /* 422 */
    PROBLEM_IDEMPOTENCY,     /* 422 key reused for another request */
    PROBLEM_UPGRADE,         /* 426 WebSocket only */
    PROBLEM_NO_PRECONDITION, /* 428 If-Match is missing */
    PROBLEM_TOO_OFTEN,       /* 429 */
    PROBLEM_HEAD_TOO_LARGE,  /* 431 */
    PROBLEM_INTERNAL,        /* 500 */
    PROBLEM_NOT_IMPLEMENTED, /* 501 */
    PROBLEM_BUSY,            /* 503 a queue is full */
    PROBLEM_READ_ONLY,       /* 503 low space, forked log or clock not accepted */
    PROBLEM_BEHIND,          /* 503 the views did not reach at_least in time */
    PROBLEM_CODES,
};

struct problem_row {
    const char *code; /* "too_often" */
    uint16_t status;
    const char *title;
};

struct problem {
    enum problem_code code;
    const char *detail;     /* plain sentence, may hold escaped foreign text; NULL: none */
    const char *field;      /* member, parameter or header; NULL: none */
    const char *reference;  /* opaque, for callers who may not see events; NULL: none */
    const uint64_t *events; /* seqs behind a refusal, for those who may see them */
    size_t event_count;
    uint32_t retry_after_s; /* 0: not told */
};

const struct problem_row *problem_row(enum problem_code code);
/* One JSON object. */
void problem_write(const struct problem *problem, struct json_write *w);

#endif
