/* filter.h: the filter language of lists, parsed into a typed list of terms, never interpreted as
 * text again: name:web* tag:prod online:true os:linux seen<7d -tag:old name:"Bob's *desk*" Terms
 * are ANDed; a leading '-' negates. A field may have several values (tags): a term holds if any
 * value fits, its negation if none does. Words compare without regard to ASCII case; * and ? are
 * wildcards unless quoted. In quotes \" and \\ stand for themselves. Which fields there are is the
 * caller's vocabulary. */
#ifndef CORE_FILTER_H
#define CORE_FILTER_H

#include "core/err.h"
#include "core/limits.h"
#include "core/span.h"

enum filter_type {
    FILTER_WORD, /* field:glob */
    FILTER_BOOL, /* field:true, field:false */
    FILTER_AGE,  /* field<7d, field>30m: how long ago; s, m, h, d, w */
};

struct filter_field {
    const char *name;
    enum filter_type type;
};

struct filter_vocabulary {
    const struct filter_field *fields;
    size_t count;
};

/* Ready vocabularies; the index of a field in the table is its name in code. */
enum filter_machine_field {
    FILTER_MACHINE_NAME,
    FILTER_MACHINE_TAG,
    FILTER_MACHINE_OS,
    FILTER_MACHINE_ID,
    FILTER_MACHINE_ONLINE,
    FILTER_MACHINE_GUEST,
    FILTER_MACHINE_SEEN,
};
extern const struct filter_vocabulary filter_machines;

enum filter_user_field {
    FILTER_USER_NAME,
    FILTER_USER_ROLE,
    FILTER_USER_ID,
    FILTER_USER_DISABLED,
    FILTER_USER_SEEN,
};
extern const struct filter_vocabulary filter_users;

struct filter_term {
    uint8_t field;
    uint8_t type; /* enum filter_type */
    bool negated;
    bool literal;     /* quoted: no wildcards */
    bool flag;        /* FILTER_BOOL */
    bool older;       /* FILTER_AGE with '>' */
    uint16_t at, len; /* FILTER_WORD: in filter.text */
    uint64_t age_us;  /* FILTER_AGE */
};

struct filter {
    struct filter_term terms[FILTER_TERMS_MAX];
    uint32_t count;
    char text[FILTER_BYTES_MAX]; /* folded words */
};

struct filter_error {
    char term[96];   /* escaped and cut; empty: the filter as a whole */
    char reason[96]; /* goes after the term: "has no such field" */
};

/* The empty filter has no terms and fits everything. */
enum err filter_parse(struct span text, const struct filter_vocabulary *vocabulary,
    struct filter *out, struct filter_error *error) MUST_USE;

struct filter_value {
    struct span word; /* UTF-8 */
    bool flag;
    bool never;      /* FILTER_AGE: it never happened: neither young nor old, fits no age term */
    uint64_t age_us; /* now - when */
};

/* Value `index` (0, 1, ...) of a field; false: there are no more. */
typedef bool (*filter_facts)(
    const void *ctx, unsigned field, unsigned index, struct filter_value *out);

bool filter_match(const struct filter *filter, filter_facts facts, const void *ctx);

/* Linear-space glob, * and ? only, ASCII case ignored; ? takes one code point. Work is at most
 * pattern x text steps, and patterns have at most FILTER_VALUE_BYTES_MAX bytes. */
bool filter_glob(struct span pattern, struct span text);

#endif
