/* chunked.c: see chunked.h. Byte by byte through sizes and line ends, in one go through data. */
#include "http/chunked.h"

enum state { SIZE, SIZE_LF, DATA, DATA_CR, DATA_LF, LAST_CR, LAST_LF, DONE };

#define SIZE_DIGITS_MAX 8 /* 4 GiB; body limits are far below */

static int
hex(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* One byte of the coding itself. */
static enum err
step(struct chunked *chunked, uint8_t c)
{
    switch ((enum state)chunked->state) {
    case SIZE:
        if (hex(c) >= 0 && chunked->digits < SIZE_DIGITS_MAX) {
            chunked->left = chunked->left << 4 | (unsigned)hex(c);
            chunked->digits++;
            return OK;
        }
        chunked->state = SIZE_LF;
        return c == '\r' && chunked->digits > 0 ? OK : ERR_MALFORMED;
    case SIZE_LF:
        chunked->digits = 0;
        chunked->state = chunked->left > 0 ? DATA : LAST_CR;
        return c == '\n' ? OK : ERR_MALFORMED;
    case DATA_CR: chunked->state = DATA_LF; return c == '\r' ? OK : ERR_MALFORMED;
    case DATA_LF: chunked->state = SIZE; return c == '\n' ? OK : ERR_MALFORMED;
    case LAST_CR: chunked->state = LAST_LF; return c == '\r' ? OK : ERR_MALFORMED;
    case LAST_LF: chunked->state = DONE; return c == '\n' ? OK : ERR_MALFORMED;
    case DATA:
    case DONE: break;
    }
    return ERR_MALFORMED;
}

enum err
chunked_next(struct chunked *chunked, struct span *in, struct span *piece, bool *done)
{
    enum err err = OK;

    *piece = span_of(in->ptr, 0);
    while (err == OK && in->len > 0 && chunked->state != DATA && chunked->state != DONE) {
        err = step(chunked, *in->ptr);
        *in = span_of(in->ptr + 1, in->len - 1);
    }
    if (err == OK && chunked->state == DATA && in->len > 0) {
        size_t n = in->len < chunked->left ? in->len : (size_t)chunked->left;

        *piece = span_of(in->ptr, n);
        *in = span_of(in->ptr + n, in->len - n);
        chunked->left -= n;
        if (chunked->left == 0)
            chunked->state = DATA_CR;
    }
    *done = chunked->state == DONE;
    return err;
}
