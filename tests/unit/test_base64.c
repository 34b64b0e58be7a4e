/* test_base64.c: RFC 4648 vectors, and that each byte string has one text only. */
#include <sodium.h>

#include "core/base64.h"
#include "tests/unit/testing.h"

static void
vectors(void **state)
{
    static const struct {
        const char *bytes, *std, *url;
    } cases[] = {
        {"", "", ""},
        {"f", "Zg==", "Zg"},
        {"fo", "Zm8=", "Zm8"},
        {"foo", "Zm9v", "Zm9v"},
        {"foob", "Zm9vYg==", "Zm9vYg"},
        {"fooba", "Zm9vYmE=", "Zm9vYmE"},
        {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
        {"\xfb\xff\xfe", "+//+", "-__-"},
    };

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        for (int kind = BASE64_STD; kind <= BASE64_URL; kind++) {
            struct span in = span_str(cases[i].bytes);
            struct span want = span_str(kind == BASE64_STD ? cases[i].std : cases[i].url);
            uint8_t bytes[16];
            char text[16];
            size_t len;

            assert_int_equal(base64_encode(kind, in, text, want.len, &len), OK);
            assert_true(span_equal(span_of(text, len), want));
            assert_int_equal(base64_decode(kind, want, bytes, sizeof(bytes), &len), OK);
            assert_true(span_equal(span_of(bytes, len), in));
            assert_int_equal(base64_check(kind, want, &len), OK);
            assert_int_equal(len, in.len);
            if (want.len == 0)
                continue;
            assert_int_equal(base64_encode(kind, in, text, want.len - 1, &len), ERR_LIMIT);
            assert_int_equal(base64_decode(kind, want, bytes, in.len - 1, &len), ERR_LIMIT);
        }
    }
}

static void
refused(void **state)
{
    static const struct {
        enum base64_kind kind;
        const char *text;
    } cases[] = {
        {BASE64_STD, "Zg"},
        {BASE64_STD, "Zg="},
        {BASE64_STD, "Zg==="},
        {BASE64_STD, "Zg===="},
        {BASE64_STD, "Zh=="}, /* stray bits */
        {BASE64_STD, "Zm9="},
        {BASE64_STD, "Zm9v\n"},
        {BASE64_STD, " Zm9v"},
        {BASE64_STD, "Zg==Zg=="}, /* padding inside */
        {BASE64_STD, "Zm9v===="},
        {BASE64_STD, "===="},
        {BASE64_STD, "-__-"}, /* the other alphabet */
        {BASE64_STD, "Zm9vY"},
        {BASE64_URL, "Zg=="},
        {BASE64_URL, "Zh"},
        {BASE64_URL, "Z"},
        {BASE64_URL, "+//+"},
        {BASE64_URL, "Zm9v Zm9v"},
    };
    uint8_t bytes[32];
    size_t len;

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct span text = span_str(cases[i].text);

        assert_int_equal(
            base64_decode(cases[i].kind, text, bytes, sizeof(bytes), &len), ERR_MALFORMED);
        assert_int_equal(base64_check(cases[i].kind, text, &len), ERR_MALFORMED);
    }
    assert_int_equal(base64_check(BASE64_STD, span_of("Zm\0v", 4), &len), ERR_MALFORMED);
}

/* Every byte at every place of a four: only the alphabet is taken. */
static void
alphabet(void **state)
{
    static const char common[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

    (void)state;
    for (int kind = BASE64_STD; kind <= BASE64_URL; kind++) {
        const char *marks = kind == BASE64_STD ? "+/" : "-_";

        for (unsigned at = 0; at < 4; at++) {
            for (int c = 0; c < 256; c++) {
                uint8_t text[4] = {'A', 'A', 'A', 'A'}, out[3];
                bool good = memchr(common, c, 62) != NULL || memchr(marks, c, 2) != NULL ||
                            (kind == BASE64_STD && at == 3 && c == '=');
                size_t len;

                text[at] = (uint8_t)c;
                assert_int_equal(
                    base64_decode(kind, span_of(text, 4), out, 3, &len), good ? OK : ERR_MALFORMED);
            }
        }
    }
}

/* Lengths around the block that base64.c works in. */
static void
long_ones(void **state)
{
    static uint8_t in[5000], out[5000];
    static char text[7000];
    size_t len;

    (void)state;
    randombytes_buf(in, sizeof(in));
    for (size_t n = 0; n<sizeof(in); n += n> 700 && n < 800 ? 1 : 37) {
        for (int kind = BASE64_STD; kind <= BASE64_URL; kind++) {
            size_t chars;

            assert_int_equal(base64_encode(kind, span_of(in, n), text, sizeof(text), &chars), OK);
            assert_int_equal(chars, base64_encoded_len(kind, n));
            assert_int_equal(base64_decode(kind, span_of(text, chars), out, n, &len), OK);
            assert_int_equal(len, n);
            assert_memory_equal(in, out, n);
        }
    }
    /* Padding at the end of a block, with more behind it. */
    memset(text, 'A', sizeof(text));
    memcpy(text + 1020, "AA==", 4);
    assert_int_equal(
        base64_decode(BASE64_STD, span_of(text, 2048), out, sizeof(out), &len), ERR_MALFORMED);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),
        cmocka_unit_test(refused),
        cmocka_unit_test(alphabet),
        cmocka_unit_test(long_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
