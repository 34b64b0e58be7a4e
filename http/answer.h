/* answer.h: the head of an HTTP/1.1 response, as a client reads it (RFC 9112 section 4 to 6),
 * without leniencies: a server that sends two lengths, a folded line or a bare LF is not believed.
 * Pure. */
#ifndef HTTP_ANSWER_H
#define HTTP_ANSWER_H

#include "core/err.h"
#include "core/limits.h"
#include "core/span.h"

enum answer_body {
    ANSWER_NO_BODY,
    ANSWER_LENGTH,
    ANSWER_CHUNKED,
    ANSWER_UNTIL_CLOSE,
};

struct answer_field {
    struct span name; /* as sent */
    struct span value;
};

struct answer {
    unsigned status; /* 100 to 599 */
    enum answer_body body;
    uint64_t length; /* of ANSWER_LENGTH */
    bool keep_alive; /* another request may follow */
    size_t head_len;
    size_t field_count;
    struct answer_field fields[HTTP_FIELDS_MAX]; /* borrow from the bytes */
};

/* Reads a head from the front of `bytes`. ERR_SHORT: it goes on; ERR_LIMIT: longer than
 * HTTP_HEAD_BYTES_MAX or too many fields; ERR_MALFORMED. */
enum err answer_parse(struct span bytes, struct answer *out) MUST_USE;

/* The only field of that name (any case); NULL if absent or there twice. */
const struct span *answer_field(const struct answer *answer, const char *name);

#endif
