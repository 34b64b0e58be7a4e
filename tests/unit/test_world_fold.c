/* test_world_fold.c: what each event does to the world, and that what fits nowhere does nothing. */
#include "tests/unit/story.h"

enum {
    ADMIN = 101,
    TECH = 102,
    FAMILY = 201,
    OTHER = 202,
    CODE = 301,
    GUEST = 401,
    MACHINE = 402,
    KEY = 501,
    KEY2 = 502,
    CONN = 601,
    CONN2 = 602,
    SES = 701,
    SES2 = 702,
    CHAN = 801,
    CHAN2 = 802,
    TICKET = 901,
    INVITE = 951
};

static struct account *
account(const struct story *s, uint64_t n)
{
    struct id id = id_n(n);

    return account_find(s->w, &id);
}

static struct family *
family(const struct story *s, uint64_t n)
{
    struct id id = id_n(n);

    return family_find(s->w, &id);
}

static struct machine *
machine(const struct story *s, uint64_t n)
{
    struct id id = id_n(n);

    return machine_find(s->w, &id);
}

static struct code *
code(const struct story *s, uint64_t n)
{
    struct id id = id_n(n);

    return code_find(s->w, &id);
}

static struct api_key *
key(const struct story *s, uint64_t n)
{
    struct id id = id_n(n);

    return key_find(s->w, &id);
}

static struct session *
session(const struct story *s, uint64_t n)
{
    struct id id = id_n(n);

    return session_find(s->w, &id);
}

static struct channel *
channel(const struct story *s, uint64_t n)
{
    struct id id = id_n(n);

    return channel_find(s->w, &id);
}

static bool
is(struct id id, uint64_t n)
{
    struct id want = id_n(n);

    return id_equal(&id, &want);
}

/* A technician, logged in; a machine with its agent here. */
static struct story *
story_with_agent(void)
{
    struct story *s = story_new();

    tell_user(s, TECH, ROLE_TECHNICIAN);
    tell_login(s, TECH, FAMILY, 7);
    tell_machine(s, MACHINE, TECH);
    tell_key(s, KEY, MACHINE, TECH);
    tell_bound(s, EV_MACHINE_ENROLLED, MACHINE, KEY, 0xD1);
    tell_connected(s, MACHINE, CONN);
    return s;
}

static struct story *
story_with_session(void)
{
    struct story *s = story_with_agent();

    tell_requested(s, SES, MACHINE, TECH, FAMILY);
    tell_opened(s, SES);
    return s;
}

static void
say_about_user(struct story *s, enum event_type type, uint64_t user)
{
    say(s, type);
    by(s, ACTOR_USER, ADMIN, 0);
    about(s, 0, 0, user, 0);
}

static void
say_family(struct story *s, enum event_type type, uint64_t user, uint64_t which)
{
    say(s, type);
    by(s, ACTOR_USER, user, which);
    from(s, 7);
    with_id(s, FIELD_FAMILY, which);
}

static void
accounts_come_change_and_go(void **state)
{
    struct story *s = story_new();
    struct tag name = tag_n(40000000 + ADMIN);

    (void)state;
    tell_user(s, ADMIN, ROLE_ADMIN);
    tell_user(s, TECH, ROLE_TECHNICIAN);
    assert_int_equal(account(s, ADMIN)->role, ROLE_ADMIN);
    assert_int_equal(account(s, ADMIN)->verifier_version, 1);
    assert_int_equal(account(s, ADMIN)->changed_seq, 0);
    assert_ptr_equal(account_named(s->w, &name), account(s, ADMIN));
    assert_int_equal(s->w->accounts.admins_active, 1);

    say_about_user(s, EV_USER_CHANGED, TECH);
    with_u(s, FIELD_ROLE, ROLE_ADMIN);
    told(s);
    assert_int_equal(account(s, TECH)->role, ROLE_ADMIN);
    assert_int_equal(account(s, TECH)->changed_seq, 2);
    assert_int_equal(s->w->accounts.admins_active, 2);

    say_about_user(s, EV_USER_DISABLED, TECH);
    told(s);
    assert_true(account(s, TECH)->disabled);
    assert_int_equal(s->w->accounts.admins_active, 1);
    say_about_user(s, EV_USER_ENABLED, TECH);
    told(s);
    assert_false(account(s, TECH)->disabled);
    assert_int_equal(s->w->accounts.admins_active, 2);
    say_about_user(s, EV_USER_ERASED, TECH);
    told(s);
    assert_true(account(s, TECH)->disabled);
    story_end(s, 0);
}

static void
odd_accounts_are_counted(void **state)
{
    struct story *s = story_new();

    (void)state;
    tell_user(s, TECH, ROLE_TECHNICIAN);
    tell_user(s, TECH, ROLE_ADMIN); /* again: the first stands */
    assert_int_equal(account(s, TECH)->role, ROLE_TECHNICIAN);
    say_about_user(s, EV_USER_CHANGED, 999);
    with_u(s, FIELD_ROLE, ROLE_ADMIN);
    told(s);
    say_about_user(s, EV_USER_CHANGED, TECH);
    with_u(s, FIELD_ROLE, 77); /* no role of ours: none */
    told(s);
    assert_int_equal(account(s, TECH)->role, ROLE_NONE);
    say(s, EV_USER_REGISTERED); /* nobody */
    told(s);
    story_end(s, 4);
}

static void
a_name_belongs_to_who_had_it_first(void **state)
{
    struct story *s = story_new();
    struct tag name = tag_n(40000000 + TECH);

    (void)state;
    tell_user(s, TECH, ROLE_TECHNICIAN);
    say(s, EV_USER_REGISTERED);
    about(s, 0, 0, 555, 0);
    with_u(s, FIELD_ROLE, ROLE_ADMIN);
    with_bytes(s, FIELD_ACCOUNT, name.b, TAG_BYTES);
    told(s);
    assert_ptr_equal(account_named(s->w, &name), account(s, TECH));
    assert_non_null(account(s, 555));
    story_end(s, 1);
}

