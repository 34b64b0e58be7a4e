/* proof.h: inclusion and consistency proofs (RFC 6962 sections 2.1.1 and 2.1.2), made from tiles
 * and verified (as in RFC 9162 sections 2.1.3.2 and 2.1.4.2), and the C2SP tlog-proof file
 * (c2sp.org/tlog-proof). Verifying is total: any numbers and any hashes are taken and judged. */
#ifndef CORE_PROOF_H
#define CORE_PROOF_H

#include "core/checkpoint.h"
#include "core/tile.h"

/* From the leaf's (or the old tree's) side up, as RFC 6962 orders them. */
struct proof {
    size_t count;
    struct hash path[PROOF_HASHES_MAX];
};

/* Proof that leaf `index` is in the tree of `size` leaves. ERR_NOT_FOUND if index >= size; else
 * what read says. Any older size than the store's will do. */
MUST_USE enum err proof_inclusion(
    tile_read read, void *ctx, uint64_t index, uint64_t size, struct proof *out);

/* Proof that the tree of `size` leaves extends that of `old_size`; empty if either is trivial (0 or
 * equal). ERR_NOT_FOUND if old_size > size. */
MUST_USE enum err proof_consistency(
    tile_read read, void *ctx, uint64_t old_size, uint64_t size, struct proof *out);

/* OK, or ERR_MISMATCH: it does not prove it. */
MUST_USE enum err proof_inclusion_verify(uint64_t index, const struct hash *leaf, uint64_t size,
    const struct hash *root, const struct hash *path, size_t count);

/* OK, or ERR_MISMATCH. From the empty tree everything follows, with an empty proof, if old_root is
 * the empty tree's; equal sizes need equal roots and an empty proof. */
MUST_USE enum err proof_consistency_verify(uint64_t old_size, const struct hash *old_root,
    uint64_t size, const struct hash *root, const struct hash *path, size_t count);

/* A tlog-proof file. Spans borrow from the bytes parsed. */
struct proof_file {
    struct span extra; /* base64 as it stands there, checked; empty: none. Not authenticated */
    uint64_t index;
    struct proof proof;
    struct span checkpoint; /* the signed note, not looked into */
};

MUST_USE enum err proof_file_parse(struct span bytes, struct proof_file *out);

/* `extra` is raw bytes; empty: none. `checkpoint` is a whole signed note. */
MUST_USE enum err proof_file_format(uint64_t index, const struct proof *proof, struct span extra,
    struct span checkpoint, char *out, size_t cap, size_t *len);

/* Opens the checkpoint with the log's keys and verifies that `leaf` is at the file's index in that
 * tree; `head` says which tree. Errors as of checkpoint_open and proof_inclusion_verify. */
MUST_USE enum err proof_file_verify(const struct proof_file *file, const struct hash *leaf,
    const struct note_key *keys, size_t count, struct checkpoint *head);

#endif
