/* test_tamper.c: whoever changes a stored log is found out, and the first bad event is named.
 * threads: yes */
#include "tests/unit/store_fixture.h"

#include "store/loglmdb_impl.h"
#include "store/verify.h"
#include "tests/unit/testing.h"

#define SIZE 700 /* with log.opened and the rotations; tiles 0 to 2 */

/* The log as it was, to be put back after each attack. */
static struct fixture f;
static struct {
    size_t len;
    uint8_t bytes[1024];
} records[SIZE];
static struct loglmdb_head head;
static struct note_key root;

static bool
keep_record(void *arg, uint64_t seq, struct span record)
{
    (void)arg;
    INVARIANT(seq < SIZE && record.len <= sizeof(records[0].bytes));
    records[seq].len = record.len;
    memcpy(records[seq].bytes, record.ptr, record.len);
    return true;
}

static int
make_log(void **state)
{
    struct log_port port;
    uint64_t next;

    (void)state;
    if (sodium_init() < 0)
        return 1;
    fixture_create(&f);
    fixture_append(&f, 200, 20);
    fixture_wait(&f);
    fixture_rotate(&f, KEY_EVENT);
    fixture_append(&f, 200, 20);
    fixture_wait(&f);
    fixture_rotate(&f, KEY_LOG);
    fixture_append(&f, SIZE - 403, 20);
    fixture_wait(&f);
    journal_stop(f.journal);
    f.journal = NULL;
    loglmdb_port(f.log, &port);
    FIXTURE_OK(&f, port.read(port.ctx, 0, SIZE, keep_record, NULL, &next));
    FIXTURE_OK(&f, loglmdb_head(f.log, &head));
    FIXTURE_OK(&f, keys_root_public(&f.state, &root, &f.why));
    INVARIANT(next == SIZE && head.frontier.size == SIZE);
    INVARIANT(mdb_env_set_flags(f.log->env, MDB_NOSYNC, 1) == 0); /* attackers need no sync */
    return 0;
}

static int
remove_log(void **state)
{
    (void)state;
    fixture_close(&f);
    fixture_remove(f.dir);
    return 0;
}

/* ---- writing where nobody should */

static void
put_record(uint64_t seq, const uint8_t *bytes, size_t len)
{
    uint8_t key_bytes[8];
    MDB_val key = lmdb_val(key_bytes, 8), value = lmdb_val(bytes, len);

    lmdb_be64(seq, key_bytes);
    assert_int_equal(mdb_put(f.log->txn, f.log->dbi[LOG_RECORDS], &key, &value, 0), 0);
}

static void
del_record(uint64_t seq)
{
    uint8_t key_bytes[8];
    MDB_val key = lmdb_val(key_bytes, 8);

    lmdb_be64(seq, key_bytes);
    assert_int_equal(mdb_del(f.log->txn, f.log->dbi[LOG_RECORDS], &key, NULL), 0);
}

static void
put_meta(const char *name, const void *bytes, size_t len)
{
    MDB_val key = lmdb_val(name, strlen(name)), value = lmdb_val(bytes, len);

    assert_int_equal(mdb_put(f.log->txn, f.log->dbi[LOG_META], &key, &value, 0), 0);
}

/* Records, tiles and head as given; everything else gone. */
static void
put_log(uint64_t count)
{
    static struct tile_writer tiles;

    assert_int_equal(mdb_drop(f.log->txn, f.log->dbi[LOG_RECORDS], 0), 0);
    assert_int_equal(mdb_drop(f.log->txn, f.log->dbi[LOG_TILES], 0), 0);
    tile_writer_init(&tiles);
    for (uint64_t seq = 0; seq < count; seq++) {
        struct hash leaf;

        put_record(seq, records[seq].bytes, records[seq].len);
        event_leaf(span_of(records[seq].bytes, records[seq].len), &leaf);
        assert_int_equal(tile_writer_append(&tiles, &leaf, 1, loglmdb_tile_put, f.log), OK);
    }
}