static void
families_rotate_and_end(void **state)
{
    struct story *s = story_new();
    struct tag seven = tag_n(20000007), nine = tag_n(20000009);

    (void)state;
    tell_user(s, TECH, ROLE_TECHNICIAN);
    tell_login(s, TECH, FAMILY, 7);
    assert_true(is(family(s, FAMILY)->user, TECH));
    assert_int_equal(family(s, FAMILY)->n, 0);
    assert_int_equal(family(s, FAMILY)->opened_us, T0);
    assert_true(tag_equal(&family(s, FAMILY)->net, &seven));

    s->now += 600 * S;
    say_family(s, EV_TOKEN_REFRESHED, TECH, FAMILY);
    from(s, 9);
    with_u(s, FIELD_TOKEN_N, 1);
    told(s);
    assert_int_equal(family(s, FAMILY)->n, 1);
    assert_int_equal(family(s, FAMILY)->rotated_us, T0 + 600 * S);
    assert_true(tag_equal(&family(s, FAMILY)->net, &nine));
    assert_true(tag_equal(&family(s, FAMILY)->prev_net, &seven));

    s->now += 20 * S; /* the predecessor in its grace: nothing moves */
    say_family(s, EV_TOKEN_REFRESHED, TECH, FAMILY);
    with_u(s, FIELD_TOKEN_N, 1);
    told(s);
    assert_int_equal(family(s, FAMILY)->rotated_us, T0 + 600 * S);
    assert_true(tag_equal(&family(s, FAMILY)->net, &nine));

    say_family(s, EV_TOKEN_REFRESHED, TECH, FAMILY); /* backwards: odd */
    with_u(s, FIELD_TOKEN_N, 0);
    told(s);
    assert_int_equal(family(s, FAMILY)->n, 1);

    assert_true(family_live(s->w, family(s, FAMILY), T0 + 600 * S + 1800 * S - 1));
    assert_false(family_live(s->w, family(s, FAMILY), T0 + 600 * S + 1800 * S));
    s->now = T0 + 2400 * S;
    say(s, EV_HEARTBEAT);
    told(s);
    assert_null(family(s, FAMILY)); /* over by time: it leaves memory */
    story_end(s, 1);
}

static void
a_family_ends_after_twelve_hours_whatever_it_does(void **state)
{
    struct story *s = story_new();

    (void)state;
    tell_user(s, TECH, ROLE_TECHNICIAN);
    tell_login(s, TECH, FAMILY, 7);
    for (uint64_t n = 1; n < 12 * 6; n++) {
        s->now += 600 * S;
        say_family(s, EV_TOKEN_REFRESHED, TECH, FAMILY);
        with_u(s, FIELD_TOKEN_N, n);
        told(s);
    }
    assert_true(family_live(s->w, family(s, FAMILY), T0 + 12 * 3600 * S - 1));
    assert_false(family_live(s->w, family(s, FAMILY), T0 + 12 * 3600 * S));
    story_end(s, 0);
}

/* B5, B16: what ends which logins. */
static void
families_are_revoked_by(void **state)
{
    static const struct {
        enum event_type type;
        bool by_owner;     /* said by TECH in FAMILY, else by an admin */
        bool names_family; /* FIELD_FAMILY = FAMILY */
        const char *why;
        enum role role;
        bool mine, other, theirs; /* FAMILY, OTHER (both TECH's), and an admin's: revoked? */
    } cases[] = {
        {EV_LOGOUT, true, true, NULL, 0, true, false, false},
        {EV_LOGOUT, true, false, NULL, 0, true, false, false},
        {EV_TOKEN_REVOKED, false, true, "reuse", 0, true, false, false},
        {EV_TOKEN_REUSED, false, true, NULL, 0, false, false, false},
        {EV_PASSWORD_CHANGED, true, false, NULL, 0, false, true, false},
        {EV_PASSWORD_CHANGED, false, false, NULL, 0, true, true, false},
        {EV_USER_DISABLED, false, false, NULL, 0, true, true, false},
        {EV_USER_ERASED, false, false, NULL, 0, true, true, false},
        {EV_USER_CHANGED, false, false, NULL, ROLE_AUDITOR, true, true, false},
        {EV_USER_CHANGED, false, false, NULL, ROLE_TECHNICIAN, false, false, false}, /* no change */
        {EV_SECRET_ROTATED, false, false, "leaked", 0, true, true, true},
        {EV_SECRET_ROTATED, false, false, "planned", 0, false, false, false},
        {EV_AUDIT_READ, true, false, NULL, 0, false, false, false},
    };

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct story *s = story_new();

        tell_user(s, ADMIN, ROLE_ADMIN);
        tell_user(s, TECH, ROLE_TECHNICIAN);
        tell_login(s, TECH, FAMILY, 7);
        tell_login(s, TECH, OTHER, 8);
        tell_login(s, ADMIN, 203, 9);
        say_about_user(s, cases[i].type, TECH);
        if (cases[i].by_owner)
            by(s, ACTOR_USER, TECH, FAMILY);
        if (cases[i].names_family)
            with_id(s, FIELD_FAMILY, FAMILY);
        if (cases[i].why != NULL)
            with_str(s, FIELD_WHY, cases[i].why);
        if (cases[i].role != ROLE_NONE)
            with_u(s, FIELD_ROLE, cases[i].role);
        told(s);
        if (family(s, FAMILY)->revoked != cases[i].mine ||
            family(s, OTHER)->revoked != cases[i].other ||
            family(s, 203)->revoked != cases[i].theirs)
            fail_msg("case %zu", i);
        assert_int_equal(family_live(s->w, family(s, FAMILY), s->now), !cases[i].mine);
        story_end(s, 0);
    }
}

static void
a_new_password_is_another_verifier(void **state)
{
    struct story *s = story_new();

    (void)state;
    tell_user(s, TECH, ROLE_TECHNICIAN);
    say(s, EV_PASSWORD_CHANGED); /* the subject is absent: the actor's own */
    by(s, ACTOR_USER, TECH, FAMILY);
    with_u(s, FIELD_VERIFIER_VERSION, 2);
    told(s);
    assert_int_equal(account(s, TECH)->verifier_version, 2);
    story_end(s, 0);
}

static uint32_t
held(const struct story *s, enum rule rule, uint64_t tag)
{
    struct tag key_tag = tag_n(tag);
    struct limit_fact fact;

    limits_fact(&s->w->limits, rule, &key_tag, s->now, &fact);
    return fact.count;
}

