/* test_decide_account.c: logins, tokens, passwords, rights of callers: every refusal, every event.
 */
#include "deciding.h"

static void
given_login(void)
{
    given(CMD_ATTEMPT_LOGIN);
    C.attempt_login.account_name = span_str("Ann");
    F.tags.account = tag_of('a');
    F.account = account_of('u', ROLE_TECHNICIAN);
}

#define LOGIN_ATTEMPTED                                                                            \
    "login.attempted by nobody @N as a on, | month address=192.0.2.1 user_agent=ua "               \
    "account_name=Ann (policy)\n"

static void
login_attempts(void **state)
{
    static const enum rule rules[] = {
        RULE_LOGIN_NET, RULE_LOGIN_WIDE, RULE_LOGIN_ALL, RULE_LOGIN_ACCOUNT};

    (void)state;
    given_login();
    expect("a known account", LOGIN_ATTEMPTED "reply user:u attempt:100 verifier:4\n");
    assert_int_equal(decided.limit.count, 1);
    assert_int_equal(decided.limit.limit, 5);
    F.account.disabled = true;
    expect("a disabled account", LOGIN_ATTEMPTED "reply user:u attempt:100 verifier:4\n");
    F.account = (struct account_fact){0};
    expect("an unknown account", LOGIN_ATTEMPTED "reply attempt:100\n");
    for (size_t i = 0; i < ROWS(rules); i++) {
        given_login();
        exhaust(rules[i], 42);
        expect(rule_name(rules[i]), "refused too_often counted\n");
        assert_int_equal(decided.limit.limit, 5); /* the address's figures, whichever is full */
        assert_true(decided.limit.frees_us == NOW_US + 42 * US_PER_S);
    }
    given_login();
    F.limits[RULE_LOGIN_NET].count = 4;
    expect("the last slot", LOGIN_ATTEMPTED "reply user:u attempt:100 verifier:4\n");
    assert_int_equal(decided.limit.count, 5);
    F.budget = (struct budget_fact){.spent = true, .frees_us = NOW_US + 3 * US_PER_S};
    expect("strangers wrote too much", "refused too_often counted\n");
    assert_int_equal(decided.limit.count, 4);
    assert_int_equal(decided.counted_rule, RULE_NONE);
    assert_true(decided.limit.frees_us == NOW_US + 3 * US_PER_S);
    exhaust(RULE_LOGIN_WIDE, 42);
    expect("its own rule is named first", "refused too_often counted\n");
    assert_int_equal(decided.counted_rule, RULE_LOGIN_WIDE);
}

/* A device that is known is counted apart: whatever strangers did, it may try. */
static void
logins_from_known_devices(void **state)
{
    static const enum rule others[] = {
        RULE_LOGIN_NET, RULE_LOGIN_WIDE, RULE_LOGIN_ALL, RULE_LOGIN_ACCOUNT};

    (void)state;
    given_login();
    F.device = (struct device_fact){
        .mac_ok = true, .found = true, .device = id_of('v'), .user = id_of('u')};
    for (size_t i = 0; i < ROWS(others); i++)
        exhaust(others[i], 42);
    F.budget.spent = true;
    F.limits[RULE_LOGIN_DEVICE] = (struct limit_fact){.count = 9, .limit = 10, .window_s = 900};
    run(&decided, 1);
    assert_int_equal(decided.refusal, REFUSE_NONE);
    assert_int_equal(decided.draft_count, 1);
    assert_non_null(fields_find(&decided.drafts[0].data, FIELD_DEVICE));
    assert_int_equal(decided.limit.limit, 10);
    exhaust(RULE_LOGIN_DEVICE, 7);
    expect("but not without an end", "refused too_often counted\n");
    assert_int_equal(decided.counted_rule, RULE_LOGIN_DEVICE);
    F.limits[RULE_LOGIN_DEVICE].count = 0;
    F.device.mac_ok = false;
    expect("what we did not make", "refused too_often counted\n");
    F.device.mac_ok = true;
    F.device.found = false;
    expect("removed", "refused too_often counted\n");
    F.device.found = true;
    F.device.user = id_of('w');
    expect("another account's", "refused too_often counted\n");
    F.device.user = (struct id){{0}};
    F.account = (struct account_fact){0};
    expect("nobody's", "refused too_often counted\n");
}

