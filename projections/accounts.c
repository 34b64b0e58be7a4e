/* accounts.c: who exists, which logins live, what was invited, what was attempted. Pure and total:
 * history cannot be corrected, so whatever was once written must fold; the odd event is counted,
 * never fatal. Ledger thread. */
#include "projections/world.h"

void
accounts_init(struct accounts *a)
{
    memset(a, 0, sizeof(*a));
    idmap_init(&a->by_id);
    idmap_init(&a->by_name);
    idmap_init(&a->families);
    idmap_init(&a->invites);
    idmap_init(&a->devices);
    a->attempts.ring = calloc(ATTEMPTS_MAX, sizeof(*a->attempts.ring));
    INVARIANT(a->attempts.ring != NULL);
}

void
accounts_fini(struct accounts *a)
{
    idmap_fini_all(&a->by_id);
    idmap_fini(&a->by_name);
    idmap_fini_all(&a->families);
    idmap_fini_all(&a->invites);
    idmap_fini_all(&a->devices);
    free(a->attempts.ring);
}

struct account *
account_find(const struct world *w, const struct id *user)
{
    return idmap_find(&w->accounts.by_id, user->b);
}

struct account *
account_named(const struct world *w, const struct tag *name)
{
    return idmap_find(&w->accounts.by_name, name->b);
}

struct family *
family_find(const struct world *w, const struct id *family)
{
    return idmap_find(&w->accounts.families, family->b);
}

struct invite *
invite_find(const struct world *w, const struct id *invite)
{
    return idmap_find(&w->accounts.invites, invite->b);
}

/* --- token families --- */

int64_t
family_end_us(const struct world *w, const struct family *f)
{
    int64_t end = world_after(f->opened_us, w->policy.family_s);
    int64_t idle = world_after(f->refreshed_us, w->policy.family_idle_s);

    return end < idle ? end : idle;
}

bool
family_live(const struct world *w, const struct family *f, int64_t eff_us)
{
    return !f->revoked && eff_us < family_end_us(w, f);
}

static void
family_timed(struct world *w, struct family *f)
{
    timers_set(&w->reap, &f->end, family_end_us(w, f));
    ownership_retime(w, &f->family);
}

static void
family_opened(struct world *w, const struct event *ev)
{
    struct id family = fields_id(&ev->data, FIELD_FAMILY);
    struct family *f;

    if (id_is_nil(&family) || family_find(w, &family) != NULL ||
        account_find(w, &ev->actor.id) == NULL) {
        world_stray(w);
        return;
    }
    f = calloc(1, sizeof(*f));
    INVARIANT(f != NULL);
    f->family = family;
    f->user = ev->actor.id;
    f->n = fields_u64(&ev->data, FIELD_TOKEN_N);
    f->opened_us = f->refreshed_us = f->rotated_us = f->proved_us = w->eff_us;
    f->net = ev->actor.tags.net;
    f->end = (struct deadline){.kind = TIMER_FAMILY, .id = family};
    idmap_put(&w->accounts.families, family.b, f);
    family_timed(w, f);
}

/* The predecessor, shown again within its grace, gets the same n: nothing moves, so that the grace
 * cannot be prolonged. */
static void
family_refreshed(struct world *w, const struct event *ev)
{
    struct id family = fields_id(&ev->data, FIELD_FAMILY);
    uint64_t n = fields_u64(&ev->data, FIELD_TOKEN_N);
    struct family *f = family_find(w, &family);

    if (f == NULL || f->revoked || n < f->n) {
        world_stray(w);
        return;
    }
    if (n == f->n)
        return;
    f->n = n;
    f->refreshed_us = f->rotated_us = w->eff_us;
    f->prev_net = f->net;
    f->net = ev->actor.tags.net;
    family_timed(w, f);
}

static void
proof_renewed(struct world *w, const struct event *ev)
{
    struct id family = fields_id(&ev->data, FIELD_FAMILY);
    struct family *f = family_find(w, &family);

    if (f == NULL)
        world_stray(w);
    else
        f->proved_us = w->eff_us;
}

