/* wsframe.h: frame headers of RFC 6455 section 5.2, and masking fast enough for the relay. Used by
 * server and client side. Pure; any thread. Never looks at payload, UTF-8, message order: see ws.h.
 */
#ifndef HTTP_WSFRAME_H
#define HTTP_WSFRAME_H

#include "core/err.h"
#include "core/span.h"

#define WSFRAME_HEADER_MAX 14 /* 2 + 8 + 4 */

enum wsframe_opcode {
    WSFRAME_CONTINUATION = 0x0,
    WSFRAME_TEXT = 0x1,
    WSFRAME_BINARY = 0x2,
    WSFRAME_CLOSE = 0x8,
    WSFRAME_PING = 0x9,
    WSFRAME_PONG = 0xa,
};

struct wsframe {
    uint64_t payload_len;
    uint8_t opcode; /* enum wsframe_opcode */
    bool fin;
    bool masked;
    uint8_t mask[4];
    uint8_t header_len; /* bytes the header took */
};

/* Reads one header from the front of `in`. ERR_SHORT: more bytes are needed (but what is there is
 * already checked, so a bad first byte is refused at once). ERR_MALFORMED (close 1002): a reserved
 * bit or opcode, a control frame that is fragmented or longer than 125, a length not in its
 * shortest form, or above 2^63-1. */
enum err wsframe_parse(struct span in, struct wsframe *frame) MUST_USE;

/* Writes a header; returns its length. mask NULL: unmasked (server to client). */
size_t wsframe_write(
    uint8_t out[WSFRAME_HEADER_MAX], bool fin, uint8_t opcode, uint64_t len, const uint8_t mask[4]);

/* Length of the header that wsframe_write would write. */
size_t wsframe_header_len(uint64_t len, bool masked);

/* dst[i] = src[i] ^ mask[(offset + i) % 4]. dst may equal src or lie anywhere before it (overlap
 * included), so a relay can unmask and close the gap in one pass. Masks and unmasks. */
void wsframe_mask(
    uint8_t *dst, const uint8_t *src, size_t len, const uint8_t mask[4], uint64_t offset);

/* Close payloads (section 5.5.1, 7.4): empty, or a valid code and UTF-8. code is 1005 if empty.
 * ERR_MALFORMED: 1 byte, or a code that must not be sent (close 1002); ERR_MISMATCH: reason is not
 * UTF-8 (close 1007). */
enum err wsframe_close_parse(struct span payload, uint16_t *code, struct span *reason) MUST_USE;

/* Incremental UTF-8 check (RFC 3629: no surrogates, no overlong forms). state starts at 0; feed
 * parts in order; false: invalid. At the end the state must be 0. */
bool wsframe_utf8(uint32_t *state, struct span bytes);

#endif