static void
given_proof(void)
{
    given(CMD_CONCLUDE_LOGIN);
    C.conclude_login.attempt = 90;
    C.conclude_login.proven = true;
    C.conclude_login.verifier_version = 4;
    F.account = account_of('u', ROLE_ADMIN);
    F.attempt = (struct attempt_fact){.found = true,
        .type = EV_LOGIN_ATTEMPTED,
        .seq = 90,
        .user = id_of('u'),
        .verifier_version = 4,
        .tags = {.net = tag_of('N'), .account = tag_of('a')}};
}

#define LOGIN_FAILED                                                                               \
    "refused bad_login\nlogin.failed by nobody @N as a on, attempt=90 why=bad_login | month "      \
    "address=192.0.2.1 user_agent=ua\n"

static void
login_conclusions(void **state)
{
    (void)state;
    given_proof();
    expect("proven",
        "login.succeeded by user id:u login:new1 @N as a on user:u, attempt=90 family=new1 "
        "token_n=0 expires=+43200s | user of:u address=192.0.2.1 user_agent=ua (policy)\n"
        "reply user:u login:new1 role:admin issued:+0s expires:+900s\n");
    scene.policy.family_s = 600;
    expect("an access token does not outlive its family",
        "login.succeeded by user id:u login:new1 @N as a on user:u, attempt=90 family=new1 "
        "token_n=0 expires=+600s | user of:u address=192.0.2.1 user_agent=ua (policy)\n"
        "reply user:u login:new1 role:admin issued:+0s expires:+600s\n");
    given_proof();
    C.conclude_login.proven = false;
    expect("not proven", LOGIN_FAILED);
    given_proof();
    F.account.disabled = true;
    expect("disabled meanwhile", LOGIN_FAILED);
    given_proof();
    F.account = (struct account_fact){0};
    F.attempt.user = (struct id){0};
    F.attempt.verifier_version = 0;
    C.conclude_login.verifier_version = 0;
    expect("unknown account, however proven", LOGIN_FAILED);
    given_proof();
    F.account.verifier_version = 5;
    expect("password changed meanwhile", LOGIN_FAILED);
    given_proof();
    C.conclude_login.verifier_version = 3;
    expect("proof of another version", LOGIN_FAILED);
    given_proof();
    F.account.user = id_of('v');
    expect("another account", LOGIN_FAILED);
    given_proof();
    F.attempt.found = false;
    expect("attempt unknown or concluded", "refused bad_login\n");
    given_proof();
    F.attempt.type = EV_PASSWORD_ATTEMPTED;
    expect("attempt of another kind", "refused bad_login\n");
}

static void
given_refresh(void)
{
    given(CMD_REFRESH_TOKEN);
    by_token(ROLE_TECHNICIAN);
    by_nobody();
    F.account = account_of('u', ROLE_TECHNICIAN);
    F.refresh = (struct refresh_fact){.well_formed = true, .mac_ok = true, .n = 3};
    ending('s', SESSION_OPEN);
}

#define REJECTED(user, reason)                                                                     \
    "token.rejected by nobody @N on" user ", why=" reason                                          \
    " | month address=192.0.2.1 user_agent=ua (policy)\n"
#define REUSED                                                                                     \
    "refused token_reused\n"                                                                       \
    "token.reused by nobody @N on user:u, family=f token_n=2 | month address=192.0.2.1 "           \
    "user_agent=ua (policy)\n"                                                                     \
    "token.revoked by server on user:u, family=f why=reuse\n"                                      \
    "session.ended by nobody @N on session:s machine:m user:u, n=5 total=6 why=token_revoked "     \
    "channels=2 to_agent_bytes=1000 to_technician_bytes=2000 duration_us=10000000\n"               \
    "reply user:u login:f ended:s\n"

