/* loop.h: one event loop, its thread and its mailbox. A loop owns its connections; other threads
 * reach it only through the mailbox. Functions marked "any thread" may be called from anywhere, all
 * others on the loop's own thread (or before it starts). */
#ifndef HTTP_LOOP_H
#define HTTP_LOOP_H

#include "core/err.h"
#include "core/ref.h"
#include "core/span.h"
#include "http/timer.h"

struct loop;

/* What a posted message does when it arrives, on the loop's thread. */
typedef void (*post_fn)(struct loop *loop, struct ref ref, void *arg);

/* A notice is state plus a wake-up: it lives inside its sender, posting it while it is still on its
 * way is a no-op, and therefore it can never find the mailbox full. fn runs at least once after the
 * last loop_notify; it may re-post. Init to {.fn = f}. Its memory must outlive the loop's thread,
 * or belong to a thing that is freed only on that loop while the notice is not on its way. */
struct notice {
    void (*fn)(struct loop *loop, struct notice *notice);
    struct notice *next;
    bool posted;
};

/* Any thread. Bounded: false when the mailbox is full or the loop has stopped (answer 503). */
bool loop_post(struct loop *loop, post_fn fn, struct ref ref, void *arg) MUST_USE;

/* Any thread. A reserved place in the mailbox for one later loop_post_reserved, which then cannot
 * fail: take it before asking another thread for an answer. False: full, refuse the work.
 * loop_post_reserved says false only when the loop has stopped and nothing will run any more. */
bool loop_reserve(struct loop *loop) MUST_USE;
void loop_unreserve(struct loop *loop);
bool loop_post_reserved(struct loop *loop, post_fn fn, struct ref ref, void *arg);

/* Any thread. */
void loop_notify(struct loop *loop, struct notice *notice);

unsigned loop_index(const struct loop *loop);

/* Milliseconds of CLOCK_MONOTONIC as of this loop turn. For bytes only (idle, stall, ping): what
 * decides uses eff time. */
uint64_t loop_now_ms(const struct loop *loop);

/* From then to now, where the two may come from different loops: a loop's clock stands during a
 * turn, so that what another one wrote down a moment ago may lie ahead of it. That is no time. */
static inline uint64_t
loop_since_ms(uint64_t then_ms, uint64_t now_ms)
{
    return now_ms > then_ms ? now_ms - then_ms : 0;
}

/* Timers of this loop (timer.h): resolution 64 ms, never early, no allocation. */
void loop_timer_set(struct loop *loop, struct timer *timer, uint64_t after_ms);
void loop_timer_stop(struct loop *loop, struct timer *timer);

/* It lets its connections go, because the server stops. */
bool loop_is_stopping(const struct loop *loop);

/* True on the loop's own thread. */
bool loop_is_mine(const struct loop *loop);

/* Plain counters of one loop, written by its thread only. */
struct loop_counters {
    uint64_t accepted;      /* connections accepted */
    uint64_t refused_caps;  /* closed at accept: per-address or total cap, or no slot */
    uint64_t refused_files; /* closed at accept: no file descriptor left */
    uint64_t handshakes;    /* TLS handshakes completed */
    uint64_t handshakes_failed;
    uint64_t requests;         /* complete requests handed to the app */
    uint64_t refused_requests; /* answered by the engine: bad head, body limit, time-out */
    uint64_t timeouts;         /* head, body, handshake, write and keep-alive deadlines */
    uint64_t upgrades;         /* WebSockets opened */
    uint64_t moved_in;
    uint64_t moved_out;
    uint64_t relays;      /* pairs made */
    uint64_t relay_bytes; /* payload bytes, both directions */
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint32_t connections; /* open now */
    uint32_t websockets;  /* open now */
    uint32_t relays_open; /* open now */
};

/* Any thread: a copy that may be torn between fields, never within one. */
void loop_counters_read(const struct loop *loop, struct loop_counters *out);

#endif
