/* test_world_facts.c: what each command's decision is told, and only of what it names. */
#include "tests/unit/story.h"

enum {
    ADMIN = 101,
    TECH = 102,
    FAMILY = 201,
    OTHER = 202,
    CODE = 301,
    CODE2 = 302,
    GUEST = 401,
    MACHINE = 402,
    KEY = 501,
    KEY2 = 502,
    CONN = 601,
    CONN2 = 602,
    SES = 701,
    SES2 = 702,
    CHAN = 801,
    TICKET = 901,
    INVITE = 951
};

/* ADMIN and TECH, TECH twice logged in; MACHINE bound by KEY with SES open on it, CHAN attached;
 * CODE redeemed by GUEST with SES2 requested on it; CODE2 and KEY2 unused; INVITE open. */
static struct story *
story_full(void)
{
    struct story *s = story_new();

    tell_user(s, ADMIN, ROLE_ADMIN);
    tell_user(s, TECH, ROLE_TECHNICIAN);
    tell_login(s, TECH, FAMILY, 7);
    tell_login(s, TECH, OTHER, 8);
    tell_machine(s, MACHINE, ADMIN);
    tell_key(s, KEY, MACHINE, ADMIN);
    tell_key(s, KEY2, MACHINE, 0);
    tell_bound(s, EV_MACHINE_ENROLLED, MACHINE, KEY, 0xD1);
    tell_connected(s, MACHINE, CONN);
    tell_requested(s, SES, MACHINE, TECH, FAMILY);
    tell_opened(s, SES);
    tell_channel(s, EV_SESSION_ATTACHED, SES, CHAN, TICKET);
    tell_code(s, CODE, TECH);
    tell_redeemed(s, CODE, GUEST, 9);
    tell_connected(s, GUEST, CONN2);
    tell_code(s, CODE2, TECH);
    tell_requested(s, SES2, GUEST, TECH, OTHER);
    say(s, EV_INVITE_ISSUED);
    by(s, ACTOR_USER, ADMIN, 0);
    with_id(s, FIELD_INVITE, INVITE);
    with_u(s, FIELD_ROLE, ROLE_AUDITOR);
    with_u(s, FIELD_EXPIRES_US, (uint64_t)(s->now + 1000 * S));
    told(s);
    return s;
}

static struct facts facts;
static struct proofs proofs;

static struct command *
command(enum command_kind kind)
{
    struct command *cmd = command_new(kind, 0);

    assert_non_null(cmd);
    memset(&proofs, 0, sizeof(proofs));
    return cmd;
}

static struct command *
command_by(enum command_kind kind, uint64_t user, uint64_t family)
{
    struct command *cmd = command(kind);

    cmd->caller.kind = CALLER_TOKEN;
    cmd->caller.user = id_n(user);
    cmd->caller.family = id_n(family);
    return cmd;
}

static void
gather(const struct story *s, struct command *cmd)
{
    struct moment now = {.eff_us = s->now, .wall_us = s->now + 5, .boottime_us = 7};

    memset(&facts, 0xEE, sizeof(facts)); /* nothing may be left over from the command before */
    facts_gather(s->w, &proofs, cmd, &now, &facts);
    command_free(cmd);
}

static bool
is(struct id id, uint64_t n)
{
    struct id want = id_n(n);

    return id_equal(&id, &want);
}

/* Which facts were found, as letters: Caller, token's family (T), Family, Account, Machine,
 * Session, cHannel, cOde, Key, Invite, aTtempt (P). */
static const char *
found(void)
{
    static char out[16];
    const struct {
        bool is;
        char letter;
    } all[] = {
        {facts.caller.found, 'C'},
        {facts.caller_family.found, 'T'},
        {facts.family.found, 'F'},
        {facts.account.found, 'A'},
        {facts.machine.found, 'M'},
        {facts.session.found, 'S'},
        {facts.channel.found, 'H'},
        {facts.code.found, 'O'},
        {facts.key.found, 'K'},
        {facts.invite.found, 'I'},
        {facts.attempt.found, 'P'},
    };
    size_t n = 0;

    for (size_t i = 0; i < ROWS(all); i++)
        if (all[i].is)
            out[n++] = all[i].letter;
    out[n] = '\0';
    return out;
}

