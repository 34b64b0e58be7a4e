/* tags.h: tags stand for personal values in folds, limits and digests: BLAKE2b-128 under the
 * origin's tag key of kind || prefix length || 16-byte masked address, or kind || case-folded
 * account name. */
#ifndef CORE_TAGS_H
#define CORE_TAGS_H

#include "core/event.h"

/* key: 32 bytes. address: IPv6, IPv4 as ::ffff:. Fills addr, net (/32 or /64), wide (/24 or /48).
 */
void tags_address(const uint8_t key[32], const uint8_t address[16], struct tags *out);
struct tag tag_account(const uint8_t key[32], struct span name); /* ASCII letters folded */

#endif
