/* table.c: printing lists. */
#include "tools/gatehouse/table.h"

#include <stdlib.h>

#include "core/text.h"

#define COLUMNS_MAX 16
#define CELL_BYTES  256

/* The value at PREFIX.path as plain text, not yet escaped. */
static void
cell_read(const struct json_reply *reply, const char *prefix, const struct column *column,
    char *out, size_t size)
{
    char path[160], item[200];
    struct span text;
    int64_t n;
    bool yes;

    snprintf(path, sizeof(path), "%s%s%s", prefix, prefix[0] == '\0' ? "" : ".", column->path);
    out[0] = '\0';
    if (column->kind == COLUMN_LIST) {
        size_t used = 0;

        for (size_t i = 0; i < json_reply_count(reply, path) && used + 2 < size; i++) {
            snprintf(item, sizeof(item), "%s.%zu", path, i);
            if (json_reply_text(reply, item, &text))
                used += (size_t)snprintf(out + used, size - used, "%s%.*s", i > 0 ? "," : "",
                    (int)text.len, (const char *)text.ptr);
        }
    } else if (json_reply_text(reply, path, &text)) {
        bool cut = column->kind == COLUMN_TIME && text.len > 20;

        /* Times to the second: the exact ones are in the JSON. */
        snprintf(
            out, size, "%.*s%s", cut ? 19 : (int)text.len, (const char *)text.ptr, cut ? "Z" : "");
    } else if (json_reply_int(reply, path, &n)) {
        snprintf(out, size, "%lld", (long long)n);
    } else if (json_reply_bool(reply, path, &yes)) {
        snprintf(out, size, "%s", yes ? "yes" : "no");
    }
}

static size_t
columns_count(const struct column *columns)
{
    size_t n = 0;

    while (columns[n].title != NULL)
        n++;
    INVARIANT(n <= COLUMNS_MAX);
    return n;
}

static void
print_csv_cell(const char *text, bool last)
{
    bool formula = text[0] != '\0' && strchr("=+-@\t\r", text[0]) != NULL;

    putchar('"');
    if (formula)
        putchar('\'');
    for (; *text != '\0'; text++) {
        if (*text == '"')
            putchar('"');
        putchar(*text);
    }
    fputs(last ? "\"\n" : "\",", stdout);
}

static void
print_csv(const struct json_reply *reply, const struct column *columns, size_t count)
{
    char prefix[32], cell[CELL_BYTES], shown[CELL_BYTES * 2];
    size_t n = columns_count(columns);

    for (size_t c = 0; c < n; c++)
        print_csv_cell(columns[c].title, c + 1 == n);
    for (size_t i = 0; i < count; i++)
        for (size_t c = 0; c < n; c++) {
            snprintf(prefix, sizeof(prefix), "items.%zu", i);
            cell_read(reply, prefix, &columns[c], cell, sizeof(cell));
            text_escape(span_str(cell), shown, sizeof(shown));
            print_csv_cell(shown, c + 1 == n);
        }
}

static size_t
cell_shown(
    const struct json_reply *reply, size_t i, const struct column *column, char *out, size_t size)
{
    char prefix[32], cell[CELL_BYTES];

    snprintf(prefix, sizeof(prefix), "items.%zu", i);
    cell_read(reply, prefix, column, cell, sizeof(cell));
    text_escape(span_str(cell), out, size);
    return strlen(out);
}

static void
print_table(const struct json_reply *reply, const struct column *columns, size_t count)
{
    size_t n = columns_count(columns), width[COLUMNS_MAX];
    char shown[CELL_BYTES * 2];

    for (size_t c = 0; c < n; c++) {
        width[c] = strlen(columns[c].title);
        for (size_t i = 0; i < count; i++) {
            size_t len = cell_shown(reply, i, &columns[c], shown, sizeof(shown));

            width[c] = len > width[c] ? len : width[c];
        }
    }
    for (size_t c = 0; c < n; c++)
        if (c + 1 == n)
            printf("%s\n", columns[c].title);
        else
            printf("%-*s  ", (int)width[c], columns[c].title);
    for (size_t i = 0; i < count; i++)
        for (size_t c = 0; c < n; c++) {
            cell_shown(reply, i, &columns[c], shown, sizeof(shown));
            if (c + 1 == n)
                printf("%s\n", shown);
            else
                printf("%-*s  ", (int)width[c], shown);
        }
}

static void
print_one(const struct json_reply *reply, const struct column *columns)
{
    char cell[CELL_BYTES * 4], shown[CELL_BYTES * 8];

    for (size_t c = 0; columns[c].title != NULL; c++) {
        cell_read(reply, "", &columns[c], cell, sizeof(cell));
        text_escape(span_str(cell), shown, sizeof(shown));
        if (cell[0] != '\0')
            printf("%-14s %s\n", columns[c].title, shown);
    }
}

void
table_print(const struct json_reply *reply, struct span json, bool one,
    const struct column *columns, enum cli_output output)
{
    size_t count = json_reply_count(reply, "items");

    if (output == OUTPUT_JSON || output == OUTPUT_JSONL || (one && output == OUTPUT_CSV)) {
        fwrite(json.ptr, 1, json.len, stdout);
        putchar('\n');
    } else if (one) {
        print_one(reply, columns);
    } else if (output == OUTPUT_CSV) {
        print_csv(reply, columns, count);
    } else {
        print_table(reply, columns, count);
    }
}
