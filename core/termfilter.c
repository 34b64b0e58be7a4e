/* termfilter.c: a small terminal parser (after ECMA-48 and xterm's control sequences) that holds
 * each sequence until it is whole and then passes it or drops it. What it does not know how to end,
 * it drops. Pure; any thread. */
#include "core/termfilter.h"

enum state {
    GROUND,
    ESCAPE,       /* ESC seen */
    INTERMEDIATE, /* ESC and 0x20-0x2f */
    CSI,          /* ESC [ */
    STRING,       /* OSC, DCS, SOS, PM, APC: until ST or BEL */
    STRING_ESC,   /* ESC inside a string: ST if a backslash follows */
};

#define ESC 0x1b
#define BEL 0x07
#define CAN 0x18
#define SUB 0x1a
#define ENQ 0x05

void
termfilter_init(struct termfilter *f)
{
    *f = (struct termfilter){0};
}

static void
hold(struct termfilter *f, uint8_t c)
{
    if (f->held < TERMFILTER_HELD)
        f->hold[f->held++] = c;
    else
        f->too_long = true;
}

static void
begin(struct termfilter *f)
{
    f->state = ESCAPE;
    f->held = 0;
    f->too_long = false;
    hold(f, ESC);
}

static size_t
release(struct termfilter *f, bool pass, uint8_t *out)
{
    size_t n = pass && !f->too_long ? f->held : 0;

    memcpy(out, f->hold, n);
    f->held = 0;
    f->state = GROUND;
    return n;
}

/* ---- control sequences ---- */

static bool
held_has(const struct termfilter *f, uint8_t first, uint8_t last)
{
    for (size_t i = 2; i + 1 < f->held; i++)
        if (f->hold[i] >= first && f->hold[i] <= last)
            return true;
    return false;
}

/* Does one of the parameters say `number`? */
static bool
held_number(const struct termfilter *f, unsigned number)
{
    unsigned n = 0;

    for (size_t i = 2; i < f->held; i++) {
        uint8_t c = f->hold[i];

        if (c >= '0' && c <= '9') {
            n = n < 100000 ? n * 10 + (c - '0') : n;
            continue;
        }
        if (n == number)
            return true;
        n = 0;
    }
    return false;
}

static void
note_screens(struct termfilter *f, uint8_t final)
{
    if (f->hold[2] == '?' && (held_number(f, 47) || held_number(f, 1047) || held_number(f, 1049)))
        f->alternate = final == 'h';
}

/* CSI: private marker 0x3c-0x3f, parameters 0x30-0x3b, intermediates 0x20-0x2f, final 0x40-0x7e. */
static bool
csi_passes(struct termfilter *f, uint8_t final)
{
    bool private = f->held > 3 && f->hold[2] >= '<' && f->hold[2] <= '?';
    uint8_t marker = private ? f->hold[2] : 0;

    switch (final) {
    case 'n': /* status and position reports */
    case 'c': /* device attributes */
    case 'x': /* terminal parameters */
    case 't': /* window reports, titles typed back, resizing */ return false;
    case 'q': return marker != '>'; /* the version; without it: cursor style */
    case 'u': return marker != '?'; /* keyboard mode query */
    case 'S': return marker != '?'; /* graphics query */
    case 'h':
    case 'l': note_screens(f, final); break;
    default: break;
    }
    /* ! (soft reset) and space (cursor style) are harmless; with $ * & " ' + come mode, checksum
     * and setting queries. " p sets the conformance level: 8-bit controls. */
    return !(held_has(f, '"', '/') || (final == 'p' && held_has(f, '$', '$')));
}

static size_t
csi_byte(struct termfilter *f, uint8_t c, uint8_t *out)
{
    if (c >= 0x40 && c <= 0x7e) {
        hold(f, c);
        return release(f, !f->too_long && csi_passes(f, c), out);
    }
    if (c >= 0x20 && c <= 0x3f) {
        hold(f, c);
        return 0;
    }
    if (c == ESC) {
        begin(f);
        return 0;
    }
    if (c == CAN || c == SUB || c >= 0x7f)
        return release(f, false, out);
    out[0] = c; /* controls inside a sequence take effect at once */
    return c == ENQ ? 0 : 1;
}

/* ---- strings ---- */

/* Titles only: OSC 0, 1, 2 with text. */
static bool
string_passes(const struct termfilter *f)
{
    size_t end = f->held;

    if (f->held < 5 || f->hold[1] != ']' || f->hold[2] < '0' || f->hold[2] > '2' ||
        f->hold[3] != ';')
        return false;
    end -= f->hold[end - 1] == BEL ? 1 : 2;
    for (size_t i = 4; i < end; i++)
        if (f->hold[i] < 0x20 || f->hold[i] == 0x7f ||
            (f->hold[i] == 0xc2 && i + 1 < end && f->hold[i + 1] < 0xa0))
            return false;
    return true;
}

