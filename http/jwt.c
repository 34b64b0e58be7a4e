/* jwt.c: the one wrapper around libjwt. Any thread; holds no state but the keys it is given, which
 * a rotation exchanges under a lock. Never looks up a key by anything in the token but our own two
 * key ids, never fetches anything. */
#include "http/jwt.h"

#include "http/json_read.h"

#include <inttypes.h>
#include <jwt.h>
#include <pthread.h>
#include <sodium.h>

#define KID_BYTES    8
#define HEADER_MAX   160
#define MAC_TEXT_LEN 43 /* 32 bytes in base64url without padding */
#define ISSUER_MAX   ORIGIN_BYTES_MAX

struct jwt_key {
    uint8_t *secret; /* sodium_malloc; NULL: no such key */
    size_t len;
    char kid[KID_BYTES * 2 + 1];
    char header[HEADER_MAX]; /* the encoded header that libjwt writes for this key */
    size_t header_len;
};

struct jwt_keys {
    pthread_rwlock_t lock;
    struct jwt_key current, previous;
    int64_t previous_end_s;
    char issuer[ISSUER_MAX + 1];
};

const char *
jwt_fault_name(enum jwt_fault fault)
{
    switch (fault) {
    case JWT_FINE: return "fine";
    case JWT_TOO_LONG: return "too_long";
    case JWT_FORM: return "form";
    case JWT_HEADER: return "header";
    case JWT_KEY_ENDED: return "key_ended";
    case JWT_SIGNATURE: return "signature";
    case JWT_CLAIMS: return "claims";
    case JWT_ISSUER: return "issuer";
    case JWT_AUDIENCE_FAULT: return "audience";
    case JWT_EARLY: return "early";
    case JWT_EXPIRED: return "expired";
    }
    return "unknown";
}

/* Signs `payload`; the result is malloc'd by libjwt. */
static char *
encode(const struct jwt_key *key, const char *payload)
{
    char *token = NULL;
    jwt_t *jwt = NULL;

    if (jwt_new(&jwt) != 0)
        return NULL;
    if (jwt_add_grants_json(jwt, payload) == 0 &&
        jwt_set_alg(jwt, JWT_ALG_HS256, key->secret, (int)key->len) == 0 &&
        jwt_add_header(jwt, "kid", key->kid) == 0)
        token = jwt_encode_str(jwt);
    jwt_free(jwt);
    return token;
}

/* The key id tells which secret, not what it is: half of a keyed hash. */
static void
name_key(struct jwt_key *key)
{
    static const uint8_t context[] = "gatehouse-jwt-kid-v1";
    uint8_t kid[crypto_generichash_BYTES_MIN], digest[crypto_hash_sha256_BYTES];

    crypto_hash_sha256(digest, key->secret, key->len);
    crypto_generichash(kid, sizeof(kid), context, sizeof(context) - 1, digest, sizeof(digest));
    sodium_bin2hex(key->kid, sizeof(key->kid), kid, KID_BYTES);
    sodium_memzero(digest, sizeof(digest));
}

static enum err
key_init(struct jwt_key *key, struct span secret)
{
    char *sample, *dot;
    enum err err = ERR_MEMORY;

    if (secret.len < JWT_SECRET_CHARS_MIN || secret.len > JWT_SECRET_CHARS_MAX)
        return ERR_LIMIT;
    if ((key->secret = sodium_malloc(secret.len)) == NULL)
        return ERR_MEMORY;
    memcpy(key->secret, secret.ptr, secret.len);
    key->len = secret.len;
    name_key(key);
    if ((sample = encode(key, "{}")) == NULL)
        return ERR_MEMORY;
    dot = strchr(sample, '.');
    if (dot != NULL && (size_t)(dot - sample) < HEADER_MAX) {
        key->header_len = (size_t)(dot - sample);
        memcpy(key->header, sample, key->header_len);
        err = OK;
    }
    free(sample);
    return err;
}

enum err
jwt_keys_new(struct span secret, struct span previous, int64_t previous_end_s, const char *issuer,
    struct jwt_keys **out)
{
    struct jwt_keys *keys;
    enum err err;

    *out = NULL;
    if (strlen(issuer) > ISSUER_MAX)
        return ERR_LIMIT;
    if (sodium_init() < 0 || (keys = calloc(1, sizeof(*keys))) == NULL)
        return ERR_MEMORY;
    INVARIANT(pthread_rwlock_init(&keys->lock, NULL) == 0);
    snprintf(keys->issuer, sizeof(keys->issuer), "%s", issuer);
    keys->previous_end_s = previous_end_s;
    if ((err = key_init(&keys->current, secret)) == OK && previous.len > 0)
        err = key_init(&keys->previous, previous);
    if (err != OK) {
        jwt_keys_free(keys);
        return err;
    }
    *out = keys;
    return OK;
}

void
jwt_keys_free(struct jwt_keys *keys)
{
    if (keys == NULL)
        return;
    sodium_free(keys->current.secret);
    sodium_free(keys->previous.secret);
    pthread_rwlock_destroy(&keys->lock);
    free(keys);
}

