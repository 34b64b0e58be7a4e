/* wsframe.c: RFC 6455 frame headers, masking, close payloads, UTF-8. Pure; any thread.
 * Never allocates, never sees a whole message. */
#include "http/wsframe.h"

enum err
wsframe_parse(struct span in, struct wsframe *frame)
{
    const uint8_t *p = in.ptr;
    size_t need = 2;
    uint64_t len;

    if (in.len < 1)
        return ERR_SHORT;
    frame->fin = (p[0] & 0x80) != 0;
    frame->opcode = p[0] & 0x0f;
    if ((p[0] & 0x70) != 0 || (frame->opcode > WSFRAME_BINARY && frame->opcode < WSFRAME_CLOSE) ||
        frame->opcode > WSFRAME_PONG || (frame->opcode >= WSFRAME_CLOSE && !frame->fin))
        return ERR_MALFORMED;
    if (in.len < 2)
        return ERR_SHORT;
    frame->masked = (p[1] & 0x80) != 0;
    len = p[1] & 0x7f;
    if (frame->opcode >= WSFRAME_CLOSE && len > 125)
        return ERR_MALFORMED;
    need += len == 126 ? 2 : len == 127 ? 8 : 0;
    if (in.len < need)
        return ERR_SHORT;
    if (len >= 126) {
        uint64_t least = len == 126 ? 126 : 65536;

        len = 0;
        for (size_t i = 2; i < need; i++)
            len = len << 8 | p[i];
        if (len < least || len > INT64_MAX)
            return ERR_MALFORMED;
    }
    if (frame->masked) {
        if (in.len < need + 4)
            return ERR_SHORT;
        memcpy(frame->mask, p + need, 4);
        need += 4;
    }
    frame->payload_len = len;
    frame->header_len = (uint8_t)need;
    return OK;
}

size_t
wsframe_header_len(uint64_t len, bool masked)
{
    return (size_t)(len < 126 ? 2 : len < 65536 ? 4 : 10) + (masked ? 4 : 0);
}

size_t
wsframe_write(
    uint8_t out[WSFRAME_HEADER_MAX], bool fin, uint8_t opcode, uint64_t len, const uint8_t mask[4])
{
    uint8_t mask_bit = mask != NULL ? 0x80 : 0;
    size_t n = 2;

    out[0] = (uint8_t)((fin ? 0x80 : 0) | opcode);
    if (len < 126) {
        out[1] = (uint8_t)(mask_bit | len);
    } else if (len < 65536) {
        out[1] = mask_bit | 126;
        out[2] = (uint8_t)(len >> 8);
        out[3] = (uint8_t)len;
        n = 4;
    } else {
        out[1] = mask_bit | 127;
        for (int i = 0; i < 8; i++)
            out[2 + i] = (uint8_t)(len >> (56 - 8 * i));
        n = 10;
    }
    if (mask != NULL) {
        memcpy(out + n, mask, 4);
        n += 4;
    }
    return n;
}

/* 32 bytes at a time: gcc makes two SSE or one AVX operation of it. All loads of a round come
 * before its stores, so dst may trail src by any distance, or by none. */
typedef uint64_t lanes __attribute__((vector_size(32)));

void
wsframe_mask(uint8_t *dst, const uint8_t *src, size_t len, const uint8_t mask[4], uint64_t offset)
{
    uint8_t rolled[4];
    uint32_t word;
    uint64_t wide;
    lanes key, a, b;
    size_t i = 0;

    for (int k = 0; k < 4; k++)
        rolled[k] = mask[(offset + (unsigned)k) & 3];
    memcpy(&word, rolled, 4);
    wide = (uint64_t)word << 32 | word;
    key = (lanes){wide, wide, wide, wide};
    for (; len - i >= 2 * sizeof(lanes); i += 2 * sizeof(lanes)) {
        memcpy(&a, src + i, sizeof(a));
        memcpy(&b, src + i + sizeof(a), sizeof(b));
        a ^= key;
        b ^= key;
        memcpy(dst + i, &a, sizeof(a));
        memcpy(dst + i + sizeof(a), &b, sizeof(b));
    }
    for (; len - i >= 8; i += 8) {
        uint64_t w;

        memcpy(&w, src + i, 8);
        w ^= wide;
        memcpy(dst + i, &w, 8);
    }
    for (; i < len; i++)
        dst[i] = src[i] ^ rolled[i & 3];
}

/* Codes that may stand in a close frame: RFC 6455 section 7.4 and the IANA registry (1012 to 1014).
 */
static bool
close_code_allowed(uint16_t code)
{
    if (code >= 3000)
        return code <= 4999;
    return code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006;
}

enum err
wsframe_close_parse(struct span payload, uint16_t *code, struct span *reason)
{
    uint32_t state = 0;

    *code = 1005;
    *reason = span_of(payload.ptr, 0);
    if (payload.len == 0)
        return OK;
    if (payload.len < 2)
        return ERR_MALFORMED;
    *code = (uint16_t)(payload.ptr[0] << 8 | payload.ptr[1]);
    if (!close_code_allowed(*code))
        return ERR_MALFORMED;
    *reason = span_of(payload.ptr + 2, payload.len - 2);
    if (!wsframe_utf8(&state, *reason) || state != 0)
        return ERR_MISMATCH;
    return OK;
}

/* state: bits 0-7 continuation bytes still to come; 8-15 lowest, 16-23 highest allowed next byte.
 */
bool
wsframe_utf8(uint32_t *state, struct span bytes)
{
    uint32_t left = *state & 0xff, low = *state >> 8 & 0xff, high = *state >> 16 & 0xff;
    size_t i = 0;

    while (i < bytes.len) {
        uint8_t c = bytes.ptr[i];

        if (left > 0) {
            if (c < low || c > high)
                return false;
            low = 0x80;
            high = 0xbf;
            left--;
            i++;
            continue;
        }
        if (c < 0x80) {
            uint64_t eight;

            i++;
            while (bytes.len - i >= 8) { /* plain ASCII runs */
                memcpy(&eight, bytes.ptr + i, 8);
                if ((eight & 0x8080808080808080u) != 0)
                    break;
                i += 8;
            }
            continue;
        }
        if (c < 0xc2 || c > 0xf4)
            return false;
        left = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
        low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
        high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
        i++;
    }
    *state = left == 0 ? 0 : left | low << 8 | high << 16;
    return true;
}
