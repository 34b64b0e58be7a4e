/* test_refusals.c: refusals are counted exactly once, whatever ends the process and wherever. */
#include "projections/refusals.h"

#include <signal.h>
#include <sodium.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/pack.h"
#include "tests/unit/testing.h"

static const struct id origin = {{7}};
static const struct tag boot = {{1}}, other_boot = {{2}};
static const struct id nobody;
static void *memory;

/* What the log would have. */
static struct {
    uint64_t generation, total;
} written;

static struct tags
caller(uint32_t n)
{
    struct tags tags = {.net = {{1}}, .wide = {{2}}};
    uint32_t wide = n / 256;

    memcpy(tags.net.b + 1, &n, 4);
    memcpy(tags.wide.b + 1, &wide, 4);
    return tags;
}

static struct refusals
fresh(void)
{
    struct refusals r;

    free(memory);
    memory = calloc(1, refusals_bytes());
    assert_non_null(memory);
    memset(&written, 0, sizeof(written));
    assert_int_equal(refusals_open(&r, memory, &origin, &boot, 0, 1000), REFUSALS_NEW);
    return r;
}

static struct refusals
again(enum refusals_found want)
{
    struct refusals r;

    assert_int_equal(refusals_open(&r, memory, &origin, &boot, written.generation, 5000), want);
    return r;
}

static void
count(struct refusals *r, uint32_t from, uint32_t times)
{
    struct tags tags = caller(from);

    for (uint32_t i = 0; i < times; i++)
        refusals_count(r, &tags, &nobody, RULE_LOGIN_NET, 2000 + i);
}

/* The rows as the event has them; returns their sum. */
static uint64_t
rows_sum(const struct refusals *r, uint32_t *rows, uint32_t *wide, uint32_t *all)
{
    static uint8_t bytes[REFUSALS_PACKED_MAX];
    struct span packed = refusals_pack(r, bytes, sizeof(bytes));
    struct reader in;
    uint64_t sum = 0;

    assert_int_equal(pack_scan(packed), OK);
    reader_init(&in, packed);
    *rows = reader_array(&in);
    *wide = *all = 0;
    for (uint32_t i = 0; i < *rows; i++) {
        struct span net;

        assert_int_equal(reader_array(&in), 6);
        net = reader_bin(&in);
        assert_true(net.len == 0 || net.len == TAG_BYTES);
        *all += net.len == 0;
        *wide += net.len > 0 && net.ptr[0] == 2;
        assert_true(reader_bin(&in).len == 0);
        (void)reader_str(&in);
        sum += reader_u64(&in);
        (void)reader_i64(&in);
        (void)reader_i64(&in);
    }
    assert_true(reader_done(&in));
    return sum;
}

static void
rows_overflow_into_wider_networks(void **state)
{
    static const struct {
        uint32_t callers, exact, wide, all;
    } cases[] = {
        {1, 1, 0, 0},
        {128, 128, 0, 0},
        {129, 128, 1, 0},
        {10000, 128, 40 - 1, 0}, /* the first 128 are of one wide network, half of it */
        {100000, 128, 96, 1},
    };

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct refusals r = fresh();
        uint64_t generation, total;
        uint32_t rows, wide, all;

        for (uint32_t c = 0; c < cases[i].callers; c++)
            count(&r, c, 3);
        assert_int_equal(refusals_pending(&r), 3 * cases[i].callers);
        assert_true(refusals_freeze(&r, &generation, &total, 3000));
        assert_int_equal(total, 3 * cases[i].callers);
        assert_int_equal(rows_sum(&r, &rows, &wide, &all), total);
        if (cases[i].callers == 10000)
            wide -= 1; /* the first wide network has both kinds of rows */
        assert_int_equal(rows - (wide + all) - (cases[i].callers == 10000), cases[i].exact);
        assert_int_equal(wide, cases[i].wide);
        assert_int_equal(all, cases[i].all);
    }
}

static void
write_event(struct refusals *r)
{
    uint64_t generation, total;

    if (!refusals_freeze(r, &generation, &total, 4000))
        return;
    assert_true(generation > written.generation);
    written.generation = generation;
    written.total += total;
    refusals_offered(r, generation);
}

