/* walk_life.c: where walks are kept, what they wait for, and where they end. Runs on loops. Across
 * a wait a walk goes by its ref: ledger and proof pool never hold a pointer to it. */
#include "http/walk.h"

#include <sodium.h>

#include "http/ask.h"
#include "http/caller.h"
#include "http/reply.h"

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
enum pace
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
