/* test_checkpoint.c: tree heads: their golden bytes, and every way to write a wrong one. */
#include <sodium.h>

#include "core/checkpoint.h"
#include "core/tree.h"
#include "tests/unit/testing.h"

#define ROOT  "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
#define EMPTY "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="

static struct note_signer *signer; /* of the seed 00 01 ... 1f */
static struct note_signer *next;   /* the log's next epoch: same name */

static int
make_keys(void **state)
{
    uint8_t seed[NOTE_SEED_BYTES];
    enum err first, second;

    (void)state;
    if (sodium_init() < 0)
        return -1;
    for (unsigned i = 0; i < sizeof(seed); i++)
        seed[i] = (uint8_t)i;
    first = note_signer_new(span_str("gatehouse.test"), seed, &signer);
    seed[0] = 0xff;
    second = note_signer_new(span_str("gatehouse.test"), seed, &next);
    return first != OK || second != OK;
}

static int
free_keys(void **state)
{
    (void)state;
    note_signer_free(signer);
    note_signer_free(next);
    return 0;
}

/* Stored and signed: a changed byte here is a decision. Ed25519 signatures are deterministic. */
static void
golden(void **state)
{
    static const char want[] =
        "gatehouse.test\n"
        "0\n" EMPTY "\n"
        "\n"
        "— gatehouse.test FuO4u8ewLYNfyqGMIQ742CxY/LjHz7ZLpuolQEORwuTmCC1o1KlifpxShNAv"
        "oKtB0hn0XtoquyRPwRTVRWuCC2gDiQ8=\n";
    char vkey[NOTE_VKEY_BYTES_MAX], out[CHECKPOINT_BYTES_MAX];
    struct checkpoint head;
    struct hash empty;
    size_t len;

    (void)state;
    tree_empty_root(&empty);
    assert_int_equal(note_vkey_format(&signer->key, vkey, sizeof(vkey), &len), OK);
    assert_true(span_equal(span_of(vkey, len),
        span_str("gatehouse.test+16e3b8bb+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4")));
    assert_int_equal(checkpoint_sign(0, &empty, signer, out, sizeof(out), &len), OK);
    assert_true(span_equal(span_of(out, len), span_str(want)));
    assert_int_equal(checkpoint_sign(0, &empty, signer, out, len - 1, &len), ERR_LIMIT);
    assert_int_equal(checkpoint_open(span_of(out, len), &signer->key, 1, &head), OK);
    assert_true(span_is(head.origin, "gatehouse.test"));
    assert_int_equal(head.size, 0);
    assert_true(hash_equal(&head.root, &empty));
    assert_int_equal(head.extra.len, 0);
}

static void
sizes(void **state)
{
    static const uint64_t cases[] = {1, 9, 10, 20852163, TREE_SIZE_MAX - 1};

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        char out[CHECKPOINT_BYTES_MAX];
        struct checkpoint head;
        struct hash root;
        size_t len;

        memset(&root, (int)i + 1, sizeof(root));
        assert_int_equal(checkpoint_sign(cases[i], &root, signer, out, sizeof(out), &len), OK);
        assert_int_equal(checkpoint_open(span_of(out, len), &signer->key, 1, &head), OK);
        assert_int_equal(head.size, cases[i]);
        assert_true(hash_equal(&head.root, &root));
    }
}

