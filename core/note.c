/* note.c: signed notes and their Ed25519 keys. Never believes a name or an id without the
 * signature. Allocates signers only, in guarded memory. Pure; any thread (the journal signs
 * checkpoints). */
#include "core/note.h"

#include <sodium.h>

#include "core/ascii.h"
#include "core/hash.h"
#include "core/text.h"

#define ALG_ED25519 0x01
#define KEY_BYTES   (1 + NOTE_PUBLIC_KEY_BYTES) /* algorithm byte and key or seed */
#define SIG_PREFIX  "\xe2\x80\x94 "             /* em dash, space */

/* White_Space of Unicode above ASCII; below U+0021 nothing is taken anyway. */
static bool
is_space(uint32_t point)
{
    return point == 0x85 || point == 0xa0 || point == 0x1680 ||
           (point >= 0x2000 && point <= 0x200a) || point == 0x2028 || point == 0x2029 ||
           point == 0x202f || point == 0x205f || point == 0x3000;
}

bool
note_name_valid(struct span name)
{
    if (name.len == 0)
        return false;
    while (name.len > 0) {
        uint32_t point;
        size_t took = text_next(name, &point);

        if (took == 0 || point <= ' ' || point == '+' || is_space(point))
            return false;
        name = span_of(name.ptr + took, name.len - took);
    }
    return true;
}

