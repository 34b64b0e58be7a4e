/* test_filter.c: the filter language: what it means, what it refuses, and that it agrees with a
 * model that is too simple to be wrong. */
#include "tests/unit/testing.h"

#include "core/filter.h"

#include <stdlib.h>
#include <time.h>

#define DAY_US (UINT64_C(86400) * 1000000)

struct machine {
    const char *name, *os;
    const char *tags[3];
    bool online, guest, never;
    uint64_t age_us;
};

static bool
facts(const void *ctx, unsigned field, unsigned index, struct filter_value *out)
{
    const struct machine *m = ctx;

    if (field == FILTER_MACHINE_TAG) {
        if (index >= 3 || m->tags[index] == NULL)
            return false;
        out->word = span_str(m->tags[index]);
        return true;
    }
    if (index > 0)
        return false;
    switch ((enum filter_machine_field)field) {
    case FILTER_MACHINE_NAME: out->word = span_str(m->name); return true;
    case FILTER_MACHINE_OS: out->word = span_str(m->os); return true;
    case FILTER_MACHINE_ONLINE: out->flag = m->online; return true;
    case FILTER_MACHINE_GUEST: out->flag = m->guest; return true;
    case FILTER_MACHINE_SEEN:
        out->never = m->never;
        out->age_us = m->age_us;
        return true;
    default: return false;
    }
}

static const struct machine web = {
    .name = "Web 1", .os = "linux", .tags = {"prod", "eu:west"}, .online = true, .age_us = DAY_US};

static void
terms_mean_what_they_say(void **state)
{
    static const struct {
        const char *filter;
        bool fits;
    } cases[] = {
        {"", true},
        {"   ", true},
        {"name:web*", true},
        {"name:WEB*", true},
        {"name:web", false},
        {"name:*1", true},
        {"name:web?1", true},
        {"name:\"web 1\"", true},
        {"name:\"web*\"", false},
        {"-name:web*", false},
        {"tag:prod", true},
        {"tag:eu:west", true},
        {"tag:eu:*", true},
        {"tag:old", false},
        {"-tag:old", true},
        {"-tag:prod", false},
        {"tag:prod tag:eu:west", true},
        {"tag:prod tag:old", false},
        {"online:true os:linux", true},
        {"online:false", false},
        {"-online:false", true},
        {"guest:false", true},
        {"seen<7d", true},
        {"seen<24h", false}, /* exactly a day is not less than a day */
        {"seen>23h", true},
        {"seen<86401s", true},
        {"seen>1w", false},
        {"-seen>1w", true},
        {"seen<1441m", true},
        {"name:web* tag:prod online:true os:linux seen<7d -tag:old", true},
    };

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct filter f;
        struct filter_error e = {{0}, {0}};

        if (filter_parse(span_str(cases[i].filter), &filter_machines, &f, &e) != OK)
            fail_msg("%s: '%s' %s", cases[i].filter, e.term, e.reason);
        if (filter_match(&f, facts, &web) != cases[i].fits)
            fail_msg("%s: not %d", cases[i].filter, cases[i].fits);
    }
}

static void
bad_terms_are_named(void **state)
{
    static const struct {
        const char *filter, *term, *reason;
    } cases[] = {
        {"web", "web", "is not of the form field:value"},
        {"name:web bogus:1", "bogus:1", "names no field"},
        {"Name:web", "Name:web", "names no field"},
        {":x", ":x", "names no field"},
        {"-", "-", "is not of the form"},
        {"name:", "name:", "has no value"},
        {"name:\"\"", "name:\"\"", "has no value"},
        {"name:\"a b", "name:\"a b", "has a quote that is never closed"},
        {"name:\"a\"b", "name:\"a\"b", "goes on behind its closing quote"},
        {"name:a\"b\"", "name:a\"b\"", "has a quote in the middle"},
        {"name:\"a\\n\"", "name:\"a\\\\n\"", "has a backslash"},
        {"name:\"a\\", "name:\"a\\\\", "has a quote that is never closed"},
        {"online:yes", "online:yes", "needs true or false"},
        {"online<true", "online<true", "needs : instead"},
        {"seen:7d", "seen:7d", "needs < or >"},
        {"seen<7", "seen<7", "needs a span of time"},
        {"seen<d", "seen<d", "needs a span of time"},
        {"seen<-1d", "seen<-1d", "needs a span of time"},
        {"seen<7dd", "seen<7dd", "needs a span of time"},
        {"seen<7y", "seen<7y", "needs a span of time"},
        {"seen<9999999d", "seen<9999999d", "needs a span of time"},
        {"seen<\"7d\"", "seen<\"7d\"", "needs a span of time"},
        {"' OR 1=1", "'", "is not of the form"},
        {"\x1b[2J", "\\x1b[2J", "is not of the form"},
        {"name:\xff", "", "is not valid UTF-8"},
        {"os:a os:a os:a os:a os:a os:a os:a os:a os:a os:a os:a os:a os:a os:a os:a os:a os:b",
            "os:b", "is one term too many"},
    };
    struct filter f;
    struct filter_error e;
    char big[FILTER_BYTES_MAX + 1];

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        if (filter_parse(span_str(cases[i].filter), &filter_machines, &f, &e) == OK)
            fail_msg("taken: %s", cases[i].filter);
        if (strcmp(e.term, cases[i].term) != 0 ||
            strncmp(e.reason, cases[i].reason, strlen(cases[i].reason)) != 0)
            fail_msg("%s: '%s' %s", cases[i].filter, e.term, e.reason);
    }
    memset(big, 'a', sizeof(big));
    memcpy(big, "name:", 5);
    assert_int_equal(filter_parse(span_of(big, sizeof(big)), &filter_machines, &f, &e), ERR_LIMIT);
    assert_int_equal(
        filter_parse(span_of(big, 5 + FILTER_VALUE_BYTES_MAX), &filter_machines, &f, &e), OK);
    assert_int_equal(
        filter_parse(span_of(big, 6 + FILTER_VALUE_BYTES_MAX), &filter_machines, &f, &e),
        ERR_LIMIT);
}

