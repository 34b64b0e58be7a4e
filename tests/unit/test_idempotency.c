/* test_idempotency.c: a repeated POST gets the first one's answer, its owner's only, for a while
 * only. */
#include "http/idempotency.h"
#include "tests/unit/testing.h"

#include <sodium.h>
#include <stdio.h>

static struct id
owner_n(uint8_t n)
{
    return (struct id){{n, 1}};
}

static struct hash
request_n(uint8_t n)
{
    return (struct hash){{n, 2}};
}

static enum idempotency_found
begin(struct idempotency *t, uint8_t owner, const char *key, uint8_t request, uint64_t now_ms,
    struct idempotency_claim *claim)
{
    struct id id = owner_n(owner);
    struct hash hash = request_n(request);

    return idempotency_begin(t, &id, span_str(key), &hash, now_ms, claim);
}

static bool
answer_is(struct idempotency *t, const struct idempotency_claim *claim, uint64_t now_ms,
    const char *expected)
{
    uint8_t body[IDEMPOTENCY_BODY_MAX];
    uint16_t status;
    size_t len;

    return idempotency_answer(t, claim, now_ms, &status, body, &len) && status == 201 &&
           span_is(span_of(body, len), expected);
}

static void
a_repetition_is_answered_as_the_first(void **state)
{
    struct idempotency *t = idempotency_new();
    struct idempotency_claim first, again, other;

    (void)state;
    assert_int_equal(begin(t, 1, "k", 1, 0, &first), IDEMPOTENCY_FRESH);
    assert_int_equal(begin(t, 1, "k", 1, 1, &again), IDEMPOTENCY_PENDING);
    assert_false(answer_is(t, &again, 1, ""));
    idempotency_finish(t, &first, 201, span_str("{\"id\":1}"));
    assert_int_equal(begin(t, 1, "k", 1, 2, &again), IDEMPOTENCY_REPLAY);
    assert_true(answer_is(t, &again, 2, "{\"id\":1}"));
    assert_true(answer_is(t, &again, 3, "{\"id\":1}"));
    assert_int_equal(begin(t, 1, "k", 2, 3, &other), IDEMPOTENCY_OTHER);
    assert_int_equal(begin(t, 2, "k", 1, 3, &other), IDEMPOTENCY_FRESH);
    assert_int_equal(begin(t, 1, "l", 1, 3, &other), IDEMPOTENCY_FRESH);
    idempotency_free(t);
}

static void
an_answer_is_forgotten_in_time(void **state)
{
    struct idempotency *t = idempotency_new();
    struct idempotency_claim first, again;

    (void)state;
    assert_int_equal(begin(t, 1, "k", 1, 1000, &first), IDEMPOTENCY_FRESH);
    idempotency_finish(t, &first, 201, span_str("x"));
    assert_int_equal(begin(t, 1, "k", 1, 1000 + IDEMPOTENCY_MS - 1, &again), IDEMPOTENCY_REPLAY);
    assert_false(answer_is(t, &again, 1000 + IDEMPOTENCY_MS, "x"));
    assert_int_equal(begin(t, 1, "k", 1, 1000 + IDEMPOTENCY_MS, &again), IDEMPOTENCY_FRESH);
    idempotency_finish(t, &first, 201, span_str("late")); /* an old claim names nothing */
    assert_false(answer_is(t, &again, 1000 + IDEMPOTENCY_MS, "late"));
    idempotency_free(t);
}

/* Loops share the table, and the clock of the one that asks second may be behind. */
static void
another_loops_clock_may_be_behind(void **state)
{
    struct idempotency *t = idempotency_new();
    struct idempotency_claim first, again;

    (void)state;
    assert_int_equal(begin(t, 1, "k", 1, 1000, &first), IDEMPOTENCY_FRESH);
    assert_int_equal(begin(t, 1, "k", 1, 999, &again), IDEMPOTENCY_PENDING);
    idempotency_finish(t, &first, 201, span_str("x"));
    assert_int_equal(begin(t, 1, "k", 1, 998, &again), IDEMPOTENCY_REPLAY);
    assert_true(answer_is(t, &again, 997, "x"));
    idempotency_free(t);
}

