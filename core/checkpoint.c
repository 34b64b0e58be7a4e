/* checkpoint.c: writing, reading and opening tree heads. Never says OK to an unsigned one except
 * where its name says parse. Never allocates. Pure; any thread (the journal signs). */
#include "core/checkpoint.h"

#include "core/ascii.h"
#include "core/tree.h"

static enum err
parse_root(struct span line, struct hash *root)
{
    size_t len;

    if (base64_decode(BASE64_STD, line, root->b, HASH_BYTES, &len) != OK || len != HASH_BYTES)
        return ERR_MALFORMED;
    return OK;
}

enum err
checkpoint_parse(struct span text, struct checkpoint *out)
{
    struct checkpoint head;
    struct hash empty;
    struct span line;
    enum err err;

    if (!ascii_line(&text, &head.origin) || head.origin.len == 0 || !ascii_line(&text, &line))
        return ERR_MALFORMED;
    if (head.origin.len > NOTE_KEY_NAME_BYTES_MAX)
        return ERR_LIMIT;
    if ((err = ascii_number(line, TREE_SIZE_MAX - 1, &head.size)) != OK)
        return err;
    if (!ascii_line(&text, &line))
        return ERR_MALFORMED;
    if ((err = parse_root(line, &head.root)) != OK)
        return err;
    tree_empty_root(&empty);
    if (head.size == 0 && !hash_equal(&head.root, &empty))
        return ERR_MISMATCH;
    head.extra = text;
    for (unsigned count = 0; text.len > 0; count++) {
        if (count == CHECKPOINT_EXTRA_MAX)
            return ERR_LIMIT;
        if (!ascii_line(&text, &line) || line.len == 0)
            return ERR_MALFORMED;
    }
    *out = head;
    return OK;
}

enum err
checkpoint_open(
    struct span message, const struct note_key *keys, size_t count, struct checkpoint *out)
{
    struct checkpoint head;
    struct note note;
    enum err err;

    if ((err = note_parse(message, &note)) != OK)
        return err;
    if ((err = note_verify(&note, keys, count)) != OK)
        return err;
    if ((err = checkpoint_parse(note.text, &head)) != OK)
        return err;
    for (size_t i = 0; i < count; i++) {
        if (!span_is(head.origin, keys[i].name))
            return ERR_MISMATCH;
    }
    *out = head;
    return OK;
}

enum err
checkpoint_format(
    struct span origin, uint64_t size, const struct hash *root, char *out, size_t cap, size_t *len)
{
    struct ascii a;

    ascii_init(&a, out, cap);
    ascii_put(&a, origin);
    ascii_str(&a, "\n");
    ascii_u64(&a, size);
    ascii_str(&a, "\n");
    ascii_base64(&a, BASE64_STD, span_of(root->b, HASH_BYTES));
    ascii_str(&a, "\n");
    return ascii_end(&a, len);
}

enum err
checkpoint_sign(uint64_t size, const struct hash *root, const struct note_signer *signer, char *out,
    size_t cap, size_t *len)
{
    char text[CHECKPOINT_BYTES_MAX];
    size_t text_len;
    enum err err;

    if ((err = checkpoint_format(
             span_str(signer->key.name), size, root, text, sizeof(text), &text_len)) != OK)
        return err;
    return note_sign(span_of(text, text_len), signer, out, cap, len);
}
