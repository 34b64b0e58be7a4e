/* test_decide_agent.c: which agents come in, as which machine; every refusal, every event. */
#include "deciding.h"

#define SEALED_MONTH " | month address=192.0.2.1 user_agent=ua"
#define CODE_REJECTED                                                                              \
    "refused code_invalid\ncode.rejected by nobody @N on, why=invalid" SEALED_MONTH " (policy)\n"
#define REJECTED(refusal, on, credential, why)                                                     \
    "refused " refusal "\nagent.rejected by nobody @N on" on ", credential=" credential            \
    " why=" why SEALED_MONTH " (policy)\n"

static void
credential_of(enum credential credential)
{
    struct admit_agent *a = C.kind == CMD_GREET_AGENT ? &C.greet_agent.admitted : &C.admit_agent;

    a->credential = credential;
    if (credential == CREDENTIAL_CODE)
        F.code = (struct code_fact){
            .found = true, .live = true, .code = id_of('c'), .issuer = id_of('u')};
    else
        F.machine = machine_of('m');
    if (credential == CREDENTIAL_KEY) {
        F.key = (struct key_fact){.found = true,
            .live = true,
            .secret_ok = true,
            .creator_ok = true,
            .key = id_of('k'),
            .machine = id_of('m'),
            .creator = id_of('a')};
        F.machine.bound = false;
        F.machine.online = false;
    }
    if (credential == CREDENTIAL_DEVICE)
        F.machine.online = false;
}

static void
given_admission(enum credential credential)
{
    given(CMD_ADMIT_AGENT);
    credential_of(credential);
}

static void
admitted(void **state)
{
    (void)state;
    given_admission(CREDENTIAL_CODE);
    expect("by code", "");
    assert_int_equal(decided.limit.limit, 10);
    given_admission(CREDENTIAL_KEY);
    expect("by key", "reply machine:m\n");
    F.key.live = false;
    F.key.spent = true;
    expect("by a spent key: the hello tells whether it is the same device", "reply machine:m\n");
    given_admission(CREDENTIAL_DEVICE);
    expect("by device", "reply machine:m\n");
    F.machine.guest = true;
    expect("a guest again", "reply machine:m guest\n");
    F.allow = (struct allow_fact){.restricted = true, .allowed = true, .rule = 3};
    expect("on the allow list", "reply machine:m guest\n");
    assert_int_equal(decided.limit.count, 0); /* only refusals fill this window */
}

static void
not_admitted(void **state)
{
    (void)state;
    given_admission(CREDENTIAL_CODE);
    F.code.live = false;
    expect("code used, expired, revoked", CODE_REJECTED);
    F.code.found = false;
    expect("code never issued", CODE_REJECTED);
    given_admission(CREDENTIAL_CODE);
    exhaust(RULE_CODE_NET, 4);
    expect("codes too often", "refused too_often counted\n");
    given_admission(CREDENTIAL_KEY);
    exhaust(RULE_CODE_NET, 4);
    expect("a key is no code", "reply machine:m\n");
    exhaust(RULE_AGENT_REFUSED_NET, 4);
    expect("refused too often", "refused too_often counted\n");
    given_admission(CREDENTIAL_KEY);
    F.budget.spent = F.budget.spent_for_codes = true;
    expect("a good key is no stranger's", "reply machine:m\n");
    F.key.secret_ok = false;
    expect("a bad one is", "refused too_often counted\n");
    given_admission(CREDENTIAL_CODE);
    F.budget.spent = F.budget.spent_for_codes = true;
    expect("a code is not looked at", "refused too_often counted\n");
    given_admission(CREDENTIAL_CODE);
    F.allow = (struct allow_fact){.restricted = true};
    expect("code from a wrong address", REJECTED("address_not_allowed", "", "code", "address"));
    given_admission(CREDENTIAL_DEVICE);
    F.allow = (struct allow_fact){.restricted = true};
    expect("device from a wrong address",
        REJECTED("address_not_allowed", " machine:m", "device", "address"));
    given_admission(CREDENTIAL_KEY);
    F.key.secret_ok = false;
    expect("wrong secret", REJECTED("key_invalid", " machine:m", "key", "key_invalid"));
    given_admission(CREDENTIAL_KEY);
    F.key.live = false;
    expect("key revoked or expired", REJECTED("key_invalid", " machine:m", "key", "key_invalid"));
    given_admission(CREDENTIAL_KEY);
    F.key.creator_ok = false;
    expect("its creator may no more", REJECTED("key_invalid", " machine:m", "key", "key_creator"));
    given_admission(CREDENTIAL_KEY);
    F.machine.removed = true;
    expect("its machine is gone", REJECTED("key_invalid", " machine:m", "key", "key_invalid"));
    given_admission(CREDENTIAL_KEY);
    F.key.found = false;
    F.machine.found = false;
    expect("unknown key", REJECTED("key_invalid", "", "key", "key_invalid"));
    given_admission(CREDENTIAL_DEVICE);
    F.machine.found = false;
    expect("unknown machine", REJECTED("device_unknown", "", "device", "device_unknown"));
    given_admission(CREDENTIAL_DEVICE);
    F.machine.removed = true;
    expect("removed", REJECTED("device_unknown", " machine:m", "device", "device_unknown"));
    given_admission(CREDENTIAL_DEVICE);
    F.machine.bound = false;
    expect("unbound", REJECTED("device_unknown", " machine:m", "device", "device_unknown"));
    given_admission(CREDENTIAL_DEVICE);
    C.admit_agent.credential = (enum credential)9;
    by_agent();
    expect("no credential of ours", REJECTED("bad_value", " machine:m", "none", "credential"));
}

