/* eventfeed.c: streams of events. Runs on loops. No read transaction outlives a slice. */
#include "http/eventfeed.h"

#include <inttypes.h>
#include <sodium.h>

#include "core/event_json.h"
#include "http/reply.h"

#define SLICE_EVENTS   64
#define CHECK_EVERY_MS 1000
#define FEED_AGAIN_MS  64 /* when the mailbox takes no reminder */
#define NDJSON_TYPE    "application/x-ndjson"

/* ---- one event ---- */

struct opening {
    const struct app *app;
    struct json_write *json;
    const char *key;
    bool ndjson, written;
    const bool *stop; /* may be NULL */
    uint64_t seq;     /* of the last one written */
    struct fields personal[SEALED_MAX];
    uint8_t plain[RECORD_BYTES_MAX]; /* of all boxes */
};

/* Boxes whose key is there; the others stay shut. */
static uint32_t
open_boxes(struct opening *o, const struct event *ev)
{
    size_t used = 0, len;

    for (uint32_t i = 0; i < ev->sealed_count; i++) {
        o->personal[i].count = 0;
        if (o->app->opener.open(o->app->opener.ctx, ev, &ev->sealed[i], o->plain + used,
                sizeof(o->plain) - used, &len) != OK)
            continue;
        if (fields_decode(span_of(o->plain + used, len), &o->personal[i]) != OK)
            o->personal[i].count = 0;
        used += len;
    }
    return ev->sealed_count;
}

static bool
each_record(void *arg, uint64_t seq, struct span record)
{
    struct opening *o = arg;
    struct span body, sig;
    struct event ev;

    if (event_split(record, &body, &sig) != OK || event_decode(body, &ev) != OK)
        return false;
    o->seq = seq;
    event_json(o->json, o->key, &ev, o->personal, open_boxes(o, &ev));
    if (o->ndjson)
        json_write_newline(o->json);
    o->written = true;
    return o->stop == NULL || !*o->stop;
}

static struct opening *
opening_new(const struct app *app, struct json_write *json, const char *key)
{
    struct opening *o = malloc(sizeof(*o));

    if (o != NULL) {
        o->app = app;
        o->json = json;
        o->key = key;
        o->ndjson = o->written = false;
        o->stop = NULL;
    }
    return o;
}

static void
opening_free(struct opening *o)
{
    if (o != NULL)
        sodium_memzero(o, sizeof(*o));
    free(o);
}

enum err
event_write(const struct app *app, struct json_write *w, const char *key, uint64_t seq)
{
    struct opening *o;
    uint64_t next;
    enum err err;

    if (seq >= app->log.size(app->log.ctx))
        return ERR_NOT_FOUND;
    if ((o = opening_new(app, w, key)) == NULL)
        return ERR_MEMORY;
    err = app->log.read(app->log.ctx, seq, 1, each_record, o, &next);
    if (err == OK && !o->written)
        err = ERR_MALFORMED;
    opening_free(o);
    return err;
}

/* ---- many ---- */

static enum err
feed_sink(void *ctx, struct span bytes)
{
    struct walk *w = ctx;
    struct event_feed *feed = w->feed;

    if (!http_stream_write(w->loop, w->ref, bytes))
        feed->paused = true;
    return OK;
}

static void
feed_drop(struct walk *w)
{
    struct event_feed *feed = w->feed;

    if (feed->begun)
        json_write_fini(&feed->json);
    free(feed);
    w->feed = NULL;
}

static void
feed_end(struct walk *w, uint64_t after, bool more)
{
    struct event_feed *feed = w->feed;
    struct json_write *json = &feed->json;
    char cursor[128];

    if (!feed->ndjson) {
        json_write_end(json);
        if (more) {
            feed->cursor(w, after, cursor, sizeof(cursor));
            json_write_str(json, "next", cursor);
        } else {
            json_write_null(json, "next");
        }
        json_write_uint(json, "position", feed->position);
        json_write_end(json);
    }
    if (json_write_done(json) == OK)
        http_stream_end(w->loop, w->ref);
    else
        http_stream_abort(w->loop, w->ref);
    walk_free(w);
}

static void
feed_fail(struct walk *w)
{
    http_stream_abort(w->loop, w->ref); /* on_gone ends the walk */
}

struct slice {
    uint64_t seqs[SLICE_EVENTS];
    uint32_t count;
};

static bool
each_seq(void *arg, uint64_t seq)
{
    struct slice *slice = arg;

    slice->seqs[slice->count++] = seq;
    return slice->count < SLICE_EVENTS;
}

static enum err
slice_find(struct walk *w, struct slice *slice, uint64_t *next, bool *more)
{
    struct event_feed *feed = w->feed;
    struct rows rows;
    enum err err;

    slice->count = 0;
    feed->query.limit = feed->left < SLICE_EVENTS ? feed->left : SLICE_EVENTS;
    if ((err = w->app->views.begin(w->app->views.ctx, &rows)) != OK)
        return err;
    err = views_events(&rows, &feed->query, each_seq, slice, next, more);
    w->app->views.end(w->app->views.ctx, &rows);
    return err;
}

