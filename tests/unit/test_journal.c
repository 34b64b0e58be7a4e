/* test_journal.c: batches in, a signed log out; rotation; what must be on disk in which order.
 * threads: yes */
#include "tests/unit/store_fixture.h"

#include "core/proof.h"
#include "tests/unit/testing.h"

struct seen {
    struct fixture *f;
    uint64_t next;
    struct hash prev;
    struct frontier tree;
    uint32_t epoch_changes, epoch;
};

/* Every record: dense, chained, signed by the key that `keys` says. */
static bool
see(void *arg, uint64_t seq, struct span record)
{
    static struct event ev;
    struct seen *s = arg;
    struct span body, sig;
    struct hash leaf;

    assert_int_equal(seq, s->next++);
    assert_int_equal(event_split(record, &body, &sig), OK);
    assert_int_equal(event_decode(body, &ev), OK);
    assert_int_equal(ev.seq, seq);
    assert_true(hash_equal(&ev.prev, &s->prev));
    event_prev(body, &s->prev);
    event_leaf(record, &leaf);
    frontier_append(&s->tree, &leaf, 1, NULL, NULL);
    if (ev.key_epoch != s->epoch) {
        s->epoch = ev.key_epoch;
        s->epoch_changes++;
    }
    if (ev.key_epoch == s->f->keys.event.epoch)
        assert_int_equal(event_verify(s->f->state.origin, body, sig, s->f->keys.event.pk), OK);
    return true;
}

static void
check_log(struct fixture *f, uint64_t size)
{
    struct seen s = {.f = f};
    struct loglmdb_head head;
    struct checkpoint cp;
    struct note_key key;
    struct log_port port;
    struct hash root;
    uint64_t next;

    loglmdb_port(f->log, &port);
    assert_int_equal(port.size(port.ctx), size);
    assert_int_equal(port.read(port.ctx, 0, UINT32_MAX, see, &s, &next), OK);
    assert_int_equal(next, size);
    assert_int_equal(loglmdb_head(f->log, &head), OK);
    assert_int_equal(note_key_make(span_str(f->state.origin), f->keys.log.pk, &key), OK);
    assert_int_equal(checkpoint_open(span_of(head.checkpoint, head.len), &key, 1, &cp), OK);
    assert_int_equal(cp.size, size);
    frontier_root(&s.tree, &root);
    assert_true(hash_equal(&root, &cp.root));
    assert_int_equal(head.frontier.size, size);
}

static void
batches_become_a_log(void **state)
{
    struct fixture f = {0};

    (void)state;
    fixture_create(&f);
    for (uint32_t i = 1; i <= 40; i++)
        fixture_append(&f, i, i * 7);
    fixture_wait(&f);
    check_log(&f, 1 + 820);
    fixture_close(&f);
    /* and goes on after a restart, where proofs come out of the tiles */
    fixture_open(&f);
    fixture_append(&f, 300, 10);
    fixture_append(&f, 1, RECORD_BYTES_MAX - 400); /* as large as records get */
    fixture_wait(&f);
    check_log(&f, 821 + 301);
    for (uint64_t i = 0; i < 1122; i += 51) {
        uint8_t record[RECORD_BYTES_MAX];
        struct hash leaf, root;
        struct proof proof;
        struct loglmdb_head head;
        size_t len;

        assert_int_equal(loglmdb_record(f.log, i, record, sizeof(record), &len), OK);
        event_leaf(span_of(record, len), &leaf);
        assert_int_equal(loglmdb_head(f.log, &head), OK);
        frontier_root(&head.frontier, &root);
        assert_int_equal(proof_inclusion(loglmdb_tile_read, f.log, i, 1122, &proof), OK);
        assert_int_equal(
            proof_inclusion_verify(i, &leaf, 1122, &root, proof.path, proof.count), OK);
    }
    fixture_close(&f);
    fixture_remove(f.dir);
}

static bool
stop_at_third(void *arg, uint64_t seq, struct span record)
{
    (void)record;
    *(uint64_t *)arg = seq;
    return seq < 3;
}