static void
put_all(void)
{
    assert_int_equal(loglmdb_begin(f.log), OK);
    put_log(SIZE);
    assert_int_equal(
        loglmdb_put_head(f.log, &head.frontier, span_of(head.checkpoint, head.len)), OK);
    assert_int_equal(loglmdb_commit(f.log, SIZE), OK);
}

static enum err
verify(bool fast, struct span old, struct verify_result *out)
{
    struct store_verify how = {
        .log = f.log, .origin = f.state.origin, .fast = fast, .threads = 2, .old = old};

    how.trust.has_root = true;
    memcpy(how.trust.root_pk, root.public_key, 32);
    return store_verify(&how, out, &f.why);
}

static void
expect_bad_at(const char *what, bool fast, uint64_t seq)
{
    struct verify_result result;
    enum err err = verify(fast, span_of("", 0), &result);

    if (err != ERR_MISMATCH || !result.bad || result.bad_seq != seq)
        fail_msg("%s%s: %s at %llu (%s), not at %llu", what, fast ? ", fast" : "", err_name(err),
            (unsigned long long)result.bad_seq, result.why, (unsigned long long)seq);
}

static void
expect_good(const char *what)
{
    struct verify_result result;

    for (int fast = 0; fast < 2; fast++) {
        enum err err = verify(fast == 1, span_of("", 0), &result);

        if (err != OK || result.bad)
            fail_msg("%s: %s at %llu (%s)", what, err_name(err), (unsigned long long)result.bad_seq,
                result.why);
        assert_int_equal(result.size, SIZE);
        assert_int_equal(result.heads, 1);
        assert_int_equal(result.signatures, fast ? 3 : SIZE);
    }
}

/* ---- the attacks */

static void
flip(uint64_t seq, size_t at)
{
    uint8_t bytes[1024];

    memcpy(bytes, records[seq].bytes, records[seq].len);
    bytes[at] ^= 0x01;
    put_record(seq, bytes, records[seq].len);
}

static void
a_byte_is_flipped(void **state)
{
    static const uint64_t seqs[] = {0, 1, 100, 200, 201, 255, 256, 402, 403, 511, 512, 698, 699};

    (void)state;
    expect_good("as it was");
    for (size_t i = 0; i < ROWS(seqs); i++) {
        size_t len = records[seqs[i]].len;

        for (size_t at = i; at < len; at += 29) {
            assert_int_equal(loglmdb_begin(f.log), OK);
            flip(seqs[i], at);
            assert_int_equal(loglmdb_commit(f.log, SIZE), OK);
            expect_bad_at("flip", false, seqs[i]);
            expect_bad_at("flip", true, seqs[i]);
            assert_int_equal(loglmdb_begin(f.log), OK);
            put_record(seqs[i], records[seqs[i]].bytes, len);
            assert_int_equal(loglmdb_commit(f.log, SIZE), OK);
        }
    }
    expect_good("put back");
}

static void
attack_delete(uint64_t at)
{
    del_record(at);
}

static void
attack_close_gap(uint64_t at)
{
    for (uint64_t seq = at; seq + 1 < SIZE; seq++)
        put_record(seq, records[seq + 1].bytes, records[seq + 1].len);
    del_record(SIZE - 1);
}

static void
attack_swap(uint64_t at)
{
    put_record(at, records[at + 1].bytes, records[at + 1].len);
    put_record(at + 1, records[at].bytes, records[at].len);
}

static void
attack_duplicate(uint64_t at)
{
    put_record(at, records[at - 1].bytes, records[at - 1].len);
    for (uint64_t seq = at; seq < SIZE; seq++)
        put_record(seq + 1, records[seq].bytes, records[seq].len);
}

static void
attack_replace(uint64_t at)
{
    put_record(at, records[at - 1].bytes, records[at - 1].len);
}

static void
attack_empty(uint64_t at)
{
    put_record(at, (const uint8_t *)"", 0);
}

