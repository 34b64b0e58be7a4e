/* test_world_replay.c: whatever the history, the same events give the same world. Random histories,
 * sensible and not, are folded as they were made and from their bytes; a failure prints its seed.
 */
#include "tests/unit/story.h"

#define SEEDS       60
#define EVENTS_EACH 1500
#define CHECK_EVERY 50
#define POOL        6 /* ids of a kind: few, so that events meet each other's things */

static uint64_t rng, seed;

static uint64_t
draw(uint64_t below)
{
    uint64_t z = (rng += UINT64_C(0x9E3779B97F4A7C15));

    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (z ^ (z >> 31)) % below;
}

static bool
one_in(uint64_t n)
{
    return draw(n) == 0;
}

enum pool {
    USERS = 100,
    FAMILIES = 200,
    CODES = 300,
    MACHINES = 400,
    KEYS = 500,
    CONNECTIONS = 600,
    SESSIONS = 700,
    CHANNELS = 800,
    TICKETS = 900,
    INVITES = 1000
};

static uint64_t
some(enum pool pool)
{
    return (uint64_t)pool + draw(POOL);
}

static void
random_policy(struct story *s)
{
    struct policy p;
    uint8_t bytes[1024];
    size_t len;

    policy_default(&p);
    for (enum rule r = RULE_LOGIN_NET; r < RULE_COUNT; r++)
        if (one_in(2))
            p.rules[r] = (struct rule_limit){1 + (uint32_t)draw(20), 1 + (uint32_t)draw(1000)};
    p.family_s = 1 + (uint32_t)draw(10000);
    p.family_idle_s = 1 + (uint32_t)draw(5000);
    p.guest_idle_s = 1 + (uint32_t)draw(2000);
    p.session_idle_s = 1 + (uint32_t)draw(2000);
    p.ticket_s = 1 + (uint32_t)draw(300);
    assert_int_equal(policy_encode(&p, bytes, sizeof(bytes), &len), OK);
    with_bytes(s, FIELD_POLICY_BYTES, bytes, one_in(8) ? len - 1 : len);
}

/* Each field that some fold reads, with a value that is often right. */
static void
random_fields(struct story *s, enum event_type type)
{
    static const char *const lists[][3] = {
        {"10.0.0.0/8", NULL}, {"shell", "tcp:x", NULL}, {NULL}, {"192.0.2.1/32", "odd", NULL}};

    if (type == EV_POLICY_ADOPTED)
        random_policy(s);
    if (!one_in(4))
        with_id(s, FIELD_FAMILY, some(FAMILIES));
    if (!one_in(4))
        with_u(s, FIELD_TOKEN_N, draw(6));
    if (!one_in(4))
        with_u(s, FIELD_ROLE, draw(5));
    if (!one_in(4))
        with_u(s, FIELD_VERIFIER_VERSION, draw(9));
    if (!one_in(4)) {
        struct tag name = tag_n(40000000 + some(USERS));

        with_bytes(s, FIELD_ACCOUNT, name.b, TAG_BYTES);
    }
    if (!one_in(4))
        with_u(s, FIELD_ATTEMPT, s->ev.seq < 20 ? 0 : s->ev.seq - draw(20));
    if (!one_in(4))
        with_u(s, FIELD_EXPIRES_US, one_in(9) ? UINT64_MAX : (uint64_t)s->now + draw(4000) * S);
    if (!one_in(4))
        with_id(s, FIELD_INVITE, some(INVITES));
    if (!one_in(4))
        with_id(s, FIELD_KEY, some(KEYS));
    if (!one_in(4))
        with_key(s, FIELD_DEVICE_KEY, (uint8_t)draw(256));
    if (!one_in(4))
        with_id(s, FIELD_CONNECTION, some(CONNECTIONS));
    if (!one_in(4))
        with_id(s, FIELD_CHANNEL, some(CHANNELS));
    if (!one_in(4))
        with_id(s, FIELD_TICKET, some(TICKETS) + 100 * draw(50));
    if (!one_in(4))
        with_u(s, FIELD_TO_AGENT_BYTES, one_in(9) ? UINT64_MAX : draw(1000000));
    if (!one_in(4))
        with_strs(s, FIELD_SERVICES, lists[draw(4)]);
    if (!one_in(4))
        with_strs(s, FIELD_LABELS, lists[draw(4)]);
    if (!one_in(4))
        with_strs(s, FIELD_ALLOW, lists[draw(4)]);
    if (!one_in(4))
        with_str(s, FIELD_SERVICE, one_in(9) ? lists[0][0] : "shell");
    if (!one_in(4))
        with_str(s, FIELD_WHY, one_in(3) ? "leaked" : "planned");
    if (!one_in(4))
        with_str(s, FIELD_KEY_ROLE, one_in(2) ? "event" : "log");
    if (!one_in(4))
        with_u(s, FIELD_EPOCH, one_in(9) ? UINT64_MAX : draw(9));
}

