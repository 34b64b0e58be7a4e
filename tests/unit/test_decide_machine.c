/* test_decide_machine.c: support codes, machines, keys, allow lists: every refusal, every event. */
#include "deciding.h"

#include <ctype.h>

#define BY_USER " by user id:u login:f @N on"
#define SEALED  " | user of:u address=192.0.2.1 user_agent=ua"
#define NOT_THEIR_ROLE(action)                                                                     \
    "refused not_allowed\naccess.refused" BY_USER ", action=" action " why=role" SEALED "\n"
#define ENDED(why)                                                                                 \
    "session.ended" BY_USER " session:s machine:m user:u, n=5 total=6 why=" why                    \
    " channels=2 to_agent_bytes=1000 to_technician_bytes=2000 duration_us=10000000\n"

static void
given_by(enum command_kind kind, enum role role)
{
    given(kind);
    by_token(role);
}

static void
codes_issued(void **state)
{
    static const struct {
        uint32_t live;
        size_t digits;
    } lengths[] = {{0, 9}, {9, 9}, {10, 10}, {99, 10}, {100, 11}, {999, 11}};

    (void)state;
    given_by(CMD_ISSUE_CODE, ROLE_TECHNICIAN);
    expect("the policy's life", "code.issued" BY_USER " code:new1, expires=+600s digits=9" SEALED
                                " (policy)\nkeep code of:new1 v0 9 bytes\n"
                                "reply id:new1 expires:+600s secret:9\n");
    C.issue_code.ttl_s = 60;
    expect("a shorter one", "code.issued" BY_USER " code:new1, expires=+60s digits=9" SEALED
                            " (policy)\nkeep code of:new1 v0 9 bytes\n"
                            "reply id:new1 expires:+60s secret:9\n");
    C.issue_code.ttl_s = 601;
    expect("a longer one", "refused bad_value (ttl_s)\n");
    C.issue_code.ttl_s = 0;
    for (size_t i = 0; i < ROWS(lengths); i++) {
        F.codes_live = lengths[i].live;
        run(&decided, 1);
        assert_int_equal(strlen(decided.reply.secret), lengths[i].digits);
        for (const char *c = decided.reply.secret; *c != '\0'; c++)
            assert_true(isdigit((unsigned char)*c));
        assert_memory_equal(decided.secrets[0].bytes.ptr, decided.reply.secret, lengths[i].digits);
    }
    F.codes_live = 1000;
    expect("too many", "refused too_many\n");
    F.codes_live = 0;
    F.caller.role = ROLE_AUDITOR;
    expect("by an auditor", NOT_THEIR_ROLE("code_issue"));
    by_cli();
    expect("by no user", "refused not_allowed\n");
    assert_non_null(strstr(decided.detail, "log in first"));
}

/* Other entropy, other digits: so the ledger may ask again when they are a living code's. */
static void
codes_differ(void **state)
{
    char first[192];

    (void)state;
    given_by(CMD_ISSUE_CODE, ROLE_TECHNICIAN);
    run(&decided, 1);
    memcpy(first, decided.reply.secret, sizeof(first));
    run(&decided, 2);
    assert_string_not_equal(first, decided.reply.secret);
}

static void
codes_revoked(void **state)
{
    (void)state;
    given_by(CMD_REVOKE_CODE, ROLE_TECHNICIAN);
    F.code =
        (struct code_fact){.found = true, .live = true, .code = id_of('c'), .issuer = id_of('u')};
    expect("their own", "code.revoked" BY_USER " code:c," SEALED "\ndrop code of:c v0\n"
                        "reply id:c\n");
    F.code.issuer = id_of('v');
    expect("another's", "refused not_found\naccess.refused" BY_USER
                        " code:c, action=code_revoke why=not_owner" SEALED "\n");
    F.caller.role = ROLE_ADMIN;
    expect("another's, by an admin",
        "code.revoked" BY_USER " code:c," SEALED "\ndrop code of:c v0\nreply id:c\n");
    F.code.live = false;
    expect("used, expired, revoked", "refused not_found\n");
    F.code.found = false;
    expect("unknown", "refused not_found\n");
    F.caller.role = ROLE_AUDITOR;
    expect("by an auditor", NOT_THEIR_ROLE("code_revoke"));
}

