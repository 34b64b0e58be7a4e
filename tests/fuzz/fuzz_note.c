/* fuzz_note.c: signed notes and keys in text. What parses must also hold together: text and
 * signatures are the whole message, and a verified text signs to the same bytes. */
#include <sodium.h>

#include "core/note.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define VKEY "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of(data, size);
    struct note_key known, key;
    struct note_signer *signer;
    struct note note;
    char out[NOTE_SKEY_BYTES_MAX];
    size_t len;

    INVARIANT(sodium_init() >= 0); /* signers live in guarded memory */
    INVARIANT(note_vkey_parse(span_str(VKEY), &known) == OK);
    if (note_parse(input, &note) == OK) {
        INVARIANT(note.text.ptr == data && note.text.ptr[note.text.len - 1] == '\n');
        INVARIANT(note.text.len + 1 + note.signatures.len == size);
        (void)!note_verify(&note, &known, 1);
    }
    if (note_vkey_parse(input, &key) == OK) {
        INVARIANT(note_vkey_format(&key, out, sizeof(out), &len) == OK);
        INVARIANT(span_equal(span_of(out, len), input));
    }
    if (note_signer_parse(input, &signer) == OK) {
        INVARIANT(note_skey_format(signer, out, sizeof(out), &len) == OK);
        INVARIANT(span_equal(span_of(out, len), input));
        note_signer_free(signer);
    }
    return 0;
}
