/* test_tile.c: tile paths, tile sets, and the writer against tiles cut from the definition. */
#include <sodium.h>

#include "core/tile.h"
#include "tests/unit/testing.h"

#define LEAVES 66000
#define TILES  300 /* a level; 66,000 leaves make 258 at level 0 */

/* 1000^22 is 0 in 64 bits: read without a bound this would be tile 5. */
#define X000  "/x000/x000/x000/x000/x000/x000/x000"
#define WRAPS "/log/tile/0/x001" X000 X000 X000 "/005"

static struct hash leaves[LEAVES];

/* A store of the levels that 66,000 leaves can fill: what store/ does with keys (level, index). */
static struct {
    uint8_t bytes[3][TILES][TILE_BYTES];
    unsigned width[3][TILES];
    unsigned puts;
    unsigned fail_at; /* this put fails, counting from 1; 0: none */
} shelf;

static enum err
shelf_put(void *ctx, unsigned level, uint64_t index, unsigned width, const uint8_t *bytes)
{
    (void)ctx;
    assert_true(level < 3 && index < TILES && width > 0 && width <= TILE_WIDTH);
    if (++shelf.puts == shelf.fail_at)
        return ERR_FULL;
    assert_true(width > shelf.width[level][index]); /* tiles only grow */
    assert_memory_equal(bytes, shelf.bytes[level][index],
        (size_t)shelf.width[level][index] * HASH_BYTES); /* and keep what they had */
    memcpy(shelf.bytes[level][index], bytes, (size_t)width * HASH_BYTES);
    shelf.width[level][index] = width;
    return OK;
}

static enum err
shelf_read(void *ctx, unsigned level, uint64_t index, unsigned width, uint8_t *out)
{
    (void)ctx;
    if (level >= 3 || index >= TILES || width > shelf.width[level][index])
        return ERR_NOT_FOUND;
    memcpy(out, shelf.bytes[level][index], (size_t)width * HASH_BYTES);
    return OK;
}

static void
shelf_clear(void)
{
    memset(&shelf, 0, sizeof(shelf));
}

static int
make_leaves(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < LEAVES; i++)
        tree_leaf_hash(span_of(&i, sizeof(i)), &leaves[i]);
    return 0;
}

static void
paths(void **state)
{
    static const struct {
        const char *text;
        struct tile_path tile;
    } cases[] = {
        {"/log/tile/0/000", {false, 0, 0, 256}},
        {"/log/tile/0/000.p/1", {false, 0, 0, 1}},
        {"/log/tile/1/999.p/255", {false, 1, 999, 255}},
        {"/log/tile/0/x001/000", {false, 0, 1000, 256}},
        {"/log/tile/0/x001/x234/067", {false, 0, 1234067, 256}},
        {"/log/tile/0/x001/x234/067.p/8", {false, 0, 1234067, 8}},
        {"/log/tile/63/x100/x000/x000/000", {false, 63, 100000000000, 256}},
        {"/log/tile/0/x018/x014/x398/x509/x481/983",
            {false, 0, TREE_SIZE_MAX / TILE_WIDTH - 1, 256}},
        {"/log/tile/entries/x001/234", {true, 0, 1234, 256}},
        {"/log/tile/entries/007.p/30", {true, 0, 7, 30}},
    };

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct tile_path got;
        char text[TILE_PATH_BYTES];
        size_t len;

        assert_int_equal(tile_path_parse(span_str(cases[i].text), &got), OK);
        assert_int_equal(got.entries, cases[i].tile.entries);
        assert_int_equal(got.level, cases[i].tile.level);
        assert_int_equal(got.index, cases[i].tile.index);
        assert_int_equal(got.width, cases[i].tile.width);
        assert_int_equal(tile_path_format(&got, text, sizeof(text), &len), OK);
        assert_true(span_equal(span_of(text, len), span_str(cases[i].text)));
        assert_int_equal(tile_path_format(&got, text, len - 1, &len), ERR_LIMIT);
    }
}