static void
family_revoked(struct world *w, const struct event *ev)
{
    struct id family = fields_id(&ev->data, FIELD_FAMILY);
    struct family *f;

    if (id_is_nil(&family))
        family = ev->actor.family;
    f = family_find(w, &family);
    if (f == NULL) {
        world_stray(w);
        return;
    }
    f->revoked = true;
    ownership_retime(w, &f->family);
}

/* All families of a user (NULL: of everybody) but one. */
static void
families_revoke(struct world *w, const struct id *user, const struct id *but)
{
    uint32_t at = 0;

    for (struct family *f; (f = idmap_next(&w->accounts.families, &at)) != NULL;)
        if ((user == NULL || id_equal(&f->user, user)) &&
            (but == NULL || !id_equal(&f->family, but)))
            f->revoked = true;
    ownership_retime(w, NULL);
}

/* --- accounts --- */

static bool
counts_as_admin(const struct account *a)
{
    return a->role == ROLE_ADMIN && !a->disabled;
}

static void
account_set(struct world *w, struct account *a, enum role role, bool disabled)
{
    w->accounts.admins_active -= counts_as_admin(a);
    a->role = role;
    a->disabled = disabled;
    w->accounts.admins_active += counts_as_admin(a);
}

static enum role
event_role(struct world *w, const struct event *ev)
{
    uint64_t role = fields_u64(&ev->data, FIELD_ROLE);

    if (role > ROLE_AUDITOR) {
        world_stray(w);
        return ROLE_NONE;
    }
    return (enum role)role;
}

static void
user_registered(struct world *w, const struct event *ev)
{
    struct id invite = fields_id(&ev->data, FIELD_INVITE);
    struct invite *used = idmap_drop(&w->accounts.invites, invite.b);
    struct account *a;

    if (used != NULL)
        timers_off(&w->reap, &used->end);
    free(used);
    if (id_is_nil(&ev->subject.user) || account_find(w, &ev->subject.user) != NULL) {
        world_stray(w);
        return;
    }
    a = calloc(1, sizeof(*a));
    INVARIANT(a != NULL);
    a->user = ev->subject.user;
    a->name = fields_tag(&ev->data, FIELD_ACCOUNT);
    a->verifier_version = fields_u64(&ev->data, FIELD_VERIFIER_VERSION);
    a->changed_seq = ev->seq;
    account_set(w, a, event_role(w, ev), false);
    idmap_put(&w->accounts.by_id, a->user.b, a);
    if (tag_is_nil(&a->name) || account_named(w, &a->name) != NULL)
        world_stray(w); /* it exists, but cannot log in by name */
    else
        idmap_put(&w->accounts.by_name, a->name.b, a);
    ownership_retime(w, NULL); /* an odd history may know its sessions already */
}

static void
user_changed(struct world *w, const struct event *ev)
{
    struct account *a = account_find(w, &ev->subject.user);
    enum role was;

    if (a == NULL) {
        world_stray(w);
        return;
    }
    was = a->role;
    a->changed_seq = ev->seq;
    switch (ev->type) {
    case EV_USER_CHANGED:
        if (fields_find(&ev->data, FIELD_ROLE) != NULL)
            account_set(w, a, event_role(w, ev), a->disabled);
        if (a->role != was)
            families_revoke(w, &a->user, NULL);
        return;
    case EV_USER_ENABLED:
        account_set(w, a, a->role, false);
        ownership_retime(w, NULL);
        return;
    default: /* disabled, erased */
        account_set(w, a, a->role, true);
        families_revoke(w, &a->user, NULL);
        return;
    }
}

static void
password_changed(struct world *w, const struct event *ev)
{
    const struct id *user = id_is_nil(&ev->subject.user) ? &ev->actor.id : &ev->subject.user;
    struct account *a = account_find(w, user);

    if (a == NULL) {
        world_stray(w);
        return;
    }
    a->verifier_version = fields_u64(&ev->data, FIELD_VERIFIER_VERSION);
    families_revoke(w, &a->user, &ev->actor.family);
}

/* --- invitations --- */