static void
codes_validated(void **state)
{
    static const char rejected[] =
        "refused code_invalid\ncode.rejected by nobody @N on, why=invalid | month "
        "address=192.0.2.1 user_agent=ua (policy)\n";

    (void)state;
    given(CMD_VALIDATE_CODE);
    F.code = (struct code_fact){
        .found = true, .live = true, .code = id_of('c'), .expires_us = NOW_US + 100 * US_PER_S};
    expect("live", "code.validated by nobody @N on code:c, | month address=192.0.2.1 "
                   "user_agent=ua (policy)\nreply expires:+100s\n");
    assert_int_equal(decided.limit.count, 1);
    F.code.live = false;
    expect("expired, revoked", rejected);
    F.code.redeemed = true;
    expect("used", rejected);
    F.code = (struct code_fact){0};
    expect("never issued", rejected);
    by_token(ROLE_TECHNICIAN);
    expect("a guess tells nothing of who guesses", rejected);
    by_nobody();
    exhaust(RULE_CODE_NET, 7);
    expect("too often here", "refused too_often counted\n");
    F.limits[RULE_CODE_NET].count = 0;
    exhaust(RULE_CODE_WIDE, 7);
    expect("too often around here", "refused too_often counted\n");
    F.limits[RULE_CODE_WIDE].count = 0;
    exhaust(RULE_CODE_FAIL_ALL, 8);
    expect("guesses everywhere, not from here", rejected);
    F.code_net_failed_lately = true;
    expect("guesses everywhere, from here too", "refused too_often counted\n");
    assert_int_equal(decided.limit.count, 0);
    assert_true(decided.limit.frees_us == NOW_US + 8 * US_PER_S);
    given(CMD_VALIDATE_CODE);
    F.code = (struct code_fact){
        .found = true, .live = true, .code = id_of('c'), .expires_us = NOW_US + 100 * US_PER_S};
    F.budget = (struct budget_fact){.spent = true, .codes_free_us = NOW_US + US_PER_S};
    run(&decided, 1);
    assert_int_equal(decided.refusal, REFUSE_NONE); /* the last quarter is theirs */
    F.budget.spent_for_codes = true;
    expect("not looked at, be it right", "refused too_often counted\n");
    assert_true(decided.limit.frees_us == NOW_US + US_PER_S);
    assert_int_equal(decided.limit.count, 0);
}

static void
machines_added(void **state)
{
    (void)state;
    given_by(CMD_ADD_MACHINE, ROLE_ADMIN);
    C.add_machine.name = span_str("web1");
    C.add_machine.labels = strings("prod,eu");
    expect("with labels", "machine.added" BY_USER " machine:new1, labels=[prod,eu]" SEALED
                          " | machine of:new1 machine_name=web1\n"
                          "reply id:new1 machine:new1\n");
    C.add_machine.labels = (struct span){0};
    expect("without", "machine.added" BY_USER " machine:new1," SEALED
                      " | machine of:new1 machine_name=web1\nreply id:new1 machine:new1\n");
    F.caller.role = ROLE_TECHNICIAN;
    expect("by a technician", NOT_THEIR_ROLE("machine_add"));
}

static void
machines_changed(void **state)
{
    (void)state;
    given_by(CMD_CHANGE_MACHINE, ROLE_ADMIN);
    F.machine = machine_of('m');
    expect("nothing", "reply id:m machine:m\n");
    C.change_machine.name = span_str("web2");
    expect("name", "machine.changed" BY_USER " machine:m," SEALED
                   " | machine of:m machine_name=web2\nreply id:m machine:m\n");
    C.change_machine = (struct change_machine){.labels = strings("")};
    expect("labels",
        "machine.changed" BY_USER " machine:m, labels=[]" SEALED "\nreply id:m machine:m\n");
    C.change_machine = (struct change_machine){.note = span_str("")};
    expect("no note any more", "machine.changed" BY_USER " machine:m," SEALED
                               " | machine of:m note=\nreply id:m machine:m\n");
    C.change_machine.if_match = 59;
    expect("changed meanwhile", "refused changed_meanwhile\n");
    C.change_machine.if_match = 60;
    run(&decided, 1);
    assert_int_equal(decided.refusal, REFUSE_NONE);
    F.machine.removed = true;
    expect("removed", "refused not_found\n");
    F.machine = (struct machine_fact){0};
    expect("unknown", "refused not_found\n");
    F.caller.role = ROLE_AUDITOR;
    expect("by an auditor", NOT_THEIR_ROLE("machine_change"));
}

static void
machines_removed(void **state)
{
    (void)state;
    given_by(CMD_REMOVE_MACHINE, ROLE_ADMIN);
    F.machine = machine_of('m');
    ending('s', SESSION_OPEN);
    expect("online, in use",
        ENDED("machine_removed") "agent.disconnected" BY_USER
                                 " machine:m, connection=x why=machine_removed\n"
                                 "machine.removed" BY_USER " machine:m, why=removed" SEALED
                                 "\nreply id:m machine:m connection:x ended:s cut-connection\n");
    F.machine.online = false;
    F.ending_count = 0;
    expect("offline",
        "machine.removed" BY_USER " machine:m, why=removed" SEALED "\nreply id:m machine:m\n");
    F.machine.removed = true;
    expect("twice", "refused not_found\n");
    F.caller.role = ROLE_TECHNICIAN;
    expect("by a technician", NOT_THEIR_ROLE("machine_remove"));
}

