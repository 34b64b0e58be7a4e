/* test_tree.c: RFC 6962 vectors, and the frontier against the recursive definition of the RFC. */
#include <sodium.h>

#include "core/tree.h"
#include "tests/unit/testing.h"

#define LEAVES 600

static struct hash leaves[LEAVES];

static int
make_leaves(void **state)
{
    (void)state;
    for (unsigned i = 0; i < LEAVES; i++) {
        uint8_t record[2] = {(uint8_t)(i >> 8), (uint8_t)i};

        tree_leaf_hash(span_of(record, sizeof(record)), &leaves[i]);
    }
    return 0;
}

/* MTH of RFC 6962 section 2.1, as written there. */
static void
naive_root(const struct hash *row, size_t n, struct hash *out)
{
    struct hash left, right;
    size_t k = 1;

    if (n == 0) {
        tree_empty_root(out);
        return;
    }
    if (n == 1) {
        *out = row[0];
        return;
    }
    while (k * 2 < n)
        k *= 2;
    naive_root(row, k, &left);
    naive_root(row + k, n - k, &right);
    tree_node_hash(&left, &right, out);
}

static void
assert_hex(const struct hash *hash, const char *hex)
{
    char got[2 * HASH_BYTES + 1];

    sodium_bin2hex(got, sizeof(got), hash->b, HASH_BYTES);
    assert_string_equal(got, hex);
}

/* The vectors of the certificate-transparency project's Merkle tree tests. */
static void
public_vectors(void **state)
{
    static const char *const inputs[8] = {"", "00", "10", "2021", "3031", "40414243",
        "5051525354555657", "606162636465666768696a6b6c6d6e6f"};
    static const char *const roots[9] = {
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    };
    struct frontier f = {0};
    struct hash leaf, root;

    (void)state;
    frontier_root(&f, &root);
    assert_hex(&root, roots[0]);
    for (size_t i = 0; i < 8; i++) {
        uint8_t record[16];
        size_t len;

        assert_int_equal(
            sodium_hex2bin(record, sizeof(record), inputs[i], strlen(inputs[i]), NULL, &len, NULL),
            0);
        tree_leaf_hash(span_of(record, len), &leaf);
        frontier_append(&f, &leaf, 1, NULL, NULL);
        assert_int_equal(f.size, i + 1);
        frontier_root(&f, &root);
        assert_hex(&root, roots[i + 1]);
    }
}

static void
every_size_against_the_definition(void **state)
{
    struct frontier f = {0};

    (void)state;
    for (size_t n = 0; n <= LEAVES; n++) {
        struct hash want, got;

        naive_root(leaves, n, &want);
        frontier_root(&f, &got);
        assert_true(hash_equal(&want, &got));
        tree_root(leaves, n, &got);
        assert_true(hash_equal(&want, &got));
        if (n < LEAVES)
            frontier_append(&f, &leaves[n], 1, NULL, NULL);
    }
}

/* Random batches end where single steps do. */
static void
batches_do_not_matter(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++) {
        struct frontier f = {0};
        struct hash want, got;

        while (f.size < LEAVES) {
            size_t n = randombytes_uniform(70);

            if (n > LEAVES - f.size)
                n = LEAVES - (size_t)f.size;
            frontier_append(&f, leaves + f.size, n, NULL, NULL);
            naive_root(leaves, (size_t)f.size, &want);
            frontier_root(&f, &got);
            assert_true(hash_equal(&want, &got));
        }
    }
}

static void
subtrees_join(void **state)
{
    struct frontier f = {0};
    struct hash part, want, got;

    (void)state;
    for (size_t at = 0; at + 64 <= LEAVES; at += 64) {
        tree_root(leaves + at, 64, &part);
        frontier_append_subtree(&f, 6, &part);
    }
    frontier_append(&f, leaves + f.size, LEAVES - (size_t)f.size, NULL, NULL);
    naive_root(leaves, LEAVES, &want);
    frontier_root(&f, &got);
    assert_true(hash_equal(&want, &got));
    frontier_tail_root(&f, 6, &got);
    naive_root(leaves + LEAVES / 64 * 64, LEAVES % 64, &want);
    assert_true(hash_equal(&want, &got));
}

