/* mapping.h: a struct as a canonical msgpack map, by a table of its members: one row says number,
 * kind, bounds and place, and is read by encoder and decoder alike. For what crosses the wire or is
 * signed (core/statement.h, core/control.h); events have their own catalogue.
 *
 * An optional member that is all zero is absent; present and zero is malformed, so that a struct
 * has one encoding. What the table does not name is refused. */
#ifndef CORE_MAPPING_H
#define CORE_MAPPING_H

#include "core/err.h"
#include "core/pack.h"

enum mapping_kind {
    MAPPING_U64,   /* uint64_t in min..max */
    MAPPING_BOOL,  /* bool */
    MAPPING_STR,   /* struct span: UTF-8 of min..max bytes, whatever it says */
    MAPPING_ASCII, /* struct span: printable ASCII of min..max bytes */
    MAPPING_BIN,   /* struct span: min..max bytes */
    MAPPING_FIXED, /* uint8_t[max] */
    MAPPING_ID,    /* struct id, never nil */
    MAPPING_STRS,  /* struct span: an encoded array of str, min..max bytes with its head */
};

struct mapping_member {
    uint8_t number;
    uint8_t kind; /* enum mapping_kind */
    bool required;
    uint16_t offset; /* into the struct */
    uint64_t min, max;
    const char *name; /* for messages */
};

struct mapping {
    const struct mapping_member *members; /* ascending by number */
    size_t count;
};

/* What was wrong, for a person. */
struct mapping_fault {
    unsigned number;  /* of the member, 0: the map as a whole */
    const char *name; /* NULL: a member that the table does not know */
    const char *what; /* goes after the name: "is missing" */
};

/* ERR_MALFORMED: a required member is missing, or one is out of its bounds. Overflow shows in p. */
enum err mapping_encode(const struct mapping *mapping, const void *from, struct pack *p) MUST_USE;

/* Reads one map from r, which must have been scanned; *to must be zeroed; spans borrow from r.
 * ERR_MALFORMED, and *fault says why. */
enum err mapping_decode(const struct mapping *mapping, struct reader *r, void *to,
    struct mapping_fault *fault) MUST_USE;

/* "member 4 (server_nonce) is missing". Like snprintf. */
void mapping_fault_text(const struct mapping_fault *fault, char *out, size_t size);

#endif
