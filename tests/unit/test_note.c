/* test_note.c: signed notes against the public example of Go's note package, and everything that a
 * note must not be. */
#include <sodium.h>

#include "core/note.h"
#include "tests/unit/testing.h"

#define SKEY "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
#define VKEY "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
#define TEXT                                                                                       \
    "If you think cryptography is the answer to your problem,\n"                                   \
    "then you don't know what your problem is.\n"
#define SIG                                                                                         \
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpR" \
    "Zb6KE6RyyBwJnAM=\n"
#define OTHER_VKEY "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
#define OTHER_SIG                                                                                    \
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33" \
    "WWd1RvMc+QQ=\n"
#define STRANGER "— stranger.example/x AAAAAAA=\n" /* five bytes: any algorithm may be meant */

static struct note_key keys[2];

static int
parse_keys(void **state)
{
    (void)state;
    return sodium_init() < 0 || note_vkey_parse(span_str(VKEY), &keys[0]) != OK ||
           note_vkey_parse(span_str(OTHER_VKEY), &keys[1]) != OK;
}

static enum err
open_note(const char *message, const struct note_key *with, size_t count)
{
    struct note note;
    enum err err;

    if ((err = note_parse(span_str(message), &note)) != OK)
        return err;
    return note_verify(&note, with, count);
}

static void
public_example(void **state)
{
    struct note_signer *signer;
    struct note note;
    char out[512];
    size_t len;

    (void)state;
    assert_int_equal(note_signer_parse(span_str(SKEY), &signer), OK);
    assert_true(note_key_equal(&signer->key, &keys[0]));
    assert_false(note_key_equal(&signer->key, &keys[1]));
    assert_int_equal(note_sign(span_str(TEXT), signer, out, sizeof(out), &len), OK);
    assert_true(span_equal(span_of(out, len), span_str(TEXT "\n" SIG)));
    assert_int_equal(note_sign(span_str(TEXT), signer, out, len, &len), OK);
    assert_int_equal(note_sign(span_str(TEXT), signer, out, len - 1, &len), ERR_LIMIT);
    assert_int_equal(note_skey_format(signer, out, sizeof(out), &len), OK);
    assert_true(span_equal(span_of(out, len), span_str(SKEY)));
    assert_int_equal(note_vkey_format(&signer->key, out, sizeof(out), &len), OK);
    assert_true(span_equal(span_of(out, len), span_str(VKEY)));
    assert_int_equal(note_vkey_format(&signer->key, out, len - 1, &len), ERR_LIMIT);
    note_signer_free(signer);

    assert_int_equal(note_parse(span_str(TEXT "\n" SIG OTHER_SIG), &note), OK);
    assert_true(span_is(note.text, TEXT));
    assert_true(span_is(note.signatures, SIG OTHER_SIG));
    assert_int_equal(note_verify(&note, keys, 2), OK);
    assert_int_equal(note_verify(&note, keys, 1), OK);
    assert_int_equal(note_verify(&note, keys + 1, 1), OK);
    assert_int_equal(note_verify(&note, NULL, 0), ERR_MISMATCH);
}

static void
who_signed(void **state)
{
    struct note_key same_name = keys[0], same_id = keys[0], collides = keys[0];
    struct note_key both[2];

    (void)state;
    /* Strangers are skipped, alone they prove nothing. */
    assert_int_equal(open_note(TEXT "\n" STRANGER SIG STRANGER, keys, 1), OK);
    assert_int_equal(open_note(TEXT "\n" STRANGER, keys, 1), ERR_MISMATCH);
    assert_int_equal(open_note(TEXT "\n" OTHER_SIG, keys, 1), ERR_MISMATCH);

    /* Another text, and a false line beside a good one. */
    assert_int_equal(open_note("x" TEXT "\n" SIG, keys, 1), ERR_MISMATCH);
    assert_int_equal(open_note(TEXT "\n\n" SIG, keys, 1), ERR_MISMATCH);
    assert_int_equal(open_note(TEXT "\n— PeterNeumann x08gowAAAAA=\n" SIG, keys, 1), ERR_MISMATCH);
    assert_int_equal(
        open_note(TEXT "\n" SIG "— PeterNeumann x08gowAAAAA=\n", keys, 1), ERR_MISMATCH);
    /* The beginning of the good one, behind it: the rest must not come from what was there before.
     */
    assert_int_equal(open_note(TEXT "\n" SIG "— PeterNeumann x08go/ZJ\n", keys, 1), ERR_MISMATCH);

    /* Name and id make the key; sharing one of them is a stranger. */
    same_name.id ^= 1;
    assert_int_equal(open_note(TEXT "\n" SIG, &same_name, 1), ERR_MISMATCH);
    memcpy(same_id.name, "Peter", sizeof("Peter"));
    assert_int_equal(open_note(TEXT "\n" SIG, &same_id, 1), ERR_MISMATCH);
    both[0] = same_name;
    both[1] = keys[0];
    assert_int_equal(open_note(TEXT "\n" SIG, both, 2), OK);

    /* Same name and id, other key: does not verify, except beside the right one. */
    collides.public_key[0] ^= 1;
    assert_int_equal(open_note(TEXT "\n" SIG, &collides, 1), ERR_MISMATCH);
    both[0] = collides;
    assert_int_equal(open_note(TEXT "\n" SIG, both, 2), OK);
}