struct emitted {
    unsigned count;
    unsigned height[4];
    uint64_t index[4];
    struct hash node[4];
};

static void
note_node(void *ctx, unsigned height, uint64_t index, const struct hash *node)
{
    struct emitted *seen = ctx;

    assert_true(seen->count < 4);
    seen->height[seen->count] = height;
    seen->index[seen->count] = index;
    seen->node[seen->count++] = *node;
}

static void
nodes_at_tile_levels_are_emitted(void **state)
{
    struct emitted seen = {0};
    struct frontier f = {0};

    (void)state;
    frontier_append(&f, leaves, LEAVES, note_node, &seen);
    assert_int_equal(seen.count, 2);
    for (unsigned i = 0; i < 2; i++) {
        struct hash want;

        assert_int_equal(seen.height[i], 8);
        assert_int_equal(seen.index[i], i);
        naive_root(leaves + (size_t)i * 256, 256, &want);
        assert_true(hash_equal(&want, &seen.node[i]));
    }
    /* 2^16 - 1 leaves by their subtrees, then the last: the carry passes heights 8 and 16. */
    f = (struct frontier){0};
    seen = (struct emitted){0};
    for (unsigned h = 16; h-- > 0;)
        frontier_append_subtree(&f, h, &leaves[h]);
    frontier_append(&f, leaves, 1, note_node, &seen);
    assert_int_equal(f.size, 65536);
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.height[0], 8);
    assert_int_equal(seen.index[0], 255);
    assert_int_equal(seen.height[1], 16);
    assert_int_equal(seen.index[1], 0);
}

static void
stored_form(void **state)
{
    uint8_t bytes[FRONTIER_BYTES_MAX + 1];
    struct frontier f = {0}, back;
    struct hash want, got;

    (void)state;
    for (size_t n = 0; n <= LEAVES; n++) {
        size_t len = frontier_encode(&f, bytes);

        assert_int_equal(frontier_decode(span_of(bytes, len), &back), OK);
        assert_int_equal(back.size, n);
        frontier_root(&f, &want);
        frontier_root(&back, &got);
        assert_true(hash_equal(&want, &got));
        assert_int_equal(
            frontier_decode(span_of(bytes, len - 1), &back), n == 0 ? ERR_SHORT : ERR_MALFORMED);
        assert_int_equal(frontier_decode(span_of(bytes, len + 1), &back), ERR_MALFORMED);
        if (n < LEAVES)
            frontier_append(&f, &leaves[n], 1, NULL, NULL);
    }
    memset(bytes, 0xff, sizeof(bytes));
    assert_int_equal(frontier_decode(span_of(bytes, FRONTIER_BYTES_MAX), &back), ERR_LIMIT);

    /* The layout is stored: five leaves are the subtree of four, then the last leaf. */
    f = (struct frontier){0};
    frontier_append(&f, leaves, 5, NULL, NULL);
    assert_int_equal(frontier_encode(&f, bytes), 8 + 2 * HASH_BYTES);
    assert_memory_equal(bytes, "\0\0\0\0\0\0\0\5", 8);
    naive_root(leaves, 4, &want);
    assert_memory_equal(bytes + 8, want.b, HASH_BYTES);
    assert_memory_equal(bytes + 8 + HASH_BYTES, leaves[4].b, HASH_BYTES);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(public_vectors),
        cmocka_unit_test(every_size_against_the_definition),
        cmocka_unit_test(batches_do_not_matter),
        cmocka_unit_test(subtrees_join),
        cmocka_unit_test(nodes_at_tile_levels_are_emitted),
        cmocka_unit_test(stored_form),
    };

    return cmocka_run_group_tests(tests, make_leaves, NULL);
}
