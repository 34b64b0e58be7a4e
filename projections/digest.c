/* digest.c: the world as sorted bytes. Who reads it: the server at start, the verifier, tests. One
 * packer per kind of entry; each says by its array's length what belongs to the state. Pure
 * reading; any thread that owns the world. */
#include "projections/digest.h"

#include "core/pack.h"

#define KEY_BYTES_MAX    (2 + TAG_BYTES)
#define ENTRY_BYTES_MAX  1024 /* without its lists */
#define BUFFER_BYTES_MIN (64 * 1024)

/* Kinds of entries, in the order in which they sort. Numbers are part of the digest's version. */
enum kind {
    OF_SERVER = 0,
    OF_ACCOUNT = 1,
    OF_FAMILY = 2,
    OF_INVITE = 3,
    OF_ATTEMPT = 4,
    OF_MACHINE = 5,
    OF_CODE = 6,
    OF_KEY = 7,
    OF_SESSION = 8,
    OF_CHANNEL = 9,
    OF_TICKET = 10,
    OF_WINDOW = 11,
    OF_SHARED = 12,
    OF_ALERT = 13,
    OF_DEVICE = 14,
};

struct entry {
    uint8_t key[KEY_BYTES_MAX]; /* kind, then the id (or: rule, tag) */
    uint8_t key_len;
    const void *of;
};

struct digesting {
    const struct world *w;
    int64_t eff_us;
    struct entry *entries;
    uint32_t count, cap;
    struct pack p;
};

/* --- collecting --- */

static void
collect(struct digesting *d, enum kind kind, const void *id, size_t id_len, const void *of)
{
    struct entry *e;

    if (d->count == d->cap) {
        d->cap = d->cap == 0 ? 256 : d->cap * 2;
        d->entries = realloc(d->entries, d->cap * sizeof(*d->entries));
        INVARIANT(d->entries != NULL);
    }
    INVARIANT(id_len < KEY_BYTES_MAX);
    e = &d->entries[d->count++];
    memset(e, 0, sizeof(*e));
    e->key[0] = (uint8_t)kind;
    memcpy(e->key + 1, id, id_len);
    e->key_len = (uint8_t)(1 + id_len);
    e->of = of;
}

static void
collect_accounts(struct digesting *d)
{
    const struct accounts *all = &d->w->accounts;
    uint32_t at = 0;

    for (const struct account *a; (a = idmap_next(&all->by_id, &at)) != NULL;)
        collect(d, OF_ACCOUNT, a->user.b, ID_BYTES, a);
    at = 0;
    for (const struct family *f; (f = idmap_next(&all->families, &at)) != NULL;)
        if (d->eff_us < family_end_us(d->w, f))
            collect(d, OF_FAMILY, f->family.b, ID_BYTES, f);
    at = 0;
    for (const struct invite *i; (i = idmap_next(&all->invites, &at)) != NULL;)
        if (d->eff_us < i->expires_us)
            collect(d, OF_INVITE, i->invite.b, ID_BYTES, i);
    at = 0;
    for (const struct device *v; (v = idmap_next(&all->devices, &at)) != NULL;)
        collect(d, OF_DEVICE, v->device.b, ID_BYTES, v);
    for (uint32_t i = 0; i < all->attempts.count; i++) {
        const struct attempt *a = attempts_nth(&all->attempts, i);
        uint8_t seq[8];

        for (int k = 0; k < 8; k++)
            seq[k] = (uint8_t)(a->seq >> (56 - 8 * k));
        if (attempt_open(a, d->eff_us))
            collect(d, OF_ATTEMPT, seq, sizeof(seq), a);
    }
}

static void
collect_fleet(struct digesting *d)
{
    const struct fleet *f = &d->w->fleet;
    uint32_t at = 0;

    for (const struct machine *m; (m = idmap_next(&f->machines, &at)) != NULL;)
        collect(d, OF_MACHINE, m->machine.b, ID_BYTES, m);
    at = 0;
    for (const struct code *c; (c = idmap_next(&f->codes, &at)) != NULL;)
        if (c->redeemed || code_live(c, d->eff_us))
            collect(d, OF_CODE, c->code.b, ID_BYTES, c);
    at = 0;
    for (const struct api_key *k; (k = idmap_next(&f->keys, &at)) != NULL;)
        if (k->spent || key_live(k, d->eff_us))
            collect(d, OF_KEY, k->key.b, ID_BYTES, k);
}

