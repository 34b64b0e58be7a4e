/* query.c: percent-decoding and the table of allowed names. Pure; any thread. */
#include "http/query.h"

#include "core/text.h"

static int
hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* False: a '%' without two digits behind it. */
static bool
decode(struct span text, uint8_t *out, size_t *len)
{
    size_t n = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '+') {
            out[n++] = ' ';
        } else if (text.ptr[i] != '%') {
            out[n++] = text.ptr[i];
        } else {
            int high = i + 2 < text.len ? hex_digit(text.ptr[i + 1]) : -1;
            int low = i + 2 < text.len ? hex_digit(text.ptr[i + 2]) : -1;

            if (high < 0 || low < 0)
                return false;
            out[n++] = (uint8_t)(high << 4 | low);
            i += 2;
        }
    }
    *len = n;
    return true;
}

static bool
plain_text(struct span value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] < 0x20 || value.ptr[i] == 0x7f)
            return false;
    return text_utf8(value);
}

static enum err
complain(struct query_error *error, struct span name, const char *reason)
{
    text_escape(name, error->name, sizeof(error->name));
    error->reason = reason;
    return ERR_MALFORMED;
}

static enum err
take_item(struct span item, const char *const *allowed, struct query *q, uint8_t **at,
    struct query_error *error)
{
    const uint8_t *equals = memchr(item.ptr, '=', item.len);
    size_t name_len = equals == NULL ? item.len : (size_t)(equals - item.ptr);
    struct span name, value = {NULL, 0};
    size_t len;

    if (equals != NULL)
        value = span_of(equals + 1, item.len - name_len - 1);
    if (!decode(span_of(item.ptr, name_len), *at, &len))
        return complain(error, span_of(item.ptr, name_len), "is not percent-encoded as it must be");
    name = span_of(*at, len);
    while (allowed != NULL && *allowed != NULL && !span_is(name, *allowed))
        allowed++;
    if (allowed == NULL || *allowed == NULL)
        return complain(error, name, "is not a parameter of this resource");
    if (query_find(q, *allowed) != NULL)
        return complain(error, name, "is given twice");
    if (q->count == QUERY_ITEMS_MAX)
        return complain(error, name, "is one too many");
    if (!decode(value, *at, &len))
        return complain(error, name, "is not percent-encoded as it must be");
    value = span_of(*at, len);
    if (!plain_text(value))
        return complain(error, span_str(*allowed), "holds a control character, or is not UTF-8");
    *at += len;
    q->items[q->count++] = (struct query_item){.name = *allowed, .value = value};
    return OK;
}

enum err
query_parse(
    struct span text, const char *const *allowed, struct query *out, struct query_error *error)
{
    uint8_t *at;
    enum err err;

    *out = (struct query){0};
    *error = (struct query_error){.reason = "is not valid"};
    if (text.len == 0)
        return OK;
    if ((at = out->bytes = malloc(text.len)) == NULL)
        return ERR_MEMORY;
    while (text.len > 0) {
        const uint8_t *amp = memchr(text.ptr, '&', text.len);
        struct span item = span_of(text.ptr, amp == NULL ? text.len : (size_t)(amp - text.ptr));

        text = amp == NULL ? (struct span){NULL, 0}
                           : span_of(item.ptr + item.len + 1, text.len - item.len - 1);
        if (item.len == 0)
            continue;
        if ((err = take_item(item, allowed, out, &at, error)) != OK) {
            query_fini(out);
            return err;
        }
    }
    return OK;
}

void
query_fini(struct query *q)
{
    free(q->bytes);
    *q = (struct query){0};
}

const struct span *
query_find(const struct query *q, const char *name)
{
    for (uint32_t i = 0; i < q->count; i++)
        if (strcmp(q->items[i].name, name) == 0)
            return &q->items[i].value;
    return NULL;
}

static bool
moves_only(const char *name)
{
    static const char *const movers[] = {"after", "limit", "at_least", "wait"};

    for (size_t i = 0; i < sizeof(movers) / sizeof(movers[0]); i++)
        if (strcmp(name, movers[i]) == 0)
            return true;
    return false;
}

bool
query_scope(const struct query *q, char *out, size_t cap, size_t *len)
{
    size_t n = 0;

    for (uint32_t i = 0; i < q->count; i++) {
        const struct query_item *item = &q->items[i];
        size_t name_len = strlen(item->name);

        if (moves_only(item->name))
            continue;
        if (cap - n < name_len + item->value.len + 2)
            return false;
        memcpy(out + n, item->name, name_len);
        n += name_len;
        out[n++] = '=';
        if (item->value.len > 0)
            memcpy(out + n, item->value.ptr, item->value.len);
        n += item->value.len;
        out[n++] = '\n';
    }
    *len = n;
    return true;
}
