/* proofpool.h: slow proofs (Argon2id) on a few threads of low priority, so that a login storm
 * starves neither relays nor memory: at most PROOF_THREADS_MAX hashes at once (64 MiB each), and a
 * bounded line of waiting ones. */
#ifndef HTTP_PROOFPOOL_H
#define HTTP_PROOFPOOL_H

#include "core/limits.h"
#include "core/password.h"
#include "http/loop.h"

#define PROOF_THREADS_MAX 2
#define PROOF_QUEUE_MAX   32 /* more: 503 with Retry-After */
#define PROOF_TEXT_MAX    192

struct proofpool;

enum proof_kind { PROOF_VERIFY, PROOF_HASH };

struct proof_job {
    enum proof_kind kind;
    char *password; /* guarded (sodium_malloc), the job's own; wiped when the job is freed */
    size_t password_len;
    char verifier[PROOF_TEXT_MAX];       /* PROOF_VERIFY: in; PROOF_HASH: out */
    bool proven;                         /* PROOF_VERIFY: the answer; PROOF_HASH: it worked */
    bool judge;                          /* PROOF_HASH: only if it is a good password */
    char account[ACCOUNT_BYTES_MAX + 1]; /* judge: what it must not be built around */
    enum password_fault fault;           /* judge: why it was not hashed */
    /* Called on `loop` when done; the job is freed after it returns. */
    void (*done)(struct loop *loop, struct ref ref, struct proof_job *job);
    struct loop *loop;
    struct ref ref;
    uint64_t number; /* the asker's own */
    struct proof_job *next;
};

struct proofpool *proofpool_new(unsigned threads); /* NULL: no memory, no threads */
void proofpool_free(struct proofpool *pool);       /* drops what waits, joins */

/* NULL: no memory, or password longer than 1024 bytes. Copies the password. */
struct proof_job *proof_job_new(enum proof_kind kind, struct span password);
void proof_job_free(struct proof_job *job);

/* Loop thread. False: the line or the loop's mailbox is full; the job stays the caller's. */
MUST_USE bool proofpool_submit(struct proofpool *pool, struct proof_job *job);

#endif