static size_t
string_byte(struct termfilter *f, uint8_t c, uint8_t *out)
{
    if (f->state == STRING_ESC) {
        hold(f, c);
        if (c == '\\')
            return release(f, string_passes(f), out);
        begin(f); /* the string was broken off by another sequence */
        f->held = 1;
        f->state = ESCAPE;
        return (size_t)-1; /* look at c again */
    }
    if (c == CAN || c == SUB)
        return release(f, false, out);
    hold(f, c);
    if (c == BEL)
        return release(f, string_passes(f), out);
    if (c == ESC)
        f->state = STRING_ESC;
    return 0;
}

/* ---- escapes ---- */

static size_t
escape_byte(struct termfilter *f, uint8_t c, uint8_t *out)
{
    bool pass;

    if (c == ESC) {
        begin(f);
        return 0;
    }
    if (c == CAN || c == SUB || c >= 0x7f)
        return release(f, false, out);
    if (c < 0x20) {
        out[0] = c;
        return c == ENQ ? 0 : 1;
    }
    hold(f, c);
    if (f->state == ESCAPE && c == '[') {
        f->state = CSI;
        return 0;
    }
    if (f->state == ESCAPE && memchr("]PX^_", c, 5) != NULL) {
        f->state = STRING;
        return 0;
    }
    if (c <= 0x2f) {
        f->state = INTERMEDIATE;
        return 0;
    }
    /* ESC Z asks who the terminal is; ESC % leaves UTF-8; ESC SP G asks for 8-bit controls. */
    pass = f->state == ESCAPE ? c != 'Z' : f->hold[1] != '%' && f->hold[1] != ' ';
    return release(f, pass, out);
}

/* ---- plain bytes ---- */

static size_t
ground_byte(struct termfilter *f, uint8_t c, uint8_t *out)
{
    size_t n = 0;

    if (f->utf8_left > 0 && (c & 0xc0) == 0x80) {
        f->utf8_left--;
        if (f->utf8_c2) {
            f->utf8_c2 = false;
            if (c < 0xa0)
                return 0; /* a C1 control: CSI, OSC and the like in other clothes */
            out[n++] = 0xc2;
        }
        out[n++] = c;
        return n;
    }
    f->utf8_left = 0;
    f->utf8_c2 = false;
    if (c == ESC) {
        begin(f);
        return 0;
    }
    if (c == ENQ || c == 0x7f || (c >= 0x80 && c < 0xc2) || c > 0xf4)
        return 0; /* answerback; bytes that a terminal not in UTF-8 would obey */
    if (c >= 0xc2)
        f->utf8_left = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
    if (c == 0xc2) {
        f->utf8_c2 = true;
        return 0;
    }
    out[0] = c;
    return 1;
}

size_t
termfilter_feed(struct termfilter *f, struct span in, uint8_t *out)
{
    size_t len = 0, n;

    for (size_t i = 0; i < in.len; i++) {
        uint8_t c = in.ptr[i];

        switch ((enum state)f->state) {
        case GROUND: n = ground_byte(f, c, out + len); break;
        case ESCAPE:
        case INTERMEDIATE: n = escape_byte(f, c, out + len); break;
        case CSI: n = csi_byte(f, c, out + len); break;
        default: n = string_byte(f, c, out + len); break;
        }
        if (n == (size_t)-1)
            i--;
        else
            len += n;
    }
    return len;
}

#define RESET                                                                                      \
    "\x1b[0m\x1b[?25h\x1b[?7h\x1b[?1l\x1b>\x1b[?9l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1004l"    \
    "\x1b[?1005l\x1b[?1006l\x1b[?1015l\x1b[?2004l\x1b[?2031l\x1b[?2048l\x1b[4l\x1b(B\x0f\x1b[0 q"  \
    "\x1b[>4;0m\x1b[<9u\x1b"                                                                       \
    "7\x1b[r\x1b"                                                                                  \
    "8"

struct span
termfilter_reset(const struct termfilter *f)
{
    static const char both[] = "\x1b[?1049l" RESET;

    return f->alternate ? span_of(both, sizeof(both) - 1) : span_of(both + 8, sizeof(both) - 9);
}

/* ---- keys ---- */

enum termkeys_found
termkeys_feed(struct termkeys *k, struct span in, size_t *used, uint8_t *out, size_t *len)
{
    *len = 0;
    for (*used = 0; *used < in.len;) {
        uint8_t c = in.ptr[(*used)++];

        if (k->state == TERMKEYS_TILDE) {
            k->state = TERMKEYS_INSIDE;
            if (c == '.')
                return TERMKEYS_DISCONNECT;
            if (c == '?') {
                k->state = TERMKEYS_LINE_START;
                return TERMKEYS_HELP;
            }
            out[(*len)++] = '~';
            if (c == '~')
                continue;
        } else if (k->state == TERMKEYS_LINE_START && c == '~') {
            k->state = TERMKEYS_TILDE;
            continue;
        }
        out[(*len)++] = c;
        k->state = c == '\r' || c == '\n' ? TERMKEYS_LINE_START : TERMKEYS_INSIDE;
    }
    return TERMKEYS_NOTHING;
}