static void
every_command_is_told_the_time_and_the_policy(void **state)
{
    struct story *s = story_full();

    (void)state;
    for (enum command_kind k = CMD_NONE; k < CMD_COUNT; k++) {
        struct command *cmd = command(k);

        proofs.tags.net = tag_n(3);
        proofs.stopping = true;
        proofs.low_space = true;
        gather(s, cmd);
        assert_ptr_equal(facts.policy, &s->w->policy);
        assert_int_equal(facts.now.eff_us, s->now);
        assert_int_equal(facts.now.wall_us, s->now + 5);
        assert_int_equal(facts.now.boottime_us, 7);
        assert_int_equal(facts.next_seq, world_size(s->w));
        assert_true(tag_equal(&facts.tags.net, &proofs.tags.net));
        assert_true(facts.stopping);
        assert_true(facts.low_space);
        assert_false(facts.log_empty);
        assert_false(facts.policy_adopted);
        assert_int_equal(facts.account.admins_active, 1);
        if (found()[0] != '\0')
            fail_msg("command %d names nothing, and is told %s", (int)k, found());
    }
    story_end(s, 0);
    s = story_new();
    gather(s, command(CMD_OPEN_LOG));
    assert_true(facts.log_empty);
    story_end(s, 0);
}

static void
what_a_command_names_it_is_told(void **state)
{
    struct story *s = story_full();
    struct command *cmd;

    (void)state;
#define TOLD(expected)                                                                             \
    do {                                                                                           \
        gather(s, cmd);                                                                            \
        assert_string_equal(found(), expected);                                                    \
    } while (0)
    cmd = command_by(CMD_NOTE_SESSION, TECH, FAMILY);
    TOLD("CTFA"); /* no such session: the token's own */
    cmd = command_by(CMD_REVOKE_FAMILY, TECH, FAMILY);
    cmd->revoke_family.family = id_n(OTHER);
    TOLD("CTFA");
    assert_true(is(facts.family.family, OTHER));
    assert_true(is(facts.caller_family.family, FAMILY));
    cmd = command_by(CMD_REVOKE_FAMILY, TECH, FAMILY);
    cmd->revoke_family.family = id_n(999); /* the one meant is not there: not the token's instead */
    TOLD("CT");
    cmd = command_by(CMD_CHANGE_USER, ADMIN, FAMILY);
    cmd->change_user.user = id_n(TECH);
    TOLD("CTFA");
    assert_true(is(facts.account.user, TECH));
    assert_int_equal(facts.account.role, ROLE_TECHNICIAN);
    assert_int_equal(facts.account.changed_seq, 1);
    cmd = command_by(CMD_CHANGE_USER, ADMIN, FAMILY);
    cmd->change_user.user = id_n(999);
    gather(s, cmd);
    assert_false(facts.account.found);
    cmd = command_by(CMD_REVOKE_CODE, TECH, FAMILY);
    cmd->revoke_code.code = id_n(CODE);
    TOLD("CTFAMO"); /* and the guest it made */
    assert_true(facts.code.redeemed && !facts.code.live);
    assert_true(is(facts.machine.machine, GUEST));
    assert_int_equal(facts.code.device_key[0], GUEST & 0xFF);
    cmd = command_by(CMD_REVOKE_KEY, ADMIN, FAMILY);
    cmd->revoke_key.key = id_n(KEY);
    cmd->revoke_key.machine = id_n(MACHINE);
    TOLD("CTFAMK");
    assert_true(facts.key.spent && !facts.key.live && facts.key.creator_ok);
    cmd = command_by(CMD_OPEN_SESSION, TECH, FAMILY);
    cmd->open_session.machine = id_n(GUEST);
    TOLD("CTFAM");
    assert_true(facts.machine.guest && facts.machine.consent_needed && facts.machine.online);
    assert_true(is(facts.machine.added_by, TECH));
    assert_true(is(facts.machine.connection, CONN2));
    assert_int_equal(facts.machine.live_sessions, 1);
    cmd = command_by(CMD_END_SESSION, ADMIN, 999);
    cmd->end_session.session = id_n(SES);
    TOLD("CFAMS"); /* the owner's family and account, not the caller's */
    assert_true(is(facts.account.user, TECH));
    assert_true(is(facts.session.owner, TECH));
    assert_true(is(facts.session.machine, MACHINE));
    assert_int_equal(facts.session.n, 3);
    assert_int_equal(facts.session.state, SESSION_OPEN);
    assert_false(facts.machine.consent_needed);
    assert_int_equal(facts.machine.services.len, 7);
    cmd = command(CMD_CLOSE_CHANNEL);
    cmd->close_channel = (struct close_channel){.session = id_n(SES), .channel = id_n(CHAN)};
    TOLD("FAMSH");
    assert_true(!facts.channel.open && !facts.channel.closed);
    assert_int_equal(facts.channel.attached_us, s->now);
    assert_true(span_is(facts.channel.service, "tcp:ssh"));
    cmd = command(CMD_DETACH);
    cmd->detach = (struct detach){.session = id_n(SES), .channel = id_n(CHAN)};
    TOLD("FAMSH");
    cmd = command_by(CMD_REVOKE_INVITE, ADMIN, 0);
    cmd->revoke_invite.invite = id_n(INVITE);
    TOLD("CI");
    assert_true(facts.invite.live && !facts.invite.secret_ok);
    assert_int_equal(facts.invite.role, ROLE_AUDITOR);
    cmd = command_by(CMD_AUTHORIZE, ADMIN, 0);
    cmd->authorize.session = id_n(SES2);
    cmd->authorize.machine = id_n(MACHINE);
    cmd->authorize.target_user = id_n(ADMIN);
    TOLD("CFAMS");
    assert_true(is(facts.machine.machine, MACHINE));
    assert_true(is(facts.account.user, ADMIN));
    cmd = command(CMD_SET_ALLOWLIST);
    cmd->set_allowlist.machine = id_n(MACHINE);
    TOLD("M");
    cmd = command_by(CMD_ISSUE_CODE, TECH, FAMILY);
    TOLD("CTFA");
    assert_int_equal(facts.codes_live, 1);
    s->now += 600 * S;
    gather(s, command(CMD_ISSUE_CODE));
    assert_int_equal(facts.codes_live, 0); /* expired, though no event has said so yet */
#undef TOLD
    story_end(s, 0);
}

