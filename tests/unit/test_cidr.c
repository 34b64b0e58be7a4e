/* test_cidr.c: addresses, ranges, lists: strict in, canonical out. */
#include "tests/unit/testing.h"

#include "core/cidr.h"

#include <stdlib.h>

static struct addr
addr(const char *s)
{
    struct addr a;

    if (addr_parse(span_str(s), &a) != OK)
        fail_msg("%s did not parse", s);
    return a;
}

static void
addresses_have_one_text(void **state)
{
    static const struct {
        const char *in, *out; /* NULL: refused */
    } cases[] = {
        {"192.0.2.1", "192.0.2.1"},
        {"::ffff:192.0.2.1", "192.0.2.1"},
        {"::FFFF:c000:201", "192.0.2.1"},
        {"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
        {"::", "::"},
        {"::1", "::1"},
        {"0.0.0.0", "0.0.0.0"},
        {"", NULL},
        {"1.2.3", NULL},
        {"01.2.3.4", NULL},
        {"1.2.3.4.5", NULL},
        {"256.1.1.1", NULL},
        {" 1.2.3.4", NULL},
        {"1.2.3.4 ", NULL},
        {"0x7f.1.1.1", NULL},
        {"2130706433", NULL},
        {"fe80::1%eth0", NULL},
        {"[::1]", NULL},
        {"1::2::3", NULL},
        {"12345::", NULL},
        {"localhost", NULL},
        {"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        char text[ADDR_TEXT_MAX];
        struct addr a;
        enum err err = addr_parse(span_str(cases[i].in), &a);

        if ((err == OK) != (cases[i].out != NULL))
            fail_msg("%s: %s", cases[i].in, err_name(err));
        if (err != OK)
            continue;
        assert_int_equal(addr_format(&a, text), strlen(cases[i].out));
        assert_string_equal(text, cases[i].out);
    }
    assert_int_equal(addr_parse(span_of("1.2.3.4\0", 8), &(struct addr){{0}}), ERR_MALFORMED);
}

static void
networks_group_as_the_limits_say(void **state)
{
    static const struct {
        const char *in, *net, *wide;
        unsigned net_bits, wide_bits;
    } cases[] = {
        {"192.0.2.77", "192.0.2.77", "192.0.2.0", 128, 120},
        {"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::", "2001:db8:1::", 64, 48},
        {"::ffff:10.1.2.3", "10.1.2.3", "10.1.2.0", 128, 120},
    };

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct addr a = addr(cases[i].in), net, wide, want;

        assert_int_equal(addr_net(&a, &net), cases[i].net_bits);
        assert_int_equal(addr_wide(&a, &wide), cases[i].wide_bits);
        want = addr(cases[i].net);
        assert_true(addr_equal(&net, &want));
        want = addr(cases[i].wide);
        assert_true(addr_equal(&wide, &want));
    }
}

static void
ranges_match_exactly(void **state)
{
    static const struct {
        const char *range, *addr;
        int want; /* -1: the range is refused */
    } cases[] = {
        {"10.0.0.0/8", "10.255.1.2", 1},
        {"10.0.0.0/8", "11.0.0.0", 0},
        {"10.0.0.0/8", "::ffff:10.9.9.9", 1},
        {"10.0.0.128/25", "10.0.0.127", 0},
        {"10.0.0.128/25", "10.0.0.255", 1},
        {"10.0.0.7", "10.0.0.7", 1},
        {"10.0.0.7/32", "10.0.0.6", 0},
        {"0.0.0.0/0", "203.0.113.9", 1},
        {"0.0.0.0/0", "2001:db8::1", 0},
        {"::/0", "2001:db8::1", 1},
        {"2001:db8::/33", "2001:db8:7fff::", 1},
        {"2001:db8::/33", "2001:db8:8000::", 0},
        {"10.0.0.1/8", "10.0.0.1", -1}, /* set bits behind the prefix */
        {"10.0.0.0/33", "10.0.0.0", -1},
        {"10.0.0.0/08", "10.0.0.0", -1},
        {"10.0.0.0/", "10.0.0.0", -1},
        {"10.0.0.0/-1", "10.0.0.0", -1},
        {"10.0.0.0/8/8", "10.0.0.0", -1},
        {"::/129", "::", -1},
        {"/8", "::", -1},
    };

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct addr a = addr(cases[i].addr);
        struct cidr c;
        char text[CIDR_TEXT_MAX];
        int got = cidr_parse(span_str(cases[i].range), &c) != OK ? -1 : cidr_match(&c, &a);

        if (got != cases[i].want)
            fail_msg("%s with %s: %d", cases[i].range, cases[i].addr, got);
        if (got < 0 || strstr(cases[i].range, "/32") != NULL)
            continue;
        assert_int_equal(cidr_format(&c, text), strlen(cases[i].range));
        assert_string_equal(text, cases[i].range);
    }
}

