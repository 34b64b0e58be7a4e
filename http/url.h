/* url.h: which server a client talks to. http://, https:// or unix:PATH, a host and a port; no
 * user, no path, no query, since a server is an origin. Pure. */
#ifndef HTTP_URL_H
#define HTTP_URL_H

#include "core/err.h"
#include "core/span.h"

#define URL_HOST_MAX      253
#define URL_PATH_MAX      107                    /* sun_path */
#define URL_AUTHORITY_MAX (URL_HOST_MAX + 2 + 6) /* brackets, colon and port */
#define URL_TEXT_MAX      (8 + URL_AUTHORITY_MAX + 1)

enum url_scheme {
    URL_HTTPS,
    URL_HTTP, /* loopback only */
    URL_UNIX, /* admin.sock */
};

struct server_url {
    enum url_scheme scheme;
    char host[URL_HOST_MAX + 1]; /* lower case; IPv6 without brackets; path for unix */
    char
        authority[URL_AUTHORITY_MAX + 1]; /* for Host: the port only where it is not the scheme's */
    uint16_t port;
    bool numeric; /* an address, not a name */
};

/* On failure `why` (static storage) says what is wrong, to be put after the URL. ERR_DENIED: plain
 * http to somewhere that is not this machine. */
enum err url_parse(struct span text, struct server_url *out, const char **why) MUST_USE;

/* "https://host:8443"; as the user would type it, also the key that a stored token is bound to. */
void url_format(const struct server_url *url, char out[URL_TEXT_MAX]);

#endif
