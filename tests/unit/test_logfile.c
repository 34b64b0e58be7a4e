/* test_logfile.c: a log out of the store, into a file, and verified from there. */
#include "tests/unit/store_fixture.h"

#include "store/logexport.h"
#include "store/sigpool.h"
#include "tests/unit/testing.h"

#define SIZE 600

static struct fixture f;
static struct note_key root;

struct file {
    size_t len, at, fail_at; /* fail_at: writes beyond fail; 0: none do */
    uint8_t bytes[2 << 20];
};
static struct file good, copy;
static struct loglmdb_head older; /* of the first 251 events, by the first log key */

static enum err
write_file(void *ctx, struct span bytes)
{
    struct file *file = ctx;

    if (file->fail_at != 0 && file->len + bytes.len > file->fail_at)
        return ERR_IO;
    INVARIANT(sizeof(file->bytes) - file->len >= bytes.len);
    memcpy(file->bytes + file->len, bytes.ptr, bytes.len);
    file->len += bytes.len;
    return OK;
}

/* In odd pieces, as pipes do. */
static enum err
read_file(void *in, uint8_t *out, size_t cap, size_t *len)
{
    struct file *file = in;
    size_t left = file->len - file->at, piece = 1 + file->at * 7919 % 5000;

    *len = left < cap ? left : cap;
    if (*len > piece)
        *len = piece;
    memcpy(out, file->bytes + file->at, *len);
    file->at += *len;
    return OK;
}

static enum err
verify(struct file *file, bool fast, struct verify_result *result, char *why)
{
    struct logfile_verify how = {
        .in = file, .read = read_file, .origin = FIXTURE_ORIGIN, .trust = {.fast = fast}};

    how.trust.has_root = true;
    memcpy(how.trust.root_pk, root.public_key, 32);
    file->at = 0;
    return logfile_verify(&how, result, why);
}

static void
exported(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    INVARIANT(done <= total && total == SIZE);
}

static enum err
export_to(struct file *file)
{
    struct logexport how = {
        .log = f.log, .origin = FIXTURE_ORIGIN, .out = {file, write_file}, .progress = exported};
    uint64_t size;
    enum err err = logexport(&how, &size);

    INVARIANT(size == (err == OK ? SIZE : 0));
    return err;
}

static int
make(void **state)
{
    (void)state;
    if (sodium_init() < 0)
        return 1;
    fixture_create(&f);
    fixture_append(&f, 250, 20);
    fixture_wait(&f);
    FIXTURE_OK(&f, loglmdb_head(f.log, &older));
    fixture_rotate(&f, KEY_EVENT);
    fixture_append(&f, 100, 20);
    fixture_wait(&f);
    fixture_rotate(&f, KEY_LOG);
    fixture_append(&f, SIZE - 353, 20);
    fixture_wait(&f);
    FIXTURE_OK(&f, keys_root_public(&f.state, &root, &f.why));
    FIXTURE_OK(&f, export_to(&good));
    return 0;
}

static int
clean(void **state)
{
    (void)state;
    fixture_close(&f);
    fixture_remove(f.dir);
    return 0;
}

static void
pool_start(void *ctx, const struct verify_job *jobs, size_t count)
{
    sigpool_start(ctx, jobs, count);
}

static size_t
pool_wait(void *ctx)
{
    return sigpool_wait(ctx);
}

static void
there_and_back(void **state)
{
    struct logfile_verify how = {
        .in = &good, .read = read_file, .start = pool_start, .wait = pool_wait};
    struct verify_result result;
    char why[LOGFILE_WHY_BYTES];

    (void)state;
    assert_int_equal(verify(&good, false, &result, why), OK);
    assert_int_equal(result.size, SIZE);
    assert_int_equal(result.signatures, SIZE);
    assert_int_equal(result.heads, 1);
    assert_int_equal(verify(&good, true, &result, why), OK);
    assert_int_equal(result.signatures, 3);
    /* on threads, and by the log key alone */
    how.trust.has_log = true;
    FIXTURE_OK(&f, note_key_make(span_str(FIXTURE_ORIGIN), f.keys.log.pk, &how.trust.log));
    FIXTURE_OK(&f, sigpool_new(FIXTURE_ORIGIN, 3, (struct sigpool **)&how.ctx, &f.why));
    good.at = 0;
    assert_int_equal(logfile_verify(&how, &result, why), OK);
    how.trust.log.public_key[0] ^= 1;
    good.at = 0;
    assert_int_equal(logfile_verify(&how, &result, why), ERR_MISMATCH);
    sigpool_free(how.ctx);
    root.public_key[0] ^= 1;
    assert_int_equal(verify(&good, false, &result, why), ERR_MISMATCH);
    assert_int_equal(result.bad_seq, 0);
    root.public_key[0] ^= 1;
    how = (struct logfile_verify){.in = &good, .read = read_file, .origin = "another"};
    good.at = 0;
    assert_int_equal(logfile_verify(&how, &result, why), ERR_MALFORMED);
    assert_non_null(strstr(why, "another origin"));
}