static void
refreshes(void **state)
{
    (void)state;
    given_refresh();
    expect("the newest token",
        "token.refreshed by user id:u login:f @N on user:u, family=f token_n=4 | user of:u "
        "address=192.0.2.1 user_agent=ua (policy)\n"
        "reply user:u login:f role:technician n:4 issued:+0s expires:+900s\n");
    assert_int_equal(decided.limit.count, 1);
    F.refresh.n = 2;
    F.family.rotated_us = NOW_US - 29 * US_PER_S;
    expect("the one before, at once, from the same network: the newest again",
        "reply user:u login:f role:technician n:3 issued:+0s expires:+900s\n");
    F.tags.net = tag_of('M');
    F.family.net = tag_of('N');
    expect("the one before, from elsewhere",
        "refused token_reused\n"
        "token.reused by nobody @M on user:u, family=f token_n=2 | month address=192.0.2.1 "
        "user_agent=ua (policy)\n"
        "token.revoked by server on user:u, family=f why=reuse\n"
        "session.ended by nobody @M on session:s machine:m user:u, n=5 total=6 why=token_revoked "
        "channels=2 to_agent_bytes=1000 to_technician_bytes=2000 duration_us=10000000\n"
        "reply user:u login:f ended:s\n");
    F.tags.net = tag_of('N');
    F.family.rotated_us = NOW_US - 30 * US_PER_S;
    expect("the one before, too late", REUSED);
    F.refresh.n = 1;
    F.family.rotated_us = NOW_US;
    run(&decided, 1);
    assert_int_equal(decided.refusal, REFUSE_TOKEN_REUSED); /* older ones: at no time */
    given_refresh();
    exhaust(RULE_REFRESH_NET, 9);
    expect("too often", "refused too_often counted\n");
}

static void
devices_become_known(void **state)
{
    (void)state;
    given_proof();
    C.conclude_login.remember = true;
    run(&decided, 1);
    assert_int_equal(decided.draft_count, 2);
    assert_int_equal(decided.drafts[1].type, EV_DEVICE_KNOWN);
    assert_false(id_is_nil(&decided.reply.device));
    F.oldest_device = id_of('o');
    run(&decided, 1);
    assert_int_equal(decided.draft_count, 3);
    assert_int_equal(decided.drafts[1].type, EV_DEVICE_REMOVED);
    F.attempt.device = id_of('v');
    run(&decided, 1);
    assert_int_equal(decided.draft_count, 1); /* it was known; it is told again what it shows */
    assert_true(decided.reply.device.b[0] == 'v');
    C.conclude_login.proven = false;
    run(&decided, 1);
    assert_true(id_is_nil(&decided.reply.device));
}

static void
devices_removed(void **state)
{
    (void)state;
    given(CMD_REMOVE_DEVICE);
    by_token(ROLE_TECHNICIAN);
    expect("none", "refused not_found\n");
    F.device = (struct device_fact){.found = true, .device = id_of('v'), .user = id_of('u')};
    expect("one's own", "device.removed by user id:u login:f @N on user:u, device=v why=removed\n");
    F.device.user = id_of('w');
    run(&decided, 1);
    assert_int_equal(decided.refusal, REFUSE_NOT_FOUND);
    assert_int_equal(decided.drafts[0].type, EV_ACCESS_REFUSED);
    by_token(ROLE_ADMIN);
    expect("an admin's are all",
        "device.removed by user id:u login:f @N on user:w, device=v why=removed\n");
    by_nobody();
    expect("nobody", "refused not_authenticated\n");
}

