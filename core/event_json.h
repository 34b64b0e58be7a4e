/* event_json.h: events as JSON, one shape for the API, NDJSON and the command line. Table-driven: a
 * field that the catalogue does not know is shown by number with its msgpack bytes in base64. */
#ifndef CORE_EVENT_JSON_H
#define CORE_EVENT_JSON_H

#include "core/event.h"
#include "core/json_write.h"

/* personal: the opened maps of ev->sealed, in its order; an entry with count 0 was not opened (no
 * right, or the key was destroyed) and is left out, with "sealed": n telling how many stayed shut.
 * Writes one object:
 *   {"seq":1,"id":"evt_..","type":"session.opened","v":1,"time":"2026-11-24T03:20:53.000001Z",
 *    "wall_time":"...","actor":{"kind":"user","id":"usr_..","family":"tok_..","net":"hex"},
 *    "subject":{"session":"ses_.."},"data":{"n":1},"personal":{"address":"192.0.2.1"},"policy":"hex"}
 */
void event_json(struct json_write *w, const char *key, const struct event *ev,
    const struct fields *personal, uint32_t personal_count);

/* RFC 3339 in UTC with microseconds. */
#define EVENT_TIME_TEXT 32
void event_time_text(int64_t us, char out[EVENT_TIME_TEXT]);
/* Parses RFC 3339 (with offset or Z). */
MUST_USE enum err event_time_parse(struct span text, int64_t *us);

#endif