static void
texts(void **state)
{
    static const struct {
        const char *text;
        enum err err;
    } cases[] = {
        {"example.com/behind-the-sofa\n20852163\n" ROOT "\n", OK},
        {"go.sum database tree\n1\n" ROOT "\n", OK}, /* not ours, but a checkpoint */
        {"a\n0\n" EMPTY "\n", OK},
        {"a\n1\n" ROOT "\nmore\n1\n", OK},
        {"a\n4611686018427387903\n" ROOT "\n", OK},
        {"a\n4611686018427387904\n" ROOT "\n", ERR_LIMIT},
        {"a\n18446744073709551616\n" ROOT "\n", ERR_LIMIT},
        {"a\n99999999999999999999999999\n" ROOT "\n", ERR_LIMIT},
        {"a\n0\n" ROOT "\n", ERR_MISMATCH}, /* an empty tree has one root only */
        {"", ERR_MALFORMED},
        {"\n1\n" ROOT "\n", ERR_MALFORMED},
        {"a\n", ERR_MALFORMED},
        {"a\n1\n", ERR_MALFORMED},
        {"a\n1\n" ROOT, ERR_MALFORMED},
        {"a\n\n" ROOT "\n", ERR_MALFORMED},
        {"a\n01\n" ROOT "\n", ERR_MALFORMED},
        {"a\n00\n" EMPTY "\n", ERR_MALFORMED},
        {"a\n+1\n" ROOT "\n", ERR_MALFORMED},
        {"a\n-1\n" ROOT "\n", ERR_MALFORMED},
        {"a\n 1\n" ROOT "\n", ERR_MALFORMED},
        {"a\n1 \n" ROOT "\n", ERR_MALFORMED},
        {"a\n0x1\n" ROOT "\n", ERR_MALFORMED},
        {"a\n1e3\n" ROOT "\n", ERR_MALFORMED},
        {"a\n1\n\n", ERR_MALFORMED},
        {"a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxqw==\n", ERR_MALFORMED}, /* 31 bytes */
        {"a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2Ih\n", ERR_MALFORMED}, /* 33 */
        {"a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n", ERR_MALFORMED}, /* stray bits */
        {"a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I\n", ERR_MALFORMED},  /* unpadded */
        {"a\n1\n " ROOT "\n", ERR_MALFORMED},
        {"a\n1\n" ROOT "\n\n", ERR_MALFORMED},
        {"a\n1\n" ROOT "\nmore\n\nmore\n", ERR_MALFORMED},
        {"a\n1\n" ROOT "\nmore", ERR_MALFORMED},
        {"a\n1\n" ROOT "\n1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15\n16\n", OK},
        {"a\n1\n" ROOT "\n1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15\n16\n17\n", ERR_LIMIT},
    };
    static const char tail[] = "\n1\n" ROOT "\n";
    char longest[NOTE_KEY_NAME_BYTES_MAX + sizeof(tail)]; /* an origin one byte too long */
    struct checkpoint head;

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        if (checkpoint_parse(span_str(cases[i].text), &head) != cases[i].err)
            fail_msg("case %zu: %s", i, cases[i].text);
    }
    memset(longest, 'a', sizeof(longest));
    memcpy(longest + sizeof(longest) - strlen(tail), tail, strlen(tail));
    assert_int_equal(checkpoint_parse(span_of(longest, sizeof(longest)), &head), ERR_LIMIT);
    assert_int_equal(checkpoint_parse(span_of(longest + 1, sizeof(longest) - 1), &head), OK);
    assert_int_equal(checkpoint_parse(span_str(cases[3].text), &head), OK);
    assert_true(span_is(head.extra, "more\n1\n"));
}

static void
whose_head(void **state)
{
    struct note_key both[2] = {signer->key, next->key};
    char out[CHECKPOINT_BYTES_MAX], text[CHECKPOINT_BYTES_MAX];
    struct hash root = {{1}};
    struct checkpoint head;
    struct note_key other;
    size_t len;

    (void)state;
    /* Any epoch of the log's key. */
    assert_int_equal(checkpoint_sign(7, &root, next, out, sizeof(out), &len), OK);
    assert_int_equal(checkpoint_open(span_of(out, len), both, 2, &head), OK);
    assert_int_equal(checkpoint_open(span_of(out, len), both, 1, &head), ERR_MISMATCH);
    assert_int_equal(checkpoint_open(span_of(out, len), NULL, 0, &head), ERR_MISMATCH);

    /* A key of that name signs for another origin: not this log's head. */
    assert_int_equal(
        checkpoint_format(span_str("gatehouse.other"), 7, &root, text, sizeof(text), &len), OK);
    assert_int_equal(note_sign(span_of(text, len), signer, out, sizeof(out), &len), OK);
    assert_int_equal(checkpoint_open(span_of(out, len), both, 2, &head), ERR_MISMATCH);

    /* A key of another name among those handed in: the caller mixed up two logs. */
    assert_int_equal(checkpoint_sign(7, &root, signer, out, sizeof(out), &len), OK);
    assert_int_equal(note_key_make(span_str("gatehouse.other"), next->key.public_key, &other), OK);
    both[1] = other;
    assert_int_equal(checkpoint_open(span_of(out, len), both, 2, &head), ERR_MISMATCH);
    assert_int_equal(checkpoint_open(span_of(out, len), both, 1, &head), OK);

    /* Signed, but not a checkpoint. */
    assert_int_equal(
        note_sign(span_str("gatehouse.test\n07\n" ROOT "\n"), signer, out, sizeof(out), &len), OK);
    assert_int_equal(checkpoint_open(span_of(out, len), both, 1, &head), ERR_MALFORMED);
    assert_int_equal(checkpoint_open(span_str("nothing"), both, 1, &head), ERR_MALFORMED);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden),
        cmocka_unit_test(sizes),
        cmocka_unit_test(texts),
        cmocka_unit_test(whose_head),
    };

    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