static void
logins_and_registrations_are_found_by_name_and_attempt(void **state)
{
    struct story *s = story_full();
    struct command *cmd = command(CMD_ATTEMPT_LOGIN);
    uint64_t attempt;

    (void)state;
    proofs.tags.account = tag_n(40000000 + TECH);
    gather(s, cmd);
    assert_true(is(facts.account.user, TECH));
    cmd = command(CMD_ATTEMPT_LOGIN);
    proofs.tags.account = tag_n(40000999);
    gather(s, cmd);
    assert_string_equal(found(), "");
    attempt = tell_attempt(s, TECH, 7);
    cmd = command(CMD_CONCLUDE_LOGIN);
    cmd->conclude_login.attempt = attempt;
    gather(s, cmd);
    assert_string_equal(found(), "AP");
    assert_true(is(facts.attempt.user, TECH));
    assert_int_equal(facts.attempt.type, EV_LOGIN_ATTEMPTED);
    assert_int_equal(facts.limits[RULE_LOGIN_ACCOUNT].count, 1); /* by the attempt's name */
    cmd = command(CMD_CONCLUDE_LOGIN);
    cmd->conclude_login.attempt = 0; /* that event was none */
    gather(s, cmd);
    assert_string_equal(found(), "");

    attempt = world_size(s->w);
    say(s, EV_REGISTER_ATTEMPTED);
    with_id(s, FIELD_INVITE, INVITE);
    told(s);
    cmd = command(CMD_ATTEMPT_REGISTER);
    proofs.tags.account = tag_n(40000999);
    proofs.invite_secret_ok = true;
    cmd->attempt_register.invite = id_n(INVITE);
    gather(s, cmd);
    assert_string_equal(found(), "I");
    assert_true(facts.account_name_free && facts.invite.secret_ok);
    cmd = command(CMD_CONCLUDE_REGISTER);
    proofs.tags.account = tag_n(40000000 + TECH);
    cmd->conclude_register.attempt = attempt;
    gather(s, cmd);
    assert_string_equal(found(), "AIP");
    assert_false(facts.account_name_free);
    assert_int_equal(facts.attempt.role, ROLE_AUDITOR);
    s->now += 1000 * S;
    cmd = command(CMD_REVOKE_INVITE);
    cmd->revoke_invite.invite = id_n(INVITE);
    gather(s, cmd);
    assert_false(facts.invite.live);
    story_end(s, 0);
}

