/* response.h: an answer before it is bytes. Field values are borrowed until http_reply or
 * http_stream_begin returns. A name or value that could end a line (CR, LF, NUL, other controls)
 * spoils the response: the peer then gets a plain 500, never a split header (RFC 9112
 * section 11.1). */
#ifndef HTTP_RESPONSE_H
#define HTTP_RESPONSE_H

#include "core/err.h"
#include "core/span.h"

#define RESPONSE_FIELDS_MAX 32

struct response_field {
    const char *name;
    struct span value;
};

struct response {
    uint16_t status;
    bool close;       /* end the connection after this answer */
    bool body_static; /* body outlives the server (embedded asset): sent without a copy */
    bool spoilt;      /* a field was refused; set by response_add */
    uint8_t field_count;
    struct response_field fields[RESPONSE_FIELDS_MAX];
    struct span body; /* copied by http_reply unless body_static; ignored for streams */
};

void response_init(struct response *response, uint16_t status);

/* Content-Length, Transfer-Encoding, Connection and Date are the engine's: adding one is an
 * INVARIANT. The name is a literal. The value lives until the response is sent. */
void response_add(struct response *response, const char *name, struct span value);
void response_add_str(struct response *response, const char *name, const char *value);

/* Content-Type and body in one. */
void response_body(struct response *response, const char *type, struct span body);

/* "Not Found" for 404; static storage. Never NULL. */
const char *response_reason(uint16_t status);

/* How the body is announced on the wire. */
enum response_framing {
    FRAMING_LENGTH,  /* Content-Length: body.len */
    FRAMING_CHUNKED, /* HTTP/1.1 stream */
    FRAMING_CLOSE,   /* HTTP/1.0 stream: the end of the connection is the end of the body */
    FRAMING_NONE,    /* 1xx, 204, 304 */
};

/* Writes the head into out (at most cap bytes), with the engine's own fields: framing, Connection,
 * Date. ERR_LIMIT if it does not fit, ERR_MALFORMED if spoilt. */
enum err response_head(const struct response *response, enum response_framing framing, bool close,
    const char *date, char *out, size_t cap, size_t *len) MUST_USE;

#endif