static void
refreshes_refused(void **state)
{
    (void)state;
    given_refresh();
    F.refresh.mac_ok = false;
    expect("bad MAC", "refused token_invalid\n" REJECTED(" user:u", "refresh_invalid"));
    given_refresh();
    F.refresh = (struct refresh_fact){0};
    F.family = (struct family_fact){0};
    expect("malformed", "refused token_invalid\n" REJECTED("", "refresh_invalid"));
    given_refresh();
    F.refresh.n = 4;
    expect("a number never issued",
        "refused token_invalid\ntoken.forged by nobody @N on user:u, family=f token_n=4 | month "
        "address=192.0.2.1 user_agent=ua (policy)\n");
    F.family = (struct family_fact){0};
    expect("a family never issued",
        "refused token_invalid\ntoken.forged by nobody @N on, token_n=4 | month address=192.0.2.1 "
        "user_agent=ua (policy)\n");
    given_refresh();
    F.family.revoked = true;
    expect("revoked", "refused token_revoked\n" REJECTED(" user:u", "refresh_revoked"));
    given_refresh();
    F.family.refreshed_us = NOW_US - 30 * 60 * US_PER_S;
    expect("idle", "refused token_expired\n" REJECTED(" user:u", "refresh_expired"));
    given_refresh();
    F.family.opened_us = NOW_US - 12 * 3600 * US_PER_S;
    expect("over", "refused token_expired\n" REJECTED(" user:u", "refresh_expired"));
    given_refresh();
    F.family.opened_us = NOW_US - 12 * 3600 * US_PER_S + US_PER_S - 1;
    expect("in its last second, which no token can name",
        "refused token_expired\n" REJECTED(" user:u", "refresh_expired"));
    given_refresh();
    F.account.disabled = true;
    expect("disabled", "refused account_disabled\n" REJECTED(" user:u", "account_disabled"));
}

/* Every caller by token goes through the same gate; CMD_AUTHORIZE shows it bare. */
static void
given_authorize(enum role role, enum action action)
{
    given(CMD_AUTHORIZE);
    by_token(role);
    C.authorize.action = action;
}

static void
the_gate(void **state)
{
    (void)state;
    given_authorize(ROLE_TECHNICIAN, ACTION_ME);
    expect("a good token", "reply user:u login:f role:technician\n");
    C.caller.token_n = 4;
    expect("a number never issued", "refused token_invalid\n");
    C.caller.token_n = 2;
    expect("an older access token lives its time", "reply user:u login:f role:technician\n");
    F.caller_family.found = false;
    expect("an unknown family", "refused token_invalid\n");
    given_authorize(ROLE_TECHNICIAN, ACTION_ME);
    F.caller_family.user = id_of('v');
    expect("another user's family", "refused token_invalid\n");
    given_authorize(ROLE_TECHNICIAN, ACTION_ME);
    F.caller_family.family = id_of('g');
    expect("another family", "refused token_invalid\n");
    given_authorize(ROLE_TECHNICIAN, ACTION_ME);
    F.caller_family.revoked = true;
    expect("revoked", "refused token_revoked\n");
    given_authorize(ROLE_TECHNICIAN, ACTION_ME);
    F.caller_family.refreshed_us = NOW_US - 30 * 60 * US_PER_S;
    expect("idle", "refused token_expired\n");
    given_authorize(ROLE_TECHNICIAN, ACTION_ME);
    F.caller_family.opened_us = NOW_US - 12 * 3600 * US_PER_S;
    expect("over", "refused token_expired\n");
    given_authorize(ROLE_TECHNICIAN, ACTION_ME);
    F.caller.found = false;
    expect("no such account", "refused token_invalid\n");
    given_authorize(ROLE_TECHNICIAN, ACTION_ME);
    F.caller.disabled = true;
    expect("disabled", "refused account_disabled\n");
    given_authorize(ROLE_AUDITOR, ACTION_CODE_ISSUE);
    expect("not the role for it",
        "refused not_allowed\naccess.refused by user id:u login:f @N on, action=code_issue "
        "why=role | user of:u address=192.0.2.1 user_agent=ua\n");
    given(CMD_AUTHORIZE);
    C.authorize.action = ACTION_ME;
    expect("nobody", "refused not_authenticated\n");
    by_agent();
    expect("an agent", "refused not_authenticated\n");
    by_cli();
    C.authorize.action = ACTION_SERVER_ADMIN;
    expect("the local command line", "reply role:admin\n");
}

