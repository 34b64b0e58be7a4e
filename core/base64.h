/* base64.h: RFC 4648 base64, strict on read: one text per byte string, so no line breaks, no
 * missing or surplus padding, no stray bits in the last character. Constant time per character, as
 * keys pass through it. */
#ifndef CORE_BASE64_H
#define CORE_BASE64_H

#include "core/err.h"
#include "core/span.h"

enum base64_kind {
    BASE64_STD, /* section 4, padded: notes, checkpoints, proofs */
    BASE64_URL, /* section 5, without padding: tickets, headers */
};

/* Characters that `bytes` bytes take; no NUL is counted. */
size_t base64_encoded_len(enum base64_kind kind, size_t bytes);

/* Writes exactly base64_encoded_len characters and no NUL. ERR_LIMIT if `cap` is smaller. */
MUST_USE enum err base64_encode(
    enum base64_kind kind, struct span bytes, char *out, size_t cap, size_t *len);

/* ERR_MALFORMED, or ERR_LIMIT when the result would be longer than `cap`. */
MUST_USE enum err base64_decode(
    enum base64_kind kind, struct span text, uint8_t *out, size_t cap, size_t *len);

/* Would base64_decode take it, and how long would the result be. */
MUST_USE enum err base64_check(enum base64_kind kind, struct span text, size_t *len);

#endif