static void
given_hello(enum credential credential)
{
    given(CMD_GREET_AGENT);
    credential_of(credential);
    C.greet_agent.hello = said_by('d', "hello");
    C.greet_agent.name = span_str("web1");
    C.greet_agent.host_name = span_str("web1.local");
    C.greet_agent.os = span_str("linux");
    C.greet_agent.version = span_str("0.1");
    C.greet_agent.services = strings("shell");
    C.greet_agent.connection = id_of('y');
}

#define SOFTWARE " services=[shell] os=linux agent_version=0.1"
#define CONNECTED(machine, credential, guest, more)                                                \
    "agent.connected by agent id:" machine " @N on machine:" machine                               \
    ", cosigned=hello connection=y ip_version=4 credential=" credential                            \
    " guest=" guest more SOFTWARE " | machine of:" machine                                         \
    " machine_name=web1 host_name=web1.local statement_salt=S "                                    \
    "statement_personal=3 bytes address=192.0.2.1 user_agent=ua\n"

static void
greeted_by_code(void **state)
{
    (void)state;
    given_hello(CREDENTIAL_CODE);
    C.greet_agent.words = span_str("amber otter");
    expect("a guest is made, and its words are kept for the technician",
        "code.redeemed by code id:c @N on machine:new1 code:c, cosigned=hello "
        "device_key=d words=amber otter\n" CONNECTED("new1", "code", "1",
            "") "drop code of:c v0\nreply id:new1 machine:new1 connection:y guest\n");
    F.code.live = false;
    expect("used since it was admitted", CODE_REJECTED);
    given_hello(CREDENTIAL_CODE);
    C.greet_agent.hello.verified = false;
    expect("the signature is wrong: the code lives on",
        REJECTED("bad_statement", "", "code", "bad_statement"));
}

static void
greeted_by_key(void **state)
{
    (void)state;
    given_hello(CREDENTIAL_KEY);
    expect("enrolled",
        "machine.enrolled by agent id:m @N on machine:m, cosigned=hello key=k device_key=d" SOFTWARE
        "\n" CONNECTED("m", "key", "0", "") "reply id:m machine:m connection:y\n");
    F.machine.bound = true;
    memset(F.machine.device_key, 'o', 32);
    expect("a fresh key for a new device",
        "machine.rebound by agent id:m @N on machine:m, cosigned=hello key=k device_key=d "
        "prior_device_key=o" SOFTWARE
        "\n" CONNECTED("m", "key", "0", "") "reply id:m machine:m connection:y\n");
    F.key.live = false;
    F.key.spent = true;
    expect("a second device on a spent key",
        "refused device_mismatch\nagent.alarmed by nobody @N on machine:m, rule=second_device\n"
        "agent.rejected by nobody @N on machine:m, credential=key why=second_device" SEALED_MONTH
        " (policy)\n");
    by_agent();
    expect("who is refused is nobody",
        "refused device_mismatch\nagent.alarmed by nobody @N on machine:m, rule=second_device\n"
        "agent.rejected by nobody @N on machine:m, credential=key why=second_device" SEALED_MONTH
        " (policy)\n");
    by_nobody();
    memset(F.machine.device_key, 'd', 32);
    expect("the same device with its spent key",
        CONNECTED("m", "key", "0", "") "reply id:m machine:m connection:y\n");
    F.key.spent = false;
    expect("revoked since it was admitted",
        REJECTED("key_invalid", " machine:m", "key", "key_invalid"));
}