static void
reading_stops_where_told(void **state)
{
    struct fixture f = {0};
    struct log_port port;
    uint64_t last = 0, next;
    uint8_t small[10];
    size_t len;

    (void)state;
    fixture_create(&f);
    fixture_append(&f, 20, 10);
    fixture_wait(&f);
    loglmdb_port(f.log, &port);
    assert_int_equal(port.read(port.ctx, 1, 100, stop_at_third, &last, &next), OK);
    assert_int_equal(last, 3);
    assert_int_equal(next, 4);
    last = 0;
    assert_int_equal(port.read(port.ctx, 1, 2, stop_at_third, &last, &next), OK);
    assert_int_equal(last, 2);
    assert_int_equal(next, 3);
    last = 99;
    assert_int_equal(port.read(port.ctx, 21, 5, stop_at_third, &last, &next), OK); /* at the end */
    assert_int_equal(port.read(port.ctx, 1000, 5, stop_at_third, &last, &next), OK);
    assert_int_equal(last, 99);
    assert_int_equal(loglmdb_record(f.log, 21, small, sizeof(small), &len), ERR_NOT_FOUND);
    assert_int_equal(loglmdb_record(f.log, 2, small, sizeof(small), &len), ERR_LIMIT);
    fixture_close(&f);
    fixture_remove(f.dir);
}

struct order {
    struct fixture *f;
    _Atomic uint64_t last;
    _Atomic bool wrong;
};

/* On the writer's thread: what is announced can be read, and the head covers it. */
static void
announced(void *ctx, uint64_t size)
{
    struct order *o = ctx;
    struct loglmdb_head head;
    uint8_t record[RECORD_BYTES_MAX];
    size_t len;

    if (o->f->log == NULL || size <= o->last)
        o->wrong = true;
    else if (loglmdb_record(o->f->log, size - 1, record, sizeof(record), &len) != OK ||
             loglmdb_record(o->f->log, size, record, sizeof(record), &len) == OK)
        o->wrong = true;
    else if (loglmdb_head(o->f->log, &head) != OK || head.frontier.size != size)
        o->wrong = true;
    o->last = size;
}

static void
what_is_announced_is_there(void **state)
{
    struct fixture f = {0};
    struct order o = {.f = &f};

    (void)state;
    f.config.listener_count = 1;
    f.config.listeners[0] = (struct durable_listener){&o, announced};
    fixture_create(&f);
    for (int i = 0; i < 60; i++)
        fixture_append(&f, 3, 20);
    fixture_close(&f); /* durable is told before the listeners are: let the last call end */
    assert_false(o.wrong);
    assert_int_equal(o.last, 181);
    fixture_remove(f.dir);
}

static void
at_most_two_batches_are_under_way(void **state)
{
    struct fixture f = {0};
    unsigned refused = 0;

    (void)state;
    fixture_create(&f);
    for (int i = 0; i < 200; i++) {
        struct batch *b = fixture_batch(&f);

        fixture_add(&f, b, EV_HEARTBEAT, NULL);
        while (!f.port.submit(f.port.ctx, b)) {
            refused++;
            usleep(20);
        }
        assert_true(journal_under_way(f.journal) <= 2);
    }
    assert_true(refused > 0);
    fixture_close(&f); /* finishes what was submitted */
    fixture_open(&f);
    check_log(&f, 201);
    fixture_close(&f);
    fixture_remove(f.dir);
}

static bool
exists(const struct fixture *f, const char *name)
{
    char path[STATE_PATH_BYTES];

    state_path(&f->state, name, path);
    return access(path, F_OK) == 0;
}

static void
keys_rotate(void **state)
{
    struct fixture f = {0};
    struct keys_rotation r;

    (void)state;
    fixture_create(&f);
    fixture_append(&f, 10, 10);
    fixture_wait(&f);
    fixture_rotate(&f, KEY_EVENT);
    assert_int_equal(f.keys.event.epoch, 2);
    assert_int_equal(journal_event_epoch(f.journal), 2);
    assert_int_equal(f.keys.log.epoch, 1);
    fixture_append(&f, 10, 10);
    fixture_wait(&f);
    check_log(&f, 22);
    fixture_rotate(&f, KEY_LOG);
    fixture_append(&f, 10, 10);
    fixture_wait(&f);
    check_log(&f, 33); /* the head is by the new key */
    fixture_rotate(&f, KEY_LOG);
    fixture_rotate(&f, KEY_EVENT);
    fixture_append(&f, 1, 10);
    /* one at a time; taken back, its secret is gone */
    assert_int_equal(journal_rotate(f.journal, KEY_LOG, &r, &f.why), OK);
    assert_true(exists(&f, "keys/log.4.key"));
    assert_int_equal(journal_rotate(f.journal, KEY_EVENT, &r, &f.why), ERR_EXISTS);
    assert_int_equal(journal_rotate_cancel(f.journal, &f.why), OK);
    assert_false(exists(&f, "keys/log.4.key"));
    /* one that never became durable is discarded at the next start */
    assert_int_equal(journal_rotate(f.journal, KEY_LOG, &r, &f.why), OK);
    fixture_close(&f);
    assert_true(exists(&f, "keys/log.4.key"));
    fixture_open(&f);
    check_log(&f, 36);
    assert_int_equal(f.chain.log_count, 3);
    assert_false(exists(&f, "keys/log.4.key"));
    assert_true(exists(&f, "keys/log.3.key") && exists(&f, "keys/event.3.key"));
    for (int epoch = 1; epoch <= 2; epoch++) {
        char name[64];

        snprintf(name, sizeof(name), "keys/log.%d.key", epoch);
        assert_false(exists(&f, name));
        snprintf(name, sizeof(name), "keys/event.%d.key", epoch);
        assert_false(exists(&f, name));
    }
    fixture_append(&f, 5, 10);
    fixture_wait(&f);
    check_log(&f, 41);
    fixture_close(&f);
    fixture_remove(f.dir);
}

