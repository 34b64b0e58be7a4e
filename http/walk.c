/* walk.c: one request, from parsed bytes to its answer, in the order written here. Runs on loops.
 * Never decides: who may do what, and how often, is the ledger's to say. */
#include "http/walk.h"

#include <inttypes.h>
#include <sodium.h>
#include <sys/socket.h>

#include "core/ascii.h"
#include "http/ask.h"
#include "http/auth.h"
#include "http/caller.h"
#include "http/reply.h"

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

/* ---- life ---- */

struct walk_slot {
    struct walk *walk;
    uint32_t generation;
    uint32_t next_free; /* index + 1 */
};

static bool
slot_take(struct walk *w)
{
    struct walks *walks = routes_walks(w->loop);
    struct walk_slot *slot;

    if (walks->free == 0) {
        uint32_t count = walks->count == 0 ? 64 : walks->count * 2;
        struct walk_slot *grown = realloc(walks->slots, count * sizeof(*grown));

        if (grown == NULL)
            return false;
        memset(grown + walks->count, 0, (count - walks->count) * sizeof(*grown));
        for (uint32_t i = count; i > walks->count; i--) {
            grown[i - 1].next_free = walks->free;
            walks->free = i;
        }
        walks->slots = grown;
        walks->count = count;
    }
    slot = &walks->slots[walks->free - 1];
    w->self.slot = walks->free - 1;
    w->self.generation = ++slot->generation == 0 ? ++slot->generation : slot->generation;
    walks->free = slot->next_free;
    slot->walk = w;
    return true;
}

struct walk *
walk_get(struct loop *loop, struct ref self)
{
    struct walks *walks = routes_walks(loop);

    if (ref_none(self) || self.slot >= walks->count ||
        walks->slots[self.slot].generation != self.generation)
        return NULL;
    return walks->slots[self.slot].walk;
}

static void
walk_timed(struct loop *loop, struct timer *timer)
{
    (void)loop;
    walk_run((struct walk *)((char *)timer - offsetof(struct walk, timer)));
}

struct walk *
walk_new(struct loop *loop, struct ref ref, const struct request *request)
{
    struct walk *w = calloc(1, sizeof(*w));

    if (w != NULL) {
        w->loop = loop;
        w->app = app_of(loop);
        w->timer.fn = walk_timed;
        w->asker = command_new(CMD_NONE, CALLER_ARENA);
    }
    if (w == NULL || w->asker == NULL || !slot_take(w)) {
        if (w != NULL)
            command_free(w->asker);
        free(w);
        reply_busy(loop, ref);
        return NULL;
    }
    w->ref = ref;
    caller_address(w->app, request, w->asker, &w->https);
    http_set_user(loop, ref, w);
    return w;
}

static void
walk_clear(struct walk *w)
{
    loop_timer_stop(w->loop, &w->timer);
    if (w->drop != NULL)
        w->drop(w);
    if (w->streaming)
        rates_stream_end(routes_rates(w->app), &w->asker->caller.family);
    idempotency_release(routes_idempotency(w->app), &w->claim); /* what was not answered */
    proof_job_free(w->proof);
    json_body_free(w->body);
    query_fini(&w->query);
    command_free(w->asker);
    if (w->in != NULL)
        sodium_memzero(w->in, w->in_len);
    free(w->in);
    sodium_memzero(w, sizeof(*w)); /* the verdict may hold secrets */
    free(w);
}

void
walk_free(struct walk *w)
{
    struct walks *walks = routes_walks(w->loop);
    struct walk_slot *slot = &walks->slots[w->self.slot];

    INVARIANT(slot->walk == w && !w->waiting);
    if (!ref_none(w->ref))
        http_set_user(w->loop, w->ref, NULL);
    slot->walk = NULL;
    slot->generation++;
    slot->next_free = walks->free;
    walks->free = w->self.slot + 1;
    walk_clear(w);
}

void
walk_gone(struct walk *w)
{
    w->gone = true;
    w->ref = (struct ref){0};
    if (!w->waiting)
        walk_free(w);
}

void
walks_fini(struct walks *walks)
{
    for (uint32_t i = 0; i < walks->count; i++)
        if (walks->slots[i].walk != NULL)
            walk_clear(walks->slots[i].walk);
    free(walks->slots);
    *walks = (struct walks){0};
}

/* ---- questions ---- */

struct command *
walk_command(struct walk *w, enum command_kind kind, size_t arena)
{
    const struct caller *from = &w->asker->caller;
    struct command *cmd = command_new(kind, CALLER_ARENA + arena);

    if (cmd == NULL)
        return NULL;
    cmd->caller = *from;
    cmd->caller.address_text = command_copy(cmd, from->address_text);
    cmd->caller.proxy_text = command_copy(cmd, from->proxy_text);
    cmd->caller.user_agent = command_copy(cmd, from->user_agent);
    return cmd;
}

struct command *
walk_authorize(struct walk *w, enum action action)
{
    struct command *cmd = walk_command(w, CMD_AUTHORIZE, 0);

    if (cmd != NULL)
        cmd->authorize.action = action;
    return cmd;
}

/* A token with the right MAC that the ledger does not accept. An id that the log never issued under
 * our MAC means that the secret is known to somebody else. */