static void
collect_ownership(struct digesting *d)
{
    const struct ownership *o = &d->w->ownership;
    uint32_t at = 0;

    for (const struct session *s; (s = idmap_next(&o->sessions, &at)) != NULL;)
        if (session_known(s, d->eff_us))
            collect(d, OF_SESSION, s->session.b, ID_BYTES, s);
    at = 0;
    for (const struct channel *c; (c = idmap_next(&o->channels, &at)) != NULL;)
        if (channel_known(d->w, c, d->eff_us))
            collect(d, OF_CHANNEL, c->channel.b, ID_BYTES, c);
    at = 0;
    for (const struct used_ticket *t; (t = idmap_next(&o->tickets, &at)) != NULL;)
        if (ticket_used(d->w, &t->ticket, d->eff_us))
            collect(d, OF_TICKET, t->ticket.b, TAG_BYTES, t);
}

static void
collect_windows(struct digesting *d)
{
    for (int r = 0; r < RULE_COUNT; r++) {
        const struct window *w = &d->w->limits.windows[r];
        uint8_t key[1 + TAG_BYTES] = {(uint8_t)r};

        for (const struct bucket *b = w->oldest; b != NULL; b = b->newer) {
            memcpy(key + 1, b->key.b, TAG_BYTES);
            if (bucket_live(b, w->window_s, d->eff_us))
                collect(d, OF_WINDOW, key, sizeof(key), b);
        }
        if (bucket_live(&w->shared, w->window_s, d->eff_us))
            collect(d, OF_SHARED, key, 1, &w->shared);
    }
}

static void
collect_alerts(struct digesting *d)
{
    uint32_t at = 0;

    for (const struct alert *a; (a = idmap_next(&d->w->alerts.by_key, &at)) != NULL;)
        collect(d, OF_ALERT, a->key.b, TAG_BYTES, a);
}

/* --- packing --- */

static void
pack_tag(struct pack *p, const struct tag *tag)
{
    pack_bin(p, span_of(tag->b, TAG_BYTES));
}

static void
pack_us(struct pack *p, int64_t us)
{
    pack_i64(p, us);
}

/* An array of n begins with the entry's key: the packer adds the other n - 1. */
static void
pack_start(struct pack *p, const struct entry *e, uint32_t n)
{
    pack_array(p, n);
    pack_bin(p, span_of(e->key, e->key_len));
}

static void
pack_cidrs(struct pack *p, const struct cidr_list *list)
{
    if (list == NULL) {
        pack_nil(p);
        return;
    }
    pack_array(p, list->count);
    for (uint32_t i = 0; i < list->count; i++) {
        uint8_t item[17];

        memcpy(item, list->items[i].addr.b, 16);
        item[16] = list->items[i].bits;
        pack_bin(p, span_of(item, sizeof(item)));
    }
}

static void
pack_server(struct digesting *d, const struct entry *e)
{
    const struct world *w = e->of;
    struct pack *p = &d->p;

    pack_start(p, e, 11);
    pack_bool(p, w->policy_adopted);
    pack_bin(p, span_of(w->policy_hash.b, HASH_BYTES));
    pack_bool(p, w->clock_unsure);
    pack_bool(p, w->clock_stepped);
    pack_id(p, &w->boot);
    pack_u64(p, w->key_epoch);
    pack_u64(p, w->log_epoch);
    pack_cidrs(p, w->fleet.allow);
    pack_u64(p, w->fleet.allow_changed_seq);
    pack_i64(p, w->budget.paid_us > d->eff_us ? w->budget.paid_us : 0);
}

static void
pack_account(struct digesting *d, const struct entry *e)
{
    const struct account *a = e->of;
    struct pack *p = &d->p;

    pack_start(p, e, 7);
    pack_tag(p, &a->name);
    pack_bool(p, account_named(d->w, &a->name) == a);
    pack_u64(p, a->role);
    pack_bool(p, a->disabled);
    pack_u64(p, a->verifier_version);
    pack_u64(p, a->changed_seq);
}

static void
pack_family(struct digesting *d, const struct entry *e)
{
    const struct family *f = e->of;
    struct pack *p = &d->p;

    pack_start(p, e, 10);
    pack_id(p, &f->user);
    pack_bool(p, f->revoked);
    pack_u64(p, f->n);
    pack_us(p, f->opened_us);
    pack_us(p, f->refreshed_us);
    pack_us(p, f->rotated_us);
    pack_us(p, f->proved_us);
    pack_tag(p, &f->net);
    pack_tag(p, &f->prev_net);
}

