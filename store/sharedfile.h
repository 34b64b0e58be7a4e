/* sharedfile.h: a small file of the state folder as memory that outlives the process: what is
 * stored in it is in the kernel's hands at once, so kill -9 takes nothing; a power cut may. Its
 * bytes are checked by whoever uses them. Opened and closed by the main thread. */
#ifndef STORE_SHAREDFILE_H
#define STORE_SHAREDFILE_H

#include "store/state.h"

struct sharedfile {
    void *memory; /* NULL: not open */
    size_t bytes;
};

/* Opens or makes STATE/name with `bytes` bytes, all of them on disk, so that no later store can
 * fail for lack of space; new bytes are zero. */
MUST_USE enum err sharedfile_open(const struct state *st, const char *name, size_t bytes,
    struct sharedfile *out, struct complaint *why);
/* Synced: what was stored is there after a power cut, too. */
void sharedfile_close(struct sharedfile *f);

#endif
