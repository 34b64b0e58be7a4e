/* test_json.c: bodies in by table, answers out by the streaming writer, and one through the other.
 */
#include "tests/unit/testing.h"

#include "core/json_write.h"
#include "http/json_read.h"
#include "http/problem.h"

#include <stdlib.h>

struct dest {
    struct span name, note;
    int64_t ttl;
    bool admin;
    struct json_texts tags, ranges;
};

static const struct json_field fields[] = {
    {"name", JSON_KIND_RULED, true, 0, 0, TEXT_MACHINE, offsetof(struct dest, name)},
    {"note", JSON_KIND_TEXT, false, 0, 8, 0, offsetof(struct dest, note)},
    {"ttl", JSON_KIND_INT, false, 1, 600, 0, offsetof(struct dest, ttl)},
    {"admin", JSON_KIND_BOOL, false, 0, 0, 0, offsetof(struct dest, admin)},
    {"tags", JSON_KIND_RULED_LIST, false, 0, 3, TEXT_LABEL, offsetof(struct dest, tags)},
    {"ranges", JSON_KIND_LIST, false, 1, 2, 0, offsetof(struct dest, ranges)},
};

/* Every way a body is refused, with the member and the reason that the caller is told. */
static const struct {
    const char *body, *field, *reason;
} refused[] = {
    {"", "", "is not valid JSON"},
    {"[]", "", "must be a JSON object"},
    {"\"x\"", "", "is not valid JSON"},
    {"{\"name\":\"a\"} x", "", "is not valid JSON"},
    {"{\"name\":\"a\",}", "", "is not valid JSON"},
    {"{'name':'a'}", "", "is not valid JSON"},
    {"{\"name\":\"a\" /* */}", "", "is not valid JSON"},
    {"{\"name\":\"a\",\"name\":\"b\"}", "", "names a member twice"},
    {"{\"name\":\"\\u0000\"}", "", "is not valid JSON"},
    {"{\"name\":\"\\ud800\"}", "", "is not valid JSON"},
    {"{\"name\":\"\xff\"}", "", "is not valid JSON"},
    {"{\"name\":\"a\",\"ttl\":1e400}", "", "is not valid JSON"},
    {"{\"name\":\"a\",\"ttl\":99999999999999999999}", "", "is not valid JSON"},
    {"{\"name\":\"a\",\"ttl\":1e2}", "ttl", "must be a whole number"},
    {"{\"name\":\"a\",\"ttl\":5.0}", "ttl", "must be a whole number"},
    {"{\"name\":\"a\",\"ttl\":\"5\"}", "ttl", "must be a whole number"},
    {"{\"name\":\"a\",\"ttl\":null}", "ttl", "must be a whole number"},
    {"{\"name\":\"a\",\"ttl\":0}", "ttl", "must be 1 to 600"},
    {"{\"name\":\"a\",\"ttl\":-9223372036854775808}", "ttl", "must be 1 to 600"},
    {"{\"name\":\"a\",\"ttl\":601}", "ttl", "must be 1 to 600"},
    {"{}", "name", "is missing"},
    {"{\"name\":null}", "name", "must be a string"},
    {"{\"name\":7}", "name", "must be a string"},
    {"{\"name\":\"\"}", "name", "is too short"},
    {"{\"name\":\"a\\nb\"}", "name", "holds a control character"},
    {"{\"name\":\"a\\u202eb\"}", "name", "holds an invisible"},
    {"{\"name\":\"a\",\"note\":\"123456789\"}", "note", "must be 0 to 8 bytes long"},
    {"{\"name\":\"a\",\"admin\":1}", "admin", "must be true or false"},
    {"{\"name\":\"a\",\"role\":\"admin\"}", "role", "is not a known member"}, /* B57 */
    {"{\"name\":\"a\",\"Name\":\"b\"}", "Name", "is not a known member"},
    {"{\"name\":\"a\",\"\\u001b[2J\":1}", "\\x1b[2J", "is not a known member"},
    {"{\"name\":\"a\",\"tags\":\"x\"}", "tags", "must be a list of strings"},
    {"{\"name\":\"a\",\"tags\":[\"x\",1]}", "tags", "must be a string"},
    {"{\"name\":\"a\",\"tags\":[\"x y\"]}", "tags", "holds a character"},
    {"{\"name\":\"a\",\"tags\":[\"a\",\"b\",\"c\",\"d\"]}", "tags", "must have 0 to 3 items"},
    {"{\"name\":\"a\",\"ranges\":[]}", "ranges", "must have 1 to 2 items"},
    {"{\"name\":\"a\",\"ranges\":[\"\"]}", "ranges", "must be 1 to 256 bytes long"},
};

