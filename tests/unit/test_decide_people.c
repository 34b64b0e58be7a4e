/* test_decide_people.c: invitations, registration, changes of accounts: every refusal, every event.
 */
#include "deciding.h"

#define BY_ADMIN " by user id:u login:f @N on"
#define SEALED   " | user of:u address=192.0.2.1 user_agent=ua"

static void
given_admin(enum command_kind kind)
{
    given(kind);
    by_token(ROLE_ADMIN);
}

static void
invites(void **state)
{
    (void)state;
    given_admin(CMD_ISSUE_INVITE);
    C.issue_invite.role = ROLE_AUDITOR;
    expect("issued",
        "invite.issued" BY_ADMIN ", invite=new1 role=3 expires=+604800s" SEALED " (policy)\n"
        "keep invite of:new1 v0 43 bytes\n"
        "reply id:new1 role:auditor expires:+604800s secret:74\n");
    assert_memory_equal(decided.reply.secret, "inv_", 4);
    assert_memory_equal(decided.reply.secret + 31, decided.secrets[0].bytes.ptr, 43);
    C.issue_invite.role = ROLE_NONE;
    expect("for no role", "refused bad_value (role)\n");
    C.issue_invite.role = (enum role)4;
    expect("for an unknown role", "refused bad_value (role)\n");
    F.caller.role = ROLE_TECHNICIAN;
    expect("by a technician", "refused not_allowed\naccess.refused" BY_ADMIN
                              ", action=invite_issue why=role" SEALED "\n");

    given_admin(CMD_REVOKE_INVITE);
    F.invite = (struct invite_fact){.found = true, .live = true, .invite = id_of('i')};
    expect("revoked",
        "invite.revoked" BY_ADMIN ", invite=i" SEALED "\ndrop invite of:i v0\nreply id:i\n");
    F.invite.live = false;
    expect("used or expired", "refused not_found\n");
    F.invite.found = false;
    expect("unknown", "refused not_found\n");
    by_nobody();
    expect("by nobody", "refused not_authenticated\n");
}

static void
given_newcomer(void)
{
    given(CMD_ATTEMPT_REGISTER);
    C.attempt_register.invite = id_of('i');
    C.attempt_register.account_name = span_str("Bob");
    F.tags.account = tag_of('b');
    F.account_name_free = true;
    F.invite = (struct invite_fact){.found = true,
        .live = true,
        .secret_ok = true,
        .invite = id_of('i'),
        .role = ROLE_AUDITOR,
        .issuer = id_of('a')};
}

#define ATTEMPTED(invite)                                                                          \
    "register.attempted by nobody @N as b on," invite " | month address=192.0.2.1 user_agent=ua "  \
    "account_name=Bob (policy)\n"
#define REFUSED(attempt, why)                                                                      \
    "register.refused by nobody @N as b on, attempt=" attempt " why=" why                          \
    " | month address=192.0.2.1 user_agent=ua\n"

static void
register_attempts(void **state)
{
    static const enum rule rules[] = {RULE_REGISTER_NET, RULE_REGISTER_ALL};

    (void)state;
    given_newcomer();
    expect("invited", ATTEMPTED(" invite=i") "reply role:auditor attempt:100\n");
    assert_int_equal(decided.limit.count, 1);
    F.account_name_free = false;
    expect("name taken",
        "refused name_taken (account_name)\n" ATTEMPTED(" invite=i") REFUSED("100", "name_taken"));
    F.invite.secret_ok = false;
    expect("the secret comes first: names are not for strangers",
        "refused invite_invalid\n" ATTEMPTED(" invite=i") REFUSED("100", "invite_invalid"));
    given_newcomer();
    F.invite.live = false;
    expect("used or expired",
        "refused invite_invalid\n" ATTEMPTED(" invite=i") REFUSED("100", "invite_invalid"));
    given_newcomer();
    F.invite.found = false;
    expect("unknown",
        "refused invite_invalid\n" ATTEMPTED(" invite=i") REFUSED("100", "invite_invalid"));
    given_newcomer();
    C.attempt_register.invite = (struct id){0};
    F.invite = (struct invite_fact){0};
    expect("uninvited", "refused invite_invalid\n" ATTEMPTED("") REFUSED("100", "invite_invalid"));
    scene.policy.registration_open = 1;
    expect("an open door", ATTEMPTED("") "reply role:technician attempt:100\n");
    for (size_t i = 0; i < ROWS(rules); i++) {
        given_newcomer();
        exhaust(rules[i], 5);
        expect(rule_name(rules[i]), "refused too_often counted\n");
        assert_int_equal(decided.limit.limit, 2);
    }
}

