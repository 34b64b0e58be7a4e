/* base64.c: strict base64 over libsodium's. Never allocates. Pure; any thread. */
#include "core/base64.h"

#include <sodium.h>

#define BLOCK_CHARS 1024 /* a multiple of 4, so that blocks decode on their own */

static int
variant(enum base64_kind kind)
{
    return kind == BASE64_STD ? sodium_base64_VARIANT_ORIGINAL
                              : sodium_base64_VARIANT_URLSAFE_NO_PADDING;
}

size_t
base64_encoded_len(enum base64_kind kind, size_t bytes)
{
    size_t tail = bytes % 3;

    if (tail == 0)
        return bytes / 3 * 4;
    return bytes / 3 * 4 + (kind == BASE64_STD ? 4 : tail + 1);
}

enum err
base64_encode(enum base64_kind kind, struct span bytes, char *out, size_t cap, size_t *len)
{
    size_t done = 0;

    if (base64_encoded_len(kind, bytes.len) > cap)
        return ERR_LIMIT;
    /* libsodium ends in a NUL that callers' buffers have no room for: go through a block. */
    for (size_t at = 0; at < bytes.len; at += BLOCK_CHARS / 4 * 3) {
        char block[BLOCK_CHARS + 1];
        size_t part = bytes.len - at;

        if (part > BLOCK_CHARS / 4 * 3)
            part = BLOCK_CHARS / 4 * 3;
        sodium_bin2base64(block, sizeof(block), bytes.ptr + at, part, variant(kind));
        memcpy(out + done, block, base64_encoded_len(kind, part));
        done += base64_encoded_len(kind, part);
        sodium_memzero(block, sizeof(block));
    }
    *len = done;
    return OK;
}

/* One block at most; the padded form must be whole fours, which libsodium leaves to the padding. It
 * also takes some bytes above 0x7f for letters (1.0.18: it compares signed chars). */
static enum err
decode_block(enum base64_kind kind, struct span text, uint8_t *out, size_t *len)
{
    uint8_t seen = 0;

    for (size_t i = 0; i < text.len; i++)
        seen |= text.ptr[i];
    if (seen > 0x7f || (kind == BASE64_STD && text.len % 4 != 0))
        return ERR_MALFORMED;
    if (sodium_base642bin(out, BLOCK_CHARS / 4 * 3, (const char *)text.ptr, text.len, NULL, len,
            NULL, variant(kind)) != 0)
        return ERR_MALFORMED;
    return OK;
}

/* Decodes block by block into `out`, or only counts when `out` is NULL. */
static enum err
walk(enum base64_kind kind, struct span text, uint8_t *out, size_t cap, size_t *len)
{
    uint8_t block[BLOCK_CHARS / 4 * 3];
    size_t done = 0;
    enum err err = OK;

    while (text.len > 0) {
        size_t chars = text.len < BLOCK_CHARS ? text.len : BLOCK_CHARS;
        size_t bytes;

        if ((err = decode_block(kind, span_of(text.ptr, chars), block, &bytes)) != OK)
            goto out;
        text.ptr += chars;
        text.len -= chars;
        if (text.len > 0 && bytes != sizeof(block)) {
            err = ERR_MALFORMED; /* padding before the end */
            goto out;
        }
        if (out != NULL) {
            if (bytes > cap - done) {
                err = ERR_LIMIT;
                goto out;
            }
            memcpy(out + done, block, bytes);
        }
        done += bytes;
    }
    *len = done;
out:
    sodium_memzero(block, sizeof(block));
    return err;
}

enum err
base64_decode(enum base64_kind kind, struct span text, uint8_t *out, size_t cap, size_t *len)
{
    INVARIANT(out != NULL || cap == 0);
    if (out == NULL)
        return text.len == 0 ? (*len = 0, OK) : ERR_LIMIT;
    return walk(kind, text, out, cap, len);
}

enum err
base64_check(enum base64_kind kind, struct span text, size_t *len)
{
    return walk(kind, text, NULL, 0, len);
}
