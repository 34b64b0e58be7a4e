/* answer.c: response heads. Pure; any thread. Never sees a body. */
#include "http/answer.h"

#include "core/ascii.h"

#include <string.h>
#include <strings.h>

static bool
name_is(struct span name, const char *want)
{
    return name.len == strlen(want) && strncasecmp((const char *)name.ptr, want, name.len) == 0;
}

static bool
token_char(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* Takes a line off that ends in CR LF and has no other control than HT. */
static enum err
line_take(struct span *rest, struct span *line)
{
    for (size_t i = 0; i < rest->len; i++) {
        uint8_t c = rest->ptr[i];

        if (c == '\r') {
            if (i + 1 == rest->len)
                return ERR_SHORT;
            if (rest->ptr[i + 1] != '\n')
                return ERR_MALFORMED;
            *line = span_of(rest->ptr, i);
            *rest = span_of(rest->ptr + i + 2, rest->len - i - 2);
            return OK;
        }
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return ERR_MALFORMED;
    }
    return ERR_SHORT;
}

/* HTTP/1.1 SP 3DIGIT SP reason (which may be empty, and its SP missing) */
static enum err
status_line(struct span line, struct answer *out)
{
    if (line.len < 12 || memcmp(line.ptr, "HTTP/1.1 ", 9) != 0 ||
        (line.len > 12 && line.ptr[12] != ' '))
        return ERR_MALFORMED;
    for (size_t i = 9; i < 12; i++) {
        if (line.ptr[i] < '0' || line.ptr[i] > '9')
            return ERR_MALFORMED;
        out->status = out->status * 10 + (line.ptr[i] - '0');
    }
    return out->status >= 100 && out->status <= 599 ? OK : ERR_MALFORMED;
}

static enum err
field_line(struct span line, struct answer *out)
{
    size_t n = 0;
    struct span value;

    while (n < line.len && token_char(line.ptr[n]))
        n++;
    if (n == 0 || n == line.len || line.ptr[n] != ':')
        return ERR_MALFORMED; /* folded lines and blanks before the colon end here too */
    value = span_of(line.ptr + n + 1, line.len - n - 1);
    while (value.len > 0 && (value.ptr[0] == ' ' || value.ptr[0] == '\t'))
        value = span_of(value.ptr + 1, value.len - 1);
    while (value.len > 0 && strchr(" \t", value.ptr[value.len - 1]) != NULL)
        value.len--;
    if (out->field_count == HTTP_FIELDS_MAX)
        return ERR_LIMIT;
    out->fields[out->field_count++] = (struct answer_field){span_of(line.ptr, n), value};
    return OK;
}

static size_t
field_occurs(const struct answer *answer, const char *name)
{
    size_t count = 0;

    for (size_t i = 0; i < answer->field_count; i++)
        count += name_is(answer->fields[i].name, name);
    return count;
}

const struct span *
answer_field(const struct answer *answer, const char *name)
{
    const struct span *found = NULL;

    for (size_t i = 0; i < answer->field_count; i++) {
        if (!name_is(answer->fields[i].name, name))
            continue;
        if (found != NULL)
            return NULL;
        found = &answer->fields[i].value;
    }
    return found;
}

static bool
list_has(const struct answer *answer, const char *name, const char *token)
{
    for (size_t i = 0; i < answer->field_count; i++) {
        struct span v = answer->fields[i].value;
        size_t from = 0;

        if (!name_is(answer->fields[i].name, name))
            continue;
        for (size_t at = 0; at <= v.len; at++) {
            if (at < v.len && v.ptr[at] != ',')
                continue;
            while (from < at && v.ptr[from] == ' ')
                from++;
            if (name_is(span_of(v.ptr + from, at - from), token))
                return true;
            from = at + 1;
        }
    }
    return false;
}

static enum err
framing(struct answer *out)
{
    size_t lengths = field_occurs(out, "content-length");
    size_t codings = field_occurs(out, "transfer-encoding");
    const struct span *value;

    out->keep_alive = !list_has(out, "connection", "close");
    if (lengths + codings > 1)
        return ERR_MALFORMED;
    if (out->status < 200 || out->status == 204 || out->status == 304) {
        out->body = ANSWER_NO_BODY;
        return codings == 0 ? OK : ERR_MALFORMED;
    }
    if (codings == 1) {
        value = answer_field(out, "transfer-encoding");
        out->body = ANSWER_CHUNKED;
        return name_is(*value, "chunked") ? OK : ERR_MALFORMED;
    }
    if (lengths == 1) {
        value = answer_field(out, "content-length");
        out->body = ANSWER_LENGTH;
        return ascii_number(*value, INT64_MAX, &out->length) == OK ? OK : ERR_MALFORMED;
    }
    out->body = ANSWER_UNTIL_CLOSE;
    out->keep_alive = false;
    return OK;
}

enum err
answer_parse(struct span bytes, struct answer *out)
{
    struct span rest = bytes, line;
    bool first = true;
    enum err err;

    out->status = 0;
    out->length = 0;
    out->field_count = 0;
    if (bytes.len > HTTP_HEAD_BYTES_MAX)
        rest.len = HTTP_HEAD_BYTES_MAX;
    for (;;) {
        if ((err = line_take(&rest, &line)) == ERR_SHORT && bytes.len > HTTP_HEAD_BYTES_MAX)
            return ERR_LIMIT;
        if (err != OK)
            return err;
        if (line.len == 0 && !first)
            break;
        if ((err = first ? status_line(line, out) : field_line(line, out)) != OK)
            return err;
        first = false;
    }
    out->head_len = (size_t)(rest.ptr - bytes.ptr);
    return framing(out);
}
