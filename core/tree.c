/* tree.c: RFC 6962 hashing and the frontier. Never allocates, never reads a tile. Pure; any thread
 * (the journal appends, verifiers recompute). */
#include "core/tree.h"

#define TILE_HEIGHT_MASK 7 /* heights that are a multiple of 8 are tile levels */

void
tree_leaf_hash(struct span record, struct hash *out)
{
    static const uint8_t prefix = 0x00;
    struct span parts[2] = {span_of(&prefix, 1), record};

    hash_parts(parts, 2, out);
}

void
tree_node_hash(const struct hash *left, const struct hash *right, struct hash *out)
{
    uint8_t node[1 + 2 * HASH_BYTES]; /* one part: cheaper than three through the port */

    node[0] = 0x01;
    memcpy(node + 1, left->b, HASH_BYTES);
    memcpy(node + 1 + HASH_BYTES, right->b, HASH_BYTES);
    hash_bytes(span_of(node, sizeof(node)), out);
}

void
tree_empty_root(struct hash *out)
{
    hash_bytes(span_of("", 0), out);
}

void
tree_root(const struct hash *leaves, size_t n, struct hash *out)
{
    struct frontier f = {0};

    frontier_append(&f, leaves, n, NULL, NULL);
    frontier_root(&f, out);
}

/* Adding 2^height leaves is adding 1 to the size's bits from `height` up: each carry joins two
 * subtrees. */
static void
append_node(
    struct frontier *f, unsigned height, const struct hash *leaf, frontier_emit emit, void *ctx)
{
    struct hash node = *leaf;
    unsigned h = height;

    for (; (f->size >> h & 1) != 0; h++) {
        tree_node_hash(&f->edge[h], &node, &node);
        if (emit != NULL && ((h + 1) & TILE_HEIGHT_MASK) == 0)
            emit(ctx, h + 1, f->size >> (h + 1), &node);
    }
    f->edge[h] = node;
    f->size += (uint64_t)1 << height;
}

void
frontier_append(
    struct frontier *f, const struct hash *leaves, size_t n, frontier_emit emit, void *ctx)
{
    INVARIANT(f->size < TREE_SIZE_MAX && n < TREE_SIZE_MAX - f->size);
    for (size_t i = 0; i < n; i++)
        append_node(f, 0, &leaves[i], emit, ctx);
}

void
frontier_append_subtree(struct frontier *f, unsigned height, const struct hash *root)
{
    INVARIANT(height < FRONTIER_EDGES && f->size < TREE_SIZE_MAX);
    INVARIANT((f->size & (((uint64_t)1 << height) - 1)) == 0);
    INVARIANT((uint64_t)1 << height < TREE_SIZE_MAX - f->size);
    append_node(f, height, root, NULL, NULL);
}

void
frontier_tail_root(const struct frontier *f, unsigned height, struct hash *out)
{
    bool started = false;

    for (unsigned h = 0; h < height && h < FRONTIER_EDGES; h++) {
        if ((f->size >> h & 1) == 0)
            continue;
        if (started)
            tree_node_hash(&f->edge[h], out, out);
        else
            *out = f->edge[h];
        started = true;
    }
    INVARIANT(started);
}

void
frontier_root(const struct frontier *f, struct hash *out)
{
    if (f->size == 0)
        tree_empty_root(out);
    else
        frontier_tail_root(f, FRONTIER_EDGES, out);
}

size_t
frontier_encode(const struct frontier *f, uint8_t out[FRONTIER_BYTES_MAX])
{
    size_t at = 8;

    for (unsigned i = 0; i < 8; i++)
        out[i] = (uint8_t)(f->size >> (56 - 8 * i));
    for (unsigned h = FRONTIER_EDGES; h-- > 0;) {
        if ((f->size >> h & 1) == 0)
            continue;
        memcpy(out + at, f->edge[h].b, HASH_BYTES);
        at += HASH_BYTES;
    }
    return at;
}

enum err
frontier_decode(struct span bytes, struct frontier *out)
{
    struct frontier f = {0};
    size_t at = 8;

    if (bytes.len < 8)
        return ERR_SHORT;
    for (unsigned i = 0; i < 8; i++)
        f.size = f.size << 8 | bytes.ptr[i];
    if (f.size >= TREE_SIZE_MAX)
        return ERR_LIMIT;
    if (bytes.len != 8 + (size_t)__builtin_popcountll(f.size) * HASH_BYTES)
        return ERR_MALFORMED;
    for (unsigned h = FRONTIER_EDGES; h-- > 0;) {
        if ((f.size >> h & 1) == 0)
            continue;
        memcpy(f.edge[h].b, bytes.ptr + at, HASH_BYTES);
        at += HASH_BYTES;
    }
    *out = f;
    return OK;
}
