/* auth.h: the credentials of people, as they travel: access tokens in Authorization, refresh tokens
 * in a cookie or a body. Only their form is looked at here; what they are worth, jwt.h and the
 * ledger say. Pure but for reading the request; loops. */
#ifndef HTTP_AUTH_H
#define HTTP_AUTH_H

#include "http/app.h"

#define AUTH_COOKIE      "__Secure-gatehouse-refresh"
#define AUTH_COOKIE_TEXT 320 /* of a Set-Cookie value */
/* How long a browser keeps the cookie: what it is worth by then, the log says (design section 7:
 * a family ends after 12 h). */
#define AUTH_COOKIE_S (12 * 60 * 60)

/* "Bearer <token>", once. False: none, or not of this form. */
bool auth_bearer(const struct request *request, struct span *token);

/* What a browser shows that was let in before (RFC 6265bis: __Host- binds it to this host alone).
 */
#define AUTH_DEVICE_COOKIE "__Host-gatehouse-device"
#define AUTH_DEVICE_S      (365 * 24 * 60 * 60)

enum auth_cookie {
    AUTH_COOKIE_NONE,
    AUTH_COOKIE_ONE,
    AUTH_COOKIE_AMBIGUOUS, /* given twice: nobody can say which was meant */
};
enum auth_cookie auth_cookie(const struct request *request, const char *name, struct span *value);

/* Set-Cookie with the token, or, with NULL, one that takes it away. */
void auth_cookie_text(const char *token, char out[AUTH_COOKIE_TEXT]);

void auth_device_cookie_text(const char *token, char out[AUTH_COOKIE_TEXT]);

/* A browser's request by our own page, or one of the allowed: exactly one Origin, exactly equal. */
bool auth_origin(const struct app *app, const struct request *request);

/* The access token for what the ledger has just decided; lifetime in whole seconds. */
MUST_USE enum err auth_issue(const struct app *app, const struct reply *reply,
    char token[JWT_BYTES_MAX], size_t *len, int64_t *expires_in);

#endif
