/* writelog.c: writes a log of a given size as a folder, for programs that share no code with us to
 * judge: `writelog FOLDER SIZE`. Everything is made by core, from fixed seeds, in uneven batches as
 * the journal would. No server, no store.
 *
 *   vkey, root                        the log's and root's verifier keys
 *   checkpoint                        the signed head
 *   tile/<L>/<N>[.p/<W>]              hashes, C2SP tlog-tiles
 *   tile/entries/<N>[.p/<W>]          records
 *   leaves                            the leaf hashes, 32 bytes each
 *   export                            the whole log as one file, as `gatehouse audit export` has it
 *   proofs/inclusion-<i>.tlog-proof   as C2SP has them
 *   proofs/consistency-<m>            m, root of the first m leaves, hashes: a line each
 *
 * Seeds, for tests that forge: root is 32 bytes of 0x01, log 0x02, event key 0x03, and 0x04 after
 * the key.rotated at seq 100. */
#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include "core/ascii.h"
#include "core/event.h"
#include "core/logfile.h"
#include "core/proof.h"

#define ORIGIN     "gatehouse.oracle"
#define LOG_MAX    70000
#define LEVELS     3
#define TILES      300
#define ROTATED_AT 100
#define START_US   1700000000000000

static struct {
    char folder[1024];
    struct note_signer *root, *log, *event, *event_next;
    struct tile_writer writer;
    struct hash leaves[LOG_MAX];
    uint8_t tiles[LEVELS][TILES][TILE_BYTES];
    struct hash prev;
    uint8_t *bundle; /* of the entries since the last multiple of 256 */
    size_t bundle_len;
} log_;

static _Noreturn void __attribute__((format(printf, 1, 2))) die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

static void
must(enum err err, const char *what)
{
    if (err != OK)
        die("%s: %s", what, err_name(err));
}

/* Writes folder/name, and makes the folders on the way. */
static void
write_file(const char *name, const void *bytes, size_t len)
{
    char path[2048];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", log_.folder, name);
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0755) != 0 && errno != EEXIST)
            die("cannot make %s", path);
        *slash = '/';
    }
    f = fopen(path, "wb");
    if (f == NULL || fwrite(bytes, 1, len, f) != len || fclose(f) != 0)
        die("cannot write %s", path);
}

static void
write_tile(const struct tile_path *tile, const void *bytes, size_t len)
{
    char path[TILE_PATH_BYTES + 1];
    size_t path_len;

    must(tile_path_format(tile, path, sizeof(path) - 1, &path_len), "tile path");
    path[path_len] = '\0';
    write_file(path + strlen("/log/"), bytes, len);
}

static void
write_vkey(const char *name, const struct note_key *key)
{
    char text[NOTE_VKEY_BYTES_MAX + 1];
    size_t len;

    must(note_vkey_format(key, text, sizeof(text) - 1, &len), name);
    text[len++] = '\n';
    write_file(name, text, len);
}

static struct note_signer *
make_key(const char *name, uint8_t fill)
{
    uint8_t seed[NOTE_SEED_BYTES];
    struct note_signer *signer = NULL;

    memset(seed, fill, sizeof(seed));
    must(note_signer_new(span_str(name), seed, &signer), name);
    return signer;
}

static void
sign(const struct note_signer *signer, const char *purpose, const char *middle, struct span a,
    struct span b, uint8_t sig[64])
{
    char text[512];
    struct ascii t;

    ascii_init(&t, text, sizeof(text));
    ascii_str(&t, purpose);
    ascii_str(&t, "\n" ORIGIN "\n");
    ascii_str(&t, middle);
    ascii_put(&t, a);
    ascii_put(&t, b);
    crypto_sign_detached(sig, NULL, (uint8_t *)text, t.len, signer->secret);
}

static struct span
public_of(const struct note_signer *signer)
{
    return span_of(signer->key.public_key, NOTE_PUBLIC_KEY_BYTES);
}

