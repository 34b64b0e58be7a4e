/* fuzz_record.c: a body that decodes encodes again, and what comes out decodes to the same event.
 */
#include "core/event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t again[RECORD_BYTES_MAX];
    struct event ev, back;
    struct span body, sig;
    size_t len;

    (void)!event_split(span_of(data, size), &body, &sig);
    if (event_decode(span_of(data, size), &ev) != OK)
        return 0;
    INVARIANT(ev.data.count <= EVENT_FIELDS_MAX && ev.sealed_count <= SEALED_MAX);
    INVARIANT(event_encode(&ev, again, sizeof(again), &len) == OK);
    INVARIANT(event_decode(span_of(again, len), &back) == OK);
    INVARIANT(back.seq == ev.seq && back.type == ev.type && back.data.count == ev.data.count);
    return 0;
}