static void
given_registration(void)
{
    given_newcomer();
    C.kind = CMD_CONCLUDE_REGISTER;
    C.conclude_register.attempt = 90;
    C.conclude_register.account_name = span_str("Bob");
    C.conclude_register.display_name = span_str("Bob B.");
    C.conclude_register.verifier = span_str("$argon2id$");
    F.attempt = (struct attempt_fact){.found = true,
        .type = EV_REGISTER_ATTEMPTED,
        .seq = 90,
        .invite = id_of('i'),
        .role = ROLE_AUDITOR,
        .tags = {.net = tag_of('N'), .account = tag_of('b')}};
}

#define REGISTERED(role, data, sealed)                                                             \
    "user.registered by user id:new1 @N as b on user:new1, role=" role                             \
    " account=b verifier_version=1 attempt=90" data                                                \
    " | user of:new1 account_name=Bob display_name=Bob B. address=192.0.2.1 "                      \
    "user_agent=ua" sealed "\n"

static void
registrations(void **state)
{
    (void)state;
    given_registration();
    expect("invited", REGISTERED("3", " invite=i", "") "keep password of:new1 v1 10 bytes\n"
                                                       "drop invite of:i v0\n"
                                                       "reply id:new1 user:new1 role:auditor "
                                                       "verifier:1\n");
    F.account_name_free = false;
    expect(
        "name taken meanwhile", "refused name_taken (account_name)\n" REFUSED("90", "name_taken"));
    given_registration();
    F.invite.live = false;
    expect("invitation used meanwhile", "refused invite_invalid\n" REFUSED("90", "invite_invalid"));
    given_registration();
    F.attempt.found = false;
    expect("no attempt", "refused invite_invalid\n");
    given_registration();
    F.attempt.type = EV_LOGIN_ATTEMPTED;
    expect("an attempt of another kind", "refused invite_invalid\n");
    given_registration();
    F.tags.account = tag_of('c');
    expect("another name than was attempted", "refused invite_invalid\n");
    given_registration();
    F.attempt.invite = (struct id){0};
    expect("door closed meanwhile", "refused invite_invalid\n" REFUSED("90", "invite_invalid"));
    scene.policy.registration_open = 1;
    expect("through an open door",
        REGISTERED("2", "", " (policy)") "keep password of:new1 v1 10 bytes\n"
                                         "reply id:new1 user:new1 role:technician verifier:1\n");
}

static void
added_users(void **state)
{
    (void)state;
    given(CMD_ADD_USER);
    by_cli();
    C.add_user = (struct add_user){.role = ROLE_ADMIN,
        .account_name = span_str("root"),
        .display_name = span_str("Root"),
        .verifier = span_str("$argon2id$")};
    F.tags.account = tag_of('r');
    F.account_name_free = true;
    expect("by the command line",
        "user.registered by cli as r on user:new1, role=1 account=r verifier_version=1 | user "
        "of:new1 account_name=root display_name=Root\nkeep password of:new1 v1 10 bytes\n"
        "reply id:new1 user:new1 role:admin verifier:1\n");
    C.add_user.display_name = (struct span){0};
    expect("without a display name",
        "user.registered by cli as r on user:new1, role=1 account=r verifier_version=1 | user "
        "of:new1 account_name=root\nkeep password of:new1 v1 10 bytes\n"
        "reply id:new1 user:new1 role:admin verifier:1\n");
    C.add_user.role = ROLE_NONE;
    expect("for no role", "refused bad_value (role)\n");
    C.add_user.role = ROLE_ADMIN;
    F.account_name_free = false;
    expect("name taken", "refused name_taken (account_name)\n");
    by_token(ROLE_ADMIN);
    expect("not over the network", "refused not_allowed\n");
}