/* B14, B34: nothing is looked up by what a forged token or ticket says. */
static void
only_proven_tokens_and_tickets_name_things(void **state)
{
    struct story *s = story_full();

    (void)state;
    for (int proven = 0; proven < 2; proven++) {
        struct command *cmd = command(CMD_REFRESH_TOKEN);

        proofs.refresh = (struct refresh_fact){true, proven != 0, 3};
        proofs.refresh_family = id_n(FAMILY);
        gather(s, cmd);
        assert_string_equal(found(), proven ? "FA" : "");
        assert_int_equal(facts.refresh.n, 3);
        cmd = command(CMD_LOGOUT);
        proofs.refresh = (struct refresh_fact){true, proven != 0, 3};
        proofs.refresh_family = id_n(FAMILY);
        gather(s, cmd);
        assert_string_equal(found(), proven ? "FA" : "");
        cmd = command_by(CMD_REFRESH_TOKEN, TECH, FAMILY); /* nor the caller's in its place */
        proofs.refresh = (struct refresh_fact){true, proven != 0, 3};
        proofs.refresh_family = id_n(OTHER);
        gather(s, cmd);
        assert_string_equal(found(), proven ? "CTFA" : "CT");
        for (enum command_kind k = CMD_ATTACH; k <= CMD_OPEN_CHANNEL; k++) {
            cmd = command(k);
            proofs.ticket = (struct ticket_fact){.well_formed = true,
                .mac_ok = proven != 0,
                .ticket_id = tag_n(TICKET),
                .session = id_n(SES),
                .family = id_n(FAMILY),
                .channel = id_n(CHAN)};
            gather(s, cmd);
            assert_string_equal(found(), proven ? "FAMSH" : "");
            assert_int_equal(facts.ticket.used, proven);
            assert_true(facts.ticket.well_formed);
        }
    }
    story_end(s, 0);
}

static void
agents_are_found_by_their_credential(void **state)
{
    struct story *s = story_full();

    (void)state;
    for (enum command_kind k = CMD_ADMIT_AGENT; k <= CMD_GREET_AGENT; k++) {
        for (int c = CREDENTIAL_CODE; c <= CREDENTIAL_DEVICE; c++) {
            static const char *const expected[] = {"", "AO", "MK", "M"};
            struct command *cmd = command(k);
            struct admit_agent *a =
                k == CMD_ADMIT_AGENT ? &cmd->admit_agent : &cmd->greet_agent.admitted;

            a->credential = (enum credential)c;
            a->key = id_n(KEY2);
            a->machine = id_n(MACHINE);
            proofs.code = id_n(CODE2);
            proofs.key_secret_ok = true;
            gather(s, cmd);
            assert_string_equal(found(), expected[c]);
            if (c == CREDENTIAL_CODE)
                assert_true(facts.code.live && is(facts.code.issuer, TECH));
            if (c == CREDENTIAL_KEY)
                assert_true(facts.key.live && facts.key.secret_ok && !facts.key.spent &&
                            facts.key.creator_ok && is(facts.machine.machine, MACHINE));
        }
    }
    story_end(s, 0);
}