static void
login_attempts_hold_slots_until_they_succeed(void **state)
{
    struct story *s = story_new();
    uint64_t first, second;

    (void)state;
    tell_user(s, TECH, ROLE_TECHNICIAN);
    first = tell_attempt(s, TECH, 7);
    second = tell_attempt(s, TECH, 7);
    tell_attempt(s, 888, 7); /* no such account: its name has a window all the same */
    assert_int_equal(held(s, RULE_LOGIN_NET, 20000007), 3);
    assert_int_equal(held(s, RULE_LOGIN_WIDE, 30000000), 3);
    assert_int_equal(held(s, RULE_LOGIN_ALL, 0), 3);
    assert_int_equal(held(s, RULE_LOGIN_ACCOUNT, 40000000 + TECH), 2);
    assert_int_equal(held(s, RULE_LOGIN_ACCOUNT, 40000888), 1);
    tell_success(s, second, TECH, FAMILY, 7);
    assert_int_equal(held(s, RULE_LOGIN_ACCOUNT, 40000000 + TECH), 1);
    assert_int_equal(held(s, RULE_LOGIN_NET, 20000007), 3); /* the address's stays */
    say(s, EV_LOGIN_FAILED);
    with_u(s, FIELD_ATTEMPT, first);
    told(s);
    assert_int_equal(held(s, RULE_LOGIN_ACCOUNT, 40000000 + TECH), 1);
    assert_null(attempt_find(s->w, first, s->now));
    /* Concluded twice: counted, and no slot comes back for it. */
    say(s, EV_LOGIN_SUCCEEDED);
    by(s, ACTOR_USER, TECH, OTHER);
    with_u(s, FIELD_ATTEMPT, first);
    with_id(s, FIELD_FAMILY, OTHER);
    told(s);
    assert_int_equal(held(s, RULE_LOGIN_ACCOUNT, 40000000 + TECH), 1);
    story_end(s, 1);
}

static void
attempts_are_forgotten_in_time(void **state)
{
    struct story *s = story_new();
    const struct attempt *a;
    uint64_t seq;

    (void)state;
    tell_user(s, TECH, ROLE_TECHNICIAN);
    seq = tell_attempt(s, TECH, 7);
    a = attempt_find(s->w, seq, s->now);
    assert_non_null(a);
    assert_true(is(a->user, TECH));
    assert_int_equal(a->verifier_version, 1);
    assert_non_null(attempt_find(s->w, seq, T0 + ATTEMPT_S * S - 1));
    assert_null(attempt_find(s->w, seq, T0 + ATTEMPT_S * S));
    assert_null(attempt_find(s->w, seq + 1, T0));
    for (uint32_t i = 0; i < ATTEMPTS_MAX; i++)
        tell_attempt(s, 1000 + i, i);
    assert_int_equal(s->w->accounts.attempts.count, ATTEMPTS_MAX);
    assert_null(attempt_find(s->w, seq, s->now)); /* the oldest gave way */
    assert_non_null(attempt_find(s->w, seq + 1, s->now));
    assert_non_null(attempt_find(s->w, seq + ATTEMPTS_MAX, s->now));
    s->now += ATTEMPT_S * S;
    tell_attempt(s, TECH, 7);
    assert_int_equal(s->w->accounts.attempts.count, 1);
    story_end(s, 0);
}

/* Every event type that takes a slot, and what it takes; none other does. */
static void
each_event_takes_its_slots(void **state)
{
    static const struct {
        enum event_type type;
        enum rule rules[5];
    } cases[] = {
        {EV_LOGIN_ATTEMPTED, {RULE_LOGIN_NET, RULE_LOGIN_WIDE, RULE_LOGIN_ALL, RULE_LOGIN_ACCOUNT}},
        {EV_REGISTER_ATTEMPTED, {RULE_REGISTER_NET, RULE_REGISTER_ALL}},
        {EV_CODE_VALIDATED, {RULE_CODE_NET, RULE_CODE_WIDE}},
        {EV_CODE_REDEEMED, {RULE_CODE_NET, RULE_CODE_WIDE}},
        {EV_CODE_REJECTED, {RULE_CODE_NET, RULE_CODE_WIDE, RULE_CODE_FAIL_NET, RULE_CODE_FAIL_ALL}},
        {EV_TOKEN_REFRESHED, {RULE_REFRESH_NET}},
        {EV_TOKEN_REUSED, {RULE_REFRESH_NET}},
        {EV_TOKEN_REJECTED, {RULE_REFRESH_NET}},
        {EV_TOKEN_FORGED, {RULE_REFRESH_NET}},
        {EV_SESSION_ATTACH_REFUSED, {RULE_REFRESH_NET}},
        {EV_PASSWORD_ATTEMPTED, {RULE_PASSWORD_USER}},
        {EV_AGENT_REJECTED, {RULE_AGENT_REFUSED_NET}},
        {EV_SESSION_REQUESTED, {RULE_SESSION_USER}},
    };
    unsigned count;
    const struct event_row *rows = catalogue_events(&count);

    (void)state;
    for (unsigned i = 0; i < count; i++) {
        struct story *s = story_new();

        say(s, rows[i].type);
        by(s, ACTOR_USER, TECH, 0);
        from(s, 7);
        s->ev.actor.tags.account = tag_n(4);
        told(s);
        for (enum rule r = RULE_LOGIN_NET; r < RULE_COUNT; r++) {
            uint32_t expected = 0;
            struct limit_fact fact;
            struct tag key_tag;

            for (size_t c = 0; c < ROWS(cases); c++)
                for (size_t k = 0; k < 5; k++)
                    expected += cases[c].type == rows[i].type && cases[c].rules[k] == r;
            limits_key(r, &s->ev.actor.tags, &s->ev.actor.id, &key_tag);
            limits_fact(&s->w->limits, r, &key_tag, s->now, &fact);
            if (fact.count != expected)
                fail_msg("%s holds %u of %s", rows[i].name, fact.count, rule_name(r));
        }
        world_free(s->w);
        world_free(s->copy);
        free(s);
    }
}