static void
stopping(void **state)
{
    (void)state;
    given_login();
    F.stopping = true;
    expect("nothing new", "refused stopping\n");
    given_authorize(ROLE_TECHNICIAN, ACTION_ME);
    F.stopping = true;
    expect("reading goes on", "reply user:u login:f role:technician\n");
}

#define NOT_YOURS(on, action)                                                                      \
    "refused not_found\naccess.refused by user id:u login:f @N on" on ", action=" action           \
    " why=not_owner | user of:u address=192.0.2.1 user_agent=ua\n"

static void
ownership(void **state)
{
    (void)state;
    given_authorize(ROLE_TECHNICIAN, ACTION_SESSION_READ);
    C.authorize.session = id_of('s');
    F.session = session_of('s', SESSION_OPEN);
    expect("their own session", "reply user:u login:f role:technician\n");
    F.session.owner = id_of('v');
    expect("another's session", NOT_YOURS(" session:s machine:m user:v", "session_read"));
    F.caller.role = ROLE_AUDITOR;
    expect("an auditor reads all", "reply user:u login:f role:auditor\n");
    given_authorize(ROLE_TECHNICIAN, ACTION_MACHINE_READ);
    C.authorize.machine = id_of('m');
    F.machine = machine_of('m');
    expect("a machine", "reply user:u login:f role:technician\n");
    F.machine.guest = true;
    expect("another's guest", NOT_YOURS(" machine:m", "machine_read"));
    F.machine.added_by = id_of('u');
    expect("their own guest", "reply user:u login:f role:technician\n");
    given_authorize(ROLE_TECHNICIAN, ACTION_TOKEN_READ);
    C.authorize.target_user = id_of('v');
    expect("another's tokens", NOT_YOURS(" user:v", "token_read"));
    C.authorize.target_user = id_of('u');
    expect("their own tokens", "reply user:u login:f role:technician\n");
}

#define ENDED(why)                                                                                 \
    "session.ended by user id:u login:f @N on session:s machine:m user:u, n=5 total=6 why=" why    \
    " channels=2 to_agent_bytes=1000 to_technician_bytes=2000 duration_us=10000000\n"

static void
logouts(void **state)
{
    (void)state;
    given(CMD_LOGOUT);
    by_token(ROLE_TECHNICIAN);
    ending('s', SESSION_OPEN);
    ending('t', SESSION_REQUESTED);
    ending('o', SESSION_ENDED);
    expect("by access token",
        "logout by user id:u login:f @N on user:u, family=f | user of:u address=192.0.2.1 "
        "user_agent=ua\n" ENDED(
            "logout") "session.ended by user id:u login:f @N on session:t machine:m user:u, n=1 "
                      "total=2 "
                      "why=logout channels=0 to_agent_bytes=0 to_technician_bytes=0\n"
                      "reply user:u login:f ended:s ended:t\n");
    F.ending[0].family = id_of('g');
    F.ending_count = 1;
    expect("the other login's session stays",
        "logout by user id:u login:f @N on user:u, family=f | user of:u address=192.0.2.1 "
        "user_agent=ua\nreply user:u login:f\n");
    F.caller_family.revoked = true;
    expect("twice", "refused token_revoked\n");
    given(CMD_LOGOUT);
    by_cli();
    expect("the command line has no token", "refused not_authenticated\n");
    given(CMD_LOGOUT);
    by_token(ROLE_TECHNICIAN);
    by_nobody();
    F.refresh = (struct refresh_fact){.well_formed = true, .mac_ok = true, .n = 3};
    expect("by refresh token",
        "logout by user id:u login:f @N on user:u, family=f | user of:u address=192.0.2.1 "
        "user_agent=ua\nreply user:u login:f\n");
    F.refresh.n = 4;
    expect("by one never issued", "refused token_invalid\n");
    F.refresh.n = 3;
    F.refresh.mac_ok = false;
    expect("by a bad one", "refused token_invalid\n");
    F.refresh.mac_ok = true;
    F.family.revoked = true;
    expect("by a revoked one", "refused token_revoked\n");
}

