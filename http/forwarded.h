/* forwarded.h: who is really calling, when a proxy stands in front. X-Forwarded-For is believed
 * only from peers in trusted_proxies, and only from its right end: the first hop that is not a
 * trusted proxy is the client; what stands left of it is hearsay. Forwarded and X-Real-IP are never
 * read. */
#ifndef HTTP_FORWARDED_H
#define HTTP_FORWARDED_H

#include "core/cidr.h"

struct forwarded {
    struct addr client; /* what limits, allow lists and events go by */
    struct addr peer;   /* the socket's; events name both when they differ */
    bool proxied;       /* the peer is a trusted proxy and named a client */
    bool https;         /* how the client came: the socket's TLS, or the trusted proxy's word */
    bool malformed;     /* an entry could not be read; the walk stopped there */
};

/* `fields` are the values of all X-Forwarded-For lines in the order received, `proto` those of
 * X-Forwarded-Proto joined to its last line (empty if absent). Total: whatever the headers hold,
 * there is an answer, and never one that a stranger chose. */
void forwarded_read(const struct addr *peer, bool tls, const struct span *fields, size_t count,
    struct span proto, const struct cidr_list *trusted, struct forwarded *out);

#endif
