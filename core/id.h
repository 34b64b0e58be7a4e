/* id.h: 16-byte identifiers. Random, or the first half of a hash. In text: a type prefix and 26
 * characters of Crockford base32 (lower case, most significant bits first), e.g. "ses_0g5k...". */
#ifndef CORE_ID_H
#define CORE_ID_H

#include "core/err.h"
#include "core/span.h"

#define ID_BYTES      16
#define ID_TEXT_BYTES 32 /* prefix, 26 characters, NUL */

struct id {
    uint8_t b[ID_BYTES];
};

enum id_kind {
    ID_USER,    /* usr_ */
    ID_MACHINE, /* mch_ */
    ID_SESSION, /* ses_ */
    ID_CODE,    /* cod_ */
    ID_KEY,     /* key_ */
    ID_FAMILY,  /* tok_ */
    ID_CHANNEL, /* chn_ */
    ID_EVENT,   /* evt_ */
    ID_INVITE,  /* inv_ */
    ID_DEVICE,  /* dev_ */
    ID_BOOT,    /* bot_ */
    ID_RULE,    /* rul_ */
};

static inline bool
id_equal(const struct id *a, const struct id *b)
{
    return memcmp(a->b, b->b, ID_BYTES) == 0;
}

static inline bool
id_is_nil(const struct id *a)
{
    static const struct id nil;

    return id_equal(a, &nil);
}

/* Writes prefix, text and NUL into out. */
void id_text(enum id_kind kind, const struct id *id, char out[ID_TEXT_BYTES]);

/* Parses exactly what id_text writes for this kind; upper case is taken too.
 * ERR_MALFORMED otherwise (also for bits beyond the 128th). */
MUST_USE enum err id_parse(enum id_kind kind, struct span text, struct id *out);

#endif
