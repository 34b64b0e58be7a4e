/* fuzz_checkpoint.c: checkpoint texts, and whole ones through the signature. A text without
 * extension lines has one form only: writing it again gives the same bytes. */
#include "core/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define VKEY "gatehouse.test+16e3b8bb+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of(data, size);
    char out[CHECKPOINT_BYTES_MAX];
    struct checkpoint head;
    struct note_key key;
    size_t len;

    INVARIANT(note_vkey_parse(span_str(VKEY), &key) == OK);
    if (checkpoint_parse(input, &head) == OK && head.extra.len == 0) {
        INVARIANT(
            checkpoint_format(head.origin, head.size, &head.root, out, sizeof(out), &len) == OK);
        INVARIANT(span_equal(span_of(out, len), input));
    }
    if (checkpoint_open(input, &key, 1, &head) == OK)
        INVARIANT(span_is(head.origin, "gatehouse.test"));
    return 0;
}
