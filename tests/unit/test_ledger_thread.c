/* test_ledger_thread.c: the ledger's thread over a disk whose syncs end when the test says so: what
 * is held, what goes when, and that stopping loses nothing. threads: yes */
#include "http/ledger_thread.h"
#include "projections/ledger.h"
#include "projections/refusals.h"
#include "tests/unit/testing.h"

#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#define ORIGIN    "gatehouse.test"
#define SOON_MS   5000 /* what must happen has so long */
#define SILENT_MS 60   /* what must not happen is watched for so long */

static struct {
    pthread_mutex_t lock;
    struct batch *under_way[2];
    uint32_t under_way_count, batches; /* now; in all */
    uint32_t counts[64];
    uint64_t durable;
    struct ledger *ledger;
    struct ledger_thread *thread;
    struct world *world;
    struct vault *vault;
    struct keyring *keyring;
    struct refusals refusals;
    void *refusals_memory;
    atomic_uint answered;
} rig = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void
sleep_ms(long ms)
{
    struct timespec ts = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&ts, NULL);
}

/* ---- the disk ---- */

static bool
disk_submit(void *ctx, struct batch *b)
{
    bool taken;

    (void)ctx;
    pthread_mutex_lock(&rig.lock);
    taken = rig.under_way_count < 2;
    if (taken) {
        rig.under_way[rig.under_way_count++] = b;
        rig.counts[rig.batches++ % 64] = b->count;
    }
    pthread_mutex_unlock(&rig.lock);
    return taken;
}

static bool
disk_sync(void)
{
    struct batch *b;
    uint64_t size;

    pthread_mutex_lock(&rig.lock);
    b = rig.under_way[0];
    if (b != NULL) {
        rig.under_way[0] = rig.under_way[1];
        rig.under_way[1] = NULL;
        rig.under_way_count--;
        rig.durable = b->first_seq + b->count;
    }
    size = rig.durable;
    pthread_mutex_unlock(&rig.lock);
    if (b == NULL)
        return false;
    batch_free(b);
    if (rig.thread != NULL)
        ledger_thread_set_durable(rig.thread, size);
    return true;
}

static uint32_t
batches(void)
{
    uint32_t n;

    pthread_mutex_lock(&rig.lock);
    n = rig.batches;
    pthread_mutex_unlock(&rig.lock);
    return n;
}

static void
expect_batches(uint32_t n)
{
    for (int i = 0; i < SOON_MS && batches() < n; i++)
        sleep_ms(1);
    assert_int_equal(batches(), n);
}

static void
expect_answers(uint32_t n)
{
    for (int i = 0; i < SOON_MS && atomic_load(&rig.answered) < n; i++)
        sleep_ms(1);
    assert_int_equal(atomic_load(&rig.answered), n);
}

/* ---- commands ---- */

static void
answered(void *ctx, struct command *cmd, struct verdict *verdict)
{
    (void)ctx;
    INVARIANT(verdict->refusal == REFUSE_NONE);
    verdict_free(verdict);
    command_free(cmd);
    atomic_fetch_add(&rig.answered, 1);
}

/* Each becomes one event. */
static void
submit(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct command *cmd = command_new(CMD_READ_AUDIT, 0);

        assert_non_null(cmd);
        cmd->caller.kind = CALLER_CLI;
        cmd->read_audit.action = "test";
        cmd->reply_to = (struct reply_to){.deliver = answered};
        assert_true(ledger_thread_submit(rig.thread, cmd));
    }
}

static void
step(struct command *cmd)
{
    static const uint8_t seed[32] = {7};
    struct moment now = {.wall_us = 1790000000 * US_PER_S, .eff_us = 1790000000 * US_PER_S};
    struct verdict *v;

    cmd->caller.kind = CALLER_CLI;
    v = ledger_step(rig.ledger, cmd, &now, seed);
    assert_int_equal(v->refusal, REFUSE_NONE);
    verdict_free(v);
    command_free(cmd);
}

