/* url.c: the server's URL, strictly. Pure; any thread. Resolves nothing: that a name given with
 * http:// is really loopback is checked again when it is dialled. */
#include "http/url.h"

#include "core/addr.h"
#include "core/ascii.h"

#include <stdio.h>
#include <strings.h>

static enum err
fail(const char **why, const char *what)
{
    *why = what;
    return ERR_MALFORMED;
}

static bool
host_name_valid(const char *host)
{
    size_t label = 0;

    for (const char *p = host;; p++) {
        if (*p == '.' || *p == '\0') {
            if (label == 0 || label > 63 || p[-1] == '-')
                return false;
            label = 0;
            if (*p == '\0')
                return true;
            continue;
        }
        if (!((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || (*p == '-' && label > 0)))
            return false;
        label++;
    }
}

static enum err
host_take(struct span text, struct server_url *out, const char **why)
{
    struct addr addr;

    if (text.len == 0)
        return fail(why, "has no host");
    if (text.len > URL_HOST_MAX)
        return fail(why, "has a host name that is too long");
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];

        out->host[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    out->host[text.len] = '\0';
    out->numeric = addr_parse(span_str(out->host), &addr) == OK;
    if (!out->numeric && !host_name_valid(out->host))
        return fail(why, "has a host that is neither a name nor an address");
    return OK;
}

/* HOST, HOST:PORT, [V6], [V6]:PORT */
static enum err
authority_take(struct span text, struct server_url *out, const char **why)
{
    const uint8_t *colon;
    struct span host = text, port = {0};
    uint64_t number;
    enum err err;

    if (text.len > 0 && text.ptr[0] == '[') {
        const uint8_t *close = memchr(text.ptr, ']', text.len);

        if (close == NULL)
            return fail(why, "has a [ without its ]");
        host = span_of(text.ptr + 1, (size_t)(close - text.ptr) - 1);
        text = span_of(close + 1, text.len - host.len - 2);
        if (text.len > 0 && text.ptr[0] != ':')
            return fail(why, "has something between ] and the port");
        if (memchr(host.ptr, ':', host.len) == NULL)
            return fail(why, "has no IPv6 address between [ and ]");
        colon = text.len > 0 ? text.ptr : NULL;
    } else if ((colon = memchr(text.ptr, ':', text.len)) != NULL) {
        host = span_of(text.ptr, (size_t)(colon - text.ptr));
    }
    if ((err = host_take(host, out, why)) != OK)
        return err;
    out->port = out->scheme == URL_HTTPS ? 443 : 80;
    if (colon == NULL)
        return OK;
    port = span_of(colon + 1, (size_t)(text.ptr + text.len - colon) - 1);
    if (ascii_number(port, UINT16_MAX, &number) != OK || number == 0)
        return fail(why, "has a port that is not a number from 1 to 65535");
    out->port = (uint16_t)number;
    return OK;
}

static void
authority_format(struct server_url *url)
{
    bool v6 = url->numeric && strchr(url->host, ':') != NULL;
    bool usual = url->port == (url->scheme == URL_HTTPS ? 443 : 80);
    char port[8] = "";
    int n;

    if (!usual)
        snprintf(port, sizeof(port), ":%u", url->port);
    n = snprintf(url->authority, sizeof(url->authority), "%s%s%s%s", v6 ? "[" : "", url->host,
        v6 ? "]" : "", port);
    INVARIANT(n > 0 && (size_t)n < sizeof(url->authority));
}

static bool
names_loopback(const struct server_url *url)
{
    struct addr addr;

    if (addr_parse(span_str(url->host), &addr) == OK)
        return addr_is_loopback(&addr);
    return strcmp(url->host, "localhost") == 0;
}

static enum err
unix_take(struct span path, struct server_url *out, const char **why)
{
    if (path.len == 0 || path.len > URL_PATH_MAX || memchr(path.ptr, '\0', path.len) != NULL)
        return fail(why, "has no usable socket path");
    out->scheme = URL_UNIX;
    memcpy(out->host, path.ptr, path.len);
    snprintf(out->authority, sizeof(out->authority), "localhost");
    return OK;
}

static bool
scheme_skip(struct span *text, const char *scheme)
{
    size_t n = strlen(scheme);

    if (text->len < n || strncasecmp((const char *)text->ptr, scheme, n) != 0)
        return false;
    *text = span_of(text->ptr + n, text->len - n);
    return true;
}

enum err
url_parse(struct span text, struct server_url *out, const char **why)
{
    enum err err;

    *out = (struct server_url){0};
    if (scheme_skip(&text, "unix:"))
        return unix_take(text, out, why);
    if (scheme_skip(&text, "http://"))
        out->scheme = URL_HTTP;
    else if (scheme_skip(&text, "https://"))
        out->scheme = URL_HTTPS;
    else
        return fail(why, "does not begin with https://");
    if (text.len > 0 && text.ptr[text.len - 1] == '/')
        text.len--;
    if (text.len > 0 && memchr(text.ptr, '@', text.len) != NULL)
        return fail(why, "names a user: credentials do not belong into a URL");
    for (size_t i = 0; i < text.len; i++)
        if (strchr("/?#\\%", text.ptr[i]) != NULL)
            return fail(why, "has something behind host and port");
    if ((err = authority_take(text, out, why)) != OK)
        return err;
    authority_format(out);
    if (out->scheme == URL_HTTP && !names_loopback(out)) {
        *why = "would send credentials in clear: plain http is for this machine only, use https";
        return ERR_DENIED;
    }
    return OK;
}

void
url_format(const struct server_url *url, char out[URL_TEXT_MAX])
{
    if (url->scheme == URL_UNIX)
        snprintf(out, URL_TEXT_MAX, "unix:%s", url->host);
    else
        snprintf(
            out, URL_TEXT_MAX, "http%s://%s", url->scheme == URL_HTTPS ? "s" : "", url->authority);
}
