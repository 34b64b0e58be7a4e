/* test_wsframe.c: frame headers, masking, close payloads and UTF-8, case by case. */
#include "http/wsframe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct parse_case {
    const char *name;
    uint8_t bytes[14];
    size_t len;
    enum err err;
    uint64_t payload_len;
    uint8_t header_len;
};

static const struct parse_case parse_cases[] = {
    {"nothing", {0}, 0, ERR_SHORT, 0, 0},
    {"first byte only", {0x82}, 1, ERR_SHORT, 0, 0},
    {"empty unmasked binary", {0x82, 0x00}, 2, OK, 0, 2},
    {"125 bytes", {0x82, 125}, 2, OK, 125, 2},
    {"126 in two bytes", {0x82, 126, 0, 126}, 4, OK, 126, 4},
    {"65535", {0x82, 126, 0xff, 0xff}, 4, OK, 65535, 4},
    {"65536", {0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0}, 10, OK, 65536, 10},
    {"2^63-1", {0x82, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 10, OK, INT64_MAX, 10},
    {"2^63", {0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0}, 10, ERR_MALFORMED, 0, 0},
    {"125 in two bytes", {0x82, 126, 0, 125}, 4, ERR_MALFORMED, 0, 0},
    {"0 in two bytes", {0x82, 126, 0, 0}, 4, ERR_MALFORMED, 0, 0},
    {"65535 in eight bytes", {0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 10, ERR_MALFORMED, 0, 0},
    {"masked 5", {0x81, 0x85, 1, 2, 3, 4}, 6, OK, 5, 6},
    {"masked, mask cut", {0x81, 0x85, 1, 2, 3}, 5, ERR_SHORT, 0, 0},
    {"masked 126", {0x82, 0xfe, 0, 126, 1, 2, 3, 4}, 8, OK, 126, 8},
    {"masked 126, length cut", {0x82, 0xfe, 0}, 3, ERR_SHORT, 0, 0},
    {"masked 65536", {0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 9, 9, 9, 9}, 14, OK, 65536, 14},
    {"masked 65536, one short", {0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 9, 9, 9}, 13, ERR_SHORT, 0, 0},
    {"RSV1", {0xc2, 0x00}, 2, ERR_MALFORMED, 0, 0},
    {"RSV2", {0xa2, 0x00}, 2, ERR_MALFORMED, 0, 0},
    {"RSV3", {0x92, 0x00}, 2, ERR_MALFORMED, 0, 0},
    {"RSV1, first byte only", {0xc2}, 1, ERR_MALFORMED, 0, 0},
    {"opcode 3", {0x83, 0x00}, 2, ERR_MALFORMED, 0, 0},
    {"opcode 4", {0x84, 0x00}, 2, ERR_MALFORMED, 0, 0},
    {"opcode 5", {0x85, 0x00}, 2, ERR_MALFORMED, 0, 0},
    {"opcode 6", {0x86, 0x00}, 2, ERR_MALFORMED, 0, 0},
    {"opcode 7", {0x87, 0x00}, 2, ERR_MALFORMED, 0, 0},
    {"opcode 11", {0x8b, 0x00}, 2, ERR_MALFORMED, 0, 0},
    {"opcode 15", {0x8f, 0x00}, 2, ERR_MALFORMED, 0, 0},
    {"continuation, last", {0x80, 0x00}, 2, OK, 0, 2},
    {"continuation, more", {0x00, 0x00}, 2, OK, 0, 2},
    {"close", {0x88, 0x02}, 2, OK, 2, 2},
    {"close in parts", {0x08, 0x02}, 2, ERR_MALFORMED, 0, 0},
    {"ping 125", {0x89, 125}, 2, OK, 125, 2},
    {"ping 126", {0x89, 126, 0, 126}, 4, ERR_MALFORMED, 0, 0},
    {"ping 126, length cut", {0x89, 126}, 2, ERR_MALFORMED, 0, 0},
    {"ping in parts", {0x09, 0x00}, 2, ERR_MALFORMED, 0, 0},
    {"pong", {0x8a, 0x00}, 2, OK, 0, 2},
    {"pong of 64-bit length", {0x8a, 127}, 2, ERR_MALFORMED, 0, 0},
};

static void
parses_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(parse_cases) / sizeof(parse_cases[0]); i++) {
        const struct parse_case *c = &parse_cases[i];
        struct wsframe frame = {0};
        enum err err = wsframe_parse(span_of(c->bytes, c->len), &frame);

        if (err != c->err)
            fail_msg("%s: %s", c->name, err_name(err));
        if (err != OK)
            continue;
        assert_int_equal(frame.payload_len, c->payload_len);
        assert_int_equal(frame.header_len, c->header_len);
    }
}

/* Every byte that is cut off a valid header makes it short, never malformed and never valid. */
static void
a_cut_header_is_short(void **state)
{
    static const uint64_t lengths[] = {0, 125, 126, 65535, 65536, INT64_MAX};
    static const uint8_t mask[4] = {1, 2, 3, 4};
    uint8_t out[WSFRAME_HEADER_MAX];
    struct wsframe frame;

    (void)state;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        for (int masked = 0; masked < 2; masked++) {
            size_t len = wsframe_write(out, true, WSFRAME_BINARY, lengths[i], masked ? mask : NULL);

            assert_int_equal(len, wsframe_header_len(lengths[i], masked));
            for (size_t cut = 0; cut < len; cut++)
                assert_int_equal(wsframe_parse(span_of(out, cut), &frame), ERR_SHORT);
            assert_int_equal(wsframe_parse(span_of(out, len), &frame), OK);
            assert_int_equal(frame.payload_len, lengths[i]);
            assert_int_equal(frame.header_len, len);
            assert_int_equal(frame.masked, masked);
            assert_true(frame.fin);
        }
    }
}

