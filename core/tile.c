/* tile.c: tile coordinates and paths, reading nodes and frontiers out of tiles, and the writer of
 * the right edge. Never touches storage itself: bytes go through tile_read and tile_put. Pure; any
 * thread (the journal owns the one writer of a log). */
#include "core/tile.h"

#include "core/ascii.h"

#define PATH_BASE   1000 /* N is written in groups of three digits */
#define PATH_GROUPS 6    /* 10^18 > TREE_SIZE_MAX / TILE_WIDTH */

enum err
tile_path_format(const struct tile_path *tile, char *out, size_t cap, size_t *len)
{
    struct ascii t;
    uint64_t scale = 1;

    while (tile->index / scale >= PATH_BASE)
        scale *= PATH_BASE;
    ascii_init(&t, out, cap);
    ascii_str(&t, TILE_ROOT);
    if (tile->entries)
        ascii_str(&t, "entries");
    else
        ascii_u64(&t, tile->level);
    for (; scale > 0; scale /= PATH_BASE) {
        uint64_t group = tile->index / scale % PATH_BASE;

        ascii_str(&t, scale > 1 ? "/x" : "/");
        ascii_str(&t, group < 10 ? "00" : group < 100 ? "0" : "");
        ascii_u64(&t, group);
    }
    if (tile->width != TILE_WIDTH) {
        ascii_str(&t, ".p/");
        ascii_u64(&t, tile->width);
    }
    return ascii_end(&t, len);
}

/* Three digits, exactly. */
static bool
take_group(struct span *rest, uint64_t *index)
{
    unsigned group = 0;

    if (rest->len < 3)
        return false;
    for (unsigned i = 0; i < 3; i++) {
        if (rest->ptr[i] < '0' || rest->ptr[i] > '9')
            return false;
        group = group * 10 + (unsigned)(rest->ptr[i] - '0');
    }
    *rest = span_of(rest->ptr + 3, rest->len - 3);
    *index = *index * PATH_BASE + group;
    return true;
}

/* x001/x234/067: all groups but the last begin with an x, and the first is not x000. */
static bool
take_index(struct span *rest, uint64_t *index)
{
    unsigned groups = 0;

    *index = 0;
    while (ascii_skip(rest, "x")) {
        if (!take_group(rest, index) || *index == 0 || !ascii_skip(rest, "/") ||
            ++groups == PATH_GROUPS)
            return false;
    }
    return take_group(rest, index) && *index < TREE_SIZE_MAX / TILE_WIDTH;
}

/* <L>/ or entries/ */
static bool
take_level(struct span *rest, struct tile_path *tile)
{
    const uint8_t *slash = rest->len > 0 ? memchr(rest->ptr, '/', rest->len) : NULL;
    struct span word;
    uint64_t level = 0;

    if (slash == NULL)
        return false;
    word = span_of(rest->ptr, (size_t)(slash - rest->ptr));
    *rest = span_of(slash + 1, rest->len - word.len - 1);
    tile->entries = span_is(word, "entries");
    if (!tile->entries && ascii_number(word, TILE_LEVELS_MAX - 1, &level) != OK)
        return false;
    tile->level = (unsigned)level;
    return true;
}

enum err
tile_path_parse(struct span path, struct tile_path *out)
{
    struct tile_path tile = {0};
    uint64_t width = TILE_WIDTH;

    if (!ascii_skip(&path, TILE_ROOT) || !take_level(&path, &tile) ||
        !take_index(&path, &tile.index))
        return ERR_MALFORMED;
    if (ascii_skip(&path, ".p/")) {
        if (ascii_number(path, TILE_WIDTH - 1, &width) != OK || width == 0)
            return ERR_MALFORMED;
    } else if (path.len > 0) {
        return ERR_MALFORMED;
    }
    tile.width = (unsigned)width;
    *out = tile;
    return OK;
}

unsigned
tile_width(uint64_t size, unsigned level, uint64_t index)
{
    uint64_t hashes = level < TILE_LEVELS ? size >> (TILE_HEIGHT * level) : 0;

    if (index > hashes / TILE_WIDTH)
        return 0;
    hashes -= index * TILE_WIDTH;
    return hashes < TILE_WIDTH ? (unsigned)hashes : TILE_WIDTH;
}

bool
tile_exists(const struct tile_path *tile, uint64_t size)
{
    return tile->width > 0 && tile->width <= tile_width(size, tile->level, tile->index);
}

/* Root of 2^height hashes (height at most TILE_HEIGHT), in place. */
static void
fold(struct hash *row, unsigned height, struct hash *out)
{
    for (size_t n = (size_t)1 << height; n > 1; n /= 2) {
        for (size_t i = 0; i < n / 2; i++)
            tree_node_hash(&row[2 * i], &row[2 * i + 1], &row[i]);
    }
    *out = row[0];
}

/* Splits a partial tile of `level` into the edges of the frontier that lie in it. */
static void
edges_of_tile(const struct hash *row, unsigned level, unsigned width, struct frontier *f)
{
    struct hash part[TILE_WIDTH / 2];
    unsigned at = 0;

    for (unsigned h = TILE_HEIGHT; h-- > 0;) {
        if ((width >> h & 1) == 0)
            continue;
        memcpy(part, &row[at], ((size_t)1 << h) * HASH_BYTES);
        fold(part, h, &f->edge[TILE_HEIGHT * level + h]);
        at += 1U << h;
    }
}

