/* ledger_thread.c: drives the ledger: time, randomness and the queue. Decides nothing itself.
 * The mutex guards the queue and the notices only; the world is touched by this thread alone. */
#include "http/ledger_thread.h"

#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <time.h>

#include "projections/batching.h"
#include "projections/ledger.h"

#define TOUCHES_MAX    1024
#define RESEED_EVERY   4096 /* commands a kernel seed serves, each through a key of its own */
#define WAKE_MAX_US    US_PER_S
#define FLUSH_AGAIN_US 1000

struct ledger_thread {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct command *head, **tail;
    uint32_t queued;
    bool closing, woken, asleep;
    bool heeds_durable; /* what becomes durable must wake the thread */
    uint32_t touch_count;
    struct id touched[TOUCHES_MAX];
    atomic_uint_fast64_t durable;
    atomic_int_fast64_t durable_us;    /* since when; MONOTONIC */
    atomic_int_fast64_t eff_offset_us; /* eff = BOOTTIME + offset */
    atomic_bool clock_unsure, low_space;
    /* ledger thread only */
    struct ledger *ledger;
    struct eff_clock clock;
    struct entropy seeds;
    uint32_t seeds_used;
    int64_t last_event_us, heartbeat_us;
    uint64_t known_durable;
    struct batching batching;
    bool stepped; /* the wall clock ran away, and no event says so yet */
    int64_t wall_error_us;
    void (*on_verdict)(void *ctx, const struct verdict *verdict);
    void *on_verdict_ctx;
};

static int64_t
read_clock_us(clockid_t id)
{
    struct timespec ts;

    INVARIANT(clock_gettime(id, &ts) == 0);
    return (int64_t)ts.tv_sec * US_PER_S + ts.tv_nsec / 1000;
}

int64_t
ledger_thread_eff_us(const struct ledger_thread *t)
{
    return read_clock_us(CLOCK_BOOTTIME) + (int64_t)atomic_load(&t->eff_offset_us);
}

uint64_t
ledger_thread_durable(const struct ledger_thread *t)
{
    return atomic_load(&t->durable);
}

bool
ledger_thread_clock_unsure(const struct ledger_thread *t)
{
    return atomic_load(&t->clock_unsure);
}

void
ledger_thread_set_low_space(struct ledger_thread *t, bool low)
{
    atomic_store(&t->low_space, low);
}

bool
ledger_thread_low_space(const struct ledger_thread *t)
{
    return atomic_load(&t->low_space);
}

/* Under the lock. True: the caller signals, once it has left the lock. */
static bool
thread_wake(struct ledger_thread *t)
{
    bool signal = t->asleep;

    t->woken = true;
    t->asleep = false; /* one signal is enough for all who come until it runs */
    return signal;
}

void
ledger_thread_set_durable(struct ledger_thread *t, uint64_t size)
{
    bool signal;

    atomic_store(&t->durable_us, read_clock_us(CLOCK_MONOTONIC));
    atomic_store(&t->durable, size);
    pthread_mutex_lock(&t->lock);
    signal = t->heeds_durable && thread_wake(t);
    pthread_mutex_unlock(&t->lock);
    if (signal)
        pthread_cond_signal(&t->wake);
}

bool
ledger_thread_submit(struct ledger_thread *t, struct command *cmd)
{
    bool taken = false, signal = false;

    pthread_mutex_lock(&t->lock);
    if (!t->closing && t->queued < COMMANDS_QUEUED_MAX) {
        cmd->next = NULL;
        *t->tail = cmd;
        t->tail = &cmd->next;
        t->queued++;
        taken = true;
        signal = thread_wake(t);
    }
    pthread_mutex_unlock(&t->lock);
    if (signal)
        pthread_cond_signal(&t->wake);
    return taken;
}

void
ledger_thread_touch(struct ledger_thread *t, const struct id *session)
{
    pthread_mutex_lock(&t->lock);
    for (uint32_t i = 0; i < t->touch_count; i++)
        if (id_equal(&t->touched[i], session))
            goto out;
    if (t->touch_count < TOUCHES_MAX)
        t->touched[t->touch_count++] = *session; /* read at the next wake, within a second */
out:
    pthread_mutex_unlock(&t->lock);
}

