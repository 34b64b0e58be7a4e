/* progress.h: how far long work has come: one line on stderr, if that is a terminal. One thread. */
#ifndef TOOLS_PROGRESS_H
#define TOOLS_PROGRESS_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#define PROGRESS_FROM 20000 /* events; what is shorter is done before one has read the line */

struct progress {
    bool terminal;
    uint64_t shown; /* per cent, plus one */
};

static inline void
progress_init(struct progress *p)
{
    *p = (struct progress){.terminal = isatty(STDERR_FILENO) != 0};
}

static inline void
progress_show(struct progress *p, uint64_t done, uint64_t total)
{
    uint64_t percent = total < PROGRESS_FROM ? 0 : done / (total / 100);

    if (!p->terminal || total < PROGRESS_FROM || percent + 1 == p->shown)
        return;
    p->shown = percent + 1;
    fprintf(stderr, "\r%" PRIu64 " of %" PRIu64 " events", done, total);
}

static inline void
progress_end(struct progress *p)
{
    if (p->shown > 0)
        fputs("\r\033[K", stderr);
    p->shown = 0;
}

#endif
