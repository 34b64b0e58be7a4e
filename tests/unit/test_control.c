/* test_control.c: every control message goes there and back byte for byte; what is not one is
 * refused with the member's name. */
#include "core/control.h"
#include "core/pack.h"
#include "core/service.h"

#include "tests/unit/testing.h"

#include <sodium.h>

#define S(text)                                                                                    \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }
#define SOME                                                                                       \
    {                                                                                              \
        {                                                                                          \
            1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16                                  \
        }                                                                                          \
    }
#define SOME_HEX "c4100102030405060708090a0b0c0d0e0f10"
#define NONCE                                                                                      \
    {                                                                                              \
        7                                                                                          \
    }
#define NONCE_HEX "c4200700000000000000000000000000000000000000000000000000000000000000"

static const struct message {
    enum control_sender sender;
    struct control control;
    const char *hex;
} messages[] = {
    {CONTROL_BY_SERVER,
        {.kind = CONTROL_CHALLENGE,
            .challenge = {NONCE, S("g.example"), S("g.example/root+00000000+AA"), S(""), 1}},
        "92 01 85 01 " NONCE_HEX " 02a9672e6578616d706c65 "
        "03ba672e6578616d706c652f726f6f742b30303030303030302b4141 04a0 0501"},
    {CONTROL_BY_SERVER,
        {.kind = CONTROL_WELCOME,
            .welcome = {SOME, S("g.example"), true, S("quince lattice"), SOME}},
        "92 02 85 01" SOME_HEX
        "02a9672e6578616d706c65 03c3 04ae7175696e6365206c617474696365 05" SOME_HEX},
    {CONTROL_BY_SERVER,
        {.kind = CONTROL_WELCOME, .welcome = {SOME, S("g.example"), false, S(""), SOME}},
        "92 02 84 01" SOME_HEX "02a9672e6578616d706c65 03c2 05" SOME_HEX},
    {CONTROL_BY_SERVER, {.kind = CONTROL_REFUSED, .refused = {S("code_used"), S("")}},
        "92 03 82 01a9636f64655f75736564 02a0"},
    {CONTROL_BY_SERVER,
        {.kind = CONTROL_OFFER, .offer = {SOME, S("Ada"), S("disk full"), NONCE, true, 120}},
        "92 04 86 01" SOME_HEX "02a3416461 03a96469736b2066756c6c 04" NONCE_HEX "05c3 0678"},
    {CONTROL_BY_SERVER, {.kind = CONTROL_OFFER, .offer = {SOME, S("Ada"), S(""), NONCE, false, 0}},
        "92 04 85 01" SOME_HEX "02a3416461 04" NONCE_HEX "05c2 0600"},
    {CONTROL_BY_SERVER,
        {.kind = CONTROL_OPEN, .open = {SOME, SOME, S("shell"), S("T"), NONCE, 80, 24, S("xterm")}},
        "92 05 88 01" SOME_HEX "02" SOME_HEX "03a57368656c6c 04c40154 05" NONCE_HEX
        "0650 0718 08a5787465726d"},
    {CONTROL_BY_SERVER,
        {.kind = CONTROL_OPEN, .open = {SOME, SOME, S("tcp:ssh"), S("T"), NONCE, 0, 0, S("")}},
        "92 05 85 01" SOME_HEX "02" SOME_HEX "03a77463703a737368 04c40154 05" NONCE_HEX},
    {CONTROL_BY_SERVER, {.kind = CONTROL_END, .end = {SOME, S("ended")}},
        "92 06 82 01" SOME_HEX "02a5656e646564"},
    {CONTROL_BY_SERVER, {.kind = CONTROL_HEAD, .head = {S("g.example\n0\n")}},
        "92 07 81 01ac672e6578616d706c650a300a"},
    {CONTROL_BY_SERVER, {.kind = CONTROL_CLOSE, .close = {SOME, 0, (uint64_t)1 << 40, NONCE}},
        "92 08 84 01" SOME_HEX "0200 03cf0000010000000000 04" NONCE_HEX},
    {CONTROL_BY_AGENT, {.kind = CONTROL_HELLO, .said = {S("\x80"), {7}, {7}, S("\x80")}},
        "92 10 84 01c40180 02c440"
        "07000000000000000000000000000000000000000000000000000000000000000000000000000000"
        "000000000000000000000000000000000000000000000000"
        "03c41007000000000000000000000000000000 04c40180"},
    {CONTROL_BY_AGENT,
        {.kind = CONTROL_CHANNEL_REFUSED, .channel_refused = {SOME, S("service_off"), S("no")}},
        "92 12 83 01" SOME_HEX "02ab736572766963655f6f6666 03a26e6f"},
    {CONTROL_BY_AGENT, {.kind = CONTROL_CLOSED, .closed = {S("\x80"), {7}}},
        "92 13 82 01c40180 02c440"
        "07000000000000000000000000000000000000000000000000000000000000000000000000000000"
        "000000000000000000000000000000000000000000000000"},
    {CONTROL_BY_AGENT, {.kind = CONTROL_BYE, .bye = {S("stopped")}}, "92 14 81 01a773746f70706564"},
};

