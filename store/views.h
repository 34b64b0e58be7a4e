/* views.h: the query views on disk and the projector that folds durable events into them. Derived:
 * never synced (MDB_NOSYNC), thrown away and rebuilt whenever in doubt: other schema, not closed
 * cleanly before a reboot, or a log that is not the one they were made from. */
#ifndef STORE_VIEWS_H
#define STORE_VIEWS_H

#include "core/ports.h"
#include "core/rows.h"
#include "store/state.h"

#ifdef GATEHOUSE_SANITIZED
#define VIEWS_MAP_BYTES (16ULL << 30)
#else
#define VIEWS_MAP_BYTES (256ULL << 30)
#endif
#define VIEWS_LISTENERS_MAX 4

struct views;

struct views_listener {
    void *ctx;
    void (*advanced)(void *ctx, uint64_t position); /* on the projector's thread */
};

/* Borrowed until views_stop. */
struct views_config {
    const struct state *state;
    struct log_port log;
    struct view_fold fold;
    struct opener_port opener; /* open NULL: boxes stay shut */
    uint64_t map_bytes;        /* 0: VIEWS_MAP_BYTES */
    uint32_t listener_count;
    struct views_listener listeners[VIEWS_LISTENERS_MAX];
};

MUST_USE enum err views_start(
    const struct views_config *config, struct views **out, struct complaint *why);
/* Syncs, and marks them clean. The journal and all readers have stopped. */
void views_stop(struct views *v);

void views_port(struct views *v, struct views_port *out);
void views_durable_listener(struct views *v, struct durable_listener *out);

struct views_health {
    uint64_t position;   /* events folded */
    uint64_t lag;        /* durable events not folded yet */
    int64_t advanced_us; /* CLOCK_MONOTONIC of the last advance (or of the start) */
    bool rebuilt;        /* at start */
    uint64_t unopened;   /* sealed boxes that did not open though there was a key */
    enum err error;      /* OK, or why the projector is stuck ... */
    uint64_t error_seq;  /* ... at this event; it tries again each second */
};
void views_health(struct views *v, struct views_health *out);

#endif