static void
lists_name_what_is_wrong(void **state)
{
    struct cidr_list list;
    struct span bad;
    struct addr a = addr("192.168.7.7"), other = addr("8.8.8.8");
    char many[CIDR_LIST_MAX * 10 + 10];

    (void)state;
    assert_int_equal(cidr_list_parse(span_str("  "), &list, &bad), OK);
    assert_int_equal(list.count, 0);
    assert_int_equal(cidr_list_match(&list, &a), -1);
    assert_int_equal(cidr_list_parse(span_str("10.0.0.0/8 , 192.168.0.0/16"), &list, &bad), OK);
    assert_int_equal(cidr_list_match(&list, &a), 1);
    assert_int_equal(cidr_list_match(&list, &other), -1);
    assert_int_equal(cidr_list_parse(span_str("10.0.0.0/8, nonsense"), &list, &bad), ERR_MALFORMED);
    assert_true(span_is(bad, "nonsense"));
    assert_int_equal(list.count, 0); /* half a list is no list */
    assert_int_equal(cidr_list_parse(span_str("10.0.0.0/8,"), &list, NULL), ERR_MALFORMED);
    many[0] = '\0';
    for (size_t i = 0, n = 0; i <= CIDR_LIST_MAX; i++)
        n += (size_t)snprintf(many + n, sizeof(many) - n, "%s10.0.0.%zu", i > 0 ? "," : "", i);
    assert_int_equal(cidr_list_parse(span_str(many), &list, &bad), ERR_LIMIT);
}

static void
ports_follow_addresses(void **state)
{
    static const struct {
        const char *in;
        int port; /* -1: refused */
    } cases[] = {
        {"127.0.0.1:8443", 8443},
        {"[::1]:443", 443},
        {"0.0.0.0:0", 0},
        {"1.2.3.4:65535", 65535},
        {"1.2.3.4:65536", -1},
        {"1.2.3.4:", -1},
        {"1.2.3.4", -1},
        {"::1:443", -1},
        {":443", -1},
        {"[1.2.3.4]:443", -1},
        {"1.2.3.4:0443", -1},
        {"1.2.3.4:+443", -1},
        {"", -1},
        {"[::1]", -1},
    };

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct addr a;
        uint16_t port;
        int got = addr_port_parse(span_str(cases[i].in), &a, &port) == OK ? port : -1;

        if (got != cases[i].port)
            fail_msg("%s: %d", cases[i].in, got);
    }
}

static void
loopback_is_known(void **state)
{
    struct addr in[] = {
        addr("127.0.0.1"), addr("127.9.9.9"), addr("::1"), addr("::ffff:127.0.0.1")};
    struct addr out[] = {addr("128.0.0.1"), addr("::"), addr("10.0.0.1"), addr("::2")};

    (void)state;
    for (size_t i = 0; i < ROWS(in); i++)
        assert_true(addr_is_loopback(&in[i]) && !addr_is_loopback(&out[i]));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_have_one_text),
        cmocka_unit_test(networks_group_as_the_limits_say),
        cmocka_unit_test(ranges_match_exactly),
        cmocka_unit_test(lists_name_what_is_wrong),
        cmocka_unit_test(ports_follow_addresses),
        cmocka_unit_test(loopback_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
