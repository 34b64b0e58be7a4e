/* keychain.c: key events -> keys in force. Main thread, at start. */
#include "store/keychain.h"

struct walk {
    const struct state *st;
    struct loglmdb *log;
    struct keychain *out;
    uint8_t record[RECORD_BYTES_MAX];
    struct event ev;
    uint64_t bad_seq;
    enum err err;
};

static enum err
add_log_key(struct keychain *k, const char *origin, const uint8_t pk[32])
{
    struct note_key *keys = reallocarray(k->log, k->log_count + 1, sizeof(*keys));

    if (keys == NULL)
        return ERR_MEMORY;
    k->log = keys;
    return note_key_make(span_str(origin), pk, &keys[k->log_count++]);
}

static enum err
take_opened(struct walk *w)
{
    struct keys_in_force *now = &w->out->now;

    if (!fields_fixed(&w->ev.data, FIELD_ROOT_KEY, now->root_pk, 32) ||
        !fields_fixed(&w->ev.data, FIELD_LOG_KEY, now->log_pk, 32) ||
        !fields_fixed(&w->ev.data, FIELD_EVENT_KEY, now->event_pk, 32))
        return ERR_MALFORMED;
    now->log_epoch = now->event_epoch = 1;
    return add_log_key(w->out, w->st->origin, now->log_pk);
}

static enum err
take_rotated(struct walk *w)
{
    struct keys_in_force *now = &w->out->now;
    struct span role = fields_span(&w->ev.data, FIELD_KEY_ROLE);
    uint64_t epoch = fields_u64(&w->ev.data, FIELD_EPOCH);
    bool log = span_is(role, key_role_name(KEY_LOG));

    if (!log && !span_is(role, key_role_name(KEY_EVENT)))
        return ERR_MALFORMED;
    if (!fields_fixed(&w->ev.data, FIELD_NEW_KEY, log ? now->log_pk : now->event_pk, 32) ||
        epoch != (log ? now->log_epoch : now->event_epoch) + UINT64_C(1))
        return ERR_MALFORMED;
    if (!log) {
        now->event_epoch = (uint32_t)epoch;
        return OK;
    }
    now->log_epoch = (uint32_t)epoch;
    return add_log_key(w->out, w->st->origin, now->log_pk);
}

static enum err
take(struct walk *w, uint64_t seq)
{
    struct id origin = event_origin_id(w->st->origin);
    struct span body, sig;
    size_t len;
    enum err err = loglmdb_record(w->log, seq, w->record, sizeof(w->record), &len);

    if (err != OK || (err = event_split(span_of(w->record, len), &body, &sig)) != OK ||
        (err = event_decode(body, &w->ev)) != OK)
        return err;
    if (!id_equal(&w->ev.origin_id, &origin))
        return ERR_MISMATCH;
    if ((w->ev.type == EV_LOG_OPENED) != (seq == 0))
        return ERR_MALFORMED;
    return seq == 0 ? take_opened(w) : take_rotated(w);
}

static bool
each(void *arg, uint64_t seq)
{
    struct walk *w = arg;

    w->bad_seq = seq;
    w->err = take(w, seq);
    return w->err == OK;
}

static enum err
check_root(const struct walk *w, struct complaint *why)
{
    struct note_key root;
    enum err err = keys_root_public(w->st, &root, why);

    if (err == OK && memcmp(root.public_key, w->out->now.root_pk, 32) != 0) {
        complain(why,
            "the log in %s was opened under another root key than keys/root.pub: log and keys are "
            "not of one backup",
            w->st->path);
        err = ERR_MISMATCH;
    }
    return err;
}

enum err
keychain_read(
    const struct state *st, struct loglmdb *log, struct keychain *out, struct complaint *why)
{
    struct walk *w = calloc(1, sizeof(*w));
    enum err err;

    memset(out, 0, sizeof(*out));
    if (w == NULL)
        return ERR_MEMORY;
    *w = (struct walk){.st = st, .log = log, .out = out, .err = ERR_NOT_FOUND};
    err = loglmdb_key_events(log, each, w);
    if (err == OK)
        err = w->err;
    if (err == ERR_NOT_FOUND)
        complain(why,
            "the log in %s has no first event: its init did not finish; start again on an "
            "empty folder, or restore a backup",
            st->path);
    else if (err != OK)
        complain(why,
            "event %llu of %s does not name keys as it should (%s): run `gatehouse audit verify`, "
            "and restore a backup",
            (unsigned long long)w->bad_seq, st->path, err_name(err));
    else
        err = check_root(w, why);
    if (err != OK)
        keychain_fini(out);
    free(w);
    return err;
}

void
keychain_fini(struct keychain *k)
{
    free(k->log);
    k->log = NULL;
    k->log_count = 0;
}
