/* test_jwt_secret.c: which source decides, which secrets are refused, and what the message says. */
#include "tests/unit/testing.h"

#include "http/jwt_secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET "4pQmZ7vL2xRk9sTnW3bHc8YdJf6GaEu1oXiVrKq5NyMwPzBtUgSjDhClFeA0_-Q7kRz"
#define OTHER  "zYxWtbuL0U83LwdhxwNTHCZplmem5KCcYS03cVFbjel5p8_RDu658ZXJvqaINNHdClC_"

static char dir[64];

static int
setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/gatehouse-test-XXXXXX");
    unsetenv("JWT_SECRET");
    unsetenv("JWT_SECRET_FILE");
    unsetenv("JWT_SECRET_PREVIOUS");
    unsetenv("JWT_SECRET_PREVIOUS_FILE");
    unsetenv("JWT_SECRET_GRACE");
    unsetenv("CREDENTIALS_DIRECTORY");
    return mkdtemp(dir) == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
    static const char *const names[] = {
        "jwt.env", "jwt.env.next", "jwt_secret", "jwt_secret_previous", "file"};
    char path[128];

    (void)state;
    for (size_t i = 0; i < ROWS(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        unlink(path);
    }
    return rmdir(dir);
}

static const char *
put(const char *name, const char *text, mode_t mode)
{
    static char path[128];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
    return path;
}

static void
loads(const char *secret, const char *source)
{
    struct jwt_secret s;
    char why[512];

    if (jwt_secret_load(dir, &s, why, sizeof(why)) != OK)
        fail_msg("%s", why);
    assert_int_equal(s.len, strlen(secret));
    assert_memory_equal(s.text, secret, s.len);
    assert_non_null(strstr(s.source, source));
    jwt_secret_fini(&s);
}

static void
refuses(enum err want, const char *said)
{
    struct jwt_secret s;
    char why[512];

    assert_int_equal(jwt_secret_load(dir, &s, why, sizeof(why)), want);
    if (strstr(why, said) == NULL)
        fail_msg("'%s' is not in: %s", said, why);
    assert_null(strstr(why, "zYxW")); /* never the secret */
    assert_null(s.text);
}

static void
the_first_source_decides(void **state)
{
    (void)state;
    refuses(ERR_NOT_FOUND, "gatehouse init");
    put("jwt.env", "# comment\nJWT_SECRET=" SECRET "\n", 0600);
    loads(SECRET, "/jwt.env");
    put("jwt_secret", OTHER "\n", 0440); /* systemd's own modes */
    setenv("CREDENTIALS_DIRECTORY", dir, 1);
    loads(OTHER, "/jwt_secret");
    setenv("JWT_SECRET_FILE", put("file", SECRET "\n", 0600), 1);
    loads(SECRET, "/file");
    setenv("JWT_SECRET", OTHER, 1);
    loads(OTHER, "environment JWT_SECRET");
    /* a bad source is an error, not a reason to look further */
    setenv("JWT_SECRET", "short", 1);
    refuses(ERR_DENIED, "environment JWT_SECRET is shorter than 64 characters");
    setenv("JWT_SECRET_FILE", "/nonexistent/file", 1);
    refuses(ERR_NOT_FOUND, "cannot read the JWT secret from /nonexistent/file");
}

static void
the_environment_is_wiped(void **state)
{
    static char entry[] = "JWT_SECRET=" SECRET;

    (void)state;
    putenv(entry);
    loads(SECRET, "environment");
    assert_null(getenv("JWT_SECRET"));
    assert_null(strstr(entry, "4pQm"));
    assert_int_equal(entry[sizeof("JWT_SECRET=") - 1], 0);
}

