/* test_proof.c: proofs made from tiles are the RFC's own, verify for every pair, and for nothing
 * else; tlog-proof files. */
#include <sodium.h>
#include <stdlib.h>

#include "core/ascii.h"
#include "core/proof.h"
#include "tests/unit/testing.h"

#define LEAVES 700
#define PAIRS  132 /* all pairs up to this size */

static struct hash leaves[LEAVES];
static struct hash roots[LEAVES + 1];
static struct tile_writer writer;
static uint8_t tiles[2][3][TILE_BYTES];

static enum err
keep_tile(void *ctx, unsigned level, uint64_t index, unsigned width, const uint8_t *bytes)
{
    (void)ctx;
    memcpy(tiles[level][index], bytes, (size_t)width * HASH_BYTES);
    return OK;
}

/* A store as a remote server shows it: only what a tree of *ctx leaves has. */
static enum err
read_tile(void *ctx, unsigned level, uint64_t index, unsigned width, uint8_t *out)
{
    const uint64_t *size = ctx;

    if (width == 0 || width > tile_width(*size, level, index))
        return ERR_NOT_FOUND;
    memcpy(out, tiles[level][index], (size_t)width * HASH_BYTES);
    return OK;
}

static enum err
read_nothing(void *ctx, unsigned level, uint64_t index, unsigned width, uint8_t *out)
{
    (void)ctx, (void)level, (void)index, (void)width, (void)out;
    return ERR_IO;
}

static int
make_tree(void **state)
{
    (void)state;
    if (sodium_init() < 0)
        return -1;
    for (uint32_t i = 0; i < LEAVES; i++)
        tree_leaf_hash(span_of(&i, sizeof(i)), &leaves[i]);
    for (size_t n = 0; n <= LEAVES; n++)
        tree_root(leaves, n, &roots[n]);
    tile_writer_init(&writer);
    return tile_writer_append(&writer, leaves, LEAVES, keep_tile, NULL) != OK;
}

static size_t
split(size_t n)
{
    size_t k = 1;

    while (k * 2 < n)
        k *= 2;
    return k;
}

/* PATH and SUBPROOF of RFC 6962 sections 2.1.1 and 2.1.2, as written there. */
static void
naive_path(size_t m, const struct hash *row, size_t n, struct proof *out)
{
    size_t k = split(n);

    if (n <= 1)
        return;
    if (m < k) {
        naive_path(m, row, k, out);
        tree_root(row + k, n - k, &out->path[out->count++]);
    } else {
        naive_path(m - k, row + k, n - k, out);
        tree_root(row, k, &out->path[out->count++]);
    }
}

static void
naive_subproof(size_t m, const struct hash *row, size_t n, bool known, struct proof *out)
{
    size_t k = split(n);

    if (m == n) {
        if (!known)
            tree_root(row, n, &out->path[out->count++]);
        return;
    }
    if (m <= k) {
        naive_subproof(m, row, k, known, out);
        tree_root(row + k, n - k, &out->path[out->count++]);
    } else {
        naive_subproof(m - k, row + k, n - k, false, out);
        tree_root(row, k, &out->path[out->count++]);
    }
}

static void
assert_proofs_equal(const struct proof *a, const struct proof *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++)
        assert_true(hash_equal(&a->path[i], &b->path[i]));
}

static bool
included(uint64_t index, uint64_t size, const struct hash *root, const struct proof *proof)
{
    return proof_inclusion_verify(
               index, &leaves[index % LEAVES], size, root, proof->path, proof->count) == OK;
}

static bool
extends(uint64_t old_size, const struct hash *old_root, uint64_t size, const struct hash *root,
    const struct proof *proof)
{
    return proof_consistency_verify(old_size, old_root, size, root, proof->path, proof->count) ==
           OK;
}

/* `store` leaves are stored, the proof is for `size` of them. */
static void
check_inclusion(size_t index, uint64_t size, uint64_t store)
{
    struct proof want = {0}, got;

    assert_int_equal(proof_inclusion(read_tile, &store, index, size, &got), OK);
    naive_path(index, leaves, (size_t)size, &want);
    assert_proofs_equal(&want, &got);
    assert_true(included(index, size, &roots[size], &got));
}

