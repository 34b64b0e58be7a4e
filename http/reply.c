/* reply.c: answers. Runs on loops. */
#include "http/reply.h"

#include "http/app.h"
#include "projections/refusals.h"

#include <inttypes.h>

#define POSITION_TEXT 24
#define FIGURE_TEXT   96

#define RETRY_BY_HAND_S "30" /* somebody must do something first */

/* Values that headers borrow until the answer is sent. */
struct figures {
    char position[POSITION_TEXT];
    char limit[POSITION_TEXT], remaining[POSITION_TEXT], reset[POSITION_TEXT];
    char ratelimit[FIGURE_TEXT], policy[FIGURE_TEXT];
};

static bool
host_is_local(struct span host)
{
    return (host.len >= 9 && memcmp(host.ptr, "localhost", 9) == 0) ||
           (host.len >= 4 && memcmp(host.ptr, "127.", 4) == 0) ||
           (host.len >= 5 && memcmp(host.ptr, "[::1]", 5) == 0);
}

void
reply_headers(struct response *response, const struct request *request)
{
    response_add_str(response, "X-Content-Type-Options", "nosniff");
    response_add_str(response, "Cache-Control", "no-store");
    response_add_str(response, "Content-Security-Policy",
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'");
    response_add_str(response, "Referrer-Policy", "no-referrer");
    response_add_str(response, "Cross-Origin-Opener-Policy", "same-origin");
    response_add_str(response, "Cross-Origin-Resource-Policy", "same-origin");
    if (request != NULL && request->tls && !host_is_local(request->host))
        response_add_str(response, "Strict-Transport-Security", "max-age=31536000");
}

/* Seconds until the next slot frees, rounded up. */
static int64_t
limit_reset_s(const struct verdict *verdict)
{
    int64_t left = verdict->limit.frees_us - verdict->eff_us;

    return left <= 0 ? 0 : (left + US_PER_S - 1) / US_PER_S;
}

static void
add_figures(struct response *response, const struct verdict *verdict, struct figures *f)
{
    const struct limit_fact *limit = &verdict->limit;
    uint32_t remaining = limit->count < limit->limit ? limit->limit - limit->count : 0;
    int64_t reset = limit_reset_s(verdict);

    snprintf(f->position, sizeof(f->position), "%" PRIu64, verdict->rests_on);
    response_add_str(response, "Gatehouse-Position", f->position);
    if (limit->limit == 0)
        return;
    snprintf(f->limit, sizeof(f->limit), "%" PRIu32, limit->limit);
    snprintf(f->remaining, sizeof(f->remaining), "%" PRIu32, remaining);
    snprintf(f->reset, sizeof(f->reset), "%" PRId64, reset);
    snprintf(f->ratelimit, sizeof(f->ratelimit), "\"default\";r=%" PRIu32 ";t=%" PRId64, remaining,
        reset);
    snprintf(f->policy, sizeof(f->policy), "\"default\";q=%" PRIu32 ";w=%" PRIu32, limit->limit,
        limit->window_s);
    response_add_str(response, "X-RateLimit-Limit", f->limit);
    response_add_str(response, "X-RateLimit-Remaining", f->remaining);
    response_add_str(response, "X-RateLimit-Reset", f->reset);
    response_add_str(response, "RateLimit", f->ratelimit);
    response_add_str(response, "RateLimit-Policy", f->policy);
    if (verdict->refusal == REFUSE_TOO_OFTEN)
        response_add_str(response, "Retry-After", f->reset);
}

static void
send_problem(struct loop *loop, struct ref ref, uint16_t status, struct json_write *w,
    const struct verdict *verdict, const char *retry_after)
{
    struct response response;
    struct figures figures;

    response_init(&response, status);
    reply_headers(&response, http_request(loop, ref));
    if (verdict != NULL)
        add_figures(&response, verdict, &figures);
    if (retry_after != NULL)
        response_add_str(&response, "Retry-After", retry_after);
    if (status == 401)
        response_add_str(&response, "WWW-Authenticate", "Bearer");
    if (json_write_done(w) == OK)
        response_body(&response, PROBLEM_CONTENT_TYPE, span_of(w->buf, w->len));
    http_reply(loop, ref, &response);
}

void
reply_problem(struct loop *loop, struct ref ref, const struct problem *problem)
{
    struct json_write w;
    char retry[POSITION_TEXT];

    snprintf(retry, sizeof(retry), "%" PRIu32, problem->retry_after_s);
    json_write_init(&w, NULL, NULL);
    problem_write(problem, &w);
    send_problem(loop, ref, problem_row(problem->code)->status, &w, NULL,
        problem->retry_after_s > 0 ? retry : NULL);
    json_write_fini(&w);
}

void
reply_no(struct loop *loop, struct ref ref, enum problem_code code, const char *detail,
    const char *field)
{
    reply_problem(loop, ref, &(struct problem){.code = code, .detail = detail, .field = field});
}

void
reply_busy(struct loop *loop, struct ref ref)
{
    struct app *app = app_of(loop);

    refusals_busy(app->refusals, ledger_thread_eff_us(app->ledger));
    reply_problem(loop, ref, &(struct problem){.code = PROBLEM_BUSY, .retry_after_s = 1});
}

/* A full queue is gone in a moment; what waits for a person takes longer. */
static const char *
refusal_retry(enum refusal refusal)
{
    if (refusal_row(refusal)->status != 503)
        return NULL;
    return refusal == REFUSE_CLOCK_UNSURE || refusal == REFUSE_LOW_SPACE ? RETRY_BY_HAND_S : "1";
}

void
reply_refusal(struct loop *loop, struct ref ref, const struct verdict *verdict)
{
    const struct refusal_row *row = refusal_row(verdict->refusal);
    struct json_write w;
    char type[64];

    snprintf(type, sizeof(type), "urn:gatehouse:problem:%s", row->code);
    json_write_init(&w, NULL, NULL);
    json_write_object(&w, NULL);
    json_write_str(&w, "type", type);
    json_write_str(&w, "title", row->title);
    json_write_int(&w, "status", row->status);
    json_write_str(&w, "code", row->code);
    if (verdict->detail != NULL)
        json_write_str(&w, "detail", verdict->detail);
    if (verdict->field != NULL)
        json_write_str(&w, "field", verdict->field);
    if (!id_is_nil(&verdict->reference)) {
        char reference[ID_TEXT_BYTES];

        id_text(ID_EVENT, &verdict->reference, reference);
        json_write_str(&w, "reference", reference);
    }
    if (verdict->cause_count > 0) {
        json_write_array(&w, "events");
        for (uint32_t i = 0; i < verdict->cause_count; i++)
            json_write_uint(&w, NULL, verdict->cause[i]);
        json_write_end(&w);
    }
    json_write_end(&w);
    send_problem(loop, ref, (uint16_t)row->status, &w, verdict, refusal_retry(verdict->refusal));
    json_write_fini(&w);
}

void
reply_json(struct loop *loop, struct ref ref, uint16_t status, struct json_write *w,
    const struct verdict *verdict, const struct reply_extra *extra)
{
    struct response response;
    struct figures figures;

    if (json_write_done(w) != OK) {
        reply_no(loop, ref, PROBLEM_INTERNAL, NULL, NULL);
        return;
    }
    response_init(&response, status);
    reply_headers(&response, http_request(loop, ref));
    if (verdict != NULL)
        add_figures(&response, verdict, &figures);
    for (; extra != NULL; extra = extra->next)
        response_add_str(&response, extra->name, extra->value);
    response_body(&response, "application/json", span_of(w->buf, w->len));
    http_reply(loop, ref, &response);
}

void
reply_empty(struct loop *loop, struct ref ref, uint16_t status, const struct verdict *verdict)
{
    struct response response;
    struct figures figures;

    response_init(&response, status);
    reply_headers(&response, http_request(loop, ref));
    if (verdict != NULL)
        add_figures(&response, verdict, &figures);
    http_reply(loop, ref, &response);
}
