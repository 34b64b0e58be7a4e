/* walk_answer.c: what handlers take out of a request, and how they answer it. Runs on loops. */
#include <sodium.h>

#include "core/ascii.h"
#include "http/reply.h"
#include "http/walk.h"

const struct request *
walk_request(const struct walk *w)
{
    return ref_none(w->ref) ? NULL : http_request(w->loop, w->ref);
}

void *
walk_in(struct walk *w, size_t len)
{
    INVARIANT(w->in == NULL);
    w->in = calloc(1, len);
    if (w->in == NULL)
        walk_busy(w);
    w->in_len = len;
    return w->in;
}

bool
walk_body(
    struct walk *w, const struct json_field *fields, size_t count, void *dest, uint32_t *present)
{
    struct json_read_error error;
    char detail[256];
    uint32_t seen;

    if (json_body_read(w->body, fields, count, dest, &seen, &error) == OK) {
        if (present != NULL)
            *present = seen;
        return true;
    }
    snprintf(detail, sizeof(detail), "%s %s", error.field, error.reason);
    walk_no(w, PROBLEM_BAD_FIELD, detail, error.field);
    return false;
}

void
walk_forget_body(struct walk *w)
{
    const struct request *request = walk_request(w);

    json_body_free(w->body);
    w->body = NULL;
    /* The engine's own copy: writable memory that it lends to this request until the answer. */
    if (request != NULL && request->body.len > 0)
        sodium_memzero((void *)(uintptr_t)request->body.ptr, request->body.len);
}

bool
walk_param_id(struct walk *w, unsigned i, enum id_kind kind, struct id *out)
{
    if (id_parse(kind, w->params[i], out) == OK)
        return true;
    walk_no(w, PROBLEM_NOT_FOUND, NULL, NULL);
    return false;
}

bool
walk_if_match(struct walk *w, uint64_t *seq)
{
    const struct request *request = walk_request(w);
    const struct span *value = http_field(request, "if-match");
    struct span tag;

    *seq = 0;
    if (value == NULL) {
        walk_no(w, PROBLEM_NO_PRECONDITION,
            "Send If-Match with the ETag that you read, or * to overwrite.", "If-Match");
        return false;
    }
    if (span_is(*value, "*"))
        return true;
    tag = *value;
    if (http_field_count(request, "if-match") == 1 && tag.len > 2 && tag.ptr[0] == '"' &&
        tag.ptr[tag.len - 1] == '"' &&
        ascii_number(span_of(tag.ptr + 1, tag.len - 2), INT64_MAX, seq) == OK) {
        if (*seq == 0)
            *seq = IF_MATCH_NEVER; /* event 0 changes nothing: what was never set has this tag */
        return true;
    }
    walk_no(w, PROBLEM_BAD_FIELD, "If-Match must be one ETag of this resource, or *.", "If-Match");
    return false;
}

/* ---- answers ---- */

/* Also when the answer reached nobody: a connection that is about to end must not find this walk.
 */
enum pace
walk_spoke(struct walk *w)
{
    http_set_user(w->loop, w->ref, NULL);
    w->ref = (struct ref){0};
    return PACE_DONE;
}

enum pace
walk_no(struct walk *w, enum problem_code code, const char *detail, const char *field)
{
    reply_no(w->loop, w->ref, code, detail, field);
    return walk_spoke(w);
}

/* Told by the ledger or by the views: the same to the caller. */
enum pace
walk_not_found(struct walk *w)
{
    if (w->verdict.rests_on == 0)
        return walk_no(w, PROBLEM_NOT_FOUND, NULL, NULL);
    w->verdict.refusal = REFUSE_NOT_FOUND;
    w->verdict.field = w->verdict.detail = NULL;
    return walk_refuse(w);
}

enum pace
walk_busy(struct walk *w)
{
    reply_busy(w->loop, w->ref);
    return walk_spoke(w);
}

enum pace
walk_refuse(struct walk *w)
{
    /* Members are called otherwise here than in events. */
    if (w->verdict.field != NULL && strcmp(w->verdict.field, "account_name") == 0)
        w->verdict.field = "name";
    reply_refusal(w->loop, w->ref, &w->verdict);
    return walk_spoke(w);
}

enum pace
walk_json(
    struct walk *w, uint16_t status, struct json_write *json, const char *header, const char *value)
{
    struct reply_extra extra = {header, value, w->extra};
    const struct verdict *verdict = w->verdict.rests_on > 0 ? &w->verdict : NULL;

    if (w->claim.generation != 0 && json_write_done(json) == OK) {
        idempotency_finish(
            routes_idempotency(w->app), &w->claim, status, span_of(json->buf, json->len));
        w->claim = (struct idempotency_claim){0};
    }
    reply_json(w->loop, w->ref, status, json, verdict, header != NULL ? &extra : w->extra);
    if (json->buf != NULL)
        sodium_memzero(json->buf, json->len);
    json_write_fini(json);
    return walk_spoke(w);
}

enum pace
walk_empty(struct walk *w, uint16_t status)
{
    const struct verdict *verdict = w->verdict.rests_on > 0 ? &w->verdict : NULL;

    if (w->claim.generation != 0) {
        idempotency_finish(routes_idempotency(w->app), &w->claim, status, (struct span){NULL, 0});
        w->claim = (struct idempotency_claim){0};
    }
    reply_empty(w->loop, w->ref, status, verdict);
    return walk_spoke(w);
}

struct ref
walk_hand_over(struct walk *w)
{
    struct ref ref = w->ref;

    walk_spoke(w);
    return ref;
}
