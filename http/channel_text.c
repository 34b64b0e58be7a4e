/* channel_text.c: a channel's control texts, for its two ends (the relay passes them on unread). */
#include "http/channel_text.h"

#include "core/limits.h"
#include "http/json_reply.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int number;
} signals[] = {
    {"HUP", SIGHUP},
    {"INT", SIGINT},
    {"QUIT", SIGQUIT},
    {"KILL", SIGKILL},
    {"TERM", SIGTERM},
    {"USR1", SIGUSR1},
    {"USR2", SIGUSR2},
    {"TSTP", SIGTSTP},
    {"CONT", SIGCONT},
};

const char *
channel_signal_name(int number)
{
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        if (signals[i].number == number)
            return signals[i].name;
    return NULL;
}

static bool
signal_read(const struct json_reply *json, struct channel_text *out)
{
    struct span name;

    if (!json_reply_text(json, "signal", &name))
        return false;
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        if (span_is(name, signals[i].name)) {
            out->kind = CHANNEL_SIGNAL;
            out->signal = signals[i].number;
            return true;
        }
    }
    return false;
}

static bool
resize_read(const struct json_reply *json, struct channel_text *out)
{
    int64_t cols, rows;

    if (json_reply_count(json, "resize") != 2 || !json_reply_int(json, "resize.0", &cols) ||
        !json_reply_int(json, "resize.1", &rows))
        return false;
    if (cols < 1 || cols > TERMINAL_SIDE_MAX || rows < 1 || rows > TERMINAL_SIDE_MAX)
        return false;
    out->kind = CHANNEL_RESIZE;
    out->cols = (uint16_t)cols;
    out->rows = (uint16_t)rows;
    return true;
}

static bool
other_read(const struct json_reply *json, struct channel_text *out)
{
    int64_t status;
    bool eof;

    if (json_reply_bool(json, "eof", &eof)) {
        out->kind = CHANNEL_EOF;
        return eof;
    }
    if (!json_reply_int(json, "exit", &status) || status < 0 || status > 255)
        return false;
    out->kind = CHANNEL_EXIT;
    out->exit_status = (int)status;
    return true;
}

enum err
channel_text_parse(struct span text, struct channel_text *out)
{
    struct json_reply *json;
    bool good;

    *out = (struct channel_text){0};
    if (text.len > RELAY_TEXT_BYTES_MAX)
        return ERR_LIMIT;
    if (json_reply_parse(text, &json) != OK)
        return ERR_MALFORMED;
    good = json_reply_count(json, "") == 1 &&
           (resize_read(json, out) || signal_read(json, out) || other_read(json, out));
    json_reply_free(json);
    return good ? OK : ERR_MALFORMED;
}

size_t
channel_text_format(const struct channel_text *text, char out[CHANNEL_TEXT_MAX])
{
    int n = 0;

    switch (text->kind) {
    case CHANNEL_RESIZE:
        n = snprintf(out, CHANNEL_TEXT_MAX, "{\"resize\":[%u,%u]}", text->cols, text->rows);
        break;
    case CHANNEL_SIGNAL:
        n = snprintf(
            out, CHANNEL_TEXT_MAX, "{\"signal\":\"%s\"}", channel_signal_name(text->signal));
        break;
    case CHANNEL_EOF: n = snprintf(out, CHANNEL_TEXT_MAX, "{\"eof\":true}"); break;
    case CHANNEL_EXIT:
        n = snprintf(out, CHANNEL_TEXT_MAX, "{\"exit\":%d}", text->exit_status);
        break;
    }
    INVARIANT(n > 0 && n < CHANNEL_TEXT_MAX);
    return (size_t)n;
}
