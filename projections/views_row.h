/* views_row.h: rows as bytes: one table of columns per kind of row drives writing, reading and
 * forgetting. Only what a text holds is stored, so a row costs what it says. Inside
 * projections/views_*.c only. */
#ifndef PROJECTIONS_VIEWS_ROW_H
#define PROJECTIONS_VIEWS_ROW_H

#include "projections/views_key.h"

#define ROW_BYTES_MAX (20 * 1024)

union any_row {
    struct user_row user;
    struct machine_row machine;
    struct code_row code;
    struct key_row key;
    struct invite_row invite;
    struct family_row family;
    struct session_row session;
    struct channel_row channel;
    struct alert_row alert;
    struct minute_row minute;
};

/* Which of the tables that have rows of columns. row: the struct of that table. */
size_t row_encode(enum table t, const void *row, uint8_t out[ROW_BYTES_MAX]);
/* Zeroes what the bytes do not say. ERR_MALFORMED: not such a row. */
MUST_USE enum err row_decode(enum table t, struct span bytes, void *row);
/* One text of a row, by the offset of its member, without reading the rest of it. */
void row_text(enum table t, struct span bytes, size_t offset, char *out, size_t cap);

/* The row of this id. */
MUST_USE enum err row_get(const struct rows *r, enum table t, const struct id *id, void *row);
/* Its id, its place in lists (by when it was made), and whose list it is in (NULL: nobody's). */
const struct id *row_id(enum table t, const void *row);
struct views_position row_position(enum table t, const void *row);
const struct id *row_owner(enum table t, const void *row);

/* Empties the columns that hold personal data of the row's user. */
void row_forget(enum table t, void *row);

/* A text that may be longer than its place: cut between code points, NUL-terminated. */
void row_put_text(char *out, size_t cap, struct span text);

#endif