/* The event of a seq: log.opened, one key.rotated, else heartbeats. */
static void
fill_event(uint64_t seq, struct event *ev)
{
    static uint8_t one[64], two[64];

    if (seq == 0) {
        ev->type = EV_LOG_OPENED;
        sign(log_.root, "gatehouse-keys-v1", "", public_of(log_.log), public_of(log_.event), one);
        fields_add_span(&ev->data, FIELD_ROOT_KEY, public_of(log_.root));
        fields_add_span(&ev->data, FIELD_LOG_KEY, public_of(log_.log));
        fields_add_span(&ev->data, FIELD_EVENT_KEY, public_of(log_.event));
        fields_add_span(&ev->data, FIELD_ROOT_SIG, span_of(one, sizeof(one)));
        fields_add_span(&ev->data, FIELD_ORIGIN, span_str(ORIGIN));
    } else if (seq == ROTATED_AT) {
        struct span next = public_of(log_.event_next);

        ev->type = EV_KEY_ROTATED;
        sign(log_.event_next, "gatehouse-rotate-v1", "event\n2\n", next, span_of("", 0), one);
        sign(log_.log, "gatehouse-rotate-v1", "event\n2\n", next, span_of("", 0), two);
        fields_add_span(&ev->data, FIELD_KEY_ROLE, span_str("event"));
        fields_add_u64(&ev->data, FIELD_EPOCH, 2);
        fields_add_span(&ev->data, FIELD_NEW_KEY, next);
        fields_add_span(&ev->data, FIELD_POSSESSION_SIG, span_of(one, sizeof(one)));
        fields_add_span(&ev->data, FIELD_OTHER_SIG, span_of(two, sizeof(two)));
    } else {
        ev->type = EV_HEARTBEAT;
        fields_add_u64(&ev->data, FIELD_BOOTTIME_US, seq * 1000);
    }
}

/* Makes the record of `seq` behind the bundle's others; gives its leaf hash. */
static void
make_record(uint64_t seq)
{
    bool rotated = seq > ROTATED_AT;
    struct event ev = {.seq = seq,
        .origin_id = event_origin_id(ORIGIN),
        .prev = log_.prev,
        .key_epoch = rotated ? 2 : 1,
        .wall_us = START_US + (int64_t)seq * 60000000,
        .eff_us = START_US + (int64_t)seq * 60000000,
        .v = 1,
        .actor = {.kind = ACTOR_SERVER}};
    uint8_t *entry = log_.bundle + log_.bundle_len;
    size_t len;

    crypto_generichash(ev.boot.b, ID_BYTES, (const uint8_t *)"boot", 4, NULL, 0);
    crypto_generichash(ev.id.b, ID_BYTES, (uint8_t *)&seq, sizeof(seq), NULL, 0);
    fill_event(seq, &ev);
    must(event_encode(&ev, entry + 2, RECORD_BYTES_MAX - EVENT_SIG_BYTES, &len), "event");
    event_sign(ORIGIN, span_of(entry + 2, len),
        rotated ? log_.event_next->secret : log_.event->secret, entry + 2 + len);
    event_prev(span_of(entry + 2, len), &log_.prev);
    len += EVENT_SIG_BYTES;
    event_leaf(span_of(entry + 2, len), &log_.leaves[seq]);
    entry[0] = (uint8_t)(len >> 8);
    entry[1] = (uint8_t)len;
    log_.bundle_len += 2 + len;
}

static enum err
keep_tile(void *ctx, unsigned level, uint64_t index, unsigned width, const uint8_t *bytes)
{
    (void)ctx;
    if (level >= LEVELS || index >= TILES)
        return ERR_LIMIT;
    memcpy(log_.tiles[level][index], bytes, (size_t)width * HASH_BYTES);
    return OK;
}

