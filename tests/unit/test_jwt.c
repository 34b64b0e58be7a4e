/* test_jwt.c: forged, bent and stale tokens (B13, B14, RFC 8725). Every forgery is made here by
 * hand, so that what is tested is not what made it.
 * threads: yes */
#include "tests/unit/testing.h"

#include "http/jwt.h"

#include <inttypes.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define SECRET   "4pQmZ7vL2xRk9sTnW3bHc8YdJf6GaEu1oXiVrKq5NyMwPzBtUgSjDhClFeA0_-Q7kRz"
#define PREVIOUS "mN8bVcXzLkJhGfDsApOiUyTrEwQ1029384756qWeRtYuIoPaSdFgHjKlZxCvBnM_-7u"
#define OTHER    "zYxWvUtSrQpOnMlKjIhGfEdCbA9876543210_-aBcDeFgHiJkLmNoPqRsTuVwXyZ2k"
#define ISSUER   "gatehouse.test"
#define NOW      INT64_C(1000000)

static struct jwt_keys *keys;
static char good[JWT_BYTES_MAX]; /* a token that is fine at NOW */
static size_t good_len;
static char header[160], payload[600]; /* its parts, decoded */

static const struct jwt_claims claims = {.user = {{1, 2, 3}},
    .family = {{4, 5, 6}},
    .number = 7,
    .issued_s = NOW,
    .expires_s = NOW + 900};

