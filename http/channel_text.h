/* channel_text.h: the text messages of a channel: JSON with one member each.
 * {"resize":[cols,rows]},
 * {"signal":"INT"}, {"eof":true} (half a close), {"exit":N}. Pure but for jansson's memory. */
#ifndef HTTP_CHANNEL_TEXT_H
#define HTTP_CHANNEL_TEXT_H

#include "core/err.h"
#include "core/span.h"

enum channel_text_kind {
    CHANNEL_RESIZE, /* to the agent */
    CHANNEL_SIGNAL, /* to the agent */
    CHANNEL_EOF,    /* both ways: no more bytes from this side */
    CHANNEL_EXIT,   /* from the agent: the shell ended, nothing follows */
};

struct channel_text {
    enum channel_text_kind kind;
    uint16_t cols, rows; /* 1 to TERMINAL_SIDE_MAX */
    int signal;          /* its number on this system */
    int exit_status;     /* 0 to 255 */
};

/* ERR_MALFORMED for everything else, also for a signal that is not in the table. */
enum err channel_text_parse(struct span text, struct channel_text *out) MUST_USE;

#define CHANNEL_TEXT_MAX 64
size_t channel_text_format(const struct channel_text *text, char out[CHANNEL_TEXT_MAX]);

/* SIGINT <-> "INT"; NULL, 0: not one that travels. */
const char *channel_signal_name(int number);

#endif
