/* test_pack.c: the scan takes canonical msgpack only, and the reader never reads past the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/pack.h"

static const struct scan_case {
    const char *what;
    const char *hex;
    enum err want;
} scan_cases[] = {
    {"small int", "01", OK},
    {"empty input", "", ERR_SHORT},
    {"bytes behind the message", "0101", ERR_MALFORMED},
    {"array32 bomb", "dd10000000", ERR_SHORT},
    {"map32 bomb", "df10000000", ERR_SHORT},
    {"uint16 that fits a byte", "cd0001", ERR_MALFORMED},
    {"uint8 that fits seven bits", "cc7f", ERR_MALFORMED},
    {"uint8", "cc80", OK},
    {"int8 that is positive", "d001", ERR_MALFORMED},
    {"int8 that fits a fixint", "d0e0", ERR_MALFORMED},
    {"int8", "d0df", OK},
    {"int16 that fits int8", "d1ff80", ERR_MALFORMED},
    {"int64", "d3ffffffff7fffffff", OK},
    {"str8 that fits a fixstr", "d901 61", ERR_MALFORMED},
    {"bin16 that fits bin8", "c50001 61", ERR_MALFORMED},
    {"float", "ca00000000", ERR_MALFORMED},
    {"extension", "d40102", ERR_MALFORMED},
    {"never used byte", "c1", ERR_MALFORMED},
    {"map with ascending keys", "82 01 01 02 02", OK},
    {"map with equal keys", "82 01 01 01 02", ERR_MALFORMED},
    {"map with descending keys", "82 02 01 01 02", ERR_MALFORMED},
    {"map with a string key", "81 a161 01", ERR_MALFORMED},
    {"map with nil", "81 01 c0", ERR_MALFORMED},
    {"array with nil", "91 c0", OK},
    {"depth 8", "9191919191919191 01", OK},
    {"depth 9", "919191919191919191 01", ERR_LIMIT},
    {"overlong utf-8", "a2 c080", ERR_MALFORMED},
    {"surrogate", "a3 eda080", ERR_MALFORMED},
    {"cut utf-8", "a2 e282", ERR_MALFORMED},
    {"good utf-8", "a3 e282ac", OK},
    {"cut bin", "c404 0102", ERR_SHORT},
};

static size_t
unhex(const char *hex, uint8_t *out)
{
    size_t n = 0;

    for (; *hex != '\0'; hex++) {
        unsigned v;

        if (*hex == ' ')
            continue;
        assert_int_equal(sscanf(hex, "%2x", &v), 1);
        out[n++] = (uint8_t)v;
        hex++;
    }
    return n;
}

static void
scan_takes_canonical_messages_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(scan_cases) / sizeof(scan_cases[0]); i++) {
        uint8_t buf[64];
        size_t n = unhex(scan_cases[i].hex, buf);

        if (pack_scan(span_of(buf, n)) != scan_cases[i].want)
            fail_msg("%s: got %s", scan_cases[i].what, err_name(pack_scan(span_of(buf, n))));
    }
}

static void
what_is_written_is_canonical_and_reads_back(void **state)
{
    static const int64_t numbers[] = {0, 1, 127, 128, 255, 256, 65535, 65536, 4294967295,
        4294967296, INT64_MAX, -1, -32, -33, -128, -129, -32768, -32769, INT32_MIN,
        (int64_t)INT32_MIN - 1, INT64_MIN};
    const size_t count = sizeof(numbers) / sizeof(numbers[0]);
    uint8_t buf[256];
    struct pack p;
    struct reader r;

    (void)state;
    pack_init(&p, buf, sizeof(buf));
    pack_array(&p, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        pack_i64(&p, numbers[i]);
    assert_true(pack_ok(&p));
    assert_int_equal(pack_scan(pack_span(&p)), OK);
    reader_init(&r, pack_span(&p));
    assert_int_equal(reader_array(&r), count);
    for (size_t i = 0; i < count; i++)
        assert_true(reader_i64(&r) == numbers[i]);
    assert_true(reader_done(&r));
}

static void
the_first_reader_failure_sticks(void **state)
{
    const uint8_t bytes[] = {0x93, 0x01, 0xa1, 'x', 0x02};
    struct reader r;

    (void)state;
    reader_init(&r, span_of(bytes, sizeof(bytes)));
    assert_int_equal(reader_array(&r), 3);
    assert_int_equal(reader_u64(&r), 1);
    assert_int_equal(reader_u64(&r), 0); /* a string is there */
    assert_false(reader_ok(&r));
    assert_int_equal(reader_str(&r).len, 0); /* even though it would fit now */
    assert_false(reader_done(&r));
}

static void
a_full_buffer_is_an_overflow_not_a_write(void **state)
{
    uint8_t buf[4] = {0, 0, 0, 0xee};
    struct pack p;

    (void)state;
    pack_init(&p, buf, 3);
    pack_str(&p, span_str("abc"));
    assert_false(pack_ok(&p));
    assert_int_equal(buf[3], 0xee);
}

static void
ids_survive_text_and_reject_other_kinds(void **state)
{
    struct id id, back;
    char text[ID_TEXT_BYTES];

    (void)state;
    for (size_t i = 0; i < ID_BYTES; i++)
        id.b[i] = (uint8_t)(0xf0 + i * 7);
    id_text(ID_SESSION, &id, text);
    assert_int_equal(strlen(text), 30);
    assert_int_equal(id_parse(ID_SESSION, span_str(text), &back), OK);
    assert_true(id_equal(&id, &back));
    assert_int_equal(id_parse(ID_USER, span_str(text), &back), ERR_MALFORMED);
    text[4] = '8'; /* bit 129 */
    assert_int_equal(id_parse(ID_SESSION, span_str(text), &back), ERR_MALFORMED);
    text[4] = 'u'; /* not in the alphabet */
    assert_int_equal(id_parse(ID_SESSION, span_str(text), &back), ERR_MALFORMED);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scan_takes_canonical_messages_only),
        cmocka_unit_test(what_is_written_is_canonical_and_reads_back),
        cmocka_unit_test(the_first_reader_failure_sticks),
        cmocka_unit_test(a_full_buffer_is_an_overflow_not_a_write),
        cmocka_unit_test(ids_survive_text_and_reject_other_kinds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
