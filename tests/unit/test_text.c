/* test_text.c: the rules of each kind of field, and escaping for terminals. */
#include "tests/unit/testing.h"

#include "core/limits.h"
#include "core/text.h"

#include <stdlib.h>

#define S(literal)                                                                                 \
    {                                                                                              \
        (const uint8_t *)(literal), sizeof(literal) - 1                                            \
    }

static const struct {
    enum text_kind kind;
    struct span text;
    enum text_fault want;
} cases[] = {
    {TEXT_ACCOUNT, S("anna"), TEXT_OK},
    {TEXT_ACCOUNT, S("Anna.Schmidt+x@example.org"), TEXT_OK},
    {TEXT_ACCOUNT, S(""), TEXT_SHORT},
    {TEXT_ACCOUNT, S(".anna"), TEXT_EDGE},
    {TEXT_ACCOUNT, S("-rf"), TEXT_EDGE},
    {TEXT_ACCOUNT, S("an na"), TEXT_CHARSET},
    {TEXT_ACCOUNT, S("an\0na"), TEXT_CONTROL},
    {TEXT_ACCOUNT, S("\xd0\xb0nna"), TEXT_CHARSET}, /* Cyrillic a */
    {TEXT_MACHINE, S("web 1 (Z\xc3\xbcrich)"), TEXT_OK},
    {TEXT_MACHINE, S("<img onerror=x>"), TEXT_OK}, /* shown as text, not refused */
    {TEXT_MACHINE, S(" web"), TEXT_EDGE},
    {TEXT_MACHINE, S("web "), TEXT_EDGE},
    {TEXT_MACHINE, S("web\n1"), TEXT_CONTROL},
    {TEXT_MACHINE, S("web\x1b[2J"), TEXT_CONTROL},
    {TEXT_MACHINE, S("web\x7f"), TEXT_CONTROL},
    {TEXT_MACHINE, S("web\xc2\x9b"), TEXT_CONTROL}, /* C1 CSI */
    {TEXT_MACHINE,
        S("web\xe2\x80\xae"
          "x"),
        TEXT_INVISIBLE},                                  /* RLO */
    {TEXT_MACHINE, S("web\xe2\x81\xa6"), TEXT_INVISIBLE}, /* LRI */
    {TEXT_MACHINE,
        S("w\xe2\x80\x8b"
          "eb"),
        TEXT_INVISIBLE},                                      /* zero width space */
    {TEXT_MACHINE, S("web\xe2\x80\xa8"), TEXT_INVISIBLE},     /* line separator */
    {TEXT_MACHINE, S("web\xf3\xa0\x80\xa0"), TEXT_INVISIBLE}, /* tag space */
    {TEXT_MACHINE, S("web\xef\xbf\xbf"), TEXT_INVISIBLE},     /* noncharacter */
    {TEXT_MACHINE, S("web\xf0\x9f\xbf\xbf"), TEXT_INVISIBLE}, /* U+1FFFF */
    {TEXT_MACHINE, S("\xc0\x80"), TEXT_NOT_UTF8},             /* overlong NUL */
    {TEXT_MACHINE, S("\xe0\x80\xaf"), TEXT_NOT_UTF8},         /* overlong slash */
    {TEXT_MACHINE, S("\xed\xa0\x80"), TEXT_NOT_UTF8},         /* lone surrogate */
    {TEXT_MACHINE, S("\xf4\x90\x80\x80"), TEXT_NOT_UTF8},     /* above U+10FFFF */
    {TEXT_MACHINE, S("a\xe2\x82"), TEXT_NOT_UTF8},            /* cut */
    {TEXT_MACHINE, S("\xff"), TEXT_NOT_UTF8},
    {TEXT_MACHINE, S("\xf0\x9f\x96\xa5 desk"), TEXT_OK},
    {TEXT_LABEL, S("env:prod"), TEXT_OK},
    {TEXT_LABEL, S("a b"), TEXT_CHARSET},
    {TEXT_LABEL, S("-old"), TEXT_EDGE}, /* would read as a negated filter term */
    {TEXT_SERVICE, S("postgres_1"), TEXT_OK},
    {TEXT_SERVICE, S("a/b"), TEXT_CHARSET},
    {TEXT_NOTE, S("one line"), TEXT_OK},
    {TEXT_NOTE, S("two\nlines"), TEXT_CONTROL},
    {TEXT_PASSWORD, S("elevenchars"), TEXT_SHORT},
    {TEXT_PASSWORD, S("twelve chars"), TEXT_OK},
    {TEXT_PASSWORD, S("twelve chars\xff\xfe"), TEXT_OK},
    {TEXT_PASSWORD, S("twelve\0chars!"), TEXT_CONTROL},
};

