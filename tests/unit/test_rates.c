/* test_rates.c: 600 a minute per token, in a window that slides; two long answers at a time. */
#include "http/rates.h"
#include "tests/unit/testing.h"

static struct id
family_n(uint32_t n)
{
    struct id id = {{0}};

    memcpy(id.b, &n, sizeof(n));
    id.b[15] = 1;
    return id;
}

static uint32_t
take(struct rates *r, uint32_t n, uint64_t now_s, uint32_t times)
{
    struct id family = family_n(n);
    struct limit_fact limit;
    uint32_t taken = 0;

    while (times-- > 0)
        taken += rates_take(r, &family, now_s, 0, &limit);
    return taken;
}

static void
the_window_slides(void **state)
{
    struct rates *r = rates_new();
    struct id family = family_n(1);
    struct limit_fact limit;

    (void)state;
    assert_int_equal(take(r, 1, 100, 400), 400);
    assert_int_equal(take(r, 1, 130, 400), 200);
    assert_int_equal(take(r, 1, 159, 1), 0);
    assert_int_equal(take(r, 2, 159, 1), 1); /* another token's business */
    assert_false(rates_take(r, &family, 159, 50, &limit));
    assert_int_equal(limit.count, 600);
    assert_int_equal(limit.limit, 600);
    assert_int_equal(limit.frees_us, 50 + US_PER_S);
    assert_int_equal(take(r, 1, 160, 1000), 400); /* those of second 100 are a minute old */
    assert_int_equal(take(r, 1, 189, 1), 0);
    assert_int_equal(take(r, 1, 190, 1000), 200);
    assert_int_equal(take(r, 1, 10000, 1000), 600);
    rates_free(r);
}

static void
the_table_is_bounded(void **state)
{
    struct rates *r = rates_new();

    (void)state;
    assert_int_equal(take(r, 5, 1, 600), 600);
    for (uint32_t n = 0; n < 100000; n++)
        assert_int_equal(take(r, 1000 + n, 2 + n / 10000, 1), 1);
    rates_free(r);
}

static void
two_streams_at_a_time(void **state)
{
    struct rates *r = rates_new();
    struct id family = family_n(1), other = family_n(2);

    (void)state;
    assert_true(rates_stream_begin(r, &family, 1));
    assert_true(rates_stream_begin(r, &family, 1));
    assert_false(rates_stream_begin(r, &family, 1));
    assert_true(rates_stream_begin(r, &other, 1));
    rates_stream_end(r, &family);
    assert_true(rates_stream_begin(r, &family, 2));
    rates_stream_end(r, &family);
    rates_stream_end(r, &family);
    rates_stream_end(r, &family); /* one too many is nothing */
    assert_true(rates_stream_begin(r, &family, 3));
    assert_true(rates_stream_begin(r, &family, 3));
    assert_false(rates_stream_begin(r, &family, 3));
    rates_free(r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_window_slides),
        cmocka_unit_test(the_table_is_bounded),
        cmocka_unit_test(two_streams_at_a_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
