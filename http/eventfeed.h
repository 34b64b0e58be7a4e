/* eventfeed.h: many events as one streamed answer, with back-pressure: a slice per loop turn, no
 * more than the peer takes, the reader's right asked for again every second. One JSON page
 * ({"items":[...],"next":...,"position":...}) or NDJSON (one event a line). Runs on loops. */
#ifndef HTTP_EVENTFEED_H
#define HTTP_EVENTFEED_H

#include "http/walk.h"
#include "projections/views.h"

struct event_feed {
    struct events_query query;
    uint32_t left; /* events still wanted */
    bool ndjson;
    struct json_write json;
    uint64_t position;
    uint64_t checked_ms; /* when the right was last asked for */
    bool paused;         /* the peer takes no more for now */
    bool begun;
    /* The cursor behind the last event, for "next". */
    void (*cursor)(struct walk *w, uint64_t after, char *out, size_t cap);
};

/* One event of the log as JSON, personal fields opened as far as there are keys. `key` as in
 * json_write. ERR_NOT_FOUND: beyond the durable head. */
MUST_USE enum err event_write(
    const struct app *app, struct json_write *w, const char *key, uint64_t seq);

/* Takes over w->feed (a struct event_feed, malloc'd and filled by the caller) and the answer. */
enum pace event_feed_start(struct walk *w, struct event_feed *feed);

#endif
