/* walk.c: one request, from parsed bytes to its answer, in the order written here. Runs on loops.
 * Never decides: who may do what, and how often, is the ledger's to say. */
#include "http/walk.h"

#include <sodium.h>

#include "core/ascii.h"
#include "http/auth.h"

#define AT_LEAST_AHEAD   1000 /* how far beyond the head a reader may wait for */
#define AT_LEAST_MS      5000
#define AT_LEAST_POLL_MS 64

static enum pace stage_who(struct walk *w);
static enum pace stage_parse(struct walk *w);
static enum pace stage_await(struct walk *w);
static enum pace stage_admit(struct walk *w);
static enum pace stage_prove(struct walk *w);
static enum pace stage_decide(struct walk *w);
static enum pace stage_reply(struct walk *w);

static enum pace (*const stages[])(struct walk *) = {
    stage_who,    /* token -> caller: form, MAC and times; what it is worth, the ledger says */
    stage_parse,  /* bytes -> typed input; malformed input stops being bytes here            */
    stage_await,  /* reads only: until the views have come as far as was asked for     WAITS */
    stage_admit,  /* may they try this, too often? numbered at once                    WAITS */
    stage_prove,  /* slow proof on the proof pool, consent, channels that close        WAITS */
    stage_decide, /* command -> verdict, and all it rests on is durable                WAITS */
    stage_reply,
};

void
walk_run(struct walk *w)
{
    enum pace pace;

    while ((pace = stages[w->stage](w)) == PACE_NEXT)
        w->stage++;
    if (pace == PACE_DONE)
        walk_free(w); /* the one place where a walk ends */
}

static enum pace
stage_bearer(struct walk *w)
{
    int64_t eff_us = ledger_thread_eff_us(w->app->ledger);
    const struct request *request = walk_request(w);
    struct caller *caller = &w->asker->caller;
    struct jwt_claims claims;
    enum jwt_fault fault;
    struct span token;

    if (!auth_bearer(request, &token))
        return walk_no(w, PROBLEM_UNAUTHENTICATED,
            "An access token is needed: Authorization: Bearer <token>.", NULL);
    fault = jwt_check(w->app->jwt, token, eff_us / US_PER_S, &claims);
    if (fault != JWT_FINE)
        return walk_reject(w, jwt_fault_name(fault), false);
    if (!rates_take(
            routes_rates(w->app), &claims.family, loop_now_ms(w->loop) / 1000, eff_us, &w->limit)) {
        w->verdict =
            (struct verdict){.refusal = REFUSE_TOO_OFTEN, .limit = w->limit, .eff_us = eff_us};
        return walk_refuse(w);
    }
    caller->kind = CALLER_TOKEN;
    caller->user = claims.user;
    caller->family = claims.family;
    caller->token_n = claims.number;
    return PACE_NEXT;
}

static enum pace
stage_who(struct walk *w)
{
    const struct request *request = walk_request(w);

    if (walk_is_local(w))
        return PACE_NEXT;
    if (w->route->who >= 0)
        return stage_bearer(w);
    if (w->route->who == WHO_READER && http_field(request, "authorization") != NULL)
        return stage_bearer(w);
    return PACE_NEXT;
}

static bool
parse_query(struct walk *w)
{
    struct query_error error;
    char detail[200];
    enum err err = query_parse(walk_request(w)->query, w->route->query, &w->query, &error);

    if (err == OK)
        return true;
    if (err == ERR_MEMORY) {
        walk_busy(w);
        return false;
    }
    snprintf(detail, sizeof(detail), "%s %s", error.name, error.reason);
    walk_no(w, PROBLEM_BAD_FIELD, detail, error.name);
    return false;
}

static bool
parse_body(struct walk *w)
{
    const struct request *request = walk_request(w);
    const struct span *type = http_field(request, "content-type");
    struct json_read_error error;
    struct span text = request->body;

    if (http_field(request, "content-encoding") != NULL) {
        walk_no(w, PROBLEM_MEDIA_TYPE, "Bodies are taken without a content encoding.",
            "Content-Encoding");
        return false;
    }
    if (type == NULL && text.len == 0) {
        text = span_str("{}"); /* for requests whose members are all optional */
    } else if (type == NULL || !json_content_type(*type)) {
        walk_no(w, PROBLEM_MEDIA_TYPE, NULL, "Content-Type");
        return false;
    }
    if (json_body_parse(text, &w->body, &error) == OK)
        return true;
    walk_no(w, PROBLEM_MALFORMED, error.reason, "body");
    return false;
}

static bool
parse_at_least(struct walk *w)
{
    const struct span *text = query_find(&w->query, "at_least");

    if (text == NULL)
        return true;
    if (ascii_number(*text, INT64_MAX, &w->at_least) != OK) {
        walk_no(w, PROBLEM_BAD_FIELD, "at_least must be a Gatehouse-Position.", "at_least");
        return false;
    }
    if (w->at_least > ledger_thread_durable(w->app->ledger) + AT_LEAST_AHEAD) {
        walk_no(
            w, PROBLEM_BAD_FIELD, "at_least is too far beyond the head of the log.", "at_least");
        return false;
    }
    return true;
}