static size_t
unhex(const char *hex, uint8_t *out, size_t cap)
{
    size_t n;

    assert_int_equal(sodium_hex2bin(out, cap, hex, strlen(hex), " ", &n, NULL), 0);
    return n;
}

static void
messages_go_there_and_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(messages); i++) {
        const struct message *m = &messages[i];
        uint8_t want[512], got[512];
        size_t want_len = unhex(m->hex, want, sizeof(want)), len;
        struct control back;
        char why[CONTROL_WHY_MAX] = "";

        assert_int_equal(control_encode(&m->control, got, sizeof(got), &len), OK);
        if (len != want_len || memcmp(got, want, len) != 0)
            fail_msg("message %zu (%s) encodes otherwise", i, control_name(m->control.kind));
        if (control_decode(m->sender, span_of(want, want_len), &back, why) != OK)
            fail_msg("message %zu: %s", i, why);
        assert_int_equal(control_encode(&back, got, sizeof(got), &len), OK);
        assert_int_equal(len, want_len);
        assert_memory_equal(got, want, len);
        /* Never taken from the wrong side, cut, or with something behind it. */
        assert_int_not_equal(
            control_decode(1 - m->sender, span_of(want, want_len), &back, why), OK);
        for (size_t cut = 0; cut < want_len; cut++)
            assert_int_not_equal(control_decode(m->sender, span_of(want, cut), &back, why), OK);
        want[want_len] = 0xc0;
        assert_int_not_equal(
            control_decode(m->sender, span_of(want, want_len + 1), &back, why), OK);
        assert_int_equal(control_encode(&m->control, got, want_len - 1, &len), ERR_LIMIT);
    }
}

static const struct bad {
    const char *hex;
    const char *why;
} bads[] = {
    {"", "not one canonical msgpack value"},
    {"dd10000000", "not one canonical msgpack value"},
    {"80", "not an array of kind and map"},
    {"91 80", "not an array of kind and map"},
    {"93 01 80 80", "not an array of kind and map"},
    {"92 a131 80", "not an array of kind and map"},
    {"92 ff 80", "not a kind of message that this side takes"},
    {"92 09 80", "not a kind of message that this side takes"},
    {"92 10 80", "not a kind of message that this side takes"},
    {"92 cf0000000100000001 80", "not a kind of message that this side takes"},
    {"92 06 90", "end: the message is not a map"},
    {"92 06 80", "end: member 1 (session) is missing"},
    {"92 06 81 01" SOME_HEX, "end: member 2 (why) is missing"},
    {"92 06 82 01" SOME_HEX "0201", "end: member 2 (why) has another type or size"},
    {"92 06 82 01c403010203 02a0", "end: member 1 (session) has another type or size"},
    {"92 06 82 01c41000000000000000000000000000000000 02a0", "end: member 1 (session) is all zero"},
    {"92 06 83 01" SOME_HEX "02a0 0301", "end: member 3 is not known here"},
    {"92 06 83 00a0 01" SOME_HEX "02a0", "end: member 1 (session) is missing"},
    {"92 02 84 01" SOME_HEX "02a9672e6578616d706c65 0301 05" SOME_HEX,
        "welcome: member 3 (guest) has another type or size"},
    {"92 02 84 01" SOME_HEX "02a3670a78 03c3 05" SOME_HEX,
        "welcome: member 2 (origin) has a character that is not printable ASCII"},
    {"92 02 85 01" SOME_HEX "02a9672e6578616d706c65 03c3 04a0 05" SOME_HEX,
        "welcome: member 4 (words) is there, but empty"},
    {"92 05 85 01" SOME_HEX "02" SOME_HEX "03a3667470 04c40154 05" NONCE_HEX,
        "open: member 3 (service) is not a service"},
    {"92 05 87 01" SOME_HEX "02" SOME_HEX "03a57368656c6c 04c40154 05" NONCE_HEX "06cd1001 0718",
        "open: member 6 (cols) is too large"},
    {"92 04 85 01" SOME_HEX "02a0 04" NONCE_HEX "05c2 0600",
        "offer: member 2 (technician) is too short"},
};

