/* fuzz_tile.c: tile paths as they come in a request target. A tile has one path only. */
#include "core/tile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tile_path tile;
    char out[TILE_PATH_BYTES];
    size_t len;

    if (tile_path_parse(span_of(data, size), &tile) != OK)
        return 0;
    INVARIANT(tile.width >= 1 && tile.width <= TILE_WIDTH && tile.level < TILE_LEVELS_MAX);
    INVARIANT(tile_path_format(&tile, out, sizeof(out), &len) == OK);
    INVARIANT(span_equal(span_of(out, len), span_of(data, size)));
    (void)tile_exists(&tile, TREE_SIZE_MAX - 1);
    return 0;
}