static void
files_must_be_private(void **state)
{
    (void)state;
    put("jwt.env", "JWT_SECRET=" SECRET "\n", 0640);
    refuses(ERR_DENIED, "chmod 600");
    put("jwt.env", "JWT_SECRET=" SECRET "\n", 0604);
    refuses(ERR_DENIED, "mode 0604");
    put("jwt.env", "JWT_SECRET=" SECRET, 0400);
    loads(SECRET, "/jwt.env");
    setenv("JWT_SECRET_FILE", put("file", SECRET, 0644), 1);
    refuses(ERR_DENIED, "chmod 600");
    setenv("JWT_SECRET_FILE", dir, 1);
    refuses(ERR_IO, "not a regular file");
}

static void
jwt_env_is_read_strictly(void **state)
{
    struct jwt_secret s;
    char why[512];

    (void)state;
    put("jwt.env", "", 0600);
    refuses(ERR_MALFORMED, "has no line JWT_SECRET=");
    put("jwt.env", "JWT_SECRET=" SECRET "\nJWT_SECRET=" OTHER "\n", 0600);
    refuses(ERR_MALFORMED, "line 2");
    put("jwt.env", "JWT_SECRET=" SECRET "\nSOMETHING=else\n", 0600);
    refuses(ERR_MALFORMED, "line 2");
    put("jwt.env", "\nexport JWT_SECRET=" SECRET "\n", 0600);
    refuses(ERR_MALFORMED, "line 2");
    put("jwt.env", "JWT_SECRET=\n", 0600);
    refuses(ERR_DENIED, "is empty");
    put("jwt.env", "JWT_SECRET=changeme\n", 0600);
    refuses(ERR_DENIED, "shorter");
    put("jwt.env",
        "JWT_SECRET=" SECRET "\nJWT_SECRET_PREVIOUS=" OTHER "\nJWT_SECRET_PREVIOUS_END=12345\n",
        0600);
    assert_int_equal(jwt_secret_load(dir, &s, why, sizeof(why)), OK);
    assert_int_equal(s.previous_len, strlen(OTHER));
    assert_int_equal(s.previous_end_s, 12345);
    jwt_secret_fini(&s);
}

static void
samples_are_refused(void **state)
{
    static const struct {
        const char *secret, *why;
    } cases[] = {
        {"", "is empty"},
        {"changeme", "shorter"},
        {"4pQmZ7vL2xRk9sTnW3bHc8YdJf6GaEu1oXiVrKq5NyMwPzBtUgSjDhClFeA0_-Q", "shorter"}, /* 63 */
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "repeats"},
        {"4pQmZ7vL2xRk9sTnW3bHc8YdJf6GaEu1oX4pQmZ7vL2xRk9sTnW3bHc8YdJf6GaEu1oX", "repeats"},
        {"0101101110011010110111001010110111001010110111001011100110101101110010", "too few"},
        {"changeme-4pQmZ7vL2xRk9sTnW3bHc8YdJf6GaEu1oXiVrKq5NyMwPzBtUgSjDhClFeA0", "known sample"},
        {"4pQmZ7vL2xRk9sTnW3bHc8Ydyour-256-bit-secretJf6GaEu1oXiVrKq5NyMwPzBtUgSj", "known sample"},
        {"4pQmZ7vL2xRk9sTnW3bHc8YdJf6GaEu1oXiVrKq5NyMwPzBtUgSjDh SuperSecret0", "holds a space"},
        {"4pQmZ7vL2xRk9sTnW3bHc8YdJf6GaEu1oXiVrKq5NyMwPzBtUgSjDh-SuperSecret0", "known sample"},
        {"4pQmZ7vL2xRk9sTnW3bHc8YdJf6GaEu1oXiVrKq5NyMwPzBtUgSjDhClFeA0_-\xc3\xbc"
         "abc",
            "non-ASCII"},
    };

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        const char *why = jwt_secret_weakness(span_str(cases[i].secret));

        if (why == NULL || strstr(why, cases[i].why) == NULL)
            fail_msg("%s: %s", cases[i].secret, why == NULL ? "taken" : why);
    }
    assert_null(jwt_secret_weakness(span_str(SECRET)));
}

