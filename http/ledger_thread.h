/* ledger_thread.h: the ledger's thread: a bounded queue of commands, the clock, and one heap of
 * deadlines (the world's). Loops submit and get verdicts; nothing else ever touches the world.
 *
 * Verdicts are delivered on the ledger thread through cmd->reply_to, before they are durable: the
 * receiver holds them until ledger_thread_durable() >= rests_on. */
#ifndef HTTP_LEDGER_THREAD_H
#define HTTP_LEDGER_THREAD_H

#include "core/clock.h"
#include "core/verdict.h"

#define COMMANDS_QUEUED_MAX 4096 /* more: the loop answers 503 with Retry-After */

struct ledger; /* projections/ledger.h */
struct ledger_thread;

struct ledger_thread_options {
    struct ledger *ledger; /* borrowed; the thread's own until ledger_thread_stop returns */
    struct eff_clock clock;
    uint32_t heartbeat_s;
    /* Told of every verdict on the ledger's thread, before it is delivered: what it ends must drop.
     */
    void (*on_verdict)(void *ctx, const struct verdict *verdict);
    void *ctx;
};

/* NULL: no memory or no thread. */
struct ledger_thread *ledger_thread_start(const struct ledger_thread_options *options);

/* Any thread. False when the queue is full (the command stays the caller's). On true the command
 * will be delivered through its reply_to exactly once, with its verdict; both are then the
 * receiver's. A command without reply_to is freed with its verdict. */
MUST_USE bool ledger_thread_submit(struct ledger_thread *t, struct command *cmd);

/* Any thread: events 0..n-1 are durable. For durable_listener; also wakes the ledger. */
void ledger_thread_set_durable(struct ledger_thread *t, uint64_t size);
uint64_t ledger_thread_durable(const struct ledger_thread *t);

/* Any thread: eff now, without asking the ledger (JWT times, deadlines at the edge). */
int64_t ledger_thread_eff_us(const struct ledger_thread *t);

bool ledger_thread_clock_unsure(const struct ledger_thread *t);

/* Any thread: whether the disk is nearly full, so that new work is refused. */
void ledger_thread_set_low_space(struct ledger_thread *t, bool low);
bool ledger_thread_low_space(const struct ledger_thread *t);

/* A payload byte came from the technician: kept for the idle limit, outside the log. Any thread;
 * never blocks; a full table of notices only delays. */
void ledger_thread_touch(struct ledger_thread *t, const struct id *session);

/* Takes no more commands, runs those queued, flushes, and joins. The caller has sent
 * CMD_STOP_SERVER before. Returns the clock as it stood. The journal may still tell it what became
 * durable, until ledger_thread_free. */
struct eff_clock ledger_thread_stop(struct ledger_thread *t);
void ledger_thread_free(struct ledger_thread *t); /* after stop, and after the journal */

#endif
