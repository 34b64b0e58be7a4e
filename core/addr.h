/* addr.h: network addresses as values. IPv4 lives in ::ffff:0:0/96, so that one form is compared,
 * masked and tagged everywhere, and ::ffff:192.0.2.1 is 192.0.2.1. */
#ifndef CORE_ADDR_H
#define CORE_ADDR_H

#include "core/err.h"
#include "core/span.h"

#define ADDR_TEXT_MAX 46 /* with the NUL */

struct addr {
    uint8_t b[16];
};

/* Strict: dotted quads without leading zeros, IPv6 as RFC 4291, no zone, no brackets, no port. */
enum err addr_parse(struct span text, struct addr *out) MUST_USE;
/* Canonical text (RFC 5952; IPv4 as a dotted quad); returns its length. */
size_t addr_format(const struct addr *addr, char out[ADDR_TEXT_MAX]);

bool addr_is_v4(const struct addr *addr);
bool addr_is_loopback(const struct addr *addr);
bool addr_equal(const struct addr *a, const struct addr *b);

/* `bits` counts in the 16-byte form: an IPv4 /24 is 120. */
void addr_mask(const struct addr *addr, unsigned bits, struct addr *out);
/* What limits and session binding call a network (IPv4 /32, IPv6 /64), and the wider one above it
 * (/24, /48). Returns the prefix length in the 16-byte form. */
unsigned addr_net(const struct addr *addr, struct addr *out);
unsigned addr_wide(const struct addr *addr, struct addr *out);

/* ADDR:PORT, [V6]:PORT, :PORT refused. Port 0 asks the system for a free one. */
enum err addr_port_parse(struct span text, struct addr *addr, uint16_t *port) MUST_USE;

#endif