static int
open_rig(void **state)
{
    static const uint8_t boot_key[32] = {1};
    struct ledger_start start = {.origin = ORIGIN, .key_epoch = 1, .dummy_verifier = "dummy"};
    struct command *cmd = command_new(CMD_OPEN_LOG, 0);
    struct ledger_thread_options options = {.heartbeat_s = 1};
    struct clock_past past = {.any = true, .last_eff_us = 1790000000 * US_PER_S};
    struct id origin_id = event_origin_id(ORIGIN);
    struct timespec ts;

    (void)state;
    assert_non_null(rig.refusals_memory = calloc(1, refusals_bytes()));
    (void)refusals_open(&rig.refusals, rig.refusals_memory, &origin_id, &(struct tag){{1}}, 0, 0);
    start.refusals = &rig.refusals;
    clock_gettime(CLOCK_BOOTTIME, &ts);
    rig.batches = rig.under_way_count = 0;
    atomic_store(&rig.answered, 0);
    start.keyring = rig.keyring = keyring_new(ORIGIN);
    start.vault = rig.vault = vault_new(ORIGIN, boot_key, rig.keyring);
    start.world = rig.world = world_new();
    start.journal = (struct journal_port){.submit = disk_submit};
    assert_non_null(rig.ledger = ledger_new(&start));
    cmd->open_log.origin = ORIGIN;
    step(cmd);
    assert_true(ledger_flush(rig.ledger));
    assert_true(disk_sync());
    options.ledger = rig.ledger;
    clock_start(&options.clock, &past, 1790000001 * US_PER_S,
        (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000);
    rig.batches = 0;
    assert_non_null(rig.thread = ledger_thread_start(&options));
    return 0;
}

static void *
disk_run(void *arg)
{
    atomic_bool *end = arg;

    while (!atomic_load(end))
        if (!disk_sync())
            sleep_ms(1);
    return NULL;
}

/* Stops the thread while the disk works on. */
static int
close_rig(void **state)
{
    atomic_bool end = false;
    pthread_t disk;

    (void)state;
    assert_int_equal(pthread_create(&disk, NULL, disk_run, &end), 0);
    (void)ledger_thread_stop(rig.thread);
    atomic_store(&end, true);
    pthread_join(disk, NULL);
    assert_int_equal(rig.durable, ledger_size(rig.ledger)); /* nothing was left behind */
    ledger_thread_free(rig.thread);
    rig.thread = NULL;
    ledger_free(rig.ledger);
    vault_free(rig.vault);
    keyring_free(rig.keyring);
    world_free(rig.world);
    free(rig.refusals_memory);
    return 0;
}

/* ---- tests ---- */

static void
what_comes_during_a_sync_is_one_batch(void **state)
{
    (void)state;
    submit(1);
    expect_batches(1); /* a lone one goes at once */
    submit(2);
    expect_answers(3);
    submit(3);
    expect_answers(6);
    sleep_ms(SILENT_MS);
    assert_int_equal(batches(), 1);
    assert_true(disk_sync());
    expect_batches(2); /* woken by the end of the sync alone */
    assert_int_equal(rig.counts[1], 5);
}

static void
much_goes_beside_what_is_under_way(void **state)
{
    (void)state;
    submit(1);
    expect_batches(1);
    submit(200);
    expect_batches(2);
    submit(200);
    expect_answers(401);
    sleep_ms(SILENT_MS);
    assert_int_equal(batches(), 2); /* never a third */
    assert_true(disk_sync() && disk_sync());
    expect_batches(3);
    assert_int_equal(rig.counts[1] + rig.counts[2], 400);
}

/* A disk that hangs stops no clock: heartbeats are decided, and wait with the rest. */
static void
time_passes_while_a_batch_is_held(void **state)
{
    (void)state;
    submit(1);
    expect_batches(1);
    sleep_ms(2300);
    assert_int_equal(batches(), 1);
    assert_true(disk_sync());
    expect_batches(2);
    assert_true(rig.counts[1] >= 2 && rig.counts[1] <= 3);
}

/* close_rig sees that what is held here becomes durable. */
static void
stopping_hands_over_what_is_held(void **state)
{
    (void)state;
    submit(1);
    expect_batches(1);
    submit(3);
    expect_answers(4);
    assert_int_equal(batches(), 1);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)
    static const struct CMUnitTest tests[] = {
        TEST(what_comes_during_a_sync_is_one_batch),
        TEST(much_goes_beside_what_is_under_way),
        TEST(time_passes_while_a_batch_is_held),
        TEST(stopping_hands_over_what_is_held),
    };

    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