enum err
jwt_keys_rotate(struct jwt_keys *keys, struct span secret, int64_t previous_end_s)
{
    struct jwt_key next = {0}, gone, before = {0};
    enum err err = key_init(&next, secret);

    if (err != OK) {
        sodium_free(next.secret);
        return err;
    }
    INVARIANT(pthread_rwlock_wrlock(&keys->lock) == 0);
    gone = keys->previous;
    if (previous_end_s != 0)
        keys->previous = keys->current;
    else {
        before = keys->current;
        keys->previous = (struct jwt_key){0};
    }
    keys->current = next;
    keys->previous_end_s = previous_end_s;
    pthread_rwlock_unlock(&keys->lock);
    sodium_free(gone.secret);
    sodium_free(before.secret);
    return OK;
}

enum err
jwt_issue(
    struct jwt_keys *keys, const struct jwt_claims *claims, char out[JWT_BYTES_MAX], size_t *len)
{
    char user[ID_TEXT_BYTES], family[ID_TEXT_BYTES], payload[512];
    char *token;

    INVARIANT(claims->expires_s > claims->issued_s &&
              claims->expires_s - claims->issued_s <= JWT_ACCESS_S);
    id_text(ID_USER, &claims->user, user);
    id_text(ID_FAMILY, &claims->family, family);
    snprintf(payload, sizeof(payload),
        "{\"iss\":\"%s\",\"aud\":\"" JWT_AUDIENCE "\",\"sub\":\"%s\",\"jti\":\"%s.%" PRIu64
        "\",\"fam\":\"%s\",\"iat\":%" PRId64 ",\"nbf\":%" PRId64 ",\"exp\":%" PRId64 "}",
        keys->issuer, user, family, claims->number, family, claims->issued_s, claims->issued_s,
        claims->expires_s);
    INVARIANT(pthread_rwlock_rdlock(&keys->lock) == 0);
    token = encode(&keys->current, payload);
    pthread_rwlock_unlock(&keys->lock);
    if (token == NULL)
        return ERR_MEMORY;
    *len = strlen(token);
    INVARIANT(*len < JWT_BYTES_MAX);
    memcpy(out, token, *len + 1);
    sodium_memzero(token, *len);
    free(token);
    return OK;
}

/* ---- checking, in the order of jwt_check ---- */

struct parts {
    struct span header, payload, signature;
    struct span covered; /* header '.' payload: what the MAC is over */
};

static bool
split(struct span token, struct parts *p)
{
    const uint8_t *first, *second;
    const uint8_t *end = token.ptr + token.len;

    if (token.len == 0 || (first = memchr(token.ptr, '.', token.len)) == NULL)
        return false;
    if ((second = memchr(first + 1, '.', (size_t)(end - first) - 1)) == NULL)
        return false;
    p->header = span_of(token.ptr, (size_t)(first - token.ptr));
    p->payload = span_of(first + 1, (size_t)(second - first) - 1);
    p->signature = span_of(second + 1, (size_t)(end - second) - 1);
    p->covered = span_of(token.ptr, (size_t)(second - token.ptr));
    return p->signature.len == MAC_TEXT_LEN && p->payload.len > 0;
}

static bool
header_is(const struct jwt_key *key, struct span header)
{
    return key->secret != NULL && span_equal(header, span_of(key->header, key->header_len));
}