static void
attack_lengthen(uint64_t at)
{
    uint8_t bytes[1025];

    memcpy(bytes, records[at].bytes, records[at].len);
    bytes[records[at].len] = 0;
    put_record(at, bytes, records[at].len + 1);
}

static void
attack_truncate(uint64_t at)
{
    for (uint64_t seq = at; seq < SIZE; seq++)
        del_record(seq);
}

/* Changed, and signed again: by a key that the log never named. */
static void
attack_resign(uint64_t at)
{
    uint8_t bytes[1024], pk[32], sk[64];
    size_t body = records[at].len - EVENT_SIG_BYTES;

    memcpy(bytes, records[at].bytes, records[at].len);
    crypto_sign_keypair(pk, sk);
    event_sign(FIXTURE_ORIGIN, span_of(bytes, body), sk, bytes + body);
    put_record(at, bytes, records[at].len);
}

static void
attack_tile(uint64_t at)
{
    uint8_t tile[TILE_BYTES];
    uint64_t index = at / TILE_WIDTH;
    unsigned width = tile_width(SIZE, 0, index);

    assert_int_equal(loglmdb_tile_read(f.log, 0, index, width, tile), OK);
    tile[(at % TILE_WIDTH) * HASH_BYTES] ^= 1;
    assert_int_equal(loglmdb_tile_put(f.log, 0, index, width, tile), OK);
}

static void
attack_records_and_tiles(void **state)
{
    static const struct {
        const char *what;
        void (*attack)(uint64_t at);
        uint64_t at;
        bool same_fast; /* --fast names the same event */
    } cases[] = {
        {"delete", attack_delete, 0, true},
        {"delete", attack_delete, 1, true},
        {"delete", attack_delete, 350, true},
        {"delete", attack_delete, 699, true},
        {"close the gap", attack_close_gap, 1, true},
        {"close the gap", attack_close_gap, 201, true}, /* the rotation itself */
        {"close the gap", attack_close_gap, 350, true},
        {"swap", attack_swap, 1, true},
        {"swap", attack_swap, 511, true},
        {"swap", attack_swap, 698, true},
        {"duplicate", attack_duplicate, 1, true},
        {"duplicate", attack_duplicate, 699, true},
        {"replace", attack_replace, 300, true},
        {"empty", attack_empty, 300, true},
        {"lengthen", attack_lengthen, 300, true},
        {"lengthen", attack_lengthen, 699, true},
        {"truncate", attack_truncate, 699, true},
        {"truncate", attack_truncate, 513, true},
        {"truncate", attack_truncate, 1, true},
        {"re-sign", attack_resign, 1, true},
        {"re-sign", attack_resign, 201, true},
        {"re-sign", attack_resign, 699, true},
        {"tile", attack_tile, 0, true},
        {"tile", attack_tile, 300, true},
        {"tile", attack_tile, 699, true},
    };

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        assert_int_equal(loglmdb_begin(f.log), OK);
        cases[i].attack(cases[i].at);
        assert_int_equal(loglmdb_commit(f.log, SIZE), OK);
        expect_bad_at(cases[i].what, false, cases[i].at);
        if (cases[i].same_fast)
            expect_bad_at(cases[i].what, true, cases[i].at);
        put_all();
    }
    expect_good("put back");
}

/* A record more than the head knows. */
static void
a_record_is_added_by_hand(void **state)
{
    (void)state;
    assert_int_equal(loglmdb_begin(f.log), OK);
    put_record(SIZE, records[0].bytes, records[0].len);
    assert_int_equal(loglmdb_commit(f.log, SIZE), OK);
    expect_bad_at("surplus", false, SIZE);
    put_all();
}

static void
sign_head(uint64_t size, const struct hash *hash, const uint8_t seed[32], char *out, size_t *len)
{
    struct note_signer *signer;

    assert_int_equal(note_signer_new(span_str(FIXTURE_ORIGIN), seed, &signer), OK);
    assert_int_equal(checkpoint_sign(size, hash, signer, out, CHECKPOINT_BYTES_MAX, len), OK);
    note_signer_free(signer);
}

