/* fuzz_filter.c: any filter is refused by name or matches within bounds. */
#include "core/filter.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
facts(const void *ctx, unsigned field, unsigned index, struct filter_value *out)
{
    const struct span *text = ctx;

    (void)field;
    if (index > 1)
        return false;
    *out = (struct filter_value){.word = *text, .flag = index == 0, .age_us = index * 1000000u};
    return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_of(data, size);
    struct filter filter;
    struct filter_error error = {{0}, {0}};

    if (filter_parse(text, &filter_machines, &filter, &error) != OK) {
        INVARIANT(error.reason[0] != '\0');
        return 0;
    }
    INVARIANT(filter.count <= FILTER_TERMS_MAX);
    filter_match(&filter, facts, &text);
    return 0;
}
