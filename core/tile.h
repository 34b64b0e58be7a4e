/* tile.h: the tree as C2SP tlog-tiles (c2sp.org/tlog-tiles): coordinates, paths, which tiles a tree
 * of a given size has, and the writer that keeps the right edge of every level.
 * A tile of level L, index N holds 256 hashes: the roots of the full subtrees of 256^L leaves
 * number N*256 and up. Level 0 holds leaf hashes. A partial tile holds the first `width` of them.
 */
#ifndef CORE_TILE_H
#define CORE_TILE_H

#include "core/tree.h"

#define TILE_HEIGHT     8
#define TILE_WIDTH      256
#define TILE_BYTES      (TILE_WIDTH * HASH_BYTES)
#define TILE_LEVELS     8  /* a tree below TREE_SIZE_MAX has no tile above level 7 */
#define TILE_LEVELS_MAX 64 /* levels a path may name */
#define TILE_PATH_BYTES 64 /* longest path, with room to spare */
#define TILE_ROOT       "/log/tile/"

/* What `/log/tile/<L>/<N>[.p/<W>]` or `/log/tile/entries/<N>[.p/<W>]` names. */
struct tile_path {
    bool entries;   /* an entry bundle: level is 0 */
    unsigned level; /* below TILE_LEVELS_MAX */
    uint64_t index; /* below TREE_SIZE_MAX / TILE_WIDTH */
    unsigned width; /* 1 to TILE_WIDTH; TILE_WIDTH: no .p suffix */
};

/* Strict: exactly what tile_path_format writes. ERR_MALFORMED. */
MUST_USE enum err tile_path_parse(struct span path, struct tile_path *out);
MUST_USE enum err tile_path_format(
    const struct tile_path *tile, char *out, size_t cap, size_t *len);

/* Width of tile (level, index) in a tree of `size` leaves; 0: no such tile. */
unsigned tile_width(uint64_t size, unsigned level, uint64_t index);

/* Does a tree of `size` leaves, or of any size before, have this tile? The bytes of a partial tile
 * are the first width * HASH_BYTES of any later, wider one: so every older head stays provable. */
bool tile_exists(const struct tile_path *tile, uint64_t size);

/* Reads the first `width` hashes of a tile into `out`. ERR_NOT_FOUND if it is not there or not that
 * wide; other errors are the store's. */
typedef enum err (*tile_read)(
    void *ctx, unsigned level, uint64_t index, unsigned width, uint8_t *out);

/* Stores a tile under (level, index), in place of its narrower predecessor. */
typedef enum err (*tile_put)(
    void *ctx, unsigned level, uint64_t index, unsigned width, const uint8_t *bytes);

/* Derives the frontier of a tree of `size` leaves from its partial tiles (at most one a level). */
MUST_USE enum err tile_frontier(tile_read read, void *ctx, uint64_t size, struct frontier *out);

/* Root of the full subtree number `index` of 2^height leaves, out of a tree of `size` leaves that
 * contains it. */
MUST_USE enum err tile_node(
    tile_read read, void *ctx, uint64_t size, unsigned height, uint64_t index, struct hash *out);

/* The tile being filled at one level; width 0 when the last one just got full. */
struct tile_edge {
    uint64_t index;
    unsigned width;
    bool changed;
    uint8_t bytes[TILE_BYTES];
};

/* The frontier and the right edge of every level: 64 KiB, so not for the stack of a small thread.
 * {0} is the empty tree. */
struct tile_writer {
    struct frontier frontier;
    struct tile_edge edge[TILE_LEVELS];
};

void tile_writer_init(struct tile_writer *w);

/* Takes up a stored tree. ERR_MISMATCH if the partial tiles do not give `frontier`: then the store
 * is damaged. */
MUST_USE enum err tile_writer_load(
    struct tile_writer *w, const struct frontier *frontier, tile_read read, void *ctx);

/* Adds a batch of leaves and puts each tile that it changed: a full one when it gets full, the
 * partial one of each level once at the end. After an error the writer is ahead of the store: init
 * or load it again. */
MUST_USE enum err tile_writer_append(
    struct tile_writer *w, const struct hash *leaves, size_t n, tile_put put, void *ctx);

#endif