static void
encode64(const void *bytes, size_t len, char *out, size_t size)
{
    sodium_bin2base64(out, size, bytes, len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

static void
decode_part(const char *token, int part, char *out, size_t size)
{
    const char *start = token, *end;
    size_t len;

    while (part-- > 0)
        start = strchr(start, '.') + 1;
    end = strchr(start, '.');
    assert_int_equal(sodium_base642bin((unsigned char *)out, size - 1, start, (size_t)(end - start),
                         NULL, &len, NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING),
        0);
    out[len] = '\0';
}

/* Signs any header and payload with any secret by HMAC-SHA256, as an attacker could. */
static const char *
forge(const char *head, const char *body, const char *secret)
{
    static char token[12000];
    unsigned char mac[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_state state;
    size_t n;

    encode64(head, strlen(head), token, sizeof(token));
    strncat(token, ".", 2);
    n = strlen(token);
    encode64(body, strlen(body), token + n, sizeof(token) - n);
    n = strlen(token);
    crypto_auth_hmacsha256_init(&state, (const unsigned char *)secret, strlen(secret));
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)token, n);
    crypto_auth_hmacsha256_final(&state, mac);
    token[n] = '.';
    encode64(mac, sizeof(mac), token + n + 1, sizeof(token) - n - 1);
    return token;
}

/* The good payload with one piece of text replaced. */
static const char *
bent(const char *from, const char *to)
{
    static char out[2000];
    char *at = strstr(payload, from);

    if (at == NULL)
        fail_msg("no %s in %s", from, payload);
    snprintf(out, sizeof(out), "%.*s%s%s", (int)(at - payload), payload, to, at + strlen(from));
    return out;
}

static enum jwt_fault
check(const char *token, int64_t now)
{
    struct jwt_claims out;

    return jwt_check(keys, span_str(token), now, &out);
}

static void
expect(const char *what, enum jwt_fault got, enum jwt_fault want)
{
    if (got != want)
        fail_msg("%s: %s instead of %s", what, jwt_fault_name(got), jwt_fault_name(want));
}

static int
setup(void **state)
{
    (void)state;
    if (sodium_init() < 0 ||
        jwt_keys_new(span_str(SECRET), span_str(PREVIOUS), NOW + 60, ISSUER, &keys) != OK ||
        jwt_issue(keys, &claims, good, &good_len) != OK)
        return -1;
    decode_part(good, 0, header, sizeof(header));
    decode_part(good, 1, payload, sizeof(payload));
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    jwt_keys_free(keys);
    return 0;
}

static void
what_was_issued_is_taken(void **state)
{
    struct jwt_claims out = {0};

    (void)state;
    assert_int_equal(good_len, strlen(good));
    expect("good", jwt_check(keys, span_str(good), NOW, &out), JWT_FINE);
    assert_memory_equal(&out.user, &claims.user, sizeof(out.user));
    assert_memory_equal(&out.family, &claims.family, sizeof(out.family));
    assert_int_equal(out.number, 7);
    assert_int_equal(out.issued_s, NOW);
    assert_int_equal(out.expires_s, NOW + 900);
    expect("by hand", check(forge(header, payload, SECRET), NOW), JWT_FINE);
}

static void
time_has_no_leeway(void **state)
{
    (void)state;
    expect("last second", check(good, NOW + 899), JWT_FINE);
    expect("expired", check(good, NOW + 900), JWT_EXPIRED);
    expect("early", check(good, NOW - 1), JWT_EARLY);
    expect("long ago", check(good, 0), JWT_EARLY);
    expect("far", check(good, INT64_MAX), JWT_EXPIRED);
}

static void
only_our_header_is_taken(void **state)
{
    static const char *const heads[] = {"{\"alg\":\"none\",\"typ\":\"JWT\"}", "{\"alg\":\"NONE\"}",
        "{\"typ\":\"JWT\"}", "{}", "", "{\"alg\":\"HS256\",\"typ\":\"JWT\"}",
        "{\"alg\":\"HS384\",\"kid\":\"KID\",\"typ\":\"JWT\"}",
        "{\"alg\":\"hs256\",\"kid\":\"KID\",\"typ\":\"JWT\"}",
        "{\"alg\":\"RS256\",\"kid\":\"KID\",\"typ\":\"JWT\"}",
        "{\"alg\":\"HS256\",\"kid\":\"KID\",\"typ\":\"JWT\",\"jku\":\"https://evil.example/\"}",
        "{\"alg\":\"HS256\",\"kid\":\"KID\",\"typ\":\"JWT\",\"jwk\":{}}",
        "{\"alg\":\"HS256\",\"kid\":\"KID\",\"typ\":\"JWT\",\"crit\":[\"exp\"]}",
        "{\"alg\":\"HS256\",\"b64\":false,\"kid\":\"KID\",\"typ\":\"JWT\"}",
        "{\"alg\":\"none\",\"alg\":\"HS256\",\"kid\":\"KID\",\"typ\":\"JWT\"}",
        "{\"alg\":\"HS256\",\"kid\":\"../../etc/passwd\",\"typ\":\"JWT\"}",
        "{\"alg\":\"HS256\",\"kid\":\"' OR 1=1\",\"typ\":\"JWT\"}",
        "{\"kid\":\"KID\",\"alg\":\"HS256\",\"typ\":\"JWT\"}",
        "{\"alg\": \"HS256\",\"kid\":\"KID\",\"typ\":\"JWT\"}", "[]", "\xff"};
    char kid[17], head[300];
    char *deep;

    (void)state;
    memcpy(kid, strstr(header, "\"kid\":\"") + 7, 16);
    kid[16] = '\0';
    for (size_t i = 0; i < ROWS(heads); i++) {
        const char *at = strstr(heads[i], "KID");

        if (at != NULL)
            snprintf(head, sizeof(head), "%.*s%s%s", (int)(at - heads[i]), heads[i], kid, at + 3);
        else
            snprintf(head, sizeof(head), "%s", heads[i]);
        expect(head, check(forge(head, payload, SECRET), NOW), JWT_HEADER);
    }
    if ((deep = malloc(2001)) == NULL)
        fail();
    memset(deep, '[', 2000);
    deep[2000] = '\0';
    expect("deep header", check(forge(deep, payload, SECRET), NOW), JWT_HEADER);
    free(deep);
}

static void
only_our_secret_signs(void **state)
{
    static const char pem[] = "-----BEGIN PUBLIC KEY-----\n"
                              "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
                              "-----END PUBLIC KEY-----\n";
    char token[JWT_BYTES_MAX + 8];
    const char *dot;

    (void)state;
    expect("other secret", check(forge(header, payload, OTHER), NOW), JWT_SIGNATURE);
    expect("PEM as secret", check(forge(header, payload, pem), NOW), JWT_SIGNATURE);
    expect("empty secret", check(forge(header, payload, ""), NOW), JWT_SIGNATURE);
    expect("previous secret, current kid", check(forge(header, payload, PREVIOUS), NOW),
        JWT_SIGNATURE);
    /* every single bit of the signature and of the payload counts */
    dot = strrchr(good, '.');
    for (size_t i = 0; i < good_len; i++) {
        memcpy(token, good, good_len + 1);
        token[i] = token[i] == 'A' ? 'B' : 'A';
        if (token[i] != good[i] && good[i] != '.' && check(token, NOW) == JWT_FINE)
            fail_msg("taken with character %zu changed", i);
    }
    /* cut at any place, and with a tail */
    for (size_t i = 0; i < good_len; i++) {
        snprintf(token, sizeof(token), "%.*s", (int)i, good);
        expect("cut", check(token, NOW) == JWT_FINE, false);
    }
    snprintf(token, sizeof(token), "%s.", good);
    expect("a fourth part", check(token, NOW), JWT_FORM);
    snprintf(token, sizeof(token), "%sA", good);
    expect("a longer signature", check(token, NOW), JWT_FORM);
    snprintf(token, sizeof(token), "%.*s.", (int)(dot - good), good);
    expect("no signature", check(token, NOW), JWT_FORM);
    snprintf(token, sizeof(token), " %s", good);
    expect("a space before", check(token, NOW), JWT_HEADER);
}

static void
the_last_character_has_one_spelling(void **state)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    char token[JWT_BYTES_MAX];
    unsigned taken = 0;

    (void)state;
    memcpy(token, good, good_len + 1);
    for (size_t i = 0; i < sizeof(alphabet) - 1; i++) {
        token[good_len - 1] = alphabet[i];
        taken += check(token, NOW) == JWT_FINE;
    }
    assert_int_equal(taken, 1);
}