static enum err
read_tile(void *ctx, unsigned level, uint64_t index, unsigned width, uint8_t *out)
{
    (void)ctx;
    if (width > tile_width(log_.writer.frontier.size, level, index))
        return ERR_NOT_FOUND;
    memcpy(out, log_.tiles[level][index], (size_t)width * HASH_BYTES);
    return OK;
}

/* Records into bundles, leaf hashes into tiles, in batches of 1, 2, ... 1000, 1, 2, ... */
static void
write_entries(uint64_t size)
{
    uint64_t done = 0;
    size_t batch = 1;

    log_.bundle = malloc((size_t)TILE_WIDTH * (2 + RECORD_BYTES_MAX));
    if (log_.bundle == NULL)
        die("no memory");
    for (uint64_t seq = 0; seq < size; seq++) {
        make_record(seq);
        if ((seq + 1) % TILE_WIDTH == 0 || seq + 1 == size) {
            struct tile_path tile = {true, 0, seq / TILE_WIDTH, (unsigned)(seq % TILE_WIDTH) + 1};

            write_tile(&tile, log_.bundle, log_.bundle_len);
            log_.bundle_len = 0;
        }
        if (seq + 1 - done == batch || seq + 1 == size) {
            must(tile_writer_append(
                     &log_.writer, log_.leaves + done, (size_t)(seq + 1 - done), keep_tile, NULL),
                "tiles");
            done = seq + 1;
            batch = batch % 1000 + 1;
        }
    }
    free(log_.bundle);
}

static void
write_tiles(uint64_t size)
{
    for (unsigned level = 0; level < LEVELS; level++) {
        for (uint64_t index = 0; index < TILES; index++) {
            struct tile_path tile = {false, level, index, tile_width(size, level, index)};

            if (tile.width > 0)
                write_tile(&tile, log_.tiles[level][index], (size_t)tile.width * HASH_BYTES);
        }
    }
}

/* ---- all of it as one file, from the bundles just written */

static enum err
write_piece(void *file, struct span bytes)
{
    return fwrite(bytes.ptr, 1, bytes.len, file) == bytes.len ? OK : ERR_IO;
}

static void
export_bundle(struct logfile_writer *w, uint64_t size, uint64_t index, bool keys)
{
    uint64_t first = index * TILE_WIDTH, left = size - first;
    struct tile_path tile = {true, 0, index, (unsigned)(left < TILE_WIDTH ? left : TILE_WIDTH)};
    static uint8_t entry[UINT16_MAX];
    char path[TILE_PATH_BYTES + 1], name[2048];
    uint8_t length[2];
    size_t path_len;
    FILE *f;

    must(tile_path_format(&tile, path, sizeof(path) - 1, &path_len), "tile path");
    path[path_len] = '\0';
    snprintf(name, sizeof(name), "%s/%s", log_.folder, path + strlen("/log/"));
    if ((f = fopen(name, "rb")) == NULL)
        die("cannot read %s", name);
    for (uint64_t seq = first; seq < first + tile.width; seq++) {
        if (fread(length, 1, 2, f) != 2)
            die("cannot read %s", name);
        path_len = (size_t)length[0] << 8 | length[1];
        if (fread(entry, 1, path_len, f) != path_len)
            die("cannot read %s", name);
        if (!keys)
            must(logfile_record(w, span_of(entry, path_len)), "export");
        else if (seq == 0 || seq == ROTATED_AT)
            must(logfile_key_event(w, seq, span_of(entry, path_len)), "export");
    }
    fclose(f);
}

static void
write_export(uint64_t size, struct span checkpoint)
{
    uint64_t bundles = (size + TILE_WIDTH - 1) / TILE_WIDTH;
    struct logfile_writer *w;
    char name[2048];
    FILE *f;

    snprintf(name, sizeof(name), "%s/export", log_.folder);
    if ((f = fopen(name, "wb")) == NULL)
        die("cannot write %s", name);
    must(logfile_writer_new(&(struct logfile_out){f, write_piece}, ORIGIN, size, &w), "export");
    must(logfile_head(w, checkpoint), "export");
    if (bundles > 0)
        export_bundle(w, size, 0, true); /* all key events are in the first */
    for (uint64_t i = 0; i < bundles; i++)
        export_bundle(w, size, i, false);
    must(logfile_end(w), "export");
    logfile_writer_free(w);
    if (fclose(f) != 0)
        die("cannot write %s", name);
}

