/* upkeep.c: room and readers. The main thread of the server. */
#include "store/upkeep.h"

void
upkeep_init(struct upkeep *u, const struct state *state, struct loglmdb *log)
{
    *u = (struct upkeep){.state = state, .log = log, .readers_checked_s = INT64_MIN};
}

static void
look_at_room(struct upkeep *u)
{
    uint64_t disk, used, map;

    u->free_bytes = 0;
    u->low = true;
    if (state_free_bytes(u->state, &disk) != OK || loglmdb_space(u->log, &used, &map) != OK)
        return;
    u->free_bytes = map - used < disk ? map - used : disk;
    u->low = u->free_bytes < LOW_SPACE_BYTES;
}

void
upkeep_look(struct upkeep *u, int64_t now_s)
{
    look_at_room(u);
    if (u->readers_checked_s == INT64_MIN)
        u->readers_checked_s = now_s; /* opening the log checked them */
    u->readers_cleared = 0;
    if (now_s - u->readers_checked_s < READERS_CHECK_S)
        return;
    u->readers_checked_s = now_s;
    if (loglmdb_reader_check(u->log, &u->readers_cleared) != OK)
        u->readers_cleared = 0; /* nothing is lost but pages, for another minute */
}
