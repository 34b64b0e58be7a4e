/* fuzz_msgpack.c: whatever the scan accepts, msgpack-c must unpack to the same length and pack back
 * to the same bytes (our canonical form is its shortest form), and the reader must walk it. */
#include "core/pack.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wpedantic"
#include <msgpack.h>
#pragma GCC diagnostic pop

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r;
    msgpack_unpacked u;
    msgpack_sbuffer again;
    msgpack_packer pk;
    size_t off = 0;

    if (size > 4096)
        return 0;
    reader_init(&r, span_of(data, size));
    while (reader_ok(&r) && r.p < r.end)
        (void)reader_raw(&r);
    if (pack_scan(span_of(data, size)) != OK)
        return 0;
    msgpack_unpacked_init(&u);
    INVARIANT(msgpack_unpack_next(&u, (const char *)data, size, &off) == MSGPACK_UNPACK_SUCCESS);
    INVARIANT(off == size);
    msgpack_sbuffer_init(&again);
    msgpack_packer_init(&pk, &again, msgpack_sbuffer_write);
    INVARIANT(msgpack_pack_object(&pk, u.data) == 0);
    INVARIANT(again.size == size && memcmp(again.data, data, size) == 0);
    msgpack_sbuffer_destroy(&again);
    msgpack_unpacked_destroy(&u);
    return 0;
}