static void
revocations(void **state)
{
    (void)state;
    given(CMD_REVOKE_FAMILY);
    by_token(ROLE_AUDITOR);
    F.family.family = id_of('g');
    expect("their own other login",
        "token.revoked by user id:u login:f @N on user:u, family=g why=revoked | user of:u "
        "address=192.0.2.1 user_agent=ua\nreply user:u login:g\n");
    F.family.user = id_of('v');
    expect("another's", NOT_YOURS(" user:v", "token_revoke"));
    F.caller.role = ROLE_ADMIN;
    ending('s', SESSION_OPEN);
    F.ending[0].family = id_of('g');
    expect("another's, by an admin",
        "token.revoked by user id:u login:f @N on user:v, family=g why=revoked | user of:u "
        "address=192.0.2.1 user_agent=ua\n" ENDED("revoked") "reply user:v login:g ended:s\n");
    F.family.revoked = true;
    expect("revoked already", "refused not_found\n");
    F.family.found = false;
    expect("unknown", "refused not_found\n");
    given(CMD_REVOKE_FAMILY);
    expect("nobody", "refused not_authenticated\n");
}

static void
rejections(void **state)
{
    (void)state;
    given(CMD_REJECT_TOKEN);
    C.reject_token.why = "bad_signature";
    expect("bad", "refused token_invalid\n" REJECTED("", "bad_signature"));
    assert_int_equal(decided.limit.count, 1);
    by_token(ROLE_TECHNICIAN);
    expect("the bearer is nobody, whomever the token names",
        "refused token_invalid\n" REJECTED(" user:u", "bad_signature"));
    given(CMD_REJECT_TOKEN);
    C.reject_token.why = "expired";
    expect("expired", "refused token_expired\n" REJECTED("", "expired"));
    C.reject_token.forged = true;
    C.reject_token.family = id_of('f');
    C.reject_token.token_n = 9;
    expect("forged",
        "refused token_invalid\ntoken.forged by nobody @N on, family=f token_n=9 | month "
        "address=192.0.2.1 user_agent=ua (policy)\n");
    exhaust(RULE_REFRESH_NET, 3);
    expect("a flood of them is counted", "refused too_often counted\n");
    given(CMD_REJECT_TOKEN);
    F.budget.spent = true;
    C.reject_token.why = "expired";
    expect("its bearer is no stranger", "refused token_expired\n" REJECTED("", "expired"));
    C.reject_token.why = "signature";
    expect("a stranger's is counted", "refused too_often counted\n");
    C.reject_token.forged = true;
    run(&decided, 1);
    assert_int_equal(decided.refusal, REFUSE_TOKEN_INVALID); /* always an event */
}

static void
passwords(void **state)
{
    (void)state;
    given(CMD_ATTEMPT_PASSWORD);
    by_token(ROLE_TECHNICIAN);
    expect("an attempt",
        "password.attempted by user id:u login:f @N on user:u, | user of:u address=192.0.2.1 "
        "user_agent=ua (policy)\nreply user:u attempt:100 verifier:4\n");
    assert_int_equal(decided.limit.count, 1);
    exhaust(RULE_PASSWORD_USER, 3);
    expect("too often", "refused too_often counted\n");
    by_nobody();
    expect("nobody", "refused not_authenticated\n");
    by_cli();
    expect("the command line sets, it does not prove", "refused not_authenticated\n");
}