static void
invite_issued(struct world *w, const struct event *ev)
{
    struct id id = fields_id(&ev->data, FIELD_INVITE);
    struct invite *i;

    if (id_is_nil(&id) || invite_find(w, &id) != NULL) {
        world_stray(w);
        return;
    }
    i = calloc(1, sizeof(*i));
    INVARIANT(i != NULL);
    i->invite = id;
    i->issuer = ev->actor.id;
    i->role = event_role(w, ev);
    i->expires_us = world_field_us(ev, FIELD_EXPIRES_US);
    i->end = (struct deadline){.kind = TIMER_INVITE, .id = id};
    idmap_put(&w->accounts.invites, id.b, i);
    timers_set(&w->reap, &i->end, i->expires_us);
}

static void
invite_drop(struct world *w, struct invite *i)
{
    idmap_drop(&w->accounts.invites, i->invite.b);
    timers_off(&w->reap, &i->end);
    free(i);
}

static void
invite_revoked(struct world *w, const struct event *ev)
{
    struct id id = fields_id(&ev->data, FIELD_INVITE);
    struct invite *i = invite_find(w, &id);

    if (i == NULL)
        world_stray(w);
    else
        invite_drop(w, i);
}

/* --- devices --- */

struct device *
device_find(const struct world *w, const struct id *device)
{
    return idmap_find(&w->accounts.devices, device->b);
}

const struct device *
device_oldest(const struct world *w, const struct id *user)
{
    const struct device *oldest = NULL;
    uint32_t at = 0, count = 0;

    for (const struct device *d; (d = idmap_next(&w->accounts.devices, &at)) != NULL;)
        if (id_equal(&d->user, user)) {
            count++;
            if (oldest == NULL || d->seq < oldest->seq)
                oldest = d;
        }
    return count < DEVICES_PER_USER ? NULL : oldest;
}

static void
device_known(struct world *w, const struct event *ev)
{
    struct id id = fields_id(&ev->data, FIELD_DEVICE);
    struct device *d;

    if (id_is_nil(&id) || device_find(w, &id) != NULL ||
        account_find(w, &ev->subject.user) == NULL) {
        world_stray(w);
        return;
    }
    d = calloc(1, sizeof(*d));
    INVARIANT(d != NULL);
    *d = (struct device){.device = id, .user = ev->subject.user, .seq = ev->seq};
    idmap_put(&w->accounts.devices, id.b, d);
}

static void
device_removed(struct world *w, const struct event *ev)
{
    struct id id = fields_id(&ev->data, FIELD_DEVICE);
    struct device *d = idmap_drop(&w->accounts.devices, id.b);

    if (d == NULL)
        world_stray(w);
    free(d);
}

/* --- attempts --- */

static struct attempt *
attempt_at(const struct attempts *a, uint32_t i)
{
    return &a->ring[(a->head + i) % ATTEMPTS_MAX];
}

bool
attempt_open(const struct attempt *a, int64_t eff_us)
{
    return !a->concluded && eff_us < world_after(a->eff_us, ATTEMPT_S);
}

const struct attempt *
attempts_nth(const struct attempts *a, uint32_t i)
{
    return attempt_at(a, i);
}

static struct attempt *
attempt_of(const struct attempts *a, uint64_t seq)
{
    uint32_t lo = 0, hi = a->count;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (attempt_at(a, mid)->seq < seq)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < a->count && attempt_at(a, lo)->seq == seq ? attempt_at(a, lo) : NULL;
}

struct attempt *
attempt_find(const struct world *w, uint64_t seq, int64_t eff_us)
{
    struct attempt *a = attempt_of(&w->accounts.attempts, seq);

    return a != NULL && attempt_open(a, eff_us) ? a : NULL;
}

static void
attempt_forget_old(struct attempts *a, int64_t eff_us)
{
    while (a->count > 0 && !attempt_open(attempt_at(a, 0), eff_us)) {
        a->head = (a->head + 1) % ATTEMPTS_MAX;
        a->count--;
    }
}

