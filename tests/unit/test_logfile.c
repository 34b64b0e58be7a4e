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

static int
make(void **state)
{
    struct logfile_out out = {&good, write_file};

    (void)state;
    if (sodium_init() < 0)
        return 1;
    fixture_create(&f);
    fixture_append(&f, 250, 20);
    fixture_wait(&f);
    fixture_rotate(&f, KEY_EVENT);
    fixture_append(&f, 100, 20);
    fixture_wait(&f);
    fixture_rotate(&f, KEY_LOG);
    fixture_append(&f, SIZE - 353, 20);
    fixture_wait(&f);
    FIXTURE_OK(&f, keys_root_public(&f.state, &root, &f.why));
    FIXTURE_OK(&f, logexport(f.log, FIXTURE_ORIGIN, &out));
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

static size_t
run_pool(void *ctx, const char *origin, const struct verify_job *jobs, size_t count)
{
    (void)origin;
    sigpool_start(ctx, jobs, count);
    return sigpool_wait(ctx);
}

static void
there_and_back(void **state)
{
    struct logfile_verify how = {.in = &good, .read = read_file, .run = run_pool};
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
    for (unsigned i = 0; i < 9; i++) {
        static const char *const words[] = {NULL, "no head", "list of key events", "list of key",
            "no known kind", "out of place", "too long", "ascending", "ends inside a record"};
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

static void
a_write_that_fails(void **state)
{
    static struct file none;
    struct logfile_out out = {&none, write_file};

    (void)state;
    for (size_t at = 10; at < good.len; at += good.len / 9) {
        none.len = 0;
        none.fail_at = at;
        assert_int_equal(logexport(f.log, FIXTURE_ORIGIN, &out), ERR_IO);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(cut_or_changed),
        cmocka_unit_test(by_hand),
        cmocka_unit_test(a_write_that_fails),
    };

    return cmocka_run_group_tests(tests, make, clean);
}
