/* cidr.h: address ranges and small lists of them (allow lists, trusted proxies). */
#ifndef CORE_CIDR_H
#define CORE_CIDR_H

#include "core/addr.h"
#include "core/limits.h"

#define CIDR_TEXT_MAX (ADDR_TEXT_MAX + 4)

struct cidr {
    struct addr addr;
    uint8_t bits; /* in the 16-byte form: an IPv4 /24 is 120 */
};

struct cidr_list {
    struct cidr items[CIDR_LIST_MAX];
    uint32_t count;
};

/* ADDR or ADDR/BITS; a set bit behind the prefix is an error, not silently cleared: 10.0.0.1/8 is
 * more often a typing mistake than a wish. ::ffff:a.b.c.d/104 equals an IPv4 /8. */
enum err cidr_parse(struct span text, struct cidr *out) MUST_USE;
size_t cidr_format(const struct cidr *cidr, char out[CIDR_TEXT_MAX]);
bool cidr_match(const struct cidr *cidr, const struct addr *addr);

/* Comma-separated, blanks allowed around items, the empty text is the empty list. On error `bad`
 * (may be NULL) is the item that was wrong. ERR_LIMIT: more than CIDR_LIST_MAX. */
enum err cidr_list_parse(struct span text, struct cidr_list *out, struct span *bad) MUST_USE;
/* Index of the first matching item, or -1. */
int cidr_list_match(const struct cidr_list *list, const struct addr *addr);

#endif
