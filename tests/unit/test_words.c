/* test_words.c: the list of words is for ever; the words of a code come out of known hash bits. */
#include "core/hash.h"
#include "core/statement.h"
#include "core/words.h"

#include "tests/unit/testing.h"

#include <sodium.h>

static void
the_list_is_sorted_short_and_golden(void **state)
{
    static char all[WORDS_COUNT * (WORD_BYTES_MAX + 1)];
    struct hash h;
    char hex[2 * HASH_BYTES + 1];
    size_t at = 0;

    (void)state;
    for (unsigned i = 0; i < WORDS_COUNT; i++) {
        const char *w = words_at(i);
        size_t n = strlen(w);

        assert_in_range(n, 3, WORD_BYTES_MAX);
        assert_int_equal(strspn(w, "abcdefghijklmnopqrstuvwxyz"), n);
        if (i > 0)
            assert_true(strcmp(words_at(i - 1), w) < 0);
        memcpy(all + at, w, n);
        at += n;
        all[at++] = '\n';
    }
    hash_bytes(span_of(all, at), &h);
    sodium_bin2hex(hex, sizeof(hex), h.b, HASH_BYTES);
    assert_string_equal(hex, "f8dfcfb17554d7ce8a7206ac4c1d9d72e3305b5091ce25de8f001873535f6409");
}

static void
both_sides_get_the_same_two_words(void **state)
{
    uint8_t seed[32], pk[32], sk[64], server[32], agent[32];
    unsigned words[2];
    char text[WORDS_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(seed); i++)
        seed[i] = (uint8_t)i;
    crypto_sign_seed_keypair(pk, sk, seed);
    memset(server, 0x22, sizeof(server));
    memset(agent, 0x33, sizeof(agent));
    statement_words(span_str("123456789"), pk, server, agent, words);
    assert_int_equal(words[0], 1516);
    assert_int_equal(words[1], 1151);
    words_text(words, text);
    assert_string_equal(text, "quince lattice");
    statement_words(span_str("123456780"), pk, server, agent, words);
    assert_false(words[0] == 1516 && words[1] == 1151);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_list_is_sorted_short_and_golden),
        cmocka_unit_test(both_sides_get_the_same_two_words),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
