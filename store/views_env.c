/* views_env.c: the environment of the views on disk. Never syncs while it runs, so it never trusts
 * what it finds: a marker beside it, synced before the first write, says whether the files were
 * closed cleanly, in which boot of the kernel, and under which schema. Main thread. */
#include <errno.h>
#include <unistd.h>

#include "core/ascii.h"
#include "store/views_impl.h"

#define MARKER        "views.marker"
#define MARKER_PREFIX "gatehouse-views-1 "
#define META_POSITION "position"
#define POSITION_LEN  (8 + HASH_BYTES)

static const char *const table_names[TABLE_COUNT] = {
    [TABLE_USERS] = "users",
    [TABLE_MACHINES] = "machines",
    [TABLE_CODES] = "codes",
    [TABLE_KEYS] = "keys",
    [TABLE_INVITES] = "invites",
    [TABLE_FAMILIES] = "families",
    [TABLE_SESSIONS] = "sessions",
    [TABLE_CHANNELS] = "channels",
    [TABLE_ALERTS] = "alerts",
    [TABLE_BY_TYPE] = "by_type",
    [TABLE_BY_USER] = "by_user",
    [TABLE_BY_ADDRESS] = "by_address",
    [TABLE_BY_MACHINE] = "by_machine",
    [TABLE_BY_SESSION] = "by_session",
    [TABLE_BY_TIME] = "by_time",
    [TABLE_MINUTES] = "minutes",
    [TABLE_LOOKUP] = "lookup",
};

static size_t
marker_text(const struct views *v, bool clean, char out[128])
{
    int n = snprintf(out, 128, MARKER_PREFIX "%s %u %s\n", v->boot, (unsigned)v->config.fold.schema,
        clean ? "clean" : "open");

    INVARIANT(n > 0 && n < 128);
    return (size_t)n;
}

/* Clean, whatever the boot; or left open in this boot: then the page cache has it all. */
static bool
marker_usable(struct views *v)
{
    char expected[128];
    uint8_t found[128];
    size_t len, expected_len;

    if (state_file_read(v->config.state, MARKER, found, sizeof(found), &len, NULL) != OK)
        return false;
    expected_len = marker_text(v, false, expected);
    if (v->boot[0] != '?' && span_equal(span_of(found, len), span_of(expected, expected_len)))
        return true;
    /* The boot id of a clean one does not matter: cut it out of both. */
    expected_len = marker_text(v, true, expected);
    if (len != expected_len || len < strlen(MARKER_PREFIX) + BOOT_ID_BYTES)
        return false;
    memcpy(found + strlen(MARKER_PREFIX), v->boot, BOOT_ID_BYTES - 1);
    return span_equal(span_of(found, len), span_of(expected, expected_len));
}

static enum err
marker_write(struct views *v, bool clean, struct complaint *why)
{
    char text[128];
    size_t len = marker_text(v, clean, text);

    return state_file_write(v->config.state, MARKER, span_of(text, len), why);
}

static enum err
throw_away(struct views *v, struct complaint *why)
{
    static const char *const files[] = {"data.mdb", "lock.mdb"};

    for (size_t i = 0; i < 2; i++) {
        char path[STATE_PATH_BYTES + 16];

        snprintf(path, sizeof(path), "%s/%s", v->path, files[i]);
        if (unlink(path) != 0 && errno != ENOENT) {
            complain(why, "cannot remove %s: %s; remove the folder's contents by hand", path,
                strerror(errno));
            return ERR_IO;
        }
    }
    v->health.rebuilt = true;
    return OK;
}

static enum err
open_tables(struct views *v, struct complaint *why)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(v->env, NULL, 0, &txn);

    for (unsigned t = 0; t < TABLE_COUNT && rc == 0; t++)
        rc = mdb_dbi_open(txn, table_names[t], MDB_CREATE, &v->table[t]);
    if (rc == 0)
        rc = mdb_dbi_open(txn, "meta", MDB_CREATE, &v->meta);
    if (rc == 0)
        rc = mdb_txn_commit(txn);
    else if (txn != NULL)
        mdb_txn_abort(txn);
    if (rc != 0)
        complain(why, "cannot open the tables of %s: %s", v->path, mdb_strerror(rc));
    return lmdb_env_err(rc);
}

