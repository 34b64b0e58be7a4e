/* json_read.c: jansson behind a table. Never reads a number as a float, never guesses a type.
 * Any thread; a body belongs to one. */
#include "http/json_read.h"

#include <jansson.h>
#include <malloc.h>
#include <sodium.h>
#include <stdarg.h>
#include <strings.h>

struct json_body {
    json_t *root;
};

/* Bodies carry passwords and keys: what jansson frees is wiped first. malloc_usable_size instead of
 * a size header, because libjwt hands jansson's strings to plain free(). */
static void
wiping_free(void *ptr)
{
    if (ptr == NULL)
        return;
    sodium_memzero(ptr, malloc_usable_size(ptr));
    free(ptr);
}

/* Before main, so that no thread sees the change. */
static void __attribute__((constructor)) use_wiping_free(void)
{
    json_set_alloc_funcs(malloc, wiping_free);
    json_object_seed(0);
}

static void __attribute__((format(printf, 3, 4)))
say(struct json_read_error *error, const char *field, const char *format, ...)
{
    va_list args;

    text_escape(span_str(field), error->field, sizeof(error->field));
    va_start(args, format);
    vsnprintf(error->reason, sizeof(error->reason), format, args);
    va_end(args);
}

bool
json_content_type(struct span value)
{
    static const char type[] = "application/json", charset[] = "charset=utf-8";
    const char *p = (const char *)value.ptr;
    size_t n = value.len;

    if (n < sizeof(type) - 1 || strncasecmp(p, type, sizeof(type) - 1) != 0)
        return false;
    p += sizeof(type) - 1;
    n -= sizeof(type) - 1;
    for (; n > 0 && *p == ' '; p++)
        n--;
    if (n == 0)
        return true;
    if (*p != ';')
        return false;
    for (p++, n--; n > 0 && *p == ' '; p++)
        n--;
    return n == sizeof(charset) - 1 && strncasecmp(p, charset, n) == 0;
}

/* jansson recurses to 2,048; 32 is all that any body of ours needs. Brackets inside strings do not
 * count. */
static bool
too_deep(struct span body)
{
    size_t depth = 0;
    bool quoted = false;

    for (size_t i = 0; i < body.len; i++) {
        uint8_t c = body.ptr[i];

        if (quoted) {
            if (c == '\\')
                i++;
            else if (c == '"')
                quoted = false;
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JSON_DEPTH_MAX)
                return true;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return false;
}

enum err
json_body_parse(struct span text, struct json_body **out, struct json_read_error *error)
{
    struct json_body *body;
    json_error_t at;
    json_t *root;

    *out = NULL;
    if (too_deep(text)) {
        say(error, "", "is nested deeper than %d", JSON_DEPTH_MAX);
        return ERR_LIMIT;
    }
    root = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, &at);
    if (root == NULL) {
        /* jansson's own text quotes the input, which may hold a password: only its place is told */
        say(error, "",
            json_error_code(&at) == json_error_duplicate_key
                ? "names a member twice (line %d, column %d)"
                : "is not valid JSON (line %d, column %d)",
            at.line, at.column);
        return ERR_MALFORMED;
    }
    if (!json_is_object(root)) {
        say(error, "", "must be a JSON object");
        json_decref(root);
        return ERR_MALFORMED;
    }
    if ((body = malloc(sizeof(*body))) == NULL) {
        json_decref(root);
        say(error, "", "cannot be read now");
        return ERR_MEMORY;
    }
    body->root = root;
    *out = body;
    return OK;
}

void
json_body_free(struct json_body *body)
{
    if (body == NULL)
        return;
    json_decref(body->root);
    free(body);
}

static enum err
read_text(const struct json_field *f, const json_t *value, struct span *out,
    struct json_read_error *error)
{
    bool ruled = f->kind == JSON_KIND_RULED || f->kind == JSON_KIND_RULED_LIST;
    int64_t min = f->kind == JSON_KIND_TEXT ? f->min : 1;
    int64_t max = f->kind == JSON_KIND_TEXT ? f->max : JSON_ITEM_BYTES_MAX;
    enum text_fault fault;

    if (!json_is_string(value)) {
        say(error, f->name, "must be a string");
        return ERR_MALFORMED;
    }
    *out = span_of(json_string_value(value), json_string_length(value));
    if (ruled && (fault = text_check(f->text_kind, *out)) != TEXT_OK) {
        say(error, f->name, "%s", text_fault_name(fault));
        return ERR_MALFORMED;
    }
    if (!ruled && ((int64_t)out->len < min || (int64_t)out->len > max)) {
        say(error, f->name, "must be %lld to %lld bytes long", (long long)min, (long long)max);
        return ERR_LIMIT;
    }
    return OK;
}

static enum err
read_texts(const struct json_field *f, const json_t *value, struct json_texts *out,
    struct json_read_error *error)
{
    size_t count = json_array_size(value);
    enum err err;

    INVARIANT(f->max <= JSON_LIST_MAX);
    if (!json_is_array(value)) {
        say(error, f->name, "must be a list of strings");
        return ERR_MALFORMED;
    }
    if ((int64_t)count < f->min || (int64_t)count > f->max) {
        say(error, f->name, "must have %lld to %lld items", (long long)f->min, (long long)f->max);
        return ERR_LIMIT;
    }
    for (size_t i = 0; i < count; i++)
        if ((err = read_text(f, json_array_get(value, i), &out->items[i], error)) != OK)
            return err;
    out->count = (uint32_t)count;
    return OK;
}

static enum err
read_int(
    const struct json_field *f, const json_t *value, int64_t *out, struct json_read_error *error)
{
    if (!json_is_integer(value)) {
        say(error, f->name, "must be a whole number");
        return ERR_MALFORMED;
    }
    *out = json_integer_value(value);
    if (*out < f->min || *out > f->max) {
        say(error, f->name, "must be %lld to %lld", (long long)f->min, (long long)f->max);
        return ERR_LIMIT;
    }
    return OK;
}

static enum err
read_field(
    const struct json_field *f, const json_t *value, void *dest, struct json_read_error *error)
{
    void *slot = (char *)dest + f->offset;

    switch (f->kind) {
    case JSON_KIND_TEXT:
    case JSON_KIND_RULED: return read_text(f, value, slot, error);
    case JSON_KIND_RULED_LIST:
    case JSON_KIND_LIST: return read_texts(f, value, slot, error);
    case JSON_KIND_INT: return read_int(f, value, slot, error);
    case JSON_KIND_BOOL: break;
    }
    if (!json_is_boolean(value)) {
        say(error, f->name, "must be true or false");
        return ERR_MALFORMED;
    }
    *(bool *)slot = json_is_true(value);
    return OK;
}

enum err
json_body_read(const struct json_body *body, const struct json_field *fields, size_t count,
    void *dest, uint32_t *present, struct json_read_error *error)
{
    const char *name;
    json_t *value;
    enum err err;
    size_t i;

    INVARIANT(count <= 32);
    *present = 0;
    json_object_foreach(body->root, name, value)
    {
        for (i = 0; i < count && strcmp(fields[i].name, name) != 0; i++)
            ;
        if (i == count) {
            say(error, name, "is not a known member");
            return ERR_MALFORMED;
        }
    }
    for (i = 0; i < count; i++) {
        if ((value = json_object_get(body->root, fields[i].name)) == NULL) {
            if (!fields[i].required)
                continue;
            say(error, fields[i].name, "is missing");
            return ERR_MALFORMED;
        }
        if ((err = read_field(&fields[i], value, dest, error)) != OK)
            return err;
        *present |= UINT32_C(1) << i;
    }
    return OK;
}
