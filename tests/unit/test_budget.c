/* test_budget.c: what strangers may write, at its edges. */
#include "projections/world.h"
#include "tests/unit/testing.h"

static struct policy policy;

static struct budget_fact
at(const struct budget *b, int64_t eff_us)
{
    struct budget_fact fact;

    budget_fact(b, &policy, eff_us, &fact);
    return fact;
}

static void
a_burst_then_ten_a_second(void **state)
{
    struct budget b = {0};
    int64_t now = 1000 * US_PER_S;

    (void)state;
    policy_default(&policy);
    for (int i = 0; i < 1500; i++) {
        assert_false(at(&b, now).spent);
        budget_take(&b, &policy, now);
    }
    assert_true(at(&b, now).spent); /* the last quarter is for codes */
    assert_int_equal(at(&b, now).frees_us, now + US_PER_S / 10);
    assert_false(at(&b, now + US_PER_S / 10).spent);
    assert_true(at(&b, now + US_PER_S / 10 - 1).spent);
    for (int i = 0; i < 500; i++) {
        assert_false(at(&b, now).spent_for_codes);
        budget_take(&b, &policy, now);
    }
    assert_true(at(&b, now).spent_for_codes);
    assert_int_equal(at(&b, now).codes_free_us, now + US_PER_S / 10);
    assert_false(at(&b, now + US_PER_S / 10).spent_for_codes);
    assert_true(at(&b, now + US_PER_S / 10).spent);
    assert_int_equal(at(&b, now).frees_us, now + 50 * US_PER_S + US_PER_S / 10);
    assert_false(at(&b, now + 300 * US_PER_S).spent);
}

static void
another_policy_owes_no_more_than_its_burst(void **state)
{
    struct budget b = {.paid_us = INT64_C(1) << 50};

    (void)state;
    policy_default(&policy);
    policy.attempts_burst = 4;
    budget_take(&b, &policy, 0);
    assert_int_equal(b.paid_us, 4 * US_PER_S / 10);
}

static void
fold(struct world *w, enum event_type type, enum actor_kind kind, bool device)
{
    struct event ev = {.seq = w->size, .type = type, .v = 1, .eff_us = US_PER_S};
    static const struct id id = {{3}};

    ev.actor.kind = kind;
    if (device)
        fields_add_id(&ev.data, FIELD_DEVICE, &id);
    world_fold(w, &ev);
}

static void
only_what_strangers_write_is_paid_for(void **state)
{
    static const struct {
        enum event_type type;
        enum actor_kind kind;
        bool device;
        int paid;
    } cases[] = {
        {EV_LOGIN_ATTEMPTED, ACTOR_NOBODY, false, 1},
        {EV_LOGIN_ATTEMPTED, ACTOR_NOBODY, true, 0},
        {EV_LOGIN_FAILED, ACTOR_NOBODY, false, 0}, /* its attempt was */
        {EV_REGISTER_ATTEMPTED, ACTOR_NOBODY, false, 1},
        {EV_CODE_VALIDATED, ACTOR_NOBODY, false, 1},
        {EV_CODE_REJECTED, ACTOR_NOBODY, false, 1},
        {EV_TOKEN_REJECTED, ACTOR_NOBODY, false, 1},
        {EV_AGENT_REJECTED, ACTOR_NOBODY, false, 1},
        {EV_SESSION_ATTACH_REFUSED, ACTOR_NOBODY, false, 1},
        {EV_TOKEN_REFRESHED, ACTOR_USER, false, 0},
        {EV_TOKEN_FORGED, ACTOR_NOBODY, false, 0},
        {EV_SESSION_ATTACH_REFUSED, ACTOR_USER, false, 0},
    };

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct world *w = world_new();

        fold(w, cases[i].type, cases[i].kind, cases[i].device);
        assert_int_equal(w->budget.paid_us, cases[i].paid ? US_PER_S + US_PER_S / 10 : 0);
        world_free(w);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_then_ten_a_second),
        cmocka_unit_test(another_policy_owes_no_more_than_its_burst),
        cmocka_unit_test(only_what_strangers_write_is_paid_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