static struct moment
thread_now(struct ledger_thread *t)
{
    struct moment now = {.wall_us = read_clock_us(CLOCK_REALTIME),
        .boottime_us = (uint64_t)read_clock_us(CLOCK_BOOTTIME)};

    if (clock_advance(&t->clock, now.wall_us, now.boottime_us, &t->wall_error_us))
        t->stepped = true;
    now.eff_us = t->clock.eff_us;
    atomic_store(&t->clock_unsure, t->clock.unsure);
    atomic_store(&t->eff_offset_us, now.eff_us - (int64_t)now.boottime_us);
    return now;
}

/* Returns how many events came of it. */
static uint32_t
thread_step(struct ledger_thread *t, struct command *cmd, const struct moment *now)
{
    struct verdict *verdict;
    uint32_t events;
    uint8_t seed[32];

    if (t->seeds_used++ % RESEED_EVERY == 0) {
        randombytes_buf(seed, sizeof(seed));
        entropy_init(&t->seeds, seed);
    }
    entropy_bytes(&t->seeds, seed, sizeof(seed));
    ledger_low_space(t->ledger, atomic_load(&t->low_space));
    verdict = ledger_step(t->ledger, cmd, now, seed);
    if (cmd->kind == CMD_ACCEPT_CLOCK && verdict->event_count > 0) {
        clock_accept(&t->clock, now->wall_us);
        (void)thread_now(t); /* loops see it at once */
    }
    sodium_memzero(seed, sizeof(seed));
    events = verdict->event_count;
    if (t->on_verdict != NULL)
        t->on_verdict(t->on_verdict_ctx, verdict);
    if (events > 0)
        t->last_event_us = now->eff_us;
    if (cmd->reply_to.deliver != NULL) {
        cmd->reply_to.deliver(cmd->reply_to.ctx, cmd, verdict);
        return events;
    }
    verdict_free(verdict);
    command_free(cmd);
    return events;
}

/* The ledger feeds itself: ends that come by themselves are commands like any other. */
static void
thread_pass_time(struct ledger_thread *t)
{
    for (;;) {
        struct moment now = thread_now(t);
        bool heartbeat = now.eff_us - t->last_event_us >= t->heartbeat_us;
        struct command *cmd;

        if (ledger_blocked(t->ledger) ||
            (!heartbeat && !t->stepped && ledger_deadline(t->ledger) > now.eff_us))
            return;
        if ((cmd = command_new(CMD_TIME_PASSED, 0)) == NULL)
            return; /* tried again within a second */
        cmd->caller.kind = CALLER_SERVER;
        cmd->time_passed = (struct time_passed){
            .heartbeat = heartbeat, .clock_stepped = t->stepped, .wall_error_us = t->wall_error_us};
        t->stepped = false;
        if (thread_step(t, cmd, &now) == 0)
            return; /* nothing was due after all: never spin on it */
    }
}

static void
thread_read_durable(struct ledger_thread *t)
{
    uint64_t durable = atomic_load(&t->durable);

    if (durable == t->known_durable)
        return;
    t->known_durable = durable;
    batching_durable(
        &t->batching, durable, ledger_size(t->ledger), (int64_t)atomic_load(&t->durable_us));
    ledger_durable(t->ledger, durable);
}

/* Closes the open batch if its time has come. Returns how long it may stay open. */
static int64_t
thread_flush(struct ledger_thread *t, bool closing)
{
    int64_t now_us = read_clock_us(CLOCK_MONOTONIC);
    uint64_t size = ledger_size(t->ledger);
    int64_t wait_us = batching_wait_us(&t->batching, size, now_us);

    if (wait_us > 0 && !(closing && wait_us < INT64_MAX))
        return wait_us;
    if (!ledger_flush(t->ledger))
        return FLUSH_AGAIN_US; /* no memory for the next batch: it goes on filling */
    batching_handed(&t->batching, size, now_us);
    return INT64_MAX;
}

/* Until the earliest deadline, at most a second. */
static int64_t
thread_idle_us(const struct ledger_thread *t)
{
    int64_t wait_us = ledger_deadline(t->ledger) - t->clock.eff_us;

    if (wait_us < 0)
        return 1000;
    return wait_us > WAKE_MAX_US ? WAKE_MAX_US : wait_us;
}

/* Sleeps until there is a command, a durable notice that matters, or at most wait_us. */
static void
thread_sleep(struct ledger_thread *t, int64_t wait_us)
{
    struct timespec until;

    INVARIANT(clock_gettime(CLOCK_MONOTONIC, &until) == 0);
    until.tv_nsec += (long)(wait_us % US_PER_S) * 1000;
    until.tv_sec += (time_t)(wait_us / US_PER_S) + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    t->asleep = !t->woken;
    while (!t->woken)
        if (pthread_cond_timedwait(&t->wake, &t->lock, &until) != 0)
            break;
    t->asleep = false;
}

