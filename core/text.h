/* text.h: what people may type: one rule per kind of field, and one way to show foreign text
 * safely. Text is UTF-8. Names are not normalised (NFC is the client's business: two spellings of
 * one name are two names); what could hide or reorder other text is refused instead. */
#ifndef CORE_TEXT_H
#define CORE_TEXT_H

#include "core/err.h"
#include "core/span.h"

enum text_kind {
    TEXT_ACCOUNT,  /* ASCII, case-folded: no two accounts can look alike */
    TEXT_MACHINE,  /* shown to people; spaces inside, not at the ends */
    TEXT_LABEL,    /* the filter's `tag:`; in clear in the log */
    TEXT_SERVICE,  /* NAME of tcp:NAME */
    TEXT_REASON,   /* why a session is asked for */
    TEXT_NOTE,     /* one paragraph */
    TEXT_PASSWORD, /* length only; any bytes but NUL */
    TEXT_KINDS,
};

enum text_fault {
    TEXT_OK = 0,
    TEXT_SHORT,     /* fewer bytes than the kind needs */
    TEXT_LONG,      /* more bytes or code points than the kind allows */
    TEXT_NOT_UTF8,  /* overlong, surrogate, cut or stray bytes */
    TEXT_CONTROL,   /* C0, DEL or C1 */
    TEXT_INVISIBLE, /* bidi control, zero width, filler, separator, tag character */
    TEXT_CHARSET,   /* a character that this kind does not allow */
    TEXT_EDGE,      /* begins or ends with a space, or with a mark where a letter must be */
};

struct text_rule {
    const char *name; /* in messages: "a machine name" */
    uint16_t bytes_min, bytes_max, points_max;
    const char *charset; /* allowed ASCII beside letters and digits; NULL: any text */
};

const struct text_rule *text_rule(enum text_kind kind);
enum text_fault text_check(enum text_kind kind, struct span text) MUST_USE;
/* Why, to be put after the field's name: "is too long". Static storage. */
const char *text_fault_name(enum text_fault fault);

/* Lower-case ASCII copy of an account name that passed text_check; `out` gets text.len bytes. */
void text_fold(struct span text, char *out);

/* One code point from the front of `text`; the bytes it took, or 0 if they are not UTF-8. */
size_t text_next(struct span text, uint32_t *point);
bool text_utf8(struct span text);
/* True for code points that hide, reorder or join other text (bidi, zero width, fillers, ...). */
bool text_invisible(uint32_t point);

/* For terminals and log lines: C0, DEL and stray bytes as \xNN, C1 and invisible code points as
 * \u{N}, backslash doubled, so that the output is printable and can be read back. Like snprintf:
 * writes at most size-1 bytes and a NUL, never half an escape; returns the full length. */
size_t text_escape(struct span text, char *out, size_t size);

#endif