static void
invitations_are_used_once(void **state)
{
    struct story *s = story_new();
    struct id invite = id_n(INVITE);
    uint64_t attempt;

    (void)state;
    tell_user(s, ADMIN, ROLE_ADMIN);
    for (int round = 0; round < 3; round++) {
        say(s, EV_INVITE_ISSUED);
        by(s, ACTOR_USER, ADMIN, 0);
        with_id(s, FIELD_INVITE, INVITE);
        with_u(s, FIELD_ROLE, ROLE_AUDITOR);
        with_u(s, FIELD_EXPIRES_US, (uint64_t)(s->now + 100 * S));
        told(s);
        assert_int_equal(invite_find(s->w, &invite)->role, ROLE_AUDITOR);
        if (round == 0) { /* revoked */
            say(s, EV_INVITE_REVOKED);
            with_id(s, FIELD_INVITE, INVITE);
            told(s);
        } else if (round == 1) { /* used */
            attempt = world_size(s->w);
            say(s, EV_REGISTER_ATTEMPTED);
            from(s, 7);
            with_id(s, FIELD_INVITE, INVITE);
            told(s);
            assert_int_equal(attempt_find(s->w, attempt, s->now)->role, ROLE_AUDITOR);
            say(s, EV_USER_REGISTERED);
            about(s, 0, 0, TECH, 0);
            with_u(s, FIELD_ATTEMPT, attempt);
            with_u(s, FIELD_ROLE, ROLE_AUDITOR);
            with_bytes(s, FIELD_ACCOUNT, tag_n(3).b, TAG_BYTES);
            with_id(s, FIELD_INVITE, INVITE);
            told(s);
            assert_null(attempt_find(s->w, attempt, s->now));
        } else { /* expired */
            s->now += 100 * S;
            say(s, EV_HEARTBEAT);
            told(s);
        }
        assert_null(invite_find(s->w, &invite));
    }
    say(s, EV_INVITE_REVOKED);
    with_id(s, FIELD_INVITE, INVITE);
    told(s);
    story_end(s, 1);
}

static void
codes_make_guests(void **state)
{
    struct story *s = story_new();

    (void)state;
    tell_user(s, TECH, ROLE_TECHNICIAN);
    tell_code(s, CODE, TECH);
    assert_true(code_live(code(s, CODE), T0 + 600 * S - 1));
    assert_false(code_live(code(s, CODE), T0 + 600 * S));
    assert_int_equal(world_next_deadline(s->w), T0 + 600 * S);
    tell_redeemed(s, CODE, GUEST, 7);
    assert_false(code_live(code(s, CODE), s->now));
    assert_true(is(code(s, CODE)->machine, GUEST));
    assert_true(machine(s, GUEST)->guest && machine(s, GUEST)->bound);
    assert_true(is(machine(s, GUEST)->added_by, TECH));
    assert_int_equal(machine(s, GUEST)->device_key[31], GUEST & 0xFF);
    assert_memory_equal(code(s, CODE)->device_key, machine(s, GUEST)->device_key, 32);
    assert_int_equal(world_next_deadline(s->w), T0 + 900 * S); /* idle without a session */
    tell_redeemed(s, CODE, 499, 7); /* a second time: odd, and nobody's */
    assert_true(is(code(s, CODE)->machine, GUEST));
    assert_true(is(machine(s, 499)->added_by, 0));
    say(s, EV_MACHINE_REMOVED);
    about(s, 0, GUEST, 0, 0);
    told(s);
    assert_null(machine(s, GUEST));
    assert_null(code(s, CODE));
    story_end(s, 1);
}

static void
codes_end(void **state)
{
    static const enum event_type ends[] = {EV_CODE_EXPIRED, EV_CODE_REVOKED};

    (void)state;
    for (size_t i = 0; i < ROWS(ends); i++) {
        struct story *s = story_new();

        tell_code(s, CODE, TECH);
        for (int again = 0; again < 2; again++) {
            say(s, ends[i]);
            about(s, 0, 0, 0, CODE);
            told(s);
            assert_null(code(s, CODE));
        }
        assert_int_equal(world_next_deadline(s->w), INT64_MAX);
        story_end(s, 1);
    }
}

static void
keys_bind_devices(void **state)
{
    static const char *const none[] = {NULL};
    struct story *s = story_new();

    (void)state;
    tell_machine(s, MACHINE, TECH);
    tell_key(s, KEY, MACHINE, TECH);
    tell_key(s, KEY2, MACHINE, 0);
    assert_false(machine(s, MACHINE)->bound);
    assert_true(key_live(key(s, KEY), s->now));
    assert_false(key_live(key(s, KEY), s->now + 3600 * S));
    tell_bound(s, EV_MACHINE_ENROLLED, MACHINE, KEY, 0xD1);
    assert_true(machine(s, MACHINE)->bound);
    assert_int_equal(machine(s, MACHINE)->device_key[0], 0xD1);
    assert_int_equal(machine(s, MACHINE)->services.len, 15);
    assert_false(key_live(key(s, KEY), s->now));
    /* A fresh key binds another device: the old one's key stays spent. */
    tell_bound(s, EV_MACHINE_REBOUND, MACHINE, KEY2, 0xD2);
    assert_int_equal(machine(s, MACHINE)->device_key[0], 0xD2);
    assert_true(is(machine(s, MACHINE)->bound_key, KEY2));
    say(s, EV_KEY_REVOKED); /* the old key: the device of the new one stays */
    about(s, 0, MACHINE, 0, 0);
    with_id(s, FIELD_KEY, KEY);
    told(s);
    assert_null(key(s, KEY));
    assert_true(machine(s, MACHINE)->bound);
    say(s, EV_KEY_REVOKED);
    about(s, 0, MACHINE, 0, 0);
    with_id(s, FIELD_KEY, KEY2);
    told(s);
    assert_false(machine(s, MACHINE)->bound);
    assert_int_equal(machine(s, MACHINE)->device_key[0], 0);
    say(s, EV_MACHINE_CHANGED);
    about(s, 0, MACHINE, 0, 0);
    with_strs(s, FIELD_LABELS, none);
    told(s);
    assert_int_equal(machine(s, MACHINE)->labels.len, 1);
    assert_int_equal(machine(s, MACHINE)->changed_seq, s->ev.seq);
    story_end(s, 0);
}

static void
keys_expire_unless_spent(void **state)
{
    struct story *s = story_new();

    (void)state;
    tell_machine(s, MACHINE, TECH);
    tell_key(s, KEY, MACHINE, TECH);
    tell_key(s, KEY2, MACHINE, TECH);
    tell_bound(s, EV_MACHINE_ENROLLED, MACHINE, KEY, 0xD1);
    s->now += 3600 * S;
    say(s, EV_HEARTBEAT);
    told(s);
    assert_non_null(key(s, KEY)); /* a second device that shows it is to be noticed */
    assert_null(key(s, KEY2));
    say(s, EV_MACHINE_REMOVED);
    about(s, 0, MACHINE, 0, 0);
    told(s);
    assert_null(key(s, KEY));
    tell_key(s, KEY, MACHINE, TECH); /* for a machine that is gone: odd */
    assert_null(key(s, KEY));
    story_end(s, 1);
}

