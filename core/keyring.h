/* keyring.h: the keys that seal personal fields, one per data subject. The ledger adds, the
 * projector and loops open; any thread. A key that was destroyed is simply not there any more. */
#ifndef CORE_KEYRING_H
#define CORE_KEYRING_H

#include "core/rows.h"

struct keyring;

struct keyring *keyring_new(const char *origin); /* NULL: no memory; origin is copied */
void keyring_free(struct keyring *k);
bool keyring_has(struct keyring *k, const struct id *key_id);
/* False when there is none. */
bool keyring_get(struct keyring *k, const struct id *key_id, uint8_t out[32]);
MUST_USE enum err keyring_put(struct keyring *k, const struct id *key_id, const uint8_t key[32]);
void keyring_drop(struct keyring *k, const struct id *key_id);
/* Opens boxes of this origin's events. */
struct opener_port keyring_opener(struct keyring *k);

#endif