/* Every single bit of the note matters. */
static void
no_bit_may_change(void **state)
{
    char message[] = TEXT "\n" SIG;

    (void)state;
    for (size_t i = 0; i < strlen(message) * 8; i++) {
        struct note note;

        message[i / 8] = (char)(message[i / 8] ^ 1 << i % 8);
        if (note_parse(span_of(message, sizeof(message) - 1), &note) == OK)
            assert_int_equal(note_verify(&note, keys, 1), ERR_MISMATCH);
        message[i / 8] = (char)(message[i / 8] ^ 1 << i % 8);
    }
    assert_int_equal(open_note(message, keys, 1), OK);
}

static void
text_ends_at_the_last_empty_line(void **state)
{
    static const char text[] = "a\n\n— PeterNeumann x08gowAAAAA=\n\n\nb\n";
    struct note_signer *signer;
    struct note note;
    char out[512];
    size_t len;

    (void)state;
    assert_int_equal(note_signer_parse(span_str(SKEY), &signer), OK);
    assert_int_equal(note_sign(span_str(text), signer, out, sizeof(out), &len), OK);
    assert_int_equal(note_parse(span_of(out, len), &note), OK);
    assert_true(span_is(note.text, text));
    assert_int_equal(note_verify(&note, keys, 1), OK);

    assert_int_equal(note_sign(span_str("\n"), signer, out, sizeof(out), &len), OK);
    assert_int_equal(note_parse(span_of(out, len), &note), OK);
    assert_true(span_is(note.text, "\n"));
    assert_int_equal(note_verify(&note, keys, 1), OK);

    assert_int_equal(note_sign(span_str(""), signer, out, sizeof(out), &len), ERR_MALFORMED);
    assert_int_equal(note_sign(span_str("a"), signer, out, sizeof(out), &len), ERR_MALFORMED);
    assert_int_equal(note_sign(span_str("a\r\n"), signer, out, sizeof(out), &len), ERR_MALFORMED);
    assert_int_equal(note_sign(span_str("\xff\n"), signer, out, sizeof(out), &len), ERR_MALFORMED);
    note_signer_free(signer);
}

static void
malformed(void **state)
{
    static const char *const cases[] = {"", "\n", "\n\n", "a", "a\n", "a\n\n", SIG, "\n" SIG,
        "a\n" SIG, "a\n\n\n", /* no signature */
        "a\n\n" SIG "\n",     /* empty line at the end */
        "a\n\n" SIG "b\n",    /* something else among signatures */
        "a\n\n" STRANGER "— PeterNeumann x08gowAAAAA=",
        "a\n\n— PeterNeumann x08gowAAAAA=",            /* no LF at the end */
        "a\n\n- PeterNeumann x08gowAAAAA=\n",          /* hyphen */
        "a\n\n—PeterNeumann x08gowAAAAA=\n",           /* no space behind the dash */
        "a\n\n— PeterNeumann\n",                       /* no signature part */
        "a\n\n— PeterNeumann \n",                      /* empty signature */
        "a\n\n—  x08gowAAAAA=\n",                      /* empty name */
        "a\n\n— Peter+Neumann x08gowAAAAA=\n",         /* plus in a name */
        "a\n\n— Peter\xc2\xa0Neumann x08gowAAAAA=\n",  /* no-break space in a name */
        "a\n\n— Peter\xe3\x80\x80N x08gowAAAAA=\n",    /* ideographic space */
        "a\n\n— PeterNeumann x08gowAAAAA\n",           /* padding left out */
        "a\n\n— PeterNeumann x08gowAAAAA=A\n",         /* padding inside */
        "a\n\n— PeterNeumann x08gowAAAAB=\n",          /* stray bits */
        "a\n\n— PeterNeumann x08g owAAAAA=\n",         /* space in base64 */
        "a\n\n— PeterNeumann x08gow==\n",              /* id and nothing more */
        "a\n\n— PeterNeumann x08=\n", "a\r\n\r\n" SIG, /* CR */
        "a\t\n\n" SIG, "a\x7f\n\x1b\n\n" SIG, "\xc3\n\n" SIG, "\xc0\xaf\n\n" SIG,
        "\xed\xa0\x80\n\n" SIG};
    struct note note;

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        if (note_parse(span_str(cases[i]), &note) != ERR_MALFORMED)
            fail_msg("case %zu is taken: %s", i, cases[i]);
    }
    assert_int_equal(
        note_parse(span_of("a\0\n\n" STRANGER, 4 + strlen(STRANGER)), &note), ERR_MALFORMED);
    assert_int_equal(note_parse(span_of(NULL, 0), &note), ERR_MALFORMED);
}

