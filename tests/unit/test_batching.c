/* test_batching.c: when the open batch closes, case by case. */
#include "projections/batching.h"
#include "tests/unit/testing.h"

#define OPEN_UNTIL_NEWS INT64_MAX

/* A log whose syncs took `sync_us` beside the work on their `count` events, again and again, so
 * that it is known what a sync takes here. Returns when the last of them ended. */
static int64_t
settled(struct batching *b, uint32_t count, int64_t sync_us)
{
    int64_t now_us = 0;
    uint64_t size = 100;

    batching_init(b, size);
    for (int i = 0; i < 50; i++) {
        batching_handed(b, size + count, now_us);
        now_us += count * BATCHING_EVENT_US + sync_us;
        size += count;
        batching_durable(b, size, size, now_us);
    }
    return now_us;
}

static void
a_lone_event_goes_at_once(void **state)
{
    struct batching b;
    int64_t now_us;

    (void)state;
    batching_init(&b, 100);
    assert_int_equal(batching_wait_us(&b, 100, 5), OPEN_UNTIL_NEWS); /* nothing is open */
    assert_int_equal(batching_wait_us(&b, 101, 5), 0);
    now_us = settled(&b, 1, 2000);
    assert_int_equal(batching_wait_us(&b, b.durable + 1, now_us), 0); /* the one is back */
}

static void
what_comes_during_a_sync_goes_when_it_has_ended(void **state)
{
    struct batching b;
    int64_t now_us;

    (void)state;
    now_us = settled(&b, 4, 2000);
    batching_handed(&b, b.durable + 4, now_us);
    assert_int_equal(batching_wait_us(&b, b.durable + 4 + 3, now_us), OPEN_UNTIL_NEWS);
    assert_int_equal(batching_wait_us(&b, b.durable + 4 + 3, now_us + 60000000), OPEN_UNTIL_NEWS);
}

static void
those_who_were_answered_are_awaited_for_a_moment(void **state)
{
    struct batching b;
    int64_t now_us;
    uint64_t size;

    (void)state;
    now_us = settled(&b, 8, 2000);
    size = b.durable;
    assert_in_range(b.sync_us, 1990, 2000);
    assert_int_equal(batching_wait_us(&b, size + 1, now_us), b.sync_us / 4);
    assert_int_equal(batching_wait_us(&b, size + 7, now_us + 100), b.sync_us / 4 - 100);
    assert_int_equal(batching_wait_us(&b, size + 8, now_us + 100), 0); /* all are back */
    assert_int_equal(batching_wait_us(&b, size + 1, now_us + 500), 0); /* or stay away */
}

/* Two groups that alternate become one: who waits in the open batch waits for the others too. */
static void
groups_meet(void **state)
{
    struct batching b;
    int64_t now_us;
    uint64_t size;

    (void)state;
    now_us = settled(&b, 5, 2000);
    size = b.durable;
    batching_handed(&b, size + 5, now_us);
    batching_durable(&b, size + 5, size + 5 + 3, now_us + 2100); /* three came meanwhile */
    assert_true(batching_wait_us(&b, size + 5 + 3 + 4, now_us + 2100) > 0);
    assert_int_equal(batching_wait_us(&b, size + 5 + 3 + 5, now_us + 2100), 0);
}

static void
patience_is_bounded(void **state)
{
    struct batching b;
    int64_t now_us;

    (void)state;
    now_us = settled(&b, 8, 5000000);
    assert_int_equal(batching_wait_us(&b, b.durable + 1, now_us), BATCHING_PATIENCE_MAX_US);
}

/* As much work as a sync takes: beside the one under way, but never a third. */
static void
much_work_does_not_wait(void **state)
{
    struct batching b;
    int64_t now_us;
    uint64_t size;

    (void)state;
    now_us = settled(&b, 8, 2000);
    size = b.durable + 100;
    batching_handed(&b, size, now_us);
    assert_int_equal(batching_wait_us(&b, size + 99, now_us), OPEN_UNTIL_NEWS);
    assert_int_equal(batching_wait_us(&b, size + 100, now_us), 0);
    batching_handed(&b, size + 100, now_us);
    assert_int_equal(batching_wait_us(&b, size + 4000, now_us), OPEN_UNTIL_NEWS);
    batching_durable(&b, size, size + 4000, now_us + 4000);
    assert_int_equal(batching_wait_us(&b, size + 4000, now_us + 4000), 0);
    now_us = settled(&b, 8, 0); /* a disk that takes no time: still not one by one */
    batching_handed(&b, b.durable + 8, now_us);
    assert_int_equal(
        batching_wait_us(&b, b.durable + 8 + BATCHING_BESIDE_MIN - 1, now_us), OPEN_UNTIL_NEWS);
    assert_int_equal(batching_wait_us(&b, b.durable + 8 + BATCHING_BESIDE_MIN, now_us), 0);
}

/* One notice may tell of both, and none may come twice. */
static void
two_syncs_can_be_told_at_once(void **state)
{
    struct batching b;

    (void)state;
    batching_init(&b, 100);
    batching_handed(&b, 110, 0);
    batching_handed(&b, 120, 10);
    batching_durable(&b, 120, 125, 1000);
    assert_int_equal(b.under_way, 0);
    assert_int_equal(b.durable, 120);
    assert_int_equal(b.back_at, 145);
    batching_durable(&b, 110, 125, 2000); /* old news */
    assert_int_equal(b.durable, 120);
    assert_int_equal(b.back_at, 145);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lone_event_goes_at_once),
        cmocka_unit_test(what_comes_during_a_sync_goes_when_it_has_ended),
        cmocka_unit_test(those_who_were_answered_are_awaited_for_a_moment),
        cmocka_unit_test(groups_meet),
        cmocka_unit_test(patience_is_bounded),
        cmocka_unit_test(much_work_does_not_wait),
        cmocka_unit_test(two_syncs_can_be_told_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