static void
what_is_no_message_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(bads); i++) {
        uint8_t bytes[512];
        size_t len = unhex(bads[i].hex, bytes, sizeof(bytes));
        struct control out;
        char why[CONTROL_WHY_MAX] = "";

        assert_int_not_equal(control_decode(CONTROL_BY_SERVER, span_of(bytes, len), &out, why), OK);
        assert_string_equal(why, bads[i].why);
    }
}

static void
too_long_is_refused_before_it_is_read(void **state)
{
    static uint8_t big[CONTROL_BYTES_MAX + 1];
    struct control out;

    (void)state;
    assert_int_equal(
        control_decode(CONTROL_BY_AGENT, span_of(big, sizeof(big)), &out, NULL), ERR_LIMIT);
}

static void
personal_maps_go_there_and_back(void **state)
{
    struct personal_hello hello = {S("web1"), S("host.example"), S("root")}, hello_back;
    struct personal_consent consent = {S("Ada"), S("")}, consent_back;
    uint8_t out[256], want[256];
    size_t len;

    (void)state;
    assert_int_equal(personal_hello_encode(&hello, out, sizeof(out), &len), OK);
    assert_int_equal(
        unhex("8301a47765623102ac686f73742e6578616d706c6503a4726f6f74", want, sizeof(want)), len);
    assert_memory_equal(out, want, len);
    assert_int_equal(personal_hello_decode(span_of(out, len), &hello_back), OK);
    assert_true(span_is(hello_back.os_user, "root"));
    assert_int_not_equal(personal_hello_decode(span_of(out, len - 1), &hello_back), OK);
    assert_int_equal(personal_consent_encode(&consent, out, sizeof(out), &len), OK);
    assert_int_equal(personal_consent_decode(span_of(out, len), &consent_back), OK);
    assert_true(span_is(consent_back.technician, "Ada") && consent_back.reason.len == 0);
    assert_int_not_equal(personal_hello_decode(span_of(out, len), &hello_back), OK);
    hello.os_user = span_of("", 0);
    assert_int_equal(personal_hello_encode(&hello, out, sizeof(out), &len), ERR_MALFORMED);
}

static const struct named {
    const char *text;
    enum err want;
    enum service_kind kind;
} services[] = {
    {"shell", OK, SERVICE_SHELL},
    {"desktop", OK, SERVICE_DESKTOP},
    {"tcp:ssh", OK, SERVICE_TCP},
    {"tcp:my-db_1.x", OK, SERVICE_TCP},
    {"", ERR_MALFORMED, 0},
    {"Shell", ERR_MALFORMED, 0},
    {"shell ", ERR_MALFORMED, 0},
    {"tcp", ERR_MALFORMED, 0},
    {"tcp:", ERR_MALFORMED, 0},
    {"tcp:a/b", ERR_MALFORMED, 0},
    {"tcp:a b", ERR_MALFORMED, 0},
    {"tcp:012345678901234567890123456789012", ERR_MALFORMED, 0},
    {"udp:x", ERR_MALFORMED, 0},
};

static void
services_are_known_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(services); i++) {
        struct service s;

        assert_int_equal(service_parse(span_str(services[i].text), &s), services[i].want);
        if (services[i].want == OK)
            assert_int_equal(s.kind, services[i].kind);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_go_there_and_back),
        cmocka_unit_test(what_is_no_message_is_named),
        cmocka_unit_test(too_long_is_refused_before_it_is_read),
        cmocka_unit_test(personal_maps_go_there_and_back),
        cmocka_unit_test(services_are_known_by_name),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
