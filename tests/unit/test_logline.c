/* test_logline.c: lines that nobody can forge, and secrets that nobody can read (B39, B42). */
#include "tests/unit/testing.h"

#include "http/logline.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AT INT64_C(1700000000123456)

static const char *
line(enum logline_format format, const struct logline_field *fields, size_t count)
{
    static char out[LOGLINE_BYTES_MAX + 1];
    size_t n = logline_format(format, AT, LOGLINE_WARN, "test_said", fields, count, out);

    assert_true(n <= LOGLINE_BYTES_MAX && n > 0);
    assert_int_equal(out[n - 1], '\n');
    out[n] = '\0';
    assert_ptr_equal(strchr(out, '\n'), out + n - 1); /* one line */
    return out;
}

static void
both_formats_say_the_same(void **state)
{
    const struct logline_field fields[] = {logline_str("name", "web 1"), logline_str("os", "linux"),
        logline_int("n", -5), logline_uint("big", UINT64_MAX), logline_bool("ok", true),
        logline_str("none", "")};

    (void)state;
    assert_string_equal(line(LOGLINE_TEXT, fields, ROWS(fields)),
        "time=2023-11-14T22:13:20.123456Z level=warn event=test_said name=\"web 1\" os=linux n=-5 "
        "big=18446744073709551615 ok=true none=\"\"\n");
    assert_string_equal(line(LOGLINE_JSON, fields, ROWS(fields)),
        "{\"time\":\"2023-11-14T22:13:20.123456Z\",\"level\":\"warn\",\"event\":\"test_said\","
        "\"name\":\"web 1\",\"os\":\"linux\",\"n\":-5,\"big\":18446744073709551615,\"ok\":true,"
        "\"none\":\"\"}\n");
}

static void
foreign_text_cannot_forge_lines(void **state)
{
    const struct logline_field fields[] = {
        logline_str("agent", "x\r\ntime=now level=error event=fake"),
        logline_str("a", "\x1b[2J\x1b]0;t\x07"), logline_str("b", "say \"hi\" a=b"),
        logline_str("c", "\xc2\x9b\xe2\x80\xae\xff")};
    const char *text = line(LOGLINE_TEXT, fields, ROWS(fields));
    json_error_t error;
    json_t *json;

    (void)state;
    assert_non_null(strstr(text, "agent=\"x\\x0d\\x0atime=now level=error event=fake\""));
    assert_non_null(strstr(text, "a=\"\\x1b[2J\\x1b]0;t\\x07\""));
    assert_non_null(strstr(text, "b=\"say \\\"hi\\\" a=b\""));
    assert_non_null(strstr(text, "c=\"\\u{9b}\\u{202e}\\xff\""));
    json = json_loads(line(LOGLINE_JSON, fields, ROWS(fields)), JSON_REJECT_DUPLICATES, &error);
    assert_non_null(json);
    assert_string_equal(json_string_value(json_object_get(json, "a")), "\\x1b[2J\\x1b]0;t\\x07");
    json_decref(json);
}

static void
secrets_are_redacted_twice(void **state)
{
    static const char *const secret[] = {"password", "Authorization", "cookie", "set-cookie",
        "token", "refresh_token", "api_key", "jwt_secret", "ticket", "code", "X-Auth-Token"};
    static const char *const open[] = {"reason", "user", "machine", "keys", "tokenized", "status",
        "path", "encoding", "_key", "monkey"};

    (void)state;
    for (size_t i = 0; i < ROWS(secret); i++) {
        struct logline_field f = logline_str(secret[i], "hunter2");

        assert_null(strstr(line(LOGLINE_TEXT, &f, 1), "hunter2"));
        assert_non_null(strstr(line(LOGLINE_TEXT, &f, 1), "=[REDACTED]"));
        assert_null(strstr(line(LOGLINE_JSON, &f, 1), "hunter2"));
        f = logline_uint(secret[i], 123456789);
        assert_null(strstr(line(LOGLINE_TEXT, &f, 1), "123456789"));
    }
    for (size_t i = 0; i < ROWS(open); i++) {
        struct logline_field f = logline_str(open[i], "hunter2");

        if (strstr(line(LOGLINE_TEXT, &f, 1), "hunter2") == NULL)
            fail_msg("%s is redacted", open[i]);
    }
    assert_non_null(strstr(
        line(LOGLINE_JSON, &(struct logline_field){.name = "x", .kind = LOGLINE_KIND_SECRET}, 1),
        "\"x\":\"[REDACTED]\""));
}

static void
long_lines_are_cut_at_a_field(void **state)
{
    static char big[2 * LOGLINE_BYTES_MAX];
    json_error_t error;
    json_t *json;

    (void)state;
    memset(big, 'a', sizeof(big));
    for (size_t n = LOGLINE_BYTES_MAX - 200; n < LOGLINE_BYTES_MAX + 50; n++) {
        const struct logline_field fields[] = {
            logline_int("first", 1), logline_text("big", span_of(big, n)), logline_int("last", 2)};
        const char *text = line(LOGLINE_TEXT, fields, 3);

        assert_true((strstr(text, "last=2") != NULL) == (strstr(text, "cut=true") == NULL));
        json = json_loads(line(LOGLINE_JSON, fields, 3), 0, &error);
        assert_non_null(json);
        assert_int_equal(json_integer_value(json_object_get(json, "first")), 1);
        json_decref(json);
    }
}

static void
levels_and_target_are_kept(void **state)
{
    char got[1000];
    ssize_t n;
    int p[2];

    (void)state;
    assert_int_equal(pipe(p), 0);
    logline_init(LOGLINE_WARN, LOGLINE_TEXT, p[1]);
    logline(LOGLINE_INFO, "not_said", logline_int("n", 1));
    logline(LOGLINE_ERROR, "is_said", logline_int("n", 2), logline_secret("x"));
    n = read(p[0], got, sizeof(got) - 1);
    assert_true(n > 0);
    got[n] = '\0';
    assert_null(strstr(got, "not_said"));
    assert_non_null(strstr(got, "level=error event=is_said n=2 x=[REDACTED]\n"));
    close(p[0]);
    close(p[1]);
    logline_init(LOGLINE_INFO, LOGLINE_TEXT, STDERR_FILENO);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_formats_say_the_same),
        cmocka_unit_test(foreign_text_cannot_forge_lines),
        cmocka_unit_test(secrets_are_redacted_twice),
        cmocka_unit_test(long_lines_are_cut_at_a_field),
        cmocka_unit_test(levels_and_target_are_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