static void
limits(void **state)
{
    static char message[SIGNED_NOTE_BYTES_MAX + 2];
    struct note note;
    size_t len = 3;

    (void)state;
    memcpy(message, "a\n\n", 3);
    for (unsigned i = 1; i <= SIGNED_NOTE_SIGS_MAX + 1; i++) {
        memcpy(message + len, STRANGER, strlen(STRANGER));
        len += strlen(STRANGER);
        assert_int_equal(
            note_parse(span_of(message, len), &note), i <= SIGNED_NOTE_SIGS_MAX ? OK : ERR_LIMIT);
    }
    memset(message, 'a', sizeof(message));
    len = sizeof(message) - strlen("\n\n" STRANGER);
    memcpy(message + len, "\n\n" STRANGER, strlen("\n\n" STRANGER));
    assert_int_equal(note_parse(span_of(message, sizeof(message)), &note), ERR_LIMIT);
    assert_int_equal(note_parse(span_of(message + 2, sizeof(message) - 2), &note), OK);
}

static void
keys_in_text(void **state)
{
    static const struct {
        const char *vkey;
        enum err err;
    } cases[] = {
        {VKEY, OK},
        {"PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", ERR_MISMATCH},
        {"PeterNewmann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", ERR_MISMATCH},
        {"PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TX", ERR_MISMATCH},
        {"PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", ERR_MALFORMED},
        {"PeterNeumann+0c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", ERR_MALFORMED},
        {"PeterNeumann+c74f20a+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", ERR_MALFORMED},
        {"PeterNeumann+c74f20g3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", ERR_MALFORMED},
        {"PeterNeumann+ c74f20a+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", ERR_MALFORMED},
        /* another algorithm, too short, too long, not base64, parts missing, more behind */
        {"PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", ERR_MALFORMED},
        {"PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10Q=", ERR_MALFORMED},
        {"PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWAA==", ERR_MALFORMED},
        {"PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq_LDE4izWy10TW", ERR_MALFORMED},
        {"PeterNeumann+c74f20a3+", ERR_MALFORMED},
        {"PeterNeumann+c74f20a3", ERR_MALFORMED},
        {"PeterNeumann", ERR_MALFORMED},
        {"", ERR_MALFORMED},
        {"+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", ERR_MALFORMED},
        {"Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", ERR_MALFORMED},
        {VKEY "\n", ERR_MALFORMED},
        {SKEY, ERR_MALFORMED},
    };
    struct note_signer *signer;
    struct note_key key;

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        if (note_vkey_parse(span_str(cases[i].vkey), &key) != cases[i].err)
            fail_msg("case %zu: %s", i, cases[i].vkey);
    }
    assert_int_equal(note_signer_parse(span_str(VKEY), &signer), ERR_MALFORMED);
    assert_int_equal(note_signer_parse(span_str("PRIVATE+KEY+" VKEY), &signer), ERR_MISMATCH);
    assert_int_equal(note_signer_parse(span_str("PRIVATE+KEY+PeterNeumann+c74f20a4+"
                                                "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"),
                         &signer),
        ERR_MISMATCH);
    assert_int_equal(note_signer_parse(span_str(SKEY "\n"), &signer), ERR_MALFORMED);
}

static void
names(void **state)
{
    char longest[NOTE_KEY_NAME_BYTES_MAX + 1];
    char out[NOTE_VKEY_BYTES_MAX];
    struct note_key key, back;
    size_t len;

    (void)state;
    assert_true(note_name_valid(span_str("gatehouse.example/root")));
    assert_true(note_name_valid(span_str("tor.zürich")));
    assert_false(note_name_valid(span_str("")));
    assert_false(note_name_valid(span_str("a b")));
    assert_false(note_name_valid(span_str("a\n")));
    assert_false(note_name_valid(span_str("a+b")));
    assert_false(note_name_valid(span_str("a\xe2\x80\xa8")));
    assert_false(note_name_valid(span_str("a\xff")));

    memset(longest, 'n', sizeof(longest));
    assert_int_equal(
        note_key_make(span_of(longest, sizeof(longest)), keys[0].public_key, &key), ERR_LIMIT);
    assert_int_equal(
        note_key_make(span_of(longest, sizeof(longest) - 1), keys[0].public_key, &key), OK);
    assert_int_equal(note_vkey_format(&key, out, sizeof(out), &len), OK);
    assert_int_equal(len, NOTE_VKEY_BYTES_MAX);
    assert_int_equal(note_vkey_parse(span_of(out, len), &back), OK);
    assert_true(note_key_equal(&key, &back));
    assert_int_equal(note_key_make(span_str("a b"), keys[0].public_key, &key), ERR_MALFORMED);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(public_example),
        cmocka_unit_test(who_signed),
        cmocka_unit_test(no_bit_may_change),
        cmocka_unit_test(text_ends_at_the_last_empty_line),
        cmocka_unit_test(malformed),
        cmocka_unit_test(limits),
        cmocka_unit_test(keys_in_text),
        cmocka_unit_test(names),
    };

    return cmocka_run_group_tests(tests, parse_keys, NULL);
}