static void
what_was_written_is_not_written_again(void **state)
{
    struct refusals r = fresh();
    uint64_t generation, total;

    (void)state;
    count(&r, 1, 5);
    assert_int_equal(refusals_due_us(&r), 2000 + REFUSALS_WRITE_US);
    assert_true(refusals_freeze(&r, &generation, &total, 3000));
    assert_int_equal(generation, 1);
    count(&r, 1, 2); /* while the event is made */
    assert_true(refusals_freeze(&r, &generation, &total, 3000));
    assert_int_equal(generation, 1);
    assert_int_equal(total, 5);
    assert_int_equal(refusals_pending(&r), 7);

    /* Ended before the event was durable: the log has none, so it is written by the next one. */
    r = again(REFUSALS_KEPT);
    assert_int_equal(refusals_pending(&r), 7);
    assert_int_equal(refusals_due_us(&r), 0);
    write_event(&r);
    assert_int_equal(written.total, 5);
    assert_int_equal(refusals_due_us(&r), INT64_MAX); /* one at a time */
    assert_false(refusals_freeze(&r, &generation, &total, 3000));

    /* Ended after that, and before the table knew. */
    r = again(REFUSALS_KEPT);
    assert_int_equal(refusals_pending(&r), 2);
    write_event(&r);
    refusals_durable(&r, written.generation - 1);
    assert_int_equal(refusals_due_us(&r), INT64_MAX);
    refusals_durable(&r, written.generation);
    assert_int_equal(refusals_pending(&r), 0);
    assert_int_equal(written.total, 7);
    assert_false(refusals_freeze(&r, &generation, &total, 3000));
    r = again(REFUSALS_KEPT);
    assert_int_equal(refusals_pending(&r), 0);
}

static void
full_queues_count_too(void **state)
{
    struct refusals r = fresh();
    uint32_t rows, wide, all;
    uint64_t generation, total;

    (void)state;
    assert_int_equal(refusals_due_us(&r), INT64_MAX);
    for (int i = 0; i < 3; i++)
        refusals_busy(&r, 2500);
    assert_int_equal(refusals_due_us(&r), 1000 + REFUSALS_WRITE_US);
    assert_true(refusals_freeze(&r, &generation, &total, 3000));
    refusals_busy(&r, 3500);
    assert_int_equal(total, 3);
    assert_int_equal(rows_sum(&r, &rows, &wide, &all), 3);
    assert_int_equal(all, 1);
    assert_int_equal(refusals_pending(&r), 4);
    r = again(REFUSALS_KEPT);
    assert_int_equal(refusals_pending(&r), 4);
    write_event(&r);
    r = again(REFUSALS_KEPT);
    assert_int_equal(refusals_pending(&r), 1);
    write_event(&r);
    refusals_durable(&r, written.generation);
    assert_int_equal(written.total, 4);
    assert_int_equal(refusals_pending(&r), 0);
}

static void
a_power_cut_is_said(void **state)
{
    struct refusals r = fresh(), next;

    (void)state;
    count(&r, 1, 1);
    assert_int_equal(refusals_open(&next, memory, &origin, &other_boot, 0, 1), REFUSALS_UNSURE);
    assert_int_equal(refusals_pending(&next), 1);
    refusals_close(&next);
    assert_int_equal(refusals_open(&next, memory, &origin, &boot, 0, 1), REFUSALS_KEPT);
    assert_int_equal(refusals_open(&next, memory, &origin, &other_boot, 0, 1), REFUSALS_UNSURE);
}

/* Made anew, and the process ends before that is finished: nothing was counted yet. */
static void
half_made_is_new(void **state)
{
    struct refusals r = fresh(), next;

    (void)state;
    count(&r, 1, 1);
    memset(memory, 0, 8);
    assert_int_equal(refusals_open(&next, memory, &origin, &boot, 0, 1), REFUSALS_NEW);
    assert_int_equal(refusals_pending(&next), 0);
    r = again(REFUSALS_KEPT);
}

/* An older copy, a foreign one: not this log's counts. */
static void
what_does_not_fit_the_log_is_dropped(void **state)
{
    static const struct id foreign = {{8}};
    struct refusals r = fresh(), next;

    (void)state;
    count(&r, 1, 1);
    assert_int_equal(refusals_open(&next, memory, &foreign, &boot, 0, 1), REFUSALS_DAMAGED);
    assert_int_equal(refusals_pending(&next), 0);
    count(&next, 1, 1);
    assert_int_equal(refusals_open(&next, memory, &foreign, &boot, 7, 1), REFUSALS_DAMAGED);
    assert_int_equal(refusals_pending(&next), 0);
    written.generation = 7;
    count(&next, 1, 2);
    write_event(&next);
    assert_int_equal(written.generation, 8);
    assert_int_equal(written.total, 2);
}

