/* routes_json.h: what the API shows of users, machines, codes and the rest: one shape each, for one
 * and in lists. Runs on loops, inside a read of the views. */
#ifndef HTTP_ROUTES_JSON_H
#define HTTP_ROUTES_JSON_H

#include "core/json_write.h"
#include "projections/views.h"

/* Members that are not there (nil, 0) are left out. */
void json_id(struct json_write *w, const char *key, enum id_kind kind, const struct id *id);
void json_time(struct json_write *w, const char *key, int64_t us);
/* Seconds left, 0 when it is over. */
void json_expires_in(struct json_write *w, int64_t expires_us, int64_t now_us);
/* A canonical array of str. */
void json_strs(struct json_write *w, const char *key, struct span packed);
/* "\"12\"" */
#define ETAG_TEXT 24
void etag_text(uint64_t seq, char out[ETAG_TEXT]);

void user_json(struct json_write *w, const char *key, const struct user_row *row);
void machine_json(struct json_write *w, const char *key, const struct machine_row *row);
void code_json(struct json_write *w, const char *key, const struct code_row *row, int64_t now_us);
void key_json(struct json_write *w, const char *key, const struct key_row *row, int64_t now_us);
void invite_json(
    struct json_write *w, const char *key, const struct invite_row *row, int64_t now_us);
void family_json(struct json_write *w, const char *key, const struct family_row *row,
    const struct id *own, int64_t now_us);
/* Leaves the object open, so that channels can follow. */
void session_json_open(
    struct json_write *w, const char *key, const struct session_row *row, int64_t now_us);
void channel_json(struct json_write *w, const char *key, const struct channel_row *row);
void alert_json(struct json_write *w, const char *key, const struct alert_row *row);
const char *session_state_name(uint32_t state);

#endif
