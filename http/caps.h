/* caps.h: how many connections there are, in all and per address (IPv4 /32, IPv6 /64), over all
 * loops. Any thread. Bounded: one entry per open connection at most. */
#ifndef HTTP_CAPS_H
#define HTTP_CAPS_H

#include "core/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct caps;

struct caps_key {
    uint64_t net; /* the /64, or the IPv4 address */
    uint8_t kind; /* 0: not counted per address (loopback, AF_UNIX); 4; 6 */
};

enum err caps_new(uint32_t total_max, uint32_t per_address_max, struct caps **out) MUST_USE;
void caps_free(struct caps *caps);

struct caps_key caps_key(const struct sockaddr *peer);

/* False: one of the two caps is reached; nothing was counted. */
bool caps_take(struct caps *caps, struct caps_key key) MUST_USE;
void caps_give(struct caps *caps, struct caps_key key);

#endif
