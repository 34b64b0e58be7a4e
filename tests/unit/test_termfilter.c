/* test_termfilter.c: what passes to the local terminal and what does not, whole and byte by byte.
 */
#include "core/termfilter.h"

#include "tests/unit/testing.h"

#define E "\x1b"

static const struct filter_case {
    const char *what;
    const char *in;
    const char *want; /* NULL: passes unchanged; "" : nothing does */
} cases[] = {
    {"plain text", "hello, world\r\n\t", NULL},
    {"UTF-8", "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", NULL},
    {"no-break space",
        "a\xc2\xa0"
        "b",
        NULL},
    {"colours", E "[1;31mred" E "[0m" E "[38;2;1;2;3m", NULL},
    {"cursor and erasing", E "[H" E "[2J" E "[K" E "[10;20H" E "[?25l", NULL},
    {"the other screen", E "[?1049h" E "[?1049l", NULL},
    {"bracketed paste", E "[?2004h", NULL},
    {"mouse", E "[?1000;1006h", NULL},
    {"scroll region", E "[1;24r" E "7" E "8" E "M" E "D", NULL},
    {"character sets", E "(B" E ")0\x0e\x0f", NULL},
    {"cursor style", E "[2 q", NULL},
    {"soft reset", E "[!p", NULL},
    {"keypad", E "=" E ">", NULL},
    {"a title", E "]0;user@host: ~\x07$ ", NULL},
    {"a title ended by ST", E "]2;host" E "\\$ ", NULL},
    {"the clipboard",
        "a" E "]52;c;ZXZpbA==\x07"
        "b",
        "ab"},
    {"the clipboard, ended by ST", "a" E "]52;c;ZXZpbA==" E "\\b", "ab"},
    {"the clipboard, asked for", E "]52;c;?\x07", ""},
    {"colours asked for", E "]11;?\x07" E "]4;1;?" E "\\", ""},
    {"a hyperlink", E "]8;;http://evil\x07text" E "]8;;\x07", "text"},
    {"a title with a control",
        E "]0;a\x08"
          "b\x07",
        ""},
    {"a title with a C1 control",
        E "]0;a\xc2\x9c"
          "b\x07",
        ""},
    {"the version asked for", E "[>q" E "[>0q", ""},
    {"status", E "[5n" E "[6n" E "[?6n" E "[?996n", ""},
    {"attributes", E "[c" E "[0c" E "[>c" E "[=c", ""},
    {"terminal parameters", E "[x" E "[1x", ""},
    {"window reports", E "[14t" E "[18t" E "[21t" E "[22;0;0t", ""},
    {"mode asked for", E "[?2026$p" E "[4$p", ""},
    {"checksum", E "[1;1;1;1;10;10*y", ""},
    {"presentation state", E "[1$w", ""},
    {"keyboard mode asked for", E "[?u", ""},
    {"graphics asked for", E "[?1;1S", ""},
    {"8-bit controls", E "[61\"p" E " G", ""},
    {"leaving UTF-8", E "%@", ""},
    {"who are you",
        E "Z"
          "\x05",
        ""},
    {"DECRQSS", E "P$qm" E "\\x", "x"},
    {"XTGETTCAP", E "P+q544e" E "\\", ""},
    {"sixels", E "Pq#0;2;0;0;0" E "\\x", "x"},
    {"APC, PM, SOS", E "_Gi=1;x" E "\\" E "^y" E "\\" E "Xz" E "\\.", "."},
    {"C1 in UTF-8",
        "a\xc2\x9b"
        "6n\xc2\x9d"
        "52;c;x\xc2\x9c"
        "b",
        "a6n52;c;xb"},
    {"C1 as bytes",
        "a\x9b"
        "6n\x9d"
        "b",
        "a6nb"},
    {"a broken character, then C1",
        "\xe2\x9b"
        "6n",
        "\xe2\x9b"
        "6n"},
    {"a query cut by CAN", E "[6\x18n", "n"},
    {"a query in a query", E "[6" E "[6nx", "x"},
    {"a string broken off", E "]52;c;x" E "[31mred", E "[31mred"},
    {"a control inside a sequence", E "[3\r1m", "\r" E "[31m"},
    {"answerback inside a sequence",
        E "[3\x05"
          "1m",
        E "[31m"},
    {"overlong C1", "\xc0\x9b", ""},
};