static void
random_event(struct story *s)
{
    unsigned count;
    const struct event_row *rows = catalogue_events(&count);
    enum event_type type = rows[draw(count)].type;
    struct id session = id_n(some(SESSIONS));
    const struct session *known = session_find(s->w, &session);

    if (!one_in(3)) /* mostly what sessions, machines and logins are made of */
        while (type < EV_LOGIN_ATTEMPTED || type == EV_SECRET_ROTATED || type == EV_MACHINE_REMOVED)
            type = rows[draw(count)].type;
    s->now += one_in(200) ? (int64_t)draw(40000) * S : one_in(3) ? (int64_t)draw(20) * S : 0;
    say(s, type);
    s->ev.boot = id_n(1 + draw(2));
    by(s, (enum actor_kind)draw(6), one_in(5) ? 0 : some(USERS), some(FAMILIES));
    if (!one_in(6))
        from(s, draw(400));
    s->ev.actor.tags.account = tag_n(one_in(5) ? 0 : 40000000 + some(USERS));
    about(s, 0, one_in(8) ? 0 : some(MACHINES), some(USERS), some(CODES));
    s->ev.subject.session = session;
    if (!one_in(6))
        with_u(s, FIELD_N, known == NULL ? 0 : known->n);
    random_fields(s, type);
    if (one_in(300))
        s->ev.eff_us -= (int64_t)draw(1000) * S;
    told(s);
}

/* A session that stands on firm ground, if the last events left any: somebody logged in, an agent
 * here. Now and then it is opened, or used. */
static void
sensible_event(struct story *s)
{
    uint64_t family = some(FAMILIES), machine = some(MACHINES), session = some(SESSIONS);
    struct id family_id = id_n(family), machine_id = id_n(machine), session_id = id_n(session);
    const struct family *f = family_find(s->w, &family_id);
    const struct machine *m = machine_find(s->w, &machine_id);
    const struct session *known = session_find(s->w, &session_id);
    uint64_t user = some(USERS);

    if (f == NULL) {
        tell_user(s, user, ROLE_TECHNICIAN);
        tell_login(s, user, family, draw(400));
    } else if (m == NULL || !m->online) {
        tell_machine(s, machine, user);
        tell_connected(s, machine, some(CONNECTIONS));
    } else if (known == NULL && !f->revoked) {
        say_session(s, EV_SESSION_REQUESTED, session);
        s->ev.actor = (struct actor){.kind = ACTOR_USER, .id = f->user, .family = f->family};
        s->ev.subject.machine = machine_id;
        told(s);
        if (one_in(2))
            tell_opened(s, session);
    } else if (known != NULL && known->state == SESSION_OPEN) {
        tell_channel(s, EV_SESSION_ATTACHED, session, some(CHANNELS), 0);
        world_touch_session(s->w, &session_id, s->now);
    }
}

/* A deadline is exactly when something is due; nothing that is due is missed. */
static void
check_deadlines(const struct story *s)
{
    const struct world *w = s->w;
    uint32_t live = 0, at = 0;

    for (const struct session *x = w->ownership.oldest; x != NULL; x = x->newer, live++) {
        int64_t end = x->timer.at_us;

        assert_true(x->timer.pos != 0);
        assert_non_null(session_due_why(w, x, end > s->now ? end : s->now));
        if (end > s->now)
            assert_null(session_due_why(w, x, end - 1));
    }
    assert_int_equal(live, w->ownership.live);
    for (const struct machine *m; (m = idmap_next(&w->fleet.machines, &at)) != NULL;) {
        assert_int_equal(m->idle.pos != 0, m->guest && m->live_sessions == 0);
        if (m->idle.pos != 0)
            assert_non_null(guest_due_why(w, m, m->idle.at_us));
    }
}

