/* fuzz_ws_frame.c: frame headers, close payloads and UTF-8 from hostile bytes. What is accepted
 * must be what wsframe_write would write: there is one form for each header. */
#include "http/wsframe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t again[WSFRAME_HEADER_MAX];
    struct wsframe frame;
    struct span reason;
    uint32_t whole = 0, parts = 0;
    uint16_t code;
    bool valid, valid_parts;

    if (wsframe_parse(span_of(data, size), &frame) == OK) {
        size_t len = wsframe_write(
            again, frame.fin, frame.opcode, frame.payload_len, frame.masked ? frame.mask : NULL);

        INVARIANT(len == frame.header_len && len <= size && memcmp(again, data, len) == 0);
    }
    if (wsframe_close_parse(span_of(data, size), &code, &reason) == OK)
        INVARIANT(size == 0 || (code >= 1000 && code <= 4999 && reason.len == size - 2));
    valid = wsframe_utf8(&whole, span_of(data, size));
    valid_parts = wsframe_utf8(&parts, span_of(data, size / 2)) &&
                  wsframe_utf8(&parts, span_of(data + size / 2, size - size / 2));
    INVARIANT(valid == valid_parts && (!valid || whole == parts));
    return 0;
}