static bool
count_secret(void *arg, const struct batch_secret *s)
{
    unsigned *counts = arg;

    counts[s->version]++;
    return true;
}

static void
secrets_come_before_and_go_after(void **state)
{
    struct fixture f = {0};
    struct batch_secret s = {.kind = SECRET_PASSWORD, .len = 5, .bytes = "hush1", .version = 1};
    unsigned counts[4] = {0};
    struct batch *b;

    (void)state;
    fixture_create(&f);
    b = fixture_batch(&f);
    fixture_add(&f, b, EV_HEARTBEAT, NULL);
    assert_int_equal(batch_add_secret(b, &s), OK);
    fixture_submit(&f, b);
    b = fixture_batch(&f);
    fixture_add(&f, b, EV_HEARTBEAT, NULL);
    s.version = 2;
    assert_int_equal(batch_add_secret(b, &s), OK);
    s.version = 1;
    s.drop = true;
    assert_int_equal(batch_add_secret(b, &s), OK);
    fixture_submit(&f, b);
    fixture_wait(&f);
    fixture_close(&f);
    fixture_open(&f);
    assert_int_equal(keystore_each(f.keystore, count_secret, counts), OK);
    assert_int_equal(counts[1], 0);
    assert_int_equal(counts[2], 1);
    fixture_close(&f);
    fixture_remove(f.dir);
}

/* The stored tree is checked at start: a damaged tile, frontier or checkpoint is refused. */
static void
a_damaged_tree_is_refused(void **state)
{
    static const unsigned tiles[] = {1, 255, 256, 300};

    (void)state;
    for (size_t i = 0; i < ROWS(tiles); i++) {
        struct fixture f = {0};
        uint8_t tile[TILE_BYTES];
        struct loglmdb_head head;
        struct journal *j = NULL;
        unsigned width;

        fixture_create(&f);
        fixture_append(&f, tiles[i], 10);
        fixture_wait(&f);
        journal_stop(f.journal);
        f.journal = NULL;
        width = tile_width(tiles[i] + 1, 0, tiles[i] / 256);
        if (width == 0)
            width = 256;
        assert_int_equal(loglmdb_head(f.log, &head), OK);
        assert_int_equal(loglmdb_tile_read(f.log, 0, tiles[i] / 256, width, tile), OK);
        tile[0] ^= 1;
        assert_int_equal(loglmdb_begin(f.log), OK);
        assert_int_equal(loglmdb_tile_put(f.log, 0, tiles[i] / 256, width, tile), OK);
        assert_int_equal(loglmdb_commit(f.log, tiles[i] + 1), OK);
        if (width < 256)
            assert_int_equal(journal_start(&f.config, &j, &f.why), ERR_MISMATCH);
        tile[0] ^= 1;
        head.frontier.size++;
        assert_int_equal(loglmdb_begin(f.log), OK);
        assert_int_equal(loglmdb_tile_put(f.log, 0, tiles[i] / 256, width, tile), OK);
        assert_int_equal(
            loglmdb_put_head(f.log, &head.frontier, span_of(head.checkpoint, head.len)), OK);
        assert_int_equal(loglmdb_commit(f.log, tiles[i] + 1), OK);
        assert_int_not_equal(journal_start(&f.config, &j, &f.why), OK);
        fixture_close(&f);
        fixture_remove(f.dir);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_become_a_log),
        cmocka_unit_test(reading_stops_where_told),
        cmocka_unit_test(what_is_announced_is_there),
        cmocka_unit_test(at_most_two_batches_are_under_way),
        cmocka_unit_test(keys_rotate),
        cmocka_unit_test(secrets_come_before_and_go_after),
        cmocka_unit_test(a_damaged_tree_is_refused),
    };

    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