static void
check_consistency(size_t old_size, uint64_t size, uint64_t store)
{
    struct proof want = {0}, got;

    assert_int_equal(proof_consistency(read_tile, &store, old_size, size, &got), OK);
    if (old_size > 0)
        naive_subproof(old_size, leaves, (size_t)size, true, &want);
    assert_proofs_equal(&want, &got);
    assert_true(extends(old_size, &roots[old_size], size, &roots[size], &got));
}

static void
every_pair(void **state)
{
    (void)state;
    for (size_t size = 0; size <= PAIRS; size++) {
        for (size_t index = 0; index < size; index++)
            check_inclusion(index, size, index % 2 == 0 ? size : LEAVES);
        for (size_t old_size = 0; old_size <= size; old_size++)
            check_consistency(old_size, size, old_size % 2 == 0 ? size : LEAVES);
    }
}

/* Around the borders of tiles, and at random. */
static void
across_tiles(void **state)
{
    static const size_t sizes[] = {255, 256, 257, 511, 512, 513, 640, LEAVES};

    (void)state;
    for (size_t i = 0; i < ROWS(sizes); i++) {
        for (size_t j = 0; j <= i; j++) {
            check_inclusion(sizes[j] - 1, sizes[i], sizes[i]);
            check_consistency(sizes[j], sizes[i], sizes[i]);
        }
        check_inclusion(0, sizes[i], LEAVES);
    }
    for (unsigned i = 0; i < 3000; i++) {
        size_t size = 1 + randombytes_uniform(LEAVES);
        size_t store = size + randombytes_uniform((uint32_t)(LEAVES - size + 1));

        check_inclusion(randombytes_uniform((uint32_t)size), size, store);
        check_consistency(randombytes_uniform((uint32_t)size + 1), size, store);
    }
}

static void
cannot_be_made(void **state)
{
    uint64_t store = LEAVES;
    struct proof proof;

    (void)state;
    assert_int_equal(proof_inclusion(read_tile, &store, 0, 0, &proof), ERR_NOT_FOUND);
    assert_int_equal(proof_inclusion(read_tile, &store, 5, 5, &proof), ERR_NOT_FOUND);
    assert_int_equal(proof_consistency(read_tile, &store, 6, 5, &proof), ERR_NOT_FOUND);
    assert_int_equal(proof_inclusion(read_tile, &store, 5, LEAVES + 1, &proof), ERR_NOT_FOUND);
    assert_int_equal(proof_inclusion(read_nothing, NULL, 0, 2, &proof), ERR_IO);
    assert_int_equal(proof_consistency(read_nothing, NULL, 1, 2, &proof), ERR_IO);
    assert_int_equal(proof_inclusion(read_tile, &store, 0, TREE_SIZE_MAX, &proof), ERR_LIMIT);
    assert_int_equal(proof_consistency(read_tile, &store, 1, UINT64_MAX, &proof), ERR_LIMIT);
    /* Trivial ones need no tile. */
    assert_int_equal(proof_inclusion(read_nothing, NULL, 0, 1, &proof), ERR_IO);
    assert_int_equal(proof_consistency(read_nothing, NULL, 0, 9, &proof), OK);
    assert_int_equal(proof_consistency(read_nothing, NULL, 9, 9, &proof), OK);
}

/* One bit off anywhere, a hash too few, one too many, two swapped. */
static void
tampered_inclusion(size_t index, size_t size)
{
    struct proof proof = {0}, bad;
    struct hash other = roots[size];

    naive_path(index, leaves, size, &proof);
    other.b[7] ^= 0x10;
    assert_false(included(index, size, &other, &proof));
    other = leaves[index];
    other.b[0] ^= 1;
    assert_int_equal(
        proof_inclusion_verify(index, &other, size, &roots[size], proof.path, proof.count),
        ERR_MISMATCH);
    for (size_t i = 0; i < proof.count; i++) {
        bad = proof;
        bad.path[i].b[i] ^= 0x80;
        assert_false(included(index, size, &roots[size], &bad));
        if (i > 0) {
            bad = proof;
            bad.path[i - 1] = proof.path[i];
            bad.path[i] = proof.path[i - 1];
            assert_false(included(index, size, &roots[size], &bad));
        }
    }
    bad = proof;
    bad.path[bad.count++] = roots[size];
    assert_false(included(index, size, &roots[size], &bad));
    if (proof.count > 0) {
        bad.count = proof.count - 1;
        assert_false(included(index, size, &roots[size], &bad));
    }
    /* Another position: the leaf's hash alone must not move. */
    for (size_t at = 0; at < size + 2; at++) {
        if (at != index)
            assert_int_equal(proof_inclusion_verify(
                                 at, &leaves[index], size, &roots[size], proof.path, proof.count),
                ERR_MISMATCH);
    }
}

