/* idempotency.h: a POST that is repeated after a time-out has one effect and one answer
 * (Idempotency-Key). One table for all loops behind one lock; entries live IDEMPOTENCY_MS at most.
 * Answers may hold secrets that are shown once (support codes, API keys): the table is guarded
 * memory, and an entry is wiped when it ends. */
#ifndef HTTP_IDEMPOTENCY_H
#define HTTP_IDEMPOTENCY_H

#include "core/hash.h"
#include "core/id.h"

#define IDEMPOTENCY_ENTRIES   1024
#define IDEMPOTENCY_PER_OWNER 64 /* then the owner's oldest answer goes */
#define IDEMPOTENCY_MS        (10 * 60 * 1000)
#define IDEMPOTENCY_KEY_MAX   64
#define IDEMPOTENCY_BODY_MAX  1024 /* longer answers are not kept: none of the POSTs has one */

struct idempotency;

struct idempotency *idempotency_new(void); /* NULL: no memory */
void idempotency_free(struct idempotency *t);

/* 1 to IDEMPOTENCY_KEY_MAX visible ASCII characters. */
bool idempotency_key_valid(struct span key);

enum idempotency_found {
    IDEMPOTENCY_FRESH,   /* go ahead; finish or release the claim */
    IDEMPOTENCY_PENDING, /* the first one is still under way */
    IDEMPOTENCY_OTHER,   /* the key was used for another request */
    IDEMPOTENCY_REPLAY,  /* answered before: idempotency_answer */
    IDEMPOTENCY_FULL,    /* no room */
};

/* A place in the table, by number and generation: it may have ended meanwhile. */
struct idempotency_claim {
    uint32_t slot;
    uint64_t generation; /* 0: none */
};

/* owner: the token family, nil for the local command line. request: hash of route, path and body.
 */
enum idempotency_found idempotency_begin(struct idempotency *t, const struct id *owner,
    struct span key, const struct hash *request, uint64_t now_ms, struct idempotency_claim *claim);
void idempotency_finish(struct idempotency *t, const struct idempotency_claim *claim,
    uint16_t status, struct span body);
void idempotency_release(struct idempotency *t, const struct idempotency_claim *claim);

/* Copies the answer; false when it has ended meanwhile. The caller wipes. */
bool idempotency_answer(struct idempotency *t, const struct idempotency_claim *claim,
    uint64_t now_ms, uint16_t *status, uint8_t body[IDEMPOTENCY_BODY_MAX], size_t *len);

#endif
