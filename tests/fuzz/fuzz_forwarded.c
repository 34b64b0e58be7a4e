/* fuzz_forwarded.c: X-Forwarded-For and address lists. Whatever comes in, a stranger stays himself.
 */
#include "http/forwarded.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct addr stranger = {{[10] = 0xFF, [11] = 0xFF, [12] = 203, [14] = 113, [15] = 9}};
    struct addr proxy = {{[10] = 0xFF, [11] = 0xFF, [12] = 10, [15] = 1}};
    struct span fields[2] = {span_of(data, size / 2), span_of(data + size / 2, size - size / 2)};
    struct cidr_list trusted, list;
    struct forwarded out;
    struct span bad;
    char text[CIDR_TEXT_MAX];

    INVARIANT(cidr_list_parse(span_str("10.0.0.0/24"), &trusted, NULL) == OK);
    forwarded_read(&stranger, false, fields, 2, fields[0], &trusted, &out);
    INVARIANT(addr_equal(&out.client, &stranger) && !out.https);
    forwarded_read(&proxy, true, fields, 2, fields[1], &trusted, &out);
    addr_format(&out.client, text);
    if (cidr_list_parse(span_of(data, size), &list, &bad) != OK)
        return 0;
    for (uint32_t i = 0; i < list.count; i++) {
        struct cidr again;
        size_t n = cidr_format(&list.items[i], text);

        INVARIANT(cidr_parse(span_of(text, n), &again) == OK && again.bits == list.items[i].bits);
        INVARIANT(cidr_match(&again, &list.items[i].addr));
    }
    return 0;
}