/* Wherever the file is cut or changed, it does not verify; and nothing breaks. */
static void
cut_or_changed(void **state)
{
    struct verify_result result;
    char why[LOGFILE_WHY_BYTES];
    unsigned named = 0;

    (void)state;
    memcpy(&copy, &good, sizeof(copy));
    for (size_t len = 0; len < good.len; len += 1 + len / 40) {
        copy.len = len;
        if (verify(&copy, true, &result, why) == OK)
            fail_msg("cut at %zu", len);
    }
    copy.len = good.len;
    for (size_t at = 0; at < good.len; at += at < 2000 ? 7 : 1999) {
        enum err err;

        copy.bytes[at] ^= 0x04;
        if ((err = verify(&copy, false, &result, why)) == OK)
            fail_msg("changed at %zu", at);
        if (err == ERR_MISMATCH)
            assert_true(result.bad && result.why[0] != '\0');
        else
            assert_true(why[0] != '\0');
        named += err == ERR_MISMATCH;
        copy.bytes[at] ^= 0x04;
    }
    assert_true(named > 50);
    copy.bytes[copy.len++] = 'E';
    assert_int_equal(verify(&copy, true, &result, why), ERR_MALFORMED);
    assert_non_null(strstr(why, "follows the end"));
}

/* Many bundles are read while the first is checked: the first bad event is named all the same, also
 * when the file breaks behind it. */
static void
first_bad_wins(void **state)
{
    struct logfile_verify how = {.in = &copy, .read = read_file, .start = pool_start};
    struct verify_result result;
    char why[LOGFILE_WHY_BYTES];
    struct span body, sig;

    (void)state;
    how.wait = pool_wait;
    FIXTURE_OK(&f, sigpool_new(FIXTURE_ORIGIN, 2, (struct sigpool **)&how.ctx, &f.why));
    for (unsigned broken = 0; broken < 3; broken++) {
        uint8_t record[1024], *at;
        size_t len;

        memcpy(&copy, &good, sizeof(copy));
        FIXTURE_OK(&f, loglmdb_record(f.log, 77, record, sizeof(record), &len));
        FIXTURE_OK(&f, event_split(span_of(record, len), &body, &sig));
        assert_non_null(at = memmem(copy.bytes, copy.len, sig.ptr, sig.len));
        at[3] ^= 1; /* only the signature: no chain tells of it */
        if (broken == 1)
            copy.len -= 3000;
        if (broken == 2)
            copy.bytes[copy.len - 5] = 'X';
        copy.at = 0;
        assert_int_equal(logfile_verify(&how, &result, why), ERR_MISMATCH);
        assert_int_equal(result.bad_seq, 77);
        assert_non_null(strstr(result.why, "signature is false"));
    }
    sigpool_free(how.ctx);
}

/* ---- an older head */

static enum err
verify_old(struct span old, struct verify_result *result, char *why)
{
    struct logfile_verify how = {.in = &good, .read = read_file, .old = old};

    how.trust = (struct verify_trust){.has_root = true, .fast = true};
    memcpy(how.trust.root_pk, root.public_key, 32);
    good.at = 0;
    return logfile_verify(&how, result, why);
}

