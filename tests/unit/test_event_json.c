/* test_event_json.c: events as JSON, to the byte: what clients and tools build on. */
#include "core/event_json.h"
#include "core/pack.h"
#include "tests/unit/testing.h"

#include <stdlib.h>

static struct id
id_of(uint8_t byte)
{
    struct id id;

    memset(id.b, byte, sizeof(id.b));
    return id;
}

static struct tag
tag_of(uint8_t byte)
{
    struct tag tag;

    memset(tag.b, byte, sizeof(tag.b));
    return tag;
}

static void
expect(const struct event *ev, const struct fields *personal, uint32_t count, const char *json)
{
    struct json_write w;

    json_write_init(&w, NULL, NULL);
    event_json(&w, NULL, ev, personal, count);
    assert_int_equal(json_write_done(&w), OK);
    if (w.len != strlen(json) || memcmp(w.buf, json, w.len) != 0)
        fail_msg("got:      %.*s\nexpected: %s", (int)w.len, (const char *)w.buf, json);
    json_write_fini(&w);
}

static void
add_strs(struct fields *f, enum field field, uint8_t *buf, size_t cap, const char *a, const char *b)
{
    struct pack p;

    pack_init(&p, buf, cap);
    pack_array(&p, 2);
    pack_str(&p, span_str(a));
    pack_str(&p, span_str(b));
    fields_add_span(f, field, pack_span(&p));
}

static void
a_session_is_opened(void **state)
{
    struct id channel = id_of(0xff);
    struct event ev = {.seq = 7,
        .wall_us = 1790000001500000,
        .eff_us = 1790000000000001,
        .type = EV_SESSION_OPENED,
        .v = 1,
        .id = id_of(1),
        .actor = {.kind = ACTOR_USER, .id = id_of(2), .family = id_of(3)},
        .subject = {.session = id_of(4), .machine = id_of(5), .user = id_of(2)},
        .sealed_count = 2,
        .has_policy = true};
    struct fields personal[2] = {{0}};

    (void)state;
    memset(ev.policy.b, 0xab, sizeof(ev.policy.b));
    ev.actor.tags.net = tag_of(0x0f);
    fields_add_u64(&ev.data, FIELD_N, 1);
    fields_add_u64(&ev.data, FIELD_EXPIRES_US, 1790014400000001);
    fields_add_span(&ev.data, FIELD_CONSENT_MODE, span_str("unattended"));
    fields_add_id(&ev.data, FIELD_CHANNEL, &channel);
    fields_add_span(&personal[1], FIELD_ADDRESS, span_str("192.0.2.1"));
    fields_add_span(&personal[1], FIELD_USER_AGENT, span_str("<img onerror=\"x\">\n"));
    expect(&ev, personal, 2,
        "{\"seq\":7,\"id\":\"evt_01040g2081040g2081040g2081\",\"type\":\"session.opened\",\"v\""
        ":1,\"time\":\"2026-09-21T14:13:20.000001Z\",\"wall_time\":\"2026-09-21T14:13:21.500000"
        "Z\",\"actor\":{\"kind\":\"user\",\"id\":\"usr_02081040g2081040g2081040g2\",\"family\":"
        "\"tok_030c1g60r30c1g60r30c1g60r3\",\"net\":\"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f\"},\"sub"
        "ject\":{\"session\":\"ses_040g2081040g2081040g208104\",\"machine\":\"mch_050m2ga1850m2"
        "ga1850m2ga185\",\"user\":\"usr_02081040g2081040g2081040g2\"},\"data\":{\"n\":1,\"expir"
        "es\":\"2026-09-21T18:13:20.000001Z\",\"consent_mode\":\"unattended\",\"channel\":\"chn"
        "_7zzzzzzzzzzzzzzzzzzzzzzzzz\"},\"personal\":{\"address\":\"192.0.2.1\",\"user_agent\":"
        "\"\\u003cimg onerror=\\\"x\\\"\\u003e\\n\"},\"sealed\":1,\"policy\":\"abababababababab"
        "abababababababababababababababababababababababab\"}");
}

static void
lists_and_signatures(void **state)
{
    struct event ev = {.type = EV_MACHINE_ENROLLED, .v = 1, .id = id_of(1)};
    uint8_t services[64], cosigned[64], sig[3] = {1, 2, 3};
    struct pack p;

    (void)state;
    ev.actor.kind = ACTOR_AGENT;
    add_strs(&ev.data, FIELD_SERVICES, services, sizeof(services), "shell", "tcp:ssh");
    pack_init(&p, cosigned, sizeof(cosigned));
    pack_array(&p, 3);
    pack_str(&p, span_str("hello"));
    pack_bin(&p, span_str("st"));
    pack_bin(&p, span_of(sig, sizeof(sig)));
    fields_add_span(&ev.data, FIELD_COSIGNED, pack_span(&p));
    expect(&ev, NULL, 0,
        "{\"seq\":0,\"id\":\"evt_01040g2081040g2081040g2081\",\"type\":\"machine.enrolled\",\"v"
        "\":1,\"time\":\"1970-01-01T00:00:00.000000Z\",\"wall_time\":\"1970-01-01T00:00:00.0000"
        "00Z\",\"actor\":{\"kind\":\"agent\"},\"subject\":{},\"data\":{\"services\":[\"shell\","
        "\"tcp:ssh\"],\"cosigned\":{\"purpose\":\"hello\",\"statement\":\"c3Q=\",\"sig\":\"AQID"
        "\"}}}");
}

