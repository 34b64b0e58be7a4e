/* test_decide_proof.c: a login that is used from elsewhere, and the fresh proof. */
#include "deciding.h"

#define SEALED        " | user of:u address=192.0.2.1 user_agent=ua"
#define BY_OWNER(net) " by user id:u login:f @" net " on session:s machine:m user:u"

/* --- what is told of a straying session --- */

static struct writing said;

static const char *
told(void)
{
    static struct decision d;

    memset(&d, 0, sizeof(d));
    decide_straying(&C, &F, &d);
    write_out(&d, &said);
    if (d.reply.paused_count > 0)
        put(&said, "pauses %c\n", d.reply.paused[0].b[0]);
    return said.text;
}

/* The login of session s, which is bound to network N by IPv4, comes from network X. */
static void
given_straying(unsigned ip_version)
{
    static const uint8_t v6[16] = {0x20, 0x01, 0x0d, 0xb8};

    given(CMD_AUTHORIZE);
    by_token(ROLE_TECHNICIAN);
    F.tags.net = tag_of('X');
    if (ip_version == 6)
        memcpy(C.caller.address, v6, sizeof(v6));
    F.straying[0] = session_of('s', SESSION_OPEN);
    F.straying[0].net_ip = 4;
    F.straying[0].bound_us = F.straying[0].opened_us;
    F.straying_count = 1;
}

static void
straying(void **state)
{
    static const struct {
        const char *what;
        uint32_t mode;
        const char *name;
        bool pauses;
    } modes[] = {
        {"roaming", NETWORK_ROAMING, "note", false},
        {"the default", NETWORK_PAUSE, "pause", true},
        {"strict", NETWORK_STRICT, "refuse", false},
    };
    char want[512];

    (void)state;
    for (size_t i = 0; i < ROWS(modes); i++) {
        given_straying(4);
        scene.policy.session_network = modes[i].mode;
        snprintf(want, sizeof(want),
            "session.suspected" BY_OWNER(
                "X") ", n=5 ip_version=4 why=other_network net_mode=%s" SEALED " (policy)\n%s",
            modes[i].name, modes[i].pauses ? "pauses s\n" : "");
        if (strcmp(told(), want) != 0)
            fail_msg("%s:\n--- got\n%s--- expected\n%s", modes[i].what, said.text, want);
    }
}

/* The network of the other IP version: learned once, soon, and never in doubt. */
static void
the_other_version(void **state)
{
    static const char bound[] =
        "session.bound" BY_OWNER("X") ", n=5 ip_version=6" SEALED " (policy)\n";

    (void)state;
    given_straying(6);
    assert_string_equal(told(), bound);
    F.straying[0].bound_us = NOW_US - BIND_SECOND_S * US_PER_S + 1;
    assert_string_equal(told(), bound);
    F.straying[0].bound_us = NOW_US - BIND_SECOND_S * US_PER_S;
    assert_non_null(strstr(told(), "session.suspected"));
    given_straying(6);
    F.straying[0].net_other_ip = tag_of('O');
    assert_non_null(strstr(told(), "session.suspected"));
    given_straying(6);
    F.straying[0].net_ip = 0; /* of an older build: not known */
    assert_non_null(strstr(told(), "session.suspected"));
    given_straying(6);
    F.straying[0].paused = true;
    assert_non_null(strstr(told(), "session.suspected"));
    given_straying(6);
    F.straying[0].state = SESSION_REQUESTED; /* nobody has said yes yet, however long that takes */
    F.straying[0].bound_us = NOW_US - 100 * US_PER_S;
    assert_non_null(strstr(told(), "session.bound"));
}

/* --- what is refused meanwhile --- */

static void
strict(void **state)
{
    (void)state;
    given(CMD_AUTHORIZE);
    by_token(ROLE_ADMIN);
    C.authorize.action = ACTION_MACHINE_READ;
    F.elsewhere = true;
    expect("paused sessions stop no other work", "reply user:u login:f role:admin\n");
    scene.policy.session_network = NETWORK_STRICT;
    expect("strict", "refused other_network\n");
    C.kind = CMD_LOGOUT;
    run(&decided, 1);
    assert_int_equal(decided.refusal, REFUSE_NONE);
    C.kind = CMD_ATTEMPT_REPROVE;
    expect("no proof from elsewhere", "refused other_network\n");
    given(CMD_REFRESH_TOKEN);
    by_token(ROLE_TECHNICIAN);
    C.caller.kind = CALLER_NOBODY;
    F.account = F.caller;
    F.refresh = (struct refresh_fact){.well_formed = true, .mac_ok = true, .n = 3};
    F.elsewhere = true;
    run(&decided, 1);
    assert_int_equal(decided.refusal, REFUSE_NONE);
    scene.policy.session_network = NETWORK_STRICT;
    run(&decided, 1);
    assert_int_equal(decided.refusal, REFUSE_OTHER_NETWORK);
}

