/* fleet.h: the part of the world about machines: machines and guests, presence, support codes, API
 * keys, allow lists. Ledger thread. */
#ifndef PROJECTIONS_FLEET_H
#define PROJECTIONS_FLEET_H

#include "core/cidr.h"
#include "core/event.h"
#include "core/facts.h"
#include "projections/idmap.h"
#include "projections/timers.h"

struct world;

/* Bytes of an event that outlive it. */
struct kept {
    uint8_t *ptr; /* NULL when empty */
    uint32_t len;
};

/* For enrolment: spent by binding a device; a spent key is kept with its machine, so that a second
 * device that shows it is noticed. */
struct api_key {
    struct id key, machine, creator; /* creator nil: the local command line */
    int64_t expires_us;              /* TIMER_NEVER: none */
    bool spent;
    struct api_key *next; /* of the same machine */
    struct deadline end;  /* in world.reap, while not spent */
};

struct machine {
    struct id machine, added_by;
    struct id code; /* guest: its code */
    bool guest, bound, online;
    uint8_t device_key[32];
    struct id connection; /* while online */
    struct tag nets[2];   /* where its agent came from last, by IPv4 and by IPv6 */
    uint64_t changed_seq, allow_changed_seq;
    struct kept services, labels; /* canonical arrays of str */
    struct cidr_list *allow;      /* NULL: not restricted */
    struct id
        bound_key; /* the API key that bound this device; nil: a code did, or the key is revoked */
    uint32_t live_sessions;
    bool served;           /* guest: a session of it was opened, and ended: its time is over */
    int64_t idle_since_us; /* guest: since when it has no session */
    struct api_key *keys;
    struct deadline idle; /* guest: in world.due */
};

struct code {
    struct id code, issuer, machine; /* machine: the guest, once redeemed */
    int64_t expires_us;
    bool redeemed;
    uint8_t device_key[32];
    struct deadline expiry; /* in world.due, until redeemed */
};

struct fleet {
    struct idmap machines, codes, keys;
    struct cidr_list *allow; /* overall; NULL: not restricted */
    uint64_t allow_changed_seq;
};

/* ALLOW_RULE and allow_fact.rule: index in the machine's list, or this plus index in the overall
 * list when the machine's own does not restrict. */
#define ALLOW_RULE_OVERALL CIDR_LIST_MAX

void fleet_init(struct fleet *f);
void fleet_fini(struct fleet *f);
void fleet_fold(struct world *w, const struct event *ev);
void fleet_reap(struct world *w, struct deadline *t); /* a key has expired */
void fleet_retime(struct world *w);
void fleet_clear_presence(struct world *w);
void fleet_session_began(struct world *w, const struct id *machine);
void fleet_session_over(struct world *w, const struct id *machine, bool was_open);
const char *guest_due_why(const struct world *w, const struct machine *m, int64_t eff_us);

struct machine *machine_find(const struct world *w, const struct id *machine);
struct code *code_find(const struct world *w, const struct id *code);
struct api_key *key_find(const struct world *w, const struct id *key);
bool code_live(const struct code *c, int64_t eff_us);
bool key_live(const struct api_key *k, int64_t eff_us);

#endif
