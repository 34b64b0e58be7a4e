/* filter.c: parser and matcher of the filter language. Pure; any thread. No regular expressions, no
 * recursion, no allocation: terms and bytes are bounded, so is the work. */
#include "core/filter.h"

#include "core/text.h"

#include <stdarg.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static const struct filter_field machine_fields[] = {
    [FILTER_MACHINE_NAME] = {"name", FILTER_WORD},
    [FILTER_MACHINE_TAG] = {"tag", FILTER_WORD},
    [FILTER_MACHINE_OS] = {"os", FILTER_WORD},
    [FILTER_MACHINE_ID] = {"id", FILTER_WORD},
    [FILTER_MACHINE_ONLINE] = {"online", FILTER_BOOL},
    [FILTER_MACHINE_GUEST] = {"guest", FILTER_BOOL},
    [FILTER_MACHINE_SEEN] = {"seen", FILTER_AGE},
};
const struct filter_vocabulary filter_machines = {machine_fields, COUNT(machine_fields)};

static const struct filter_field user_fields[] = {
    [FILTER_USER_NAME] = {"name", FILTER_WORD},
    [FILTER_USER_ROLE] = {"role", FILTER_WORD},
    [FILTER_USER_ID] = {"id", FILTER_WORD},
    [FILTER_USER_DISABLED] = {"disabled", FILTER_BOOL},
    [FILTER_USER_SEEN] = {"seen", FILTER_AGE},
};
const struct filter_vocabulary filter_users = {user_fields, COUNT(user_fields)};

struct parser {
    const struct filter_vocabulary *vocabulary;
    struct filter *out;
    size_t used; /* of out->text */
    struct filter_error *error;
    struct span term; /* the one being read, for the error */
};

static enum err __attribute__((format(printf, 3, 4)))
bad(struct parser *p, enum err err, const char *format, ...)
{
    va_list args;

    text_escape(p->term, p->error->term, sizeof(p->error->term));
    va_start(args, format);
    vsnprintf(p->error->reason, sizeof(p->error->reason), format, args);
    va_end(args);
    return err;
}

static uint8_t
fold(uint8_t c)
{
    return (uint8_t)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

/* Length of the term at the front of `text`: to the next space outside quotes. False: a quote is
 * left open. */
static bool
term_length(struct span text, size_t *len)
{
    bool quoted = false;
    size_t i;

    for (i = 0; i < text.len && (quoted || text.ptr[i] != ' '); i++) {
        if (quoted && text.ptr[i] == '\\' && i + 1 < text.len)
            i++;
        else if (text.ptr[i] == '"')
            quoted = !quoted;
    }
    *len = i;
    return !quoted;
}

static bool
field_find(const struct filter_vocabulary *v, struct span name, uint8_t *index)
{
    for (size_t i = 0; i < v->count; i++) {
        if (span_is(name, v->fields[i].name)) {
            *index = (uint8_t)i;
            return true;
        }
    }
    return false;
}

static enum err
word_parse(struct parser *p, struct filter_term *term, struct span value)
{
    char *out = p->out->text + p->used;
    size_t n = 0;

    term->literal = value.len > 0 && value.ptr[0] == '"';
    if (term->literal) {
        if (value.len < 2 || value.ptr[value.len - 1] != '"')
            return bad(p, ERR_MALFORMED, "goes on behind its closing quote");
        value = span_of(value.ptr + 1, value.len - 2);
    }
    if (value.len == 0)
        return bad(p, ERR_MALFORMED, "has no value");
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.ptr[i];

        if (c == '"')
            return bad(p, ERR_MALFORMED, "has a quote in the middle of its value");
        if (term->literal && c == '\\') {
            if (++i == value.len || (value.ptr[i] != '"' && value.ptr[i] != '\\'))
                return bad(p, ERR_MALFORMED, "has a backslash before something else than \" or \\");
            c = value.ptr[i];
        }
        if (n == FILTER_VALUE_BYTES_MAX)
            return bad(p, ERR_LIMIT, "has a value longer than %d bytes", FILTER_VALUE_BYTES_MAX);
        out[n++] = (char)fold(c);
    }
    term->at = (uint16_t)p->used;
    term->len = (uint16_t)n;
    p->used += n;
    return OK;
}