/* The last activity is nobody's business but the loops'. */
static void
touch(struct story *s)
{
    struct id id = id_n(some(SESSIONS));

    world_touch_session(s->w, &id, s->now - (int64_t)draw(5) * S);
}

static void
check(struct story *s)
{
    static const int64_t later_s[] = {0, 1, 29, 60, 120, 599, 600, 1800, 43200};

    check_deadlines(s);
    for (size_t i = 0; i < ROWS(later_s); i++)
        assert_same_digest(s->w, s->copy, s->w->eff_us + later_s[i] * S);
    assert_int_equal(s->w->strays, s->copy->strays);
}

/* What a digest leaves out as expired is just what a fold at that time lets go. */
static void
check_expiry(struct story *s)
{
    struct hash before, after;

    s->now = s->w->eff_us + (int64_t)draw(3000) * S;
    world_digest(s->w, s->now, &before);
    say(s, EV_HEARTBEAT);
    told(s);
    s->w->size--;
    world_digest(s->w, s->now, &after);
    s->w->size++;
    assert_memory_equal(before.b, after.b, HASH_BYTES);
}

static void
same_history_same_world(void **state)
{
    (void)state;
    for (seed = 1; seed <= SEEDS; seed++) {
        struct story *s = story_new();

        rng = seed;
        for (int i = 0; i < EVENTS_EACH; i++) {
            random_event(s);
            if (one_in(3))
                sensible_event(s);
            if (one_in(4))
                touch(s);
            if (i % CHECK_EVERY == 0)
                check(s);
            if (one_in(100))
                check_expiry(s);
        }
        check(s);
        story_end(s, s->w->strays);
    }
}

/* Said also, and first of all, after a failure. */
static int
say_seed(void **state)
{
    (void)state;
    print_message("last seed %llu\n", (unsigned long long)seed);
    return 0;
}

/* --- a sensible history, of which each event matters --- */

enum {
    ADMIN = 101,
    TECH = 102,
    FAMILY = 201,
    CODE = 301,
    GUEST = 401,
    MACHINE = 402,
    KEY = 501,
    CONN = 601,
    CONN2 = 602,
    SES = 701,
    SES2 = 702,
    CHAN = 801,
    TICKET = 901,
    INVITE = 951
};

static void
tell_simple(struct story *s, enum event_type type)
{
    say(s, type);
    about(s, 0, MACHINE, TECH, CODE);
    with_id(s, FIELD_CONNECTION, CONN);
    with_id(s, FIELD_KEY, KEY);
    with_id(s, FIELD_FAMILY, FAMILY);
    with_u(s, FIELD_TOKEN_N, 1);
    with_u(s, FIELD_ROLE, ROLE_AUDITOR);
    with_id(s, FIELD_INVITE, INVITE);
    with_u(s, FIELD_EXPIRES_US, (uint64_t)(s->now + 1000 * S));
    with_u(s, FIELD_VERIFIER_VERSION, 2);
    told(s);
}

/* The session's login, from network `net`. */
static void
tell_network(struct story *s, enum event_type type, uint64_t session, uint64_t net)
{
    say(s, type);
    from(s, net);
    by(s, ACTOR_USER, TECH, FAMILY);
    about(s, session, MACHINE, TECH, 0);
    with_u(s, FIELD_N, session_find(s->w, &s->ev.subject.session)->n);
    with_u(s, FIELD_IP_VERSION, net == 6 ? 6 : 4);
    with_str(s, FIELD_NET_MODE, "pause");
    told(s);
}

