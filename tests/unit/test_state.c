/* test_state.c: the state folder refuses what is wrong with it, and says what to do about it. */
#include "tests/unit/store_fixture.h"

#include <fcntl.h>
#include <sys/wait.h>

#include "tests/unit/testing.h"

static const struct state_options serve = {.exclusive = true};
static const struct state_options look = {0};

static void
path_in(const struct fixture *f, const char *name, char out[STATE_PATH_BYTES])
{
    snprintf(out, STATE_PATH_BYTES, "%s/%s", f->dir, name);
}

static void
write_file(const struct fixture *f, const char *name, const char *text)
{
    char path[STATE_PATH_BYTES];
    FILE *file;

    path_in(f, name, path);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(chmod(path, 0600), 0);
}

static void
refused(struct fixture *f, const struct state_options *how, enum err expected, const char *word)
{
    struct state st;
    struct complaint why = {.text = ""};

    assert_int_equal(state_open(f->dir, how, &st, &why), expected);
    if (strstr(why.text, word) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", why.text, word);
    assert_int_equal(st.dir_fd, -1);
}

static void
made(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    fixture_create(f);
    fixture_close(f);
}

static void
origins(void **state)
{
    static const char *const good[] = {"a", "gatehouse.0k2m", "x-1.y", "name/2", "name/10"};
    static const char *const bad[] = {"", "A", "a b", "a/", "/2", "a/1", "a/02", "a/x", "a/2/3",
        "ä", "a\n", "a+b", "a/-2",
        "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggggg"};

    (void)state;
    for (size_t i = 0; i < ROWS(good); i++)
        assert_true(state_origin_valid(span_str(good[i])));
    for (size_t i = 0; i < ROWS(bad); i++) {
        if (state_origin_valid(span_str(bad[i])))
            fail_msg("taken: %s", bad[i]);
    }
}

static void
a_folder_that_is_none(void **state)
{
    struct fixture f = {0};
    struct complaint why;
    struct state st;

    (void)state;
    fixture_dir(f.dir, sizeof(f.dir));
    refused(&f, &serve, ERR_NOT_FOUND, "gatehouse init");
    assert_int_equal(state_open("", &serve, &st, &why), ERR_LIMIT);
    rmdir(f.dir);
    refused(&f, &serve, ERR_NOT_FOUND, "gatehouse init");
    made(&f);
    /* and init does not take one that is */
    assert_int_equal(state_create(f.dir, FIXTURE_ORIGIN, &st, &why), ERR_EXISTS);
    assert_non_null(strstr(why.text, "gatehouse serve"));
    assert_int_equal(state_create(f.dir, "Not An Origin", &st, &why), ERR_MALFORMED);
    fixture_remove(f.dir);
}

static void
formats(void **state)
{
    static const struct {
        const char *text;
        enum err err;
        const char *word;
    } cases[] = {
        {"gatehouse-state 2\n", ERR_MISMATCH, "newer build"},
        {"gatehouse-state 0\n", ERR_MISMATCH, "older build"},
        {"gatehouse-state 01\n", ERR_MALFORMED, "backup"},
        {"gatehouse-state 1", ERR_MALFORMED, "backup"},
        {"gatehouse-state 1\n\n", ERR_MALFORMED, "backup"},
        {"", ERR_MALFORMED, "backup"},
        {"something else entirely, and longer than any format line could ever be, see?\n",
            ERR_LIMIT, "backup"},
    };
    struct fixture f;

    (void)state;
    made(&f);
    for (size_t i = 0; i < ROWS(cases); i++) {
        write_file(&f, "format", cases[i].text);
        refused(&f, &serve, cases[i].err, cases[i].word);
    }
    write_file(&f, "format", "gatehouse-state 1\n");
    write_file(&f, "origin", "Wrong\n");
    refused(&f, &serve, ERR_MALFORMED, "backup");
    fixture_remove(f.dir);
}

static void
owners_and_modes(void **state)
{
    static const struct {
        const char *name;
        mode_t bad, good;
    } cases[] = {
        {".", 0750, 0700},
        {".", 0701, 0700},
        {"keys", 0710, 0700},
        {"log", 0755, 0700},
        {"views", 0770, 0700},
        {"anchor", 0707, 0700},
        {"format", 0644, 0600},
        {"origin", 0640, 0600},
    };
    char path[STATE_PATH_BYTES];
    struct fixture f;
    struct state st;

    (void)state;
    made(&f);
    for (size_t i = 0; i < ROWS(cases); i++) {
        path_in(&f, cases[i].name, path);
        assert_int_equal(chmod(path, cases[i].bad), 0);
        refused(&f, &serve, ERR_DENIED, "chmod");
        assert_int_equal(chmod(path, cases[i].good), 0);
    }
    if (geteuid() == 0) { /* only root can give files away */
        path_in(&f, "keys", path);
        assert_int_equal(chown(path, 12345, (gid_t)-1), 0);
        refused(&f, &serve, ERR_DENIED, "run as its owner");
        assert_int_equal(chown(path, 0, (gid_t)-1), 0);
        path_in(&f, "format", path);
        assert_int_equal(chown(path, 12345, (gid_t)-1), 0);
        refused(&f, &serve, ERR_DENIED, "12345");
        assert_int_equal(chown(path, 0, (gid_t)-1), 0);
    }
    assert_int_equal(state_open(f.dir, &serve, &st, NULL), OK);
    state_close(&st);
    path_in(&f, "views", path);
    fixture_remove(path);
    refused(&f, &serve, ERR_NOT_FOUND, "backup");
    assert_int_equal(symlink("/tmp", path), 0);
    refused(&f, &serve, ERR_DENIED, "not a folder");
    fixture_remove(f.dir);
}

/* The other must be another process: flock is per open file, but the message names a pid. */
static void
one_server_only(void **state)
{
    char pid_text[32];
    struct fixture f;
    struct state st;
    int ready[2], done[2];
    pid_t pid;

    (void)state;
    made(&f);
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(done), 0);
    pid = fork();
    if (pid == 0) {
        char c;

        close(done[1]);
        if (state_open(f.dir, &serve, &st, NULL) == OK && write(ready[1], "x", 1) == 1)
            (void)!read(done[0], &c, 1);
        _exit(0);
    }
    assert_int_equal(read(ready[0], pid_text, 1), 1);
    snprintf(pid_text, sizeof(pid_text), "process %ld:", (long)pid);
    refused(&f, &serve, ERR_EXISTS, pid_text);
    assert_int_equal(state_open(f.dir, &look, &st, NULL), OK); /* looking is not writing */
    state_close(&st);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_int_equal(state_open(f.dir, &serve, &st, NULL), OK); /* the lock dies with its holder */
    state_close(&st);
    for (int i = 0; i < 2; i++) {
        close(ready[i]);
        close(done[i]);
    }
    fixture_remove(f.dir);
}