static void
older_heads(void **state)
{
    struct note_signer *log_now = NULL;
    struct verify_result result;
    char note[CHECKPOINT_BYTES_MAX], why[LOGFILE_WHY_BYTES];
    struct span old = span_of(older.checkpoint, older.len);
    struct hash other = {{7}};
    size_t len;

    (void)state;
    assert_int_equal(verify_old(old, &result, why), OK);
    assert_int_equal(result.heads, 2);
    memcpy(note, older.checkpoint, older.len);
    len = older.len - 10; /* in the base64 of the signature */
    note[len] = note[len] == 'A' ? 'B' : 'A';
    assert_int_equal(verify_old(span_of(note, older.len), &result, why), ERR_MISMATCH);
    assert_int_equal(result.bad_seq, 250);
    assert_non_null(strstr(result.why, "not signed by the log key in force"));
    FIXTURE_OK(&f, note_signer_new(span_str("another"), other.b, &log_now));
    FIXTURE_OK(&f, checkpoint_sign(5, &other, log_now, note, sizeof(note), &len));
    assert_int_equal(verify_old(span_of(note, len), &result, why), ERR_MALFORMED);
    assert_non_null(strstr(why, "older head"));
    note_signer_free(log_now);
    FIXTURE_OK(&f, note_signer_new(span_str(FIXTURE_ORIGIN), other.b, &log_now));
    FIXTURE_OK(&f, checkpoint_sign(SIZE + 9, &other, log_now, note, sizeof(note), &len));
    assert_int_equal(verify_old(span_of(note, len), &result, why), ERR_MISMATCH);
    assert_int_equal(result.bad_seq, SIZE);
    assert_non_null(strstr(result.why, "missing"));
    FIXTURE_OK(&f, checkpoint_sign(251, &other, log_now, note, sizeof(note), &len));
    assert_int_equal(verify_old(span_of(note, len), &result, why), ERR_MISMATCH);
    assert_non_null(strstr(result.why, "another root"));
    note_signer_free(log_now);
}

static const char *
not_the_fourth(void *ctx, const struct event *ev, struct span record)
{
    (void)ctx;
    assert_true(record.len > 64);
    return ev->seq == 4 ? "four is too many" : NULL;
}

static void
each_is_asked(void **state)
{
    struct logfile_verify how = {.in = &good, .read = read_file, .each = not_the_fourth};
    struct verify_result result;
    char why[LOGFILE_WHY_BYTES];

    (void)state;
    good.at = 0;
    assert_int_equal(logfile_verify(&how, &result, why), ERR_MISMATCH);
    assert_int_equal(result.bad_seq, 4);
    assert_string_equal(result.why, "four is too many");
}

/* ---- files put together by hand */

static uint8_t records[SIZE][1024];
static size_t lens[SIZE];

static bool
keep(void *arg, uint64_t seq, struct span record)
{
    (void)arg;
    memcpy(records[seq], record.ptr, record.len);
    lens[seq] = record.len;
    return true;
}

static struct span
record_of(uint64_t seq)
{
    return span_of(records[seq], lens[seq]);
}