static void
never_seen_fits_no_age(void **state)
{
    struct machine m = {.name = "x", .os = "linux", .never = true};
    struct filter f;
    struct filter_error e;

    (void)state;
    assert_int_equal(filter_parse(span_str("seen<7d"), &filter_machines, &f, &e), OK);
    assert_false(filter_match(&f, facts, &m));
    assert_int_equal(filter_parse(span_str("seen>7d"), &filter_machines, &f, &e), OK);
    assert_false(filter_match(&f, facts, &m));
}

/* The textbook definition, exponential and obviously right. */
static bool
model(const char *p, const char *t)
{
    if (*p == '\0')
        return *t == '\0';
    if (*p == '*')
        return model(p + 1, t) || (*t != '\0' && model(p, t + 1));
    return *t != '\0' && (*p == '?' || *p == *t) && model(p + 1, t + 1);
}

static uint32_t
next(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 16;
}

static void
globs_agree_with_the_model(void **state)
{
    uint32_t seed = 42;
    unsigned hits = 0;

    (void)state;
    for (int round = 0; round < 200000; round++) {
        char p[8], t[10];
        size_t pn = next(&seed) % 7, tn = next(&seed) % 9;

        for (size_t i = 0; i < pn; i++)
            p[i] = "ab*?"[next(&seed) % 4];
        for (size_t i = 0; i < tn; i++)
            t[i] = "ab"[next(&seed) % 2];
        p[pn] = t[tn] = '\0';
        if (filter_glob(span_of(p, pn), span_of(t, tn)) != model(p, t))
            fail_msg("'%s' on '%s' (round %d)", p, t, round);
        hits += model(p, t);
    }
    assert_true(hits > 20000 && hits < 180000);
}

static void
a_question_mark_is_one_character(void **state)
{
    (void)state;
    assert_true(filter_glob(span_str("Z?rich"), span_str("Z\xc3\xbcrich")));
    assert_true(filter_glob(span_str("?"), span_str("\xf0\x9f\x96\xa5")));
    assert_false(filter_glob(span_str("??"), span_str("\xc3\xbc")));
    assert_true(filter_glob(span_str("*\xc3\xbc*"), span_str("Z\xc3\xbcrich")));
}

static void
the_worst_glob_takes_no_time(void **state)
{
    static char text[64 * 1024], pattern[FILTER_VALUE_BYTES_MAX];
    struct timespec a, b;

    (void)state;
    memset(text, 'a', sizeof(text));
    memset(pattern, 'a', sizeof(pattern));
    for (size_t i = 0; i < sizeof(pattern); i += 16)
        pattern[i] = '*';
    pattern[sizeof(pattern) - 1] = 'b';
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
    assert_false(filter_glob(span_of(pattern, sizeof(pattern)), span_of(text, sizeof(text))));
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
#ifndef GATEHOUSE_SANITIZED
    assert_true((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 < 10);
#endif
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(terms_mean_what_they_say),
        cmocka_unit_test(bad_terms_are_named),
        cmocka_unit_test(never_seen_fits_no_age),
        cmocka_unit_test(globs_agree_with_the_model),
        cmocka_unit_test(a_question_mark_is_one_character),
        cmocka_unit_test(the_worst_glob_takes_no_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
