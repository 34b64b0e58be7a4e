/* fleet.c: which machines there are, which agents are here, what may let one in. Pure and total, as
 * accounts.c. Ledger thread. */
#include "projections/world.h"

#include "core/pack.h"

void
fleet_init(struct fleet *f)
{
    memset(f, 0, sizeof(*f));
    idmap_init(&f->machines);
    idmap_init(&f->codes);
    idmap_init(&f->keys);
}

static void
machine_free(struct machine *m)
{
    free(m->services.ptr);
    free(m->labels.ptr);
    free(m->allow);
    free(m);
}

void
fleet_fini(struct fleet *f)
{
    uint32_t at = 0;

    for (struct machine *m; (m = idmap_next(&f->machines, &at)) != NULL;)
        machine_free(m);
    idmap_fini(&f->machines);
    idmap_fini_all(&f->codes);
    idmap_fini_all(&f->keys);
    free(f->allow);
}

struct machine *
machine_find(const struct world *w, const struct id *machine)
{
    return idmap_find(&w->fleet.machines, machine->b);
}

struct code *
code_find(const struct world *w, const struct id *code)
{
    return idmap_find(&w->fleet.codes, code->b);
}

struct api_key *
key_find(const struct world *w, const struct id *key)
{
    return idmap_find(&w->fleet.keys, key->b);
}

bool
code_live(const struct code *c, int64_t eff_us)
{
    return !c->redeemed && eff_us < c->expires_us;
}

bool
key_live(const struct api_key *k, int64_t eff_us)
{
    return !k->spent && eff_us < k->expires_us;
}

static void
kept_set(struct kept *k, struct span s)
{
    free(k->ptr);
    *k = (struct kept){0};
    if (s.len == 0)
        return;
    k->ptr = malloc(s.len);
    INVARIANT(k->ptr != NULL);
    memcpy(k->ptr, s.ptr, s.len);
    k->len = (uint32_t)s.len; /* a record is at most RECORD_BYTES_MAX */
}

static void
kept_field(struct kept *k, const struct event *ev, enum field field)
{
    const struct value *v = fields_find(&ev->data, field);

    if (v != NULL)
        kept_set(k, v->s);
}

/* --- guests --- */

static int64_t
guest_deadline_us(const struct world *w, const struct machine *m)
{
    if (!m->guest || m->live_sessions > 0)
        return TIMER_NEVER;
    return m->served ? m->idle_since_us : world_after(m->idle_since_us, w->policy.guest_idle_s);
}

static void
guest_retime(struct world *w, struct machine *m)
{
    timers_set(&w->due, &m->idle, guest_deadline_us(w, m));
}

const char *
guest_due_why(const struct world *w, const struct machine *m, int64_t eff_us)
{
    if (eff_us < guest_deadline_us(w, m))
        return NULL;
    return m->served ? "session_ended" : "guest_idle";
}

void
fleet_session_began(struct world *w, const struct id *machine)
{
    struct machine *m = machine_find(w, machine);

    if (m == NULL) {
        world_stray(w);
        return;
    }
    m->live_sessions++;
    guest_retime(w, m);
}

void
fleet_session_over(struct world *w, const struct id *machine, bool was_open)
{
    struct machine *m = machine_find(w, machine);

    if (m == NULL || m->live_sessions == 0)
        return; /* removed while the session still lived */
    m->live_sessions--;
    m->served |= was_open;
    m->idle_since_us = w->eff_us;
    guest_retime(w, m);
}

/* --- machines --- */

static struct machine *
machine_new(struct world *w, const struct event *ev)
{
    struct machine *m;

    if (id_is_nil(&ev->subject.machine) || machine_find(w, &ev->subject.machine) != NULL) {
        world_stray(w);
        return NULL;
    }
    m = calloc(1, sizeof(*m));
    INVARIANT(m != NULL);
    m->machine = ev->subject.machine;
    m->changed_seq = m->allow_changed_seq = ev->seq;
    m->idle_since_us = w->eff_us;
    m->idle = (struct deadline){.kind = TIMER_GUEST, .id = m->machine};
    idmap_put(&w->fleet.machines, m->machine.b, m);
    return m;
}

static void
machine_added(struct world *w, const struct event *ev)
{
    struct machine *m = machine_new(w, ev);

    if (m == NULL)
        return;
    m->added_by = ev->actor.id;
    kept_field(&m->labels, ev, FIELD_LABELS);
}

static void
machine_changed(struct world *w, const struct event *ev)
{
    struct machine *m = machine_find(w, &ev->subject.machine);

    if (m == NULL) {
        world_stray(w);
        return;
    }
    m->changed_seq = ev->seq;
    kept_field(&m->labels, ev, FIELD_LABELS);
}

