/* store_fixture.h: a whole store in a scratch folder, and events to put in it. Real parts: the
 * product's journal, log, keystore and keys. No cmocka here, so that the durability drivers can use
 * it too: what must hold is an INVARIANT. */
#ifndef TESTS_STORE_FIXTURE_H
#define TESTS_STORE_FIXTURE_H

#include <dirent.h>
#include <ftw.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/journal.h"
#include "store/keychain.h"

#define FIXTURE_ORIGIN "gatehouse.test"

struct fixture {
    char dir[256];
    struct state state;
    struct loglmdb *log;
    struct keystore *keystore;
    struct keys keys;
    struct keychain chain;
    struct journal *journal;
    struct journal_port port;
    struct journal_config config; /* listeners may be set before fixture_start */
    struct hash prev;             /* of the next event */
    uint64_t next_seq;
    int64_t eff_us;
    uint64_t map_bytes; /* of the log; 0: the default */
    bool doctor;        /* opens also after a fail-stop */
    struct complaint why;
};

#define FIXTURE_OK(f, call)                                                                        \
    do {                                                                                           \
        enum err fixture_err_ = (call);                                                            \
        if (fixture_err_ != OK) {                                                                  \
            fprintf(stderr, "%s: %s: %s\n", #call, err_name(fixture_err_), (f)->why.text);         \
            INVARIANT(fixture_err_ == OK);                                                         \
        }                                                                                          \
    } while (0)

static inline int
fixture_unlink(const char *path, const struct stat *sb, int type, struct FTW *ftw)
{
    (void)sb;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void
fixture_remove(const char *dir)
{
    nftw(dir, fixture_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void
fixture_dir(char *out, size_t cap)
{
    const char *tmp = getenv("TMPDIR");

    snprintf(out, cap, "%s/gatehouse-test-XXXXXX", tmp != NULL ? tmp : "/tmp");
    INVARIANT(mkdtemp(out) != NULL);
}

/* A body with `data`, chained behind the last one. Returns its length. */
static inline size_t
fixture_body(struct fixture *f, enum event_type type, const struct fields *data, uint8_t *out)
{
    static struct event ev;
    size_t len;
    enum err err;

    memset(&ev, 0, sizeof(ev));
    ev.seq = f->next_seq++;
    ev.origin_id = event_origin_id(f->state.origin);
    ev.prev = f->prev;
    ev.key_epoch = f->keys.event.epoch;
    ev.wall_us = ev.eff_us = ++f->eff_us;
    ev.type = type;
    ev.v = 1;
    randombytes_buf(ev.id.b, sizeof(ev.id.b));
    ev.actor.kind = ACTOR_SERVER;
    if (data != NULL)
        ev.data = *data;
    err = event_encode(&ev, out, RECORD_BYTES_MAX, &len);
    INVARIANT(err == OK);
    event_prev(span_of(out, len), &f->prev);
    return len;
}

static inline void
fixture_add(struct fixture *f, struct batch *b, enum event_type type, const struct fields *data)
{
    static uint8_t body[RECORD_BYTES_MAX];
    size_t len = fixture_body(f, type, data, body);

    FIXTURE_OK(f, batch_add(b, span_of(body, len)));
}

static inline struct batch *
fixture_batch(struct fixture *f)
{
    struct batch *b = batch_new(f->next_seq, f->keys.event.epoch);

    INVARIANT(b != NULL);
    return b;
}

static inline void
fixture_submit(struct fixture *f, struct batch *b)
{
    while (!f->port.submit(f->port.ctx, b))
        usleep(50);
}

static inline void
fixture_wait(struct fixture *f)
{
    while (journal_durable(f->journal) < f->next_seq || journal_under_way(f->journal) > 0)
        usleep(50);
}

/* `count` events of some payload, in one batch. */
static inline void
fixture_append(struct fixture *f, uint32_t count, size_t payload)
{
    struct batch *b = fixture_batch(f);
    static uint8_t filler[RECORD_BYTES_MAX];

    for (uint32_t i = 0; i < count; i++) {
        struct fields data = {0};

        randombytes_buf(filler, payload);
        fields_add_u64(&data, FIELD_COUNT, f->next_seq);
        fields_add_span(&data, FIELD_POLICY_BYTES, span_of(filler, payload));
        fixture_add(f, b, EV_HEARTBEAT, &data);
    }
    fixture_submit(f, b);
}

static inline void
fixture_rotate(struct fixture *f, enum key_role role)
{
    struct keys_rotation r;
    struct fields data = {0};
    struct batch *b = fixture_batch(f);

    FIXTURE_OK(f, journal_rotate(f->journal, role, &r, &f->why));
    fields_add_span(&data, FIELD_KEY_ROLE, span_str(key_role_name(role)));
    fields_add_u64(&data, FIELD_EPOCH, r.epoch);
    fields_add_span(&data, FIELD_NEW_KEY, span_of(r.new_pk, 32));
    fields_add_span(&data, FIELD_POSSESSION_SIG, span_of(r.possession_sig, 64));
    fields_add_span(&data, FIELD_OTHER_SIG, span_of(r.other_sig, 64));
    fixture_add(f, b, EV_KEY_ROTATED, &data);
    b->rotates = true;
    fixture_submit(f, b);
    fixture_wait(f);
}

static inline void
fixture_journal(struct fixture *f)
{
    f->config.state = &f->state;
    f->config.log = f->log;
    f->config.keystore = f->keystore;
    f->config.keys = &f->keys;
    FIXTURE_OK(f, journal_start(&f->config, &f->journal, &f->why));
    journal_port(f->journal, &f->port);
}

/* What `gatehouse init` does, as far as the store is concerned. f->dir is empty or set. */
static inline void
fixture_create(struct fixture *f)
{
    struct loglmdb_options options = {.create = true, .map_bytes = f->map_bytes};
    struct keys_opening opening;
    struct fields data = {0};
    struct batch *b;

    if (f->dir[0] == '\0')
        fixture_dir(f->dir, sizeof(f->dir));
    f->eff_us = 1700000000000000;
    FIXTURE_OK(f, state_create(f->dir, FIXTURE_ORIGIN, &f->state, &f->why));
    FIXTURE_OK(f, keys_create(&f->state, &f->keys, &opening, &f->why));
    FIXTURE_OK(f, keystore_open(&f->state, &f->keystore, &f->why));
    FIXTURE_OK(f, loglmdb_open(&f->state, &options, &f->log, &f->why));
    fixture_journal(f);
    b = fixture_batch(f);
    fields_add_span(&data, FIELD_ROOT_KEY, span_of(opening.root_pk, 32));
    fields_add_span(&data, FIELD_LOG_KEY, span_of(opening.log_pk, 32));
    fields_add_span(&data, FIELD_EVENT_KEY, span_of(opening.event_pk, 32));
    fields_add_span(&data, FIELD_ROOT_SIG, span_of(opening.root_sig, 64));
    fields_add_span(&data, FIELD_ORIGIN, span_str(FIXTURE_ORIGIN));
    fixture_add(f, b, EV_LOG_OPENED, &data);
    fixture_submit(f, b);
    fixture_wait(f);
    FIXTURE_OK(f, state_create_done(&f->state, &f->why));
}

/* Where the chain goes on. */
static inline void
fixture_resume(struct fixture *f)
{
    static uint8_t record[RECORD_BYTES_MAX];
    static struct event ev;
    struct span body, sig;
    size_t len;

    f->next_seq = loglmdb_size(f->log);
    FIXTURE_OK(f, loglmdb_record(f->log, f->next_seq - 1, record, sizeof(record), &len));
    FIXTURE_OK(f, event_split(span_of(record, len), &body, &sig));
    FIXTURE_OK(f, event_decode(body, &ev));
    event_prev(body, &f->prev);
    f->eff_us = ev.eff_us;
}

/* What `gatehouse serve` does, up to the journal. */
static inline void
fixture_open_store(struct fixture *f)
{
    struct state_options exclusive = {.exclusive = true, .doctor = f->doctor};
    struct loglmdb_options options = {.map_bytes = f->map_bytes};

    FIXTURE_OK(f, state_open(f->dir, &exclusive, &f->state, &f->why));
    FIXTURE_OK(f, loglmdb_open(&f->state, &options, &f->log, &f->why));
    FIXTURE_OK(f, keychain_read(&f->state, f->log, &f->chain, &f->why));
    FIXTURE_OK(f, keys_load(&f->state, &f->chain.now, &f->keys, &f->why));
    FIXTURE_OK(f, keystore_open(&f->state, &f->keystore, &f->why));
    fixture_resume(f);
}

static inline void
fixture_open(struct fixture *f)
{
    fixture_open_store(f);
    fixture_journal(f);
}

static inline void
fixture_close(struct fixture *f)
{
    journal_stop(f->journal);
    loglmdb_close(f->log);
    keystore_close(f->keystore);
    keys_close(&f->keys);
    keychain_fini(&f->chain);
    state_close(&f->state);
    f->journal = NULL;
    f->log = NULL;
    f->keystore = NULL;
}

#endif
