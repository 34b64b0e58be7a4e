/* test_world_limits.c: exact windows, against a model that keeps every slot; bounded tables. */
#include "tests/unit/story.h"

#include "projections/idmap.h"
#include "projections/timers.h"

/* A small generator: a failure prints its seed. */
static uint64_t
draw(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));

    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static struct policy
policy_of(enum rule rule, uint32_t count, uint32_t window_s)
{
    struct policy p;

    memset(&p, 0, sizeof(p));
    p.rules[rule] = (struct rule_limit){count, window_s};
    return p;
}

static struct limit_fact
ask(const struct limits *l, enum rule rule, uint64_t key, int64_t now)
{
    struct tag tag = tag_n(key);
    struct limit_fact fact;

    limits_fact(l, rule, &tag, now, &fact);
    return fact;
}

static void
take(struct limits *l, enum rule rule, uint64_t key, int64_t now)
{
    struct tag tag = tag_n(key);

    limits_take(l, rule, &tag, now);
}

static void
the_fifth_passes_and_the_sixth_waits_for_the_first_to_leave(void **state)
{
    struct policy p = policy_of(RULE_LOGIN_NET, 5, 60);
    struct limits l;
    struct limit_fact f;

    (void)state;
    limits_init(&l, &p);
    for (int i = 0; i < 5; i++) {
        f = ask(&l, RULE_LOGIN_NET, 1, T0 + i * S);
        assert_int_equal(f.count, i);
        assert_int_equal(f.frees_us, 0);
        take(&l, RULE_LOGIN_NET, 1, T0 + i * S);
    }
    f = ask(&l, RULE_LOGIN_NET, 1, T0 + 60 * S - 1);
    assert_int_equal(f.count, 5);
    assert_int_equal(f.limit, 5);
    assert_int_equal(f.window_s, 60);
    assert_int_equal(f.frees_us, T0 + 60 * S);
    f = ask(&l, RULE_LOGIN_NET, 1, T0 + 60 * S); /* exactly at the window's end */
    assert_int_equal(f.count, 4);
    assert_int_equal(f.frees_us, 0);
    assert_int_equal(ask(&l, RULE_LOGIN_NET, 2, T0).count, 0); /* another key */
    take(&l, RULE_LOGIN_NET, 1, T0 + 60 * S);
    f = ask(&l, RULE_LOGIN_NET, 1, T0 + 60 * S);
    assert_int_equal(f.count, 5);
    assert_int_equal(f.frees_us, T0 + 61 * S);
    limits_fini(&l);
}

static void
a_slot_given_back_is_free_at_once(void **state)
{
    struct policy p = policy_of(RULE_LOGIN_ACCOUNT, 3, 900);
    struct tag key = tag_n(9);
    struct limits l;

    (void)state;
    limits_init(&l, &p);
    for (int i = 0; i < 3; i++)
        take(&l, RULE_LOGIN_ACCOUNT, 9, T0 + i);
    limits_give_back(&l, RULE_LOGIN_ACCOUNT, &key, T0 + 7); /* none was taken then */
    assert_int_equal(ask(&l, RULE_LOGIN_ACCOUNT, 9, T0 + 3).count, 3);
    limits_give_back(&l, RULE_LOGIN_ACCOUNT, &key, T0 + 1);
    assert_int_equal(ask(&l, RULE_LOGIN_ACCOUNT, 9, T0 + 3).count, 2);
    limits_give_back(&l, RULE_LOGIN_ACCOUNT, &key, T0 + 1);
    assert_int_equal(ask(&l, RULE_LOGIN_ACCOUNT, 9, T0 + 3).count, 2);
    take(&l, RULE_LOGIN_ACCOUNT, 9, T0 + 4);
    assert_int_equal(ask(&l, RULE_LOGIN_ACCOUNT, 9, T0 + 4).frees_us, T0 + 900 * S);
    assert_int_equal(ask(&l, RULE_LOGIN_ACCOUNT, 9, T0 + 900 * S + 1).count, 2);
    assert_int_equal(ask(&l, RULE_LOGIN_ACCOUNT, 9, T0 + 900 * S + 2).count, 1);
    limits_fini(&l);
}