static void
given_password(void)
{
    given(CMD_CONCLUDE_PASSWORD);
    by_token(ROLE_TECHNICIAN);
    C.conclude_password.proven = true;
    C.conclude_password.verifier = span_str("$argon2id$");
    F.attempt = (struct attempt_fact){.found = true,
        .type = EV_PASSWORD_ATTEMPTED,
        .seq = 90,
        .user = id_of('u'),
        .family = id_of('f'),
        .verifier_version = 4};
}

static void
password_conclusions(void **state)
{
    static const char refused[] =
        "refused wrong_password\npassword.refused by user id:u login:f @N on user:u, attempt=90 | "
        "user of:u address=192.0.2.1 user_agent=ua\n";

    (void)state;
    given_password();
    ending('s', SESSION_OPEN);
    F.ending[0].family = id_of('g');
    ending('k', SESSION_OPEN); /* of the login that asks: it stays */
    ending('e', SESSION_ENDED);
    F.ending[2].family = id_of('g');
    F.ending[3] = session_of('x', SESSION_OPEN); /* beyond the count */
    F.ending[3].family = id_of('g');
    expect("proven",
        "password.changed by user id:u login:f @N on user:u, attempt=90 verifier_version=5 | user "
        "of:u address=192.0.2.1 user_agent=ua\n" ENDED(
            "password_changed") "keep password of:u v5 10 bytes\ndrop password of:u v4\n"
                                "reply user:u verifier:5 ended:s\n");
    given_password();
    C.conclude_password.proven = false;
    expect("not proven", refused);
    given_password();
    F.caller.verifier_version = 5;
    expect("changed meanwhile", refused);
    given_password();
    F.attempt.found = false;
    expect("no attempt", "refused wrong_password\n");
    given_password();
    F.attempt.type = EV_LOGIN_ATTEMPTED;
    expect("an attempt of another kind", "refused wrong_password\n");
    given_password();
    F.attempt.user = id_of('v');
    expect("another's attempt", "refused wrong_password\n");
    given_password();
    F.attempt.family = id_of('g');
    expect("another login's attempt", "refused wrong_password\n");
    given_password();
    F.caller_family.revoked = true;
    expect("revoked meanwhile", "refused token_revoked\n");
}

static void
password_set(void **state)
{
    (void)state;
    given(CMD_SET_PASSWORD);
    by_cli();
    C.set_password.verifier = span_str("$argon2id$");
    F.account = account_of('u', ROLE_ADMIN);
    ending('s', SESSION_OPEN);
    expect("by the command line",
        "password.changed by cli on user:u, verifier_version=5\n"
        "session.ended by cli on session:s machine:m user:u, n=5 total=6 why=password_changed "
        "channels=2 to_agent_bytes=1000 to_technician_bytes=2000 duration_us=10000000\n"
        "keep password of:u v5 10 bytes\ndrop password of:u v4\n"
        "reply user:u verifier:5 ended:s cut-user\n");
    F.account.found = false;
    expect("nobody of that name", "refused not_found\n");
    by_token(ROLE_ADMIN);
    expect("not over the network", "refused not_allowed\n");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logins_from_known_devices),
        cmocka_unit_test(devices_become_known),
        cmocka_unit_test(devices_removed),
        cmocka_unit_test(login_attempts),
        cmocka_unit_test(login_conclusions),
        cmocka_unit_test(refreshes),
        cmocka_unit_test(refreshes_refused),
        cmocka_unit_test(the_gate),
        cmocka_unit_test(stopping),
        cmocka_unit_test(ownership),
        cmocka_unit_test(logouts),
        cmocka_unit_test(revocations),
        cmocka_unit_test(rejections),
        cmocka_unit_test(passwords),
        cmocka_unit_test(password_conclusions),
        cmocka_unit_test(password_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