static void
claims_have_one_form(void **state)
{
    static const struct {
        const char *from, *to;
        enum jwt_fault want;
    } cases[] = {
        {"gatehouse.test", "gatehouse.test2", JWT_ISSUER},
        {"gatehouse.test", "", JWT_CLAIMS},
        {"gatehouse-api", "gatehouse-relay", JWT_AUDIENCE_FAULT},
        {"\"gatehouse-api\"", "[\"gatehouse-api\"]", JWT_CLAIMS},
        {"\"exp\":1000900", "\"exp\":\"1000900\"", JWT_CLAIMS},
        {"\"exp\":1000900", "\"exp\":1000900.0", JWT_CLAIMS},
        {"\"exp\":1000900", "\"exp\":1e400", JWT_CLAIMS},
        {"\"exp\":1000900", "\"exp\":99999999999999999999999", JWT_CLAIMS},
        {"\"exp\":1000900", "\"exp\":9223372036854775807", JWT_CLAIMS},
        {"\"exp\":1000900", "\"exp\":-1", JWT_CLAIMS},
        {"\"exp\":1000900", "\"exp\":null", JWT_CLAIMS},
        {"\"exp\":1000900", "\"exp\":true", JWT_CLAIMS},
        {"\"exp\":1000900", "\"exp\":1000901", JWT_CLAIMS}, /* longer than we ever issue */
        {"\"exp\":1000900", "\"exp\":1000000", JWT_CLAIMS},
        {"\"exp\":1000900,", "", JWT_CLAIMS},
        {"\"exp\":1000900", "\"exp\":1000900,\"exp\":1000800", JWT_CLAIMS},
        {"\"exp\":1000900", "\"exp\":1000900,\"role\":\"admin\"", JWT_CLAIMS},
        {"\"nbf\":1000000", "\"nbf\":999999", JWT_CLAIMS},
        {"\"iat\":1000000", "\"iat\":\"1000000\"", JWT_CLAIMS},
        {".7\"", ".07\"", JWT_CLAIMS},
        {".7\"", ".\"", JWT_CLAIMS},
        {".7\"", ".-7\"", JWT_CLAIMS},
        {".7\"", "7\"", JWT_CLAIMS},
        {".7\"", ".99999999999999999999\"", JWT_CLAIMS},
        {"\"jti\":\"tok_", "\"jti\":\"tok-", JWT_CLAIMS},
        {"\"sub\":\"usr_", "\"sub\":\"mch_", JWT_CLAIMS},
        {"\"fam\":\"tok_", "\"fam\":\"tok_0", JWT_CLAIMS},
    };

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        const char *body = bent(cases[i].from, cases[i].to);

        expect(body, check(forge(header, body, SECRET), NOW), cases[i].want);
    }
    expect("no object", check(forge(header, "[]", SECRET), NOW), JWT_CLAIMS);
    expect("no JSON", check(forge(header, "x", SECRET), NOW) == JWT_FINE, false);
    expect("empty", check(forge(header, "", SECRET), NOW), JWT_FORM);
}

static void
the_previous_secret_lives_for_its_grace(void **state)
{
    struct jwt_keys *old, *none;
    char token[JWT_BYTES_MAX];
    size_t len;

    (void)state;
    assert_int_equal(jwt_keys_new(span_str(PREVIOUS), span_of(NULL, 0), 0, ISSUER, &old), OK);
    assert_int_equal(jwt_issue(old, &claims, token, &len), OK);
    expect("in grace", check(token, NOW + 59), JWT_FINE);
    expect("after grace", check(token, NOW + 60), JWT_KEY_ENDED);
    assert_int_equal(
        jwt_keys_new(span_str(SECRET), span_of(NULL, 0), INT64_MAX, ISSUER, &none), OK);
    assert_int_equal(jwt_check(none, span_str(token), NOW, &(struct jwt_claims){0}), JWT_HEADER);
    jwt_keys_free(old);
    jwt_keys_free(none);
}

