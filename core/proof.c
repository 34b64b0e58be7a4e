/* proof.c: makes proofs out of tiles, verifies them, and reads and writes tlog-proof files. Never
 * trusts a count or an index. Never allocates. Pure; any thread. */
#include "core/proof.h"

#include "core/ascii.h"

#define FILE_HEADER "c2sp.org/tlog-proof@v1\n"

static bool
add(struct proof *proof, const struct hash *hash)
{
    if (proof->count == PROOF_HASHES_MAX)
        return false;
    proof->path[proof->count++] = *hash;
    return true;
}

/* The siblings on the way from node (height, index), a full subtree, up to the root of the tree. A
 * sibling is a full subtree, or the tail of the tree, or is not there and the node moves up alone.
 */
static enum err
climb(tile_read read, void *ctx, const struct frontier *f, unsigned height, uint64_t index,
    struct proof *out)
{
    for (; (uint64_t)1 << height < f->size; height++, index >>= 1) {
        uint64_t sibling = index ^ 1;
        struct hash hash;
        enum err err;

        if (sibling < f->size >> height) {
            if ((err = tile_node(read, ctx, f->size, height, sibling, &hash)) != OK)
                return err;
        } else if (sibling == f->size >> height && f->size != sibling << height) {
            frontier_tail_root(f, height, &hash);
        } else {
            continue;
        }
        INVARIANT(add(out, &hash));
    }
    return OK;
}

enum err
proof_inclusion(tile_read read, void *ctx, uint64_t index, uint64_t size, struct proof *out)
{
    struct frontier f;
    enum err err;

    out->count = 0;
    if (index >= size)
        return ERR_NOT_FOUND;
    if ((err = tile_frontier(read, ctx, size, &f)) != OK)
        return err;
    return climb(read, ctx, &f, 0, index, out);
}

enum err
proof_consistency(tile_read read, void *ctx, uint64_t old_size, uint64_t size, struct proof *out)
{
    struct frontier f;
    struct hash hash;
    uint64_t index;
    unsigned height;
    enum err err;

    out->count = 0;
    if (old_size > size)
        return ERR_NOT_FOUND;
    if (old_size == 0 || old_size == size)
        return OK;
    if ((err = tile_frontier(read, ctx, size, &f)) != OK)
        return err;
    /* Both trees have the old one's smallest full subtree in common: from there up. The old root
     * itself, when it is that subtree, is known to whoever asks. */
    height = (unsigned)__builtin_ctzll(old_size);
    index = (old_size >> height) - 1;
    if (index > 0) {
        if ((err = tile_node(read, ctx, size, height, index, &hash)) != OK)
            return err;
        INVARIANT(add(out, &hash));
    }
    return climb(read, ctx, &f, height, index, out);
}

enum err
proof_inclusion_verify(uint64_t index, const struct hash *leaf, uint64_t size,
    const struct hash *root, const struct hash *path, size_t count)
{
    struct hash node = *leaf;
    uint64_t last; /* index of the tree's last node at the height reached */

    if (index >= size)
        return ERR_MISMATCH;
    last = size - 1;
    for (size_t i = 0; i < count; i++) {
        if (last == 0)
            return ERR_MISMATCH; /* the root is reached, and there is more */
        if ((index & 1) == 0 && index == last) {
            /* Right edge without a sibling: up to where there is one on the left. */
            unsigned alone = (unsigned)__builtin_ctzll(index);

            index >>= alone;
            last >>= alone;
        }
        if ((index & 1) != 0)
            tree_node_hash(&path[i], &node, &node);
        else
            tree_node_hash(&node, &path[i], &node);
        index >>= 1;
        last >>= 1;
    }
    return last == 0 && hash_equal(&node, root) ? OK : ERR_MISMATCH;
}

/* 0 < old_size < size. Walks up both trees at once from the old one's smallest full subtree. */
static enum err
consistency_walk(uint64_t old_size, const struct hash *old_root, uint64_t size,
    const struct hash *root, const struct hash *path, size_t count)
{
    unsigned height = (unsigned)__builtin_ctzll(old_size);
    uint64_t index = (old_size >> height) - 1;
    uint64_t last = (size - 1) >> height;
    struct hash old_node, node;
    size_t i = 0;

    if (index == 0)
        old_node = *old_root;
    else if (count > 0)
        old_node = path[i++];
    else
        return ERR_MISMATCH;
    node = old_node;
    for (; i < count; i++) {
        if (last == 0)
            return ERR_MISMATCH;
        if ((index & 1) == 0 && index == last) {
            unsigned alone = (unsigned)__builtin_ctzll(index);

            index >>= alone;
            last >>= alone;
        }
        if ((index & 1) != 0) {
            tree_node_hash(&path[i], &old_node, &old_node);
            tree_node_hash(&path[i], &node, &node);
        } else {
            tree_node_hash(&node, &path[i], &node); /* right of the old tree's end */
        }
        index >>= 1;
        last >>= 1;
    }
    return last == 0 && hash_equal(&old_node, old_root) && hash_equal(&node, root) ? OK
                                                                                   : ERR_MISMATCH;
}