/* Takes what is queued, unless the ledger is blocked: then only time and durability move it. */
static struct command *
thread_take(struct ledger_thread *t, int64_t open_us, bool *closing)
{
    int64_t idle_us = thread_idle_us(t);
    struct command *list = NULL;
    bool last_round;

    pthread_mutex_lock(&t->lock);
    last_round = t->closing && t->head == NULL && !*closing;
    if ((t->head == NULL || ledger_blocked(t->ledger)) && !last_round &&
        atomic_load(&t->durable) == t->known_durable) {
        /* With nothing open, an answered sync is news only when the next command comes. */
        t->heeds_durable = *closing || ledger_blocked(t->ledger) || ledger_has_open(t->ledger);
        thread_sleep(t, idle_us < open_us ? idle_us : open_us);
        t->heeds_durable = true;
    }
    t->woken = false;
    for (uint32_t i = 0; i < t->touch_count; i++)
        world_touch_session(ledger_world(t->ledger), &t->touched[i], t->clock.eff_us);
    t->touch_count = 0;
    *closing = t->closing && t->head == NULL;
    if (!ledger_blocked(t->ledger)) {
        list = t->head;
        t->head = NULL;
        t->tail = &t->head;
        t->queued = 0;
    }
    pthread_mutex_unlock(&t->lock);
    return list;
}

/* What a block kept back goes to the front again. */
static void
thread_give_back(struct ledger_thread *t, struct command *list)
{
    struct command **end = &list;
    uint32_t n = 0;

    while (*end != NULL) {
        end = &(*end)->next;
        n++;
    }
    if (n == 0)
        return;
    pthread_mutex_lock(&t->lock);
    *end = t->head;
    if (t->head == NULL)
        t->tail = end;
    t->head = list;
    t->queued += n;
    pthread_mutex_unlock(&t->lock);
}

/* Ends when it was told to, nothing is queued, and all that was decided is durable. */
static void *
thread_run(void *arg)
{
    struct ledger_thread *t = arg;
    int64_t open_us = INT64_MAX;
    bool closing = false;

    while (!closing || ledger_has_open(t->ledger) || t->batching.under_way > 0) {
        struct command *list = thread_take(t, open_us, &closing);

        thread_read_durable(t);
        thread_pass_time(t);
        while (list != NULL && !ledger_blocked(t->ledger)) {
            struct command *cmd = list;
            struct moment now = thread_now(t);

            list = cmd->next;
            cmd->next = NULL;
            thread_step(t, cmd, &now);
        }
        thread_give_back(t, list);
        open_us = thread_flush(t, closing);
    }
    return NULL;
}

struct ledger_thread *
ledger_thread_start(const struct ledger_thread_options *options)
{
    struct ledger_thread *t = calloc(1, sizeof(*t));
    pthread_condattr_t attr;

    if (t == NULL)
        return NULL;
    t->tail = &t->head;
    t->ledger = options->ledger;
    t->clock = options->clock;
    t->on_verdict = options->on_verdict;
    t->on_verdict_ctx = options->ctx;
    t->heartbeat_us = (int64_t)options->heartbeat_s * US_PER_S;
    t->heeds_durable = true;
    t->known_durable = ledger_size(options->ledger);
    batching_init(&t->batching, t->known_durable);
    atomic_init(&t->durable, t->known_durable);
    INVARIANT(pthread_mutex_init(&t->lock, NULL) == 0);
    INVARIANT(pthread_condattr_init(&attr) == 0);
    INVARIANT(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    INVARIANT(pthread_cond_init(&t->wake, &attr) == 0);
    pthread_condattr_destroy(&attr);
    t->last_event_us = thread_now(t).eff_us;
    if (pthread_create(&t->thread, NULL, thread_run, t) != 0) {
        free(t);
        return NULL;
    }
    return t;
}

struct eff_clock
ledger_thread_stop(struct ledger_thread *t)
{
    pthread_mutex_lock(&t->lock);
    t->closing = true;
    (void)thread_wake(t);
    pthread_mutex_unlock(&t->lock);
    pthread_cond_signal(&t->wake);
    pthread_join(t->thread, NULL);
    return t->clock;
}

void
ledger_thread_free(struct ledger_thread *t)
{
    if (t == NULL)
        return;
    pthread_cond_destroy(&t->wake);
    pthread_mutex_destroy(&t->lock);
    sodium_memzero(t, sizeof(*t));
    free(t);
}