static void
a_failure_is_remembered(void **state)
{
    struct state_options doctor = {.exclusive = true, .doctor = true};
    char text[COMPLAINT_BYTES];
    struct fixture f;
    struct state st;
    int status;
    pid_t pid;

    (void)state;
    made(&f);
    pid = fork();
    if (pid == 0) {
        if (freopen("/dev/null", "w", stderr) == NULL || state_open(f.dir, &serve, &st, NULL) != OK)
            _exit(1);
        state_failstop(&st, "the test failed", "on purpose", "Nothing to do.");
    }
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), STORE_EXIT_FAILSTOP);
    refused(&f, &serve, ERR_CLOSED, "the test failed: on purpose");
    refused(&f, &serve, ERR_CLOSED, "gatehouse doctor");
    assert_int_equal(state_open(f.dir, &doctor, &st, NULL), OK);
    assert_int_equal(state_failure(&st, text, sizeof(text)), OK);
    assert_string_equal(text, "the test failed: on purpose");
    assert_int_equal(state_failure_clear(&st, NULL), OK);
    assert_int_equal(state_failure(&st, text, sizeof(text)), ERR_NOT_FOUND);
    state_close(&st);
    assert_int_equal(state_open(f.dir, &serve, &st, NULL), OK);
    state_close(&st);
    write_file(&f, "failed", ""); /* also without words */
    refused(&f, &serve, ERR_CLOSED, "no reason was kept");
    fixture_remove(f.dir);
}

static void
files(void **state)
{
    struct fixture f;
    struct complaint why;
    struct state st;
    uint8_t bytes[8];
    char path[STATE_PATH_BYTES];
    size_t len;

    (void)state;
    made(&f);
    assert_int_equal(state_open(f.dir, &serve, &st, NULL), OK);
    assert_int_equal(state_file_write(&st, "keys/x", span_str("1234567"), &why), OK);
    assert_int_equal(state_file_write(&st, "keys/x", span_str("12345678"), &why), OK);
    assert_int_equal(state_file_read(&st, "keys/x", bytes, 8, &len, &why), OK);
    assert_int_equal(len, 8);
    assert_int_equal(state_file_read(&st, "keys/x", bytes, 7, &len, &why), ERR_LIMIT);
    path_in(&f, "keys/x", path);
    assert_int_equal(chmod(path, 0604), 0);
    assert_int_equal(state_file_read(&st, "keys/x", bytes, 8, &len, &why), ERR_DENIED);
    assert_non_null(strstr(why.text, "chmod 0600"));
    assert_int_equal(state_file_wipe(&st, "keys/x", &why), OK);
    assert_int_equal(state_file_wipe(&st, "keys/x", &why), OK); /* gone is gone */
    assert_int_equal(state_file_read(&st, "keys/x", bytes, 8, &len, &why), ERR_NOT_FOUND);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(state_file_read(&st, "keys/x", bytes, 8, &len, &why), ERR_IO);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0); /* and does not hang */
    assert_int_equal(state_file_read(&st, "keys/x", bytes, 8, &len, &why), ERR_DENIED);
    state_close(&st);
    fixture_remove(f.dir);
}