static enum err
open_env(struct views *v, struct complaint *why)
{
    struct lmdb_env_options options = {
        .flags = MDB_NOSYNC,
        .map_bytes = v->config.map_bytes != 0 ? v->config.map_bytes : VIEWS_MAP_BYTES,
        .tables = TABLE_COUNT + 1,
    };
    enum err err = lmdb_env_open(v->path, &options, &v->env, why);

    return err == OK ? open_tables(v, why) : err;
}

enum err
views_env_position(struct views *v, uint64_t *position, struct hash *leaf)
{
    MDB_val key = lmdb_val(META_POSITION, strlen(META_POSITION)), value;
    MDB_txn *txn;
    enum err err = lmdb_env_err(mdb_txn_begin(v->env, NULL, MDB_RDONLY, &txn));

    if (err != OK)
        return err;
    *position = 0;
    err = lmdb_env_err(mdb_get(txn, v->meta, &key, &value));
    if (err == OK && value.mv_size != POSITION_LEN)
        err = ERR_MALFORMED;
    if (err == OK) {
        *position = lmdb_u64(value.mv_data);
        memcpy(leaf->b, (const uint8_t *)value.mv_data + 8, HASH_BYTES);
    }
    mdb_txn_abort(txn);
    return err == ERR_NOT_FOUND ? OK : err;
}

enum err
views_env_put_position(struct views *v, MDB_txn *txn, uint64_t position, const struct hash *leaf)
{
    uint8_t bytes[POSITION_LEN];
    MDB_val key = lmdb_val(META_POSITION, strlen(META_POSITION));
    MDB_val value = lmdb_val(bytes, sizeof(bytes));

    lmdb_be64(position, bytes);
    memcpy(bytes + 8, leaf->b, HASH_BYTES);
    return lmdb_env_err(mdb_put(txn, v->meta, &key, &value, 0));
}

static bool
take_leaf(void *arg, uint64_t seq, struct span record)
{
    (void)seq;
    event_leaf(record, arg);
    return false;
}

/* Were the views made from this log? */
static bool
position_fits(struct views *v)
{
    struct hash stored = {{0}}, leaf = {{0}};
    uint64_t position, next;

    if (views_env_position(v, &position, &stored) != OK)
        return false;
    if (position == 0)
        return true;
    if (position > v->config.log.size(v->config.log.ctx))
        return false;
    if (v->config.log.read(v->config.log.ctx, position - 1, 1, take_leaf, &leaf, &next) != OK)
        return false;
    return hash_equal(&stored, &leaf);
}

enum err
views_env_open(struct views *v, struct complaint *why)
{
    bool usable;
    enum err err;

    if (state_kernel_boot(v->boot) != OK) /* then only a clean close is believed */
        snprintf(v->boot, sizeof(v->boot), "?%035d", 0);
    usable = marker_usable(v);
    if (!usable && (err = throw_away(v, why)) != OK)
        return err;
    if ((err = marker_write(v, false, why)) != OK)
        return err;
    err = open_env(v, why);
    if (err == OK && position_fits(v))
        return OK;
    if (err != OK && err != ERR_MISMATCH)
        return err;
    if (v->env != NULL)
        mdb_env_close(v->env);
    v->env = NULL;
    if ((err = throw_away(v, why)) != OK)
        return err;
    return open_env(v, why);
}

void
views_env_close(struct views *v, bool clean)
{
    if (v->env == NULL)
        return;
    if (clean && mdb_env_sync(v->env, 1) != 0)
        clean = false; /* then the next start finds it open, and decides by the boot id */
    mdb_env_close(v->env);
    v->env = NULL;
    if (clean)
        (void)!marker_write(v, true, NULL);
}
