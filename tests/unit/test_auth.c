/* test_auth.c: tokens in headers, refresh tokens in cookies, and whose page a browser shows. */
#include "http/auth.h"
#include "tests/unit/testing.h"

#include <sodium.h>

static struct http_field fields[4];

static struct request
request_with(const char *name, const char *value, const char *name2, const char *value2)
{
    struct request r = {.fields = fields};

    fields[r.field_count++] = (struct http_field){span_str(name), span_str(value)};
    if (name2 != NULL)
        fields[r.field_count++] = (struct http_field){span_str(name2), span_str(value2)};
    return r;
}

static void
bearer_tokens_are_read(void **state)
{
    static const struct {
        const char *value;
        const char *token; /* NULL: none */
    } cases[] = {
        {"Bearer abc.def.ghi", "abc.def.ghi"},
        {"bearer abc", "abc"},
        {"BEARER abc", "abc"},
        {"Bearer", NULL},
        {"Bearer ", NULL},
        {"Basic abc", NULL},
        {"Gatehouse-Code 123456789", NULL},
        {"", NULL},
    };
    struct request r;
    struct span token;

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        r = request_with("authorization", cases[i].value, NULL, NULL);
        assert_int_equal(auth_bearer(&r, &token), cases[i].token != NULL);
        if (cases[i].token != NULL)
            assert_true(span_is(token, cases[i].token));
    }
    r = request_with("authorization", "Bearer a", "authorization", "Bearer a");
    assert_false(auth_bearer(&r, &token));
    r = request_with("cookie", "a=b", NULL, NULL);
    assert_false(auth_bearer(&r, &token));
}

static void
the_refresh_cookie_is_found_among_others(void **state)
{
    static const struct {
        const char *first, *second; /* Cookie lines */
        enum auth_cookie found;
        const char *value;
    } cases[] = {
        {AUTH_COOKIE "=x.1.y", NULL, AUTH_COOKIE_ONE, "x.1.y"},
        {"a=b; " AUTH_COOKIE "=x; c=d", NULL, AUTH_COOKIE_ONE, "x"},
        {"a=b;" AUTH_COOKIE "=x", NULL, AUTH_COOKIE_ONE, "x"},
        {"a=b", AUTH_COOKIE "=x", AUTH_COOKIE_ONE, "x"},
        {AUTH_COOKIE "=", NULL, AUTH_COOKIE_ONE, ""},
        {"a=b", NULL, AUTH_COOKIE_NONE, NULL},
        {"x" AUTH_COOKIE "=x", NULL, AUTH_COOKIE_NONE, NULL},
        {AUTH_COOKIE "2=x", NULL, AUTH_COOKIE_NONE, NULL},
        {AUTH_COOKIE, NULL, AUTH_COOKIE_NONE, NULL},
        {"__secure-gatehouse-refresh=x", NULL, AUTH_COOKIE_NONE, NULL},
        {AUTH_COOKIE "=x; " AUTH_COOKIE "=y", NULL, AUTH_COOKIE_AMBIGUOUS, NULL},
        {AUTH_COOKIE "=x", AUTH_COOKIE "=x", AUTH_COOKIE_AMBIGUOUS, NULL},
    };

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct request r = request_with(
            "cookie", cases[i].first, cases[i].second != NULL ? "cookie" : NULL, cases[i].second);
        struct span value = {NULL, 0};

        assert_int_equal(auth_cookie(&r, AUTH_COOKIE, &value), cases[i].found);
        if (cases[i].value != NULL)
            assert_true(span_is(value, cases[i].value));
    }
}

static void
the_cookie_is_for_us_alone(void **state)
{
    char text[AUTH_COOKIE_TEXT];

    (void)state;
    auth_cookie_text("a.0.b", text);
    assert_string_equal(text, "__Secure-gatehouse-refresh=a.0.b; Path=/api/auth; Max-Age=43200; "
                              "HttpOnly; Secure; SameSite=Strict");
    auth_cookie_text(NULL, text);
    assert_string_equal(text, "__Secure-gatehouse-refresh=; Path=/api/auth; Max-Age=0; "
                              "HttpOnly; Secure; SameSite=Strict");
}

static void
origins_are_compared_whole(void **state)
{
    static const struct {
        const char *origin;
        bool ours;
    } cases[] = {
        {"https://gate.example", true},
        {"https://help.example:8443", true},
        {"https://two.example", true},
        {"https://gate.example.evil.example", false},
        {"https://gate.example/", false},
        {"https://Gate.example", false},
        {"http://gate.example", false},
        {"https://gate.example:443", false},
        {"https://help.example", false},
        {"null", false},
        {"", false},
        {",", false},
        {"https://help.example:8443, https://two.example", false},
    };
    struct app *app = calloc(1, sizeof(*app));
    struct request r;

    (void)state;
    app->public_url = "https://gate.example";
    app->allowed_origins = "https://help.example:8443, https://two.example";
    for (size_t i = 0; i < ROWS(cases); i++) {
        r = request_with("origin", cases[i].origin, NULL, NULL);
        assert_int_equal(auth_origin(app, &r), cases[i].ours);
    }
    r = request_with("host", "gate.example", NULL, NULL);
    assert_false(auth_origin(app, &r));
    r = request_with("origin", "https://gate.example", "origin", "https://gate.example");
    assert_false(auth_origin(app, &r));
    app->public_url = "";
    app->allowed_origins = NULL;
    r = request_with("origin", "", NULL, NULL);
    assert_false(auth_origin(app, &r));
    free(app);
}

static void
tokens_last_whole_seconds(void **state)
{
    static const char secret[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    struct app *app = calloc(1, sizeof(*app));
    struct reply reply = {.user = {{1}},
        .family = {{2}},
        .token_n = 3,
        .issued_us = 1790000000999999,
        .expires_us = 1790000900999999};
    struct jwt_claims claims;
    char token[JWT_BYTES_MAX];
    int64_t expires_in;
    size_t len;

    (void)state;
    assert_true(sodium_init() >= 0);
    assert_int_equal(
        jwt_keys_new(span_str(secret), span_str(""), 0, "gate.example", &app->jwt), OK);
    assert_int_equal(auth_issue(app, &reply, token, &len, &expires_in), OK);
    assert_int_equal(expires_in, 900);
    assert_int_equal(jwt_check(app->jwt, span_of(token, len), 1790000000, &claims), JWT_FINE);
    assert_int_equal(claims.number, 3);
    assert_true(id_equal(&claims.user, &reply.user) && id_equal(&claims.family, &reply.family));
    assert_int_equal(jwt_check(app->jwt, span_of(token, len), 1790000900, &claims), JWT_EXPIRED);
    jwt_keys_free(app->jwt);
    free(app);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bearer_tokens_are_read),
        cmocka_unit_test(the_refresh_cookie_is_found_among_others),
        cmocka_unit_test(the_cookie_is_for_us_alone),
        cmocka_unit_test(origins_are_compared_whole),
        cmocka_unit_test(tokens_last_whole_seconds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