static void
presence_is_the_newest_connection(void **state)
{
    struct story *s = story_with_agent();

    (void)state;
    assert_true(machine(s, MACHINE)->online);
    assert_true(is(machine(s, MACHINE)->connection, CONN));
    tell_connected(s, MACHINE, CONN2);
    tell_gone(s, MACHINE, CONN); /* the one that was replaced */
    assert_true(machine(s, MACHINE)->online);
    tell_gone(s, MACHINE, CONN2);
    assert_false(machine(s, MACHINE)->online);
    assert_true(id_is_nil(&machine(s, MACHINE)->connection));
    tell_connected(s, 999, CONN); /* no such machine */
    story_end(s, 1);
}

static void
allow_lists_restrict_even_when_odd(void **state)
{
    static const char *const good[] = {"10.0.0.0/8", "2001:db8::/32", NULL};
    static const char *const odd[] = {"10.0.0.0/8", "not an address", NULL};
    static const char *const worse[] = {"nonsense", NULL};
    static const char *const none[] = {NULL};
    static const struct {
        const char *const *items; /* NULL: bytes that are no array */
        int count;                /* -1: does not restrict */
        uint64_t strays;
    } cases[] = {{good, 2, 0}, {odd, 1, 1}, {worse, 0, 1}, {none, -1, 0}, {NULL, 0, 1}};
    struct story *s = story_new();
    uint64_t strays = 0;

    (void)state;
    tell_machine(s, MACHINE, TECH);
    for (size_t i = 0; i < 2 * ROWS(cases); i++) {
        bool overall = i >= ROWS(cases);
        const struct cidr_list *list;

        say(s, EV_ALLOWLIST_CHANGED);
        about(s, 0, overall ? 0 : MACHINE, 0, 0);
        if (cases[i % ROWS(cases)].items != NULL)
            with_strs(s, FIELD_ALLOW, cases[i % ROWS(cases)].items);
        else
            with_bytes(s, FIELD_ALLOW, "\x05", 1);
        told(s);
        list = overall ? s->w->fleet.allow : machine(s, MACHINE)->allow;
        assert_int_equal(list == NULL ? -1 : (int)list->count, cases[i % ROWS(cases)].count);
        assert_int_equal(
            overall ? s->w->fleet.allow_changed_seq : machine(s, MACHINE)->allow_changed_seq,
            s->ev.seq);
        strays += cases[i % ROWS(cases)].strays;
    }
    story_end(s, strays);
}

static void
sessions_walk_through_their_states(void **state)
{
    struct story *s = story_with_agent();
    struct tag seven = tag_n(20000007);

    (void)state;
    tell_requested(s, SES, MACHINE, TECH, FAMILY);
    assert_int_equal(session(s, SES)->state, SESSION_REQUESTED);
    assert_true(is(session(s, SES)->owner, TECH));
    assert_true(is(session(s, SES)->family, FAMILY));
    assert_true(is(session(s, SES)->agent_connection, CONN));
    assert_int_equal(machine(s, MACHINE)->live_sessions, 1);
    tell_session(s, EV_SESSION_CONSENTED, SES);
    assert_int_equal(session(s, SES)->state, SESSION_CONSENTED);
    tell_opened(s, SES); /* said by the agent: the session stays bound to who asked */
    assert_int_equal(session(s, SES)->state, SESSION_OPEN);
    assert_true(is(session(s, SES)->family, FAMILY));
    assert_true(tag_equal(&session(s, SES)->net, &seven));
    tell_session(s, EV_SESSION_NOTED, SES);
    assert_int_equal(session(s, SES)->n, 4);
    tell_session(s, EV_SESSION_ENDED, SES);
    assert_int_equal(session(s, SES)->state, SESSION_ENDED);
    assert_int_equal(machine(s, MACHINE)->live_sessions, 0);
    assert_int_equal(s->w->ownership.live, 0);
    tell_session(s, EV_SESSION_ENDED, SES); /* twice */
    s->now += SESSION_LINGER_S * S - 1;
    say(s, EV_HEARTBEAT);
    told(s);
    assert_non_null(session(s, SES));
    s->now += 1;
    say(s, EV_HEARTBEAT);
    told(s);
    assert_null(session(s, SES));
    story_end(s, 1);
}

static void
a_session_opened_by_its_owner_is_bound_anew(void **state)
{
    struct story *s = story_with_agent();
    struct tag nine = tag_n(20000009);

    (void)state;
    tell_requested(s, SES, MACHINE, TECH, FAMILY);
    say_session(s, EV_SESSION_OPENED, SES);
    by(s, ACTOR_USER, TECH, OTHER);
    from(s, 9);
    told(s);
    assert_true(is(session(s, SES)->family, OTHER));
    assert_true(tag_equal(&session(s, SES)->net, &nine));
    assert_int_equal(session(s, SES)->expires_us, T0 + 4 * 3600 * S); /* no field: the policy's */
    story_end(s, 0);
}

static void
odd_session_events_are_counted(void **state)
{
    struct story *s = story_with_session();

    (void)state;
    tell_session(s, EV_SESSION_CONSENTED, SES);      /* open already */
    tell_opened(s, SES);                             /* again */
    tell_session(s, EV_SESSION_NOTED, 799);          /* no such session */
    tell_session(s, EV_SESSION_ATTACH_REFUSED, 799); /* expected: a bad ticket may name any */
    tell_channel(s, EV_CHANNEL_OPENED, SES, CHAN, 0);
    say(s, EV_SESSION_NOTED); /* a gap in n */
    about(s, SES, 0, 0, 0);
    with_u(s, FIELD_N, 77);
    told(s);
    assert_int_equal(session(s, SES)->n, 78);
    tell_requested(s, SES, MACHINE, TECH, FAMILY); /* again */
    story_end(s, 6);
}

