/* tree.h: the RFC 6962 Merkle tree (section 2.1): leaf and node hashes, and the frontier, which is
 * all that appending and the root need. */
#ifndef CORE_TREE_H
#define CORE_TREE_H

#include "core/err.h"
#include "core/hash.h"
#include "core/limits.h"

#define FRONTIER_EDGES     62 /* bits of a size below TREE_SIZE_MAX */
#define FRONTIER_BYTES_MAX (8 + FRONTIER_EDGES * HASH_BYTES)

/* The right edge of a tree: a tree of `size` leaves is a row of full subtrees, one per set bit of
 * the size, larger to the left. edge[h] is the root of the one with 2^h leaves, and means something
 * only while bit h of the size is set. A plain value: copy it freely, {0} is the empty tree. */
struct frontier {
    uint64_t size;
    struct hash edge[FRONTIER_EDGES];
};

/* Called for a node whose 2^height leaves are all there: node `index` of that height, from 0. */
typedef void (*frontier_emit)(void *ctx, unsigned height, uint64_t index, const struct hash *node);

void tree_leaf_hash(struct span record, struct hash *out);
void tree_node_hash(const struct hash *left, const struct hash *right, struct hash *out);
void tree_empty_root(struct hash *out); /* SHA-256 of nothing */

/* Root of n leaves at hand (verify --fast). */
void tree_root(const struct hash *leaves, size_t n, struct hash *out);

/* Adds leaves at the right. `emit` (or NULL) is told of each node completed at the heights where
 * tiles above level 0 begin (8, 16, ...), in the order of completion; leaves the caller has
 * himself. The size must stay below TREE_SIZE_MAX: the caller's to check, else INVARIANT. */
void frontier_append(
    struct frontier *f, const struct hash *leaves, size_t n, frontier_emit emit, void *ctx);

/* Adds a full subtree of 2^height leaves by its root; the size must be a multiple of 2^height. So
 * slices of a big log can be hashed apart (in parallel) and joined. */
void frontier_append_subtree(struct frontier *f, unsigned height, const struct hash *root);

void frontier_root(const struct frontier *f, struct hash *out);

/* Root of what lies right of the last multiple of 2^height (size mod 2^height leaves, at least 1).
 */
void frontier_tail_root(const struct frontier *f, unsigned height, struct hash *out);

/* Stored form: size as u64 big-endian, then the edges of its set bits, largest subtree first.
 * Returns the bytes written, at most FRONTIER_BYTES_MAX. */
size_t frontier_encode(const struct frontier *f, uint8_t out[FRONTIER_BYTES_MAX]);
MUST_USE enum err frontier_decode(struct span bytes, struct frontier *out);

#endif