static void
a_generated_secret_is_fit_and_fresh(void **state)
{
    char a[JWT_SECRET_GENERATED + 1], b[JWT_SECRET_GENERATED + 1];
    struct stat st;
    char path[128];

    (void)state;
    jwt_secret_generate(a);
    jwt_secret_generate(b);
    assert_int_equal(strlen(a), JWT_SECRET_GENERATED);
    assert_string_not_equal(a, b);
    assert_null(jwt_secret_weakness(span_str(a)));
    assert_int_equal(jwt_secret_write(dir, span_str(a)), OK);
    snprintf(path, sizeof(path), "%s/jwt.env", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    loads(a, "/jwt.env");
    assert_int_equal(jwt_secret_write(dir, span_str(b)), ERR_EXISTS);
    loads(a, "/jwt.env");
    assert_int_equal(jwt_secret_write("/nonexistent", span_str(b)), ERR_IO);
}

static void
a_rotation_is_proposed_then_adopted(void **state)
{
    struct hash want, got;
    struct jwt_secret s;
    char why[512];

    (void)state;
    put("jwt.env", "JWT_SECRET=" SECRET "\n", 0600);
    assert_int_equal(jwt_secret_proposed(dir, &got, why, sizeof(why)), ERR_NOT_FOUND);
    assert_int_equal(jwt_secret_propose(dir, span_str(OTHER), span_str(SECRET), 99), OK);
    loads(SECRET, "/jwt.env"); /* still in force */
    jwt_secret_fingerprint(span_str(OTHER), &want);
    assert_int_equal(jwt_secret_proposed(dir, &got, why, sizeof(why)), OK);
    assert_true(hash_equal(&got, &want));
    assert_int_equal(jwt_secret_discard(dir), OK);
    assert_int_equal(jwt_secret_discard(dir), ERR_NOT_FOUND);
    loads(SECRET, "/jwt.env");
    assert_int_equal(jwt_secret_propose(dir, span_str(OTHER), span_str(SECRET), 99), OK);
    assert_int_equal(jwt_secret_adopt(dir), OK);
    assert_int_equal(jwt_secret_adopt(dir), ERR_IO); /* nothing is proposed */
    assert_int_equal(jwt_secret_load(dir, &s, why, sizeof(why)), OK);
    assert_true(s.in_state);
    assert_int_equal(s.previous_end_s, 99);
    assert_memory_equal(s.text, OTHER, s.len);
    assert_memory_equal(s.previous, SECRET, s.previous_len);
    jwt_secret_fini(&s);
}

/* The bytes of a secret that was replaced are not left in its file for whoever still has it open.
 */
static void
the_old_file_is_overwritten(void **state)
{
    char bytes[256] = "", zeros[256] = {0};
    int fd;

    (void)state;
    fd = open(put("jwt.env", "JWT_SECRET=" SECRET "\n", 0600), O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(jwt_secret_propose(dir, span_str(OTHER), span_of(NULL, 0), 0), OK);
    assert_int_equal(jwt_secret_adopt(dir), OK);
    assert_true(read(fd, bytes, sizeof(bytes)) > (ssize_t)strlen(SECRET));
    assert_memory_equal(bytes, zeros, sizeof(bytes));
    close(fd);
    loads(OTHER, "/jwt.env");
}

static void
the_one_before_comes_from_the_same_place(void **state)
{
    static char entry[] = "JWT_SECRET_PREVIOUS=" OTHER;
    struct jwt_secret s;
    char why[512];

    (void)state;
    setenv("JWT_SECRET", SECRET, 1);
    putenv(entry);
    assert_int_equal(jwt_secret_load(dir, &s, why, sizeof(why)), OK);
    assert_memory_equal(s.previous, OTHER, s.previous_len);
    assert_int_equal(s.grace_s, 900);
    assert_false(s.in_state);
    assert_null(getenv("JWT_SECRET_PREVIOUS"));
    assert_null(strstr(entry, "zYxW"));
    jwt_secret_fini(&s);

    setenv("JWT_SECRET", SECRET, 1);
    setenv("JWT_SECRET_PREVIOUS_FILE", put("file", OTHER "\n", 0600), 1);
    setenv("JWT_SECRET_GRACE", "5m", 1);
    assert_int_equal(jwt_secret_load(dir, &s, why, sizeof(why)), OK);
    assert_memory_equal(s.previous, OTHER, s.previous_len);
    assert_int_equal(s.grace_s, 300);
    jwt_secret_fini(&s);

    setenv("JWT_SECRET", SECRET, 1);
    setenv("JWT_SECRET_GRACE", "16m", 1);
    refuses(ERR_MALFORMED, "JWT_SECRET_GRACE");
    setenv("JWT_SECRET", SECRET, 1);
    put("file", OTHER "\n", 0644);
    refuses(ERR_DENIED, "chmod 600");
    unsetenv("JWT_SECRET_PREVIOUS_FILE");
    unsetenv("JWT_SECRET_GRACE");

    setenv("JWT_SECRET", SECRET, 1);
    setenv("JWT_SECRET_PREVIOUS", "changeme", 1);
    refuses(ERR_DENIED, "previous JWT secret from environment JWT_SECRET is shorter");

    put("jwt_secret", SECRET "\n", 0440);
    setenv("CREDENTIALS_DIRECTORY", dir, 1);
    put("jwt_secret_previous", OTHER "\n", 0440);
    assert_int_equal(jwt_secret_load(dir, &s, why, sizeof(why)), OK);
    assert_memory_equal(s.previous, OTHER, s.previous_len);
    jwt_secret_fini(&s);
}

static void
a_grace_has_bounds(void **state)
{
    static const struct {
        const char *text;
        int64_t seconds; /* 0: refused */
    } cases[] = {{"1s", 1}, {"90", 90}, {"90s", 90}, {"15m", 900}, {"900s", 900}, {"901", 0},
        {"16m", 0}, {"0", 0}, {"0m", 0}, {"", 0}, {"m", 0}, {"s", 0}, {"-5", 0}, {"5h", 0},
        {"5 m", 0}, {"99999999999s", 0}, {"1mm", 0}};

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        int64_t seconds = 0;
        enum err err = jwt_secret_grace(cases[i].text, &seconds);

        if ((err == OK) != (cases[i].seconds != 0) || seconds != cases[i].seconds)
            fail_msg("%s: %lld", cases[i].text, (long long)seconds);
    }
}

static void
an_exported_secret_is_for_its_owner_only(void **state)
{
    struct stat st;
    char path[128], bytes[256] = "";
    int fd;

    (void)state;
    snprintf(path, sizeof(path), "%s/file", dir);
    assert_int_equal(jwt_secret_export(path, span_str(SECRET)), OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    fd = open(path, O_RDONLY);
    assert_true(read(fd, bytes, sizeof(bytes) - 1) > 0);
    close(fd);
    assert_string_equal(bytes, SECRET "\n");
    assert_int_equal(jwt_secret_export(path, span_str(SECRET)), ERR_EXISTS);
    assert_int_equal(jwt_secret_export("/nonexistent/x", span_str(SECRET)), ERR_IO);
    setenv("JWT_SECRET_FILE", path, 1);
    loads(SECRET, path);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_first_source_decides, setup, teardown),
        cmocka_unit_test_setup_teardown(the_environment_is_wiped, setup, teardown),
        cmocka_unit_test_setup_teardown(files_must_be_private, setup, teardown),
        cmocka_unit_test_setup_teardown(jwt_env_is_read_strictly, setup, teardown),
        cmocka_unit_test_setup_teardown(a_generated_secret_is_fit_and_fresh, setup, teardown),
        cmocka_unit_test_setup_teardown(a_rotation_is_proposed_then_adopted, setup, teardown),
        cmocka_unit_test_setup_teardown(the_old_file_is_overwritten, setup, teardown),
        cmocka_unit_test_setup_teardown(the_one_before_comes_from_the_same_place, setup, teardown),
        cmocka_unit_test_setup_teardown(an_exported_secret_is_for_its_owner_only, setup, teardown),
        cmocka_unit_test(a_grace_has_bounds),
        cmocka_unit_test(samples_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
