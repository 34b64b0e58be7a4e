/* test_views_query.c: random histories from seeds. What the queries find is what somebody finds who
 * reads everything; what is folded again is the same; and the views agree with the world that
 * decisions rest on. A failure prints its seed. */
#include "tests/unit/views_random.h"

#define SEEDS  24
#define LENGTH 700

static uint64_t seed;

static int
tell_seed(void **state)
{
    (void)state;
    if (seed <= SEEDS)
        print_message("it was seed %llu\n", (unsigned long long)seed);
    return 0;
}

/* --- events, by reading all of them --- */

struct seen {
    uint64_t seq;
    int64_t eff_us; /* bent: never back */
    uint32_t type;
    struct id users[2], machines[2], session;
    bool has_address, taken_back;
    struct addr address;
    struct id whose; /* the user whose address it was */
};

struct reading {
    struct seen *seen;
    size_t count;
    int64_t last_us;
};

static void
read_event(struct reading *r, const struct told_event *told)
{
    static struct event ev;
    static struct fields personal;
    struct seen *s = &r->seen[r->count++];

    *s = (struct seen){.seq = 0};
    assert_int_equal(event_decode(span_of(told->body, told->len), &ev), OK);
    s->seq = ev.seq;
    s->eff_us = ev.eff_us > r->last_us ? ev.eff_us : r->last_us;
    r->last_us = s->eff_us;
    s->type = (uint32_t)ev.type;
    s->users[0] = ev.subject.user;
    s->machines[0] = ev.subject.machine;
    s->session = ev.subject.session;
    if (ev.actor.kind == ACTOR_USER)
        s->users[1] = s->whose = ev.actor.id;
    if (ev.type == EV_USER_REGISTERED)
        s->whose = ev.subject.user;
    if (ev.actor.kind == ACTOR_AGENT)
        s->machines[1] = ev.actor.id;
    for (uint32_t b = 0; b < told->boxes && !s->has_address; b++) {
        assert_int_equal(
            fields_decode(span_of(told->box[b].bytes, told->box[b].len), &personal), OK);
        s->has_address = addr_parse(fields_span(&personal, FIELD_ADDRESS), &s->address) == OK;
    }
    if (ev.type == EV_USER_ERASED && !id_is_nil(&ev.subject.user))
        for (size_t i = 0; i < r->count; i++)
            if (id_equal(&r->seen[i].whose, &ev.subject.user))
                r->seen[i].taken_back = true;
}

static void
read_all(struct reading *r, const struct tale *t)
{
    r->seen = calloc(t->count, sizeof(*r->seen));
    r->count = 0;
    r->last_us = INT64_MIN;
    for (size_t i = 0; i < t->count; i++)
        read_event(r, &t->told[i]);
}

static bool
either(const struct id of[2], const struct id *id)
{
    return id_equal(&of[0], id) || id_equal(&of[1], id);
}

static bool
fits(const struct seen *s, const struct events_query *q)
{
    bool type = !q->has_type;

    for (uint32_t i = 0; i < q->type_count; i++)
        type |= s->type == q->types[i];
    return type && (!q->has_user || either(s->users, &q->user)) &&
           (!q->has_machine || either(s->machines, &q->machine)) &&
           (!q->has_session || id_equal(&s->session, &q->session)) &&
           (!q->has_address ||
               (s->has_address && !s->taken_back && memcmp(s->address.b, q->address, 16) == 0)) &&
           (q->from_us == 0 || s->eff_us >= q->from_us) &&
           (q->to_us == 0 || s->eff_us < q->to_us) && (!q->has_after || s->seq > q->after);
}

struct got {
    uint64_t seqs[LENGTH];
    size_t count;
    uint64_t stop_at; /* each() says false then; UINT64_MAX: never */
};

static bool
take(void *arg, uint64_t seq)
{
    struct got *g = arg;

    assert_true(g->count < LENGTH);
    g->seqs[g->count++] = seq;
    return seq != g->stop_at;
}

static struct id
known_id(struct history *h, enum thing thing)
{
    struct id id = id_n(some(h, thing));

    return id;
}

