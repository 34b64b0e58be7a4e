/* state.h: the state folder: what is in it, who may touch it, and that one server only has it.
 *
 *   STATE/            0700, owned by the user that runs the server
 *     format          "gatehouse-state 1": written last by init
 *     origin          the log's name
 *     lock            held (flock) by whoever writes; holds the pid, for the message
 *     failed          there after a fail-stop, with the reason; `gatehouse doctor` takes it away
 *     keys/           root.key, root.pub, log.EPOCH.key, event.EPOCH.key
 *     keystore        verifiers and subject keys, in slots
 *     log/            LMDB: records, tiles, frontier, checkpoint
 *     views/          LMDB: query views, derived; views.marker beside it
 *     refusals        counts of refused attempts that are not in the log yet
 *     anchor/         checkpoint, unless --anchor-dir says where
 *
 * Files are 0600. Every refusal comes with a complaint that names the remedy. */
#ifndef STORE_STATE_H
#define STORE_STATE_H

#include <sys/types.h>

#include "core/err.h"
#include "core/limits.h"
#include "core/span.h"
#include "store/complaint.h"

#define STATE_FORMAT        1
#define STATE_PATH_BYTES    4096
#define STORE_EXIT_FAILSTOP 74 /* EX_IOERR: a write or sync failed; see STATE/failed */

struct state {
    char path[STATE_PATH_BYTES]; /* no slash at the end */
    char origin[ORIGIN_BYTES_MAX + 1];
    int dir_fd;
    int lock_fd; /* -1: opened for reading */
};

/* [a-z0-9.-]+, at most ORIGIN_BYTES_MAX, with an optional /N (2 and up) of a successor. */
bool state_origin_valid(struct span origin);

/* Makes the folder (or takes an empty one) and locks it. The format file is written by
 * state_create_done, so that an interrupted init is seen as such. ERR_EXISTS: not empty. */
MUST_USE enum err state_create(
    const char *path, const char *origin, struct state *out, struct complaint *why);
MUST_USE enum err state_create_done(struct state *st, struct complaint *why);

/* Checks format, owner and modes. `exclusive` takes the lock (ERR_EXISTS names the other pid) and
 * refuses (ERR_CLOSED) while STATE/failed is there, unless `doctor`.
 * ERR_NOT_FOUND: no state folder. ERR_MISMATCH: another format. ERR_DENIED: owner or mode. */
struct state_options {
    bool exclusive;
    bool doctor;
};
MUST_USE enum err state_open(const char *path, const struct state_options *options,
    struct state *out, struct complaint *why);
void state_close(struct state *st);

/* PATH/name. INVARIANT that it fits: state_open made sure there is room. */
void state_path(const struct state *st, const char *name, char out[STATE_PATH_BYTES]);

/* After a fail-stop. state_failure: ERR_NOT_FOUND when there was none. */
MUST_USE enum err state_failure(const struct state *st, char *text, size_t cap);
MUST_USE enum err state_failure_clear(struct state *st, struct complaint *why);

/* Prints one line on stderr, leaves STATE/failed, and ends the process with STORE_EXIT_FAILSTOP:
 * nothing is acknowledged after it. `error` is an errno or an LMDB code's text. Any thread. */
_Noreturn void state_failstop(
    const struct state *st, const char *what, const char *error, const char *remedy);

/* Bytes free for this user on the log's file system. */
MUST_USE enum err state_free_bytes(const struct state *st, uint64_t *out);

/* Files of the folder. state_file_open: O_NOFOLLOW, regular, owner and mode checked.
 * state_file_write: temp + sync + rename + sync folder, mode 0600. state_file_wipe: overwrite +
 * sync + unlink + sync folder. `name` is relative to the folder and may have one '/'. */
MUST_USE enum err state_file_open(
    const struct state *st, const char *name, int flags, int *fd, struct complaint *why);
MUST_USE enum err state_file_read(const struct state *st, const char *name, uint8_t *out,
    size_t cap, size_t *len, struct complaint *why);
MUST_USE enum err state_file_write(
    const struct state *st, const char *name, struct span bytes, struct complaint *why);
MUST_USE enum err state_file_wipe(const struct state *st, const char *name, struct complaint *why);
/* Makes names in a folder of the state folder durable ("." is itself). False: errno tells. */
MUST_USE bool state_sync_folder(const struct state *st, const char *folder);

/* The kernel's boot id (36 characters and NUL), which tells a restart of the process from one of
 * the machine. */
#define BOOT_ID_BYTES 37
MUST_USE enum err state_kernel_boot(char out[BOOT_ID_BYTES]);

#endif
