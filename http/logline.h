/* logline.h: the server's own lines for its operator (not the event log, which is the truth). One
 * line per call, key=value or JSON, to stderr or a file. What could fool a terminal is escaped;
 * what is secret is [REDACTED], by its type and by its field's name, so that forgetting one still
 * leaves the other. Lines longer than LOGLINE_BYTES_MAX are cut at a field. */
#ifndef HTTP_LOGLINE_H
#define HTTP_LOGLINE_H

#include "core/err.h"
#include "core/limits.h"
#include "core/span.h"

enum logline_level {
    LOGLINE_DEBUG,
    LOGLINE_INFO,
    LOGLINE_WARN,
    LOGLINE_ERROR,
};

enum logline_format {
    LOGLINE_TEXT, /* time=... level=info event=server_started loops=2 */
    LOGLINE_JSON,
};

enum logline_kind {
    LOGLINE_KIND_TEXT,
    LOGLINE_KIND_INT,
    LOGLINE_KIND_UINT,
    LOGLINE_KIND_BOOL,
    LOGLINE_KIND_SECRET, /* has no value to print */
};

struct logline_field {
    const char *name;
    enum logline_kind kind;
    struct span text;
    int64_t number; /* uint64_t for UINT */
};

static inline struct logline_field
logline_text(const char *name, struct span text)
{
    return (struct logline_field){.name = name, .kind = LOGLINE_KIND_TEXT, .text = text};
}

static inline struct logline_field
logline_str(const char *name, const char *text)
{
    return logline_text(name, span_str(text));
}

static inline struct logline_field
logline_int(const char *name, int64_t n)
{
    return (struct logline_field){.name = name, .kind = LOGLINE_KIND_INT, .number = n};
}

static inline struct logline_field
logline_uint(const char *name, uint64_t n)
{
    return (struct logline_field){.name = name, .kind = LOGLINE_KIND_UINT, .number = (int64_t)n};
}

static inline struct logline_field
logline_bool(const char *name, bool value)
{
    return (struct logline_field){.name = name, .kind = LOGLINE_KIND_BOOL, .number = value};
}

static inline struct logline_field
logline_secret(const char *name)
{
    return (struct logline_field){.name = name, .kind = LOGLINE_KIND_SECRET};
}

/* Before threads start. The fd is borrowed; each line is one write, so a file opened with O_APPEND
 * is never torn. Until then lines go to stderr as text, from INFO up. */
void logline_init(enum logline_level least, enum logline_format format, int fd);

/* Any thread. `event` is a literal such as "server_started". */
void logline_write(
    enum logline_level level, const char *event, const struct logline_field *fields, size_t count);

/* logline(LOGLINE_INFO, "server_started", logline_uint("loops", n), ...) */
#define logline(level, event, ...)                                                                 \
    logline_write((level), (event), (const struct logline_field[]){__VA_ARGS__},                   \
        sizeof((const struct logline_field[]){__VA_ARGS__}) / sizeof(struct logline_field))

/* True for names whose values are never shown: password, token, authorization, ..._secret. */
bool logline_redacts(const char *name);

/* The line as bytes with its newline, for tests and other targets; at most LOGLINE_BYTES_MAX. */
size_t logline_format(enum logline_format format, int64_t wall_us, enum logline_level level,
    const char *event, const struct logline_field *fields, size_t count,
    char out[LOGLINE_BYTES_MAX]);

#endif
