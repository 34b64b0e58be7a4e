/* test_password.c: policy (B3, B4) and verifiers, with Argon2id at its real cost. */
#include "tests/unit/testing.h"

#include "core/password.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void
guessable_passwords_are_refused(void **state)
{
    static const struct {
        const char *password;
        enum password_fault want;
    } cases[] = {
        {"", PASSWORD_SHORT}, {"k8#Vq!2mZp@", PASSWORD_SHORT}, /* 11 */
        {"passwordpassword", PASSWORD_GUESSABLE}, {"password1234", PASSWORD_GUESSABLE},
        {"123456789012", PASSWORD_GUESSABLE},
        {"1234567890123456789012345678901234567890", PASSWORD_GUESSABLE},
        {"qwertyuiopasdfghjkl", PASSWORD_GUESSABLE},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", PASSWORD_GUESSABLE},
        {"iloveyou2020", PASSWORD_GUESSABLE}, {"letmeinletmein", PASSWORD_GUESSABLE},
        {"Schmidtbauer-Schmidtbauer", PASSWORD_ACCOUNT},
        {"gatehouse-schmidtbauer", PASSWORD_ACCOUNT},
        {"correct horse battery staple", PASSWORD_FINE}, {"k8#Vq!2mZp@x", PASSWORD_FINE},
        {"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe3\x81\xae\xe5\x90\x88\xe8\xa8\x80", PASSWORD_FINE},
        {"all lower case words are fine too", PASSWORD_FINE}, /* no composition rules */
    };
    char longest[PASSWORD_BYTES_MAX + 1];

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        enum password_fault got =
            password_judge(span_str(cases[i].password), span_str("Schmidtbauer"));

        if (got != cases[i].want)
            fail_msg("%s: %s", cases[i].password, password_fault_name(got));
    }
    for (size_t i = 0; i < sizeof(longest); i++)
        longest[i] = (char)(33 + (i * 7919 * (i + 3)) % 90);
    assert_int_equal(password_judge(span_of(longest, 128), span_str("")), PASSWORD_FINE);
    assert_int_equal(password_judge(span_of(longest, 129), span_str("")), PASSWORD_LONG);
    assert_int_equal(password_judge(span_of("k8#Vq!2\0mZp@x", 13), span_str("")), PASSWORD_NUL);
}

static void
the_verifier_knows_every_byte(void **state)
{
    char verifier[PASSWORD_VERIFIER_BYTES], again[PASSWORD_VERIFIER_BYTES];
    char password[PASSWORD_BYTES_MAX + 1];

    (void)state;
    memset(password, 'x', sizeof(password));
    assert_int_equal(password_hash(span_of(password, 128), verifier), OK);
    assert_non_null(strstr(verifier, "$argon2id$v=19$m=65536,t=3,p=1$"));
    assert_true(password_verify(verifier, span_of(password, 128)));
    assert_false(password_verify(verifier, span_of(password, 127)));
    assert_false(password_verify(verifier, span_of(password, 129))); /* not cut to 128 */
    password[127] = 'y'; /* behind the 72nd byte, where bcrypt stops looking */
    assert_false(password_verify(verifier, span_of(password, 128)));
    password[127] = 'x';
    assert_int_equal(password_hash(span_of(password, 128), again), OK);
    assert_string_not_equal(verifier, again); /* salted */
    assert_false(password_outdated(verifier));
    assert_true(password_outdated("$argon2id$v=19$m=4096,t=3,p=1$c29tZXNhbHRzb21lc2FsdA$"
                                  "kZ2t4p1m0qYd7XhZcVb3nL8sQwErTyUiOpAsDfGhJkI"));
    assert_int_equal(password_hash(span_of(password, 11), again), ERR_LIMIT);
    assert_int_equal(password_hash(span_of(password, 129), again), ERR_LIMIT);
}

static uint64_t
verify_ns(const char *verifier, bool want)
{
    struct timespec a, b;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
    assert_int_equal(password_verify(verifier, span_str("k8#Vq!2mZp@x")), want);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
    return (uint64_t)(b.tv_sec - a.tv_sec) * 1000000000 + (uint64_t)b.tv_nsec - (uint64_t)a.tv_nsec;
}

static void
an_absent_account_costs_the_same(void **state)
{
    char verifier[PASSWORD_VERIFIER_BYTES];
    uint64_t real = UINT64_MAX, absent = UINT64_MAX;

    (void)state;
    assert_false(password_outdated(NULL)); /* the dummy has today's cost */
    assert_int_equal(password_hash(span_str("k8#Vq!2mZp@x"), verifier), OK);
    for (int i = 0; i < 5; i++) {
        uint64_t r = verify_ns(verifier, true), a = verify_ns(NULL, false);

        real = r < real ? r : real;
        absent = a < absent ? a : absent;
    }
    assert_true(absent > real / 10 * 8 && absent < real / 10 * 13);
}

static int
setup(void **state)
{
    (void)state;
    return sodium_init() < 0 ? -1 : 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guessable_passwords_are_refused),
        cmocka_unit_test(the_verifier_knows_every_byte),
        cmocka_unit_test(an_absent_account_costs_the_same),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
