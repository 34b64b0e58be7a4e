/* logline.c: formats and writes the operator's lines. Any thread; no lock, no allocation. A line
 * that cannot be written is dropped: the event log, not this one, is what nothing may be missing
 * from. */
#include "http/logline.h"

#include "core/text.h"

#include <inttypes.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define REDACTED "[REDACTED]"

static enum logline_level least_level = LOGLINE_INFO;
static enum logline_format line_format = LOGLINE_TEXT;
static int target = STDERR_FILENO;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

/* Whole names; and endings, with the '_' before them. */
static const char *const secret_names[] = {"password", "passwd", "passphrase", "secret", "token",
    "authorization", "proxy-authorization", "cookie", "set-cookie", "ticket", "code", "key", "jwt",
    "refresh", "otp", "totp", "seed", "private", "verifier", "credential", "credentials",
    "sec-websocket-protocol"};
static const char *const secret_ends[] = {
    "password", "secret", "token", "ticket", "key", "code", "cookie", "seed"};

bool
logline_redacts(const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < sizeof(secret_names) / sizeof(secret_names[0]); i++)
        if (strcasecmp(name, secret_names[i]) == 0)
            return true;
    for (size_t i = 0; i < sizeof(secret_ends) / sizeof(secret_ends[0]); i++) {
        size_t n = strlen(secret_ends[i]);

        if (len > n + 1 && (name[len - n - 1] == '_' || name[len - n - 1] == '-') &&
            strcasecmp(name + len - n, secret_ends[i]) == 0)
            return true;
    }
    return false;
}

struct line {
    char *out;
    size_t len, max;
    bool full;
};

static void
put(struct line *l, const char *bytes, size_t len)
{
    if (l->full || l->max - l->len < len) {
        l->full = true;
        return;
    }
    memcpy(l->out + l->len, bytes, len);
    l->len += len;
}

static void
put_str(struct line *l, const char *s)
{
    put(l, s, strlen(s));
}

/* Bare if it is one plain word, else in quotes with " and \ escaped. */
static void
put_text_value(struct line *l, struct span text)
{
    char escaped[LOGLINE_BYTES_MAX];
    size_t n = text_escape(text, escaped, sizeof(escaped));
    bool bare = text.len > 0 && n < sizeof(escaped);

    if (n >= sizeof(escaped)) {
        l->full = true;
        return;
    }
    for (size_t i = 0; bare && i < n; i++)
        bare = strchr(" \"=\\", escaped[i]) == NULL;
    if (bare) {
        put(l, escaped, n);
        return;
    }
    put_str(l, "\"");
    for (size_t i = 0; i < n; i++) {
        if (escaped[i] == '"')
            put_str(l, "\\");
        put(l, &escaped[i], 1);
    }
    put_str(l, "\"");
}

/* The same escapes, so that both formats show one text; a backslash is doubled once more for JSON.
 */
static void
put_json_value(struct line *l, struct span text)
{
    char escaped[LOGLINE_BYTES_MAX];
    size_t n = text_escape(text, escaped, sizeof(escaped));

    if (n >= sizeof(escaped)) {
        l->full = true;
        return;
    }
    put_str(l, "\"");
    for (size_t i = 0; i < n; i++) {
        if (escaped[i] == '"' || escaped[i] == '\\')
            put_str(l, "\\");
        put(l, &escaped[i], 1);
    }
    put_str(l, "\"");
}

static void
put_value(struct line *l, enum logline_format format, const struct logline_field *f)
{
    enum logline_kind kind = logline_redacts(f->name) ? LOGLINE_KIND_SECRET : f->kind;
    char digits[24];

    switch (kind) {
    case LOGLINE_KIND_INT:
        snprintf(digits, sizeof(digits), "%" PRId64, f->number);
        put_str(l, digits);
        return;
    case LOGLINE_KIND_UINT:
        snprintf(digits, sizeof(digits), "%" PRIu64, (uint64_t)f->number);
        put_str(l, digits);
        return;
    case LOGLINE_KIND_BOOL: put_str(l, f->number != 0 ? "true" : "false"); return;
    case LOGLINE_KIND_SECRET:
        put_str(l, format == LOGLINE_JSON ? "\"" REDACTED "\"" : REDACTED);
        return;
    case LOGLINE_KIND_TEXT: break;
    }
    if (format == LOGLINE_JSON)
        put_json_value(l, f->text);
    else
        put_text_value(l, f->text);
}

static void
put_field(struct line *l, enum logline_format format, const struct logline_field *f)
{
    size_t before = l->len;

    put_str(l, format == LOGLINE_JSON ? ",\"" : " ");
    put_str(l, f->name);
    put_str(l, format == LOGLINE_JSON ? "\":" : "=");
    put_value(l, format, f);
    if (l->full)
        l->len = before;
}

size_t
logline_format(enum logline_format format, int64_t wall_us, enum logline_level level,
    const char *event, const struct logline_field *fields, size_t count,
    char out[LOGLINE_BYTES_MAX])
{
    static const char cut_json[] = ",\"cut\":true", cut_text[] = " cut=true";
    struct line l = {.out = out, .max = LOGLINE_BYTES_MAX - sizeof(cut_json) - 2};
    time_t s = (time_t)(wall_us / 1000000);
    char head[200], stamp[40] = "";
    struct tm tm;

    if (gmtime_r(&s, &tm) != NULL)
        strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(head, sizeof(head),
        format == LOGLINE_JSON ? "{\"time\":\"%s.%06dZ\",\"level\":\"%s\",\"event\":\"%s\""
                               : "time=%s.%06dZ level=%s event=%s",
        stamp, (int)(wall_us % 1000000), level_names[level], event);
    put_str(&l, head);
    for (size_t i = 0; i < count && !l.full; i++)
        put_field(&l, format, &fields[i]);
    if (l.full) {
        l = (struct line){.out = out, .len = l.len, .max = LOGLINE_BYTES_MAX};
        put_str(&l, format == LOGLINE_JSON ? cut_json : cut_text);
    }
    l.max = LOGLINE_BYTES_MAX;
    put_str(&l, format == LOGLINE_JSON ? "}\n" : "\n");
    return l.len;
}

void
logline_init(enum logline_level least, enum logline_format format, int fd)
{
    least_level = least;
    line_format = format;
    target = fd;
}

void
logline_write(
    enum logline_level level, const char *event, const struct logline_field *fields, size_t count)
{
    char line[LOGLINE_BYTES_MAX];
    struct timespec now;
    size_t len;

    if (level < least_level)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    len = logline_format(line_format, now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000, level,
        event, fields, count, line);
    if (write(target, line, len) < 0)
        return; /* nobody to tell */
}
