/* statement.h: typed statements that agents sign with their device key. Signed bytes:
 *   "gatehouse-<purpose>-v1\n" || origin || "\n" || body
 * body: one canonical map; never a bare nonce, never personal text (only SHA-256(salt16 ||
 * canonical personal map), whose salt and map travel beside it and end in the event's sealed part).
 */
#ifndef CORE_STATEMENT_H
#define CORE_STATEMENT_H

#include "core/err.h"
#include "core/hash.h"
#include "core/id.h"
#include "core/span.h"

enum purpose { PURPOSE_HELLO = 1, PURPOSE_CONSENT, PURPOSE_CHANNEL, PURPOSE_CLOSE };

#define STATEMENT_PROTOCOL  1
#define STATEMENT_BYTES_MAX 4096
#define STATEMENT_NONCE     32

/* One struct for all purposes; which members a purpose has is in the table of statement.c
 * (number in the map in brackets). Absent members are zero. */
struct statement {
    enum purpose purpose;
    uint8_t device_key[32];       /* [1] hello: Ed25519 public key of the device */
    uint8_t server_nonce[32];     /* [2] all */
    uint8_t agent_nonce[32];      /* [3] all */
    struct id machine;            /* [4] hello by device key; consent, channel, close */
    struct id session;            /* [5] consent, channel, close */
    struct id channel;            /* [6] channel, close */
    struct span services;         /* [7] hello: canonical array of str */
    struct span service;          /* [8] channel: str */
    struct span version;          /* [9] hello: agent version, str */
    struct span os;               /* [10] hello: str */
    uint64_t protocol;            /* [11] hello: STATEMENT_PROTOCOL */
    uint64_t credential;          /* [12] hello: 1 code, 2 key, 3 device */
    uint64_t answer;              /* [13] consent: 1 yes, 2 no */
    uint64_t mode;                /* [14] consent: 1 prompt, 2 --yes */
    uint64_t to_agent_bytes;      /* [15] close */
    uint64_t to_technician_bytes; /* [16] close */
    uint64_t exit_status;         /* [17] close, shell: status + 1; absent when there is none */
    struct span why;              /* [18] close: str */
    struct hash personal;         /* [19] hello, consent: SHA-256(salt16 || personal map) */
    uint64_t head_size;           /* [20] hello: last checkpoint the agent kept */
    struct hash head_root;        /* [21] hello */
};

const char *purpose_name(enum purpose purpose); /* "hello", "consent", "channel", "close" */

/* Encodes the body (canonical). */
MUST_USE enum err statement_encode(
    const struct statement *st, uint8_t *out, size_t cap, size_t *len);
/* Scans and decodes; a member that the purpose does not have, or lacks one it must have, is
 * ERR_MALFORMED. Spans borrow from body. */
MUST_USE enum err statement_decode(enum purpose purpose, struct span body, struct statement *out);
void statement_sign(
    enum purpose purpose, const char *origin, struct span body, const uint8_t *sk, uint8_t sig[64]);
MUST_USE enum err statement_verify(enum purpose purpose, const char *origin, struct span body,
    struct span sig, const uint8_t pk[32]);
/* The commitment to a personal map. */
void statement_personal(const uint8_t salt[16], struct span map, struct hash *out);
/* The two words (2 x 11 bits of SHA-256("gatehouse-words-v1" || code || device key || both
 * nonces)): indexes below 2048 into core/words.h. */
void statement_words(struct span code, const uint8_t device_key[32], const uint8_t server_nonce[32],
    const uint8_t agent_nonce[32], unsigned words[2]);

#endif