static void
the_head_is_changed(void **state)
{
    static const uint8_t stranger[32] = {1, 2, 3};
    char text[CHECKPOINT_BYTES_MAX];
    struct frontier frontier = head.frontier;
    struct hash hash;
    size_t len;

    (void)state;
    /* signed by a stranger */
    frontier_root(&head.frontier, &hash);
    sign_head(SIZE, &hash, stranger, text, &len);
    assert_int_equal(loglmdb_begin(f.log), OK);
    put_meta(LOG_META_CHECKPOINT, text, len);
    assert_int_equal(loglmdb_commit(f.log, SIZE), OK);
    expect_bad_at("stranger's head", false, SIZE - 1);
    /* by the right key, of another tree */
    hash.b[0] ^= 1;
    sign_head(SIZE, &hash, f.keys.log.sk, text, &len);
    assert_int_equal(loglmdb_begin(f.log), OK);
    put_meta(LOG_META_CHECKPOINT, text, len);
    assert_int_equal(loglmdb_commit(f.log, SIZE), OK);
    expect_bad_at("another root", false, SIZE - 1);
    /* of a size that is not there */
    sign_head(SIZE + 5, &hash, f.keys.log.sk, text, &len);
    assert_int_equal(loglmdb_begin(f.log), OK);
    put_meta(LOG_META_CHECKPOINT, text, len);
    assert_int_equal(loglmdb_commit(f.log, SIZE), OK);
    expect_bad_at("a larger size", false, SIZE);
    /* none at all */
    assert_int_equal(loglmdb_begin(f.log), OK);
    put_meta(LOG_META_CHECKPOINT, "hello\n", 6);
    assert_int_equal(loglmdb_commit(f.log, SIZE), OK);
    expect_bad_at("no head", false, SIZE - 1);
    put_all();
    /* the frontier alone */
    frontier.edge[2].b[5] ^= 1; /* 700 = 0b1010111100: bit 2 is its last edge */
    assert_int_equal(loglmdb_begin(f.log), OK);
    assert_int_equal(loglmdb_put_head(f.log, &frontier, span_of(head.checkpoint, head.len)), OK);
    assert_int_equal(loglmdb_commit(f.log, SIZE), OK);
    expect_bad_at("frontier", false, SIZE - 1);
    put_all();
    expect_good("put back");
}

/* An old backup is sound by itself; whoever kept a newer head knows better. */
static void
an_old_backup_is_put_back(void **state)
{
    struct frontier frontier = {0};
    struct verify_result result;
    char text[CHECKPOINT_BYTES_MAX];
    struct hash hash;
    size_t len;

    (void)state;
    for (uint64_t seq = 0; seq < 500; seq++) {
        event_leaf(span_of(records[seq].bytes, records[seq].len), &hash);
        frontier_append(&frontier, &hash, 1, NULL, NULL);
    }
    frontier_root(&frontier, &hash);
    sign_head(500, &hash, f.keys.log.sk, text, &len);
    assert_int_equal(loglmdb_begin(f.log), OK);
    put_log(500);
    assert_int_equal(loglmdb_put_head(f.log, &frontier, span_of(text, len)), OK);
    assert_int_equal(loglmdb_commit(f.log, 500), OK);
    assert_int_equal(verify(false, span_of("", 0), &result), OK);
    assert_int_equal(result.size, 500);
    assert_int_equal(verify(false, span_of(head.checkpoint, head.len), &result), ERR_MISMATCH);
    assert_int_equal(result.bad_seq, 500);
    put_all();
    /* the other way round: the log extends an old head */
    assert_int_equal(verify(false, span_of(text, len), &result), OK);
    assert_int_equal(result.heads, 2);
    /* but not one with another root */
    hash.b[3] ^= 1;
    sign_head(500, &hash, f.keys.log.sk, text, &len);
    assert_int_equal(verify(true, span_of(text, len), &result), ERR_MISMATCH);
    assert_int_equal(result.bad_seq, 499);
    /* and a head that is none is the caller's mistake */
    assert_int_equal(verify(true, span_str("a checkpoint, honestly"), &result), ERR_MALFORMED);
}

