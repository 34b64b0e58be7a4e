/* checkpoint.h: tree heads as C2SP checkpoints (c2sp.org/tlog-checkpoint): a signed note whose text
 * is origin, size and base64 root, a line each. The key's name is the origin. */
#ifndef CORE_CHECKPOINT_H
#define CORE_CHECKPOINT_H

#include "core/hash.h"
#include "core/note.h"

/* Spans borrow from the text that was parsed. */
struct checkpoint {
    struct span origin; /* not empty */
    uint64_t size;      /* below TREE_SIZE_MAX */
    struct hash root;
    struct span extra; /* extension lines with their LFs; ours have none */
};

/* The text of a note. ERR_MALFORMED, ERR_LIMIT; ERR_MISMATCH for an empty tree with a root that is
 * not the empty tree's. */
MUST_USE enum err checkpoint_parse(struct span text, struct checkpoint *out);

/* The whole signed note: parses it, checks that one of the keys signed it and that no signature by
 * one of them is false (ERR_MISMATCH), and that the origin is the name of all of these keys: they
 * are one log's, of one or several epochs. */
MUST_USE enum err checkpoint_open(
    struct span message, const struct note_key *keys, size_t count, struct checkpoint *out);

/* The text alone. */
MUST_USE enum err checkpoint_format(
    struct span origin, uint64_t size, const struct hash *root, char *out, size_t cap, size_t *len);

/* The signed note; the origin is the signer's name. CHECKPOINT_BYTES_MAX is enough for any. */
MUST_USE enum err checkpoint_sign(uint64_t size, const struct hash *root,
    const struct note_signer *signer, char *out, size_t cap, size_t *len);

#endif
