/* cidr.c: address ranges. Pure; any thread. */
#include "core/cidr.h"

static enum err
bits_parse(struct span text, unsigned max, unsigned *out)
{
    unsigned n = 0;

    if (text.len == 0 || text.len > 3 || (text.len > 1 && text.ptr[0] == '0'))
        return ERR_MALFORMED;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return ERR_MALFORMED;
        n = n * 10 + (unsigned)(text.ptr[i] - '0');
    }
    if (n > max)
        return ERR_MALFORMED;
    *out = n;
    return OK;
}

enum err
cidr_parse(struct span text, struct cidr *out)
{
    const uint8_t *slash = text.len > 0 ? memchr(text.ptr, '/', text.len) : NULL;
    struct span host = text;
    struct addr masked;
    unsigned bits = 128;
    enum err err;

    if (slash != NULL)
        host = span_of(text.ptr, (size_t)(slash - text.ptr));
    if ((err = addr_parse(host, &out->addr)) != OK)
        return err;
    if (slash != NULL) {
        bool dotted = memchr(host.ptr, ':', host.len) == NULL;
        struct span tail = span_of(slash + 1, text.len - host.len - 1);

        if ((err = bits_parse(tail, dotted ? 32 : 128, &bits)) != OK)
            return err;
        if (dotted)
            bits += 96;
    }
    addr_mask(&out->addr, bits, &masked);
    if (!addr_equal(&masked, &out->addr))
        return ERR_MALFORMED;
    out->bits = (uint8_t)bits;
    return OK;
}

size_t
cidr_format(const struct cidr *cidr, char out[CIDR_TEXT_MAX])
{
    bool dotted = addr_is_v4(&cidr->addr) && cidr->bits >= 96;
    size_t n = addr_format(&cidr->addr, out);

    if (cidr->bits == 128)
        return n;
    return n +
           (size_t)snprintf(out + n, CIDR_TEXT_MAX - n, "/%u", cidr->bits - (dotted ? 96u : 0u));
}

bool
cidr_match(const struct cidr *cidr, const struct addr *addr)
{
    struct addr masked;

    addr_mask(addr, cidr->bits, &masked);
    return addr_equal(&masked, &cidr->addr);
}

static struct span
trim(struct span s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = span_of(s.ptr + 1, s.len - 1);
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

enum err
cidr_list_parse(struct span text, struct cidr_list *out, struct span *bad)
{
    struct span rest = text;
    enum err err = OK;

    out->count = 0;
    if (trim(text).len == 0)
        return OK;
    for (;;) {
        const uint8_t *comma = rest.len > 0 ? memchr(rest.ptr, ',', rest.len) : NULL;
        size_t len = comma != NULL ? (size_t)(comma - rest.ptr) : rest.len;
        struct span item = trim(span_of(rest.ptr, len));

        if (bad != NULL)
            *bad = item;
        if (out->count == CIDR_LIST_MAX)
            err = ERR_LIMIT;
        else
            err = cidr_parse(item, &out->items[out->count]);
        if (err != OK)
            break;
        out->count++;
        if (comma == NULL)
            return OK;
        rest = span_of(comma + 1, rest.len - len - 1);
    }
    out->count = 0;
    return err;
}

int
cidr_list_match(const struct cidr_list *list, const struct addr *addr)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (cidr_match(&list->items[i], addr))
            return (int)i;
    return -1;
}