static void
tampered_consistency(size_t old_size, size_t size)
{
    struct proof proof = {0}, bad;
    struct hash other;

    naive_subproof(old_size, leaves, size, true, &proof);
    other = roots[size];
    other.b[31] ^= 1;
    assert_false(extends(old_size, &roots[old_size], size, &other, &proof));
    other = roots[old_size];
    other.b[31] ^= 1;
    assert_false(extends(old_size, &other, size, &roots[size], &proof));
    for (size_t i = 0; i < proof.count; i++) {
        bad = proof;
        bad.path[i].b[i] ^= 2;
        assert_false(extends(old_size, &roots[old_size], size, &roots[size], &bad));
    }
    bad = proof;
    bad.path[bad.count++] = roots[size];
    assert_false(extends(old_size, &roots[old_size], size, &roots[size], &bad));
    if (proof.count > 0) {
        bad.count = proof.count - 1;
        assert_false(extends(old_size, &roots[old_size], size, &roots[size], &bad));
    }
    for (size_t at = 0; at <= size + 1; at++) {
        if (at != old_size)
            assert_false(extends(at, &roots[old_size], size, &roots[size], &proof));
    }
    assert_false(extends(size, &roots[size], old_size, &roots[old_size], &proof));
}

static void
tampered(void **state)
{
    (void)state;
    for (size_t size = 1; size <= 40; size++) {
        for (size_t index = 0; index < size; index++)
            tampered_inclusion(index, size);
        for (size_t old_size = 1; old_size < size; old_size++)
            tampered_consistency(old_size, size);
    }
    tampered_inclusion(300, LEAVES);
    tampered_consistency(300, LEAVES);
}

static void
edges_of_consistency(void **state)
{
    struct proof none = {0}, one = {.count = 1};

    (void)state;
    assert_true(extends(0, &roots[0], 0, &roots[0], &none));
    assert_true(extends(0, &roots[0], 5, &roots[5], &none));
    assert_true(extends(5, &roots[5], 5, &roots[5], &none));
    assert_false(extends(0, &roots[1], 0, &roots[1], &none)); /* not the empty tree's root */
    assert_false(extends(0, &roots[1], 5, &roots[5], &none));
    assert_false(extends(0, &roots[0], 5, &roots[5], &one));
    assert_false(extends(5, &roots[5], 5, &roots[6], &none)); /* two heads of one size: a fork */
    assert_false(extends(5, &roots[5], 5, &roots[5], &one));
    assert_false(extends(6, &roots[6], 5, &roots[5], &none));
    assert_false(extends(4, &roots[4], 5, &roots[5], &none));
}

/* Numbers and arrays that nobody's tree has: an answer, never a hang or a crash. */
static void
hostile_numbers(void **state)
{
    static const uint64_t numbers[] = {0, 1, 2, 3, 255, 256, 1ULL << 31, 1ULL << 32, 1ULL << 62,
        1ULL << 63, (1ULL << 63) + 1, UINT64_MAX - 1, UINT64_MAX};
    static struct hash path[300];

    (void)state;
    randombytes_buf(path, sizeof(path));
    for (size_t i = 0; i < ROWS(numbers); i++) {
        for (size_t j = 0; j < ROWS(numbers); j++) {
            for (size_t count = 0; count <= 300; count += count < 70 ? 1 : 115) {
                assert_int_equal(
                    proof_inclusion_verify(numbers[i], &path[0], numbers[j], &path[1], path, count),
                    ERR_MISMATCH);
                if (numbers[i] != numbers[j] || count > 0)
                    assert_int_equal(proof_consistency_verify(
                                         numbers[i], &path[0], numbers[j], &path[1], path, count),
                        ERR_MISMATCH);
            }
        }
    }
}

