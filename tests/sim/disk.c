/* disk.c: the simulated journal: batches become durable late, in order, whole or not at all. */
#include "tests/sim/sim.h"

static void
keep_secret(struct disk *d, const struct batch_secret *secret)
{
    for (uint32_t i = 0; i < d->secret_count; i++)
        if (d->secrets[i].kind == secret->kind && id_equal(&d->secrets[i].id, &secret->id) &&
            d->secrets[i].version == secret->version) {
            d->secrets[i] = *secret;
            return;
        }
    if (d->secret_count == d->secret_cap) {
        d->secret_cap = d->secret_cap == 0 ? 64 : d->secret_cap * 2;
        d->secrets = realloc(d->secrets, d->secret_cap * sizeof(*d->secrets));
        INVARIANT(d->secrets != NULL);
    }
    d->secrets[d->secret_count++] = *secret;
}

static void
drop_secret(struct disk *d, const struct batch_secret *secret)
{
    for (uint32_t i = 0; i < d->secret_count; i++)
        if (d->secrets[i].kind == secret->kind && id_equal(&d->secrets[i].id, &secret->id) &&
            (secret->version == 0 || d->secrets[i].version == secret->version))
            d->secrets[i--] = d->secrets[--d->secret_count];
}

static void
write_secrets(struct disk *d, const struct batch *b, bool drops)
{
    for (uint32_t i = 0; i < b->secret_count; i++) {
        if (b->secrets[i].drop && drops)
            drop_secret(d, &b->secrets[i]);
        if (!b->secrets[i].drop && !drops)
            keep_secret(d, &b->secrets[i]);
    }
}

static void
write_records(struct disk *d, const struct batch *b)
{
    INVARIANT(b->first_seq == d->size); /* event 9 never reaches the disk before event 7 */
    for (uint32_t i = 0; i < b->count; i++) {
        struct span body = batch_body(b, i);
        uint8_t *copy = malloc(body.len);

        INVARIANT(copy != NULL);
        memcpy(copy, body.ptr, body.len);
        if (d->size == d->cap) {
            d->cap = d->cap == 0 ? 1024 : d->cap * 2;
            d->records = realloc(d->records, d->cap * sizeof(*d->records));
            INVARIANT(d->records != NULL);
        }
        d->records[d->size++] = span_of(copy, body.len);
    }
}

static bool
disk_submit(void *ctx, struct batch *b)
{
    struct disk *d = ctx;

    if (d->under_way_count == 2)
        return false;
    d->under_way[d->under_way_count++] = b;
    return true;
}

struct journal_port
disk_port(struct disk *d)
{
    return (struct journal_port){.ctx = d, .submit = disk_submit};
}

bool
disk_sync(struct disk *d)
{
    struct batch *b;

    if (d->under_way_count == 0)
        return false;
    b = d->under_way[0];
    write_secrets(d, b, false);
    write_records(d, b);
    write_secrets(d, b, true);
    d->under_way[0] = d->under_way[1];
    d->under_way_count--;
    batch_free(b);
    return true;
}

void
disk_crash(struct disk *d, struct entropy *dice)
{
    uint64_t whole = entropy_below(dice, d->under_way_count + 1);

    for (uint64_t i = 0; i < whole; i++)
        disk_sync(d);
    if (d->under_way_count > 0 && entropy_below(dice, 2) == 0)
        write_secrets(d, d->under_way[0], false); /* synced, but no event names them */
    for (uint32_t i = 0; i < d->under_way_count; i++)
        batch_free(d->under_way[i]);
    d->under_way_count = 0;
}

void
disk_free(struct disk *d)
{
    disk_crash(d, &(struct entropy){0});
    for (uint64_t i = 0; i < d->size; i++)
        free((void *)(uintptr_t)d->records[i].ptr);
    free(d->records);
    free(d->secrets);
    *d = (struct disk){0};
}
