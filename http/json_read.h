/* json_read.h: request bodies into typed structs. The only user of jansson. One table per body says
 * which members there are, of what type and how long; what the table does not name is refused, and
 * every error names the member. Strict RFC 8259: no duplicates, no NUL, no depth beyond
 * JSON_DEPTH_MAX, nothing after the object. */
#ifndef HTTP_JSON_READ_H
#define HTTP_JSON_READ_H

#include "core/err.h"
#include "core/limits.h"
#include "core/text.h"

enum json_kind {
    JSON_KIND_TEXT,       /* struct span; min/max bytes */
    JSON_KIND_RULED,      /* struct span that passed text_check(text_kind) */
    JSON_KIND_INT,        /* int64_t in min..max */
    JSON_KIND_BOOL,       /* bool */
    JSON_KIND_LIST,       /* struct json_texts; min/max items of 1 to JSON_ITEM_BYTES_MAX bytes */
    JSON_KIND_RULED_LIST, /* struct json_texts; min/max items that passed text_check(text_kind) */
};

#define JSON_ITEM_BYTES_MAX 256

struct json_texts {
    struct span items[JSON_LIST_MAX];
    uint32_t count;
};

struct json_field {
    const char *name;
    enum json_kind kind;
    bool required; /* others may be absent; null is never taken for absent */
    int64_t min, max;
    enum text_kind text_kind;
    size_t offset; /* into the destination struct */
};

struct json_read_error {
    char field[64];   /* escaped; empty: the body as a whole */
    char reason[128]; /* goes after the name: "is too long" */
};

struct json_body; /* owns every span that json_body_read hands out */

/* "application/json", optionally with charset=utf-8; anything else is a 415. */
bool json_content_type(struct span value);

/* Parses a whole body that must be one object; what it held is wiped when freed. */
enum err json_body_parse(
    struct span body, struct json_body **out, struct json_read_error *error) MUST_USE;
void json_body_free(struct json_body *body);

/* Fills `dest` and sets bit i of `present` for each member i that was there. At most 32 fields.
 * Untouched members of dest keep what they held. */
enum err json_body_read(const struct json_body *body, const struct json_field *fields, size_t count,
    void *dest, uint32_t *present, struct json_read_error *error) MUST_USE;

#endif
