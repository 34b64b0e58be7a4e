/* digest.h: one hash for all that the server decides from: SHA-256 over the canonical msgpack array
 * [WORLD_DIGEST_VERSION, events folded, [entry ...]], entries sorted by key bytes; an entry is an
 * array that begins with its key, a bin of the kind's number and the id. What has expired at eff is
 * left out, and so is what is not in the log (a session's last activity).
 * The same events give the same digest in every process; another fold is another version. */
#ifndef PROJECTIONS_DIGEST_H
#define PROJECTIONS_DIGEST_H

#include "projections/world.h"

#define WORLD_DIGEST_VERSION 7

void world_digest(const struct world *w, int64_t eff_us, struct hash *out);

#endif
