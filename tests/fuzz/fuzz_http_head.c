/* fuzz_http_head.c: a request from hostile bytes: however it is cut, the verdict is the same; what
 * is accepted keeps its promises; and llhttp, given head and body, finds the same body. */
#include "http/chunked.h"
#include "http/head.h"

#include <llhttp.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct body {
    uint8_t *bytes;
    size_t len;
    bool complete;
};

static int
on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct body *body = parser->data;

    memcpy(body->bytes + body->len, at, len);
    body->len += len;
    return 0;
}

static int
on_complete(llhttp_t *parser)
{
    struct body *body = parser->data;

    body->complete = true;
    return HPE_PAUSED;
}

static void
compare_bodies(const uint8_t *head, size_t head_len, struct span rest, const struct body *ours)
{
    struct body theirs = {.bytes = malloc(rest.len + 1)};
    llhttp_settings_t settings;
    llhttp_t parser;

    llhttp_settings_init(&settings);
    settings.on_body = on_body;
    settings.on_message_complete = on_complete;
    llhttp_init(&parser, HTTP_REQUEST, &settings);
    parser.data = &theirs;
    if (llhttp_execute(&parser, (const char *)head, head_len) == HPE_OK)
        (void)llhttp_execute(&parser, (const char *)rest.ptr, rest.len);
    INVARIANT(theirs.complete && theirs.len == ours->len &&
              memcmp(theirs.bytes, ours->bytes, ours->len) == 0);
    free(theirs.bytes);
}

static void
check_chunked(const uint8_t *head, size_t head_len, struct span rest)
{
    struct body body = {.bytes = malloc(rest.len + 1)};
    struct chunked chunked = {0};
    struct span in = rest, piece;
    bool done = false;
    enum err err = OK;

    while (in.len > 0 && !done && err == OK) {
        if ((err = chunked_next(&chunked, &in, &piece, &done)) == OK) {
            memcpy(body.bytes + body.len, piece.ptr, piece.len);
            body.len += piece.len;
        }
    }
    if (err == OK && done)
        compare_bodies(head, head_len, rest, &body);
    free(body.bytes);
}

static void
check_request(const struct request *request)
{
    struct http_list list = {.request = request, .name = "connection"};
    struct span item;

    INVARIANT(
        request->path.len > 0 && (request->path.ptr[0] == '/' || span_is(request->path, "*")));
    INVARIANT(request->field_count <= HTTP_FIELDS_MAX);
    INVARIANT(http_field_count(request, "host") == 1 || request->http10);
    for (size_t i = 0; i < request->field_count; i++) {
        INVARIANT(request->fields[i].name.len > 0);
        for (size_t k = 0; k < request->fields[i].value.len; k++)
            INVARIANT(
                request->fields[i].value.ptr[k] >= 0x20 || request->fields[i].value.ptr[k] == '\t');
    }
    while (http_list_next(&list, &item))
        INVARIANT(item.len > 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct head_scan whole = {0}, parts = {0};
    size_t len, parts_len = 0, cut = size > 0 ? data[0] % (size + 1) : 0;
    uint16_t status, parts_status;
    static struct head head;
    uint8_t *copy;

    status = head_scan(&whole, span_of(data, size), &len);
    parts_status = head_scan(&parts, span_of(data, cut), &parts_len);
    if (parts_status == 0)
        parts_status = head_scan(&parts, span_of(data, size), &parts_len);
    INVARIANT(status == parts_status && (status != 200 || len == parts_len));
    if (status != 200)
        return 0;
    copy = malloc(len);
    memcpy(copy, data, len);
    if (head_parse(copy + whole.first, len - whole.first, &head) == 0) {
        check_request(&head.request);
        if (head.body == HEAD_BODY_CHUNKED)
            check_chunked(copy + whole.first, len - whole.first, span_of(data + len, size - len));
    }
    free(copy);
    return 0;
}
