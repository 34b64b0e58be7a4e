/* pollset.h: what a client waits for in one turn of its loop. Everything that lives adds the fds
 * and the deadline it waits for (x_prepare), the program waits once, and everything takes its step
 * (x_step). No callbacks; one thread. */
#ifndef HTTP_POLLSET_H
#define HTTP_POLLSET_H

#include "core/err.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POLLSET_MAX 512

struct pollset {
    struct pollfd fds[POLLSET_MAX];
    size_t count;
    int64_t now_ms;      /* monotonic; of the last wait */
    int64_t deadline_ms; /* the earliest one added, or INT64_MAX */
};

/* Monotonic clock. */
int64_t pollset_clock_ms(void);

/* Begins a turn. */
void pollset_init(struct pollset *ps);
/* The slot to ask later; -1 when there is nothing to wait for (fd or events missing). A set that is
 * full wakes up at once instead of losing somebody. */
int pollset_add(struct pollset *ps, int fd, short events);
void pollset_deadline(struct pollset *ps, int64_t at_ms);
/* What happened; 0 for slot -1. */
short pollset_got(const struct pollset *ps, int slot);
/* Waits for the first of all that. OK also when a signal came; ERR_IO. */
enum err pollset_wait(struct pollset *ps) MUST_USE;

#endif
