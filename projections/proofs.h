/* proofs.h: what only the vault can tell about a command (struct proofs of facts.h), made before
 * facts are gathered. Secrets in the command are compared here and nowhere else. Ledger thread
 * only. */
#ifndef PROJECTIONS_PROOFS_H
#define PROJECTIONS_PROOFS_H

#include "core/vault.h"
#include "projections/facts.h"

void proofs_gather(const struct vault *v, const struct command *cmd, struct proofs *out);

#endif