static void
each_kind_takes_what_it_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++)
        if (text_check(cases[i].kind, cases[i].text) != cases[i].want)
            fail_msg("case %zu: %s", i, text_fault_name(text_check(cases[i].kind, cases[i].text)));
}

static void
lengths_count_bytes_and_points(void **state)
{
    char text[NAME_POINTS_MAX * 4];

    (void)state;
    memset(text, 'a', sizeof(text));
    assert_int_equal(text_check(TEXT_MACHINE, span_of(text, NAME_POINTS_MAX)), TEXT_OK);
    assert_int_equal(text_check(TEXT_MACHINE, span_of(text, NAME_POINTS_MAX + 1)), TEXT_LONG);
    for (size_t i = 0; i < NAME_POINTS_MAX; i++)
        memcpy(text + i * 3, "\xe6\x97\xa5", 3);
    assert_int_equal(text_check(TEXT_MACHINE, span_of(text, NAME_POINTS_MAX * 3)), TEXT_OK);
    for (size_t i = 0; i < NAME_POINTS_MAX; i++)
        memcpy(text + i * 4, "\xf0\x9f\x96\xa5", 4);
    assert_int_equal(text_check(TEXT_MACHINE, span_of(text, sizeof(text))), TEXT_LONG); /* bytes */
}

static void
every_rule_and_fault_is_named(void **state)
{
    (void)state;
    for (int k = 0; k < TEXT_KINDS; k++) {
        const struct text_rule *r = text_rule((enum text_kind)k);

        assert_non_null(r->name);
        assert_true(r->bytes_min >= 1 && r->bytes_max >= r->bytes_min && r->points_max >= 1);
    }
    for (int f = TEXT_OK; f <= TEXT_EDGE; f++)
        assert_string_not_equal(text_fault_name((enum text_fault)f), "is not valid");
}

static void
shown(struct span in, const char *want)
{
    char out[128];

    assert_int_equal(text_escape(in, out, sizeof(out)), strlen(want));
    assert_string_equal(out, want);
}

static void
escapes_make_text_harmless(void **state)
{
    (void)state;
    shown((struct span)S("web 1"), "web 1");
    shown((struct span)S("\x1b]0;pwn\x07"), "\\x1b]0;pwn\\x07");
    shown((struct span)S("a\r\nb\0c"), "a\\x0d\\x0ab\\x00c");
    shown((struct span)S("\xc2\x9b"
                         "2J"),
        "\\u{9b}2J");
    shown((struct span)S("\xe2\x80\xaetxt.exe"), "\\u{202e}txt.exe");
    shown((struct span)S("\x9b\xff"), "\\x9b\\xff");
    shown((struct span)S("back\\slash"), "back\\\\slash");
    shown((struct span)S("Z\xc3\xbcrich"), "Z\xc3\xbcrich");
}

static void
escape_never_cuts_inside_an_escape(void **state)
{
    char out[7];

    (void)state;
    assert_int_equal(text_escape((struct span)S("ab\x1b"
                                                "cde"),
                         out, sizeof(out)),
        9);
    assert_string_equal(out, "ab\\x1b");
    assert_int_equal(text_escape((struct span)S("abc\x1b"
                                                "d"),
                         out, sizeof(out)),
        8);
    assert_string_equal(out, "abc"); /* and nothing after the gap */
    assert_int_equal(text_escape((struct span)S("abc"), out, 0), 3);
}

static void
fold_is_ascii_lower_case(void **state)
{
    char out[6] = {0};

    (void)state;
    text_fold((struct span)S("AnNa9"), out);
    assert_string_equal(out, "anna9");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_takes_what_it_says),
        cmocka_unit_test(lengths_count_bytes_and_points),
        cmocka_unit_test(every_rule_and_fault_is_named),
        cmocka_unit_test(escapes_make_text_harmless),
        cmocka_unit_test(escape_never_cuts_inside_an_escape),
        cmocka_unit_test(fold_is_ascii_lower_case),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