/* Step i of it; false when there is none. */
static bool
tell_step(struct story *s, int i)
{
    static const char *const allow[] = {"10.0.0.0/8", NULL};

    s->now += S;
    switch (i) {
    case 0:
        say(s, EV_LOG_OPENED);
        told(s);
        return true;
    case 1: tell_user(s, ADMIN, ROLE_ADMIN); return true;
    case 2: tell_user(s, TECH, ROLE_TECHNICIAN); return true;
    case 3: tell_simple(s, EV_INVITE_ISSUED); return true;
    case 4: tell_login(s, TECH, FAMILY, 7); return true;
    case 5: tell_machine(s, MACHINE, TECH); return true;
    case 6: tell_key(s, KEY, MACHINE, TECH); return true;
    case 7: tell_bound(s, EV_MACHINE_ENROLLED, MACHINE, KEY, 0xD1); return true;
    case 8: tell_connected(s, MACHINE, CONN); return true;
    case 9: tell_code(s, CODE, TECH); return true;
    case 10: tell_redeemed(s, CODE, GUEST, 9); return true;
    case 11: tell_connected(s, GUEST, CONN2); return true;
    case 12: tell_requested(s, SES, MACHINE, TECH, FAMILY); return true;
    case 13: tell_session(s, EV_SESSION_CONSENTED, SES); return true;
    case 14: tell_opened(s, SES); return true;
    case 15: tell_channel(s, EV_SESSION_ATTACHED, SES, CHAN, TICKET); return true;
    case 16: tell_channel(s, EV_CHANNEL_OPENED, SES, CHAN, TICKET + 1); return true;
    case 17: tell_session(s, EV_SESSION_NOTED, SES); return true;
    case 18: tell_channel(s, EV_CHANNEL_CLOSED, SES, CHAN, 0); return true;
    case 19: tell_channel(s, EV_CHANNEL_ATTESTED, SES, CHAN, 0); return true;
    case 20: tell_requested(s, SES2, GUEST, TECH, FAMILY); return true;
    case 21: tell_network(s, EV_SESSION_SUSPECTED, SES, 5); return true;
    case 22: tell_network(s, EV_SESSION_REPROVED, SES, 5); return true;
    case 23: tell_network(s, EV_SESSION_BOUND, SES, 6); return true;
    case 24: tell_simple(s, EV_PROOF_RENEWED); return true;
    case 25: tell_session(s, EV_SESSION_ENDED, SES); return true;
    case 26: tell_attempt(s, TECH, 7); return true;
    case 27: tell_simple(s, EV_TOKEN_REFRESHED); return true;
    case 28: tell_simple(s, EV_PASSWORD_CHANGED); return true;
    case 29: tell_simple(s, EV_USER_CHANGED); return true;
    case 30: tell_simple(s, EV_USER_DISABLED); return true;
    case 31: tell_simple(s, EV_MACHINE_CHANGED); return true;
    case 32: tell_simple(s, EV_AGENT_DISCONNECTED); return true;
    case 33: tell_simple(s, EV_KEY_REVOKED); return true;
    case 34: tell_simple(s, EV_INVITE_REVOKED); return true;
    case 35:
        say(s, EV_ALLOWLIST_CHANGED);
        with_strs(s, FIELD_ALLOW, allow);
        told(s);
        return true;
    case 36: tell_simple(s, EV_CLOCK_STEPPED); return true;
    case 37: tell_simple(s, EV_CLOCK_ACCEPTED); return true;
    case 38:
        say(s, EV_KEY_ROTATED);
        with_str(s, FIELD_KEY_ROLE, "log");
        with_u(s, FIELD_EPOCH, 2);
        told(s);
        return true;
    case 39: tell_simple(s, EV_CODE_REVOKED); return true;
    case 40:
        say(s, EV_SERVER_STARTED);
        s->ev.boot = id_n(2);
        told(s);
        return true;
    case 41: tell_simple(s, EV_MACHINE_REMOVED); return true;
    default: return false;
    }
}

static void
every_step_is_in_the_digest(void **state)
{
    struct story *s = story_new();
    struct hash before, after;

    (void)state;
    for (int i = 0;; i++) {
        uint64_t size = s->w->size, folded;

        world_digest(s->w, s->now + S, &before);
        if (!tell_step(s, i))
            break;
        folded = s->w->size;
        s->w->size = size; /* not only because it is one event more */
        world_digest(s->w, s->now, &after);
        s->w->size = folded;
        if (hash_equal(&before, &after))
            fail_msg("step %d changes nothing that is digested", i);
    }
    story_end(s, 0);
}