enum err
tile_frontier(tile_read read, void *ctx, uint64_t size, struct frontier *out)
{
    struct frontier f = {.size = size};
    struct hash row[TILE_WIDTH];
    enum err err;

    if (size >= TREE_SIZE_MAX)
        return ERR_LIMIT;
    for (unsigned level = 0; level < TILE_LEVELS; level++) {
        uint64_t hashes = size >> (TILE_HEIGHT * level);
        unsigned width = (unsigned)(hashes % TILE_WIDTH);

        if (width == 0)
            continue;
        if ((err = read(ctx, level, hashes / TILE_WIDTH, width, row[0].b)) != OK)
            return err;
        edges_of_tile(row, level, width, &f);
    }
    *out = f;
    return OK;
}

enum err
tile_node(
    tile_read read, void *ctx, uint64_t size, unsigned height, uint64_t index, struct hash *out)
{
    struct hash row[TILE_WIDTH];
    unsigned level = height / TILE_HEIGHT;
    unsigned inside = height % TILE_HEIGHT;
    uint64_t first; /* of the tile level's hashes under the node */
    enum err err;

    INVARIANT(height < FRONTIER_EDGES && size < TREE_SIZE_MAX && index < size >> height);
    first = index << inside;
    if ((err = read(ctx, level, first / TILE_WIDTH, tile_width(size, level, first / TILE_WIDTH),
             row[0].b)) != OK)
        return err;
    fold(&row[first % TILE_WIDTH], inside, out);
    return OK;
}

void
tile_writer_init(struct tile_writer *w)
{
    memset(w, 0, sizeof(*w));
}

enum err
tile_writer_load(struct tile_writer *w, const struct frontier *frontier, tile_read read, void *ctx)
{
    struct frontier derived = {.size = frontier->size};
    enum err err;

    tile_writer_init(w);
    if (frontier->size >= TREE_SIZE_MAX)
        return ERR_LIMIT;
    for (unsigned level = 0; level < TILE_LEVELS; level++) {
        struct tile_edge *edge = &w->edge[level];
        struct hash row[TILE_WIDTH];
        uint64_t hashes = frontier->size >> (TILE_HEIGHT * level);

        edge->index = hashes / TILE_WIDTH;
        edge->width = (unsigned)(hashes % TILE_WIDTH);
        if (edge->width == 0)
            continue;
        if ((err = read(ctx, level, edge->index, edge->width, edge->bytes)) != OK)
            return err;
        memcpy(row, edge->bytes, (size_t)edge->width * HASH_BYTES);
        edges_of_tile(row, level, edge->width, &derived);
    }
    for (unsigned h = 0; h < FRONTIER_EDGES; h++) {
        if ((frontier->size >> h & 1) != 0 && !hash_equal(&derived.edge[h], &frontier->edge[h]))
            return ERR_MISMATCH;
    }
    w->frontier = *frontier;
    return OK;
}

struct filling {
    struct tile_writer *w;
    tile_put put;
    void *ctx;
    enum err err; /* the first that put gave; nothing is put after it */
};

static void
edge_put(struct filling *fill, unsigned level)
{
    struct tile_edge *edge = &fill->w->edge[level];

    if (fill->err == OK)
        fill->err = fill->put(fill->ctx, level, edge->index, edge->width, edge->bytes);
    edge->changed = false;
}

/* Adds hashes to a level's edge, no more than its tile has room for. */
static void
edge_add(struct filling *fill, unsigned level, const struct hash *hashes, size_t n)
{
    struct tile_edge *edge = &fill->w->edge[level];

    memcpy(edge->bytes + (size_t)edge->width * HASH_BYTES, hashes, n * HASH_BYTES);
    edge->width += (unsigned)n;
    edge->changed = true;
    if (edge->width == TILE_WIDTH) {
        edge_put(fill, level);
        edge->index++;
        edge->width = 0;
    }
}

static void
node_done(void *ctx, unsigned height, uint64_t index, const struct hash *node)
{
    struct filling *fill = ctx;
    unsigned level = height / TILE_HEIGHT;
    struct tile_edge *edge = &fill->w->edge[level];

    INVARIANT(index == edge->index * TILE_WIDTH + edge->width);
    edge_add(fill, level, node, 1);
}

enum err
tile_writer_append(
    struct tile_writer *w, const struct hash *leaves, size_t n, tile_put put, void *ctx)
{
    struct filling fill = {.w = w, .put = put, .ctx = ctx, .err = OK};

    while (n > 0 && fill.err == OK) {
        size_t room = TILE_WIDTH - w->edge[0].width;
        size_t part = n < room ? n : room;

        edge_add(&fill, 0, leaves, part);
        frontier_append(&w->frontier, leaves, part, node_done, &fill);
        leaves += part;
        n -= part;
    }
    for (unsigned level = 0; level < TILE_LEVELS; level++) {
        if (w->edge[level].changed)
            edge_put(&fill, level);
    }
    return fill.err;
}
