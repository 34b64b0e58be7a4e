/* engine.h: what the engine's own files share: the loop and its parts. Nobody else includes it. */
#ifndef HTTP_ENGINE_H
#define HTTP_ENGINE_H

#include "http/caps.h"
#include "http/loop.h"
#include "http/server.h"

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

struct conn;

/* In front of the read buffer: a relay may write up to one frame header more than it read. */
#define LOOP_HEADROOM 16

struct post {
    post_fn fn;
    struct ref ref;
    void *arg;
};

/* Bounded many-to-one queue. Notices are chained through their own memory. */
struct mailbox {
    pthread_mutex_t lock;
    struct post *posts; /* LOOP_MAILBOX_MAX places, a ring */
    uint32_t first, used, reserved, notice_count;
    struct notice *notices, **notices_end;
    bool stopped;
};

struct slot {
    struct conn *conn; /* NULL: free */
    uint32_t generation;
    uint32_t next_free;
};

struct listener {
    struct loop *loop;
    const struct http_listen *listen;
    uv_poll_t poll;
    int fd;
    bool closing;
};

struct loop {
    uv_loop_t uv;
    uv_async_t async;
    uv_prepare_t prepare;
    uv_idle_t idle; /* active while the ready list is not empty: do not sleep */
    uv_timer_t ticker;
    bool ticking, idling, stopping;
    pthread_t thread;
    bool started;
    unsigned index;
    struct http_server *server;
    struct mailbox mailbox;
    struct timer_wheel wheel;

    struct slot *slots; /* slots_max of them, touched only as far as used */
    uint32_t slots_max, slots_touched, slots_free;
    struct conn *dirty;  /* something to flush or a mask to set, before the next sleep */
    struct conn *ending; /* to be ended before the next sleep */
    struct conn *ready;  /* unread bytes inside TLS: the socket will not wake us for them */
    struct relay *relays_ending;
    struct timer drain_timer; /* end of the grace time when stopping */
    struct notice stop_notice;
    uint32_t handles; /* uv handles of connections not closed yet */

    uint8_t *read_buffer; /* RELAY_READ_BYTES, behind LOOP_HEADROOM */
    char date[40];        /* the Date field of this second */
    uint64_t date_ms;
    int spare_fd;
    size_t listener_count;
    struct listener listeners[HTTP_LISTENERS_MAX];
    struct loop_counters counters;
};

struct http_server {
    struct http_server_options options;
    struct http_listen listen[HTTP_LISTENERS_MAX];
    uint16_t ports[HTTP_LISTENERS_MAX];
    struct caps *caps;
    unsigned loop_count;
    atomic_uint_fast64_t drain_ms;
    struct loop *loops[HTTP_LOOPS_MAX];
};

/* Counters are read by other threads; only their own loop writes them. */
#define COUNT(loop, field, n)                                                                      \
    __atomic_store_n(&(loop)->counters.field, (loop)->counters.field + (n), __ATOMIC_RELAXED)
#define COUNT_DOWN(loop, field)                                                                    \
    __atomic_store_n(&(loop)->counters.field, (loop)->counters.field - 1, __ATOMIC_RELAXED)

enum err loop_new(struct http_server *server, unsigned index, struct loop **out) MUST_USE;
enum err loop_start(struct loop *loop) MUST_USE;
void loop_stop(struct loop *loop); /* any thread; then loop_join */
void loop_join(struct loop *loop);
void loop_free(struct loop *loop);
const char *loop_date(struct loop *loop);

enum err mailbox_init(struct mailbox *mailbox) MUST_USE;
void mailbox_fini(struct mailbox *mailbox);
void mailbox_run(struct loop *loop);
void mailbox_stop(struct mailbox *mailbox); /* posts fail or fall away from here on */

/* listener.c */
enum err listener_probe(
    struct http_listen *listen, uint16_t *port, char *why, size_t why_len) MUST_USE;
enum err listener_open(struct loop *loop, const struct http_listen *listen, uint16_t port,
    char *why, size_t why_len) MUST_USE;
enum err listener_start(struct listener *listener) MUST_USE;
void listener_stop(struct listener *listener); /* before the loop runs, or on it */

void server_log(const struct http_server *server, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