static void
given_change(enum role role)
{
    given_admin(CMD_CHANGE_USER);
    C.change_user = (struct change_user){.user = id_of('v'), .disabled = -1};
    F.account = account_of('v', role);
    ending('s', SESSION_OPEN);
    F.ending[0].owner = id_of('v');
    F.ending[0].family = id_of('g');
}

#define ENDED(why)                                                                                 \
    "session.ended" BY_ADMIN " session:s machine:m user:v, n=5 total=6 why=" why                   \
    " channels=2 to_agent_bytes=1000 to_technician_bytes=2000 duration_us=10000000\n"

static void
changes(void **state)
{
    (void)state;
    given_change(ROLE_TECHNICIAN);
    C.change_user.role = ROLE_AUDITOR;
    expect("demoted", "user.changed" BY_ADMIN " user:v, role=3" SEALED
                      "\n" ENDED("demoted") "reply id:v user:v role:auditor ended:s cut-user\n");
    C.change_user.role = ROLE_ADMIN;
    expect("promoted: the old tokens speak with the old role",
        "user.changed" BY_ADMIN " user:v, role=1" SEALED
        "\n" ENDED("role_changed") "reply id:v user:v role:admin ended:s cut-user\n");
    C.change_user.role = ROLE_TECHNICIAN;
    expect("the same role", "reply id:v user:v role:technician\n");
    C.change_user.role = ROLE_NONE;
    expect("nothing", "reply id:v user:v role:technician\n");
    C.change_user.disabled = 1;
    expect("disabled", "user.disabled" BY_ADMIN " user:v," SEALED "\n" ENDED(
                           "disabled") "reply id:v user:v role:technician ended:s cut-user\n");
    C.change_user.role = ROLE_AUDITOR;
    expect("both", "user.changed" BY_ADMIN " user:v, role=3" SEALED "\nuser.disabled" BY_ADMIN
                   " user:v," SEALED
                   "\n" ENDED("disabled") "reply id:v user:v role:auditor ended:s cut-user\n");
    given_change(ROLE_TECHNICIAN);
    F.account.disabled = true;
    C.change_user.disabled = 1;
    expect("disabled already", "reply id:v user:v role:technician\n");
    C.change_user.disabled = 0;
    expect("enabled",
        "user.enabled" BY_ADMIN " user:v," SEALED "\nreply id:v user:v role:technician\n");
}

static void
changes_refused(void **state)
{
    (void)state;
    given_change(ROLE_TECHNICIAN);
    C.change_user.role = (enum role)9;
    expect("an unknown role", "refused bad_value (role)\n");
    given_change(ROLE_TECHNICIAN);
    C.change_user.disabled = 1;
    C.change_user.if_match = 49;
    expect("changed meanwhile", "refused changed_meanwhile\n");
    C.change_user.if_match = 50;
    run(&decided, 1);
    assert_int_equal(decided.refusal, REFUSE_NONE);
    F.account.found = false;
    expect("unknown", "refused not_found\n");
    given_change(ROLE_ADMIN);
    F.account.admins_active = 1;
    C.change_user.disabled = 1;
    expect("the last admin disabled", "refused last_admin\n");
    C.change_user.disabled = -1;
    C.change_user.role = ROLE_AUDITOR;
    expect("the last admin demoted", "refused last_admin\n");
    C.change_user.role = ROLE_ADMIN;
    expect("the last admin stays admin", "reply id:v user:v role:admin\n");
    F.account.disabled = true;
    C.change_user.role = ROLE_AUDITOR;
    run(&decided, 1); /* not one of the active ones */
    assert_int_equal(decided.refusal, REFUSE_NONE);
    given_change(ROLE_TECHNICIAN);
    F.caller.role = ROLE_AUDITOR;
    expect("an auditor writes",
        "refused not_allowed\naccess.refused" BY_ADMIN ", action=user_change why=role" SEALED "\n");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(invites),
        cmocka_unit_test(register_attempts),
        cmocka_unit_test(registrations),
        cmocka_unit_test(added_users),
        cmocka_unit_test(changes),
        cmocka_unit_test(changes_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