/* Writes the slice's events, neighbours in one read. *done: how many; fewer when the peer takes no
 * more. */
static enum err
slice_write(struct walk *w, const struct slice *slice, uint32_t *done)
{
    struct event_feed *feed = w->feed;
    struct opening *o = opening_new(w->app, &feed->json, NULL);
    enum err err = o == NULL ? ERR_MEMORY : OK;
    uint64_t next;

    *done = 0;
    if (o != NULL) {
        o->ndjson = feed->ndjson;
        o->stop = &feed->paused;
    }
    while (err == OK && *done < slice->count && !feed->paused) {
        uint32_t run = 1;

        while (*done + run < slice->count && slice->seqs[*done + run] == slice->seqs[*done] + run)
            run++;
        o->written = false;
        err = w->app->log.read(w->app->log.ctx, slice->seqs[*done], run, each_record, o, &next);
        if (err == OK && !o->written)
            err = ERR_MALFORMED;
        if (err == OK)
            *done += (uint32_t)(o->seq - slice->seqs[*done]) + 1;
    }
    opening_free(o);
    return err;
}

static void feed_turn(struct walk *w);

static void
feed_again(struct loop *loop, struct ref ref, void *arg)
{
    struct walk *w = walk_get(loop, ref);

    (void)arg;
    if (w != NULL && w->feed != NULL && !w->waiting)
        feed_turn(w);
}

static bool feed_checks(struct walk *w);

/* A peer that reads nothing keeps its stream, not its right: that is asked for all the same. */
static void
feed_timed(struct loop *loop, struct timer *timer)
{
    struct walk *w = (struct walk *)((char *)timer - offsetof(struct walk, timer));
    struct event_feed *feed = w->feed;

    if (!feed->paused)
        feed_turn(w);
    else if (!feed_checks(w))
        loop_timer_set(loop, timer, CHECK_EVERY_MS);
}

static void
feed_drained(struct loop *loop, struct ref ref, void *user)
{
    struct walk *w = http_user(loop, ref);

    (void)user;
    if (w == NULL || w->feed == NULL)
        return;
    ((struct event_feed *)w->feed)->paused = false;
    if (!w->waiting)
        feed_turn(w);
}

/* The verdict on the reader's right, asked for while the answer runs. */
static void
feed_resumed(struct walk *w)
{
    const struct event_feed *feed = w->feed;

    if (w->verdict.refusal != REFUSE_NONE)
        feed_fail(w);
    else if (feed->paused)
        loop_timer_set(w->loop, &w->timer, CHECK_EVERY_MS);
    else
        feed_turn(w);
}

/* True: the ledger is being asked, or could not be. */
static bool
feed_checks(struct walk *w)
{
    struct event_feed *feed = w->feed;
    uint64_t now = loop_now_ms(w->loop);

    if (now - feed->checked_ms < CHECK_EVERY_MS)
        return false;
    feed->checked_ms = now;
    if (!walk_ask_again(w, walk_authorize(w, ACTION_AUDIT_READ)))
        feed_fail(w);
    return true;
}

/* One slice; then the next turn's, the peer's, or the end. */
static void
feed_turn(struct walk *w)
{
    struct event_feed *feed = w->feed;
    struct slice slice;
    uint64_t next;
    uint32_t done;
    bool more;

    loop_timer_stop(w->loop, &w->timer);
    if (feed_checks(w))
        return;
    if (slice_find(w, &slice, &next, &more) != OK || slice_write(w, &slice, &done) != OK) {
        feed_fail(w);
        return;
    }
    if (done < slice.count) { /* go on behind the last one that went out */
        next = slice.seqs[done - 1];
        more = true;
    }
    feed->query.has_after = true;
    feed->query.after = next;
    feed->left -= done;
    if (!more || feed->left == 0)
        feed_end(w, next, more);
    else if (feed->paused)
        loop_timer_set(w->loop, &w->timer, CHECK_EVERY_MS);
    else if (!loop_post(w->loop, feed_again, w->self, NULL))
        loop_timer_set(w->loop, &w->timer, FEED_AGAIN_MS);
}

enum pace
event_feed_start(struct walk *w, struct event_feed *feed)
{
    struct response response;
    char position[24];

    w->feed = feed;
    w->drop = feed_drop;
    w->resume = feed_resumed;
    w->timer.fn = feed_timed;
    feed->begun = true;
    feed->checked_ms = loop_now_ms(w->loop);
    feed->position = w->verdict.rests_on;
    response_init(&response, 200);
    reply_headers(&response, walk_request(w));
    snprintf(position, sizeof(position), "%" PRIu64, feed->position);
    response_add_str(&response, "Gatehouse-Position", position);
    response_add_str(&response, "Content-Type", feed->ndjson ? NDJSON_TYPE : "application/json");
    http_stream_begin(w->loop, w->ref, &response, feed_drained, NULL);
    json_write_init(&feed->json, feed_sink, w);
    if (!feed->ndjson) {
        json_write_object(&feed->json, NULL);
        json_write_array(&feed->json, "items");
    }
    feed_turn(w);
    return PACE_WAIT;
}