static enum err
read_body(struct span text, struct json_body **body, struct dest *dest, uint32_t *present,
    struct json_read_error *error)
{
    enum err err = json_body_parse(text, body, error);

    return err != OK ? err : json_body_read(*body, fields, ROWS(fields), dest, present, error);
}

static void
bad_bodies_are_refused_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(refused); i++) {
        struct json_read_error error = {0};
        struct json_body *body = NULL;
        struct dest dest;
        uint32_t present;

        if (read_body(span_str(refused[i].body), &body, &dest, &present, &error) == OK)
            fail_msg("taken: %s", refused[i].body);
        if (strcmp(error.field, refused[i].field) != 0 ||
            strncmp(error.reason, refused[i].reason, strlen(refused[i].reason)) != 0)
            fail_msg("%s: '%s' %s", refused[i].body, error.field, error.reason);
        json_body_free(body);
    }
}

static void
a_good_body_fills_the_struct(void **state)
{
    static const char text[] = "{\"tags\":[\"prod\",\"web\"],\"name\":\"Z\\u00fcrich \\\"1\\\"\","
                               "\"ttl\":600,\"admin\":true,\"ranges\":[\"10.0.0.0/8\"]}";
    struct json_read_error error;
    struct json_body *body = NULL;
    struct dest dest = {.note = span_of("kept", 4)};
    uint32_t present;

    (void)state;
    assert_int_equal(read_body(span_str(text), &body, &dest, &present, &error), OK);
    assert_true(span_is(dest.name, "Z\xc3\xbcrich \"1\""));
    assert_true(span_is(dest.note, "kept"));
    assert_int_equal(dest.ttl, 600);
    assert_true(dest.admin);
    assert_int_equal(dest.tags.count, 2);
    assert_true(span_is(dest.tags.items[1], "web"));
    assert_true(span_is(dest.ranges.items[0], "10.0.0.0/8"));
    assert_int_equal(present, 0x3D); /* all but note */
    json_body_free(body);
}

static void
depth_is_bounded(void **state)
{
    struct json_read_error error;
    struct json_body *body;
    char deep[20001];

    (void)state;
    memset(deep, '[', sizeof(deep));
    assert_int_equal(json_body_parse(span_of(deep, 20000), &body, &error), ERR_LIMIT);
    assert_string_equal(error.reason, "is nested deeper than 32");
    memcpy(deep, "{\"a\":\"", 6);
    deep[4000] = '"';
    deep[4001] = '}';
    assert_int_equal(json_body_parse(span_of(deep, 4002), &body, &error), OK); /* in a string */
    json_body_free(body);
}

static void
errors_never_quote_the_input(void **state)
{
    struct json_read_error error;
    struct json_body *body;

    (void)state;
    assert_int_equal(
        json_body_parse(span_str("{\"password\":\"hunter2hunter2\" oops"), &body, &error),
        ERR_MALFORMED);
    assert_null(strstr(error.reason, "hunter2"));
    assert_null(strstr(error.reason, "oops"));
}

static void
content_type_is_json_or_nothing(void **state)
{
    static const char *const yes[] = {"application/json", "Application/JSON; charset=UTF-8",
        "application/json;charset=utf-8", "application/json ; charset=utf-8"};
    static const char *const no[] = {"", "text/plain", "application/jsonx", "application/json; a=b",
        "application/json;", "multipart/form-data", "application/json charset=utf-8",
        "application/x-www-form-urlencoded", "application/json; charset=utf-8; x", "text/json"};

    (void)state;
    for (size_t i = 0; i < ROWS(yes); i++)
        assert_true(json_content_type(span_str(yes[i])));
    for (size_t i = 0; i < ROWS(no); i++)
        if (json_content_type(span_str(no[i])))
            fail_msg("taken: %s", no[i]);
}

static void
written(struct json_write *w, const char *want)
{
    assert_int_equal(json_write_done(w), OK);
    assert_int_equal(w->len, strlen(want));
    assert_memory_equal(w->buf, want, w->len);
    json_write_fini(w);
    json_write_init(w, NULL, NULL);
}

static void
the_writer_nests_and_separates(void **state)
{
    struct json_write w;

    (void)state;
    json_write_init(&w, NULL, NULL);
    json_write_object(&w, NULL);
    json_write_array(&w, "a");
    json_write_int(&w, NULL, INT64_MIN);
    json_write_uint(&w, NULL, UINT64_MAX);
    json_write_object(&w, NULL);
    json_write_end(&w);
    json_write_array(&w, NULL);
    json_write_end(&w);
    json_write_end(&w);
    json_write_bool(&w, "t", true);
    json_write_null(&w, "n");
    json_write_raw(&w, "r", span_str("{\"x\":1}"));
    json_write_end(&w);
    json_write_newline(&w);
    json_write_array(&w, NULL);
    for (int i = 0; i < 2; i++) {
        json_write_object(&w, NULL);
        json_write_int(&w, "i", i);
        json_write_end(&w);
    }
    json_write_end(&w);
    written(&w, "{\"a\":[-9223372036854775808,18446744073709551615,{},[]],\"t\":true,\"n\":null,"
                "\"r\":{\"x\":1}}\n[{\"i\":0},{\"i\":1}]");
}

