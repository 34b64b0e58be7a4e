/* secretfile.h: a secret from a file or standard input ("-"), never from argv. */
#ifndef TOOLS_GATEHOUSE_SECRETFILE_H
#define TOOLS_GATEHOUSE_SECRETFILE_H

#include "core/err.h"
#include "core/span.h"

#define SECRET_FILE_MAX 1024

struct secret_text {
    struct span text; /* without the line's end */
    char *memory;     /* sodium_malloc */
};

/* One line. `why` names the file and the reason. */
MUST_USE enum err secret_read(const char *path, struct secret_text *out, char *why, size_t why_len);
void secret_free(struct secret_text *secret);

#endif