/* --- the proof --- */

static void
given_attempt(void)
{
    given(CMD_ATTEMPT_REPROVE);
    by_token(ROLE_TECHNICIAN);
}

static void
attempts(void **state)
{
    (void)state;
    given_attempt();
    expect("may try", "password.attempted by user id:u login:f @N on user:u, why=reprove" SEALED
                      " (policy)\nreply user:u attempt:100 verifier:4\n");
    exhaust(RULE_PASSWORD_USER, 9);
    expect("too often", "refused too_often counted\n");
    F.caller_family.revoked = true;
    expect("logged out", "refused token_revoked\n");
    by_cli();
    expect("nobody's proof", "refused not_authenticated\n");
}

static void
given_proof(bool proven)
{
    given(CMD_CONCLUDE_REPROVE);
    by_token(ROLE_TECHNICIAN);
    C.conclude_reprove = (struct conclude_reprove){.attempt = 90, .proven = proven};
    F.attempt = (struct attempt_fact){.found = true,
        .type = EV_PASSWORD_ATTEMPTED,
        .seq = 90,
        .user = id_of('u'),
        .family = id_of('f'),
        .verifier_version = 4};
    ending('s', SESSION_OPEN);
    F.ending[0].net_ip = 4;
}

#define RENEWED "proof.renewed by user id:u login:f @%s on user:u, attempt=90 family=f" SEALED "\n"
#define REFUSED                                                                                    \
    "refused wrong_password\npassword.refused by user id:u login:f @N on user:u, attempt=90 "      \
    "why=reprove" SEALED "\n"

static void
expect_proof(const char *what, const char *net, bool reproves)
{
    char want[1024];
    int n = snprintf(want, sizeof(want), RENEWED, net);

    if (reproves)
        n += snprintf(want + n, sizeof(want) - (size_t)n,
            "session.reproved by user id:u login:f @%s on session:s machine:m user:u, n=5 "
            "ip_version=4" SEALED " (policy)\n",
            net);
    snprintf(want + n, sizeof(want) - (size_t)n, "reply user:u login:f\n");
    expect(what, want);
    assert_int_equal(decided.reply.resumed_count, reproves);
}

static void
proofs(void **state)
{
    (void)state;
    given_proof(true);
    expect_proof("nothing to mend", "N", false);
    F.ending[0].paused = true;
    F.ending[0].net_other_ip = tag_of('O');
    expect_proof("from where it is bound", "N", true);
    assert_memory_equal(&decided.reply.resumed[0].nets[0], &F.ending[0].net, TAG_BYTES);
    assert_memory_equal(&decided.reply.resumed[0].nets[1], &F.ending[0].net_other_ip, TAG_BYTES);
    F.tags.net = tag_of('X');
    expect_proof("from elsewhere: it moves there", "X", true);
    assert_memory_equal(&decided.reply.resumed[0].nets[0], &F.tags.net, TAG_BYTES);
    assert_true(tag_is_nil(&decided.reply.resumed[0].nets[1]));
    F.ending[0].paused = false;
    expect_proof("also when nobody paused it", "X", true);
    F.ending[0].family = id_of('g');
    expect_proof("never another login's", "X", false);
}

static void
proofs_refused(void **state)
{
    (void)state;
    given_proof(false);
    expect("wrong", REFUSED);
    given_proof(true);
    F.attempt.verifier_version = 3;
    expect("against an old password", REFUSED);
    given_proof(true);
    F.attempt.family = id_of('g');
    expect("another login's attempt", "refused wrong_password\n");
    F.attempt.found = false;
    expect("no attempt", "refused wrong_password\n");
    given_proof(true);
    F.attempt.type = EV_LOGIN_ATTEMPTED;
    expect("an attempt at something else", "refused wrong_password\n");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(straying),
        cmocka_unit_test(the_other_version),
        cmocka_unit_test(strict),
        cmocka_unit_test(attempts),
        cmocka_unit_test(proofs),
        cmocka_unit_test(proofs_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