static void
random_query(struct history *h, struct events_query *q)
{
    static const char *const addresses[] = {"192.0.2.1", "192.0.2.10", "2001:db8::1", "::"};
    struct dice *d = &h->dice;
    unsigned count;
    const struct event_row *all = catalogue_events(&count);
    int64_t span = h->t->s->now - T0;
    struct addr addr;

    *q = (struct events_query){.limit = 1 + (uint32_t)roll(d, 40)};
    if ((q->has_type = roll(d, 3) == 0)) {
        q->type_count = (uint32_t)roll(d, 17); /* none fits none */
        for (uint32_t i = 0; i < q->type_count; i++)
            q->types[i] = (uint32_t)all[roll(d, count)].type; /* also twice */
    }
    if ((q->has_user = roll(d, 4) == 0))
        q->user = known_id(h, USER);
    if ((q->has_machine = roll(d, 4) == 0))
        q->machine = known_id(h, MACHINE);
    if ((q->has_session = roll(d, 6) == 0))
        q->session = known_id(h, SESSION);
    if ((q->has_address = roll(d, 4) == 0)) {
        assert_int_equal(addr_parse(span_str(one_of(h, addresses, ROWS(addresses))), &addr), OK);
        memcpy(q->address, addr.b, 16);
    }
    if (roll(d, 4) == 0)
        q->from_us = T0 + (int64_t)roll(d, (uint64_t)span);
    if (roll(d, 4) == 0)
        q->to_us = T0 + (int64_t)roll(d, (uint64_t)span); /* at times before from */
    q->has_after = roll(d, 4) == 0;
    q->after = roll(d, LENGTH + 10);
}

/* Nil ids are in no index: nobody is not somebody. */
static bool
asks_for_nobody(const struct events_query *q)
{
    return (q->has_user && id_is_nil(&q->user)) || (q->has_machine && id_is_nil(&q->machine)) ||
           (q->has_session && id_is_nil(&q->session));
}

/* All pages of a query, one after the other. */
static void
collect(struct tale *t, struct events_query q, struct got *got)
{
    struct rows rows = mem_rows(&t->mem);
    bool more = true;
    uint64_t next;

    got->count = 0;
    for (unsigned pages = 0; more; pages++) {
        size_t before = got->count;
        uint64_t work = t->mem.scanned;

        assert_true(pages < 2 * LENGTH);
        assert_int_equal(views_events(&rows, &q, take, got, &next, &more), OK);
        assert_true(got->count - before <= q.limit);
        assert_true(t->mem.scanned - work <= VIEWS_LOOKED_MAX + 64);
        assert_true(!q.has_after || next >= q.after);
        q.has_after = true;
        q.after = next;
    }
}

static void
check_query(struct tale *t, const struct reading *r, const struct events_query *q)
{
    static struct got got;
    size_t n = 0;

    got.stop_at = UINT64_MAX;
    collect(t, *q, &got);
    for (size_t i = 0; i < r->count; i++) {
        if (asks_for_nobody(q) || !fits(&r->seen[i], q))
            continue;
        assert_true(n < got.count);
        assert_int_equal(got.seqs[n], r->seen[i].seq);
        n++;
    }
    assert_int_equal(n, got.count);
    /* Whoever says stop in the middle goes on behind it, and gets the same. */
    if (n > 1) {
        uint64_t all = got.count, last = got.seqs[got.count - 1];

        got.stop_at = got.seqs[roll(&(struct dice){seed + n}, n)];
        collect(t, *q, &got);
        assert_int_equal(got.count, all);
        assert_int_equal(got.seqs[got.count - 1], last);
    }
}

static void
events_are_found(void **state)
{
    (void)state;
    for (seed = 1; seed <= SEEDS; seed++) {
        struct history h;
        struct reading r;

        random_history(&h, seed, LENGTH);
        read_all(&r, h.t);
        for (unsigned i = 0; i < 300; i++) {
            struct events_query q;

            random_query(&h, &q);
            check_query(h.t, &r, &q);
        }
        free(r.seen);
        tale_free(h.t);
    }
}

/* --- lists, by reading whole tables --- */

struct item {
    struct views_position position;
};

struct items {
    enum table table;
    struct item item[LENGTH + 8];
    size_t count;
    uint64_t stop_after; /* each() says false after so many; 0: never */
};