/* Any byte of the file, in several ways: a count is true, or it is gone and that is said. */
static void
a_changed_byte_is_no_count(void **state)
{
    struct refusals r = fresh();
    size_t bytes = refusals_bytes(), damaged = 0;
    uint8_t *whole = malloc(bytes);

    (void)state;
    assert_non_null(whole);
    count(&r, 1, 300);
    write_event(&r);
    refusals_durable(&r, written.generation);
    count(&r, 2, 20);
    refusals_busy(&r, 100);
    r = again(REFUSALS_KEPT);
    write_event(&r); /* frozen, not durable */
    written.generation--;
    count(&r, 3, 7);
    memcpy(whole, memory, bytes);
    for (size_t i = 0; i < bytes; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            enum refusals_found found;

            memcpy(memory, whole, bytes);
            ((uint8_t *)memory)[i] ^= (uint8_t)(1u << bit);
            found = refusals_open(&r, memory, &origin, &boot, written.generation, 5000);
            damaged += found == REFUSALS_DAMAGED;
            if (found != REFUSALS_DAMAGED && refusals_pending(&r) != 28)
                fail_msg("byte %zu bit %u: %llu counted, and nothing said", i, bit,
                    (unsigned long long)refusals_pending(&r));
            if (refusals_pending(&r) > 28)
                fail_msg("byte %zu bit %u: refusals that never were", i, bit);
        }
    assert_true(damaged > 500);
    free(whole);
}

static void
a_clock_behind_the_counts_spoils_none(void **state)
{
    struct tags tags = caller(1);
    struct refusals r = fresh();

    (void)state;
    refusals_count(&r, &tags, &nobody, RULE_LOGIN_NET, 2000);
    r = again(REFUSALS_KEPT);
    refusals_count(&r, &tags, &nobody, RULE_LOGIN_NET, 1500);
    r = again(REFUSALS_KEPT);
    assert_int_equal(refusals_pending(&r), 2);
}

/* ---- SIGKILL, at any moment ---- */

struct life {
    atomic_uint_fast64_t done;       /* counted for sure */
    atomic_uint_fast64_t generation; /* the log: sum over its events, and the last one's number */
};

/* An event is one store, as a commit is: generation and sum go together. */
static void
live(struct life *life, void *map)
{
    uint64_t log = atomic_load(&life->generation), generation, total;
    struct refusals r;

    if (refusals_open(&r, map, &origin, &boot, log & 0xffffff, 1) > REFUSALS_KEPT)
        _exit(1);
    for (uint32_t i = 0;; i++) {
        struct tags tags = caller(i % 7);

        if (i % 5 == 4)
            refusals_busy(&r, i);
        else
            refusals_count(&r, &tags, &nobody, RULE_CODE_NET, i);
        atomic_fetch_add(&life->done, 1);
        if (i % 3 == 0 && refusals_freeze(&r, &generation, &total, i)) {
            log = atomic_load(&life->generation);
            log = ((log >> 24) + total) << 24 | generation;
            atomic_store(&life->generation, log);
            refusals_offered(&r, 1);
            refusals_durable(&r, 1);
        }
    }
}

static void
killed_at_any_moment(void **state)
{
    void *map =
        mmap(NULL, refusals_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct life *life =
        mmap(NULL, sizeof(*life), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint64_t unsure = 0;

    (void)state;
    assert_true(map != MAP_FAILED && (void *)life != MAP_FAILED);
    for (int round = 0; round < 300; round++) {
        struct timespec nap = {.tv_nsec = (long)randombytes_uniform(1500000)};
        uint64_t log, sum;
        struct refusals r;
        int status;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0)
            live(life, map);
        nanosleep(&nap, NULL);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        log = atomic_load(&life->generation);
        assert_true(refusals_open(&r, map, &origin, &boot, log & 0xffffff, 1) <= REFUSALS_KEPT);
        sum = (log >> 24) + refusals_pending(&r);
        /* One may have been counted without its `done` in each of the lives. */
        if (sum < atomic_load(&life->done) + unsure || sum > atomic_load(&life->done) + unsure + 1)
            fail_msg("round %d: %llu counted, %llu sure", round, (unsigned long long)sum,
                (unsigned long long)atomic_load(&life->done));
        unsure = sum - atomic_load(&life->done);
    }
    assert_true(atomic_load(&life->done) > 1000);
    munmap(map, refusals_bytes());
    munmap(life, sizeof(*life));
}

static int
tidy(void **state)
{
    (void)state;
    free(memory);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_overflow_into_wider_networks),
        cmocka_unit_test(what_was_written_is_not_written_again),
        cmocka_unit_test(full_queues_count_too),
        cmocka_unit_test(a_power_cut_is_said),
        cmocka_unit_test(half_made_is_new),
        cmocka_unit_test(what_does_not_fit_the_log_is_dropped),
        cmocka_unit_test(a_changed_byte_is_no_count),
        cmocka_unit_test(a_clock_behind_the_counts_spoils_none),
        cmocka_unit_test(killed_at_any_moment),
    };

    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, tidy);
}