static void
greeted_by_device(void **state)
{
    (void)state;
    given_hello(CREDENTIAL_DEVICE);
    expect("back again", CONNECTED("m", "device", "0", "") "reply id:m machine:m connection:y\n");
    F.allow = (struct allow_fact){.restricted = true, .allowed = true, .rule = 64};
    expect("by an allow rule",
        CONNECTED("m", "device", "0", " allow_rule=64") "reply id:m machine:m connection:y\n");
    F.allow.allowed = false;
    expect("the rule went meanwhile",
        REJECTED("address_not_allowed", " machine:m", "device", "address"));
    given_hello(CREDENTIAL_DEVICE);
    F.machine.guest = true;
    expect(
        "a guest", CONNECTED("m", "device", "1", "") "reply id:m machine:m connection:y guest\n");
    C.greet_agent.hello.device_key[31] ^= 1;
    expect(
        "another device", REJECTED("device_mismatch", " machine:m", "device", "device_mismatch"));
    given_hello(CREDENTIAL_DEVICE);
    C.greet_agent.hello.verified = false;
    expect("unproven", REJECTED("bad_statement", " machine:m", "device", "bad_statement"));
    given_hello(CREDENTIAL_DEVICE);
    F.machine.removed = true;
    expect("removed since it was admitted",
        REJECTED("device_unknown", " machine:m", "device", "device_unknown"));
}

static void
newest_wins(void **state)
{
    (void)state;
    given_hello(CREDENTIAL_DEVICE);
    F.machine.online = true;
    ending('s', SESSION_OPEN);
    expect("another connection holds the presence",
        "agent.disconnected by server on machine:m, connection=x why=replaced\n"
        "session.ended by server on session:s machine:m user:u, n=5 total=6 why=agent_gone "
        "channels=2 to_agent_bytes=1000 to_technician_bytes=2000 duration_us=10000000\n" CONNECTED(
            "m", "device", "0", "") "reply id:m machine:m connection:x ended:s cut-connection\n");
    F.machine.connection = id_of('y');
    expect("the same connection greets twice",
        REJECTED("bad_statement", " machine:m", "device", "greeted_twice"));
}

static void
gone(void **state)
{
    (void)state;
    given(CMD_AGENT_GONE);
    by_agent();
    C.agent_gone.why = "closed";
    F.machine = machine_of('m');
    ending('s', SESSION_OPEN);
    ending('t', SESSION_REQUESTED);
    ending('o', SESSION_OPEN);
    F.ending[2].agent_connection = id_of('y');
    F.ending[3] = session_of('b', SESSION_OPEN); /* beyond the count */
    expect("with what was open over it",
        "agent.disconnected by agent id:m @N on machine:m, connection=x why=closed\n"
        "session.ended by agent id:m @N on session:s machine:m user:u, n=5 total=6 why=agent_gone "
        "channels=2 to_agent_bytes=1000 to_technician_bytes=2000 duration_us=10000000\n"
        "session.ended by agent id:m @N on session:t machine:m user:u, n=1 total=2 why=agent_gone "
        "channels=0 to_agent_bytes=0 to_technician_bytes=0\n"
        "reply machine:m connection:x ended:s ended:t\n");
    F.machine.connection = id_of('y');
    expect("replaced before", "");
    F.machine = machine_of('m');
    F.machine.online = false;
    expect("offline already", "");
    F.machine.found = false;
    expect("removed already", "");
}

/* An allow list changed: the server asks again for an agent that is connected. */
static void
rechecked(void **state)
{
    (void)state;
    given(CMD_RECHECK_AGENT);
    C.caller.kind = CALLER_SERVER;
    C.recheck_agent = (struct recheck_agent){id_of('m'), id_of('x')};
    F.machine = machine_of('m');
    ending('s', SESSION_OPEN);
    expect("no list", "");
    F.allow = (struct allow_fact){.restricted = true, .allowed = true};
    expect("on the list", "");
    F.allow.allowed = false;
    expect("not on it any more",
        "session.ended by server @N on session:s machine:m user:u, n=5 total=6 why=agent_gone "
        "channels=2 to_agent_bytes=1000 to_technician_bytes=2000 duration_us=10000000\n"
        "agent.disconnected by server @N on machine:m, connection=x why=address_not_allowed\n"
        "reply machine:m connection:x ended:s cut-connection\n");
    F.machine.connection = id_of('y');
    expect("replaced meanwhile", "");
    F.machine = machine_of('m');
    F.machine.online = false;
    expect("gone meanwhile", "");
    F.machine = machine_of('m');
    by_token(ROLE_ADMIN);
    expect("not a person's to ask", "refused not_allowed\n");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(admitted),
        cmocka_unit_test(not_admitted),
        cmocka_unit_test(greeted_by_code),
        cmocka_unit_test(greeted_by_key),
        cmocka_unit_test(greeted_by_device),
        cmocka_unit_test(newest_wins),
        cmocka_unit_test(gone),
        cmocka_unit_test(rechecked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