static void
a_key_never_exceeds_its_creator(void **state)
{
    static const struct {
        enum event_type type;
        enum role role;
        bool ok;
    } cases[] = {
        {EV_HEARTBEAT, ROLE_NONE, true},
        {EV_USER_DISABLED, ROLE_NONE, false},
        {EV_USER_CHANGED, ROLE_AUDITOR, false},
    };

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct story *s = story_full();
        struct command *cmd = command(CMD_ADMIT_AGENT);

        say(s, cases[i].type);
        about(s, 0, 0, ADMIN, 0);
        if (cases[i].role != ROLE_NONE)
            with_u(s, FIELD_ROLE, cases[i].role);
        told(s);
        cmd->admit_agent = (struct admit_agent){.credential = CREDENTIAL_KEY, .key = id_n(KEY)};
        gather(s, cmd);
        assert_int_equal(facts.key.creator_ok, cases[i].ok);
        story_end(s, 0);
    }
}

static void
both_allow_lists_must_let_in(void **state)
{
    static const char *const ten[] = {"192.0.2.0/24", "10.0.0.0/8", NULL};
    static const char *const office[] = {"10.1.0.0/16", "172.16.0.0/12", NULL};
    static const struct {
        bool overall, own;
        uint8_t first, second; /* <first>.<second>.0.1; first 0: no address */
        bool restricted, allowed;
        uint32_t rule;
    } cases[] = {
        {false, false, 10, 1, false, true, 0}, {false, false, 0, 0, false, true, 0},
        {true, false, 10, 1, true, true, ALLOW_RULE_OVERALL + 1},
        {true, false, 0, 0, true, false, 0}, {false, true, 10, 1, true, true, 0},
        {false, true, 10, 2, true, false, 0}, {false, true, 172, 16, true, true, 1},
        {true, true, 10, 1, true, true, 0},
        {true, true, 10, 2, true, false, ALLOW_RULE_OVERALL + 1},
        {true, true, 172, 16, true, false, 0}, /* the machine's list cannot widen the overall one */
    };

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct story *s = story_full();
        struct command *cmd = command(CMD_GREET_AGENT), *again = command(CMD_RECHECK_AGENT);
        struct allow_fact got;
        uint8_t address[16] = {
            [10] = 0xFF, [11] = 0xFF, [12] = cases[i].first, [13] = cases[i].second, [15] = 1};

        for (int own = 0; own < 2; own++) {
            if (!(own ? cases[i].own : cases[i].overall))
                continue;
            say(s, EV_ALLOWLIST_CHANGED);
            about(s, 0, own ? MACHINE : 0, 0, 0);
            with_strs(s, FIELD_ALLOW, own ? office : ten);
            told(s);
        }
        cmd->greet_agent.admitted =
            (struct admit_agent){.credential = CREDENTIAL_DEVICE, .machine = id_n(MACHINE)};
        cmd->caller.has_address = cases[i].first != 0;
        memcpy(cmd->caller.address, address, sizeof(address));
        again->caller = cmd->caller;
        again->recheck_agent.machine = id_n(MACHINE);
        gather(s, cmd);
        got = facts.allow;
        gather(s, again);
        if (got.restricted != cases[i].restricted || got.allowed != cases[i].allowed ||
            got.rule != cases[i].rule || facts.allow.restricted != got.restricted ||
            facts.allow.allowed != got.allowed || facts.allow.rule != got.rule)
            fail_msg("case %zu: %d %d %u", i, got.restricted, got.allowed, got.rule);
        story_end(s, 0);
    }
}

static void
the_overall_allow_list_has_its_own_etag(void **state)
{
    static const char *const none[] = {NULL};
    struct story *s = story_full();

    (void)state;
    say(s, EV_ALLOWLIST_CHANGED);
    with_strs(s, FIELD_ALLOW, none);
    told(s);
    gather(s, command(CMD_SET_ALLOWLIST));
    assert_false(facts.machine.found);
    assert_int_equal(facts.machine.allow_changed_seq, s->ev.seq);
    story_end(s, 0);
}

