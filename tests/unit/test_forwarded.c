/* test_forwarded.c: the client's address behind trusted proxies, and never a forged one (B8, B9).
 */
#include "tests/unit/testing.h"

#include "http/forwarded.h"

#include <stdlib.h>

static const struct {
    const char *peer;
    const char *fields[3]; /* X-Forwarded-For lines in order */
    const char *proto;
    bool tls;
    const char *client;
    bool proxied, https, malformed;
} cases[] = {
    /* strangers are not believed */
    {"203.0.113.9", {"1.1.1.1"}, "https", false, "203.0.113.9", false, false, false},
    {"203.0.113.9", {"garbage"}, NULL, true, "203.0.113.9", false, true, false},
    /* one proxy */
    {"10.0.0.1", {"198.51.100.7"}, "https", false, "198.51.100.7", true, true, false},
    {"10.0.0.1", {"198.51.100.7"}, "http", true, "198.51.100.7", true, false, false},
    {"10.0.0.1", {NULL}, NULL, false, "10.0.0.1", false, false, false},
    {"::ffff:10.0.0.1", {"::ffff:198.51.100.7"}, NULL, true, "198.51.100.7", true, true, false},
    /* the left end is the caller's own invention */
    {"10.0.0.1", {"1.1.1.1, 198.51.100.7"}, NULL, false, "198.51.100.7", true, false, false},
    {"10.0.0.1", {"10.0.0.2, 198.51.100.7"}, NULL, false, "198.51.100.7", true, false, false},
    /* a chain of trusted proxies, over several lines */
    {"10.0.0.1", {"1.1.1.1, 198.51.100.7", "10.0.0.3"}, NULL, false, "198.51.100.7", true, false,
        false},
    {"10.0.0.1", {"10.0.0.2", "10.0.0.3"}, NULL, false, "10.0.0.2", true, false, false},
    /* ports and brackets, as some proxies write them */
    {"10.0.0.1", {"198.51.100.7:4711"}, NULL, false, "198.51.100.7", true, false, false},
    {"10.0.0.1", {"[2001:db8::5]:4711"}, NULL, false, "2001:db8::5", true, false, false},
    {"10.0.0.1", {"[2001:db8::5]"}, NULL, false, "2001:db8::5", true, false, false},
    /* unreadable: the last hop that was understood */
    {"10.0.0.1", {"198.51.100.7, unknown"}, NULL, false, "10.0.0.1", false, false, true},
    {"10.0.0.1", {"1.1.1.1, _hidden, 10.0.0.2"}, NULL, false, "10.0.0.2", true, false, true},
    {"10.0.0.1", {""}, NULL, false, "10.0.0.1", false, false, true},
    {"10.0.0.1", {"198.51.100.7,"}, NULL, false, "10.0.0.1", false, false, true},
    /* the last proto is the nearest proxy's */
    {"10.0.0.1", {"198.51.100.7"}, "https, http", false, "198.51.100.7", true, false, false},
    {"10.0.0.1", {"198.51.100.7"}, "HTTPS", false, "198.51.100.7", true, true, false},
    {"10.0.0.1", {"198.51.100.7"}, "httpsx", true, "198.51.100.7", true, false, false},
};

static void
the_client_is_the_rightmost_stranger(void **state)
{
    struct cidr_list trusted;

    (void)state;
    assert_int_equal(cidr_list_parse(span_str("10.0.0.0/24"), &trusted, NULL), OK);
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct span fields[3], proto = {NULL, 0};
        size_t count = 0;
        struct addr peer;
        struct forwarded got;
        char text[ADDR_TEXT_MAX];

        assert_int_equal(addr_parse(span_str(cases[i].peer), &peer), OK);
        while (count < 3 && cases[i].fields[count] != NULL) {
            fields[count] = span_str(cases[i].fields[count]);
            count++;
        }
        if (cases[i].proto != NULL)
            proto = span_str(cases[i].proto);
        forwarded_read(&peer, cases[i].tls, fields, count, proto, &trusted, &got);
        addr_format(&got.client, text);
        if (strcmp(text, cases[i].client) != 0 || got.proxied != cases[i].proxied ||
            got.https != cases[i].https || got.malformed != cases[i].malformed)
            fail_msg("case %zu: %s proxied=%d https=%d malformed=%d", i, text, got.proxied,
                got.https, got.malformed);
    }
}

static void
hops_are_bounded(void **state)
{
    struct cidr_list trusted;
    struct addr peer;
    struct forwarded got;
    char line[16 * 1024] = "198.51.100.7";
    struct span field;

    (void)state;
    for (size_t n = strlen(line); n < sizeof(line) - 20;)
        n += (size_t)snprintf(line + n, sizeof(line) - n, ", 10.0.0.2");
    assert_int_equal(cidr_list_parse(span_str("10.0.0.0/24"), &trusted, NULL), OK);
    assert_int_equal(addr_parse(span_str("10.0.0.1"), &peer), OK);
    field = span_str(line);
    forwarded_read(&peer, false, &field, 1, span_of(NULL, 0), &trusted, &got);
    assert_true(got.malformed);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_client_is_the_rightmost_stranger),
        cmocka_unit_test(hops_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
