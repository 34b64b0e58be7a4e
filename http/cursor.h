/* cursor.h: where a list goes on, as an opaque text that only its reader can use, and only for the
 * same question: position and a MAC over path, user and filters. Pure. */
#ifndef HTTP_CURSOR_H
#define HTTP_CURSOR_H

#include "core/err.h"
#include "core/id.h"

#define CURSOR_POSITION_BYTES 24
#define CURSOR_MAC_BYTES      16
#define CURSOR_TEXT           56 /* base64url of both, and a NUL */

struct cursor_scope {
    const char *path;    /* the route's */
    struct id user;      /* nil: the local command line */
    struct span filters; /* query_scope */
};

/* key: 32 bytes, the origin's cursor key. */
void cursor_write(const uint8_t *key, const struct cursor_scope *scope,
    const uint8_t position[CURSOR_POSITION_BYTES], char out[CURSOR_TEXT]);
/* ERR_MALFORMED; ERR_MISMATCH: somebody else's, another question's, or made up. */
MUST_USE enum err cursor_read(const uint8_t *key, const struct cursor_scope *scope,
    struct span text, uint8_t position[CURSOR_POSITION_BYTES]);

#endif