static void
write_inclusion(uint64_t index, uint64_t size, struct span checkpoint)
{
    char text[8192], name[64];
    struct proof proof;
    size_t len;

    must(proof_inclusion(read_tile, NULL, index, size, &proof), "inclusion proof");
    must(proof_file_format(index, &proof, span_of("", 0), checkpoint, text, sizeof(text), &len),
        "proof file");
    snprintf(name, sizeof(name), "proofs/inclusion-%llu.tlog-proof", (unsigned long long)index);
    write_file(name, text, len);
}

static void
write_consistency(uint64_t old_size, uint64_t size)
{
    char text[8192], name[64];
    struct proof proof;
    struct hash root;
    struct ascii a;

    must(proof_consistency(read_tile, NULL, old_size, size, &proof), "consistency proof");
    tree_root(log_.leaves, (size_t)old_size, &root);
    ascii_init(&a, text, sizeof(text));
    ascii_u64(&a, old_size);
    ascii_str(&a, "\n");
    ascii_base64(&a, BASE64_STD, span_of(root.b, HASH_BYTES));
    ascii_str(&a, "\n");
    for (size_t i = 0; i < proof.count; i++) {
        ascii_base64(&a, BASE64_STD, span_of(proof.path[i].b, HASH_BYTES));
        ascii_str(&a, "\n");
    }
    snprintf(name, sizeof(name), "proofs/consistency-%llu", (unsigned long long)old_size);
    write_file(name, text, a.len);
}

static void
write_proofs(uint64_t size, struct span checkpoint)
{
    const uint64_t spots[] = {
        0, 1, 2, 3, 127, 254, 255, 256, 257, 32767, 65534, 65535, 65536, size / 3, size / 2};

    for (size_t i = 0; i < sizeof(spots) / sizeof(spots[0]); i++) {
        if (spots[i] < size)
            write_inclusion(spots[i], size, checkpoint);
        if (spots[i] <= size)
            write_consistency(spots[i], size);
    }
    if (size > 0)
        write_inclusion(size - 1, size, checkpoint);
    write_consistency(size, size);
}

int
main(int argc, char **argv)
{
    char checkpoint[CHECKPOINT_BYTES_MAX];
    struct hash root;
    uint64_t size;
    size_t len;

    if (argc != 3 || ascii_number(span_str(argv[2]), LOG_MAX, &size) != OK)
        die("usage: writelog FOLDER SIZE (at most %d)", LOG_MAX);
    if (sodium_init() < 0)
        die("libsodium does not start");
    snprintf(log_.folder, sizeof(log_.folder), "%s", argv[1]);
    log_.root = make_key(ORIGIN "/root", 1);
    log_.log = make_key(ORIGIN, 2);
    log_.event = make_key("event", 3);
    log_.event_next = make_key("event", 4);
    write_vkey("root", &log_.root->key);
    write_vkey("vkey", &log_.log->key);

    tile_writer_init(&log_.writer);
    write_entries(size);
    write_tiles(size);
    write_file("leaves", log_.leaves, (size_t)size * HASH_BYTES);
    frontier_root(&log_.writer.frontier, &root);
    must(checkpoint_sign(size, &root, log_.log, checkpoint, sizeof(checkpoint), &len), "head");
    write_file("checkpoint", checkpoint, len);
    write_export(size, span_of(checkpoint, len));
    write_proofs(size, span_of(checkpoint, len));
    note_signer_free(log_.root);
    note_signer_free(log_.log);
    note_signer_free(log_.event);
    note_signer_free(log_.event_next);
    return 0;
}
