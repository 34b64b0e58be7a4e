/* auth.c: reading and writing the credentials of people. Runs on loops. */
#include "http/auth.h"

#include <strings.h>

bool
auth_bearer(const struct request *request, struct span *token)
{
    static const char scheme[] = "Bearer ";
    const size_t n = sizeof(scheme) - 1;
    const struct span *field = http_field(request, "authorization");

    if (field == NULL || http_field_count(request, "authorization") != 1 || field->len <= n ||
        strncasecmp((const char *)field->ptr, scheme, n) != 0)
        return false;
    *token = span_of(field->ptr + n, field->len - n);
    return true;
}

/* One "name=value" of a Cookie line (RFC 6265 section 4.2.1). */
static bool
cookie_pair(struct span pair, const char *name, struct span *value)
{
    const size_t n = strlen(name);

    while (pair.len > 0 && pair.ptr[0] == ' ')
        pair = span_of(pair.ptr + 1, pair.len - 1);
    while (pair.len > 0 && pair.ptr[pair.len - 1] == ' ')
        pair.len--;
    if (pair.len <= n || memcmp(pair.ptr, name, n) != 0 || pair.ptr[n] != '=')
        return false;
    *value = span_of(pair.ptr + n + 1, pair.len - n - 1);
    return true;
}

enum auth_cookie
auth_cookie(const struct request *request, const char *name, struct span *value)
{
    enum auth_cookie found = AUTH_COOKIE_NONE;

    for (size_t i = 0; i < request->field_count; i++) {
        struct span rest = request->fields[i].value;

        if (!span_is(request->fields[i].name, "cookie"))
            continue;
        while (rest.len > 0) {
            const uint8_t *semi = memchr(rest.ptr, ';', rest.len);
            struct span pair =
                span_of(rest.ptr, semi == NULL ? rest.len : (size_t)(semi - rest.ptr));

            rest =
                semi == NULL ? (struct span){NULL, 0} : span_of(semi + 1, rest.len - pair.len - 1);
            if (!cookie_pair(pair, name, value))
                continue;
            if (found != AUTH_COOKIE_NONE)
                return AUTH_COOKIE_AMBIGUOUS;
            found = AUTH_COOKIE_ONE;
        }
    }
    return found;
}

void
auth_cookie_text(const char *token, char out[AUTH_COOKIE_TEXT])
{
    int n = snprintf(out, AUTH_COOKIE_TEXT,
        AUTH_COOKIE "=%s; Path=/api/auth; Max-Age=%d; HttpOnly; Secure; SameSite=Strict",
        token == NULL ? "" : token, token == NULL ? 0 : AUTH_COOKIE_S);

    INVARIANT(n > 0 && n < AUTH_COOKIE_TEXT);
}

void
auth_device_cookie_text(const char *token, char out[AUTH_COOKIE_TEXT])
{
    int n = snprintf(out, AUTH_COOKIE_TEXT,
        AUTH_DEVICE_COOKIE "=%s; Path=/; Max-Age=%d; HttpOnly; Secure; SameSite=Strict", token,
        AUTH_DEVICE_S);

    INVARIANT(n > 0 && n < AUTH_COOKIE_TEXT);
}

static bool
origin_is_listed(struct span origin, const char *list)
{
    struct span rest = span_str(list == NULL ? "" : list);

    while (rest.len > 0) {
        const uint8_t *comma = memchr(rest.ptr, ',', rest.len);
        struct span item = span_of(rest.ptr, comma == NULL ? rest.len : (size_t)(comma - rest.ptr));

        rest = comma == NULL ? (struct span){NULL, 0} : span_of(comma + 1, rest.len - item.len - 1);
        while (item.len > 0 && item.ptr[0] == ' ')
            item = span_of(item.ptr + 1, item.len - 1);
        while (item.len > 0 && item.ptr[item.len - 1] == ' ')
            item.len--;
        if (item.len > 0 && span_equal(item, origin))
            return true;
    }
    return false;
}

bool
auth_origin(const struct app *app, const struct request *request)
{
    const struct span *origin = http_field(request, "origin");

    if (origin == NULL || http_field_count(request, "origin") != 1 || origin->len == 0)
        return false;
    return (app->public_url[0] != '\0' && span_is(*origin, app->public_url)) ||
           origin_is_listed(*origin, app->allowed_origins);
}

enum err
auth_issue(const struct app *app, const struct reply *reply, char token[JWT_BYTES_MAX], size_t *len,
    int64_t *expires_in)
{
    struct jwt_claims claims = {.user = reply->user,
        .family = reply->family,
        .number = reply->token_n,
        .issued_s = reply->issued_us / US_PER_S,
        .expires_s = reply->expires_us / US_PER_S};

    *expires_in = claims.expires_s - claims.issued_s;
    return jwt_issue(app->jwt, &claims, token, len);
}