static void
pack_invite(struct digesting *d, const struct entry *e)
{
    const struct invite *i = e->of;

    pack_start(&d->p, e, 4);
    pack_id(&d->p, &i->issuer);
    pack_u64(&d->p, i->role);
    pack_us(&d->p, i->expires_us);
}

static void
pack_device(struct digesting *d, const struct entry *e)
{
    const struct device *v = e->of;

    pack_start(&d->p, e, 3);
    pack_id(&d->p, &v->user);
    pack_u64(&d->p, v->seq);
}

static void
pack_attempt(struct digesting *d, const struct entry *e)
{
    const struct attempt *a = e->of;
    struct pack *p = &d->p;

    pack_start(p, e, 13);
    pack_us(p, a->eff_us);
    pack_u64(p, a->type);
    pack_id(p, &a->user);
    pack_id(p, &a->family);
    pack_id(p, &a->invite);
    pack_id(p, &a->device);
    pack_u64(p, a->role);
    pack_u64(p, a->verifier_version);
    pack_tag(p, &a->tags.addr);
    pack_tag(p, &a->tags.net);
    pack_tag(p, &a->tags.wide);
    pack_tag(p, &a->tags.account);
}

static void
pack_machine(struct digesting *d, const struct entry *e)
{
    const struct machine *m = e->of;
    struct pack *p = &d->p;

    pack_start(p, e, 19);
    pack_id(p, &m->added_by);
    pack_id(p, &m->code);
    pack_bool(p, m->guest);
    pack_bool(p, m->bound);
    pack_bool(p, m->online);
    pack_bin(p, span_of(m->device_key, sizeof(m->device_key)));
    pack_id(p, &m->connection);
    pack_id(p, &m->bound_key);
    pack_u64(p, m->changed_seq);
    pack_u64(p, m->allow_changed_seq);
    pack_bin(p, span_of(m->services.ptr, m->services.len));
    pack_bin(p, span_of(m->labels.ptr, m->labels.len));
    pack_cidrs(p, m->allow);
    pack_u64(p, m->live_sessions);
    pack_us(p, m->idle_since_us);
    pack_bool(p, m->served);
    pack_tag(p, &m->nets[0]);
    pack_tag(p, &m->nets[1]);
}

static void
pack_code(struct digesting *d, const struct entry *e)
{
    const struct code *c = e->of;
    struct pack *p = &d->p;

    pack_start(p, e, 6);
    pack_id(p, &c->issuer);
    pack_id(p, &c->machine);
    pack_us(p, c->expires_us);
    pack_bool(p, c->redeemed);
    pack_bin(p, span_of(c->device_key, sizeof(c->device_key)));
}

static void
pack_key(struct digesting *d, const struct entry *e)
{
    const struct api_key *k = e->of;

    pack_start(&d->p, e, 5);
    pack_id(&d->p, &k->machine);
    pack_id(&d->p, &k->creator);
    pack_us(&d->p, k->expires_us);
    pack_bool(&d->p, k->spent);
}

static void
pack_session(struct digesting *d, const struct entry *e)
{
    const struct session *s = e->of;
    struct pack *p = &d->p;

    pack_start(p, e, 27);
    pack_id(p, &s->owner);
    pack_id(p, &s->family);
    pack_id(p, &s->machine);
    pack_id(p, &s->agent_connection);
    pack_u64(p, s->state);
    pack_tag(p, &s->net);
    pack_tag(p, &s->net_other);
    pack_u64(p, s->net_ip);
    pack_us(p, s->bound_us);
    pack_tag(p, &s->suspect);
    pack_bool(p, s->paused);
    pack_id(p, &s->offered_to);
    pack_us(p, s->offered_us);
    pack_u64(p, s->requested_seq);
    pack_us(p, s->requested_us);
    pack_us(p, s->asked_us);
    pack_us(p, s->opened_us);
    pack_us(p, s->expires_us);
    pack_us(p, s->ended_us);
    pack_bool(p, s->left_open);
    pack_bool(p, s->end_told);
    pack_u64(p, s->n);
    pack_u64(p, s->channels_open);
    pack_u64(p, s->channels_total);
    pack_u64(p, s->to_agent_bytes);
    pack_u64(p, s->to_technician_bytes);
}

