/* invariants.c: promises of the product, held against every verdict by books of their own. */
#include "projections/digest.h"
#include "tests/sim/sim.h"

#define WINDOW_US  (60 * US_PER_S)
#define LOGINS_MAX 5
#define ADDRESSES  16
#define TIMES      8
#define LIVE_MAX   4096

/* The last admitted login attempts of each address. */
static struct {
    int64_t at[TIMES];
    uint64_t seq[TIMES];
    uint32_t next;
} logins[ADDRESSES];

/* Sessions, as the verdicts told: who owns them, and whether they live. */
static struct {
    struct id session, owner;
    bool open;
} live[LIVE_MAX];
static uint32_t live_count;

/* Refusals that got no event of their own. */
static uint64_t uncounted;

/* The grant with the most events behind it that may have left the server. */
static uint64_t acked;

void
invariants_reset(void)
{
    memset(logins, 0, sizeof(logins));
    live_count = 0;
    acked = 0;
    uncounted = 0;
}

void
invariants_acked(uint64_t size)
{
    if (size > acked)
        acked = size;
}

static void
check_logins(struct sim *s, const struct command *cmd, const struct verdict *v)
{
    uint32_t a = cmd->caller.address[15] % ADDRESSES, within = 0;

    if (cmd->kind != CMD_ATTEMPT_LOGIN || v->refusal != REFUSE_NONE)
        return;
    for (uint32_t i = 0; i < TIMES; i++)
        within += logins[a].at[i] != 0 && v->eff_us < logins[a].at[i] + WINDOW_US;
    PROMISE(s, within < LOGINS_MAX); /* never more than 5 in any 60 s per address */
    logins[a].seq[logins[a].next % TIMES] = v->first_seq;
    logins[a].at[logins[a].next++ % TIMES] = v->eff_us;
}

/* An attempt that a crash took was never answered, and its password never proven: a verdict is
 * spoken only once it is durable. Those that were acknowledged stay in the book. */
static void
forget_lost_logins(const struct sim *s)
{
    for (uint32_t a = 0; a < ADDRESSES; a++)
        for (uint32_t i = 0; i < TIMES; i++)
            if (logins[a].seq[i] >= s->disk.size)
                logins[a].at[i] = 0;
}

static void
session_note(struct sim *s, const struct id *session, const struct id *owner, bool open)
{
    for (uint32_t i = 0; i < live_count; i++)
        if (id_equal(&live[i].session, session)) {
            live[i].open = open;
            return;
        }
    if (!open)
        return;
    PROMISE(s, live_count < LIVE_MAX);
    live[live_count].session = *session;
    live[live_count].owner = *owner;
    live[live_count++].open = true;
}

static bool
session_is_open(const struct id *session)
{
    for (uint32_t i = 0; i < live_count; i++)
        if (id_equal(&live[i].session, session))
            return live[i].open;
    return false;
}

static void
check_sessions(struct sim *s, const struct command *cmd, const struct verdict *v)
{
    const struct reply *r = &v->reply;

    for (uint32_t i = 0; i < r->ended_count; i++)
        session_note(s, &r->ended[i], &r->user, false);
    if (v->refusal != REFUSE_NONE)
        return;
    if (cmd->kind == CMD_OPEN_SESSION)
        PROMISE(s, id_equal(&r->user, &cmd->caller.user)); /* one's own */
    if (r->state == SESSION_OPEN &&
        (cmd->kind == CMD_OPEN_SESSION || cmd->kind == CMD_ANSWER_CONSENT))
        session_note(s, &r->session, &r->user, true);
    /* No channel without a live session, whatever tickets are about. */
    if (cmd->kind == CMD_ATTACH || cmd->kind == CMD_OPEN_CHANNEL || cmd->kind == CMD_ISSUE_TICKET)
        PROMISE(s, session_is_open(&r->session));
}

void
invariants_verdict(struct sim *s, const struct command *cmd, const struct verdict *v)
{
    uncounted += v->refusal == REFUSE_TOO_OFTEN;
    check_logins(s, cmd, v);
    check_sessions(s, cmd, v);
    PROMISE(s, v->rests_on == ledger_size(s->ledger)); /* it rests on all the world held */
    PROMISE(s, v->first_seq + v->event_count == v->rests_on);
    PROMISE(s, world_size(s->world) == v->rests_on);
    PROMISE(s, s->world->strays == 0); /* what we decide, we can fold */
}

/* Folds the disk into a fresh world, from bytes. */
static void
replay(struct sim *s, struct world *w)
{
    for (uint64_t i = 0; i < s->disk.size; i++) {
        struct event ev;

        PROMISE(s, event_decode(s->disk.records[i], &ev) == OK);
        PROMISE(s, ev.seq == i);
        world_fold(w, &ev);
    }
}

void
invariants_refusals(struct sim *s)
{
    uint64_t written = 0, generation = 0;

    for (uint64_t i = 0; i < s->disk.size; i++) {
        struct event ev;

        PROMISE(s, event_decode(s->disk.records[i], &ev) == OK);
        if (ev.type != EV_REFUSALS_COUNTED)
            continue;
        PROMISE(s, fields_u64(&ev.data, FIELD_GENERATION) == ++generation);
        written += fields_u64(&ev.data, FIELD_TOTAL);
    }
    PROMISE(s, written + refusals_pending(&s->refusals) == uncounted);
}

void
invariants_restarted(struct sim *s)
{
    struct world *again = world_new();
    struct hash ours, theirs;

    PROMISE(s, again != NULL);
    PROMISE(s, s->disk.size >= acked); /* what was acknowledged is there */
    forget_lost_logins(s);
    replay(s, again);
    world_digest(s->world, s->clock.eff_us, &ours);
    world_digest(again, s->clock.eff_us, &theirs);
    PROMISE(s, hash_equal(&ours, &theirs));
    invariants_refusals(s);
    world_free(again);
    /* The start ends what was open; ask the world itself which sessions still are. */
    for (uint32_t i = 0; i < live_count; i++)
        live[i].open = false;
}