static void
keys_are_given_up_in_the_order_of_their_last_use(void **state)
{
    struct policy p = policy_of(RULE_CODE_NET, 4, 60);
    struct limits l;

    (void)state;
    limits_init(&l, &p);
    take(&l, RULE_CODE_NET, 1, T0);
    take(&l, RULE_CODE_NET, 2, T0 + 10 * S);
    take(&l, RULE_CODE_NET, 1, T0 + 50 * S);
    take(&l, RULE_CODE_NET, 3, T0 + 75 * S); /* the second is free again, the first is not */
    assert_int_equal(l.windows[RULE_CODE_NET].keys.count, 2);
    assert_int_equal(ask(&l, RULE_CODE_NET, 1, T0 + 75 * S).count, 1);
    limits_fini(&l);
}

#define MODEL_KEYS  7
#define MODEL_SLOTS 4096

struct model {
    int64_t at[MODEL_KEYS][MODEL_SLOTS];
    bool back[MODEL_KEYS][MODEL_SLOTS];
    uint32_t count[MODEL_KEYS];
};

static uint32_t
model_held(const struct model *m, uint32_t key, int64_t now, uint32_t window_s)
{
    uint32_t held = 0;

    for (uint32_t i = 0; i < m->count[key]; i++)
        held += !m->back[key][i] && now < m->at[key][i] + (int64_t)window_s * S;
    return held;
}

/* When the model would drop below the limit: the smallest time at which it does. */
static int64_t
model_frees(const struct model *m, uint32_t key, int64_t now, uint32_t window_s, uint32_t limit)
{
    if (model_held(m, key, now, window_s) < limit)
        return 0;
    for (uint32_t i = 0; i < m->count[key]; i++) {
        int64_t end = m->at[key][i] + (int64_t)window_s * S;

        if (end > now && model_held(m, key, end, window_s) < limit)
            return end;
    }
    return -1;
}

static void
run_against_model(uint64_t seed)
{
    uint64_t rng = seed;
    uint32_t limit = 1 + (uint32_t)(draw(&rng) % 12), window_s = 1 + (uint32_t)(draw(&rng) % 100);
    struct policy p = policy_of(RULE_LOGIN_ACCOUNT, limit, window_s);
    struct model *m = calloc(1, sizeof(*m));
    int64_t now = T0;
    struct limits l;

    assert_non_null(m);
    limits_init(&l, &p);
    for (int step = 0; step < 3000; step++) {
        uint32_t k = (uint32_t)(draw(&rng) % MODEL_KEYS);
        struct limit_fact f;
        uint32_t held;

        if (draw(&rng) % 3 != 0) /* often no time passes at all */
            now += (int64_t)(draw(&rng) % (uint64_t)(2 * (int64_t)window_s * S / limit));
        held = model_held(m, k, now, window_s);
        f = ask(&l, RULE_LOGIN_ACCOUNT, 1 + k, now);
        if (f.count != held || f.frees_us != model_frees(m, k, now, window_s, limit))
            fail_msg("seed %llu step %d: %u held, the model says %u", (unsigned long long)seed,
                step, f.count, held);
        if (held < limit) {
            take(&l, RULE_LOGIN_ACCOUNT, 1 + k, now);
            m->at[k][m->count[k]++] = now;
        }
        if (m->count[k] > 0 && draw(&rng) % 4 == 0) {
            uint32_t i = m->count[k] - 1;
            struct tag tag = tag_n(1 + k);

            if (!m->back[k][i])
                limits_give_back(&l, RULE_LOGIN_ACCOUNT, &tag, m->at[k][i]);
            m->back[k][i] = true;
        }
    }
    limits_fini(&l);
    free(m);
}

static void
windows_equal_a_model_that_keeps_everything(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++)
        run_against_model(seed);
}

