/* json_write.h: JSON as it leaves: replies, NDJSON lines, --json tables. Streaming: the text is
 * never held as a tree. Output is ASCII-safe inside HTML: `<`, `>`, `&`, controls, U+2028/9 are
 * escaped; bytes that are not UTF-8 become U+FFFD, so that the output is always valid JSON (RFC
 * 8259). */
#ifndef CORE_JSON_WRITE_H
#define CORE_JSON_WRITE_H

#include "core/err.h"
#include "core/span.h"

#define JSON_WRITE_DEPTH_MAX 16
#define JSON_WRITE_CHUNK     (16 * 1024) /* a sink is called at about this size */

/* Takes the bytes (borrowed for the call); an error stops the writer. */
typedef enum err (*json_write_sink)(void *ctx, struct span bytes);

struct json_write {
    uint8_t *buf;
    size_t len, cap;
    json_write_sink sink;
    void *ctx;
    enum err err; /* the first one; later calls do nothing */
    uint8_t depth;
    bool more[JSON_WRITE_DEPTH_MAX + 1]; /* a comma is due before the next value */
    char close[JSON_WRITE_DEPTH_MAX + 1];
};

/* Without a sink everything stays in a growing buffer until fini. */
void json_write_init(struct json_write *w, json_write_sink sink, void *ctx);
void json_write_fini(struct json_write *w);
/* Flushes to the sink if there is one. With no sink the bytes are w->buf[0 .. w->len).
 * Every object and array must have been closed. The writer can go on with a next value (NDJSON:
 * json_write_newline). */
enum err json_write_done(struct json_write *w) MUST_USE;
void json_write_newline(struct json_write *w);

/* `key` is NULL for items of an array and for the outermost value; keys are ours, never foreign. */
void json_write_object(struct json_write *w, const char *key);
void json_write_array(struct json_write *w, const char *key);
void json_write_end(struct json_write *w);
void json_write_text(struct json_write *w, const char *key, struct span text);
void json_write_str(struct json_write *w, const char *key, const char *text);
void json_write_int(struct json_write *w, const char *key, int64_t n);
void json_write_uint(struct json_write *w, const char *key, uint64_t n);
void json_write_bool(struct json_write *w, const char *key, bool value);
void json_write_null(struct json_write *w, const char *key);
/* A value that is JSON already. */
void json_write_raw(struct json_write *w, const char *key, struct span json);

#endif