static void
only_harmless_sequences_pass(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3 * ROWS(cases); i++) {
        const struct filter_case *c = &cases[i / 3];
        const char *want = c->want != NULL ? c->want : c->in;
        size_t step = i % 3 == 0 ? strlen(c->in) : i % 3, len = 0;
        uint8_t out[2048];
        struct termfilter f;

        termfilter_init(&f);
        for (size_t at = 0; at < strlen(c->in); at += step) {
            size_t n = strlen(c->in) - at < step ? strlen(c->in) - at : step;

            len += termfilter_feed(&f, span_of(c->in + at, n), out + len);
        }
        if (len != strlen(want) || memcmp(out, want, len) != 0)
            fail_msg("%s (step %zu): %zu bytes, want %zu", c->what, step, len, strlen(want));
    }
}

static void
endless_sequences_do_not_pass(void **state)
{
    static uint8_t in[100000], out[sizeof(in) + TERMFILTER_HELD];
    struct termfilter f;

    (void)state;
    termfilter_init(&f);
    memset(in, '1', sizeof(in));
    memcpy(in, E "[", 2);
    in[sizeof(in) - 2] = 'm';
    in[sizeof(in) - 1] = 'x';
    assert_int_equal(termfilter_feed(&f, span_of(in, sizeof(in)), out), 1);
    assert_int_equal(out[0], 'x');
    memcpy(in, E "]0;", 4);
    in[sizeof(in) - 2] = '\x07';
    assert_int_equal(termfilter_feed(&f, span_of(in, sizeof(in)), out), 1);
}

static void
the_other_screen_is_left_at_the_end(void **state)
{
    uint8_t out[256 + TERMFILTER_HELD];
    struct termfilter f;
    struct span reset;

    (void)state;
    termfilter_init(&f);
    reset = termfilter_reset(&f);
    assert_memory_equal(reset.ptr, E "[0m", 4);
    (void)termfilter_feed(&f, span_str(E "[?1049h"), out);
    reset = termfilter_reset(&f);
    assert_memory_equal(reset.ptr, E "[?1049l" E "[0m", 12);
    (void)termfilter_feed(&f, span_str(E "[?1049l"), out);
    reset = termfilter_reset(&f);
    assert_memory_equal(reset.ptr, E "[0m", 4);
}

static const struct keys_case {
    const char *in, *want;
    enum termkeys_found found;
    const char *rest;
} keys[] = {
    {"ls\r", "ls\r", TERMKEYS_NOTHING, ""},
    {"~.", "", TERMKEYS_DISCONNECT, ""},
    {"ls\r~.x", "ls\r", TERMKEYS_DISCONNECT, "x"},
    {"ls ~.\r", "ls ~.\r", TERMKEYS_NOTHING, ""},
    {"~~.\r", "~.\r", TERMKEYS_NOTHING, ""},
    {"~/bin\r", "~/bin\r", TERMKEYS_NOTHING, ""},
    {"~?~.", "", TERMKEYS_HELP, "~."},
    {"\n~\r", "\n~\r", TERMKEYS_NOTHING, ""},
};

static void
tilde_dot_ends_at_the_beginning_of_a_line_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(keys); i++) {
        const struct keys_case *c = &keys[i];
        struct termkeys whole = {0}, single = {0};
        uint8_t out[64], all[64];
        size_t used, len, at = 0, total = 0;
        enum termkeys_found found = termkeys_feed(&whole, span_str(c->in), &used, out, &len);

        assert_int_equal(found, c->found);
        assert_true(span_is(span_of(out, len), c->want));
        assert_string_equal(c->in + used, c->rest);
        found = TERMKEYS_NOTHING;
        while (at < strlen(c->in) && found == TERMKEYS_NOTHING) {
            found = termkeys_feed(&single, span_of(c->in + at++, 1), &used, out, &len);
            memcpy(all + total, out, len);
            total += len;
        }
        assert_int_equal(found, c->found);
        assert_true(span_is(span_of(all, total), c->want));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_harmless_sequences_pass),
        cmocka_unit_test(endless_sequences_do_not_pass),
        cmocka_unit_test(the_other_screen_is_left_at_the_end),
        cmocka_unit_test(tilde_dot_ends_at_the_beginning_of_a_line_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