/* A wiped file's blocks hold zeros: seen through a second link. */
static void
wiping_overwrites(void **state)
{
    char path[STATE_PATH_BYTES], other[STATE_PATH_BYTES];
    struct fixture f;
    struct state st;
    uint8_t bytes[8], zeros[8] = {0};
    size_t len;

    (void)state;
    made(&f);
    assert_int_equal(state_open(f.dir, &serve, &st, NULL), OK);
    assert_int_equal(state_file_write(&st, "keys/x", span_str("12345678"), NULL), OK);
    path_in(&f, "keys/x", path);
    path_in(&f, "keys/y", other);
    assert_int_equal(link(path, other), 0);
    assert_int_equal(state_file_wipe(&st, "keys/x", NULL), OK);
    assert_int_equal(state_file_read(&st, "keys/y", bytes, 8, &len, NULL), OK);
    assert_memory_equal(bytes, zeros, 8);
    state_close(&st);
    fixture_remove(f.dir);
}

static enum err
load(struct fixture *f, struct complaint *why)
{
    struct loglmdb_options options = {0};
    struct loglmdb *log = NULL;
    struct keychain chain = {0};
    struct keys keys = {0};
    struct state st;
    enum err err;

    why->text[0] = '\0';
    assert_int_equal(state_open(f->dir, &serve, &st, why), OK);
    if ((err = loglmdb_open(&st, &options, &log, why)) == OK &&
        (err = keychain_read(&st, log, &chain, why)) == OK)
        err = keys_load(&st, &chain.now, &keys, why);
    keys_close(&keys);
    keychain_fini(&chain);
    loglmdb_close(log);
    state_close(&st);
    return err;
}

static void
keys_must_be_the_logs(void **state)
{
    char path[STATE_PATH_BYTES], aside[STATE_PATH_BYTES], text[256];
    struct complaint why;
    struct fixture f, g;
    FILE *file;

    (void)state;
    made(&f);
    made(&g);
    assert_int_equal(load(&f, &why), OK);
    path_in(&f, "keys/event.1.key", path);
    path_in(&f, "keys/event.aside", aside);
    assert_int_equal(rename(path, aside), 0);
    assert_int_equal(load(&f, &why), ERR_NOT_FOUND);
    assert_non_null(strstr(why.text, "backup"));
    write_file(&f, "keys/event.1.key", "gatehouse-key-v1 event 1 AAAA\n");
    assert_int_equal(load(&f, &why), ERR_MALFORMED);
    write_file(&f, "keys/event.1.key",
        "gatehouse-key-v1 event 2 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
    assert_int_equal(load(&f, &why), ERR_MALFORMED);
    write_file(&f, "keys/event.1.key",
        "gatehouse-key-v1 event 1 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
    assert_int_equal(load(&f, &why), ERR_MISMATCH);
    assert_non_null(strstr(why.text, "not the key that the log names"));
    assert_int_equal(rename(aside, path), 0);
    assert_int_equal(load(&f, &why), OK);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(load(&f, &why), ERR_DENIED);
    assert_int_equal(chmod(path, 0600), 0);
    /* another log's root */
    path_in(&g, "keys/root.pub", path);
    file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof(text), file));
    fclose(file);
    write_file(&f, "keys/root.pub", text);
    assert_int_equal(load(&f, &why), ERR_MISMATCH);
    assert_non_null(strstr(why.text, "not of one backup"));
    fixture_remove(f.dir);
    fixture_remove(g.dir);
}

static void
a_missing_log_is_not_made_anew(void **state)
{
    char path[STATE_PATH_BYTES];
    struct complaint why;
    struct fixture f;

    (void)state;
    made(&f);
    path_in(&f, "log/data.mdb", path);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(load(&f, &why), ERR_NOT_FOUND);
    assert_non_null(strstr(why.text, "backup"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(load(&f, &why), ERR_NOT_FOUND);
    write_file(&f, "log/data.mdb", "this is no database, but a line of text that is rather long");
    assert_int_equal(load(&f, &why), ERR_MISMATCH);
    assert_non_null(strstr(why.text, "damaged"));
    fixture_remove(f.dir);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(origins),
        cmocka_unit_test(a_folder_that_is_none),
        cmocka_unit_test(formats),
        cmocka_unit_test(owners_and_modes),
        cmocka_unit_test(one_server_only),
        cmocka_unit_test(a_failure_is_remembered),
        cmocka_unit_test(files),
        cmocka_unit_test(wiping_overwrites),
        cmocka_unit_test(keys_must_be_the_logs),
        cmocka_unit_test(a_missing_log_is_not_made_anew),
    };

    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
