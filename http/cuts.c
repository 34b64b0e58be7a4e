/* cuts.c: the ring of cuts and each loop's place in it. */
#include "http/cuts.h"

#include <pthread.h>

#include "http/agents.h"
#include "http/channels.h"

struct cuts {
    pthread_mutex_t lock;
    uint64_t written;
    struct cut ring[CUTS_RING];
    struct reader_place {
        struct notice notice;
        uint64_t read; /* its loop's own */
    } places[APP_LOOPS_MAX];
};

/* Copies one cut out; false when this loop has read all. *missed: the ring went round. */
static bool
cuts_next(struct cuts *c, uint64_t *read, struct cut *out, bool *missed)
{
    bool any;

    pthread_mutex_lock(&c->lock);
    *missed = c->written - *read > CUTS_RING;
    if (*missed)
        *read = c->written;
    any = *read < c->written;
    if (any)
        *out = c->ring[(*read)++ % CUTS_RING];
    pthread_mutex_unlock(&c->lock);
    return any;
}

static void
cuts_apply(struct loop *loop, const struct cut *cut)
{
    switch (cut->kind) {
    case CUT_SESSION:
        channels_cut_session(loop, &cut->id);
        agents_end_session(loop, &cut->id);
        return;
    case CUT_CONNECTION: agents_drop(loop, &cut->id); return;
    case CUT_RECHECK: agents_recheck(loop, &cut->id); return;
    case CUT_EVERYTHING: channels_cut_all(loop); return;
    case CUT_CHANNELS: channels_cut_session(loop, &cut->id); return;
    case CUT_PAUSE: channels_pause_session(loop, &cut->id); return;
    case CUT_RESUME: channels_resume_session(loop, &cut->id, cut->nets); return;
    }
}

static void
cuts_noticed(struct loop *loop, struct notice *notice)
{
    struct cuts *c = app_of(loop)->cuts;
    struct reader_place *place = &c->places[loop_index(loop)];
    bool missed;
    struct cut cut;

    (void)notice;
    while (cuts_next(c, &place->read, &cut, &missed))
        cuts_apply(loop, &cut);
    if (missed) {
        channels_cut_all(loop);
        agents_recheck(loop, &(struct id){{0}});
    }
}

static void
cuts_write(struct app *app, const struct cut *cut)
{
    struct cuts *c = app->cuts;

    pthread_mutex_lock(&c->lock);
    c->ring[c->written++ % CUTS_RING] = *cut;
    pthread_mutex_unlock(&c->lock);
    for (unsigned i = 0; i < http_server_loops(app->server); i++)
        loop_notify(http_server_loop(app->server, i), &c->places[i].notice);
}

void
cuts_add(struct app *app, enum cut_kind kind, const struct id *id)
{
    cuts_write(app, &(struct cut){.kind = kind, .id = *id});
}

void
cuts_from_verdict(struct app *app, const struct reply *reply)
{
    for (uint32_t i = 0; i < reply->paused_count; i++)
        cuts_add(app, CUT_PAUSE, &reply->paused[i]);
    for (uint32_t i = 0; i < reply->resumed_count; i++)
        cuts_write(app, &(struct cut){.kind = CUT_RESUME,
                            .id = reply->resumed[i].session,
                            .nets = {reply->resumed[i].nets[0], reply->resumed[i].nets[1]}});
    for (uint32_t i = 0; i < reply->ended_count; i++)
        cuts_add(app, CUT_SESSION, &reply->ended[i]);
    if (reply->cut_channels)
        cuts_add(app, CUT_CHANNELS, &reply->session);
    if (reply->cut_connection)
        cuts_add(app, CUT_CONNECTION, &reply->connection);
    if (reply->recheck_agents)
        cuts_add(app, CUT_RECHECK, &reply->machine);
}

enum err
cuts_start(struct app *app)
{
    struct cuts *c = calloc(1, sizeof(*c));

    if (c == NULL)
        return ERR_MEMORY;
    INVARIANT(pthread_mutex_init(&c->lock, NULL) == 0);
    for (unsigned i = 0; i < APP_LOOPS_MAX; i++)
        c->places[i].notice.fn = cuts_noticed;
    app->cuts = c;
    return OK;
}

void
cuts_stop(struct app *app)
{
    pthread_mutex_destroy(&app->cuts->lock);
    free(app->cuts);
    app->cuts = NULL;
}