static struct note_signer *
make_signer(void)
{
    struct note_signer *signer;
    uint8_t seed[NOTE_SEED_BYTES] = {42};

    assert_int_equal(note_signer_new(span_str("gatehouse.test"), seed, &signer), OK);
    return signer;
}

static void
files(void **state)
{
    struct note_signer *signer = make_signer();
    char note[CHECKPOINT_BYTES_MAX], text[8192];
    size_t note_len, len, sizes[] = {1, 2, 257, LEAVES};
    uint64_t store = LEAVES;

    (void)state;
    for (size_t i = 0; i < ROWS(sizes); i++) {
        uint64_t size = sizes[i], index = (uint64_t)(sizes[i] * 2 / 3);
        struct span extra = span_str(i % 2 == 0 ? "" : "salt");
        struct proof_file file;
        struct checkpoint head;
        struct proof proof;

        assert_int_equal(proof_inclusion(read_tile, &store, index, size, &proof), OK);
        assert_int_equal(
            checkpoint_sign(size, &roots[size], signer, note, sizeof(note), &note_len), OK);
        assert_int_equal(proof_file_format(index, &proof, extra, span_of(note, note_len), text,
                             sizeof(text), &len),
            OK);
        assert_int_equal(proof_file_parse(span_of(text, len), &file), OK);
        assert_int_equal(file.index, index);
        assert_proofs_equal(&file.proof, &proof);
        assert_true(span_is(file.extra, i % 2 == 0 ? "" : "c2FsdA=="));
        assert_true(span_equal(file.checkpoint, span_of(note, note_len)));
        assert_int_equal(proof_file_verify(&file, &leaves[index], &signer->key, 1, &head), OK);
        assert_int_equal(head.size, size);
        assert_int_equal(
            proof_file_verify(&file, &leaves[index + 1], &signer->key, 1, &head), ERR_MISMATCH);
        file.index++;
        assert_int_equal(
            proof_file_verify(&file, &leaves[index], &signer->key, 1, &head), ERR_MISMATCH);
        file.index--;
        note[0] = 'G'; /* the file borrows nothing from here ... */
        assert_int_equal(proof_file_verify(&file, &leaves[index], &signer->key, 1, &head), OK);
        text[len - note_len] = 'G'; /* ... but everything from here */
        assert_int_equal(
            proof_file_verify(&file, &leaves[index], &signer->key, 1, &head), ERR_MISMATCH);
        assert_int_equal(
            proof_file_format(index, &proof, extra, span_of(note, note_len), text, len - 1, &len),
            ERR_LIMIT);
    }
    note_signer_free(signer);
}

#define HEADER "c2sp.org/tlog-proof@v1\n"
#define HASH   "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"