static void
another_policy_keeps_what_is_held_and_revives_nothing(void **state)
{
    struct policy p = policy_of(RULE_CODE_NET, 4, 60);
    struct limits l;

    (void)state;
    limits_init(&l, &p);
    for (int i = 0; i < 4; i++)
        take(&l, RULE_CODE_NET, 1, T0 + i * 20 * S);
    take(&l, RULE_CODE_NET, 2, T0);
    /* At T0 + 70 s the first is out. A longer window does not bring it back. */
    p = policy_of(RULE_CODE_NET, 8, 600);
    limits_adopt(&l, &p, T0 + 70 * S);
    assert_int_equal(ask(&l, RULE_CODE_NET, 1, T0 + 70 * S).count, 3);
    assert_int_equal(ask(&l, RULE_CODE_NET, 2, T0 + 70 * S).count, 0);
    for (int i = 0; i < 5; i++)
        take(&l, RULE_CODE_NET, 1, T0 + (70 + i) * S);
    assert_int_equal(ask(&l, RULE_CODE_NET, 1, T0 + 80 * S).count, 8);
    /* A smaller count keeps the newest. */
    p = policy_of(RULE_CODE_NET, 2, 600);
    limits_adopt(&l, &p, T0 + 80 * S);
    assert_int_equal(ask(&l, RULE_CODE_NET, 1, T0 + 80 * S).count, 2);
    assert_int_equal(ask(&l, RULE_CODE_NET, 1, T0 + 80 * S).frees_us, T0 + 673 * S);
    /* A rule that is off counts nothing. */
    p = policy_of(RULE_CODE_NET, 0, 600);
    limits_adopt(&l, &p, T0 + 80 * S);
    take(&l, RULE_CODE_NET, 1, T0 + 81 * S);
    assert_int_equal(ask(&l, RULE_CODE_NET, 1, T0 + 81 * S).count, 0);
    limits_fini(&l);
}

/* B9, B63: a million keys; memory stays what it is; who was known stays known (and blocked). */
static void
a_million_keys_share_one_bucket_when_the_table_is_full(void **state)
{
    struct policy p = policy_of(RULE_AGENT_REFUSED_NET, 3, 60);
    const struct window *w;
    struct limits l;

    (void)state;
    limits_init(&l, &p);
    w = &l.windows[RULE_AGENT_REFUSED_NET];
    for (int i = 0; i < 3; i++)
        take(&l, RULE_AGENT_REFUSED_NET, 1, T0);
    for (uint64_t k = 2; k <= 1000000; k++)
        take(&l, RULE_AGENT_REFUSED_NET, k, T0 + 10 * S);
    assert_int_equal(w->keys.count, LIMITS_KEYS_MAX);
    assert_true(w->keys.cap <= 2 * LIMITS_KEYS_MAX);
    assert_int_equal(w->shared_events, 1000000 - LIMITS_KEYS_MAX);
    assert_int_equal(w->shared.cap, 3);
    assert_int_equal(ask(&l, RULE_AGENT_REFUSED_NET, 1, T0 + 10 * S).count, 3);
    assert_int_equal(ask(&l, RULE_AGENT_REFUSED_NET, 2, T0 + 10 * S).count, 1);
    assert_int_equal(ask(&l, RULE_AGENT_REFUSED_NET, 2000000, T0 + 10 * S).count, 3);
    /* The first key leaves: there is room for one, which may have shared, and so is held to that.
     */
    take(&l, RULE_AGENT_REFUSED_NET, 2000000, T0 + 60 * S);
    assert_int_equal(w->keys.count, LIMITS_KEYS_MAX);
    assert_int_equal(ask(&l, RULE_AGENT_REFUSED_NET, 2000000, T0 + 60 * S).count, 3);
    assert_int_equal(ask(&l, RULE_AGENT_REFUSED_NET, 2000000, T0 + 70 * S).count, 1);
    assert_int_equal(ask(&l, RULE_AGENT_REFUSED_NET, 3000000, T0 + 70 * S).count, 0);
    /* All have left; the dead give way as new ones come. */
    for (uint64_t k = 1; k <= 20000; k++)
        take(&l, RULE_AGENT_REFUSED_NET, 5000000 + k, T0 + 200 * S);
    assert_int_equal(w->keys.count, 20000);
    limits_fini(&l);
}

static void
each_rule_counts_by_its_own_key(void **state)
{
    struct tags tags = {tag_n(1), tag_n(2), tag_n(3), tag_n(4)}, none = {0};
    struct id user = id_n(5), nobody = {{0}};
    struct tag key;

    (void)state;
    for (enum rule r = RULE_LOGIN_NET; r < RULE_COUNT; r++) {
        const char *name = rule_name(r);
        uint64_t expected = strstr(name, "_net") != NULL       ? 2
                            : strstr(name, "_wide") != NULL    ? 3
                            : strstr(name, "_account") != NULL ? 4
                            : strstr(name, "_user") != NULL    ? 5
                            : strstr(name, "_device") != NULL  ? 5
                                                               : 0;
        struct tag want = tag_n(expected);

        assert_true(limits_key(r, &tags, &user, &key));
        if (!tag_equal(&key, &want))
            fail_msg("%s counts by another key", name);
        assert_int_equal(limits_key(r, &none, &nobody, &key), expected == 0);
    }
}

