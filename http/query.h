/* query.h: the query of a request's target, into names and decoded values. Strict: names that the
 * route does not know and repeated ones are refused, values are UTF-8 without controls. Pure. */
#ifndef HTTP_QUERY_H
#define HTTP_QUERY_H

#include "core/err.h"
#include "core/span.h"

#define QUERY_ITEMS_MAX 16

struct query_item {
    const char *name; /* the table's */
    struct span value;
};

struct query {
    uint32_t count;
    struct query_item items[QUERY_ITEMS_MAX];
    uint8_t *bytes; /* holds the values */
};

struct query_error {
    char name[64]; /* escaped and cut; may be empty */
    const char *reason;
};

/* allowed: ends with NULL; may be NULL. '+' stands for a space, as forms have it. */
MUST_USE enum err query_parse(
    struct span text, const char *const *allowed, struct query *out, struct query_error *error);
void query_fini(struct query *q);
/* NULL: absent. */
const struct span *query_find(const struct query *q, const char *name);
/* The filters of a list in one text, without what only moves through it (after, limit, at_least,
 * wait): what a cursor is bound to. Writes at most cap bytes; false: does not fit. */
MUST_USE bool query_scope(const struct query *q, char *out, size_t cap, size_t *len);

#endif
