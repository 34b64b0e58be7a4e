/* chunked.h: the chunked coding of RFC 9112 section 7.1, without chunk extensions and trailers:
 * nobody sends them to us for a good reason, and they are where parsers disagree. Pure; any thread.
 */
#ifndef HTTP_CHUNKED_H
#define HTTP_CHUNKED_H

#include "core/err.h"
#include "core/span.h"

struct chunked {
    uint64_t left; /* of this chunk */
    uint8_t state; /* 0 at the start */
    uint8_t digits;
};

/* Takes bytes from the front of *in, up to a piece of data or the end of the body. *piece is what
 * it found (inside *in's bytes; may be empty). *done: the body is complete, *in begins behind it.
 * ERR_MALFORMED: not chunked coding as above. */
enum err chunked_next(
    struct chunked *chunked, struct span *in, struct span *piece, bool *done) MUST_USE;

#endif
