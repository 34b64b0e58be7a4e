/* test_secretpast.c: what the log knows of the secret of access tokens, and what follows (B15). */
#include "tests/unit/testing.h"

#include "projections/secretpast.h"

static struct secret_past past;

static struct hash
named(uint8_t letter)
{
    struct hash hash;

    memset(hash.b, letter, sizeof(hash.b));
    return hash;
}

/* letter 0: an event of a version that named none. */
static void
tell(enum event_type type, const char *why, uint8_t letter, int64_t until_us)
{
    struct event ev = {.type = type};
    struct hash hash = named(letter);

    if (why != NULL)
        fields_add_span(&ev.data, FIELD_WHY, span_str(why));
    if (letter != 0)
        fields_add_span(&ev.data, FIELD_FINGERPRINT, span_of(hash.b, HASH_BYTES));
    if (until_us != 0)
        fields_add_u64(&ev.data, FIELD_EXPIRES_US, (uint64_t)until_us);
    secret_past_fold(&past, &ev);
}

static enum secret_standing
judge(uint8_t letter)
{
    struct hash hash = named(letter);

    return secret_past_judge(&past, &hash);
}

static bool
preceded(enum secret_standing standing, uint8_t letter)
{
    struct hash hash = named(letter);

    return secret_past_preceded(&past, standing, &hash);
}

static int
setup(void **state)
{
    (void)state;
    memset(&past, 0, sizeof(past));
    return 0;
}

static void
the_first_start_names_it(void **state)
{
    (void)state;
    assert_int_equal(judge('a'), SECRET_UNKNOWN);
    tell(EV_SERVER_STARTED, NULL, 0, 0);
    tell(EV_SECRET_ROTATED, "routine", 0, 0);
    assert_int_equal(judge('a'), SECRET_UNKNOWN);
    tell(EV_SERVER_STARTED, NULL, 'a', 0);
    assert_int_equal(judge('a'), SECRET_IN_FORCE);
    assert_int_equal(judge('b'), SECRET_CHANGED);
    assert_false(preceded(SECRET_IN_FORCE, 'a'));
    assert_true(preceded(SECRET_CHANGED, 'a'));
}

static void
a_rotation_leaves_one_behind(void **state)
{
    (void)state;
    tell(EV_SERVER_STARTED, NULL, 'a', 0);
    tell(EV_SECRET_ROTATED, "routine", 'b', 77);
    assert_int_equal(judge('b'), SECRET_IN_FORCE);
    assert_int_equal(judge('a'), SECRET_CHANGED); /* back to it is a change like any other */
    assert_true(preceded(SECRET_IN_FORCE, 'a'));
    assert_int_equal(past.until_us, 77);
    tell(EV_SECRET_ROTATED, "restart", 'c', 0);
    assert_int_equal(past.until_us, 0);
    assert_true(preceded(SECRET_IN_FORCE, 'b'));
    assert_false(preceded(SECRET_IN_FORCE, 'a'));
    assert_false(preceded(SECRET_UNKNOWN, 'b'));
}

static void
what_leaked_never_comes_back(void **state)
{
    (void)state;
    tell(EV_SECRET_ROTATED, "leaked", 'a', 0); /* which one leaked, nobody knows */
    assert_int_equal(past.leaked_count, 0);
    tell(EV_SECRET_ROTATED, "leaked", 'b', 0);
    assert_int_equal(judge('a'), SECRET_LEAKED);
    tell(EV_SECRET_ROTATED, "routine", 'c', 0);
    tell(EV_SERVER_STARTED, NULL, 'c', 0);
    assert_int_equal(judge('a'), SECRET_LEAKED);
    assert_int_equal(judge('b'), SECRET_CHANGED);
    assert_int_equal(judge('c'), SECRET_IN_FORCE);
}

static void
the_memory_of_leaks_is_bounded(void **state)
{
    (void)state;
    tell(EV_SECRET_ROTATED, "routine", 'x', 0);
    for (unsigned i = 0; i < SECRETS_LEAKED_MAX; i++)
        tell(EV_SECRET_ROTATED, "leaked", 'y', 0);
    assert_int_equal(judge('x'), SECRET_LEAKED);
    tell(EV_SECRET_ROTATED, "leaked", 'z', 0);
    assert_int_equal(judge('x'), SECRET_CHANGED); /* the oldest was let go */
    assert_int_equal(judge('y'), SECRET_LEAKED);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_first_start_names_it, setup),
        cmocka_unit_test_setup(a_rotation_leaves_one_behind, setup),
        cmocka_unit_test_setup(what_leaked_never_comes_back, setup),
        cmocka_unit_test_setup(the_memory_of_leaks_is_bounded, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
