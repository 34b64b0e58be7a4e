/* pollset.c: poll(2) behind slots. Never blocks longer than the deadline that was added. */
#include "http/pollset.h"

#include <errno.h>
#include <time.h>

int64_t
pollset_clock_ms(void)
{
    struct timespec ts;

    INVARIANT(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void
pollset_init(struct pollset *ps)
{
    ps->count = 0;
    ps->now_ms = pollset_clock_ms();
    ps->deadline_ms = INT64_MAX;
}

int
pollset_add(struct pollset *ps, int fd, short events)
{
    if (fd < 0 || events == 0)
        return -1;
    if (ps->count == POLLSET_MAX) {
        ps->deadline_ms = ps->now_ms;
        return -1;
    }
    ps->fds[ps->count] = (struct pollfd){.fd = fd, .events = events};
    return (int)ps->count++;
}

void
pollset_deadline(struct pollset *ps, int64_t at_ms)
{
    if (at_ms < ps->deadline_ms)
        ps->deadline_ms = at_ms;
}

short
pollset_got(const struct pollset *ps, int slot)
{
    return slot < 0 ? 0 : ps->fds[slot].revents;
}

enum err
pollset_wait(struct pollset *ps)
{
    int64_t left = ps->deadline_ms == INT64_MAX ? -1 : ps->deadline_ms - ps->now_ms;
    int rc;

    if (ps->deadline_ms != INT64_MAX && left < 0)
        left = 0;
    rc = poll(ps->fds, ps->count, left > INT32_MAX ? INT32_MAX : (int)left);
    if (rc <= 0)
        for (size_t i = 0; i < ps->count; i++)
            ps->fds[i].revents = 0;
    ps->now_ms = pollset_clock_ms();
    return rc < 0 && errno != EINTR ? ERR_IO : OK;
}
