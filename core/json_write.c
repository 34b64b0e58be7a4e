/* json_write.c: the streaming writer. Never validates what it is told to say, only how it is spelt.
 * A writer belongs to one thread. */
#include "core/json_write.h"

#include "core/text.h"

#include <inttypes.h>

void
json_write_init(struct json_write *w, json_write_sink sink, void *ctx)
{
    *w = (struct json_write){.sink = sink, .ctx = ctx};
}

void
json_write_fini(struct json_write *w)
{
    free(w->buf);
    *w = (struct json_write){.err = ERR_CLOSED};
}

static void
flush(struct json_write *w)
{
    if (w->err == OK && w->len > 0)
        w->err = w->sink(w->ctx, span_of(w->buf, w->len));
    w->len = 0;
}

static void
put(struct json_write *w, const void *bytes, size_t len)
{
    if (w->err != OK)
        return;
    if (w->cap - w->len < len) {
        size_t cap = w->cap == 0 ? 512 : w->cap;
        uint8_t *grown;

        while (cap - w->len < len)
            cap *= 2;
        if ((grown = realloc(w->buf, cap)) == NULL) {
            w->err = ERR_MEMORY;
            return;
        }
        w->buf = grown;
        w->cap = cap;
    }
    memcpy(w->buf + w->len, bytes, len);
    w->len += len;
    if (w->sink != NULL && w->len >= JSON_WRITE_CHUNK)
        flush(w);
}

static void
put_str(struct json_write *w, const char *s)
{
    put(w, s, strlen(s));
}

static void
put_point(struct json_write *w, struct span bytes, uint32_t point)
{
    char esc[8];

    switch (point) {
    case '"': put_str(w, "\\\""); return;
    case '\\': put_str(w, "\\\\"); return;
    case '\n': put_str(w, "\\n"); return;
    case '\r': put_str(w, "\\r"); return;
    case '\t': put_str(w, "\\t"); return;
    default: break;
    }
    if (point < 0x20 || (point >= 0x7F && point <= 0x9F) || point == '<' || point == '>' ||
        point == '&' || (point <= 0xFFFF && text_invisible(point))) {
        snprintf(esc, sizeof(esc), "\\u%04x", (unsigned)(point & 0xFFFF));
        put_str(w, esc);
    } else {
        put(w, bytes.ptr, bytes.len);
    }
}

static void
put_quoted(struct json_write *w, struct span text)
{
    put_str(w, "\"");
    while (text.len > 0) {
        size_t plain = 0, took;
        uint32_t point = 0;

        while (plain < text.len && text.ptr[plain] >= 0x20 && text.ptr[plain] < 0x7F &&
               memchr("\"\\<>&", text.ptr[plain], 5) == NULL)
            plain++;
        put(w, text.ptr, plain);
        text = span_of(text.ptr + plain, text.len - plain);
        if (text.len == 0)
            break;
        if ((took = text_next(text, &point)) == 0) {
            put_str(w, "\\ufffd");
            took = 1;
        } else {
            put_point(w, span_of(text.ptr, took), point);
        }
        text = span_of(text.ptr + took, text.len - took);
    }
    put_str(w, "\"");
}

static void
begin(struct json_write *w, const char *key)
{
    INVARIANT((key != NULL) == (w->depth > 0 && w->close[w->depth] == '}'));
    if (w->more[w->depth])
        put_str(w, ",");
    w->more[w->depth] = w->depth > 0;
    if (key != NULL) {
        put_quoted(w, span_str(key));
        put_str(w, ":");
    }
}

static void
nest(struct json_write *w, const char *key, const char *open, char close)
{
    begin(w, key);
    put_str(w, open);
    INVARIANT(w->depth < JSON_WRITE_DEPTH_MAX);
    w->depth++;
    w->close[w->depth] = close;
    w->more[w->depth] = false;
}

void
json_write_object(struct json_write *w, const char *key)
{
    nest(w, key, "{", '}');
}

void
json_write_array(struct json_write *w, const char *key)
{
    nest(w, key, "[", ']');
}

void
json_write_end(struct json_write *w)
{
    INVARIANT(w->depth > 0);
    put(w, &w->close[w->depth], 1);
    w->depth--;
}

void
json_write_text(struct json_write *w, const char *key, struct span text)
{
    begin(w, key);
    put_quoted(w, text);
}

void
json_write_str(struct json_write *w, const char *key, const char *text)
{
    json_write_text(w, key, span_str(text));
}

void
json_write_int(struct json_write *w, const char *key, int64_t n)
{
    char digits[24];

    begin(w, key);
    snprintf(digits, sizeof(digits), "%" PRId64, n);
    put_str(w, digits);
}

void
json_write_uint(struct json_write *w, const char *key, uint64_t n)
{
    char digits[24];

    begin(w, key);
    snprintf(digits, sizeof(digits), "%" PRIu64, n);
    put_str(w, digits);
}

void
json_write_bool(struct json_write *w, const char *key, bool value)
{
    begin(w, key);
    put_str(w, value ? "true" : "false");
}

void
json_write_null(struct json_write *w, const char *key)
{
    begin(w, key);
    put_str(w, "null");
}

void
json_write_raw(struct json_write *w, const char *key, struct span json)
{
    begin(w, key);
    put(w, json.ptr, json.len);
}

void
json_write_newline(struct json_write *w)
{
    INVARIANT(w->depth == 0);
    put_str(w, "\n");
}

enum err
json_write_done(struct json_write *w)
{
    INVARIANT(w->depth == 0);
    if (w->sink != NULL)
        flush(w);
    return w->err;
}
