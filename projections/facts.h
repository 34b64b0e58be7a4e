/* facts.h: collects what a decision may know (core/facts.h) from the world, and from the proofs
 * that the ledger made with the vault before. Pure reading; ledger thread. */
#ifndef PROJECTIONS_FACTS_H
#define PROJECTIONS_FACTS_H

#include "core/command.h"
#include "core/facts.h"
#include "projections/world.h"

/* What only the vault (or the ledger itself) can tell about a command. Zeroed where the command has
 * no such part. */
struct proofs {
    /* Of the caller's address; `account` of the account name in the command, when it has one
     * (attempt_login, attempt_register, conclude_register, add_user). */
    struct tags tags;
    /* CMD_REFRESH_TOKEN */
    struct refresh_fact refresh;
    struct id refresh_family; /* as the token says; meaningless unless mac_ok */
    /* CMD_ATTACH, CMD_OPEN_CHANNEL; `used` is filled by facts_gather */
    struct ticket_fact ticket;
    /* Code digits (validate_code, admit_agent, greet_agent) -> id by keyed hash; nil: none. */
    struct id code;
    bool key_secret_ok;    /* admit_agent, greet_agent */
    bool invite_secret_ok; /* attempt_register */
    bool device_mac_ok;    /* attempt_login: it shows something that we made ... */
    struct id device;      /* ... for this device */
    /* CMD_TIME_PASSED: refusals to be written now, as a canonical array; empty: none due */
    struct span refusal_rows;
    uint64_t refusals_total, refusals_generation;
    bool stopping;  /* the ledger takes nothing new */
    bool low_space; /* the same, for the disk is nearly full */
};

/* Fills *out whole. It borrows from the world (policy, services) and from proofs (refusal_rows):
 * good until the next fold. */
void facts_gather(const struct world *w, const struct proofs *proofs, const struct command *cmd,
    const struct moment *now, struct facts *out);

/* One thing as a fact; for due.c. */
void facts_session(const struct session *s, struct session_fact *out);
void facts_machine(const struct machine *m, struct machine_fact *out);

#endif
