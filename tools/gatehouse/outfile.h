/* outfile.h: a file that is there whole, or not at all: written beside its name, synced, and only
 * then given the name, which nothing may have yet. "-" is standard output. One thread. */
#ifndef TOOLS_GATEHOUSE_OUTFILE_H
#define TOOLS_GATEHOUSE_OUTFILE_H

#include <limits.h>

#include "core/err.h"
#include "core/span.h"

#define OUTFILE_BUFFER (256 * 1024)

struct outfile {
    int fd;
    bool to_stdout;
    char path[PATH_MAX], temp[PATH_MAX + 32];
    size_t len;
    uint8_t buffer[OUTFILE_BUFFER];
    char why[PATH_MAX + 200]; /* of the last failure, for people */
};

/* ERR_EXISTS: there is something of that name. Mode 0600. */
MUST_USE enum err outfile_open(struct outfile *f, const char *path);
MUST_USE enum err outfile_write(struct outfile *f, struct span bytes);
/* Syncs file and folder. */
MUST_USE enum err outfile_done(struct outfile *f);
/* Takes away what was not done. */
void outfile_drop(struct outfile *f);

#endif
