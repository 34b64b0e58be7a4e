/* table.h: lists for people (aligned columns) and programs (JSON, JSON lines, CSV). All text is
 * foreign: escaped on its way to a terminal; CSV cells that a spreadsheet would take for a formula
 * are quoted with an apostrophe. */
#ifndef TOOLS_GATEHOUSE_TABLE_H
#define TOOLS_GATEHOUSE_TABLE_H

#include "tools/gatehouse/cli.h"

enum column_kind { COLUMN_TEXT, COLUMN_INT, COLUMN_YES, COLUMN_TIME, COLUMN_LIST };

struct column {
    const char *title; /* NULL ends a list of columns */
    const char *path;  /* within an item */
    enum column_kind kind;
};

/* `reply` holds "items"; or (one) is a single object, shown as title: value lines. */
void table_print(const struct json_reply *reply, struct span json, bool one,
    const struct column *columns, enum cli_output output);

#endif