static bool
token_is_worthless(const struct walk *w, const char **why, bool *forged)
{
    *forged = false;
    if (w->asker->caller.kind != CALLER_TOKEN)
        return false;
    switch (w->verdict.refusal) {
    case REFUSE_NOT_AUTHENTICATED:
    case REFUSE_TOKEN_INVALID:
        *forged = true;
        *why = "forged";
        return true;
    case REFUSE_TOKEN_EXPIRED: *why = "family_expired"; return true;
    case REFUSE_TOKEN_REVOKED: *why = "revoked"; return true;
    case REFUSE_ACCOUNT_DISABLED: *why = "account_disabled"; return true;
    default: return false;
    }
}

/* One body for every way in which a token can be worthless; the log knows which it was. */
static enum pace
walk_reject(struct walk *w, const char *why, bool forged)
{
    struct command *cmd = walk_command(w, CMD_REJECT_TOKEN, 0);

    if (cmd != NULL) {
        cmd->reject_token = (struct reject_token){.why = why,
            .forged = forged,
            .family = w->asker->caller.family,
            .token_n = w->asker->caller.token_n};
        cmd->caller.kind = CALLER_NOBODY;
        cmd->caller.user = cmd->caller.family = (struct id){0};
        cmd->caller.token_n = 0;
    }
    w->rejecting = true;
    return walk_ask(w, cmd, false);
}

static enum pace
walk_rejected(struct walk *w)
{
    if (w->verdict.refusal == REFUSE_TOO_OFTEN)
        return walk_refuse(w);
    return walk_no(w, PROBLEM_UNAUTHENTICATED, "The access token is not valid.", NULL);
}

static enum pace
walk_judged(struct walk *w)
{
    const char *why;
    bool forged;

    if (w->gone && w->route->method == METHOD_GET)
        return PACE_DONE; /* nothing was asked for but an answer */
    if (w->rejecting)
        return walk_rejected(w);
    if (token_is_worthless(w, &why, &forged)) {
        if (w->feed != NULL)
            http_stream_abort(w->loop, w->ref);
        return walk_reject(w, why, forged);
    }
    if (w->resume != NULL && w->feed != NULL) {
        w->resume(w);
        return PACE_WAIT; /* the long answer ends the walk itself */
    }
    return w->verdict.refusal == REFUSE_NONE ? PACE_NEXT : walk_refuse(w);
}

static void
walk_answered(
    struct loop *loop, struct ref ref, void *user, struct command *cmd, struct verdict *verdict)
{
    struct walk *w = walk_get(loop, ref);

    (void)user;
    (void)cmd;
    INVARIANT(w != NULL && w->waiting);
    w->waiting = false;
    w->verdict = *verdict;
    w->views_ready = ask_views_ready(loop, verdict);
    if (w->verdict.limit.limit == 0)
        w->verdict.limit = w->limit;
    else
        w->limit = w->verdict.limit; /* a login's figures stand on its conclusion, too */
    switch (walk_judged(w)) {
    case PACE_NEXT:
        w->stage++;
        walk_run(w);
        return;
    case PACE_DONE: walk_free(w); return;
    case PACE_WAIT: return;
    }
}

static bool
walk_put(struct walk *w, struct command *cmd, bool read_views)
{
    w->waiting =
        cmd != NULL &&
        ask(w->loop, cmd,
            &(struct ask_options){.fn = walk_answered, .ref = w->self, .read_views = read_views});
    return w->waiting;
}

enum pace
walk_ask(struct walk *w, struct command *cmd, bool read_views)
{
    return walk_put(w, cmd, read_views) ? PACE_WAIT : walk_busy(w);
}

bool
walk_ask_again(struct walk *w, struct command *cmd)
{
    return walk_put(w, cmd, false);
}

static void
walk_proven(struct loop *loop, struct ref ref, struct proof_job *job)
{
    struct walk *w = walk_get(loop, ref);
    enum pace pace;

    INVARIANT(w != NULL && w->waiting);
    w->waiting = false;
    w->job = job;
    pace = w->route->prove(w);
    if (pace == PACE_WAIT)
        return; /* another proof */
    if (pace == PACE_DONE) {
        walk_free(w);
        return;
    }
    w->job = NULL; /* freed by the pool when this returns */
    w->stage++;
    walk_run(w);
}

enum pace
walk_prove(struct walk *w, struct proof_job *job)
{
    w->job = NULL;
    if (job == NULL)
        return walk_busy(w);
    job->done = walk_proven;
    job->loop = w->loop;
    job->ref = w->self;
    if (!proofpool_submit(w->app->proofs, job)) {
        proof_job_free(job);
        return walk_busy(w);
    }
    w->waiting = true;
    return PACE_WAIT;
}

enum pace
walk_sleep(struct walk *w, uint64_t ms)
{
    loop_timer_set(w->loop, &w->timer, ms);
    return PACE_WAIT;
}

/* ---- stages ---- */

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

    if (w->route->who == WHO_LOCAL && !walk_is_local(w))
        return walk_no(w, PROBLEM_NOT_FOUND, NULL, NULL);
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

/* ---- for handlers ---- */

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
    reply_refusal(w->loop, w->ref, &w->verdict, walk_is_local(w));
    return walk_spoke(w);
}

enum pace
walk_json(
    struct walk *w, uint16_t status, struct json_write *json, const char *header, const char *value)
{
    struct reply_extra extra = {header, value};
    const struct verdict *verdict = w->verdict.rests_on > 0 ? &w->verdict : NULL;

    if (w->claim.generation != 0 && json_write_done(json) == OK) {
        idempotency_finish(
            routes_idempotency(w->app), &w->claim, status, span_of(json->buf, json->len));
        w->claim = (struct idempotency_claim){0};
    }
    reply_json(w->loop, w->ref, status, json, verdict, header != NULL ? &extra : NULL);
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
