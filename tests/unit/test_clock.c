/* test_clock.c: eff time never goes back, and no single false reading freezes or skips it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/clock.h"

#define S   US_PER_S
#define DAY (86400 * S)

static const struct start_case {
    const char *what;
    struct clock_past past;
    int64_t wall;
    uint64_t boottime;
    int64_t want_eff;
    bool want_unsure;
} start_cases[] = {
    {"first start takes the wall clock", {0}, 1000 * S, 5, 1000 * S, false},
    {"same kernel boot: BOOTTIME counts, the wall clock does not",
        {true, 1000 * S, true, 990 * S, 100 * S}, 1, 130 * S, 1020 * S, false},
    {"same kernel boot, events after the mark: never back",
        {true, 1000 * S, true, 990 * S, 100 * S}, 1, 101 * S, 1000 * S, false},
    {"other boot, wall a day later", {true, 1000 * S, false, 0, 0}, 1000 * S + DAY, 1,
        1000 * S + DAY, false},
    {"other boot, wall exactly 7 days later", {true, 1000 * S, false, 0, 0}, 1000 * S + 7 * DAY, 1,
        1000 * S + 7 * DAY, false},
    {"other boot, wall over 7 days later", {true, 1000 * S, false, 0, 0}, 1000 * S + 7 * DAY + 1, 1,
        1000 * S, true},
    {"other boot, wall an hour back", {true, 7200 * S, false, 0, 0}, 3600 * S, 1, 7200 * S, true},
    {"same boot claimed, BOOTTIME before the mark: not the same boot",
        {true, 1000 * S, true, 990 * S, 100 * S}, 1001 * S, 50 * S, 1001 * S, false},
};

static void
start_continues_from_the_log(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(start_cases) / sizeof(start_cases[0]); i++) {
        const struct start_case *t = &start_cases[i];
        struct eff_clock c;

        clock_start(&c, &t->past, t->wall, t->boottime);
        if (c.eff_us != t->want_eff || c.unsure != t->want_unsure)
            fail_msg("%s: eff %lld unsure %d", t->what, (long long)c.eff_us, c.unsure);
    }
}

static struct eff_clock
running(void)
{
    struct eff_clock c;

    clock_start(&c, &(struct clock_past){0}, 1000 * S, 0);
    return c;
}

static void
a_wall_clock_set_back_changes_nothing_but_is_told_once(void **state)
{
    struct eff_clock c = running();
    int64_t error;

    (void)state;
    assert_true(clock_advance(&c, 1, 10 * S, &error));
    assert_true(error == 1 - 1010 * S);
    assert_true(c.eff_us == 1010 * S);
    assert_false(clock_advance(&c, 1, 20 * S, &error));
    assert_true(c.eff_us == 1020 * S);
}

static void
a_wall_clock_set_ahead_is_followed_at_500_ppm(void **state)
{
    struct eff_clock c = running();
    int64_t error;

    (void)state;
    assert_true(clock_advance(&c, 1000 * S + 3650 * DAY, 1000 * S, &error));
    assert_true(c.eff_us == 2000 * S + 1000 * S / 2000);
}

static void
small_differences_are_slewed_away_exactly(void **state)
{
    struct eff_clock c = running();
    int64_t error;

    (void)state;
    assert_false(clock_advance(&c, 1100 * S + 1000, 100 * S, &error)); /* 1 ms ahead */
    assert_true(c.eff_us == 1100 * S + 1000);                          /* 50 ms were allowed */
}

static void
a_boottime_that_goes_back_is_ignored(void **state)
{
    struct eff_clock c = running();
    int64_t error;

    (void)state;
    clock_advance(&c, 1010 * S, 10 * S, &error);
    clock_advance(&c, 1010 * S, 4 * S, &error);
    assert_true(c.eff_us == 1010 * S);
    clock_advance(&c, 1012 * S, 12 * S, &error);
    assert_true(c.eff_us == 1012 * S);
}

static void
accepting_jumps_forward_never_back(void **state)
{
    struct eff_clock c = running();

    (void)state;
    c.unsure = true;
    clock_accept(&c, 500 * S);
    assert_true(c.eff_us == 1000 * S && !c.unsure);
    clock_accept(&c, 5000 * S);
    assert_true(c.eff_us == 5000 * S);
    assert_false(c.away);
    clock_accept(&c, 4990 * S); /* behind for good: known, and not told again */
    assert_true(c.away);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(start_continues_from_the_log),
        cmocka_unit_test(a_wall_clock_set_back_changes_nothing_but_is_told_once),
        cmocka_unit_test(a_wall_clock_set_ahead_is_followed_at_500_ppm),
        cmocka_unit_test(small_differences_are_slewed_away_exactly),
        cmocka_unit_test(a_boottime_that_goes_back_is_ignored),
        cmocka_unit_test(accepting_jumps_forward_never_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