static void
what_had_no_effect_may_be_tried_again(void **state)
{
    struct idempotency *t = idempotency_new();
    struct idempotency_claim claim;
    static uint8_t large[IDEMPOTENCY_BODY_MAX + 1];

    (void)state;
    assert_int_equal(begin(t, 1, "k", 1, 0, &claim), IDEMPOTENCY_FRESH);
    idempotency_release(t, &claim);
    assert_int_equal(begin(t, 1, "k", 1, 1, &claim), IDEMPOTENCY_FRESH);
    idempotency_finish(t, &claim, 201, span_of(large, sizeof(large))); /* too long to be kept */
    assert_int_equal(begin(t, 1, "k", 1, 2, &claim), IDEMPOTENCY_FRESH);
    claim = (struct idempotency_claim){0};
    idempotency_release(t, &claim); /* none */
    idempotency_free(t);
}

static void
one_owner_cannot_fill_the_table(void **state)
{
    struct idempotency *t = idempotency_new();
    struct idempotency_claim claim, mine;
    char key[16];

    (void)state;
    assert_int_equal(begin(t, 9, "mine", 1, 0, &mine), IDEMPOTENCY_FRESH);
    idempotency_finish(t, &mine, 201, span_str("kept"));
    for (int i = 0; i < 3 * IDEMPOTENCY_PER_OWNER; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        assert_int_equal(begin(t, 1, key, 1, (uint64_t)i, &claim), IDEMPOTENCY_FRESH);
        idempotency_finish(t, &claim, 201, span_str("x"));
    }
    assert_int_equal(begin(t, 1, "k0", 1, 1000, &claim), IDEMPOTENCY_FRESH); /* the oldest went */
    assert_int_equal(begin(t, 9, "mine", 1, 1000, &claim), IDEMPOTENCY_REPLAY);
    idempotency_free(t);
}

static void
what_is_under_way_is_never_pushed_out(void **state)
{
    struct idempotency *t = idempotency_new();
    struct idempotency_claim claim;
    char key[16];

    (void)state;
    for (int i = 0; i < IDEMPOTENCY_PER_OWNER; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        assert_int_equal(begin(t, 1, key, 1, 0, &claim), IDEMPOTENCY_FRESH);
    }
    assert_int_equal(begin(t, 1, "more", 1, 0, &claim), IDEMPOTENCY_FULL);
    for (int i = 0; i < IDEMPOTENCY_ENTRIES - IDEMPOTENCY_PER_OWNER; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        assert_int_equal(begin(t, (uint8_t)(2 + i / IDEMPOTENCY_PER_OWNER), key, 1, 0, &claim),
            IDEMPOTENCY_FRESH);
    }
    assert_int_equal(begin(t, 200, "k", 1, 0, &claim), IDEMPOTENCY_FULL);
    idempotency_free(t);
}

static void
keys_are_short_and_visible(void **state)
{
    char key[IDEMPOTENCY_KEY_MAX + 1];

    (void)state;
    memset(key, 'a', sizeof(key));
    assert_true(idempotency_key_valid(span_str("4f3c-1")));
    assert_true(idempotency_key_valid(span_of(key, IDEMPOTENCY_KEY_MAX)));
    assert_false(idempotency_key_valid(span_of(key, IDEMPOTENCY_KEY_MAX + 1)));
    assert_false(idempotency_key_valid(span_str("")));
    assert_false(idempotency_key_valid(span_str("a b")));
    assert_false(idempotency_key_valid(span_str("\xc3\xa4")));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_repetition_is_answered_as_the_first),
        cmocka_unit_test(an_answer_is_forgotten_in_time),
        cmocka_unit_test(another_loops_clock_may_be_behind),
        cmocka_unit_test(what_had_no_effect_may_be_tried_again),
        cmocka_unit_test(one_owner_cannot_fill_the_table),
        cmocka_unit_test(what_is_under_way_is_never_pushed_out),
        cmocka_unit_test(keys_are_short_and_visible),
    };

    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