/* Enrolled, or bound anew by a fresh key. */
static void
machine_bound(struct world *w, const struct event *ev)
{
    struct machine *m = machine_find(w, &ev->subject.machine);
    struct id key_id = fields_id(&ev->data, FIELD_KEY);
    struct api_key *key = key_find(w, &key_id);

    if (m == NULL)
        m = machine_new(w, ev);
    if (m == NULL)
        return;
    if (!fields_fixed(&ev->data, FIELD_DEVICE_KEY, m->device_key, sizeof(m->device_key)))
        world_stray(w);
    m->bound = true;
    m->bound_key = key_id;
    kept_field(&m->services, ev, FIELD_SERVICES);
    if (key == NULL) {
        world_stray(w);
        return;
    }
    key->spent = true;
    timers_off(&w->reap, &key->end);
}

static void
code_drop(struct world *w, struct code *c)
{
    idmap_drop(&w->fleet.codes, c->code.b);
    timers_off(&w->due, &c->expiry);
    free(c);
}

static void
key_drop(struct world *w, struct api_key *k)
{
    struct machine *m = machine_find(w, &k->machine);

    for (struct api_key **at = m == NULL ? NULL : &m->keys; at != NULL && *at != NULL;
         at = &(*at)->next)
        if (*at == k) {
            *at = k->next;
            break;
        }
    idmap_drop(&w->fleet.keys, k->key.b);
    timers_off(&w->reap, &k->end);
    free(k);
}

static void
machine_removed(struct world *w, const struct event *ev)
{
    struct machine *m = machine_find(w, &ev->subject.machine);
    struct code *c;

    if (m == NULL) {
        world_stray(w);
        return;
    }
    while (m->keys != NULL)
        key_drop(w, m->keys);
    if ((c = code_find(w, &m->code)) != NULL)
        code_drop(w, c);
    idmap_drop(&w->fleet.machines, m->machine.b);
    timers_off(&w->due, &m->idle);
    machine_free(m);
    ownership_retime(w, &ev->subject.machine);
}

/* --- presence --- */

static void
agent_connected(struct world *w, const struct event *ev)
{
    struct machine *m = machine_find(w, &ev->subject.machine);

    if (m == NULL) {
        world_stray(w);
        return;
    }
    m->online = true;
    m->connection = fields_id(&ev->data, FIELD_CONNECTION);
    switch (fields_u64(&ev->data, FIELD_IP_VERSION)) {
    case 4: m->nets[0] = ev->actor.tags.net; break;
    case 6: m->nets[1] = ev->actor.tags.net; break;
    default: break; /* of an older build */
    }
    kept_field(&m->services, ev, FIELD_SERVICES);
    ownership_retime(w, &m->machine);
}

/* The end of a connection that another has replaced says nothing about presence. */
static void
agent_disconnected(struct world *w, const struct event *ev)
{
    struct machine *m = machine_find(w, &ev->subject.machine);
    struct id connection = fields_id(&ev->data, FIELD_CONNECTION);

    if (m == NULL || !m->online || !id_equal(&m->connection, &connection))
        return;
    m->online = false;
    m->connection = (struct id){{0}};
    ownership_retime(w, &m->machine);
}

void
fleet_clear_presence(struct world *w)
{
    uint32_t at = 0;

    for (struct machine *m; (m = idmap_next(&w->fleet.machines, &at)) != NULL;) {
        m->online = false;
        m->connection = (struct id){{0}};
    }
}

/* --- codes and keys --- */

static void
code_issued(struct world *w, const struct event *ev)
{
    struct code *c;

    if (id_is_nil(&ev->subject.code) || code_find(w, &ev->subject.code) != NULL) {
        world_stray(w);
        return;
    }
    c = calloc(1, sizeof(*c));
    INVARIANT(c != NULL);
    c->code = ev->subject.code;
    c->issuer = ev->actor.id;
    c->expires_us = world_field_us(ev, FIELD_EXPIRES_US);
    c->expiry = (struct deadline){.kind = TIMER_CODE, .id = c->code};
    idmap_put(&w->fleet.codes, c->code.b, c);
    timers_set(&w->due, &c->expiry, c->expires_us);
}

/* A redeemed code stays known while its guest does: shown again it is a used one. */
static void
code_redeemed(struct world *w, const struct event *ev)
{
    struct code *c = code_find(w, &ev->subject.code);
    struct machine *m = machine_new(w, ev);

    if (c == NULL || c->redeemed)
        world_stray(w);
    if (m == NULL)
        return;
    m->guest = m->bound = true;
    fields_fixed(&ev->data, FIELD_DEVICE_KEY, m->device_key, sizeof(m->device_key));
    m->code = ev->subject.code;
    guest_retime(w, m);
    if (c == NULL || c->redeemed)
        return;
    m->added_by = c->issuer;
    c->redeemed = true;
    c->machine = m->machine;
    memcpy(c->device_key, m->device_key, sizeof(c->device_key));
    timers_off(&w->due, &c->expiry);
}