static void
request_hash(const struct walk *w, struct hash *out)
{
    const struct request *request = walk_request(w);
    struct hash body;
    struct span parts[6];

    hash_bytes(request->body, &body);
    parts[0] = span_str(w->route->path);
    parts[1] = span_str("\n");
    parts[2] = request->path;
    parts[3] = span_str("?");
    parts[4] = request->query;
    parts[5] = span_of(body.b, HASH_BYTES);
    hash_parts(parts, 6, out);
}

/* The key of a POST by somebody we know; strangers' are ignored, for nobody could tell whose. */
static enum pace
stage_claim(struct walk *w)
{
    const struct request *request = walk_request(w);
    const struct span *key = http_field(request, "idempotency-key");
    struct hash hash;

    if (key == NULL || w->route->method != METHOD_POST ||
        (w->asker->caller.kind != CALLER_TOKEN && !walk_is_local(w)))
        return PACE_NEXT;
    if (http_field_count(request, "idempotency-key") != 1 || !idempotency_key_valid(*key))
        return walk_no(w, PROBLEM_BAD_FIELD,
            "Idempotency-Key must be 1 to 64 visible ASCII characters.", "Idempotency-Key");
    request_hash(w, &hash);
    switch (idempotency_begin(routes_idempotency(w->app), &w->asker->caller.family, *key, &hash,
        loop_now_ms(w->loop), &w->claim)) {
    case IDEMPOTENCY_FRESH: return PACE_NEXT;
    case IDEMPOTENCY_REPLAY: w->replay = true; return PACE_NEXT;
    case IDEMPOTENCY_PENDING:
        w->claim = (struct idempotency_claim){0};
        return walk_no(w, PROBLEM_CONFLICT,
            "The first request with this Idempotency-Key is still under way.", "Idempotency-Key");
    case IDEMPOTENCY_OTHER:
        w->claim = (struct idempotency_claim){0};
        return walk_no(w, PROBLEM_IDEMPOTENCY, NULL, "Idempotency-Key");
    case IDEMPOTENCY_FULL: break;
    }
    return walk_busy(w);
}

static enum pace
stage_parse(struct walk *w)
{
    if (!parse_query(w) || (w->route->body_max > 0 && !parse_body(w)) || !parse_at_least(w))
        return PACE_DONE;
    if (w->route->parse != NULL && !w->route->parse(w))
        return PACE_DONE;
    return stage_claim(w);
}

static enum pace
stage_await(struct walk *w)
{
    uint64_t now = loop_now_ms(w->loop);

    if (w->at_least_until_ms == 0)
        w->at_least_until_ms = now + AT_LEAST_MS;
    if (w->app->views.position(w->app->views.ctx) >= w->at_least)
        return PACE_NEXT;
    if (now >= w->at_least_until_ms)
        return walk_no(w, PROBLEM_BEHIND, NULL, NULL);
    return walk_sleep(w, AT_LEAST_POLL_MS);
}

static enum pace
stage_admit(struct walk *w)
{
    struct command *cmd;

    if (w->route->admit == NULL || w->replay)
        return PACE_NEXT;
    cmd = w->route->admit(w);
    if (cmd == NULL && w->skip)
        return PACE_NEXT;
    return walk_ask(w, cmd, w->route->method == METHOD_GET);
}

static enum pace
stage_prove(struct walk *w)
{
    return w->route->prove == NULL || w->replay ? PACE_NEXT : w->route->prove(w);
}

static enum pace
stage_decide(struct walk *w)
{
    bool read_views = w->route->method == METHOD_GET || (w->route->flags & ROUTE_VIEWS) != 0;
    int who = w->route->who;

    if (who == WHO_READER && w->asker->caller.kind != CALLER_NOBODY)
        who = ACTION_ME;
    if (w->route->command != NULL && !w->replay)
        return walk_ask(w, w->route->command(w), read_views);
    if (who >= 0)
        return walk_ask(w, walk_authorize(w, (enum action)who), read_views);
    return PACE_NEXT;
}

static enum pace
reply_again(struct walk *w)
{
    uint8_t body[IDEMPOTENCY_BODY_MAX];
    struct json_write json;
    uint16_t status;
    size_t len;

    if (!idempotency_answer(
            routes_idempotency(w->app), &w->claim, loop_now_ms(w->loop), &status, body, &len))
        return walk_no(
            w, PROBLEM_CONFLICT, "The first answer has just been forgotten.", "Idempotency-Key");
    w->claim = (struct idempotency_claim){0}; /* the first request's */
    if (len == 0)
        return walk_empty(w, status);
    json_write_init(&json, NULL, NULL);
    json_write_raw(&json, NULL, span_of(body, len));
    sodium_memzero(body, sizeof(body));
    return walk_json(w, status, &json, NULL, NULL);
}

static enum pace
stage_reply(struct walk *w)
{
    bool asked = w->route->command != NULL || w->route->who >= 0;

    if (w->replay)
        return reply_again(w);
    if (w->route->method == METHOD_GET && asked && !w->views_ready)
        return walk_no(w, PROBLEM_BEHIND, NULL, NULL);
    return w->route->reply(w);
}