static void
the_writer_disarms_text(void **state)
{
    struct json_write w;

    (void)state;
    json_write_init(&w, NULL, NULL);
    json_write_str(&w, NULL, "<img onerror=x>&\"\\\n\x1b\x7f");
    written(&w, "\"\\u003cimg onerror=x\\u003e\\u0026\\\"\\\\\\n\\u001b\\u007f\"");
    json_write_str(&w, NULL, "\xe2\x80\xa8\xe2\x80\xae\xc2\x9b Z\xc3\xbc\xf0\x9f\x96\xa5");
    written(&w, "\"\\u2028\\u202e\\u009b Z\xc3\xbc\xf0\x9f\x96\xa5\"");
    json_write_str(&w, NULL, "a\xff\xed\xa0\x80z");
    written(&w, "\"a\\ufffd\\ufffd\\ufffd\\ufffdz\"");
    json_write_text(&w, NULL, span_of("a\0b", 3));
    written(&w, "\"a\\u0000b\"");
}

struct sunk {
    char bytes[JSON_WRITE_CHUNK * 4];
    size_t len, calls;
};

static enum err
sink(void *ctx, struct span bytes)
{
    struct sunk *sunk = ctx;

    if (sunk->len + bytes.len > sizeof(sunk->bytes))
        return ERR_FULL;
    memcpy(sunk->bytes + sunk->len, bytes.ptr, bytes.len);
    sunk->len += bytes.len;
    sunk->calls++;
    return OK;
}

static void
a_sink_gets_chunks_and_stops_the_writer(void **state)
{
    static struct sunk sunk;
    struct json_write w;

    (void)state;
    json_write_init(&w, sink, &sunk);
    json_write_array(&w, NULL);
    for (unsigned i = 0; i < 10000; i++)
        json_write_uint(&w, NULL, 1234);
    json_write_end(&w);
    assert_int_equal(json_write_done(&w), OK);
    assert_int_equal(sunk.len, 10000 * 5 + 1);
    assert_true(sunk.calls >= 3 && w.cap <= JSON_WRITE_CHUNK * 2);
    for (unsigned i = 0; i < 10000; i++)
        json_write_uint(&w, NULL, 1234);
    assert_int_equal(json_write_done(&w), ERR_FULL);
    json_write_fini(&w);
}

static void
every_problem_has_a_row(void **state)
{
    static const uint64_t events[] = {7, 9};
    struct problem p = {PROBLEM_TOO_OFTEN, "Wait a <minute>", "name", "r-1", events, 2, 30};
    struct json_write w;

    (void)state;
    for (int c = 0; c < PROBLEM_CODES; c++) {
        const struct problem_row *row = problem_row((enum problem_code)c);

        assert_true(row->status >= 400 && row->status < 600 && row->title != NULL);
        for (int d = 0; d < c; d++)
            assert_string_not_equal(row->code, problem_row((enum problem_code)d)->code);
    }
    json_write_init(&w, NULL, NULL);
    problem_write(&p, &w);
    written(&w, "{\"type\":\"urn:gatehouse:problem:too_often\",\"title\":\"Too many attempts\","
                "\"status\":429,\"code\":\"too_often\",\"detail\":\"Wait a \\u003cminute\\u003e\","
                "\"field\":\"name\",\"reference\":\"r-1\",\"retry_after\":30,\"events\":[7,9]}");
    p = (struct problem){.code = PROBLEM_NOT_FOUND};
    problem_write(&p, &w);
    written(&w, "{\"type\":\"urn:gatehouse:problem:not_found\",\"title\":\"Not found\","
                "\"status\":404,\"code\":\"not_found\"}");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_bodies_are_refused_by_name),
        cmocka_unit_test(a_good_body_fills_the_struct),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(errors_never_quote_the_input),
        cmocka_unit_test(content_type_is_json_or_nothing),
        cmocka_unit_test(the_writer_nests_and_separates),
        cmocka_unit_test(the_writer_disarms_text),
        cmocka_unit_test(a_sink_gets_chunks_and_stops_the_writer),
        cmocka_unit_test(every_problem_has_a_row),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
