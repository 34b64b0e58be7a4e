/* ascii.c: bounded writer, lines and numbers of the log's text formats. Never allocates. Pure; any
 * thread. */
#include "core/ascii.h"

void
ascii_init(struct ascii *a, char *buf, size_t cap)
{
    *a = (struct ascii){.buf = buf, .cap = cap};
}

void
ascii_put(struct ascii *a, struct span bytes)
{
    if (a->overflow || bytes.len > a->cap - a->len) {
        a->overflow = true;
        return;
    }
    if (bytes.len > 0)
        memcpy(a->buf + a->len, bytes.ptr, bytes.len);
    a->len += bytes.len;
}

void
ascii_str(struct ascii *a, const char *s)
{
    ascii_put(a, span_str(s));
}

void
ascii_u64(struct ascii *a, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    ascii_put(a, span_of(digits + at, sizeof(digits) - at));
}

void
ascii_base64(struct ascii *a, enum base64_kind kind, struct span bytes)
{
    size_t written;

    if (a->overflow || base64_encode(kind, bytes, a->buf + a->len, a->cap - a->len, &written) != OK)
        a->overflow = true;
    else
        a->len += written;
}

enum err
ascii_end(const struct ascii *a, size_t *len)
{
    if (a->overflow)
        return ERR_LIMIT;
    *len = a->len;
    return OK;
}

bool
ascii_line(struct span *rest, struct span *line)
{
    const uint8_t *lf = rest->len > 0 ? memchr(rest->ptr, '\n', rest->len) : NULL;

    if (lf == NULL)
        return false;
    *line = span_of(rest->ptr, (size_t)(lf - rest->ptr));
    rest->ptr += line->len + 1;
    rest->len -= line->len + 1;
    return true;
}

bool
ascii_skip(struct span *rest, const char *prefix)
{
    struct span want = span_str(prefix);

    if (rest->len < want.len || memcmp(rest->ptr, want.ptr, want.len) != 0)
        return false;
    rest->ptr += want.len;
    rest->len -= want.len;
    return true;
}

enum err
ascii_number(struct span digits, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;

    if (digits.len == 0 || (digits.len > 1 && digits.ptr[0] == '0'))
        return ERR_MALFORMED;
    for (size_t i = 0; i < digits.len; i++) {
        unsigned digit = (unsigned)digits.ptr[i] - '0';

        if (digit > 9)
            return ERR_MALFORMED;
        if (value > (max - digit) / 10 || digit > max)
            return ERR_LIMIT;
        value = value * 10 + digit;
    }
    *out = value;
    return OK;
}