enum err
proof_consistency_verify(uint64_t old_size, const struct hash *old_root, uint64_t size,
    const struct hash *root, const struct hash *path, size_t count)
{
    struct hash empty;

    tree_empty_root(&empty);
    if (old_size > size || (size == 0 && !hash_equal(root, &empty)))
        return ERR_MISMATCH;
    if (old_size == size)
        return count == 0 && hash_equal(old_root, root) ? OK : ERR_MISMATCH;
    if (old_size == 0)
        return count == 0 && hash_equal(old_root, &empty) ? OK : ERR_MISMATCH;
    return consistency_walk(old_size, old_root, size, root, path, count);
}

/* The optional line `extra BASE64`. */
static enum err
parse_extra(struct span *rest, struct span *extra)
{
    size_t len;

    *extra = span_of(NULL, 0);
    if (!ascii_skip(rest, "extra "))
        return OK;
    if (!ascii_line(rest, extra) || extra->len == 0 || base64_check(BASE64_STD, *extra, &len) != OK)
        return ERR_MALFORMED;
    return len <= PROOF_EXTRA_BYTES_MAX ? OK : ERR_LIMIT;
}

/* Hashes, a line each, up to an empty line. */
static enum err
parse_path(struct span *rest, struct proof *proof)
{
    struct span line;

    proof->count = 0;
    while (ascii_line(rest, &line)) {
        struct hash hash;
        size_t len;

        if (line.len == 0)
            return OK;
        if (base64_decode(BASE64_STD, line, hash.b, HASH_BYTES, &len) != OK || len != HASH_BYTES)
            return ERR_MALFORMED;
        if (!add(proof, &hash))
            return ERR_LIMIT;
    }
    return ERR_MALFORMED;
}

enum err
proof_file_parse(struct span bytes, struct proof_file *out)
{
    struct span line;
    enum err err;

    if (bytes.len > PROOF_FILE_BYTES_MAX)
        return ERR_LIMIT;
    if (!ascii_skip(&bytes, FILE_HEADER))
        return ERR_MALFORMED;
    if ((err = parse_extra(&bytes, &out->extra)) != OK)
        return err;
    if (!ascii_skip(&bytes, "index ") || !ascii_line(&bytes, &line))
        return ERR_MALFORMED;
    if ((err = ascii_number(line, TREE_SIZE_MAX - 1, &out->index)) != OK)
        return err;
    if ((err = parse_path(&bytes, &out->proof)) != OK)
        return err;
    out->checkpoint = bytes;
    return bytes.len > 0 ? OK : ERR_MALFORMED;
}

enum err
proof_file_format(uint64_t index, const struct proof *proof, struct span extra,
    struct span checkpoint, char *out, size_t cap, size_t *len)
{
    struct ascii a;

    if (extra.len > PROOF_EXTRA_BYTES_MAX)
        return ERR_LIMIT;
    ascii_init(&a, out, cap);
    ascii_str(&a, FILE_HEADER);
    if (extra.len > 0) {
        ascii_str(&a, "extra ");
        ascii_base64(&a, BASE64_STD, extra);
        ascii_str(&a, "\n");
    }
    ascii_str(&a, "index ");
    ascii_u64(&a, index);
    ascii_str(&a, "\n");
    for (size_t i = 0; i < proof->count; i++) {
        ascii_base64(&a, BASE64_STD, span_of(proof->path[i].b, HASH_BYTES));
        ascii_str(&a, "\n");
    }
    ascii_str(&a, "\n");
    ascii_put(&a, checkpoint);
    return ascii_end(&a, len);
}

enum err
proof_file_verify(const struct proof_file *file, const struct hash *leaf,
    const struct note_key *keys, size_t count, struct checkpoint *head)
{
    struct checkpoint opened;
    enum err err;

    if ((err = checkpoint_open(file->checkpoint, keys, count, &opened)) != OK)
        return err;
    if ((err = proof_inclusion_verify(file->index, leaf, opened.size, &opened.root,
             file->proof.path, file->proof.count)) != OK)
        return err;
    *head = opened;
    return OK;
}
