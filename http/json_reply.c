/* json_reply.c: jansson behind paths. Any thread; a reply belongs to one. */
#include "http/json_reply.h"

#include "core/text.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct json_reply {
    json_t *root;
};

#define PATH_PART_MAX 64

/* jansson recurses; brackets inside strings do not count. */
static bool
too_deep(struct span text)
{
    size_t depth = 0;
    bool quoted = false;

    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];

        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '[') && ++depth > JSON_DEPTH_MAX)
            return true;
        else if (!quoted && (c == '}' || c == ']') && depth > 0)
            depth--;
    }
    return false;
}

enum err
json_reply_parse(struct span text, struct json_reply **out)
{
    struct json_reply *reply;
    json_error_t at;
    json_t *root;

    *out = NULL;
    if (too_deep(text))
        return ERR_LIMIT;
    root = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, &at);
    if (root == NULL)
        return ERR_MALFORMED;
    if ((reply = malloc(sizeof(*reply))) == NULL) {
        json_decref(root);
        return ERR_MEMORY;
    }
    reply->root = root;
    *out = reply;
    return OK;
}

void
json_reply_free(struct json_reply *reply)
{
    if (reply == NULL)
        return;
    json_decref(reply->root);
    free(reply);
}

static const json_t *
walk(const struct json_reply *reply, const char *path)
{
    const json_t *at = reply->root;

    while (at != NULL && *path != '\0') {
        size_t n = strcspn(path, ".");
        char part[PATH_PART_MAX];
        char *end;

        if (n == 0 || n >= sizeof(part))
            return NULL;
        memcpy(part, path, n);
        part[n] = '\0';
        if (json_is_array(at)) {
            unsigned long index = strtoul(part, &end, 10);

            at = *end == '\0' ? json_array_get(at, index) : NULL;
        } else {
            at = json_object_get(at, part);
        }
        path += n;
        path += *path == '.';
    }
    return at;
}

bool
json_reply_text(const struct json_reply *reply, const char *path, struct span *out)
{
    const json_t *at = walk(reply, path);

    if (!json_is_string(at))
        return false;
    *out = span_of(json_string_value(at), json_string_length(at));
    return true;
}

bool
json_reply_int(const struct json_reply *reply, const char *path, int64_t *out)
{
    const json_t *at = walk(reply, path);

    if (!json_is_integer(at))
        return false;
    *out = json_integer_value(at);
    return true;
}

bool
json_reply_bool(const struct json_reply *reply, const char *path, bool *out)
{
    const json_t *at = walk(reply, path);

    if (!json_is_boolean(at))
        return false;
    *out = json_is_true(at);
    return true;
}

size_t
json_reply_count(const struct json_reply *reply, const char *path)
{
    const json_t *at = walk(reply, path);

    return json_is_array(at) ? json_array_size(at) : json_object_size(at);
}

bool
json_reply_has(const struct json_reply *reply, const char *path)
{
    return walk(reply, path) != NULL;
}

bool
json_reply_copy(const struct json_reply *reply, const char *path, char *out, size_t size)
{
    struct span text;

    if (!json_reply_text(reply, path, &text) || text.len >= size ||
        memchr(text.ptr, '\0', text.len) != NULL)
        return false;
    memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
    return true;
}

void
problem_read(unsigned status, struct span body, struct problem_said *out)
{
    struct json_reply *reply;
    struct span text;

    out->code[0] = '\0';
    snprintf(out->detail, sizeof(out->detail), "the server answered with status %u", status);
    if (body.len > HTTP_BODY_BYTES_MAX || json_reply_parse(body, &reply) != OK)
        return;
    if (json_reply_text(reply, "code", &text))
        text_escape(text, out->code, sizeof(out->code));
    if (json_reply_text(reply, "detail", &text) || json_reply_text(reply, "title", &text))
        text_escape(text, out->detail, sizeof(out->detail));
    json_reply_free(reply);
}
