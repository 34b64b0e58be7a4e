/* ascii.h: the little ASCII forms of the log's text formats: a bounded writer, lines, prefixes and
 * decimal numbers read by hand (strtoull would take a sign, spaces and leading zeros). */
#ifndef CORE_ASCII_H
#define CORE_ASCII_H

#include "core/base64.h"
#include "core/err.h"
#include "core/span.h"

/* Writes into the caller's buffer and never past it; ascii_end tells whether all went in. Not
 * NUL-terminated. */
struct ascii {
    char *buf;
    size_t cap;
    size_t len;
    bool overflow;
};

void ascii_init(struct ascii *a, char *buf, size_t cap);
void ascii_put(struct ascii *a, struct span bytes);
void ascii_str(struct ascii *a, const char *s);
void ascii_u64(struct ascii *a, uint64_t value);
void ascii_base64(struct ascii *a, enum base64_kind kind, struct span bytes);

/* ERR_LIMIT if something did not fit, else OK and the length written. */
MUST_USE enum err ascii_end(const struct ascii *a, size_t *len);

/* Takes the next line off `rest`; `line` is without its LF. False, and nothing taken, when no LF is
 * left: in these formats every line ends in one. */
MUST_USE bool ascii_line(struct span *rest, struct span *line);

/* Takes `prefix` off the front of `rest` if it is there. */
MUST_USE bool ascii_skip(struct span *rest, const char *prefix);

/* The whole span as a decimal number: digits only, no leading zero (but "0"). ERR_MALFORMED, or
 * ERR_LIMIT above `max`. */
MUST_USE enum err ascii_number(struct span digits, uint64_t max, uint64_t *out);

#endif