static void
masks_at_every_alignment_and_overlap(void **state)
{
    static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    uint8_t plain[400], work[460];

    (void)state;
    for (size_t i = 0; i < sizeof(plain); i++)
        plain[i] = (uint8_t)(i * 7 + 3);
    for (size_t len = 0; len <= 300; len += len < 140 ? 1 : 37) {
        for (size_t gap = 0; gap <= 20; gap++) {
            for (uint64_t offset = 0; offset < 4; offset++) {
                memcpy(work + gap, plain, len);
                wsframe_mask(work, work + gap, len, mask, offset);
                for (size_t i = 0; i < len; i++)
                    assert_int_equal(work[i], plain[i] ^ mask[(offset + i) & 3]);
            }
        }
    }
}

struct close_case {
    const char *name;
    const char *payload;
    size_t len;
    enum err err;
    uint16_t code;
};

static const struct close_case close_cases[] = {
    {"empty", "", 0, OK, 1005},
    {"one byte", "\x03", 1, ERR_MALFORMED, 0},
    {"1000", "\x03\xe8", 2, OK, 1000},
    {"1000 and a reason",
        "\x03\xe8"
        "bye",
        5, OK, 1000},
    {"999", "\x03\xe7", 2, ERR_MALFORMED, 0},
    {"0", "\0\0", 2, ERR_MALFORMED, 0},
    {"1003", "\x03\xeb", 2, OK, 1003},
    {"1004", "\x03\xec", 2, ERR_MALFORMED, 0},
    {"1005", "\x03\xed", 2, ERR_MALFORMED, 0},
    {"1006", "\x03\xee", 2, ERR_MALFORMED, 0},
    {"1007", "\x03\xef", 2, OK, 1007},
    {"1011", "\x03\xf3", 2, OK, 1011},
    {"1014", "\x03\xf6", 2, OK, 1014},
    {"1015", "\x03\xf7", 2, ERR_MALFORMED, 0},
    {"1016", "\x03\xf8", 2, ERR_MALFORMED, 0},
    {"2000", "\x07\xd0", 2, ERR_MALFORMED, 0},
    {"2999", "\x0b\xb7", 2, ERR_MALFORMED, 0},
    {"3000", "\x0b\xb8", 2, OK, 3000},
    {"4999", "\x13\x87", 2, OK, 4999},
    {"5000", "\x13\x88", 2, ERR_MALFORMED, 0},
    {"reason not UTF-8", "\x03\xe8\xff", 3, ERR_MISMATCH, 0},
    {"reason cut inside a character", "\x03\xe8\xe2\x82", 4, ERR_MISMATCH, 0},
};

static void
checks_close_payloads(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(close_cases) / sizeof(close_cases[0]); i++) {
        const struct close_case *c = &close_cases[i];
        struct span reason;
        uint16_t code;
        enum err err = wsframe_close_parse(span_of(c->payload, c->len), &code, &reason);

        if (err != c->err)
            fail_msg("%s: %s", c->name, err_name(err));
        if (err == OK)
            assert_int_equal(code, c->code);
    }
}

struct utf8_case {
    const char *bytes;
    bool valid;
};

static const struct utf8_case utf8_cases[] = {
    {"", true},
    {"plain words, long enough for the fast run", true},
    {"k\xc3\xb6ln", true},
    {"\xe2\x82\xac", true},
    {"\xf0\x9f\x98\x80", true},
    {"\xef\xbf\xbf", true},
    {"\xf4\x8f\xbf\xbf", true},
    {"\xed\x9f\xbf", true},
    {"\xee\x80\x80", true},
    {"\xf4\x90\x80\x80", false}, /* above U+10FFFF */
    {"\xed\xa0\x80", false},     /* surrogate */
    {"\xed\xbf\xbf", false},
    {"\xc0\xaf", false}, /* overlong */
    {"\xc1\xbf", false},
    {"\xe0\x9f\xbf", false},
    {"\xf0\x8f\xbf\xbf", false},
    {"\xf5\x80\x80\x80", false},
    {"\x80", false},
    {"\xbf", false},
    {"\xfe", false},
    {"\xff", false},
    {"\xc3", false}, /* cut */
    {"\xe2\x82", false},
    {"\xf0\x9f\x98", false},
    {"\xc3\x28", false},
    {"\xe2\x28\xa1", false},
    {"12345678\xc3", false},
    {"1234567\x80", false},
};

static void
checks_utf8_in_any_division(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(utf8_cases) / sizeof(utf8_cases[0]); i++) {
        struct span all = span_str(utf8_cases[i].bytes);

        for (size_t cut = 0; cut <= all.len; cut++) {
            uint32_t st = 0;
            bool valid = wsframe_utf8(&st, span_of(all.ptr, cut)) &&
                         wsframe_utf8(&st, span_of(all.ptr + cut, all.len - cut)) && st == 0;

            if (valid != utf8_cases[i].valid)
                fail_msg("case %zu cut at %zu", i, cut);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_headers),
        cmocka_unit_test(a_cut_header_is_short),
        cmocka_unit_test(masks_at_every_alignment_and_overlap),
        cmocka_unit_test(checks_close_payloads),
        cmocka_unit_test(checks_utf8_in_any_division),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