static int
newest_first(const void *a, const void *b)
{
    return memcmp(((const struct item *)b)->position.b, ((const struct item *)a)->position.b,
        VIEWS_POSITION_BYTES);
}

static bool
add(struct items *l, const void *row)
{
    assert_true(l->count < ROWS(l->item));
    l->item[l->count++].position = row_position(l->table, row);
    return l->stop_after == 0 || l->count % l->stop_after != 0;
}

#define TAKER(name)                                                                                \
    static bool take_##name(void *arg, const struct name##_row *row)                               \
    {                                                                                              \
        return add(arg, row);                                                                      \
    }
TAKER(user)
TAKER(machine)
TAKER(code)
TAKER(key)
TAKER(invite)
TAKER(family)
TAKER(session)

struct asking {
    const struct rows *rows;
    const struct filter *filter;
    const struct id *owner; /* machines: the issuer of guests */
    int64_t now_us;
};

static enum err
ask_list(const struct asking *a, struct views_page *page, struct items *l)
{
    switch (l->table) {
    case TABLE_USERS: return views_users(a->rows, page, take_user, l);
    case TABLE_MACHINES:
        return views_machines(a->rows, page, a->filter, a->owner, a->now_us, take_machine, l);
    case TABLE_CODES: return views_codes(a->rows, page, a->owner, take_code, l);
    case TABLE_KEYS: return views_keys(a->rows, page, a->owner, take_key, l);
    case TABLE_INVITES: return views_invites(a->rows, page, take_invite, l);
    case TABLE_FAMILIES: return views_families(a->rows, page, a->owner, take_family, l);
    default: return views_sessions(a->rows, page, a->owner, take_session, l);
    }
}

static void
all_pages(struct tale *t, const struct asking *a, struct items *l, uint32_t limit)
{
    struct views_page page = {.limit = limit, .more = true};
    struct views_position after;

    l->count = 0;
    for (unsigned pages = 0; page.more; pages++) {
        size_t before = l->count;
        uint64_t work = t->mem.scanned;

        assert_true(pages < 2 * LENGTH);
        assert_int_equal(ask_list(a, &page, l), OK);
        assert_true(l->count - before <= limit);
        assert_true(t->mem.scanned - work <= 4 * VIEWS_LOOKED_MAX);
        after = page.last;
        page.after = &after;
    }
}

static bool
has_label(const struct machine_row *m, const char *label)
{
    return m->labels_len > 0 && memmem(m->labels, m->labels_len, label, strlen(label)) != NULL;
}

/* The filters that are asked for, by hand. */
static const struct {
    const char *text;
} filters[] = {{""}, {"tag:prod"}, {"-tag:prod online:true"}, {"name:bo*"}, {"seen<10m"},
    {"guest:true -seen>1h"}};

static bool
filter_fits(unsigned which, const struct machine_row *m, int64_t now_us)
{
    bool seen = m->online || m->seen_us != 0;
    int64_t age = m->online || now_us < m->seen_us ? 0 : now_us - m->seen_us;

    switch (which) {
    case 0: return true;
    case 1: return has_label(m, "prod");
    case 2: return !has_label(m, "prod") && m->online;
    case 3: return strncasecmp(m->name, "bo", 2) == 0;
    case 4: return seen && age < 600 * S;
    default: return m->guest && !(seen && age > 3600 * S);
    }
}

static void
expect(struct tale *t, const struct asking *a, unsigned which, struct items *l)
{
    static union any_row row;

    l->count = 0;
    for (size_t i = 0; i < t->mem.t[l->table].count; i++) {
        const struct mem_entry *e = &t->mem.t[l->table].e[i];
        const struct id *owner;

        assert_int_equal(row_decode(l->table, span_of(e->value, e->value_len), &row), OK);
        owner = row_owner(l->table, &row);
        if (owner != NULL && a->owner != NULL && !id_equal(owner, a->owner))
            continue;
        if (l->table == TABLE_MACHINES && (row.machine.removed || id_is_nil(&row.machine.machine) ||
                                              (row.machine.guest && a->owner != NULL &&
                                                  !id_equal(&row.machine.issuer, a->owner)) ||
                                              !filter_fits(which, &row.machine, a->now_us)))
            continue;
        (void)add(l, &row);
    }
    qsort(l->item, l->count, sizeof(l->item[0]), newest_first);
}