static void
pack_channel(struct digesting *d, const struct entry *e)
{
    const struct channel *c = e->of;
    struct pack *p = &d->p;

    pack_start(p, e, 8);
    pack_id(p, &c->session);
    pack_bool(p, c->open);
    pack_bool(p, c->closed);
    pack_us(p, c->attached_us);
    pack_us(p, c->opened_us);
    pack_us(p, c->closed_us);
    pack_bin(p, span_of(c->service, c->service_len));
}

static void
pack_ticket(struct digesting *d, const struct entry *e)
{
    const struct used_ticket *t = e->of;

    pack_start(&d->p, e, 2);
    pack_us(&d->p, t->used_us);
}

static void
pack_window(struct digesting *d, const struct entry *e)
{
    const struct window *w = &d->w->limits.windows[e->key[1]];
    const struct bucket *b = e->of;
    uint32_t first, held = bucket_held(b, w->window_s, d->eff_us, &first);

    pack_start(&d->p, e, 3);
    pack_us(&d->p, b->touched_us);
    pack_array(&d->p, held);
    for (uint32_t i = 0; i < held; i++)
        pack_us(&d->p, bucket_at(b, first + i));
}

static void
pack_alert(struct digesting *d, const struct entry *e)
{
    const struct alert *a = e->of;

    pack_start(&d->p, e, 5);
    pack_str(&d->p, span_str(a->rule->name));
    pack_u64(&d->p, a->seq);
    pack_u64(&d->p, a->last_seq);
    pack_u64(&d->p, a->count);
}

static void (*const packers[])(struct digesting *d, const struct entry *e) = {
    [OF_SERVER] = pack_server,
    [OF_ACCOUNT] = pack_account,
    [OF_FAMILY] = pack_family,
    [OF_INVITE] = pack_invite,
    [OF_ATTEMPT] = pack_attempt,
    [OF_MACHINE] = pack_machine,
    [OF_CODE] = pack_code,
    [OF_KEY] = pack_key,
    [OF_SESSION] = pack_session,
    [OF_CHANNEL] = pack_channel,
    [OF_TICKET] = pack_ticket,
    [OF_WINDOW] = pack_window,
    [OF_SHARED] = pack_window,
    [OF_ALERT] = pack_alert,
    [OF_DEVICE] = pack_device,
};

/* --- putting it together --- */

static size_t
entry_bytes_max(const struct entry *e)
{
    const struct machine *m = e->of;
    const struct world *w = e->of;
    const struct bucket *b = e->of;
    size_t cidrs = CIDR_LIST_MAX * 20;

    switch (e->key[0]) {
    case OF_SERVER: return ENTRY_BYTES_MAX + (w->fleet.allow != NULL ? cidrs : 0);
    case OF_MACHINE:
        return ENTRY_BYTES_MAX + m->services.len + m->labels.len + (m->allow != NULL ? cidrs : 0);
    case OF_WINDOW:
    case OF_SHARED: return ENTRY_BYTES_MAX + (size_t)b->count * 9;
    default: return ENTRY_BYTES_MAX;
    }
}

static void
reserve(struct pack *p, size_t bytes)
{
    if (p->cap - p->len >= bytes)
        return;
    p->cap = p->cap * 2 + bytes + BUFFER_BYTES_MIN;
    p->buf = realloc(p->buf, p->cap);
    INVARIANT(p->buf != NULL);
}

static int
by_key(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    return memcmp(x->key, y->key, KEY_BYTES_MAX); /* keys of one kind are of one length */
}

void
world_digest(const struct world *w, int64_t eff_us, struct hash *out)
{
    struct digesting d = {.w = w, .eff_us = eff_us};

    collect(&d, OF_SERVER, "", 0, w);
    collect_accounts(&d);
    collect_fleet(&d);
    collect_ownership(&d);
    collect_windows(&d);
    collect_alerts(&d);
    qsort(d.entries, d.count, sizeof(*d.entries), by_key);
    pack_init(&d.p, NULL, 0);
    reserve(&d.p, ENTRY_BYTES_MAX);
    pack_array(&d.p, 3);
    pack_u64(&d.p, WORLD_DIGEST_VERSION);
    pack_u64(&d.p, w->size);
    pack_array(&d.p, d.count);
    for (uint32_t i = 0; i < d.count; i++) {
        reserve(&d.p, entry_bytes_max(&d.entries[i]));
        packers[d.entries[i].key[0]](&d, &d.entries[i]);
    }
    INVARIANT(pack_ok(&d.p));
    hash_bytes(pack_span(&d.p), out);
    free(d.p.buf);
    free(d.entries);
}