/* Which windows a command is held to: all rules with a limit, no other. */
static void
windows_are_told_to_those_they_limit(void **state)
{
    static const struct {
        enum command_kind kind;
        enum rule rules[5];
    } cases[] = {
        {CMD_ATTEMPT_LOGIN, {RULE_LOGIN_NET, RULE_LOGIN_WIDE, RULE_LOGIN_ALL, RULE_LOGIN_ACCOUNT,
                                RULE_LOGIN_DEVICE}},
        {CMD_REFRESH_TOKEN, {RULE_REFRESH_NET}},
        {CMD_REJECT_TOKEN, {RULE_REFRESH_NET}},
        {CMD_ATTEMPT_PASSWORD, {RULE_PASSWORD_USER}},
        {CMD_ATTEMPT_REGISTER, {RULE_REGISTER_NET, RULE_REGISTER_ALL}},
        {CMD_VALIDATE_CODE,
            {RULE_CODE_NET, RULE_CODE_WIDE, RULE_CODE_FAIL_NET, RULE_CODE_FAIL_ALL}},
        {CMD_ADMIT_AGENT, {RULE_CODE_NET, RULE_CODE_WIDE, RULE_CODE_FAIL_NET, RULE_CODE_FAIL_ALL,
                              RULE_AGENT_REFUSED_NET}},
        {CMD_GREET_AGENT, {RULE_CODE_NET, RULE_CODE_WIDE, RULE_CODE_FAIL_NET, RULE_CODE_FAIL_ALL,
                              RULE_AGENT_REFUSED_NET}},
        {CMD_OPEN_SESSION, {RULE_SESSION_USER}},
        {CMD_ATTACH, {RULE_REFRESH_NET}},
        {CMD_OPEN_CHANNEL, {RULE_AGENT_REFUSED_NET}},
        {CMD_NOTE_SESSION, {RULE_NONE}},
    };
    struct story *s = story_full();

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        gather(s, command(cases[i].kind)); /* no address, no user: the limit is told all the same */
        for (enum rule r = RULE_LOGIN_NET; r < RULE_COUNT; r++) {
            bool expected = false;

            for (size_t k = 0; k < 5; k++)
                expected |= cases[i].rules[k] == r;
            if ((facts.limits[r].limit > 0) != expected)
                fail_msg("command %d, rule %s", (int)cases[i].kind, rule_name(r));
        }
    }
    story_end(s, 0);
}

static void
windows_are_those_of_the_caller(void **state)
{
    struct story *s = story_full();
    struct command *cmd = command(CMD_ATTEMPT_LOGIN);

    (void)state;
    proofs.tags = (struct tags){
        .net = tag_n(20000007), .wide = tag_n(30000000), .account = tag_n(40000000 + TECH)};
    gather(s, cmd);
    assert_int_equal(facts.limits[RULE_LOGIN_NET].count, 1);
    assert_int_equal(facts.limits[RULE_LOGIN_WIDE].count, 2);
    assert_int_equal(facts.limits[RULE_LOGIN_ALL].count, 2);
    assert_int_equal(facts.limits[RULE_LOGIN_ACCOUNT].count, 0); /* both succeeded */
    cmd = command_by(CMD_OPEN_SESSION, TECH, FAMILY);
    gather(s, cmd);
    assert_int_equal(facts.limits[RULE_SESSION_USER].count, 2);
    cmd = command(CMD_VALIDATE_CODE);
    proofs.tags.net = tag_n(20000009);
    gather(s, cmd);
    assert_int_equal(facts.limits[RULE_CODE_NET].count, 1);
    assert_false(facts.code_net_failed_lately);
    say(s, EV_CODE_REJECTED);
    from(s, 9);
    told(s);
    cmd = command(CMD_VALIDATE_CODE);
    proofs.tags.net = tag_n(20000009);
    gather(s, cmd);
    assert_int_equal(facts.limits[RULE_CODE_NET].count, 2);
    assert_true(facts.code_net_failed_lately);
    story_end(s, 0);
}

