/* meant.h: the things that a command is about, by id, as it (or the proof that came with it) names
 * them. Pointers borrow from command and proofs. */
#ifndef PROJECTIONS_MEANT_H
#define PROJECTIONS_MEANT_H

#include "projections/facts.h"

/* NULL: it names no such thing. */
struct meant {
    const struct id *user, *family, *session, *machine, *code, *key, *channel, *invite;
    const struct tag *account;
    const uint64_t *attempt;
};

struct meant meant_of(const struct command *cmd, const struct proofs *proofs);

#endif