static void
channels_open_count_and_close(void **state)
{
    struct story *s = story_with_session();
    struct tag ticket = tag_n(TICKET), next = tag_n(TICKET + 1);

    (void)state;
    tell_channel(s, EV_SESSION_ATTACHED, SES, CHAN, TICKET);
    assert_true(ticket_used(s->w, &ticket, s->now));
    assert_false(ticket_used(s->w, &next, s->now));
    assert_false(channel(s, CHAN)->open);
    assert_int_equal(channel(s, CHAN)->service_len, 7);
    tell_channel(s, EV_CHANNEL_OPENED, SES, CHAN, TICKET + 1);
    assert_true(channel(s, CHAN)->open);
    assert_true(ticket_used(s->w, &next, s->now + 30 * S - 1));
    assert_false(ticket_used(s->w, &next, s->now + 30 * S)); /* expired by now anyway */
    assert_int_equal(session(s, SES)->channels_open, 1);
    tell_channel(s, EV_SESSION_ATTACHED, SES, CHAN2, TICKET + 2);
    tell_channel(s, EV_CHANNEL_OPENED, SES, CHAN2, 0);
    assert_int_equal(session(s, SES)->channels_open, 2);
    tell_channel(s, EV_SESSION_DETACHED, SES, CHAN2, 0); /* an open one stays until it is closed */
    assert_non_null(channel(s, CHAN2));
    tell_channel(s, EV_CHANNEL_CLOSED, SES, CHAN, 0);
    assert_true(channel(s, CHAN)->closed);
    assert_int_equal(session(s, SES)->channels_open, 1);
    assert_int_equal(session(s, SES)->channels_total, 2);
    assert_int_equal(session(s, SES)->to_agent_bytes, 10);
    assert_int_equal(session(s, SES)->to_technician_bytes, 1000);
    tell_channel(s, EV_CHANNEL_CLOSED, SES, CHAN, 0); /* twice: counted once */
    assert_int_equal(session(s, SES)->to_agent_bytes, 10);
    tell_channel(s, EV_CHANNEL_ATTESTED, SES, CHAN, 0);
    assert_null(channel(s, CHAN));
    tell_channel(s, EV_CHANNEL_CLOSED, SES, CHAN2, 0);
    assert_int_equal(session(s, SES)->to_agent_bytes, 20);
    assert_int_equal(session(s, SES)->to_technician_bytes, 2000);
    tell_channel(s, EV_SESSION_ATTACHED, SES, 803, TICKET); /* a ticket used before */
    story_end(s, 2);
}

static void
channels_that_come_to_nothing_are_forgotten(void **state)
{
    struct story *s = story_with_session();

    (void)state;
    tell_channel(s, EV_SESSION_ATTACHED, SES, CHAN, 0);
    tell_channel(s, EV_SESSION_DETACHED, SES, CHAN, 0);
    assert_null(channel(s, CHAN));
    tell_channel(s, EV_SESSION_ATTACHED, SES, CHAN, 0); /* the agent never comes */
    tell_channel(s, EV_SESSION_ATTACHED, SES, CHAN2, 0);
    tell_channel(s, EV_CHANNEL_OPENED, SES, CHAN2, 0);
    s->now += CHANNEL_LINGER_S * S;
    say(s, EV_HEARTBEAT);
    told(s);
    assert_null(channel(s, CHAN));
    assert_non_null(channel(s, CHAN2)); /* open as long as it likes */
    tell_session(s, EV_SESSION_ENDED, SES);
    say(s, EV_CHANNEL_CLOSED); /* told after its session's end, without n */
    about(s, SES, MACHINE, 0, 0);
    with_id(s, FIELD_CHANNEL, CHAN2);
    told(s);
    assert_true(channel(s, CHAN2)->closed);
    tell_channel(s, EV_SESSION_ATTACHED, SES, CHAN, 0); /* nothing attaches to what has ended */
    assert_null(channel(s, CHAN));
    story_end(s, 1);
}

static void
a_session_forgotten_takes_its_channels_along(void **state)
{
    struct story *s = story_with_session();

    (void)state;
    tell_channel(s, EV_SESSION_ATTACHED, SES, CHAN, 0);
    tell_channel(s, EV_CHANNEL_OPENED, SES, CHAN, 0);
    tell_session(s, EV_SESSION_ENDED, SES);
    assert_true(channel(s, CHAN)->open); /* what it carried is not told yet */
    s->now += SESSION_LINGER_S * S;
    say(s, EV_HEARTBEAT);
    told(s);
    assert_null(channel(s, CHAN));
    story_end(s, 0);
}

static void
a_server_that_starts_clears_what_lived_in_the_old_one(void **state)
{
    static const enum event_type types[] = {EV_SERVER_STARTED, EV_SERVER_STOPPED};

    (void)state;
    for (size_t i = 0; i < ROWS(types); i++) {
        struct story *s = story_with_session();
        struct tag ticket = tag_n(TICKET);

        tell_code(s, CODE, TECH);
        tell_requested(s, SES2, MACHINE, TECH, FAMILY);
        tell_channel(s, EV_SESSION_ATTACHED, SES, CHAN, TICKET);
        tell_channel(s, EV_CHANNEL_OPENED, SES, CHAN, 0);
        s->now += 5 * S;
        say(s, types[i]);
        s->ev.boot = id_n(2);
        told(s);
        assert_false(machine(s, MACHINE)->online);
        assert_true(channel(s, CHAN)->closed);
        assert_int_equal(session(s, SES)->channels_open, 0);
        assert_false(ticket_used(s->w, &ticket, s->now));
        assert_int_equal(session(s, SES2)->state, SESSION_ENDED);
        assert_int_equal(session(s, SES)->state, SESSION_OPEN);
        assert_string_equal(session_due_why(s->w, session(s, SES), s->now), "server_restart");
        assert_true(world_next_deadline(s->w) <= s->now);
        assert_true(code_live(code(s, CODE), s->now)); /* lives on */
        assert_true(family_live(s->w, family(s, FAMILY), s->now));
        tell_session(s, EV_SESSION_ENDED, SES);
        tell_session(s, EV_SESSION_ENDED, SES2); /* told once is in order */
        assert_int_equal(s->w->ownership.live, 0);
        story_end(s, 0);
    }
}

/* Everything that must end a live session, and when. */
static void
sessions_are_due_when(void **state)
{
    static const struct {
        const char *what;
        const char *why; /* NULL: not due */
    } cases[] = {
        {"nothing", NULL},
        {"token.revoked", "owner_gone"},
        {"logout", "owner_gone"},
        {"user.disabled", "owner_gone"},
        {"agent.disconnected", "agent_gone"},
        {"agent.connected", "agent_gone"}, /* another connection */
        {"machine.removed", "machine_removed"},
        {"server.started", "server_restart"},
    };

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        const struct event_row *row =
            catalogue_event_named(cases[i].what, (unsigned long)strlen(cases[i].what));
        struct story *s = story_with_session();
        const char *why;

        say_about_user(s, row == NULL ? EV_HEARTBEAT : row->type, TECH);
        if (row != NULL)
            s->ev.subject.machine = id_n(MACHINE);
        with_id(s, FIELD_FAMILY, FAMILY);
        with_id(
            s, FIELD_CONNECTION, row != NULL && row->type == EV_AGENT_DISCONNECTED ? CONN : CONN2);
        told(s);
        why = session_due_why(s->w, session(s, SES), s->now);
        assert_int_equal(why == NULL, cases[i].why == NULL);
        if (why != NULL)
            assert_string_equal(why, cases[i].why);
        assert_int_equal(world_next_deadline(s->w) <= s->now, cases[i].why != NULL);
        story_end(s, 0);
    }
}

