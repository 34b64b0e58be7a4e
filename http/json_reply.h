/* json_reply.h: answers of a server, as its clients read them: by path, unknown members passed over
 * (a newer server may say more), everything else as strict as json_read.h. Texts are foreign:
 * escape them before they reach a terminal. */
#ifndef HTTP_JSON_REPLY_H
#define HTTP_JSON_REPLY_H

#include "core/err.h"
#include "core/limits.h"
#include "core/span.h"

struct json_reply; /* owns all that the getters hand out */

/* A whole JSON text whose outermost value is an object or a list. ERR_MALFORMED, ERR_LIMIT (nested
 * deeper than JSON_DEPTH_MAX), ERR_MEMORY. */
enum err json_reply_parse(struct span text, struct json_reply **out) MUST_USE;
void json_reply_free(struct json_reply *reply);

/* path: member names and list indexes, dotted: "session.id", "items.0.name". "" is the whole. False
 * (and nothing set) when there is no such value or it has another type. */
bool json_reply_text(const struct json_reply *reply, const char *path, struct span *out);
bool json_reply_int(const struct json_reply *reply, const char *path, int64_t *out);
bool json_reply_bool(const struct json_reply *reply, const char *path, bool *out);
/* Items of a list, members of an object; 0 for all else. */
size_t json_reply_count(const struct json_reply *reply, const char *path);
bool json_reply_has(const struct json_reply *reply, const char *path);

/* A text without NUL inside, copied as a C string; false also when it does not fit. */
bool json_reply_copy(const struct json_reply *reply, const char *path, char *out, size_t size);

/* What an RFC 9457 answer says, for one line on a terminal: all escaped already. */
struct problem_said {
    char code[64];    /* "" when the answer is no problem+json */
    char detail[512]; /* or the title, or the status in words */
};
void problem_read(unsigned status, struct span body, struct problem_said *out);

#endif