/* Strict: libsodium refuses padding, foreign characters and set bits behind the end. */
static bool
base64url(struct span text, uint8_t *out, size_t size, size_t *len)
{
    const char *end;

    return sodium_base642bin(out, size, (const char *)text.ptr, text.len, NULL, len, &end,
               sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0 &&
           end == (const char *)text.ptr + text.len;
}

static bool
mac_fits(const struct jwt_key *key, const struct parts *p)
{
    crypto_auth_hmacsha256_state state;
    uint8_t want[crypto_auth_hmacsha256_BYTES], got[crypto_auth_hmacsha256_BYTES];
    size_t len;
    bool fits;

    if (!base64url(p->signature, got, sizeof(got), &len) || len != sizeof(got))
        return false;
    crypto_auth_hmacsha256_init(&state, key->secret, key->len);
    crypto_auth_hmacsha256_update(&state, p->covered.ptr, p->covered.len);
    crypto_auth_hmacsha256_final(&state, want);
    fits = sodium_memcmp(want, got, sizeof(want)) == 0;
    sodium_memzero(&state, sizeof(state));
    sodium_memzero(want, sizeof(want));
    return fits;
}

/* libjwt must come to the same verdict: two implementations, both have to agree. */
static bool
libjwt_agrees(const struct jwt_key *key, struct span token)
{
    char text[JWT_BYTES_MAX + 1];
    jwt_t *jwt = NULL;
    bool agrees;

    memcpy(text, token.ptr, token.len);
    text[token.len] = '\0';
    agrees = jwt_decode(&jwt, text, key->secret, (int)key->len) == 0 &&
             jwt_get_alg(jwt) == JWT_ALG_HS256;
    jwt_free(jwt);
    return agrees;
}

struct raw_claims {
    struct span iss, aud, sub, jti, fam;
    int64_t iat, nbf, exp;
};

#define TEXT_CLAIM(member)                                                                         \
    {                                                                                              \
#member, JSON_KIND_TEXT, true, 1, 128, 0, offsetof(struct raw_claims, member)              \
    }
#define TIME_CLAIM(member)                                                                         \
    {                                                                                              \
#member, JSON_KIND_INT, true, 0, INT64_C(1) << 40, 0, offsetof(struct raw_claims, member)  \
    }

static const struct json_field claim_fields[] = {
    TEXT_CLAIM(iss),
    TEXT_CLAIM(aud),
    TEXT_CLAIM(sub),
    TEXT_CLAIM(jti),
    TEXT_CLAIM(fam),
    TIME_CLAIM(iat),
    TIME_CLAIM(nbf),
    TIME_CLAIM(exp),
};

/* jti is exactly "<fam>.<n>", n decimal without leading zeros. */
static bool
jti_parse(struct span jti, struct span fam, uint64_t *number)
{
    uint64_t n = 0;
    size_t i = fam.len + 1;

    if (jti.len <= i || jti.len > i + 19 || memcmp(jti.ptr, fam.ptr, fam.len) != 0 ||
        jti.ptr[fam.len] != '.' || (jti.ptr[i] == '0' && jti.len > i + 1))
        return false;
    for (; i < jti.len; i++) {
        if (jti.ptr[i] < '0' || jti.ptr[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(jti.ptr[i] - '0');
    }
    *number = n;
    return true;
}

static enum jwt_fault
claims_judge(const struct jwt_keys *keys, const struct raw_claims *raw, int64_t now_s,
    struct jwt_claims *out)
{
    if (!span_is(raw->iss, keys->issuer))
        return JWT_ISSUER;
    if (!span_is(raw->aud, JWT_AUDIENCE))
        return JWT_AUDIENCE_FAULT;
    if (id_parse(ID_USER, raw->sub, &out->user) != OK ||
        id_parse(ID_FAMILY, raw->fam, &out->family) != OK ||
        !jti_parse(raw->jti, raw->fam, &out->number))
        return JWT_CLAIMS;
    if (raw->nbf != raw->iat || raw->exp <= raw->iat || raw->exp - raw->iat > JWT_ACCESS_S)
        return JWT_CLAIMS;
    if (now_s < raw->nbf)
        return JWT_EARLY;
    if (now_s >= raw->exp)
        return JWT_EXPIRED;
    out->issued_s = raw->iat;
    out->expires_s = raw->exp;
    return JWT_FINE;
}

static enum jwt_fault
claims_read(const struct jwt_keys *keys, struct span payload, int64_t now_s, struct jwt_claims *out)
{
    uint8_t text[JWT_BYTES_MAX];
    struct json_read_error error;
    struct json_body *body = NULL;
    struct raw_claims raw;
    enum jwt_fault fault = JWT_CLAIMS;
    uint32_t present;
    size_t len;

    if (base64url(payload, text, sizeof(text), &len) &&
        json_body_parse(span_of(text, len), &body, &error) == OK &&
        json_body_read(body, claim_fields, sizeof(claim_fields) / sizeof(claim_fields[0]), &raw,
            &present, &error) == OK)
        fault = claims_judge(keys, &raw, now_s, out);
    json_body_free(body);
    return fault;
}

/* With the lock held. */
static enum jwt_fault
check(const struct jwt_keys *keys, struct span token, int64_t now_s, struct jwt_claims *claims)
{
    const struct jwt_key *key = &keys->current;
    struct parts parts;

    if (token.len > JWT_BYTES_MAX)
        return JWT_TOO_LONG;
    if (!split(token, &parts) || memchr(token.ptr, 0, token.len) != NULL)
        return JWT_FORM;
    if (header_is(&keys->previous, parts.header)) {
        if (now_s >= keys->previous_end_s)
            return JWT_KEY_ENDED;
        key = &keys->previous;
    } else if (!header_is(key, parts.header)) {
        return JWT_HEADER;
    }
    if (!mac_fits(key, &parts))
        return JWT_SIGNATURE;
    if (!libjwt_agrees(key, token))
        return JWT_CLAIMS; /* the MAC was right: what it cannot read is the payload */
    return claims_read(keys, parts.payload, now_s, claims);
}

enum jwt_fault
jwt_check(struct jwt_keys *keys, struct span token, int64_t now_s, struct jwt_claims *claims)
{
    enum jwt_fault fault;

    INVARIANT(pthread_rwlock_rdlock(&keys->lock) == 0);
    fault = check(keys, token, now_s, claims);
    pthread_rwlock_unlock(&keys->lock);
    return fault;
}
