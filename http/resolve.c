/* resolve.c: one detached thread per name. The request is shared by the asker and the thread, and
 * freed by whoever lets go last: a resolver that hangs for a minute holds up nobody. */
#include "http/resolve.h"

#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct resolve {
    atomic_uint holders;
    int done; /* eventfd */
    char host[256];
    char port[8];
    int rc; /* of getaddrinfo; written before `done` is */
    struct addrinfo *list;
};

static void
let_go(struct resolve *r)
{
    if (atomic_fetch_sub(&r->holders, 1) > 1)
        return;
    if (r->list != NULL)
        freeaddrinfo(r->list);
    close(r->done);
    free(r);
}

static void *
resolver(void *arg)
{
    struct resolve *r = arg;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};

    r->rc = getaddrinfo(r->host, r->port, &hints, &r->list);
    (void)!eventfd_write(r->done, 1);
    let_go(r);
    return NULL;
}

enum err
resolve_start(const char *host, uint16_t port, struct resolve **out)
{
    struct resolve *r = calloc(1, sizeof(*r));
    sigset_t all, before;
    pthread_attr_t attr;
    pthread_t thread;
    int rc;

    if (r == NULL)
        return ERR_MEMORY;
    snprintf(r->host, sizeof(r->host), "%s", host);
    snprintf(r->port, sizeof(r->port), "%u", port);
    atomic_init(&r->holders, 2);
    if ((r->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0) {
        free(r);
        return ERR_IO;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the main thread's */
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    rc = pthread_create(&thread, &attr, resolver, r);
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        close(r->done);
        free(r);
        return ERR_MEMORY;
    }
    *out = r;
    return OK;
}

int
resolve_fd(const struct resolve *r)
{
    return r->done;
}

enum err
resolve_take(struct resolve *r, struct resolved *out, const char **why)
{
    eventfd_t n;

    out->count = 0;
    if (eventfd_read(r->done, &n) != 0) {
        *why = "no answer yet";
        return ERR_NOT_FOUND;
    }
    if (r->rc != 0) {
        *why = gai_strerror(r->rc);
        return ERR_NOT_FOUND;
    }
    for (struct addrinfo *ai = r->list; ai != NULL && out->count < RESOLVE_MAX; ai = ai->ai_next) {
        memcpy(&out->addrs[out->count], ai->ai_addr, ai->ai_addrlen);
        out->lens[out->count++] = ai->ai_addrlen;
    }
    *why = "no address";
    return out->count > 0 ? OK : ERR_NOT_FOUND;
}

void
resolve_free(struct resolve *r)
{
    if (r != NULL)
        let_go(r);
}