static void
bad_paths(void **state)
{
    static const char *const cases[] = {"", "/log/tile", "/log/tile/", "/log/tile/0",
        "/log/tile/0/", "/log/tile//000", "log/tile/0/000", "/log/tile/00/000", "/log/tile/01/000",
        "/log/tile/-1/000", "/log/tile/+1/000", "/log/tile/ 1/000", "/log/tile/64/000",
        "/log/tile/0x1/000", "/log/tile/1a/000", "/log/tile/0/0", "/log/tile/0/00",
        "/log/tile/0/0000", "/log/tile/0/00a", "/log/tile/0/-01", "/log/tile/0/ 01",
        "/log/tile/0/x001", "/log/tile/0/x000/001", "/log/tile/0/001/001", "/log/tile/0/x001/x001",
        "/log/tile/0/x01/001", "/log/tile/0/x0001/001", "/log/tile/0/X001/001",
        "/log/tile/0/x001//001", "/log/tile/0/000/", "/log/tile/0/000.p", "/log/tile/0/000.p/",
        "/log/tile/0/000.p/0", "/log/tile/0/000.p/01", "/log/tile/0/000.p/256",
        "/log/tile/0/000.p/+1", "/log/tile/0/000.p/1 ", "/log/tile/0/000.p/1/",
        "/log/tile/0/000.q/1", "/log/tile/0/000.p/18446744073709551617", "/log/tile/0/000 ",
        "/log/tile/0/000?x", "/log/tile/0/%30%30%30", "/log/tile/8/0/000", "/log/tile/data/000",
        "/log/tile/Entries/000", "/log/tile/entries/0/000",
        /* one above the largest index, and one group too many */
        "/log/tile/0/x018/x014/x398/x509/x481/984", "/log/tile/0/x001/x000/x000/x000/x000/x000/000",
        WRAPS};
    struct tile_path got;

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        if (tile_path_parse(span_str(cases[i]), &got) != ERR_MALFORMED)
            fail_msg("taken: %s", cases[i]);
    }
    assert_int_equal(tile_path_parse(span_of("/log/tile/0/000\0", 16), &got), ERR_MALFORMED);
    assert_int_equal(tile_path_parse(span_of("/log/tile/0/0\0000", 15), &got), ERR_MALFORMED);
}

static void
widths(void **state)
{
    (void)state;
    assert_int_equal(tile_width(0, 0, 0), 0);
    assert_int_equal(tile_width(1, 0, 0), 1);
    assert_int_equal(tile_width(255, 0, 0), 255);
    assert_int_equal(tile_width(255, 1, 0), 0);
    assert_int_equal(tile_width(256, 0, 0), 256); /* full at level 0 ... */
    assert_int_equal(tile_width(256, 0, 1), 0);
    assert_int_equal(tile_width(256, 1, 0), 1); /* ... and 1 wide at level 1 */
    assert_int_equal(tile_width(257, 0, 1), 1);
    /* the example of the specification */
    assert_int_equal(tile_width(70000, 0, 272), 256);
    assert_int_equal(tile_width(70000, 0, 273), 112);
    assert_int_equal(tile_width(70000, 0, 274), 0);
    assert_int_equal(tile_width(70000, 1, 0), 256);
    assert_int_equal(tile_width(70000, 1, 1), 17);
    assert_int_equal(tile_width(70000, 2, 0), 1);
    assert_int_equal(tile_width(70000, 3, 0), 0);
    assert_int_equal(tile_width(TREE_SIZE_MAX - 1, 7, 0), 63);
    assert_int_equal(tile_width(TREE_SIZE_MAX - 1, 8, 0), 0);
    assert_int_equal(tile_width(TREE_SIZE_MAX - 1, 63, 0), 0);
    assert_int_equal(tile_width(1, 0, UINT64_MAX), 0);

    /* All narrower partial tiles are there too, none wider. */
    for (unsigned w = 1; w <= 256; w++)
        assert_int_equal(tile_exists(&(struct tile_path){false, 0, 273, w}, 70000), w <= 112);
    assert_false(tile_exists(&(struct tile_path){false, 0, 273, 0}, 70000));
    assert_true(tile_exists(&(struct tile_path){true, 0, 272, 100}, 70000));
}

/* Every tile that a tree of `size` leaves must have is on the shelf, with the right hashes. */
static void
check_shelf(uint64_t size)
{
    for (unsigned level = 0; level < 3; level++) {
        size_t under = (size_t)1 << (TILE_HEIGHT * level);

        for (uint64_t index = 0; index < TILES; index++) {
            unsigned width = tile_width(size, level, index);

            assert_int_equal(shelf.width[level][index], width);
            for (unsigned i = 0; i < width; i++) {
                struct hash want;

                tree_root(leaves + (index * TILE_WIDTH + i) * under, under, &want);
                assert_memory_equal(
                    shelf.bytes[level][index] + (size_t)i * HASH_BYTES, want.b, HASH_BYTES);
            }
        }
    }
}

/* What tiles give, and what the writer says, is what the leaves give. */
static void
check_frontier(const struct tile_writer *w, uint64_t size)
{
    struct frontier derived;
    struct hash want, got;

    assert_int_equal(w->frontier.size, size);
    tree_root(leaves, (size_t)size, &want);
    frontier_root(&w->frontier, &got);
    assert_true(hash_equal(&want, &got));
    assert_int_equal(tile_frontier(shelf_read, NULL, size, &derived), OK);
    frontier_root(&derived, &got);
    assert_true(hash_equal(&want, &got));
}