static void
a_session_without_a_login_ends_with_its_owner(void **state)
{
    struct story *s = story_with_agent();

    (void)state;
    tell_requested(s, SES, MACHINE, TECH, 0);
    assert_null(session_due_why(s->w, session(s, SES), s->now));
    say_about_user(s, EV_USER_DISABLED, TECH);
    told(s);
    assert_string_equal(session_due_why(s->w, session(s, SES), s->now), "owner_gone");
    assert_true(world_next_deadline(s->w) <= s->now);
    say_about_user(s, EV_USER_ENABLED, TECH);
    told(s);
    assert_null(session_due_why(s->w, session(s, SES), s->now));
    story_end(s, 0);
}

static void
tell_refresh(struct story *s, uint64_t n)
{
    say_family(s, EV_TOKEN_REFRESHED, TECH, FAMILY);
    with_u(s, FIELD_TOKEN_N, n);
    told(s);
}

static void
deadlines_move_with_what_they_depend_on(void **state)
{
    struct story *s = story_with_session();
    struct id id = id_n(SES);

    (void)state;
    /* 30 minutes without a payload byte, and 30 without a refresh */
    assert_int_equal(world_next_deadline(s->w), T0 + 1800 * S);
    assert_null(session_due_why(s->w, session(s, SES), T0 + 1800 * S - 1));
    s->now += 600 * S;
    world_touch_session(s->w, &id, s->now);
    assert_int_equal(world_next_deadline(s->w), T0 + 1800 * S); /* the family's end is first */
    assert_string_equal(session_due_why(s->w, session(s, SES), T0 + 1800 * S), "owner_gone");
    tell_refresh(s, 1);
    assert_int_equal(world_next_deadline(s->w), T0 + 2400 * S);
    s->now += 600 * S;
    tell_refresh(s, 2);
    assert_int_equal(world_next_deadline(s->w), T0 + 2400 * S); /* idle since the touch */
    assert_string_equal(session_due_why(s->w, session(s, SES), T0 + 2400 * S), "idle");
    world_touch_session(s->w, &id, s->now - 1);
    world_touch_session(s->w, &id, s->now - 2); /* never back */
    assert_int_equal(session(s, SES)->active_us, s->now - 1);
    /* Neither touching nor refreshing carries it over four hours. */
    for (uint64_t n = 3; n < 23; n++) {
        s->now += 600 * S;
        tell_refresh(s, n);
        world_touch_session(s->w, &id, s->now);
    }
    assert_int_equal(world_next_deadline(s->w), T0 + 4 * 3600 * S);
    assert_string_equal(session_due_why(s->w, session(s, SES), T0 + 4 * 3600 * S), "max_duration");
    /* The last activity is in no digest. */
    assert_int_not_equal(session(s, SES)->active_us, session_find(s->copy, &id)->active_us);
    story_end(s, 0);
}

static void
requests_wait_for_consent_so_long(void **state)
{
    struct story *s = story_with_agent();

    (void)state;
    tell_requested(s, SES, MACHINE, TECH, FAMILY);
    assert_int_equal(world_next_deadline(s->w), T0 + 120 * S);
    assert_null(session_due_why(s->w, session(s, SES), T0 + 120 * S - 1));
    assert_string_equal(session_due_why(s->w, session(s, SES), T0 + 120 * S), "consent_timeout");
    tell_session(s, EV_SESSION_DENIED, SES);
    tell_session(s, EV_SESSION_ENDED, SES);
    assert_int_equal(world_next_deadline(s->w), INT64_MAX);
    story_end(s, 0);
}

static void
guests_go_with_their_session(void **state)
{
    struct story *s = story_new();

    (void)state;
    tell_user(s, TECH, ROLE_TECHNICIAN);
    tell_login(s, TECH, FAMILY, 7);
    tell_code(s, CODE, TECH);
    tell_redeemed(s, CODE, GUEST, 7);
    tell_connected(s, GUEST, CONN);
    assert_null(guest_due_why(s->w, machine(s, GUEST), T0 + 900 * S - 1));
    assert_string_equal(guest_due_why(s->w, machine(s, GUEST), T0 + 900 * S), "guest_idle");
    s->now += 100 * S;
    tell_requested(s, SES, GUEST, TECH, FAMILY);
    assert_null(guest_due_why(s->w, machine(s, GUEST), T0 + 3000 * S));
    tell_session(s, EV_SESSION_DENIED, SES);
    tell_session(s, EV_SESSION_ENDED, SES); /* never opened: another may be asked for */
    assert_null(guest_due_why(s->w, machine(s, GUEST), T0 + 1000 * S - 1));
    assert_string_equal(guest_due_why(s->w, machine(s, GUEST), T0 + 1000 * S), "guest_idle");
    tell_requested(s, SES2, GUEST, TECH, FAMILY);
    tell_session(s, EV_SESSION_CONSENTED, SES2);
    tell_opened(s, SES2);
    tell_session(s, EV_SESSION_ENDED, SES2);
    assert_string_equal(guest_due_why(s->w, machine(s, GUEST), s->now), "session_ended");
    assert_int_equal(world_next_deadline(s->w), s->now);
    story_end(s, 0);
}