/* --- what the windows stand on --- */

#define MAP_KEYS 3000

static void
maps_equal_a_plain_array(void **state)
{
    static int values[MAP_KEYS];
    static bool in[MAP_KEYS];
    uint64_t rng = 42;
    struct idmap t;
    uint32_t count = 0;

    (void)state;
    idmap_init(&t);
    for (int step = 0; step < 200000; step++) {
        uint32_t k = (uint32_t)(draw(&rng) % MAP_KEYS), at = 0, seen = 0;
        struct id id = id_n(1 + k);
        bool add = draw(&rng) % (step / 50000 % 2 == 0 ? 4 : 2) != 0; /* grows, then shrinks */

        if (add)
            assert_ptr_equal(idmap_put(&t, id.b, &values[k]), in[k] ? &values[k] : NULL);
        else
            assert_ptr_equal(idmap_drop(&t, id.b), in[k] ? &values[k] : NULL);
        count += (uint32_t)add - (uint32_t)in[k];
        in[k] = add;
        assert_int_equal(t.count, count);
        assert_ptr_equal(idmap_find(&t, id.b), add ? &values[k] : NULL);
        if (step % 5000 != 0)
            continue;
        for (uint32_t i = 0; i < MAP_KEYS; i++) {
            id = id_n(1 + i);
            assert_ptr_equal(idmap_find(&t, id.b), in[i] ? &values[i] : NULL);
        }
        while (idmap_next(&t, &at) != NULL)
            seen++;
        assert_int_equal(seen, count);
    }
    idmap_fini(&t);
}

#define TIMERS 500

static int
by_time(const void *a, const void *b)
{
    const struct deadline *x = *(struct deadline *const *)a, *y = *(struct deadline *const *)b;

    if (x->at_us != y->at_us)
        return x->at_us < y->at_us ? -1 : 1;
    return memcmp(x->id.b, y->id.b, ID_BYTES);
}

static void
timers_equal_a_sorted_list(void **state)
{
    static struct deadline all[TIMERS];
    uint64_t rng = 7;
    struct timers ts;

    (void)state;
    timers_init(&ts);
    for (uint32_t i = 0; i < TIMERS; i++)
        all[i] = (struct deadline){.kind = 1, .id = id_n(1 + i)};
    for (int step = 0; step < 20000; step++) {
        struct deadline *t = &all[draw(&rng) % TIMERS], *sorted[TIMERS], *list[TIMERS_LIST_MAX];
        uint32_t n = 0, due = 0, max = (uint32_t)(draw(&rng) % (TIMERS_LIST_MAX + 1)), got;
        int64_t now = (int64_t)(draw(&rng) % 100);
        bool more;

        if (draw(&rng) % 3 == 0)
            timers_off(&ts, t);
        else
            timers_set(&ts, t, (int64_t)(draw(&rng) % 100)); /* many at one time */
        for (uint32_t i = 0; i < TIMERS; i++)
            if (all[i].pos != 0)
                sorted[n++] = &all[i];
        qsort(sorted, n, sizeof(void *), by_time);
        assert_ptr_equal(timers_first(&ts), n == 0 ? NULL : sorted[0]);
        while (due < n && sorted[due]->at_us <= now)
            due++;
        got = timers_list(&ts, now, max, list, &more);
        assert_int_equal(got, due < max ? due : max);
        assert_int_equal(more, due > max);
        for (uint32_t i = 0; i < got; i++)
            assert_ptr_equal(list[i], sorted[i]);
    }
    timers_fini(&ts);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fifth_passes_and_the_sixth_waits_for_the_first_to_leave),
        cmocka_unit_test(a_slot_given_back_is_free_at_once),
        cmocka_unit_test(keys_are_given_up_in_the_order_of_their_last_use),
        cmocka_unit_test(windows_equal_a_model_that_keeps_everything),
        cmocka_unit_test(another_policy_keeps_what_is_held_and_revives_nothing),
        cmocka_unit_test(a_million_keys_share_one_bucket_when_the_table_is_full),
        cmocka_unit_test(each_rule_counts_by_its_own_key),
        cmocka_unit_test(maps_equal_a_plain_array),
        cmocka_unit_test(timers_equal_a_sorted_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
