/* fuzz_statement.c: what decodes as a statement encodes to the same bytes, and as one purpose only.
 */
#include "core/statement.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t pk[32] = {1}, sig[64];
    struct span body = span_of(data, size);
    int purposes = 0;

    for (enum purpose p = PURPOSE_HELLO; p <= PURPOSE_CLOSE; p++) {
        uint8_t again[STATEMENT_BYTES_MAX];
        struct statement st;
        size_t len;

        INVARIANT(statement_verify(p, "gatehouse.example", body, span_of(sig, 64), pk) != OK);
        if (statement_decode(p, body, &st) != OK)
            continue;
        INVARIANT(statement_encode(&st, again, sizeof(again), &len) == OK);
        INVARIANT(span_equal(body, span_of(again, len)));
        purposes++;
    }
    INVARIANT(purposes <= 1);
    return 0;
}
