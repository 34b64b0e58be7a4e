/* seal.h: personal fields under a data subject's key: XChaCha20-Poly1305, nonce 24,
 * AD = "gatehouse-sealed-v1\n" || origin || "\n" || event_id. Destroying the key erases the data,
 * changes no state and breaks no proof. */
#ifndef CORE_SEAL_H
#define CORE_SEAL_H

#include "core/event.h"

#define SEAL_KEY_BYTES   32
#define SEAL_NONCE_BYTES 24
#define SEAL_TAG_BYTES   16

/* out: plaintext.len + SEAL_TAG_BYTES. */
void seal_close(const char *origin, const struct id *event_id, const uint8_t key[32],
    const uint8_t nonce[24], struct span plaintext, uint8_t *out);
/* ERR_MISMATCH: not sealed by this key for this event. */
MUST_USE enum err seal_open(const char *origin, const struct id *event_id, const uint8_t key[32],
    struct span nonce, struct span ciphertext, uint8_t *out, size_t cap, size_t *len);
/* Key id of the month of an eff time: for callers that are not authenticated. */
struct id seal_month_id(const char *origin, int64_t eff_us);

#endif