static void
writer_edge_sizes(void **state)
{
    static const size_t sizes[] = {
        0, 1, 2, 3, 255, 256, 257, 511, 512, 513, 65535, 65536, 65537, LEAVES};
    static struct tile_writer w;
    size_t at = 0;

    (void)state;
    shelf_clear();
    tile_writer_init(&w);
    for (size_t i = 0; i < ROWS(sizes); i++) {
        assert_int_equal(tile_writer_append(&w, leaves + at, sizes[i] - at, shelf_put, NULL), OK);
        at = sizes[i];
        check_frontier(&w, at);
        check_shelf(at);
    }
}

/* A batch puts each tile it changed once. */
static void
writer_puts_once(void **state)
{
    static struct tile_writer w;

    (void)state;
    shelf_clear();
    tile_writer_init(&w);
    assert_int_equal(tile_writer_append(&w, leaves, 0, shelf_put, NULL), OK);
    assert_int_equal(shelf.puts, 0);
    assert_int_equal(tile_writer_append(&w, leaves, 200, shelf_put, NULL), OK);
    assert_int_equal(shelf.puts, 1);
    assert_int_equal(tile_writer_append(&w, leaves + 200, 56, shelf_put, NULL), OK);
    assert_int_equal(shelf.puts, 3); /* full at level 0, 1 wide at level 1 */
    assert_int_equal(tile_writer_append(&w, leaves + 256, 700, shelf_put, NULL), OK);
    assert_int_equal(shelf.puts, 7); /* two full, one partial, level 1 */
}

/* Stop and load at any size, append on, in random batches. */
static void
writer_reload(void **state)
{
    static struct tile_writer w;
    struct frontier kept = {0};

    (void)state;
    shelf_clear();
    while (kept.size < 3000 || kept.size % TILE_WIDTH == 0) {
        size_t n = 1 + randombytes_uniform(300);

        assert_int_equal(tile_writer_load(&w, &kept, shelf_read, NULL), OK);
        assert_int_equal(tile_writer_append(&w, leaves + kept.size, n, shelf_put, NULL), OK);
        kept = w.frontier;
        check_frontier(&w, kept.size);
    }
    check_shelf(kept.size);

    /* A frontier that is not the tiles', a tile that was changed, a tile that is gone. */
    kept.edge[__builtin_ctzll(kept.size)].b[0] ^= 1;
    assert_int_equal(tile_writer_load(&w, &kept, shelf_read, NULL), ERR_MISMATCH);
    kept.edge[__builtin_ctzll(kept.size)].b[0] ^= 1;
    shelf.bytes[0][kept.size / TILE_WIDTH][31] ^= 1;
    assert_int_equal(tile_writer_load(&w, &kept, shelf_read, NULL), ERR_MISMATCH);
    shelf.bytes[0][kept.size / TILE_WIDTH][31] ^= 1;
    assert_int_equal(tile_writer_load(&w, &kept, shelf_read, NULL), OK);
    shelf.width[0][kept.size / TILE_WIDTH]--;
    assert_int_equal(tile_writer_load(&w, &kept, shelf_read, NULL), ERR_NOT_FOUND);
}

static void
writer_reports_a_failed_put(void **state)
{
    static struct tile_writer w;

    (void)state;
    for (unsigned fail = 1; fail <= 4; fail++) {
        shelf_clear();
        tile_writer_init(&w);
        shelf.fail_at = fail;
        assert_int_equal(tile_writer_append(&w, leaves, 700, shelf_put, NULL), ERR_FULL);
        assert_int_equal(shelf.puts, fail); /* nothing is put behind a failed one */
    }
}

static void
nodes_from_tiles(void **state)
{
    static struct tile_writer w;
    struct hash want, got;

    (void)state;
    shelf_clear();
    tile_writer_init(&w);
    assert_int_equal(tile_writer_append(&w, leaves, 65537, shelf_put, NULL), OK);
    for (unsigned height = 0; height <= 16; height++) {
        for (uint64_t index = 0; index < 65537U >> height; index += 1 + (30U >> height)) {
            size_t under = (size_t)1 << height;

            assert_int_equal(tile_node(shelf_read, NULL, 65537, height, index, &got), OK);
            tree_root(leaves + index * under, under, &want);
            assert_true(hash_equal(&want, &got));
        }
    }
    assert_int_equal(tile_frontier(shelf_read, NULL, TREE_SIZE_MAX, &w.frontier), ERR_LIMIT);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths),
        cmocka_unit_test(bad_paths),
        cmocka_unit_test(widths),
        cmocka_unit_test(writer_edge_sizes),
        cmocka_unit_test(writer_puts_once),
        cmocka_unit_test(writer_reload),
        cmocka_unit_test(writer_reports_a_failed_put),
        cmocka_unit_test(nodes_from_tiles),
    };

    return cmocka_run_group_tests(tests, make_leaves, NULL);
}
