/* addr.c: parsing, printing and masking of addresses. Pure; any thread. Never resolves a name. */
#include "core/addr.h"

#include <arpa/inet.h>

#define V4_BITS 96

static const uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

enum err
addr_parse(struct span text, struct addr *out)
{
    char s[ADDR_TEXT_MAX];

    if (text.len == 0 || text.len >= sizeof(s) || memchr(text.ptr, 0, text.len) != NULL)
        return ERR_MALFORMED;
    memcpy(s, text.ptr, text.len);
    s[text.len] = '\0';
    if (memchr(s, ':', text.len) != NULL)
        return inet_pton(AF_INET6, s, out->b) == 1 ? OK : ERR_MALFORMED;
    memcpy(out->b, v4_prefix, sizeof(v4_prefix));
    return inet_pton(AF_INET, s, out->b + 12) == 1 ? OK : ERR_MALFORMED;
}

size_t
addr_format(const struct addr *addr, char out[ADDR_TEXT_MAX])
{
    const char *s = addr_is_v4(addr) ? inet_ntop(AF_INET, addr->b + 12, out, ADDR_TEXT_MAX)
                                     : inet_ntop(AF_INET6, addr->b, out, ADDR_TEXT_MAX);

    INVARIANT(s != NULL);
    return strlen(out);
}

bool
addr_is_v4(const struct addr *addr)
{
    return memcmp(addr->b, v4_prefix, sizeof(v4_prefix)) == 0;
}

bool
addr_is_loopback(const struct addr *addr)
{
    static const uint8_t one[16] = {[15] = 1};

    return addr_is_v4(addr) ? addr->b[12] == 127 : memcmp(addr->b, one, sizeof(one)) == 0;
}

bool
addr_equal(const struct addr *a, const struct addr *b)
{
    return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

void
addr_mask(const struct addr *addr, unsigned bits, struct addr *out)
{
    INVARIANT(bits <= 128);
    for (unsigned i = 0; i < 16; i++) {
        unsigned keep = bits > i * 8 ? bits - i * 8 : 0;

        out->b[i] = (uint8_t)(addr->b[i] & (0xFF00u >> (keep < 8 ? keep : 8)));
    }
}

unsigned
addr_net(const struct addr *addr, struct addr *out)
{
    unsigned bits = addr_is_v4(addr) ? V4_BITS + 32 : 64;

    addr_mask(addr, bits, out);
    return bits;
}

unsigned
addr_wide(const struct addr *addr, struct addr *out)
{
    unsigned bits = addr_is_v4(addr) ? V4_BITS + 24 : 48;

    addr_mask(addr, bits, out);
    return bits;
}

static enum err
port_parse(struct span text, uint16_t *port)
{
    unsigned n = 0;

    if (text.len == 0 || text.len > 5 || (text.len > 1 && text.ptr[0] == '0'))
        return ERR_MALFORMED;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return ERR_MALFORMED;
        n = n * 10 + (unsigned)(text.ptr[i] - '0');
    }
    if (n > 65535)
        return ERR_MALFORMED;
    *port = (uint16_t)n;
    return OK;
}

enum err
addr_port_parse(struct span text, struct addr *addr, uint16_t *port)
{
    const uint8_t *colon = text.len > 0 ? memrchr(text.ptr, ':', text.len) : NULL;
    struct span host;
    enum err err;

    if (colon == NULL)
        return ERR_MALFORMED;
    host = span_of(text.ptr, (size_t)(colon - text.ptr));
    if (host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']') {
        host = span_of(host.ptr + 1, host.len - 2);
        if (memchr(host.ptr, ':', host.len) == NULL)
            return ERR_MALFORMED; /* brackets are for IPv6 */
    } else if (memchr(host.ptr, ':', host.len) != NULL) {
        return ERR_MALFORMED; /* an IPv6 address without brackets */
    }
    if ((err = addr_parse(host, addr)) != OK)
        return err;
    return port_parse(span_of(colon + 1, text.len - (size_t)(colon + 1 - text.ptr)), port);
}
