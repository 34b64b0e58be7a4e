/* state.h: the agent's state folder (0700, one agent at a time):
 *   device.key   Ed25519 seed, 32 bytes, 0600, made on first run; who has it is this machine
 *   server.pin   origin and root verifier key of the server, pinned at the first enrolment
 *   machine      id of this machine there, once enrolled by key
 *   checkpoint   the last head of its log
 */
#ifndef TOOLS_AGENT_STATE_H
#define TOOLS_AGENT_STATE_H

#include "core/hash.h"
#include "core/id.h"
#include "core/limits.h"

struct state {
    int dir;      /* fd of the folder */
    int lock;     /* fd of the lock file */
    char *path;   /* for messages */
    uint8_t *key; /* 64 bytes in sodium_malloc memory: Ed25519 secret key, libsodium's form */
    uint8_t public_key[32];
    bool pinned;
    char origin[ORIGIN_BYTES_MAX + 1];
    char root_vkey[CONTROL_VKEY_BYTES_MAX + 1];
    bool enrolled;
    struct id machine;
    uint64_t head_size; /* 0: none kept */
    struct hash head_root;
};

/* path NULL: the default folder. Tells what was wrong on stderr. */
enum err state_open(const char *path, struct state *out) MUST_USE;
void state_close(struct state *st);

/* The first server is remembered; any other later is ERR_MISMATCH. */
enum err state_pin(struct state *st, struct span origin, struct span root_vkey) MUST_USE;
enum err state_enrolled(struct state *st, const struct id *machine) MUST_USE;
/* The id is not ours any more. */
void state_forget_machine(struct state *st);

/* Keeps a newer head of the pinned origin's log. ERR_MISMATCH: it contradicts the one kept
 * (shorter, or another root at the same size); that one stays, as evidence. ERR_MALFORMED: no
 * checkpoint. */
enum err state_head(struct state *st, struct span checkpoint) MUST_USE;

#endif
