/* digest_check.c: the state follows from the events, or it does not. Pure; one thread. */
#include "projections/digest_check.h"

#include "projections/digest.h"

enum err
digest_check_init(struct digest_check *d)
{
    *d = (struct digest_check){.world = world_new()};
    return d->world != NULL ? OK : ERR_MEMORY;
}

void
digest_check_fini(struct digest_check *d)
{
    world_free(d->world);
    d->world = NULL;
}

static bool
holds(struct digest_check *d, const struct event *ev)
{
    struct hash said, ours;

    if (ev->type != EV_SERVER_STARTED || !fields_fixed(&ev->data, FIELD_DIGEST, said.b, HASH_BYTES))
        return true;
    if (fields_u64(&ev->data, FIELD_DIGEST_VERSION) != WORLD_DIGEST_VERSION) {
        d->skipped++;
        return true;
    }
    world_digest(d->world, d->world->eff_us, &ours);
    d->checked++;
    return hash_equal(&said, &ours);
}

const char *
digest_check_event(struct digest_check *d, const struct event *ev)
{
    if (!holds(d, ev))
        return "the state before it is not the one whose digest it carries";
    world_fold(d->world, ev);
    return NULL;
}