static void
lists_hold_what_is_there(void **state)
{
    static const enum table tables[] = {TABLE_USERS, TABLE_MACHINES, TABLE_CODES, TABLE_KEYS,
        TABLE_INVITES, TABLE_FAMILIES, TABLE_SESSIONS};
    static struct items got, want;

    (void)state;
    for (seed = 1; seed <= SEEDS; seed++) {
        struct history h;
        struct rows rows;

        random_history(&h, 100 + seed, LENGTH);
        rows = mem_rows(&h.t->mem);
        for (unsigned i = 0; i < 200; i++) {
            enum table table = tables[roll(&h.dice, ROWS(tables))];
            unsigned which = (unsigned)roll(&h.dice, ROWS(filters));
            struct id owner = id_n(some(&h, table == TABLE_KEYS ? MACHINE : USER));
            struct asking a = {.rows = &rows, .now_us = h.t->s->now};
            struct filter_error error;
            struct filter filter;

            assert_int_equal(
                filter_parse(span_str(filters[which].text), &filter_machines, &filter, &error), OK);
            a.filter = which == 0 && roll(&h.dice, 2) == 0 ? NULL : &filter;
            a.owner = roll(&h.dice, 2) == 0 ? &owner : NULL;
            got.table = want.table = table;
            got.stop_after = roll(&h.dice, 4) == 0 ? 1 + roll(&h.dice, 5) : 0;
            want.stop_after = 0;
            all_pages(h.t, &a, &got, 1 + (uint32_t)roll(&h.dice, 20));
            expect(h.t, &a, which, &want);
            assert_int_equal(got.count, want.count);
            if (want.count > 0)
                assert_memory_equal(got.item, want.item, want.count * sizeof(want.item[0]));
        }
        tale_free(h.t);
    }
}

/* --- again, and without a key --- */

static void
a_rebuild_is_the_same(void **state)
{
    (void)state;
    for (seed = 1; seed <= SEEDS; seed++) {
        struct history h;
        struct mem again = {0};

        random_history(&h, 200 + seed, LENGTH);
        tale_again(h.t, &again, NULL);
        assert_same_rows(&h.t->mem, &again);
        mem_fini(&again);
        tale_free(h.t);
    }
}

/* What was forgotten on user.erased is what would never have been known without the user's key. */
static void
erased_is_as_if_never_opened(void **state)
{
    (void)state;
    for (seed = 1; seed <= SEEDS; seed++) {
        struct history h;
        struct mem shut = {0};
        struct id user;

        random_history(&h, 300 + seed, LENGTH);
        user = id_n(1000u * USER + 1 + roll(&h.dice, h.made[USER]));
        tale_say(h.t, EV_USER_ERASED);
        by(h.t->s, ACTOR_CLI, 0, 0);
        h.t->s->ev.subject.user = user;
        tale_told(h.t);
        tale_again(h.t, &shut, &user);
        assert_same_rows(&h.t->mem, &shut);
        mem_fini(&shut);
        tale_free(h.t);
    }
}

/* --- the world says the same --- */

static void
same_people(const struct world *w, const struct rows *rows)
{
    struct family_row family;
    struct user_row user;
    uint32_t at = 0;

    for (struct account *a; (a = idmap_next(&w->accounts.by_id, &at)) != NULL;) {
        assert_int_equal(views_user(rows, &a->user, &user), OK);
        assert_int_equal(user.disabled, a->disabled);
        assert_int_equal(user.changed_seq, a->changed_seq);
        if (user.role <= ROLE_AUDITOR)
            assert_int_equal(user.role, a->role);
    }
    at = 0;
    for (struct family *f; (f = idmap_next(&w->accounts.families, &at)) != NULL;) {
        assert_int_equal(row_get(rows, TABLE_FAMILIES, &f->family, &family), OK);
        assert_int_equal(family.live, !f->revoked);
        assert_int_equal(family.n, f->n);
        assert_int_equal(family.refreshed_us, f->refreshed_us);
    }
}

