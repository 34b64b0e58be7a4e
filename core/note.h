/* note.h: signed notes (c2sp.org/signed-note) with Ed25519 keys, algorithm byte 0x01.
 * A note is a text that ends in LF, an empty line, and signature lines "— NAME BASE64(id || sig)".
 * The text ends at the last empty line. Whoever reads a note believes its text only after
 * note_verify said OK. */
#ifndef CORE_NOTE_H
#define CORE_NOTE_H

#include "core/err.h"
#include "core/limits.h"
#include "core/span.h"

#define NOTE_PUBLIC_KEY_BYTES 32
#define NOTE_SEED_BYTES       32
#define NOTE_SIGNATURE_BYTES  64
#define NOTE_VKEY_BYTES_MAX   (NOTE_KEY_NAME_BYTES_MAX + 1 + 8 + 1 + 44)
#define NOTE_SKEY_BYTES_MAX   (12 + NOTE_VKEY_BYTES_MAX)

/* A verifier key. Name and id together say which key a signature line is by. */
struct note_key {
    char name[NOTE_KEY_NAME_BYTES_MAX + 1]; /* NUL-terminated */
    uint32_t id;                            /* SHA-256(name LF 0x01 public)[:4], big-endian */
    uint8_t public_key[NOTE_PUBLIC_KEY_BYTES];
};

/* A key that signs; lives in guarded memory of its own (sodium_malloc), read-only once made. */
struct note_signer {
    struct note_key key;
    uint8_t secret[64]; /* libsodium's form: seed and public key */
};

/* Not empty, UTF-8, no Unicode space, no control, no '+'. */
bool note_name_valid(struct span name);

/* ERR_MALFORMED for the name, ERR_LIMIT if it is too long. */
MUST_USE enum err note_key_make(
    struct span name, const uint8_t public_key[NOTE_PUBLIC_KEY_BYTES], struct note_key *out);
bool note_key_equal(const struct note_key *a, const struct note_key *b);

/* NAME+IDHEX+BASE64(0x01 || public key), without LF. ERR_MALFORMED; ERR_MISMATCH when the id is not
 * the key's. */
MUST_USE enum err note_vkey_parse(struct span text, struct note_key *out);
MUST_USE enum err note_vkey_format(const struct note_key *key, char *out, size_t cap, size_t *len);

/* PRIVATE+KEY+NAME+IDHEX+BASE64(0x01 || seed): what is in a key file. The text and the seed are
 * secrets: the caller keeps them in guarded memory, and wipes them. Free with note_signer_free. */
MUST_USE enum err note_signer_new(
    struct span name, const uint8_t seed[NOTE_SEED_BYTES], struct note_signer **out);
MUST_USE enum err note_signer_parse(struct span skey, struct note_signer **out);
MUST_USE enum err note_skey_format(
    const struct note_signer *signer, char *out, size_t cap, size_t *len);
void note_signer_free(struct note_signer *signer);

/* Borrows from the message. */
struct note {
    struct span text;       /* what is signed, with its last LF */
    struct span signatures; /* whole lines, each of the right form */
};

/* Checks the whole form. ERR_MALFORMED, ERR_LIMIT. */
MUST_USE enum err note_parse(struct span message, struct note *out);

/* OK when at least one of the keys signed and every line by one of them verifies; signatures by
 * others are skipped, as C2SP asks. Else ERR_MISMATCH. */
MUST_USE enum err note_verify(const struct note *note, const struct note_key *keys, size_t count);

/* Writes text, empty line and one signature. The text must end in LF and have no control but LF:
 * ERR_MALFORMED. ERR_LIMIT if `cap` is too small. */
MUST_USE enum err note_sign(
    struct span text, const struct note_signer *signer, char *out, size_t cap, size_t *len);

#endif