static void
digest_after(enum event_type type, int64_t later_s, struct hash *out)
{
    struct story *s = story_new();

    say(s, type);
    from(s, 7);
    s->ev.actor.tags.account = tag_n(4);
    by(s, ACTOR_USER, TECH, 0);
    with_id(s, FIELD_INVITE, INVITE);
    with_u(s, FIELD_EXPIRES_US, (uint64_t)(s->now + 100 * S));
    if (type == EV_CODE_ISSUED)
        s->ev.subject.code = id_n(CODE);
    told(s);
    world_digest(s->w, s->now + later_s * S, out);
    story_end(s, 0);
}

/* Once it has expired, it is as if it had never been. */
static void
what_has_expired_is_in_no_digest(void **state)
{
    static const struct {
        enum event_type type;
        int64_t held_s;
    } cases[] = {
        {EV_AGENT_REJECTED, 60},
        {EV_LOGIN_ATTEMPTED, 900},
        {EV_PASSWORD_ATTEMPTED, 60},
        {EV_TOKEN_REJECTED, 60},
        {EV_INVITE_ISSUED, 100},
        {EV_CODE_ISSUED, 100},
    };

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct hash held, gone, never;

        digest_after(EV_HEARTBEAT, cases[i].held_s, &never);
        digest_after(cases[i].type, cases[i].held_s - 1, &held);
        digest_after(cases[i].type, cases[i].held_s, &gone);
        if (hash_equal(&held, &never) || !hash_equal(&gone, &never))
            fail_msg("case %zu", i);
    }
}

/* Golden: a world that folds these events to another digest is another WORLD_DIGEST_VERSION. */
static void
the_digest_is_what_it_was(void **state)
{
    static const struct {
        int steps;
        const char *hex;
    } golden[] = {
        {0, "c36120f9dfa921f0bd7d34e33869ebc6d84c142ce6eeae6abf7da51860c4a566"},
        {20, "f7cf271d9633a34ce358dd1f9007eae8779af587af13071cd80bab7d482f754c"},
        {42, "822ddcd33dfbf4c45d0d4b0fc8c2940a94d90f599670ef044de5450c497025df"},
    };

    (void)state;
    assert_int_equal(WORLD_DIGEST_VERSION, 7);
    for (size_t g = 0; g < ROWS(golden); g++) {
        struct story *s = story_new();
        char hex[2 * HASH_BYTES + 1];
        struct hash hash;

        for (int i = 0; i < golden[g].steps; i++)
            assert_true(tell_step(s, i));
        world_digest(s->w, s->now, &hash);
        for (size_t i = 0; i < HASH_BYTES; i++)
            snprintf(hex + 2 * i, 3, "%02x", hash.b[i]);
        assert_string_equal(hex, golden[g].hex);
        story_end(s, 0);
    }
}

static void
nobody_counts_twice_after_a_million_strangers(void **state)
{
    struct story *s = story_new();

    (void)state;
    for (uint64_t i = 0; i < 1000000; i++) { /* B63: folded once: only the windows matter here */
        say(s, EV_AGENT_REJECTED);
        from(s, i);
        world_fold(s->w, &s->ev);
    }
    assert_int_equal(s->w->limits.windows[RULE_AGENT_REFUSED_NET].keys.count, LIMITS_KEYS_MAX);
    assert_int_equal(
        s->w->limits.windows[RULE_AGENT_REFUSED_NET].shared_events, 1000000 - LIMITS_KEYS_MAX);
    world_free(s->w);
    world_free(s->copy);
    free(s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(same_history_same_world, say_seed),
        cmocka_unit_test(every_step_is_in_the_digest),
        cmocka_unit_test(what_has_expired_is_in_no_digest),
        cmocka_unit_test(the_digest_is_what_it_was),
        cmocka_unit_test(nobody_counts_twice_after_a_million_strangers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