static void
code_over(struct world *w, const struct event *ev)
{
    struct code *c = code_find(w, &ev->subject.code);

    if (c == NULL)
        world_stray(w);
    else
        code_drop(w, c);
}

static void
key_issued(struct world *w, const struct event *ev)
{
    struct id id = fields_id(&ev->data, FIELD_KEY);
    struct machine *m = machine_find(w, &ev->subject.machine);
    struct api_key *k;

    if (id_is_nil(&id) || m == NULL || key_find(w, &id) != NULL) {
        world_stray(w);
        return;
    }
    k = calloc(1, sizeof(*k));
    INVARIANT(k != NULL);
    k->key = id;
    k->machine = m->machine;
    k->creator = ev->actor.id;
    k->expires_us = world_field_us(ev, FIELD_EXPIRES_US);
    k->end = (struct deadline){.kind = TIMER_KEY, .id = id};
    k->next = m->keys;
    m->keys = k;
    idmap_put(&w->fleet.keys, id.b, k);
    timers_set(&w->reap, &k->end, k->expires_us);
}

/* With the key goes what it bound. */
static void
key_revoked(struct world *w, const struct event *ev)
{
    struct id id = fields_id(&ev->data, FIELD_KEY);
    struct api_key *k = key_find(w, &id);
    struct machine *m = machine_find(w, k == NULL ? &ev->subject.machine : &k->machine);

    if (m != NULL && m->bound && !id_is_nil(&id) && id_equal(&m->bound_key, &id)) {
        m->bound = false;
        m->bound_key = (struct id){{0}};
        memset(m->device_key, 0, sizeof(m->device_key));
    }
    if (k == NULL)
        world_stray(w);
    else
        key_drop(w, k);
}

/* --- allow lists --- */

/* NULL: an empty list, which restricts nothing. What cannot be read matches nobody: an odd item, or
 * an odd list, still restricts. */
static struct cidr_list *
allow_read(struct world *w, struct span items)
{
    struct cidr_list *list;
    struct reader r;
    uint32_t count;

    reader_init(&r, items);
    count = reader_array(&r);
    if (count == 0 && reader_done(&r))
        return NULL;
    list = calloc(1, sizeof(*list));
    INVARIANT(list != NULL);
    if (!reader_ok(&r))
        world_stray(w);
    for (uint32_t i = 0; i < count && reader_ok(&r); i++) {
        struct span text = reader_str(&r);

        if (list->count == CIDR_LIST_MAX || !reader_ok(&r) ||
            cidr_parse(text, &list->items[list->count]) != OK)
            world_stray(w);
        else
            list->count++;
    }
    return list;
}

static void
allowlist_changed(struct world *w, const struct event *ev)
{
    struct machine *m = machine_find(w, &ev->subject.machine);
    bool overall = id_is_nil(&ev->subject.machine);
    struct cidr_list **at;

    if (m == NULL && !overall) {
        world_stray(w);
        return;
    }
    *(overall ? &w->fleet.allow_changed_seq : &m->allow_changed_seq) = ev->seq;
    at = overall ? &w->fleet.allow : &m->allow;
    free(*at);
    *at = allow_read(w, fields_span(&ev->data, FIELD_ALLOW));
}

void
fleet_fold(struct world *w, const struct event *ev)
{
    switch (ev->type) {
    case EV_CODE_ISSUED: code_issued(w, ev); return;
    case EV_CODE_REDEEMED: code_redeemed(w, ev); return;
    case EV_CODE_EXPIRED:
    case EV_CODE_REVOKED: code_over(w, ev); return;
    case EV_MACHINE_ADDED: machine_added(w, ev); return;
    case EV_MACHINE_CHANGED: machine_changed(w, ev); return;
    case EV_MACHINE_ENROLLED:
    case EV_MACHINE_REBOUND: machine_bound(w, ev); return;
    case EV_MACHINE_REMOVED: machine_removed(w, ev); return;
    case EV_KEY_ISSUED: key_issued(w, ev); return;
    case EV_KEY_REVOKED: key_revoked(w, ev); return;
    case EV_ALLOWLIST_CHANGED: allowlist_changed(w, ev); return;
    case EV_AGENT_CONNECTED: agent_connected(w, ev); return;
    case EV_AGENT_DISCONNECTED: agent_disconnected(w, ev); return;
    default: return; /* another part's business */
    }
}

void
fleet_reap(struct world *w, struct deadline *t)
{
    key_drop(w, key_find(w, &t->id));
}

void
fleet_retime(struct world *w)
{
    uint32_t at = 0;

    for (struct machine *m; (m = idmap_next(&w->fleet.machines, &at)) != NULL;)
        guest_retime(w, m);
}
