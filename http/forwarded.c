/* forwarded.c: right-to-left evaluation of X-Forwarded-For. Pure; runs on any loop. */
#include "http/forwarded.h"

#include <strings.h>

static struct span
trim(struct span s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = span_of(s.ptr + 1, s.len - 1);
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* Takes the last comma-separated item off `rest`; false when nothing is left. */
static bool
last_item(struct span *rest, struct span *item)
{
    const uint8_t *comma;

    if (rest->ptr == NULL)
        return false;
    comma = rest->len > 0 ? memrchr(rest->ptr, ',', rest->len) : NULL;
    if (comma == NULL) {
        *item = trim(*rest);
        *rest = span_of(NULL, 0);
    } else {
        *item = trim(span_of(comma + 1, rest->len - (size_t)(comma + 1 - rest->ptr)));
        rest->len = (size_t)(comma - rest->ptr);
    }
    return true;
}

/* Some proxies add the port, and brackets around IPv6. */
static enum err
hop_parse(struct span item, struct addr *out)
{
    uint16_t port;

    if (addr_parse(item, out) == OK)
        return OK;
    if (item.len > 2 && item.ptr[0] == '[' && item.ptr[item.len - 1] == ']')
        return addr_parse(span_of(item.ptr + 1, item.len - 2), out);
    return addr_port_parse(item, out, &port);
}

static bool
proto_https(struct span proto, bool tls)
{
    struct span item;

    if (proto.len == 0 || !last_item(&proto, &item))
        return tls;
    return item.len == 5 && strncasecmp((const char *)item.ptr, "https", 5) == 0;
}

void
forwarded_read(const struct addr *peer, bool tls, const struct span *fields, size_t count,
    struct span proto, const struct cidr_list *trusted, struct forwarded *out)
{
    unsigned hops = 0;

    *out = (struct forwarded){.client = *peer, .peer = *peer, .https = tls};
    if (cidr_list_match(trusted, peer) < 0)
        return;
    out->https = proto_https(proto, tls);
    for (size_t i = count; i > 0; i--) {
        struct span rest = fields[i - 1], item;
        struct addr hop;

        while (last_item(&rest, &item)) {
            if (++hops > FORWARDED_HOPS_MAX || hop_parse(item, &hop) != OK) {
                out->malformed = true;
                return;
            }
            out->client = hop;
            out->proxied = true;
            if (cidr_list_match(trusted, &hop) < 0)
                return;
        }
    }
}
