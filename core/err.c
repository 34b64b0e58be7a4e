/* err.c: names of errors. Pure; any thread. */
#include "core/err.h"

const char *
err_name(enum err err)
{
    static const char *const names[] = {
        [OK] = "ok",
        [ERR_SHORT] = "short",
        [ERR_MALFORMED] = "malformed",
        [ERR_LIMIT] = "over the limit",
        [ERR_NOT_FOUND] = "not found",
        [ERR_EXISTS] = "exists",
        [ERR_MISMATCH] = "mismatch",
        [ERR_MEMORY] = "out of memory",
        [ERR_IO] = "i/o error",
        [ERR_FULL] = "full",
        [ERR_CLOSED] = "closed",
        [ERR_TIMEOUT] = "timed out",
        [ERR_DENIED] = "denied",
    };

    return (size_t)err < sizeof(names) / sizeof(names[0]) ? names[err] : "unknown";
}