static uint32_t
load_u32(const uint8_t *b)
{
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static void
store_u32(uint32_t value, uint8_t *b)
{
    for (unsigned i = 0; i < 4; i++)
        b[i] = (uint8_t)(value >> (24 - 8 * i));
}

enum err
note_key_make(
    struct span name, const uint8_t public_key[NOTE_PUBLIC_KEY_BYTES], struct note_key *out)
{
    static const uint8_t middle[2] = {'\n', ALG_ED25519};
    struct note_key key = {0};
    struct hash hash;

    if (!note_name_valid(name))
        return ERR_MALFORMED;
    if (name.len > NOTE_KEY_NAME_BYTES_MAX)
        return ERR_LIMIT;
    memcpy(key.name, name.ptr, name.len);
    memcpy(key.public_key, public_key, NOTE_PUBLIC_KEY_BYTES);
    hash_parts((struct span[]){name, span_of(middle, sizeof(middle)),
                   span_of(public_key, NOTE_PUBLIC_KEY_BYTES)},
        3, &hash);
    key.id = load_u32(hash.b);
    *out = key;
    return OK;
}

bool
note_key_equal(const struct note_key *a, const struct note_key *b)
{
    return a->id == b->id && span_equal(span_str(a->name), span_str(b->name)) &&
           memcmp(a->public_key, b->public_key, NOTE_PUBLIC_KEY_BYTES) == 0;
}

/* Takes the bytes before the next '+' off `rest`. */
static bool
take_field(struct span *rest, struct span *field)
{
    const uint8_t *plus = rest->len > 0 ? memchr(rest->ptr, '+', rest->len) : NULL;

    if (plus == NULL)
        return false;
    *field = span_of(rest->ptr, (size_t)(plus - rest->ptr));
    *rest = span_of(plus + 1, rest->len - field->len - 1);
    return true;
}

/* NAME+IDHEX+BASE64(0x01 || 32 bytes), public or secret alike. `bytes` is the caller's to wipe. */
static enum err
parse_key(struct span text, struct span *name, uint32_t *id, uint8_t bytes[KEY_BYTES])
{
    struct span hex;
    size_t len;

    *id = 0;
    if (!take_field(&text, name) || !take_field(&text, &hex) || hex.len != 8)
        return ERR_MALFORMED;
    for (size_t i = 0; i < hex.len; i++) {
        const char *digit = memchr("0123456789abcdef", hex.ptr[i], 16);

        if (digit == NULL)
            return ERR_MALFORMED;
        *id = *id << 4 | (uint32_t)(hex.ptr[i] <= '9' ? hex.ptr[i] - '0' : hex.ptr[i] - 'a' + 10);
    }
    if (base64_decode(BASE64_STD, text, bytes, KEY_BYTES, &len) != OK || len != KEY_BYTES ||
        bytes[0] != ALG_ED25519)
        return ERR_MALFORMED;
    return OK;
}

static void
format_key(struct ascii *a, const struct note_key *key, const uint8_t bytes[32])
{
    uint8_t coded[KEY_BYTES];
    uint8_t id[4];
    char hex[9];

    store_u32(key->id, id);
    sodium_bin2hex(hex, sizeof(hex), id, sizeof(id));
    coded[0] = ALG_ED25519;
    memcpy(coded + 1, bytes, 32);
    ascii_str(a, key->name);
    ascii_str(a, "+");
    ascii_str(a, hex);
    ascii_str(a, "+");
    ascii_base64(a, BASE64_STD, span_of(coded, sizeof(coded)));
    sodium_memzero(coded, sizeof(coded));
}

enum err
note_vkey_parse(struct span text, struct note_key *out)
{
    uint8_t bytes[KEY_BYTES];
    struct note_key key;
    struct span name;
    uint32_t id;
    enum err err;

    if ((err = parse_key(text, &name, &id, bytes)) != OK)
        return err;
    if ((err = note_key_make(name, bytes + 1, &key)) != OK)
        return err;
    if (key.id != id)
        return ERR_MISMATCH;
    *out = key;
    return OK;
}

enum err
note_vkey_format(const struct note_key *key, char *out, size_t cap, size_t *len)
{
    struct ascii a;

    ascii_init(&a, out, cap);
    format_key(&a, key, key->public_key);
    return ascii_end(&a, len);
}

enum err
note_signer_new(struct span name, const uint8_t seed[NOTE_SEED_BYTES], struct note_signer **out)
{
    struct note_signer *signer = sodium_malloc(sizeof(*signer));
    uint8_t public_key[NOTE_PUBLIC_KEY_BYTES];
    enum err err;

    if (signer == NULL)
        return ERR_MEMORY;
    crypto_sign_seed_keypair(public_key, signer->secret, seed);
    if ((err = note_key_make(name, public_key, &signer->key)) != OK) {
        note_signer_free(signer);
        return err;
    }
    sodium_mprotect_readonly(signer);
    *out = signer;
    return OK;
}

enum err
note_signer_parse(struct span skey, struct note_signer **out)
{
    uint8_t bytes[KEY_BYTES] = {0};
    struct note_signer *signer = NULL;
    struct span name;
    uint32_t id;
    enum err err = ERR_MALFORMED;

    if (!ascii_skip(&skey, "PRIVATE+KEY+"))
        goto out;
    if ((err = parse_key(skey, &name, &id, bytes)) != OK)
        goto out;
    if ((err = note_signer_new(name, bytes + 1, &signer)) != OK)
        goto out;
    if (signer->key.id != id) {
        err = ERR_MISMATCH;
        goto out;
    }
    *out = signer;
    signer = NULL;
out:
    sodium_memzero(bytes, sizeof(bytes));
    note_signer_free(signer);
    return err;
}

enum err
note_skey_format(const struct note_signer *signer, char *out, size_t cap, size_t *len)
{
    struct ascii a;

    ascii_init(&a, out, cap);
    ascii_str(&a, "PRIVATE+KEY+");
    format_key(&a, &signer->key, signer->secret); /* the seed comes first */
    return ascii_end(&a, len);
}

void
note_signer_free(struct note_signer *signer)
{
    sodium_free(signer); /* wipes */
}

/* UTF-8 without control characters but LF. */
static bool
is_note_text(struct span text)
{
    while (text.len > 0) {
        uint32_t point;
        size_t took = text_next(text, &point);

        if (took == 0 || (point < ' ' && point != '\n'))
            return false;
        text = span_of(text.ptr + took, text.len - took);
    }
    return true;
}

/* A signature line: whose, and the base64 of id and signature. */
struct signature {
    struct span name;
    struct span coded;
};

static bool
parse_signature(struct span line, struct signature *out)
{
    const uint8_t *space;
    size_t bytes;

    if (!ascii_skip(&line, SIG_PREFIX) || line.len == 0 ||
        (space = memchr(line.ptr, ' ', line.len)) == NULL)
        return false;
    out->name = span_of(line.ptr, (size_t)(space - line.ptr));
    out->coded = span_of(space + 1, line.len - out->name.len - 1);
    return note_name_valid(out->name) && base64_check(BASE64_STD, out->coded, &bytes) == OK &&
           bytes > 4;
}

/* Where the last empty line is: the offset of its LF. */
static bool
find_last_empty_line(struct span message, size_t *at)
{
    for (size_t i = message.len; i-- > 1;) {
        if (message.ptr[i] == '\n' && message.ptr[i - 1] == '\n') {
            *at = i;
            return true;
        }
    }
    return false;
}

enum err
note_parse(struct span message, struct note *out)
{
    struct signature signature;
    struct span rest, line;
    unsigned count = 0;
    size_t at;

    if (message.len > SIGNED_NOTE_BYTES_MAX)
        return ERR_LIMIT;
    if (!is_note_text(message) || !find_last_empty_line(message, &at))
        return ERR_MALFORMED;
    rest = span_of(message.ptr + at + 1, message.len - at - 1);
    out->text = span_of(message.ptr, at);
    out->signatures = rest;
    while (ascii_line(&rest, &line)) {
        if (++count > SIGNED_NOTE_SIGS_MAX)
            return ERR_LIMIT;
        if (!parse_signature(line, &signature))
            return ERR_MALFORMED;
    }
    return count > 0 && rest.len == 0 ? OK : ERR_MALFORMED;
}

/* The key id that a line claims: the first four bytes of what it holds. */
static uint32_t
claimed_id(const struct signature *line)
{
    uint8_t head[6];
    size_t len;

    /* parse_signature saw to it that there are 8 characters, and that they decode. */
    INVARIANT(
        base64_decode(BASE64_STD, span_of(line->coded.ptr, 8), head, sizeof(head), &len) == OK);
    return load_u32(head);
}

static bool
verifies(const struct signature *line, const struct note_key *key, struct span text)
{
    uint8_t bytes[4 + NOTE_SIGNATURE_BYTES];
    size_t len;

    return base64_decode(BASE64_STD, line->coded, bytes, sizeof(bytes), &len) == OK &&
           len == sizeof(bytes) &&
           crypto_sign_verify_detached(bytes + 4, text.ptr, text.len, key->public_key) == 0;
}

enum err
note_verify(const struct note *note, const struct note_key *keys, size_t count)
{
    struct span rest = note->signatures, raw;
    unsigned good = 0;

    while (ascii_line(&rest, &raw)) {
        struct signature line;
        bool ours = false, verified = false;

        if (!parse_signature(raw, &line))
            return ERR_MALFORMED;
        for (size_t i = 0; i < count && !verified; i++) {
            if (!span_is(line.name, keys[i].name) || claimed_id(&line) != keys[i].id)
                continue;
            ours = true;
            verified = verifies(&line, &keys[i], note->text);
        }
        if (ours && !verified)
            return ERR_MISMATCH;
        good += verified;
    }
    return good > 0 ? OK : ERR_MISMATCH;
}

enum err
note_sign(struct span text, const struct note_signer *signer, char *out, size_t cap, size_t *len)
{
    uint8_t bytes[4 + NOTE_SIGNATURE_BYTES];
    struct ascii a;

    if (text.len == 0 || text.ptr[text.len - 1] != '\n' || !is_note_text(text))
        return ERR_MALFORMED;
    store_u32(signer->key.id, bytes);
    crypto_sign_detached(bytes + 4, NULL, text.ptr, text.len, signer->secret);
    ascii_init(&a, out, cap);
    ascii_put(&a, text);
    ascii_str(&a, "\n" SIG_PREFIX);
    ascii_str(&a, signer->key.name);
    ascii_str(&a, " ");
    ascii_base64(&a, BASE64_STD, span_of(bytes, sizeof(bytes)));
    ascii_str(&a, "\n");
    return ascii_end(&a, len);
}
