/* text.c: the table of text rules, UTF-8 and escaping. Pure; any thread. Never changes what it
 * checks, and never lets a byte through that it does not understand. */
#include "core/text.h"

#include "core/limits.h"

static const struct text_rule rules[TEXT_KINDS] = {
    [TEXT_ACCOUNT] = {"an account name", 1, ACCOUNT_BYTES_MAX, ACCOUNT_BYTES_MAX, "._@+-"},
    [TEXT_MACHINE] = {"a machine name", 1, NAME_BYTES_MAX, NAME_POINTS_MAX, NULL},
    [TEXT_LABEL] = {"a tag", 1, LABEL_BYTES_MAX, LABEL_BYTES_MAX, "._:/=-"},
    [TEXT_SERVICE] = {"a service name", 1, 32, 32, "._-"},
    [TEXT_REASON] = {"a reason", 1, NOTE_BYTES_MAX, NOTE_POINTS_MAX, NULL},
    [TEXT_NOTE] = {"a note", 1, NOTE_BYTES_MAX, NOTE_POINTS_MAX, NULL},
    [TEXT_PASSWORD] = {"a password", PASSWORD_BYTES_MIN, PASSWORD_BYTES_MAX, PASSWORD_BYTES_MAX,
        NULL},
};

/* Code points that hide, reorder or join their neighbours, or look like nothing. */
static const struct {
    uint32_t first, last;
} invisible[] = {
    {0x00AD, 0x00AD},   /* soft hyphen */
    {0x034F, 0x034F},   /* grapheme joiner */
    {0x061C, 0x061C},   /* Arabic letter mark */
    {0x115F, 0x1160},   /* Hangul fillers */
    {0x17B4, 0x17B5},   /* Khmer inherent vowels */
    {0x180B, 0x180F},   /* Mongolian selectors */
    {0x200B, 0x200F},   /* zero width, LRM, RLM */
    {0x2028, 0x202E},   /* separators, bidi embeddings and overrides */
    {0x2060, 0x206F},   /* joiners, bidi isolates, deprecated format characters */
    {0x2800, 0x2800},   /* blank Braille */
    {0x3164, 0x3164},   /* Hangul filler */
    {0xFDD0, 0xFDEF},   /* noncharacters */
    {0xFE00, 0xFE0F},   /* variation selectors */
    {0xFEFF, 0xFEFF},   /* byte order mark */
    {0xFFA0, 0xFFA0},   /* half-width filler */
    {0xFFF0, 0xFFFB},   /* interlinear annotation */
    {0xFFFE, 0xFFFF},   /* noncharacters */
    {0x1D173, 0x1D17A}, /* musical format controls */
    {0xE0000, 0xE0FFF}, /* tags, variation selectors */
};

const struct text_rule *
text_rule(enum text_kind kind)
{
    INVARIANT(kind >= 0 && kind < TEXT_KINDS);
    return &rules[kind];
}

const char *
text_fault_name(enum text_fault fault)
{
    switch (fault) {
    case TEXT_OK: return "is fine";
    case TEXT_SHORT: return "is too short";
    case TEXT_LONG: return "is too long";
    case TEXT_NOT_UTF8: return "is not valid UTF-8";
    case TEXT_CONTROL: return "holds a control character";
    case TEXT_INVISIBLE: return "holds an invisible or direction-changing character";
    case TEXT_CHARSET: return "holds a character that is not allowed here";
    case TEXT_EDGE: return "begins or ends with a character that is not allowed there";
    }
    return "is not valid";
}

size_t
text_next(struct span text, uint32_t *point)
{
    const uint8_t *p = text.ptr;
    uint32_t c, least;
    size_t more;

    if (text.len == 0)
        return 0;
    if (p[0] < 0x80) {
        *point = p[0];
        return 1;
    }
    if (p[0] >= 0xC2 && p[0] <= 0xDF)
        more = 1, c = p[0] & 0x1Fu, least = 0x80;
    else if ((p[0] & 0xF0) == 0xE0)
        more = 2, c = p[0] & 0x0Fu, least = 0x800;
    else if (p[0] >= 0xF0 && p[0] <= 0xF4)
        more = 3, c = p[0] & 0x07u, least = 0x10000;
    else
        return 0;
    if (text.len <= more)
        return 0;
    for (size_t i = 1; i <= more; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3Fu);
    }
    if (c < least || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
        return 0;
    *point = c;
    return more + 1;
}