/* Which of SES (FAMILY, MACHINE) and SES2 (OTHER, GUEST) a command would end. */
static void
sessions_that_would_end(void **state)
{
    struct story *s = story_full();
    uint64_t attempt;
    struct command *cmd;

    (void)state;
#define ENDS(first, count)                                                                         \
    do {                                                                                           \
        gather(s, cmd);                                                                            \
        assert_int_equal(facts.ending_count, count);                                               \
        assert_false(facts.ending_more);                                                           \
        if ((count) > 0)                                                                           \
            assert_true(is(facts.ending[0].session, first));                                       \
    } while (0)
    cmd = command_by(CMD_LOGOUT, TECH, OTHER);
    ENDS(SES2, 1);
    cmd = command_by(CMD_LOGOUT, TECH, 999);
    ENDS(0, 0);
    cmd = command_by(CMD_REVOKE_FAMILY, TECH, OTHER);
    cmd->revoke_family.family = id_n(FAMILY);
    ENDS(SES, 1);
    cmd = command_by(CMD_CHANGE_USER, ADMIN, 0);
    cmd->change_user.user = id_n(TECH);
    ENDS(SES, 2);
    cmd = command_by(CMD_CHANGE_USER, ADMIN, 0);
    cmd->change_user.user = id_n(ADMIN);
    ENDS(0, 0);
    cmd = command_by(CMD_REMOVE_MACHINE, ADMIN, 0);
    cmd->remove_machine.machine = id_n(GUEST);
    ENDS(SES2, 1);
    cmd = command_by(CMD_REVOKE_KEY, ADMIN, 0);
    cmd->revoke_key.key = id_n(KEY);
    ENDS(SES, 1);
    cmd = command(CMD_AGENT_GONE);
    cmd->caller.machine = id_n(MACHINE);
    cmd->caller.connection = id_n(CONN);
    ENDS(SES, 1);
    cmd = command(CMD_AGENT_GONE);
    cmd->caller.machine = id_n(MACHINE);
    cmd->caller.connection = id_n(CONN2);
    ENDS(0, 0);
    cmd = command(CMD_GREET_AGENT);
    cmd->greet_agent.admitted =
        (struct admit_agent){.credential = CREDENTIAL_DEVICE, .machine = id_n(MACHINE)};
    ENDS(SES, 1);
    cmd = command(CMD_RECHECK_AGENT);
    cmd->recheck_agent.machine = id_n(MACHINE);
    ENDS(SES, 1);
    cmd = command(CMD_ROTATE_SECRET);
    cmd->rotate_secret.leaked = true;
    ENDS(SES, 2);
    cmd = command(CMD_ROTATE_SECRET);
    ENDS(0, 0);
    cmd = command(CMD_STOP_SERVER);
    ENDS(SES, 2);
    cmd = command(CMD_START_SERVER);
    ENDS(SES, 2);
    attempt = world_size(s->w);
    say(s, EV_PASSWORD_ATTEMPTED);
    by(s, ACTOR_USER, TECH, FAMILY);
    told(s);
    cmd = command_by(CMD_CONCLUDE_PASSWORD, TECH, FAMILY);
    cmd->conclude_password.attempt = attempt;
    ENDS(SES2, 1); /* the others */
#undef ENDS
    story_end(s, 0);
}

static void
many_sessions_end_in_turns_oldest_first(void **state)
{
    struct story *s = story_full();

    (void)state;
    for (uint64_t i = 0; i < 2 * ENDING_MAX; i++) {
        s->now += 1;
        tell_requested(s, 7000 + i, MACHINE, TECH, FAMILY);
    }
    gather(s, command(CMD_STOP_SERVER));
    assert_int_equal(facts.ending_count, ENDING_MAX);
    assert_true(facts.ending_more);
    assert_true(is(facts.ending[0].session, SES));
    assert_true(is(facts.ending[2].session, 7000));
    story_end(s, 0);
}

