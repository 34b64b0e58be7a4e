/* fuzz_config.c: configuration files; what is taken can be shown, and what is not has a reason. */
#include "core/config.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config config;
    struct config_error error = {{0}};
    static FILE *null;

    if (null == NULL && (null = fopen("/dev/null", "w")) == NULL)
        return 0;
    config_init(&config);
    if (config_text(&config, "fuzz.conf", span_of(data, size), &error) != OK) {
        INVARIANT(error.text[0] != '\0');
        return 0;
    }
    config_show(&config, null);
    if (config_check(&config, &error) != OK)
        INVARIANT(error.text[0] != '\0');
    return 0;
}
