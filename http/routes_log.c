/* routes_log.c: the log for whoever checks it with tools of their own: checkpoint and tiles (C2SP
 * tlog-tiles) for anyone, entry bundles for auditors. Strangers see one head a minute. Loops. */
#include "http/routes_log.h"

#include <inttypes.h>
#include <sodium.h>

#include "core/checkpoint.h"
#include "core/tile.h"
#include "http/reply.h"
#include "http/routes_handlers.h"

#define HEAD_EVERY_MS 60000
#define SLICE_RECORDS 32
#define IMMUTABLE     "public, max-age=31536000, immutable"

struct published_head *
published_head_new(void)
{
    struct published_head *h = calloc(1, sizeof(*h));

    if (h != NULL)
        INVARIANT(pthread_mutex_init(&h->lock, NULL) == 0);
    return h;
}

void
published_head_free(struct published_head *h)
{
    if (h == NULL)
        return;
    pthread_mutex_destroy(&h->lock);
    free(h);
}

static void
log_headers(struct response *response, const char *cache)
{
    response_add_str(response, "X-Content-Type-Options", "nosniff");
    response_add_str(response, "Referrer-Policy", "no-referrer");
    response_add_str(response, "Cache-Control", cache);
}

static enum pace
log_reply(struct walk *w, const char *type, const char *cache, struct span body)
{
    struct response response;

    response_init(&response, 200);
    log_headers(&response, cache);
    response_body(&response, type, body);
    http_reply(w->loop, w->ref, &response);
    return walk_spoke(w);
}

/* ---- the head ---- */

static enum err
stranger_head(struct walk *w, char out[CHECKPOINT_BYTES_MAX], size_t *len)
{
    struct published_head *h = routes_published_head(w->app);
    uint64_t now = loop_now_ms(w->loop);
    enum err err = OK;

    pthread_mutex_lock(&h->lock);
    if (h->len == 0 || loop_since_ms(h->taken_ms, now) >= HEAD_EVERY_MS) {
        err = w->app->tiles.checkpoint(w->app->tiles.ctx, h->text, sizeof(h->text), &h->len);
        h->taken_ms = now;
    }
    *len = err == OK ? h->len : 0;
    memcpy(out, h->text, *len);
    pthread_mutex_unlock(&h->lock);
    return err;
}

enum pace
checkpoint_reply(struct walk *w)
{
    char text[CHECKPOINT_BYTES_MAX];
    size_t len;
    enum err err;

    if (w->asker->caller.kind == CALLER_NOBODY)
        err = stranger_head(w, text, &len);
    else
        err = w->app->tiles.checkpoint(w->app->tiles.ctx, text, sizeof(text), &len);
    if (err != OK)
        return walk_no(w, PROBLEM_NOT_FOUND, NULL, NULL);
    return log_reply(w, "text/plain; charset=utf-8", "no-cache", span_of(text, len));
}

/* ---- tiles ---- */

enum pace
tile_reply(struct walk *w)
{
    uint8_t bytes[TILE_BYTES];
    struct tile_path tile;
    enum err err;

    if (tile_path_parse(walk_request(w)->path, &tile) != OK || tile.entries)
        return walk_no(w, PROBLEM_NOT_FOUND, NULL, NULL);
    err = w->app->tiles.tile(w->app->tiles.ctx, tile.level, tile.index, tile.width, bytes);
    if (err == ERR_NOT_FOUND)
        return walk_no(w, PROBLEM_NOT_FOUND, NULL, NULL);
    if (err != OK)
        return walk_no(w, PROBLEM_INTERNAL, NULL, NULL);
    return log_reply(
        w, "application/octet-stream", IMMUTABLE, span_of(bytes, tile.width * (size_t)HASH_BYTES));
}

/* ---- entry bundles ---- */

struct bundle {
    struct tile_path tile;
    char path[TILE_PATH_BYTES];
    uint64_t next, end;
    struct walk *w;
    bool paused, broken;
};

bool
entries_parse(struct walk *w)
{
    struct bundle *in = walk_in(w, sizeof(*in));
    struct span path = walk_request(w)->path;

    if (in == NULL)
        return false;
    if (path.len >= sizeof(in->path) || tile_path_parse(path, &in->tile) != OK ||
        !in->tile.entries) {
        walk_no(w, PROBLEM_NOT_FOUND, NULL, NULL);
        return false;
    }
    memcpy(in->path, path.ptr, path.len);
    in->w = w;
    in->next = in->tile.index * TILE_WIDTH;
    in->end = in->next + in->tile.width;
    return true;
}

struct command *
entries_command(struct walk *w)
{
    const struct bundle *in = w->in;
    struct command *cmd = walk_command(w, CMD_READ_AUDIT, TILE_PATH_BYTES);

    if (cmd != NULL) {
        cmd->read_audit.action = "entries";
        cmd->read_audit.query = command_copy(cmd, span_str(in->path));
    }
    return cmd;
}

/* u16 length, record: as C2SP has it. Records are below 64 KiB. */
static bool
each_entry(void *arg, uint64_t seq, struct span record)
{
    struct bundle *in = arg;
    uint8_t length[2] = {(uint8_t)(record.len >> 8), (uint8_t)record.len};

    if (seq != in->next || record.len > UINT16_MAX) {
        in->broken = true;
        return false;
    }
    (void)http_stream_write(in->w->loop, in->w->ref, span_of(length, 2));
    in->paused = !http_stream_write(in->w->loop, in->w->ref, record);
    in->next++;
    return !in->paused;
}

static void
entries_turn(struct walk *w)
{
    struct bundle *in = w->in;
    uint64_t left = in->end - in->next, next, before = in->next;
    uint32_t max = left < SLICE_RECORDS ? (uint32_t)left : SLICE_RECORDS;

    if (w->app->log.read(w->app->log.ctx, in->next, max, each_entry, in, &next) != OK ||
        in->broken || in->next == before) {
        http_stream_abort(w->loop, w->ref); /* on_gone ends the walk */
        return;
    }
    if (in->next < in->end) {
        if (!in->paused)
            loop_timer_set(w->loop, &w->timer, 1);
        return;
    }
    http_stream_end(w->loop, w->ref);
    walk_free(w);
}

static void
entries_timed(struct loop *loop, struct timer *timer)
{
    (void)loop;
    entries_turn((struct walk *)((char *)timer - offsetof(struct walk, timer)));
}

static void
entries_drained(struct loop *loop, struct ref ref, void *user)
{
    struct walk *w = http_user(loop, ref);

    (void)user;
    if (w == NULL)
        return;
    ((struct bundle *)w->in)->paused = false;
    entries_turn(w);
}

/* A bundle has at most 256 records of 60 KiB: too much for one piece, little enough for a stream of
 * its own. */
enum pace
entries_reply(struct walk *w)
{
    const struct bundle *in = w->in;
    struct response response;

    if (in->end > w->app->log.size(w->app->log.ctx))
        return walk_no(w, PROBLEM_NOT_FOUND, NULL, NULL);
    response_init(&response, 200);
    log_headers(&response, "no-store"); /* for this reader alone */
    response_add_str(&response, "Content-Type", "application/octet-stream");
    w->timer.fn = entries_timed;
    http_stream_begin(w->loop, w->ref, &response, entries_drained, NULL);
    entries_turn(w);
    return PACE_WAIT;
}
