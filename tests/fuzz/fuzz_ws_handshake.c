/* fuzz_ws_handshake.c: WebSocket handshakes with hostile fields. What counts as one has a key of 16
 * bytes, version 13, and a list of protocols that can be walked. */
#include "http/head.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char before[] =
    "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t total = sizeof(before) - 1 + size, len;
    uint8_t *text = malloc(total);
    struct head_scan scan = {0};
    static struct head head;
    char accept[HEAD_ACCEPT_LEN + 1];

    memcpy(text, before, sizeof(before) - 1);
    memcpy(text + sizeof(before) - 1, data, size);
    if (head_scan(&scan, span_of(text, total), &len) == 200 && head_parse(text, len, &head) == 0) {
        struct http_list list = {.request = &head.request, .name = "sec-websocket-protocol"};
        const struct span *key = http_field(&head.request, "sec-websocket-key");
        struct span item;

        INVARIANT(head.request.wants_websocket && key != NULL && key->len == 24);
        INVARIANT(span_is(*http_field(&head.request, "sec-websocket-version"), "13"));
        INVARIANT(head.body == HEAD_BODY_NONE);
        head_accept(*key, accept);
        INVARIANT(strlen(accept) == HEAD_ACCEPT_LEN);
        while (http_list_next(&list, &item))
            INVARIANT(
                item.len > 0 && item.ptr[0] != ' ' && memchr(item.ptr, ',', item.len) == NULL);
    }
    free(text);
    return 0;
}