static void
file_forms(void **state)
{
    static const struct {
        const char *text;
        enum err err;
    } cases[] = {
        {HEADER "index 0\n\nx", OK},
        {HEADER "index 73894\n" HASH HASH "\nx", OK},
        {HEADER "extra YQ==\nindex 0\n" HASH "\nx", OK},
        {"", ERR_MALFORMED},
        {HEADER, ERR_MALFORMED},
        {"c2sp.org/tlog-proof@v2\nindex 0\n\nx", ERR_MALFORMED},
        {"c2sp.org/tlog-proof@v1\r\nindex 0\n\nx", ERR_MALFORMED},
        {HEADER "index 0\n\n", ERR_MALFORMED}, /* no checkpoint */
        {HEADER "index 0\nx", ERR_MALFORMED},
        {HEADER "index 0\n" HASH, ERR_MALFORMED}, /* no empty line */
        {HEADER "index 0\n" HASH "x", ERR_MALFORMED},
        {HEADER "index\n\nx", ERR_MALFORMED},
        {HEADER "index \n\nx", ERR_MALFORMED},
        {HEADER "index  1\n\nx", ERR_MALFORMED},
        {HEADER "index 01\n\nx", ERR_MALFORMED},
        {HEADER "index -1\n\nx", ERR_MALFORMED},
        {HEADER "index 1 \n\nx", ERR_MALFORMED},
        {HEADER "index 4611686018427387904\n\nx", ERR_LIMIT},
        {HEADER "index 0\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n\nx", ERR_MALFORMED},
        {HEADER "index 0\nAAAA\n\nx", ERR_MALFORMED},
        {HEADER "index 0\n " HASH "\nx", ERR_MALFORMED},
        {HEADER "extra \nindex 0\n\nx", ERR_MALFORMED},
        {HEADER "extra YQ\nindex 0\n\nx", ERR_MALFORMED},
        {HEADER "extra YQ==\nextra YQ==\nindex 0\n\nx", ERR_MALFORMED},
        {HEADER "index 0\nextra YQ==\n\nx", ERR_MALFORMED},
        {HEADER "extra YQ==\n\nx", ERR_MALFORMED},
        {HEADER "Extra YQ==\nindex 0\n\nx", ERR_MALFORMED},
    };
    struct proof_file file;

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        if (proof_file_parse(span_str(cases[i].text), &file) != cases[i].err)
            fail_msg("case %zu: %s", i, cases[i].text);
    }
    assert_int_equal(proof_file_parse(span_str(cases[1].text), &file), OK);
    assert_int_equal(file.index, 73894);
    assert_int_equal(file.proof.count, 2);
    assert_true(span_is(file.checkpoint, "x"));
}

static void
file_limits(void **state)
{
    char *text = malloc(PROOF_FILE_BYTES_MAX + 1);
    struct proof_file file;
    struct ascii a;

    (void)state;
    assert_non_null(text);
    for (unsigned count = PROOF_HASHES_MAX; count <= PROOF_HASHES_MAX + 1; count++) {
        ascii_init(&a, text, PROOF_FILE_BYTES_MAX);
        ascii_str(&a, HEADER "index 0\n");
        for (unsigned i = 0; i < count; i++)
            ascii_str(&a, HASH);
        ascii_str(&a, "\nx");
        assert_int_equal(proof_file_parse(span_of(text, a.len), &file),
            count == PROOF_HASHES_MAX ? OK : ERR_LIMIT);
    }
    for (size_t extra = PROOF_EXTRA_BYTES_MAX; extra <= PROOF_EXTRA_BYTES_MAX + 1; extra++) {
        uint8_t *bytes = calloc(1, extra);
        struct proof none = {0};
        enum err want = extra == PROOF_EXTRA_BYTES_MAX ? OK : ERR_LIMIT;
        size_t len;

        assert_non_null(bytes);
        assert_int_equal(proof_file_format(0, &none, span_of(bytes, extra), span_str("x"), text,
                             PROOF_FILE_BYTES_MAX, &len),
            want);
        ascii_init(&a, text, PROOF_FILE_BYTES_MAX);
        ascii_str(&a, HEADER "extra ");
        ascii_base64(&a, BASE64_STD, span_of(bytes, extra));
        ascii_str(&a, "\nindex 0\n\nx");
        assert_int_equal(proof_file_parse(span_of(text, a.len), &file), want);
        free(bytes);
    }
    memset(text, 'x', PROOF_FILE_BYTES_MAX + 1);
    memcpy(text, HEADER "index 0\n\n", strlen(HEADER "index 0\n\n"));
    assert_int_equal(proof_file_parse(span_of(text, PROOF_FILE_BYTES_MAX), &file), OK);
    assert_int_equal(proof_file_parse(span_of(text, PROOF_FILE_BYTES_MAX + 1), &file), ERR_LIMIT);
    free(text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair),
        cmocka_unit_test(across_tiles),
        cmocka_unit_test(cannot_be_made),
        cmocka_unit_test(tampered),
        cmocka_unit_test(edges_of_consistency),
        cmocka_unit_test(hostile_numbers),
        cmocka_unit_test(files),
        cmocka_unit_test(file_forms),
        cmocka_unit_test(file_limits),
    };

    return cmocka_run_group_tests(tests, make_tree, NULL);
}
