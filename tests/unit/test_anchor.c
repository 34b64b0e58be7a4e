/* test_anchor.c: the anchor follows the log, and a log that does not extend it is refused.
 * threads: yes */
#include "tests/unit/store_fixture.h"

#include <fcntl.h>

#include "store/anchor.h"
#include "tests/unit/testing.h"

static void
run_with_anchor(struct fixture *f, const char *dir, uint32_t events)
{
    struct anchor_config config = {.dir = dir, .state = &f->state, .log = f->log};
    struct anchor *a;

    journal_stop(f->journal);
    FIXTURE_OK(f, anchor_start(&config, &a, &f->why));
    f->config.listener_count = 1;
    anchor_listener(a, &f->config.listeners[0]);
    fixture_journal(f);
    fixture_append(f, events, 10);
    fixture_wait(f);
    journal_stop(f->journal);
    f->journal = NULL;
    anchor_stop(a);
    f->config.listener_count = 0;
    fixture_journal(f);
}

static enum err
check(struct fixture *f, const char *dir)
{
    struct anchor_config config = {.dir = dir, .state = &f->state, .log = f->log};
    struct keychain chain;
    enum err err;

    f->why.text[0] = '\0';
    FIXTURE_OK(f, keychain_read(&f->state, f->log, &chain, &f->why));
    err = anchor_check(&config, chain.log, chain.log_count, &f->why);
    keychain_fini(&chain);
    return err;
}

static void
copy(const char *from, const char *to)
{
    char bytes[4096];
    FILE *in = fopen(from, "r"), *out = fopen(to, "w");
    size_t n;

    assert_non_null(in);
    assert_non_null(out);
    while ((n = fread(bytes, 1, sizeof(bytes), in)) > 0)
        assert_int_equal(fwrite(bytes, 1, n, out), n);
    fclose(in);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(chmod(to, 0600), 0);
}

static void
follows(void **state)
{
    struct fixture f = {0};
    char path[STATE_PATH_BYTES];
    struct checkpoint cp;
    struct note_key key;
    uint8_t text[CHECKPOINT_BYTES_MAX];
    struct stat sb;
    size_t len;

    (void)state;
    fixture_create(&f);
    assert_int_equal(check(&f, NULL), OK); /* none yet */
    run_with_anchor(&f, NULL, 20);
    state_path(&f.state, "anchor/checkpoint", path);
    assert_int_equal(chmod(path, 0600), 0);
    FIXTURE_OK(
        &f, state_file_read(&f.state, "anchor/checkpoint", text, sizeof(text), &len, &f.why));
    FIXTURE_OK(&f, note_key_make(span_str(FIXTURE_ORIGIN), f.keys.log.pk, &key));
    FIXTURE_OK(&f, checkpoint_open(span_of(text, len), &key, 1, &cp));
    assert_int_equal(cp.size, 21); /* the last head, written before stop */
    assert_int_equal(check(&f, NULL), OK);
    fixture_append(&f, 300, 10); /* the log went on without the anchor */
    fixture_wait(&f);
    fixture_rotate(&f, KEY_LOG);
    fixture_append(&f, 3, 10);
    fixture_wait(&f);
    assert_int_equal(check(&f, NULL), OK); /* signed by a key of an epoch gone by */
    run_with_anchor(&f, NULL, 1);
    assert_int_equal(check(&f, NULL), OK);
    state_path(&f.state, "anchor/checkpoint.new", path);
    assert_int_equal(stat(path, &sb), -1);
    fixture_close(&f);
    fixture_remove(f.dir);
}