static void
keys_issued(void **state)
{
    (void)state;
    given_by(CMD_ISSUE_KEY, ROLE_ADMIN);
    F.machine = machine_of('m');
    expect("for ever",
        "key.issued" BY_USER " machine:m, key=new1" SEALED "\nkeep api key of:new1 v0 43 bytes\n"
        "reply id:new1 machine:m secret:73\n");
    assert_memory_equal(decided.reply.secret, "gh_", 3);
    assert_memory_equal(decided.reply.secret + 30, decided.secrets[0].bytes.ptr, 43);
    C.issue_key.ttl_s = 3600;
    expect("for an hour", "key.issued" BY_USER " machine:m, key=new1 expires=+3600s" SEALED
                          "\nkeep api key of:new1 v0 43 bytes\n"
                          "reply id:new1 machine:m expires:+3600s secret:73\n");
    F.machine.guest = true;
    expect("for a guest", "refused bad_value (machine)\n");
    F.machine.found = false;
    expect("for nothing", "refused not_found\n");
    F.caller.role = ROLE_TECHNICIAN;
    expect("by a technician", NOT_THEIR_ROLE("key_issue"));
}

static void
keys_revoked(void **state)
{
    (void)state;
    given_by(CMD_REVOKE_KEY, ROLE_ADMIN);
    F.machine = machine_of('m');
    F.key =
        (struct key_fact){.found = true, .live = true, .key = id_of('k'), .machine = id_of('m')};
    ending('s', SESSION_OPEN);
    expect("not spent: the agent there is another key's",
        "key.revoked" BY_USER " machine:m, key=k why=revoked" SEALED
        "\ndrop api key of:k v0\nreply id:k machine:m\n");
    F.key.live = false;
    F.key.spent = true;
    expect("spent: its device goes",
        ENDED("key_revoked") "agent.disconnected" BY_USER
                             " machine:m, connection=x why=key_revoked\n"
                             "key.revoked" BY_USER " machine:m, key=k why=revoked" SEALED
                             "\ndrop api key of:k v0\n"
                             "reply id:k machine:m connection:x ended:s cut-connection\n");
    F.key.spent = false;
    expect("revoked already", "refused not_found\n");
    F.key.live = true;
    F.key.machine = id_of('n');
    expect("another machine's", "refused not_found\n");
    F.key.found = false;
    expect("unknown", "refused not_found\n");
    F.caller.role = ROLE_TECHNICIAN;
    expect("by a technician", NOT_THEIR_ROLE("key_revoke"));
}

static void
allow_lists(void **state)
{
    static const char host_bits[] = "\x91\xaa\x31" /* '1', which \xaa would swallow */
                                    "0.0.0.1/8";
    static const char *const bad[] = {"", "\x91\x01", "\x91\xa1x", host_bits};

    (void)state;
    given_by(CMD_SET_ALLOWLIST, ROLE_ADMIN);
    C.set_allowlist.machine = id_of('m');
    C.set_allowlist.allow = strings("10.0.0.0/8,2001:db8::/32");
    F.machine = machine_of('m');
    expect("a machine's",
        "allowlist.changed" BY_USER " machine:m, allow=[10.0.0.0/8,2001:db8::/32]" SEALED
        "\nreply machine:m recheck-agents\n");
    C.set_allowlist.if_match = 60;
    expect("changed meanwhile", "refused changed_meanwhile\n");
    assert_int_equal(decided.cause_count, 1);
    assert_int_equal(decided.cause[0], 61); /* by what */
    C.set_allowlist.if_match = 61;
    run(&decided, 1);
    assert_int_equal(decided.refusal, REFUSE_NONE);
    for (size_t i = 0; i < ROWS(bad); i++) {
        C.set_allowlist.allow = span_str(bad[i]);
        expect("not a list of networks", "refused bad_value (allow)\n");
    }
    F.machine.removed = true;
    expect("removed", "refused not_found\n");
    C.set_allowlist = (struct set_allowlist){.allow = strings("")};
    expect(
        "everybody's", "allowlist.changed" BY_USER ", allow=[]" SEALED "\nreply recheck-agents\n");
    F.caller.role = ROLE_TECHNICIAN;
    expect("by a technician", NOT_THEIR_ROLE("allowlist_set"));
}

static void
long_allow_lists(void **state)
{
    static uint8_t room[2048];
    struct pack p;

    (void)state;
    for (uint32_t count = CIDR_LIST_MAX; count <= CIDR_LIST_MAX + 1; count++) {
        given_by(CMD_SET_ALLOWLIST, ROLE_ADMIN);
        pack_init(&p, room, sizeof(room));
        pack_array(&p, count);
        for (uint32_t i = 0; i < count; i++)
            pack_str(&p, span_str("10.0.0.0/8"));
        C.set_allowlist.allow = pack_span(&p);
        run(&decided, 1);
        assert_int_equal(decided.refusal, count == CIDR_LIST_MAX ? REFUSE_NONE : REFUSE_BAD_VALUE);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_issued),
        cmocka_unit_test(codes_differ),
        cmocka_unit_test(codes_revoked),
        cmocka_unit_test(codes_validated),
        cmocka_unit_test(machines_added),
        cmocka_unit_test(machines_changed),
        cmocka_unit_test(machines_removed),
        cmocka_unit_test(keys_issued),
        cmocka_unit_test(keys_revoked),
        cmocka_unit_test(allow_lists),
        cmocka_unit_test(long_allow_lists),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