static void
the_servers_own_events(void **state)
{
    struct story *s = story_new();
    struct policy policy;
    uint8_t bytes[1024];
    struct hash hash;
    size_t len;

    (void)state;
    say(s, EV_LOG_OPENED);
    told(s);
    assert_int_equal(s->w->key_epoch, 1);
    assert_int_equal(s->w->log_epoch, 1);
    say(s, EV_KEY_ROTATED);
    with_str(s, FIELD_KEY_ROLE, "log");
    with_u(s, FIELD_EPOCH, 2);
    told(s);
    assert_int_equal(s->w->key_epoch, 1);
    assert_int_equal(s->w->log_epoch, 2);
    say(s, EV_KEY_ROTATED);
    with_str(s, FIELD_KEY_ROLE, "event");
    with_u(s, FIELD_EPOCH, 3);
    told(s);
    assert_int_equal(s->w->key_epoch, 3);
    say(s, EV_CLOCK_STEPPED);
    told(s);
    assert_true(s->w->clock_stepped);
    assert_false(s->w->clock_unsure); /* eff goes on by itself: nothing to fear */
    say(s, EV_CLOCK_STEPPED);
    with_str(s, FIELD_WHY, "start");
    told(s);
    assert_true(s->w->clock_stepped);
    assert_true(s->w->clock_unsure);
    say(s, EV_CLOCK_STEPPED);
    told(s);
    assert_true(s->w->clock_unsure);
    say(s, EV_CLOCK_ACCEPTED);
    told(s);
    assert_false(s->w->clock_unsure);
    assert_false(s->w->clock_stepped);

    policy_default(&policy);
    policy.session_s = 100;
    policy.rules[RULE_LOGIN_NET].count = 2;
    assert_int_equal(policy_encode(&policy, bytes, sizeof(bytes), &len), OK);
    hash_bytes(span_of(bytes, len), &hash);
    assert_false(s->w->policy_adopted);
    say(s, EV_POLICY_ADOPTED);
    with_bytes(s, FIELD_POLICY_BYTES, bytes, len);
    told(s);
    assert_true(s->w->policy_adopted);
    assert_int_equal(s->w->policy.session_s, 100);
    assert_int_equal(s->w->limits.windows[RULE_LOGIN_NET].limit, 2);
    assert_memory_equal(s->w->policy_hash.b, hash.b, HASH_BYTES);
    say(s, EV_POLICY_ADOPTED); /* no policy that this build can read: the old one stays */
    with_bytes(s, FIELD_POLICY_BYTES, "\x80\x01", 2);
    told(s);
    assert_int_equal(s->w->policy.session_s, 100);
    say(s, EV_KEY_ROTATED);
    with_str(s, FIELD_KEY_ROLE, "root");
    told(s);
    story_end(s, 2);
}

static void
adopt(struct story *s, const struct policy *policy)
{
    uint8_t bytes[1024];
    size_t len;

    assert_int_equal(policy_encode(policy, bytes, sizeof(bytes), &len), OK);
    say(s, EV_POLICY_ADOPTED);
    with_bytes(s, FIELD_POLICY_BYTES, bytes, len);
    told(s);
}

static void
another_policy_moves_the_deadlines(void **state)
{
    struct story *s = story_with_session();
    struct tag ticket = tag_n(TICKET);
    struct policy policy;

    (void)state;
    tell_code(s, CODE, TECH);
    tell_redeemed(s, CODE, GUEST, 7);
    tell_channel(s, EV_SESSION_ATTACHED, SES, CHAN, TICKET);
    policy_default(&policy);
    policy.ticket_s = 100;
    policy.family_idle_s = 40;
    policy.guest_idle_s = 50;
    policy.session_idle_s = 60;
    adopt(s, &policy);
    assert_int_equal(world_next_deadline(s->w), T0 + 40 * S);
    policy.family_idle_s = 4000;
    policy.guest_idle_s = 4000;
    policy.ticket_s = 10; /* tickets made before may live longer: they stay used as long */
    adopt(s, &policy);
    assert_int_equal(world_next_deadline(s->w), T0 + 60 * S);
    assert_true(ticket_used(s->w, &ticket, T0 + 100 * S - 1));
    assert_false(ticket_used(s->w, &ticket, T0 + 100 * S));
    /* What was over before a longer policy came stays over. */
    s->now += 4000 * S;
    policy.family_idle_s = 40000;
    adopt(s, &policy);
    assert_null(family(s, FAMILY));
    story_end(s, 0);
}

/* An old log may hold anything: nothing may crash, time may not run back, all of it is counted. */
static void
time_never_runs_back(void **state)
{
    struct story *s = story_new();
    static const int64_t odd[] = {T0 - 1, -1, INT64_MIN, INT64_MAX};

    (void)state;
    tell_user(s, TECH, ROLE_TECHNICIAN);
    for (size_t i = 0; i < ROWS(odd); i++) {
        s->now = odd[i] < 0 ? T0 : odd[i]; /* negative numbers are not written */
        say(s, EV_HEARTBEAT);
        s->ev.eff_us = odd[i];
        world_fold(s->w, &s->ev);
        world_fold(s->copy, &s->ev);
        assert_int_equal(s->w->eff_us, T0);
    }
    say(s, EV_HEARTBEAT);
    s->ev.seq += 10; /* a gap */
    s->ev.eff_us = T0;
    world_fold(s->w, &s->ev);
    world_fold(s->copy, &s->ev);
    assert_int_equal(world_size(s->w), 6);
    s->now = T0;
    story_end(s, ROWS(odd) + 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accounts_come_change_and_go),
        cmocka_unit_test(odd_accounts_are_counted),
        cmocka_unit_test(a_name_belongs_to_who_had_it_first),
        cmocka_unit_test(families_rotate_and_end),
        cmocka_unit_test(a_family_ends_after_twelve_hours_whatever_it_does),
        cmocka_unit_test(families_are_revoked_by),
        cmocka_unit_test(a_new_password_is_another_verifier),
        cmocka_unit_test(login_attempts_hold_slots_until_they_succeed),
        cmocka_unit_test(attempts_are_forgotten_in_time),
        cmocka_unit_test(each_event_takes_its_slots),
        cmocka_unit_test(invitations_are_used_once),
        cmocka_unit_test(codes_make_guests),
        cmocka_unit_test(codes_end),
        cmocka_unit_test(keys_bind_devices),
        cmocka_unit_test(keys_expire_unless_spent),
        cmocka_unit_test(presence_is_the_newest_connection),
        cmocka_unit_test(allow_lists_restrict_even_when_odd),
        cmocka_unit_test(sessions_walk_through_their_states),
        cmocka_unit_test(a_session_opened_by_its_owner_is_bound_anew),
        cmocka_unit_test(odd_session_events_are_counted),
        cmocka_unit_test(channels_open_count_and_close),
        cmocka_unit_test(channels_that_come_to_nothing_are_forgotten),
        cmocka_unit_test(a_session_forgotten_takes_its_channels_along),
        cmocka_unit_test(a_server_that_starts_clears_what_lived_in_the_old_one),
        cmocka_unit_test(sessions_are_due_when),
        cmocka_unit_test(a_session_without_a_login_ends_with_its_owner),
        cmocka_unit_test(deadlines_move_with_what_they_depend_on),
        cmocka_unit_test(requests_wait_for_consent_so_long),
        cmocka_unit_test(guests_go_with_their_session),
        cmocka_unit_test(the_servers_own_events),
        cmocka_unit_test(another_policy_moves_the_deadlines),
        cmocka_unit_test(time_never_runs_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