static void
same_fleet(const struct world *w, const struct rows *rows)
{
    struct machine_row machine;
    struct code_row code;
    uint32_t at = 0;

    for (struct machine *m; (m = idmap_next(&w->fleet.machines, &at)) != NULL;) {
        assert_int_equal(views_machine(rows, &m->machine, &machine), OK);
        assert_false(machine.removed);
        assert_int_equal(machine.online, m->online);
        assert_int_equal(machine.bound, m->bound);
        assert_int_equal(machine.guest, m->guest);
        assert_memory_equal(machine.connection.b, m->connection.b, ID_BYTES);
        assert_int_equal(machine.changed_seq, m->changed_seq);
        assert_int_equal(machine.allow_seq, m->allow_changed_seq);
        if (m->guest)
            assert_memory_equal(machine.issuer.b, m->added_by.b, ID_BYTES);
        assert_int_equal(machine.labels_len, m->labels.len);
        assert_int_equal(machine.services_len, m->services.len);
    }
    at = 0;
    for (struct code *c; (c = idmap_next(&w->fleet.codes, &at)) != NULL;) {
        assert_int_equal(views_code(rows, &c->code, &code), OK);
        assert_int_equal(code.state, c->redeemed ? CODE_REDEEMED : CODE_LIVE);
        assert_memory_equal(code.machine.b, c->machine.b, ID_BYTES);
    }
}

static void
same_sessions(const struct world *w, const struct rows *rows)
{
    struct session_row session;
    uint32_t at = 0;

    for (struct session *s; (s = idmap_next(&w->ownership.sessions, &at)) != NULL;) {
        assert_int_equal(views_session(rows, &s->session, &session), OK);
        assert_int_equal(session.state, s->state);
        assert_int_equal(session.events, s->n);
        assert_int_equal(session.paused, s->paused && s->state != SESSION_ENDED);
        assert_int_equal(session.requested_us, s->requested_us);
        assert_int_equal(session.opened_us, s->opened_us);
        assert_memory_equal(session.owner.b, s->owner.b, ID_BYTES);
        assert_memory_equal(session.machine.b, s->machine.b, ID_BYTES);
    }
}

static bool
count_alert(void *arg, const struct alert_row *row)
{
    const struct world *w = arg;
    const struct alert *a = alert_find(w, row->seq);

    assert_non_null(a);
    assert_string_equal(row->rule, a->rule->name);
    assert_int_equal(row->count, a->count);
    assert_int_equal(row->last_seq, a->last_seq);
    return true;
}

/* What is listed as open is what can be acknowledged. */
static void
same_alerts(const struct world *w, const struct rows *rows)
{
    struct views_page page = {.limit = 1000};
    struct alert_row row;
    uint32_t at = 0;

    assert_int_equal(views_alerts(rows, &page, true, count_alert, (void *)(uintptr_t)w), OK);
    for (struct alert *a; (a = idmap_next(&w->alerts.by_key, &at)) != NULL;) {
        assert_int_equal(views_alert(rows, a->seq, &row), OK);
        assert_int_equal(row.acked_seq, 0);
    }
}

static void
the_world_agrees(void **state)
{
    (void)state;
    for (seed = 1; seed <= SEEDS; seed++) {
        struct history h = {.dice = {400 + seed}, .t = tale_new()};

        for (unsigned i = 0; i < LENGTH; i++) {
            struct rows rows = mem_rows(&h.t->mem);

            random_event(&h);
            tale_told(h.t);
            if (i % 50 != 0)
                continue;
            same_people(h.t->s->w, &rows);
            same_fleet(h.t->s->w, &rows);
            same_sessions(h.t->s->w, &rows);
            same_alerts(h.t->s->w, &rows);
        }
        tale_free(h.t);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(events_are_found, tell_seed),
        cmocka_unit_test_teardown(lists_hold_what_is_there, tell_seed),
        cmocka_unit_test_teardown(a_rebuild_is_the_same, tell_seed),
        cmocka_unit_test_teardown(erased_is_as_if_never_opened, tell_seed),
        cmocka_unit_test_teardown(the_world_agrees, tell_seed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
