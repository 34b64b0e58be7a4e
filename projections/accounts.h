/* accounts.h: the part of the world about people: accounts, token families, invitations, and
 * attempts (login, password, registration) that were numbered but not concluded. Ledger thread. */
#ifndef PROJECTIONS_ACCOUNTS_H
#define PROJECTIONS_ACCOUNTS_H

#include "core/event.h"
#include "core/facts.h"
#include "projections/idmap.h"
#include "projections/timers.h"

struct world;

struct account {
    struct id user;
    struct tag name; /* tag of the case-folded name */
    enum role role;
    bool disabled;
    uint64_t verifier_version;
    uint64_t changed_seq;
};

/* One login and the tokens that follow from it. Kept until it is dead by time, also when revoked,
 * so that a late token is known to be a revoked one. */
struct family {
    struct id family, user;
    bool revoked;
    uint64_t n;
    int64_t opened_us, refreshed_us, rotated_us;
    int64_t proved_us; /* the login, or a fresh proof */
    struct tag net, prev_net;
    struct deadline end; /* in world.reap */
};

struct invite {
    struct id invite, issuer;
    enum role role;
    int64_t expires_us;
    struct deadline end; /* in world.reap */
};

/* A device that a login made known. */
struct device {
    struct id device, user;
    uint64_t seq; /* of its event: the lowest is the oldest */
};

struct attempt {
    uint64_t seq;
    int64_t eff_us;
    enum event_type type;
    bool concluded;
    struct id user, family, invite, device;
    enum role role;
    uint64_t verifier_version;
    struct tags tags;
};

/* Attempts by seq, which ascends: a ring, searched by halving. */
struct attempts {
    struct attempt *ring; /* ATTEMPTS_MAX */
    uint32_t head, count;
};

struct accounts {
    struct idmap by_id, by_name; /* struct account; by_name borrows */
    uint32_t admins_active;
    struct idmap families; /* struct family */
    struct idmap invites;  /* struct invite */
    struct idmap devices;  /* struct device */
    struct attempts attempts;
};

void accounts_init(struct accounts *a);
void accounts_fini(struct accounts *a);
void accounts_fold(struct world *w, const struct event *ev);
void accounts_reap(struct world *w, struct deadline *t); /* a family or an invitation is over */
void accounts_retime(struct world *w);                   /* after another policy */

struct account *account_find(const struct world *w, const struct id *user);
struct account *account_named(const struct world *w, const struct tag *name);
struct family *family_find(const struct world *w, const struct id *family);
struct device *device_find(const struct world *w, const struct id *device);
/* The oldest of this user, when there are as many as there may be; else NULL. */
const struct device *device_oldest(const struct world *w, const struct id *user);
struct invite *invite_find(const struct world *w, const struct id *invite);
/* Not concluded and not too old at eff_us; else NULL. */
struct attempt *attempt_find(const struct world *w, uint64_t seq, int64_t eff_us);
bool attempt_open(const struct attempt *a, int64_t eff_us);
/* In order of seq; i below attempts.count. */
const struct attempt *attempts_nth(const struct attempts *a, uint32_t i);
/* When the family is over by time alone. */
int64_t family_end_us(const struct world *w, const struct family *f);
bool family_live(const struct world *w, const struct family *f, int64_t eff_us);

#endif
