/* moment.c: the entropy stream. Pure; any thread, one owner a stream. */
#include "core/moment.h"

#include <sodium.h>

void
entropy_init(struct entropy *e, const uint8_t seed[32])
{
    memcpy(e->seed, seed, sizeof(e->seed));
    e->used = 0;
}

void
entropy_bytes(struct entropy *e, void *out, size_t n)
{
    uint8_t nonce[crypto_stream_chacha20_NONCEBYTES] = {0};

    /* One nonce a call: no byte of the stream is ever handed out twice. */
    for (size_t i = 0; i < 8; i++)
        nonce[i] = (uint8_t)(e->used >> (8 * i));
    e->used++;
    crypto_stream_chacha20(out, n, nonce, e->seed);
}

struct id
entropy_id(struct entropy *e)
{
    struct id id;

    entropy_bytes(e, id.b, ID_BYTES);
    return id;
}

uint64_t
entropy_below(struct entropy *e, uint64_t bound)
{
    uint64_t v, top = UINT64_MAX - UINT64_MAX % bound;

    INVARIANT(bound > 0);
    do
        entropy_bytes(e, &v, sizeof(v));
    while (v >= top);
    return v % bound;
}
