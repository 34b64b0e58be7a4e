/* channels_cut.c: ends channels because their session ends, or the server: a loop's own at once, or
 * those of all loops in an orderly way, waiting until each has been closed by an event. And pauses
 * them while it is in doubt whose the session is. */
#include "http/channels_internal.h"

#include <time.h>

#include "http/cuts.h"

#define ENDING_POLL_MS 64
#define ENDING_MAX_MS  (CHANNEL_ATTEST_MS + 500)

static void
channel_cut(struct channel *c)
{
    bool ending = app_of(c->loop)->ending;
    uint16_t code = ending ? 1001 : 1008;
    const char *reason = ending ? "server is stopping" : "the session has ended";

    if (c->state == CHANNEL_DIALLING) {
        ws_close(c->loop, c->technician, code, reason);
        channels_detach(c, ending ? "server_stopping" : "cut");
    } else if (c->state == CHANNEL_OPEN) {
        relay_cut(c->loop, c->technician, code, reason);
    }
}

static void
channels_cut_where(struct loop *loop, const struct id *session)
{
    struct channel *c, *next;

    HASH_ITER (hh, app_loop_of(loop)->channels->by_id, c, next)
        if (session == NULL || id_equal(&c->place.session, session))
            channel_cut(c);
}

void
channels_cut_session(struct loop *loop, const struct id *session)
{
    channels_cut_where(loop, session);
}

void
channels_cut_all(struct loop *loop)
{
    channels_cut_where(loop, NULL);
}

/* ---- pauses ---- */

static void
channel_pause(struct channel *c, bool paused)
{
    c->paused = paused;
    if (c->state == CHANNEL_OPEN)
        (void)relay_pause(c->loop, c->technician, paused);
}

void
channels_pause_session(struct loop *loop, const struct id *session)
{
    struct channel *c, *next;

    HASH_ITER (hh, app_loop_of(loop)->channels->by_id, c, next)
        if (id_equal(&c->place.session, session))
            channel_pause(c, true);
}

void
channels_resume_session(struct loop *loop, const struct id *session, const struct tag nets[2])
{
    struct channel *c, *next;

    HASH_ITER (hh, app_loop_of(loop)->channels->by_id, c, next) {
        if (!id_equal(&c->place.session, session))
            continue;
        if (tag_equal(&c->net, &nets[0]) || tag_equal(&c->net, &nets[1]))
            channel_pause(c, false);
        else
            channel_cut(c);
    }
}

/* ---- an orderly end ---- */

void
channels_end_all(struct app *app)
{
    static const struct timespec pause = {.tv_nsec = ENDING_POLL_MS * 1000000L};
    static const struct id nobody;

    app->ending = true;
    /* Cut again each time: one that was being attached when the first cut went by is found then. */
    for (unsigned ms = 0; ms < ENDING_MAX_MS; ms += ENDING_POLL_MS) {
        cuts_add(app, CUT_EVERYTHING, &nobody);
        (void)nanosleep(&pause, NULL);
        if (directory_session_channels(app->directory, NULL) == 0)
            return;
    }
}

struct ending {
    struct loop *loop;
    struct id session;
    struct ref ref;
    channels_closed_fn done;
    void *user;
    uint64_t until_ms;
    struct timer timer;
};

static void
ending_look(struct loop *loop, struct timer *timer)
{
    struct ending *e = (struct ending *)((char *)timer - offsetof(struct ending, timer));

    if (directory_session_channels(app_of(loop)->directory, &e->session) > 0 &&
        loop_now_ms(loop) < e->until_ms) {
        loop_timer_set(loop, &e->timer, ENDING_POLL_MS);
        return;
    }
    e->done(loop, e->ref, e->user);
    free(e);
}

void
channels_close_session(struct loop *loop, const struct id *session, struct ref ref,
    channels_closed_fn done, void *user)
{
    struct ending *e = calloc(1, sizeof(*e));

    cuts_add(app_of(loop), CUT_SESSION, session);
    if (e == NULL) {
        done(loop, ref, user);
        return;
    }
    *e = (struct ending){.loop = loop,
        .session = *session,
        .ref = ref,
        .done = done,
        .user = user,
        .until_ms = loop_now_ms(loop) + ENDING_MAX_MS,
        .timer = {.fn = ending_look}};
    ending_look(loop, &e->timer);
}
