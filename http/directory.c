/* directory.c: two maps and a lock. Any thread. */
#include "http/directory.h"

#include <pthread.h>
#include <uthash.h>

struct agent_entry {
    struct agent_place place;
    UT_hash_handle hh;
};

struct channel_entry {
    struct channel_place place;
    UT_hash_handle hh;
};

struct directory {
    pthread_mutex_t lock;
    struct agent_entry *agents;
    struct channel_entry *channels;
};

struct directory *
directory_new(void)
{
    struct directory *d = calloc(1, sizeof(*d));

    if (d != NULL)
        INVARIANT(pthread_mutex_init(&d->lock, NULL) == 0);
    return d;
}

void
directory_free(struct directory *d)
{
    struct agent_entry *a, *next_agent;
    struct channel_entry *c, *next_channel;

    if (d == NULL)
        return;
    HASH_ITER (hh, d->agents, a, next_agent) {
        HASH_DEL(d->agents, a);
        free(a);
    }
    HASH_ITER (hh, d->channels, c, next_channel) {
        HASH_DEL(d->channels, c);
        free(c);
    }
    pthread_mutex_destroy(&d->lock);
    free(d);
}

enum err
directory_put_agent(struct directory *d, const struct agent_place *place)
{
    struct agent_entry *e;
    enum err err = OK;

    pthread_mutex_lock(&d->lock);
    HASH_FIND(hh, d->agents, place->machine.b, ID_BYTES, e);
    if (e != NULL) {
        e->place = *place; /* the key stays the same */
    } else if ((e = calloc(1, sizeof(*e))) == NULL) {
        err = ERR_MEMORY;
    } else {
        e->place = *place;
        HASH_ADD(hh, d->agents, place.machine, ID_BYTES, e);
    }
    pthread_mutex_unlock(&d->lock);
    return err;
}

bool
directory_find_agent(struct directory *d, const struct id *machine, struct agent_place *out)
{
    struct agent_entry *e;

    pthread_mutex_lock(&d->lock);
    HASH_FIND(hh, d->agents, machine->b, ID_BYTES, e);
    if (e != NULL)
        *out = e->place;
    pthread_mutex_unlock(&d->lock);
    return e != NULL;
}

void
directory_drop_agent(struct directory *d, const struct id *machine, const struct id *connection)
{
    struct agent_entry *e;

    pthread_mutex_lock(&d->lock);
    HASH_FIND(hh, d->agents, machine->b, ID_BYTES, e);
    if (e != NULL && id_equal(&e->place.connection, connection)) {
        HASH_DEL(d->agents, e);
        free(e);
    }
    pthread_mutex_unlock(&d->lock);
}

enum err
directory_put_channel(struct directory *d, const struct channel_place *place)
{
    struct channel_entry *e = calloc(1, sizeof(*e));

    if (e == NULL)
        return ERR_MEMORY;
    e->place = *place;
    pthread_mutex_lock(&d->lock);
    HASH_ADD(hh, d->channels, place.channel, ID_BYTES, e);
    pthread_mutex_unlock(&d->lock);
    return OK;
}

bool
directory_find_channel(struct directory *d, const struct id *channel, struct channel_place *out)
{
    struct channel_entry *e;

    pthread_mutex_lock(&d->lock);
    HASH_FIND(hh, d->channels, channel->b, ID_BYTES, e);
    if (e != NULL)
        *out = e->place;
    pthread_mutex_unlock(&d->lock);
    return e != NULL;
}

void
directory_drop_channel(struct directory *d, const struct id *channel)
{
    struct channel_entry *e;

    pthread_mutex_lock(&d->lock);
    HASH_FIND(hh, d->channels, channel->b, ID_BYTES, e);
    if (e != NULL) {
        HASH_DEL(d->channels, e);
        free(e);
    }
    pthread_mutex_unlock(&d->lock);
}

void
directory_settle_channel(struct directory *d, const struct id *channel)
{
    struct channel_entry *e;

    pthread_mutex_lock(&d->lock);
    HASH_FIND(hh, d->channels, channel->b, ID_BYTES, e);
    if (e != NULL)
        e->place.settled = true;
    pthread_mutex_unlock(&d->lock);
}

unsigned
directory_session_channels(struct directory *d, const struct id *session)
{
    struct channel_entry *e, *next;
    unsigned n = 0;

    pthread_mutex_lock(&d->lock);
    HASH_ITER (hh, d->channels, e, next)
        n += !e->place.settled && (session == NULL || id_equal(&e->place.session, session));
    pthread_mutex_unlock(&d->lock);
    return n;
}