static void
a_rolled_back_log_is_refused(void **state)
{
    struct fixture f = {0};
    char data[STATE_PATH_BYTES], saved[300], dir[256];

    (void)state;
    fixture_dir(dir, sizeof(dir));
    fixture_create(&f);
    fixture_append(&f, 10, 10);
    fixture_wait(&f);
    fixture_close(&f);
    snprintf(data, sizeof(data), "%s/log/data.mdb", f.dir);
    snprintf(saved, sizeof(saved), "%s/saved", dir);
    copy(data, saved);
    fixture_open(&f);
    run_with_anchor(&f, dir, 10); /* in a folder of its own */
    assert_int_equal(check(&f, dir), OK);
    assert_int_equal(check(&f, NULL), OK); /* the default one has none */
    fixture_close(&f);
    copy(saved, data);
    fixture_open(&f);
    assert_int_equal(check(&f, dir), ERR_MISMATCH);
    assert_non_null(strstr(f.why.text, "rolled back"));
    assert_non_null(strstr(f.why.text, "--accept-rollback"));
    /* it goes on from there, and is then as long, but not the same */
    fixture_append(&f, 20, 10);
    fixture_wait(&f);
    assert_int_equal(check(&f, dir), ERR_MISMATCH);
    assert_non_null(strstr(f.why.text, "contradicts"));
    fixture_close(&f);
    fixture_remove(f.dir);
    fixture_remove(dir);
}

static void
an_anchor_of_another_log(void **state)
{
    struct fixture f = {0}, g = {0};
    char ours[STATE_PATH_BYTES], theirs[STATE_PATH_BYTES];
    FILE *file;

    (void)state;
    fixture_create(&f);
    fixture_create(&g);
    run_with_anchor(&f, NULL, 3);
    run_with_anchor(&g, NULL, 3);
    state_path(&f.state, "anchor/checkpoint", ours);
    state_path(&g.state, "anchor/checkpoint", theirs);
    copy(theirs, ours);
    assert_int_equal(check(&f, NULL), ERR_MISMATCH);
    assert_non_null(strstr(f.why.text, "not signed by a key of the log"));
    file = fopen(ours, "w");
    assert_non_null(file);
    fclose(file); /* empty: damaged, not absent */
    assert_int_equal(check(&f, NULL), ERR_MISMATCH);
    assert_int_equal(check(&f, "/nowhere/at/all"), ERR_IO);
    assert_non_null(strstr(f.why.text, "--anchor-dir"));
    fixture_close(&f);
    fixture_close(&g);
    fixture_remove(f.dir);
    fixture_remove(g.dir);
}

/* An anchor that cannot be written is said, and does not stop the log. */
static void
a_failing_anchor_is_said(void **state)
{
    struct fixture f = {0};
    struct anchor_config config;
    struct anchor_health health;
    struct anchor *a;
    char dir[256], sub[300];

    (void)state;
    fixture_dir(dir, sizeof(dir));
    snprintf(sub, sizeof(sub), "%s/gone", dir);
    assert_int_equal(mkdir(sub, 0700), 0);
    fixture_create(&f);
    journal_stop(f.journal);
    config = (struct anchor_config){.dir = sub, .state = &f.state, .log = f.log};
    FIXTURE_OK(&f, anchor_start(&config, &a, &f.why));
    usleep(200000);
    fixture_remove(sub); /* the stick was pulled */
    f.config.listener_count = 1;
    anchor_listener(a, &f.config.listeners[0]);
    fixture_journal(&f);
    fixture_append(&f, 3, 10);
    fixture_wait(&f);
    for (int i = 0; i < 5000; i++) {
        anchor_health(a, &health);
        if (health.failing)
            break;
        usleep(1000);
    }
    assert_true(health.failing);
    assert_non_null(strstr(health.error, sub));
    assert_true(health.shares_device);
    journal_stop(f.journal);
    f.journal = NULL;
    anchor_stop(a);
    fixture_close(&f);
    fixture_remove(f.dir);
    fixture_remove(dir);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows),
        cmocka_unit_test(a_rolled_back_log_is_refused),
        cmocka_unit_test(an_anchor_of_another_log),
        cmocka_unit_test(a_failing_anchor_is_said),
    };

    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