static enum err
age_parse(struct parser *p, struct filter_term *term, struct span value)
{
    static const struct {
        char unit;
        uint64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
    uint64_t n = 0;
    size_t i;

    for (i = 0; i < value.len && value.ptr[i] >= '0' && value.ptr[i] <= '9' && i < 6; i++)
        n = n * 10 + (uint64_t)(value.ptr[i] - '0');
    for (size_t u = 0; i > 0 && i + 1 == value.len && u < COUNT(units); u++) {
        if (value.ptr[i] != (uint8_t)units[u].unit)
            continue;
        term->age_us = n * units[u].seconds * UINT64_C(1000000);
        return OK;
    }
    return bad(p, ERR_MALFORMED, "needs a span of time such as 30m, 12h or 7d");
}

static enum err
bool_parse(struct parser *p, struct filter_term *term, struct span value)
{
    if (!span_is(value, "true") && !span_is(value, "false"))
        return bad(p, ERR_MALFORMED, "needs true or false");
    term->flag = span_is(value, "true");
    return OK;
}

static enum err
term_parse(struct parser *p)
{
    struct filter_term *term = &p->out->terms[p->out->count];
    struct span text = p->term, name, value;
    size_t op = 0;

    *term = (struct filter_term){0};
    if (text.ptr[0] == '-') {
        term->negated = true;
        text = span_of(text.ptr + 1, text.len - 1);
    }
    while (op < text.len && memchr(":<>\"", text.ptr[op], 4) == NULL)
        op++;
    if (op == text.len || text.ptr[op] == '"')
        return bad(p, ERR_MALFORMED, "is not of the form field:value");
    name = span_of(text.ptr, op);
    value = span_of(text.ptr + op + 1, text.len - op - 1);
    if (!field_find(p->vocabulary, name, &term->field))
        return bad(p, ERR_MALFORMED, "names no field that can be searched");
    term->type = (uint8_t)p->vocabulary->fields[term->field].type;
    if ((text.ptr[op] == ':') == (term->type == FILTER_AGE))
        return bad(p, ERR_MALFORMED,
            term->type == FILTER_AGE ? "needs < or > instead of :" : "needs : instead of < or >");
    term->older = text.ptr[op] == '>';
    switch ((enum filter_type)term->type) {
    case FILTER_WORD: return word_parse(p, term, value);
    case FILTER_BOOL: return bool_parse(p, term, value);
    case FILTER_AGE: break;
    }
    return age_parse(p, term, value);
}

enum err
filter_parse(struct span text, const struct filter_vocabulary *vocabulary, struct filter *out,
    struct filter_error *error)
{
    struct parser p = {.vocabulary = vocabulary, .out = out, .error = error};
    enum err err;

    out->count = 0;
    if (text.len > FILTER_BYTES_MAX)
        return bad(&p, ERR_LIMIT, "is longer than %d bytes", FILTER_BYTES_MAX);
    if (!text_utf8(text))
        return bad(&p, ERR_MALFORMED, "is not valid UTF-8");
    for (;;) {
        size_t len;
        bool closed;

        while (text.len > 0 && text.ptr[0] == ' ')
            text = span_of(text.ptr + 1, text.len - 1);
        if (text.len == 0)
            return OK;
        closed = term_length(text, &len);
        p.term = span_of(text.ptr, len);
        if (!closed)
            return bad(&p, ERR_MALFORMED, "has a quote that is never closed");
        if (out->count == FILTER_TERMS_MAX)
            return bad(&p, ERR_LIMIT, "is one term too many: at most %d", FILTER_TERMS_MAX);
        if ((err = term_parse(&p)) != OK)
            return err;
        out->count++;
        text = span_of(text.ptr + len, text.len - len);
    }
}

static size_t
step(struct span text, size_t at)
{
    uint32_t point;
    size_t took = text_next(span_of(text.ptr + at, text.len - at), &point);

    return took == 0 ? 1 : took;
}

/* On a mismatch only the last star takes one more: a later star makes earlier choices final, so no
 * more than one place is ever gone back to. */
bool
filter_glob(struct span pattern, struct span text)
{
    size_t p = 0, t = 0, star = SIZE_MAX, resume = 0;

    while (t < text.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = ++p;
            resume = t;
        } else if (p < pattern.len && pattern.ptr[p] == '?') {
            p++;
            t += step(text, t);
        } else if (p < pattern.len && fold(pattern.ptr[p]) == fold(text.ptr[t])) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star;
            resume += step(text, resume);
            t = resume;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}

static bool
literal_equal(struct span want, struct span text)
{
    if (want.len != text.len)
        return false;
    for (size_t i = 0; i < want.len; i++)
        if (fold(want.ptr[i]) != fold(text.ptr[i]))
            return false;
    return true;
}

static bool
value_fits(
    const struct filter *filter, const struct filter_term *term, const struct filter_value *value)
{
    struct span want = span_of(filter->text + term->at, term->len);

    switch ((enum filter_type)term->type) {
    case FILTER_WORD:
        return term->literal ? literal_equal(want, value->word) : filter_glob(want, value->word);
    case FILTER_BOOL: return value->flag == term->flag;
    case FILTER_AGE: break;
    }
    if (value->never)
        return false;
    return term->older ? value->age_us > term->age_us : value->age_us < term->age_us;
}

bool
filter_match(const struct filter *filter, filter_facts facts, const void *ctx)
{
    for (uint32_t i = 0; i < filter->count; i++) {
        const struct filter_term *term = &filter->terms[i];
        struct filter_value value = {0};
        bool fits = false;

        for (unsigned n = 0; !fits && facts(ctx, term->field, n, &value); n++) {
            fits = value_fits(filter, term, &value);
            value = (struct filter_value){0};
        }
        if (fits == term->negated)
            return false;
    }
    return true;
}
