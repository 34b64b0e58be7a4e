/* fuzz_proof.c: tlog-proof files, and the two verifiers over whatever hashes and numbers they hold.
 * A file has one form only: writing it again gives the same bytes. */
#include <stdlib.h>

#include "core/base64.h"
#include "core/proof.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define VKEY "gatehouse.test+16e3b8bb+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"

static void
write_again(const struct proof_file *file, struct span input)
{
    uint8_t *extra = malloc(PROOF_EXTRA_BYTES_MAX);
    char *out = malloc(PROOF_FILE_BYTES_MAX);
    size_t extra_len, len;

    INVARIANT(extra != NULL && out != NULL);
    INVARIANT(
        base64_decode(BASE64_STD, file->extra, extra, PROOF_EXTRA_BYTES_MAX, &extra_len) == OK);
    INVARIANT(proof_file_format(file->index, &file->proof, span_of(extra, extra_len),
                  file->checkpoint, out, PROOF_FILE_BYTES_MAX, &len) == OK);
    INVARIANT(span_equal(span_of(out, len), input));
    free(extra);
    free(out);
}

static uint64_t
number(const uint8_t *b)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < 8; i++)
        value = value << 8 | b[i];
    return value;
}

/* Two numbers, then hashes: all of it hostile. */
static void
verify_raw(const uint8_t *data, size_t size)
{
    uint64_t first, second;
    struct hash *path;
    size_t count;

    if (size < 16 + 2 * HASH_BYTES)
        return;
    first = number(data);
    second = number(data + 8);
    count = (size - 16) / HASH_BYTES;
    path = malloc(count * HASH_BYTES);
    INVARIANT(path != NULL);
    memcpy(path, data + 16, count * HASH_BYTES);
    (void)!proof_inclusion_verify(first, &path[0], second, &path[1], path + 2, count - 2);
    (void)!proof_consistency_verify(first, &path[0], second, &path[1], path + 2, count - 2);
    free(path);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct proof_file file;
    struct hash leaf = {{0}};
    struct checkpoint head;
    struct note_key key;

    INVARIANT(note_vkey_parse(span_str(VKEY), &key) == OK);
    if (proof_file_parse(span_of(data, size), &file) == OK) {
        write_again(&file, span_of(data, size));
        (void)!proof_file_verify(&file, &leaf, &key, 1, &head);
    }
    verify_raw(data, size);
    return 0;
}