/* B15: in place, with and without a grace; and never a step back to the one before the last. */
static void
a_rotation_exchanges_the_secret_in_place(void **state)
{
    static const char third[] = "nW8rUe2Qy6Tk0Zp4Xs9Vb3Mg7Lc1Hd5JfAaRiOoKwNxPzStGuYqEvBjCmDhFl_-I";
    struct jwt_keys *k;
    char first[JWT_BYTES_MAX], second[JWT_BYTES_MAX];
    struct jwt_claims out;
    size_t len;

    (void)state;
    assert_int_equal(jwt_keys_new(span_str(SECRET), span_of(NULL, 0), 0, ISSUER, &k), OK);
    assert_int_equal(jwt_issue(k, &claims, first, &len), OK);
    assert_int_equal(jwt_keys_rotate(k, span_str(PREVIOUS), NOW + 60), OK);
    assert_int_equal(jwt_issue(k, &claims, second, &len), OK);
    expect("the new one", jwt_check(k, span_str(second), NOW, &out), JWT_FINE);
    expect("in grace", jwt_check(k, span_str(first), NOW + 59, &out), JWT_FINE);
    expect("after grace", jwt_check(k, span_str(first), NOW + 60, &out), JWT_KEY_ENDED);
    assert_int_equal(jwt_keys_rotate(k, span_of(third, 63), 0), ERR_LIMIT);
    expect("as it was", jwt_check(k, span_str(first), NOW + 59, &out), JWT_FINE);
    assert_int_equal(jwt_keys_rotate(k, span_str(third), 0), OK);
    expect("two before", jwt_check(k, span_str(first), NOW, &out), JWT_HEADER);
    expect("at once", jwt_check(k, span_str(second), NOW, &out), JWT_HEADER);
    jwt_keys_free(k);
}

static void *
checks_meanwhile(void *arg)
{
    struct jwt_keys *k = arg;
    struct jwt_claims out;
    char token[JWT_BYTES_MAX];
    size_t len;

    for (int i = 0; i < 200; i++) {
        enum jwt_fault fault;

        if (jwt_issue(k, &claims, token, &len) != OK)
            return "not issued";
        fault = jwt_check(k, span_str(token), NOW, &out);
        if (fault != JWT_FINE && fault != JWT_HEADER) /* rotated away twice in between */
            return "neither fine nor foreign";
    }
    return NULL;
}

static void
loops_check_while_it_rotates(void **state)
{
    pthread_t threads[3];
    struct jwt_keys *k;
    void *said;

    (void)state;
    assert_int_equal(jwt_keys_new(span_str(SECRET), span_of(NULL, 0), 0, ISSUER, &k), OK);
    for (size_t i = 0; i < ROWS(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, checks_meanwhile, k), 0);
    for (int i = 0; i < 50; i++)
        assert_int_equal(
            jwt_keys_rotate(k, span_str(i % 2 == 0 ? PREVIOUS : SECRET), NOW + 60), OK);
    for (size_t i = 0; i < ROWS(threads); i++) {
        assert_int_equal(pthread_join(threads[i], &said), 0);
        if (said != NULL)
            fail_msg("%s", (const char *)said);
    }
    jwt_keys_free(k);
}

static void
other_things_are_no_tokens(void **state)
{
    static char big[JWT_BYTES_MAX + 2];

    (void)state;
    expect("empty", check("", NOW), JWT_FORM);
    expect("dots", check("..", NOW), JWT_FORM);
    expect("one part", check("abc", NOW), JWT_FORM);
    expect("api key", check("gh_0123456789_abcdef", NOW), JWT_FORM);
    expect("refresh token", check("tok_00000000000000000000000000.7.MAC", NOW), JWT_FORM);
    memset(big, 'a', sizeof(big) - 1);
    expect("too long", check(big, NOW), JWT_TOO_LONG);
    assert_int_equal(
        jwt_check(keys, span_of("a.b\0.c", 6), NOW, &(struct jwt_claims){0}), JWT_FORM);
}

static void
short_secrets_make_no_keys(void **state)
{
    struct jwt_keys *none;

    (void)state;
    assert_int_equal(
        jwt_keys_new(span_of(SECRET, 63), span_of(NULL, 0), 0, ISSUER, &none), ERR_LIMIT);
    assert_null(none);
    assert_int_equal(
        jwt_keys_new(span_str(SECRET), span_str("short"), 0, ISSUER, &none), ERR_LIMIT);
    assert_int_equal(jwt_keys_new(span_of("", 0), span_of(NULL, 0), 0, ISSUER, &none), ERR_LIMIT);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_issued_is_taken),
        cmocka_unit_test(time_has_no_leeway),
        cmocka_unit_test(only_our_header_is_taken),
        cmocka_unit_test(only_our_secret_signs),
        cmocka_unit_test(the_last_character_has_one_spelling),
        cmocka_unit_test(claims_have_one_form),
        cmocka_unit_test(the_previous_secret_lives_for_its_grace),
        cmocka_unit_test(a_rotation_exchanges_the_secret_in_place),
        cmocka_unit_test(loops_check_while_it_rotates),
        cmocka_unit_test(other_things_are_no_tokens),
        cmocka_unit_test(short_secrets_make_no_keys),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