static void
put_frame(char tag, const void *bytes, size_t len)
{
    uint8_t head[5] = {(uint8_t)tag, 0, (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};

    assert_int_equal(write_file(&copy, span_of(head, 5)), OK);
    assert_int_equal(write_file(&copy, span_of(bytes, len)), OK);
}

static void
by_hand(void **state)
{
    struct logfile_out out = {&copy, write_file};
    struct verify_result result;
    struct loglmdb_head head;
    struct log_port port;
    char why[LOGFILE_WHY_BYTES];
    uint64_t next;

    (void)state;
    loglmdb_port(f.log, &port);
    FIXTURE_OK(&f, port.read(port.ctx, 0, SIZE, keep, NULL, &next));
    FIXTURE_OK(&f, loglmdb_head(f.log, &head));
    for (unsigned i = 0; i < 10; i++) {
        static const char *const words[] = {NULL, "no head", "list of key events", "list of key",
            "no known kind", "out of place", "too long", "ascending", "ends inside a record",
            "bundle ends before it"};
        struct logfile_writer *w;
        enum err err;

        memset(&copy, 0, sizeof(copy));
        FIXTURE_OK(&f, logfile_writer_new(&out, FIXTURE_ORIGIN, SIZE, &w));
        if (i != 1)
            FIXTURE_OK(&f, logfile_head(w, span_of(head.checkpoint, head.len)));
        if (i != 2) /* one is left out */
            FIXTURE_OK(&f, logfile_key_event(w, 0, record_of(0)));
        if (i == 3) /* one too many */
            FIXTURE_OK(&f, logfile_key_event(w, 7, record_of(7)));
        if (i == 7)
            FIXTURE_OK(&f, logfile_key_event(w, 0, record_of(0)));
        FIXTURE_OK(&f, logfile_key_event(w, 251, record_of(251)));
        FIXTURE_OK(&f, logfile_key_event(w, 352, record_of(352)));
        if (i == 4)
            put_frame('X', "", 0);
        if (i == 5)
            FIXTURE_OK(&f, logfile_head(w, span_of(head.checkpoint, head.len)));
        if (i == 6)
            assert_int_equal(write_file(&copy, span_of("B\xff\xff\xff\xff", 5)), OK);
        if (i == 8)
            put_frame('B', "\0\xff\0", 3);
        if (i == 9)
            put_frame('B', "", 0);
        for (uint64_t seq = 0; seq < SIZE; seq++)
            FIXTURE_OK(&f, logfile_record(w, record_of(seq)));
        FIXTURE_OK(&f, logfile_end(w));
        logfile_writer_free(w);
        err = verify(&copy, false, &result, why);
        if (i == 0)
            assert_int_equal(err, OK);
        else if (err == OK || strstr(result.bad ? result.why : why, words[i]) == NULL)
            fail_msg("file %u: %s, %s%s", i, err_name(err), why, result.why);
    }
}

/* What is kept of a stranger's heads is bounded, however many there are. */
static void
too_many_heads(void **state)
{
    struct logfile_out out = {&copy, write_file};
    struct logfile_writer *w;
    struct verify_result result;
    char why[LOGFILE_WHY_BYTES];

    (void)state;
    memset(&copy, 0, sizeof(copy));
    FIXTURE_OK(&f, logfile_writer_new(&out, FIXTURE_ORIGIN, SIZE, &w));
    for (unsigned i = 0; i <= LOGFILE_HEADS_MAX; i++)
        FIXTURE_OK(&f, logfile_head(w, span_of(older.checkpoint, older.len)));
    logfile_writer_free(w);
    assert_int_equal(verify(&copy, true, &result, why), ERR_LIMIT);
    assert_non_null(strstr(why, "too many heads"));
}

/* Endless: a header, then the same frame again and again. */
static enum err
read_again(void *in, uint8_t *out, size_t cap, size_t *len)
{
    struct file *file = in;

    *len = cap < file->len - file->at ? cap : file->len - file->at;
    memcpy(out, file->bytes + file->at, *len);
    file->at += *len;
    if (file->at == file->len)
        file->at = file->fail_at;
    return OK;
}

static void
too_large_heads(void **state)
{
    struct logfile_verify how = {.in = &copy, .read = read_again};
    struct logfile_out out = {&copy, write_file};
    struct logfile_writer *w;
    struct verify_result result;
    char why[LOGFILE_WHY_BYTES], note[110 * 1024];
    const char *gap = memmem(older.checkpoint, older.len, "\n\n", 2);
    size_t len = (size_t)(gap - older.checkpoint) + 1;
    size_t header;

    (void)state;
    memcpy(note, older.checkpoint, len);
    memset(note + len, 'x', 100 * 1024); /* one extension line */
    len += 100 * 1024;
    memcpy(note + len, gap, (size_t)(older.checkpoint + older.len - gap));
    len += (size_t)(older.checkpoint + older.len - gap);
    memset(&copy, 0, sizeof(copy));
    FIXTURE_OK(&f, logfile_writer_new(&out, FIXTURE_ORIGIN, SIZE, &w));
    header = copy.len;
    FIXTURE_OK(&f, logfile_head(w, span_of(note, len)));
    logfile_writer_free(w);
    copy.fail_at = header;
    assert_int_equal(logfile_verify(&how, &result, why), ERR_LIMIT);
    assert_non_null(strstr(why, "too many heads"));
    /* long before their number would have done it */
    assert_true(strtoull(strchr(why, ' '), NULL, 10) < LOGFILE_HEADS_BYTES_MAX + 2 * len);
}

static void
a_write_that_fails(void **state)
{
    static struct file none;

    (void)state;
    for (size_t at = 10; at < good.len; at += good.len / 9) {
        none.len = 0;
        none.fail_at = at;
        assert_int_equal(export_to(&none), ERR_IO);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(cut_or_changed),
        cmocka_unit_test(first_bad_wins),
        cmocka_unit_test(older_heads),
        cmocka_unit_test(each_is_asked),
        cmocka_unit_test(by_hand),
        cmocka_unit_test(too_many_heads),
        cmocka_unit_test(too_large_heads),
        cmocka_unit_test(a_write_that_fails),
    };

    return cmocka_run_group_tests(tests, make, clean);
}