static void
what_is_due(void **state)
{
    struct story *s = story_full();
    struct command *cmd;

    (void)state;
    gather(s, command(CMD_TIME_PASSED));
    assert_int_equal(facts.due_count, 0);
    s->now += 120 * S;
    gather(s, command(CMD_TIME_PASSED));
    assert_int_equal(facts.due_count, 1);
    assert_int_equal(facts.due[0].kind, DUE_REQUEST);
    assert_string_equal(facts.due[0].why, "consent_timeout");
    assert_true(is(facts.due[0].id, SES2));
    assert_int_equal(facts.ending_count, 1);
    assert_true(is(facts.ending[0].session, SES2));
    tell_session(s, EV_SESSION_ENDED, SES2);
    s->now = T0 + 1800 * S;
    cmd = command(CMD_TIME_PASSED);
    proofs.refusal_rows = span_str("rows");
    proofs.refusals_total = 9;
    gather(s, cmd);
    assert_int_equal(facts.due_count, 4); /* in order of their time */
    assert_int_equal(facts.due[0].kind, DUE_CODE);
    assert_true(is(facts.due[0].id, CODE2));
    assert_int_equal(facts.due[1].kind, DUE_GUEST);
    assert_string_equal(facts.due[1].why, "guest_idle");
    assert_true(is(facts.machine.machine, GUEST));
    assert_int_equal(facts.due[2].kind, DUE_SESSION);
    assert_string_equal(facts.due[2].why, "owner_gone");
    assert_int_equal(facts.due[3].kind, DUE_REFUSALS);
    assert_int_equal(facts.refusals_total, 9);
    assert_false(facts.due_more);
    story_end(s, 0);
}

static void
many_ends_come_in_turns(void **state)
{
    struct story *s = story_new();

    (void)state;
    for (uint64_t i = 0; i < DUE_MAX + 3; i++)
        tell_code(s, 3000 + i, TECH);
    for (uint64_t i = 0; i < 3; i++) {
        tell_code(s, 5000 + i, TECH);
        tell_redeemed(s, 5000 + i, 6000 + i, 7);
    }
    s->now += 600 * S;
    gather(s, command(CMD_TIME_PASSED));
    assert_int_equal(facts.due_count, DUE_MAX);
    assert_true(facts.due_more);
    assert_true(is(facts.due[0].id, 3000));
    for (uint64_t i = 0; i < DUE_MAX + 3; i++) {
        say(s, EV_CODE_EXPIRED);
        about(s, 0, 0, 0, 3000 + i);
        told(s);
    }
    s->now += 600 * S;
    for (uint64_t left = 3; left > 0; left--) { /* one guest at a time */
        gather(s, command(CMD_TIME_PASSED));
        assert_int_equal(facts.due_count, 1);
        assert_int_equal(facts.due[0].kind, DUE_GUEST);
        assert_int_equal(facts.due_more, left > 1);
        assert_true(is(facts.machine.machine, 6000 + 3 - left));
        say(s, EV_MACHINE_REMOVED);
        s->ev.subject.machine = facts.machine.machine;
        told(s);
    }
    assert_int_equal(world_next_deadline(s->w), INT64_MAX);
    story_end(s, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command_is_told_the_time_and_the_policy),
        cmocka_unit_test(what_a_command_names_it_is_told),
        cmocka_unit_test(logins_and_registrations_are_found_by_name_and_attempt),
        cmocka_unit_test(only_proven_tokens_and_tickets_name_things),
        cmocka_unit_test(agents_are_found_by_their_credential),
        cmocka_unit_test(a_key_never_exceeds_its_creator),
        cmocka_unit_test(both_allow_lists_must_let_in),
        cmocka_unit_test(the_overall_allow_list_has_its_own_etag),
        cmocka_unit_test(windows_are_told_to_those_they_limit),
        cmocka_unit_test(windows_are_those_of_the_caller),
        cmocka_unit_test(sessions_that_would_end),
        cmocka_unit_test(many_sessions_end_in_turns_oldest_first),
        cmocka_unit_test(what_is_due),
        cmocka_unit_test(many_ends_come_in_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