/* Root is what makes it this log and not another one of the same name. */
static void
another_log_under_the_same_name(void **state)
{
    struct verify_result result;

    (void)state;
    root.public_key[0] ^= 1;
    assert_int_equal(verify(false, span_of("", 0), &result), ERR_MISMATCH);
    assert_int_equal(result.bad_seq, 0);
    root.public_key[0] ^= 1;
    expect_good("as it was");
}

/* Somebody with every key rewrites event 600 and all that follows. Only a head kept outside tells.
 */
static void
rewritten_with_all_keys(void **state)
{
    static struct event ev;
    struct verify_result result;
    struct loglmdb_head old = head;
    struct frontier frontier = {0};
    char text[CHECKPOINT_BYTES_MAX];
    struct hash hash, prev;
    size_t len;

    (void)state;
    for (uint64_t seq = 600; seq < SIZE; seq++) {
        uint8_t body[1024];
        struct span was, sig;

        assert_int_equal(
            event_split(span_of(records[seq].bytes, records[seq].len), &was, &sig), OK);
        assert_int_equal(event_decode(was, &ev), OK);
        if (seq == 600)
            ev.wall_us += 1; /* the lie */
        else
            ev.prev = prev;
        assert_int_equal(event_encode(&ev, body, sizeof(body), &len), OK);
        event_prev(span_of(body, len), &prev);
        memcpy(records[seq].bytes, body, len);
        event_sign(FIXTURE_ORIGIN, span_of(body, len), f.keys.event.sk, records[seq].bytes + len);
    }
    for (uint64_t seq = 0; seq < SIZE; seq++) {
        event_leaf(span_of(records[seq].bytes, records[seq].len), &hash);
        frontier_append(&frontier, &hash, 1, NULL, NULL);
    }
    frontier_root(&frontier, &hash);
    sign_head(SIZE, &hash, f.keys.log.sk, text, &len);
    head.frontier = frontier;
    head.len = len;
    memcpy(head.checkpoint, text, len);
    put_all();
    expect_good("rewritten");
    assert_int_equal(verify(false, span_of(old.checkpoint, old.len), &result), ERR_MISMATCH);
    assert_true(result.bad_seq >= 600);
}

static const char *
no_ten(void *ctx, const struct event *ev, struct span record)
{
    (void)record;
    *(uint64_t *)ctx = ev->seq;
    return ev->seq == 10 ? "it is the tenth" : NULL;
}

static uint64_t progressed;

static void
progress(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    assert_true(done >= progressed && done <= total);
    progressed = done;
}

static void
hooks(void **state)
{
    uint64_t last = 0;
    struct verify_result result;
    struct store_verify how = {
        .log = f.log, .origin = f.state.origin, .ctx = &last, .each = no_ten};

    (void)state;
    assert_int_equal(store_verify(&how, &result, &f.why), ERR_MISMATCH);
    assert_int_equal(last, 10);
    assert_int_equal(result.bad_seq, 10);
    assert_string_equal(result.why, "it is the tenth");
    how.each = NULL;
    how.progress = progress;
    assert_int_equal(store_verify(&how, &result, &f.why), OK);
    assert_int_equal(progressed, SIZE);
    how.origin = "another.name";
    assert_int_equal(store_verify(&how, &result, &f.why), ERR_MISMATCH);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_byte_is_flipped), cmocka_unit_test(attack_records_and_tiles),
        cmocka_unit_test(a_record_is_added_by_hand), cmocka_unit_test(the_head_is_changed),
        cmocka_unit_test(an_old_backup_is_put_back),
        cmocka_unit_test(another_log_under_the_same_name), cmocka_unit_test(hooks),
        cmocka_unit_test(rewritten_with_all_keys), /* last: it does not put back */
    };

    return cmocka_run_group_tests(tests, make_log, remove_log);
}
