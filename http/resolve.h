/* resolve.h: names to addresses without stopping the loop: getaddrinfo on a thread of its own,
 * whose end an eventfd tells. Dropping a request does not wait for it. */
#ifndef HTTP_RESOLVE_H
#define HTTP_RESOLVE_H

#include "core/err.h"

#include <stdint.h>
#include <sys/socket.h>

#define RESOLVE_MAX 8

struct resolve;

struct resolved {
    struct sockaddr_storage addrs[RESOLVE_MAX];
    socklen_t lens[RESOLVE_MAX];
    unsigned count;
};

/* Numeric addresses are taken too (and take no thread's time worth mentioning). */
enum err resolve_start(const char *host, uint16_t port, struct resolve **out) MUST_USE;
/* Readable once the answer is there. */
int resolve_fd(const struct resolve *r);
/* After that: OK, or ERR_NOT_FOUND and why (static storage). */
enum err resolve_take(struct resolve *r, struct resolved *out, const char **why) MUST_USE;
void resolve_free(struct resolve *r);

#endif
