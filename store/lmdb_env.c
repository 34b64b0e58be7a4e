/* lmdb_env.c: opening an LMDB environment. Its map is opened at its final size and never resized.
 * Main thread. */
#include "store/lmdb_env.h"

#include <errno.h>

#define READERS_MAX 510 /* loops, projector, historian, and the readers of `audit verify` */

enum err
lmdb_env_err(int rc)
{
    switch (rc) {
    case MDB_SUCCESS: return OK;
    case MDB_NOTFOUND: return ERR_NOT_FOUND;
    case MDB_KEYEXIST: return ERR_EXISTS;
    case MDB_MAP_FULL:
    case ENOSPC: return ERR_FULL;
    case MDB_READERS_FULL: return ERR_LIMIT;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH: return ERR_MISMATCH;
    case ENOMEM: return ERR_MEMORY;
    case EACCES: return ERR_DENIED;
    default: return ERR_IO;
    }
}

static const char *
remedy(int rc)
{
    switch (rc) {
    case MDB_INVALID:
    case MDB_CORRUPTED:
    case MDB_VERSION_MISMATCH: return "the file is damaged: restore it from a backup";
    case ENOMEM:
        return "too little address space for the map: raise `ulimit -v`, or set a smaller map size";
    case EACCES: return "check owner and modes of the state folder";
    default: return "check the disk";
    }
}

enum err
lmdb_env_open(
    const char *path, const struct lmdb_env_options *options, MDB_env **out, struct complaint *why)
{
    MDB_env *env;
    int dead;
    int rc = mdb_env_create(&env);

    if (rc != 0)
        return lmdb_env_err(rc);
    if ((rc = mdb_env_set_mapsize(env, options->map_bytes)) != 0 ||
        (rc = mdb_env_set_maxdbs(env, options->tables)) != 0 ||
        (rc = mdb_env_set_maxreaders(env, READERS_MAX)) != 0)
        goto failed;
    if ((rc = mdb_env_open(env, path, options->flags | MDB_NOTLS, 0600)) != 0)
        goto failed;
    if ((rc = mdb_reader_check(env, &dead)) != 0)
        goto failed;
    *out = env;
    return OK;
failed:
    complain(why, "cannot open %s: %s; %s", path, mdb_strerror(rc), remedy(rc));
    mdb_env_close(env);
    return lmdb_env_err(rc);
}
