/* jwt.h: access tokens: RFC 7519 in the narrowest form that serves (RFC 8725). The only user of
 * libjwt, which alone is too generous: it takes the algorithm from the token, no expiry, duplicate
 * claims, and parses claims before it has checked the signature. Here: HS256 fixed, the header must
 * be byte for byte the one we issue, the MAC is compared in constant time before any claim is
 * looked at, every claim has one type, unknown and repeated ones are refused, and there is no
 * leeway. Times are seconds of eff time (floor of eff_us / 1e6). */
#ifndef HTTP_JWT_H
#define HTTP_JWT_H

#include "core/id.h"
#include "core/limits.h"

#define JWT_AUDIENCE "gatehouse-api"

enum jwt_fault {
    JWT_FINE = 0,
    JWT_TOO_LONG,  /* more than JWT_BYTES_MAX */
    JWT_FORM,      /* not three base64url parts */
    JWT_HEADER,    /* another algorithm, key id, type or member than ours */
    JWT_KEY_ENDED, /* signed with the previous secret, whose grace is over */
    JWT_SIGNATURE,
    JWT_CLAIMS, /* right MAC, but missing, repeated, unknown or ill-typed claims */
    JWT_ISSUER,
    JWT_AUDIENCE_FAULT,
    JWT_EARLY, /* nbf or iat in the future */
    JWT_EXPIRED,
};

struct jwt_claims {
    struct id user;
    struct id family;
    uint64_t number;   /* jti is "<family>.<number>" */
    int64_t issued_s;  /* iat, and nbf */
    int64_t expires_s; /* at most JWT_ACCESS_S later */
};

struct jwt_keys; /* any thread may use it, also while a rotation exchanges what is in it */

/* `issuer` is the log's origin. Secrets are copied into guarded memory. `previous` may be empty;
 * its tokens are taken while now < previous_end_s. */
enum err jwt_keys_new(struct span secret, struct span previous, int64_t previous_end_s,
    const char *issuer, struct jwt_keys **out) MUST_USE;
void jwt_keys_free(struct jwt_keys *keys);

/* Another secret from here on; tokens of the one so far are taken while now < previous_end_s (0:
 * not at all), those of the one before that no more. On error everything is as it was. */
enum err jwt_keys_rotate(
    struct jwt_keys *keys, struct span secret, int64_t previous_end_s) MUST_USE;

/* Writes the token and a NUL; returns its length. */
enum err jwt_issue(struct jwt_keys *keys, const struct jwt_claims *claims, char out[JWT_BYTES_MAX],
    size_t *len) MUST_USE;

/* `claims` is whole only with JWT_FINE. */
enum jwt_fault jwt_check(
    struct jwt_keys *keys, struct span token, int64_t now_s, struct jwt_claims *claims) MUST_USE;

/* For events and log lines: "expired"; the caller of the API learns only that it is a 401. */
const char *jwt_fault_name(enum jwt_fault fault);

#endif
