/* vault.h: the keystore's contents in memory, as the ledger uses them: password verifiers, hashes
 * of codes, API keys and invitations, the origin's own keys. Never in an event, a digest or a log
 * line. Ledger thread only (subject keys are in the keyring, which has a lock). */
#ifndef CORE_VAULT_H
#define CORE_VAULT_H

#include "core/keyring.h"
#include "core/ports.h"

/* SECRET_ORIGIN: which of the origin's keys, told apart by `version`. */
enum origin_key {
    ORIGIN_KEY_TAG = 1,     /* tags of addresses and account names */
    ORIGIN_KEY_CODE = 2,    /* keyed hash of support codes */
    ORIGIN_KEY_REFRESH = 3, /* MAC of refresh tokens */
    ORIGIN_KEY_CURSOR = 4,  /* MAC of page cursors */
    ORIGIN_KEY_COUNT = 5
};

#define REFRESH_TEXT_MAX  120
#define TICKET_BYTES_MAX  192
#define TICKET_TECHNICIAN 1u
#define TICKET_AGENT      2u
#define API_KEY_TEXT_MAX  96

struct vault;

/* boot_key: 32 random bytes; tickets are MACed under it, so none survives a restart. */
struct vault *vault_new(const char *origin, const uint8_t boot_key[32], struct keyring *keyring);
void vault_free(struct vault *v);

/* From the keystore at start, and from each batch's secrets as they are made. Subject keys go to
 * the keyring. drop removes. ERR_MEMORY only. */
MUST_USE enum err vault_apply(struct vault *v, const struct batch_secret *secret);

/* What the keystore shall keep for a decision's secret: digits become their keyed hash, API keys
 * and invitation secrets their SHA-256; argon2id strings and keys stay as they are. */
void vault_prepare(const struct vault *v, const struct secret_op *op, struct batch_secret *out);

/* The origin's keys; all zero before log.opened made them. */
const uint8_t *vault_origin_key(const struct vault *v, enum origin_key which);

/* Copies the argon2id string; false when there is none of that version. */
bool vault_password(const struct vault *v, const struct id *user, uint64_t version, char out[192]);
/* Finds the code with these digits (any state: the world says whether it lives). */
bool vault_find_code(const struct vault *v, struct span digits, struct id *code);
bool vault_check(
    const struct vault *v, enum secret_kind kind, const struct id *id, struct span secret);

/* Refresh tokens: "<family>.<n>.<mac>" */
void vault_refresh_make(
    const struct vault *v, const struct id *family, uint64_t n, char out[REFRESH_TEXT_MAX]);
void vault_refresh_read(
    const struct vault *v, struct span text, struct refresh_fact *fact, struct id *family);

/* Known devices: "<device>.<mac>" */
void vault_device_make(const struct vault *v, const struct id *device, char out[DEVICE_TEXT_MAX]);
bool vault_device_read(const struct vault *v, struct span text, struct id *device);

/* Tickets: opaque bytes, MACed under the boot key. fact: as ticket_fact of facts.h, `used` left
 * out. */
size_t vault_ticket_make(
    const struct vault *v, const struct ticket_fact *fact, uint8_t out[TICKET_BYTES_MAX]);
void vault_ticket_read(const struct vault *v, struct span ticket, struct ticket_fact *fact);

#endif