static void
attempted(struct world *w, const struct event *ev)
{
    struct attempts *all = &w->accounts.attempts;
    struct attempt a = {.seq = ev->seq, .eff_us = w->eff_us, .type = ev->type};
    const struct account *account = NULL;
    const struct invite *invite;

    attempt_forget_old(all, w->eff_us);
    if (all->count > 0 && attempt_at(all, all->count - 1)->seq >= ev->seq) {
        world_stray(w);
        return;
    }
    if (all->count == ATTEMPTS_MAX) { /* the oldest stays unconcluded: it counts as failed */
        all->head = (all->head + 1) % ATTEMPTS_MAX;
        all->count--;
    }
    a.tags = ev->actor.tags;
    if (ev->type == EV_LOGIN_ATTEMPTED)
        account = account_named(w, &a.tags.account);
    else if (ev->type == EV_PASSWORD_ATTEMPTED)
        account = account_find(w, &ev->actor.id);
    if (account != NULL) {
        a.user = account->user;
        a.verifier_version = account->verifier_version;
    }
    a.family = ev->actor.family;
    a.invite = fields_id(&ev->data, FIELD_INVITE);
    a.device = fields_id(&ev->data, FIELD_DEVICE);
    if ((invite = invite_find(w, &a.invite)) != NULL)
        a.role = invite->role;
    *attempt_at(all, all->count++) = a;
}

/* Success gives the account's slot back, never the address's. */
static void
concluded(struct world *w, const struct event *ev)
{
    const struct value *seq = fields_find(&ev->data, FIELD_ATTEMPT);
    struct attempt *a = seq == NULL ? NULL : attempt_find(w, seq->u, w->eff_us);

    if (a == NULL) {
        if (seq != NULL)
            world_stray(w);
        return;
    }
    a->concluded = true;
    if (ev->type == EV_LOGIN_SUCCEEDED && a->type == EV_LOGIN_ATTEMPTED && !id_is_nil(&a->device)) {
        struct tag key;

        memcpy(key.b, a->device.b, TAG_BYTES);
        limits_give_back(&w->limits, RULE_LOGIN_DEVICE, &key, a->eff_us);
    } else if (ev->type == EV_LOGIN_SUCCEEDED && a->type == EV_LOGIN_ATTEMPTED &&
               !tag_is_nil(&a->tags.account))
        limits_give_back(&w->limits, RULE_LOGIN_ACCOUNT, &a->tags.account, a->eff_us);
}

void
accounts_fold(struct world *w, const struct event *ev)
{
    switch (ev->type) {
    case EV_LOGIN_ATTEMPTED:
    case EV_PASSWORD_ATTEMPTED:
    case EV_REGISTER_ATTEMPTED: attempted(w, ev); return;
    case EV_LOGIN_SUCCEEDED:
        concluded(w, ev);
        family_opened(w, ev);
        return;
    case EV_LOGIN_FAILED:
    case EV_PASSWORD_REFUSED:
    case EV_REGISTER_REFUSED: concluded(w, ev); return;
    case EV_PROOF_RENEWED:
        concluded(w, ev);
        proof_renewed(w, ev);
        return;
    case EV_PASSWORD_CHANGED:
        concluded(w, ev);
        password_changed(w, ev);
        return;
    case EV_USER_REGISTERED:
        concluded(w, ev);
        user_registered(w, ev);
        return;
    case EV_USER_CHANGED:
    case EV_USER_ENABLED:
    case EV_USER_DISABLED:
    case EV_USER_ERASED: user_changed(w, ev); return;
    case EV_TOKEN_REFRESHED: family_refreshed(w, ev); return;
    case EV_LOGOUT:
    case EV_TOKEN_REVOKED: family_revoked(w, ev); return;
    case EV_SECRET_ROTATED:
        if (span_is(fields_span(&ev->data, FIELD_WHY), "leaked"))
            families_revoke(w, NULL, NULL);
        return;
    case EV_DEVICE_KNOWN: device_known(w, ev); return;
    case EV_DEVICE_REMOVED: device_removed(w, ev); return;
    case EV_INVITE_ISSUED: invite_issued(w, ev); return;
    case EV_INVITE_REVOKED: invite_revoked(w, ev); return;
    default: return; /* another part's business */
    }
}

void
accounts_reap(struct world *w, struct deadline *t)
{
    if (t->kind == TIMER_INVITE) {
        invite_drop(w, invite_find(w, &t->id));
    } else {
        struct family *f = idmap_drop(&w->accounts.families, t->id.b);

        timers_off(&w->reap, &f->end);
        free(f);
    }
}

void
accounts_retime(struct world *w)
{
    uint32_t at = 0;

    for (struct family *f; (f = idmap_next(&w->accounts.families, &at)) != NULL;)
        timers_set(&w->reap, &f->end, family_end_us(w, f));
}