bool
text_utf8(struct span text)
{
    uint32_t point;
    size_t took;

    while (text.len > 0) {
        if ((took = text_next(text, &point)) == 0)
            return false;
        text = span_of(text.ptr + took, text.len - took);
    }
    return true;
}

bool
text_invisible(uint32_t point)
{
    for (size_t i = 0; i < sizeof(invisible) / sizeof(invisible[0]); i++)
        if (point >= invisible[i].first && point <= invisible[i].last)
            return true;
    return (point & 0xFFFE) == 0xFFFE; /* the last two of every plane */
}

static bool
text_control(uint32_t point)
{
    return point < 0x20 || (point >= 0x7F && point <= 0x9F);
}

static bool
text_alnum(uint32_t point)
{
    return (point >= 'a' && point <= 'z') || (point >= 'A' && point <= 'Z') ||
           (point >= '0' && point <= '9');
}

static enum text_fault
text_point(const struct text_rule *rule, uint32_t point)
{
    if (text_control(point))
        return TEXT_CONTROL;
    if (text_invisible(point))
        return TEXT_INVISIBLE;
    if (rule->charset != NULL && !text_alnum(point) &&
        (point >= 0x80 || strchr(rule->charset, (int)point) == NULL))
        return TEXT_CHARSET;
    return TEXT_OK;
}

static enum text_fault
text_edges(const struct text_rule *rule, struct span text)
{
    if (rule->charset != NULL) /* "-rf" and ".." are no names */
        return text_alnum(text.ptr[0]) ? TEXT_OK : TEXT_EDGE;
    return text.ptr[0] == ' ' || text.ptr[text.len - 1] == ' ' ? TEXT_EDGE : TEXT_OK;
}

enum text_fault
text_check(enum text_kind kind, struct span text)
{
    const struct text_rule *rule = text_rule(kind);
    enum text_fault fault;
    struct span rest = text;
    size_t took, points = 0;
    uint32_t point;

    if (text.len < rule->bytes_min)
        return TEXT_SHORT;
    if (text.len > rule->bytes_max)
        return TEXT_LONG;
    if (kind == TEXT_PASSWORD)
        return memchr(text.ptr, 0, text.len) == NULL ? TEXT_OK : TEXT_CONTROL;
    for (; rest.len > 0; rest = span_of(rest.ptr + took, rest.len - took)) {
        if ((took = text_next(rest, &point)) == 0)
            return TEXT_NOT_UTF8;
        if ((fault = text_point(rule, point)) != TEXT_OK)
            return fault;
        points++;
    }
    if (points > rule->points_max)
        return TEXT_LONG;
    return text_edges(rule, text);
}

void
text_fold(struct span text, char *out)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];

        out[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
}

size_t
text_escape(struct span text, char *out, size_t size)
{
    size_t total = 0, kept = 0, took;
    bool cut = false;

    while (text.len > 0) {
        char piece[16];
        uint32_t point = 0;
        int n;

        took = text_next(text, &point);
        if (took == 0 || point < 0x20 || point == 0x7F)
            n = snprintf(piece, sizeof(piece), "\\x%02x", text.ptr[0]);
        else if (text_control(point) || text_invisible(point))
            n = snprintf(piece, sizeof(piece), "\\u{%x}", (unsigned)point);
        else if (point == '\\')
            n = snprintf(piece, sizeof(piece), "\\\\");
        else {
            memcpy(piece, text.ptr, took);
            n = (int)took;
        }
        took = took == 0 ? 1 : took;
        if (!cut && kept + (size_t)n < size) {
            memcpy(out + kept, piece, (size_t)n);
            kept += (size_t)n;
        } else {
            cut = true;
        }
        total += (size_t)n;
        text = span_of(text.ptr + took, text.len - took);
    }
    if (size > 0)
        out[kept] = '\0';
    return total;
}
