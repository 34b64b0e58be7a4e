/* termfilter.h: what a remote machine may say to the local terminal, and what the keys of the
 * person mean before they leave it. A hostile machine could write to the clipboard (OSC 52), or ask
 * the terminal something whose answer would be typed into the local shell; such sequences do not
 * pass. Colours, cursor, screens, mouse, titles do. Pure: bytes in, bytes out. */
#ifndef CORE_TERMFILTER_H
#define CORE_TERMFILTER_H

#include "core/span.h"

#define TERMFILTER_HELD 256 /* a control sequence longer than this does not pass */

struct termfilter {
    uint8_t state;
    uint8_t utf8_left; /* continuation bytes of the character under way */
    bool utf8_c2;      /* it began with C2: the next byte may be a C1 control */
    bool too_long;
    bool alternate; /* the other screen is shown: to be undone at the end */
    size_t held;
    uint8_t hold[TERMFILTER_HELD]; /* the sequence under way, from its ESC on */
};

void termfilter_init(struct termfilter *f);

/* Filters a part of the stream; sequences may be cut anywhere between parts. `out` must have room
 * for in.len + TERMFILTER_HELD bytes. Returns the bytes written. */
size_t termfilter_feed(struct termfilter *f, struct span in, uint8_t *out);

/* What puts the terminal back in order after the session; static storage. */
struct span termfilter_reset(const struct termfilter *f);

/* ---- keys: ~. at the beginning of a line ends the connection, ~~ is one ~, ~? is help ---- */

enum termkeys_state { TERMKEYS_LINE_START, TERMKEYS_TILDE, TERMKEYS_INSIDE };

enum termkeys_found { TERMKEYS_NOTHING, TERMKEYS_DISCONNECT, TERMKEYS_HELP };

struct termkeys {
    enum termkeys_state state;
};

/* Copies what goes to the remote side to `out` (room for in.len + 1) and stops behind an escape:
 * *used tells how much of `in` was taken. Starts zeroed. */
enum termkeys_found termkeys_feed(
    struct termkeys *k, struct span in, size_t *used, uint8_t *out, size_t *len);

#endif