static void
rows_and_what_nobody_knows(void **state)
{
    struct event ev = {.type = (enum event_type)999, .v = 2, .eff_us = -1};
    uint8_t rows[64], odd[] = {0xc3};
    struct id tag = id_of(9);
    struct pack p;

    (void)state;
    pack_init(&p, rows, sizeof(rows));
    pack_array(&p, 2);
    pack_array(&p, 3);
    pack_bin(&p, span_of(tag.b, ID_BYTES));
    pack_u64(&p, UINT64_MAX);
    pack_i64(&p, -5);
    pack_bool(&p, true);
    fields_add_span(&ev.data, FIELD_ROWS, pack_span(&p));
    fields_add_span(&ev.data, (enum field)250, span_of(odd, 1));
    fields_add_u64(&ev.data, FIELD_WALL_ERROR_US, (uint64_t)-7);
    fields_add_u64(&ev.data, FIELD_GUEST, 1);
    ev.sealed_count = 1;
    expect(&ev, NULL, 0,
        "{\"seq\":0,\"type\":\"unknown.999\",\"v\":2,\"time\":\"1969-12-31T23:59:59.999999Z\","
        "\"wall_time\":\"1970-01-01T00:00:00.000000Z\",\"actor\":{\"kind\":\"nobody\"},\"subjec"
        "t\":{},\"data\":{\"rows\":[[\"09090909090909090909090909090909\",18446744073709551615,"
        "-5],true],\"250\":\"ww==\",\"wall_error_us\":-7,\"guest\":true},\"sealed\":1}");
}

static void
what_does_not_fit_its_kind_is_shown_as_bytes(void **state)
{
    struct event ev = {.type = EV_HEARTBEAT, .v = 1};

    (void)state;
    ev.actor.kind = ACTOR_SERVER;
    fields_add_span(&ev.data, FIELD_CHANNEL, span_str("short"));
    fields_add_span(&ev.data, FIELD_LABELS, span_str("\xc1"));
    fields_add_span(&ev.data, FIELD_COSIGNED, span_str("\x91\x01"));
    fields_add_span(&ev.data, FIELD_WHY, span_str("a\xff"));
    expect(&ev, NULL, 0,
        "{\"seq\":0,\"type\":\"heartbeat\",\"v\":1,\"time\":\"1970-01-01T00:00:00.000000Z\",\"w"
        "all_time\":\"1970-01-01T00:00:00.000000Z\",\"actor\":{\"kind\":\"server\"},\"subject\""
        ":{},\"data\":{\"channel\":\"c2hvcnQ=\",\"labels\":\"wQ==\",\"cosigned\":[1],\"why\":\""
        "a\\ufffd\"}}");
}

static const struct {
    int64_t us;
    const char *text;
} times[] = {
    {0, "1970-01-01T00:00:00.000000Z"},
    {-1, "1969-12-31T23:59:59.999999Z"},
    {951782400000000, "2000-02-29T00:00:00.000000Z"},
    {1709164799999999, "2024-02-28T23:59:59.999999Z"},
    {4107542400000000, "2100-03-01T00:00:00.000000Z"},
    {253402300799999999, "9999-12-31T23:59:59.999999Z"},
    {-62135596800000000, "0001-01-01T00:00:00.000000Z"},
};

static void
times_there_and_back(void **state)
{
    char text[EVENT_TIME_TEXT];
    int64_t us;

    (void)state;
    for (size_t i = 0; i < ROWS(times); i++) {
        event_time_text(times[i].us, text);
        assert_string_equal(text, times[i].text);
        assert_int_equal(event_time_parse(span_str(text), &us), OK);
        assert_int_equal(us, times[i].us);
    }
    event_time_text(INT64_MAX, text);
    event_time_text(INT64_MIN, text);
}

static const struct {
    const char *text;
    enum err err;
    int64_t us;
} parses[] = {
    {"1970-01-01T00:00:01Z", OK, 1000000},
    {"1970-01-01t00:00:01.5z", OK, 1500000},
    {"1970-01-01T01:00:00+01:00", OK, 0},
    {"1969-12-31T22:30:00-01:30", OK, 0},
    {"1970-01-01T00:00:00.1234567Z", OK, 123456},
    {"2016-12-31T23:59:60Z", OK, 1483228800000000},
    {"1970-01-01T00:00:01", ERR_MALFORMED, 0},
    {"1970-01-01 00:00:01Z", ERR_MALFORMED, 0},
    {"1970-02-29T00:00:00Z", ERR_MALFORMED, 0},
    {"1970-13-01T00:00:00Z", ERR_MALFORMED, 0},
    {"1970-00-01T00:00:00Z", ERR_MALFORMED, 0},
    {"1970-01-01T24:00:00Z", ERR_MALFORMED, 0},
    {"1970-01-01T00:00:00.Z", ERR_MALFORMED, 0},
    {"1970-01-01T00:00:00.1234567890Z", ERR_MALFORMED, 0},
    {"1970-01-01T00:00:00+1:00", ERR_MALFORMED, 0},
    {"1970-01-01T00:00:00Zx", ERR_MALFORMED, 0},
    {"-1970-01-01T00:00:00Z", ERR_MALFORMED, 0},
    {"now", ERR_MALFORMED, 0},
    {"", ERR_MALFORMED, 0},
};

static void
times_are_read_strictly(void **state)
{
    int64_t us;

    (void)state;
    for (size_t i = 0; i < ROWS(parses); i++) {
        assert_int_equal(event_time_parse(span_str(parses[i].text), &us), parses[i].err);
        if (parses[i].err == OK)
            assert_int_equal(us, parses[i].us);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_is_opened),
        cmocka_unit_test(lists_and_signatures),
        cmocka_unit_test(rows_and_what_nobody_knows),
        cmocka_unit_test(what_does_not_fit_its_kind_is_shown_as_bytes),
        cmocka_unit_test(times_there_and_back),
        cmocka_unit_test(times_are_read_strictly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
