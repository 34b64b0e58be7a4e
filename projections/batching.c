/* batching.c: see the header. */
#include "projections/batching.h"

void
batching_init(struct batching *b, uint64_t size)
{
    *b = (struct batching){.durable = size};
}

static uint64_t
handed_size(const struct batching *b)
{
    return b->under_way == 0 ? b->durable : b->ends[b->under_way - 1];
}

void
batching_handed(struct batching *b, uint64_t size, int64_t now_us)
{
    INVARIANT(b->under_way < BATCHING_UNDER_WAY_MAX && size > handed_size(b));
    b->ends[b->under_way] = size;
    b->handed_us[b->under_way] = now_us;
    b->under_way++;
}

/* The oldest batch under way has ended: what was not work was the disk. */
static void
learn(struct batching *b, uint64_t from, int64_t now_us)
{
    int64_t since_us = b->handed_us[0] > b->ended_us ? b->handed_us[0] : b->ended_us;
    int64_t sync_us = now_us - since_us - (int64_t)(b->ends[0] - from) * BATCHING_EVENT_US;

    if (sync_us < 0)
        sync_us = 0;
    b->sync_us += (sync_us - b->sync_us) / 4;
    b->ended_us = now_us;
}

void
batching_durable(struct batching *b, uint64_t durable, uint64_t size, int64_t now_us)
{
    int64_t patience_us;

    if (durable <= b->durable)
        return;
    b->back_at = size + (durable - b->durable);
    while (b->under_way > 0 && b->ends[0] <= durable) {
        learn(b, b->durable, now_us);
        b->durable = b->ends[0];
        b->ends[0] = b->ends[1];
        b->handed_us[0] = b->handed_us[1];
        b->under_way--;
    }
    b->durable = durable;
    patience_us = b->sync_us / BATCHING_PATIENCE_DIVISOR;
    b->patience_us =
        now_us + (patience_us < BATCHING_PATIENCE_MAX_US ? patience_us : BATCHING_PATIENCE_MAX_US);
}

int64_t
batching_wait_us(const struct batching *b, uint64_t size, int64_t now_us)
{
    int64_t open = (int64_t)(size - handed_size(b));

    if (open == 0 || b->under_way == BATCHING_UNDER_WAY_MAX)
        return INT64_MAX;
    if (open * BATCHING_EVENT_US >= b->sync_us && open >= BATCHING_BESIDE_MIN)
        return 0;
    if (b->under_way > 0)
        return INT64_MAX;
    if (size >= b->back_at || now_us >= b->patience_us)
        return 0;
    return b->patience_us - now_us;
}
