/* test_decide_transfer.c: a session that changes hands. */
#include "deciding.h"

#define SEALED " | user of:u address=192.0.2.1 user_agent=ua"
#define NOT_THEIRS                                                                                 \
    "refused not_found\naccess.refused by user id:u login:f @N on session:s machine:m user:%c, "   \
    "action=session_open why=not_owner" SEALED "\n"

static const char *
not_theirs(char owner)
{
    static char text[400];

    snprintf(text, sizeof(text), NOT_THEIRS, owner);
    return text;
}

/* User u offers session s to b. */
static void
given_offer(void)
{
    given(CMD_OFFER_TRANSFER);
    by_token(ROLE_TECHNICIAN);
    F.session = session_of('s', SESSION_OPEN);
    F.session.expires_us = NOW_US + 1000 * US_PER_S;
    F.machine = machine_of('m');
    F.account = account_of('b', ROLE_TECHNICIAN);
    C.offer_transfer = (struct offer_transfer){.session = id_of('s'), .to = span_str("bo")};
}

static void
offers(void **state)
{
    (void)state;
    given_offer();
    expect("to a technician",
        "session.transfer_offered by user id:u login:f @N on session:s machine:m user:u, n=5 "
        "to_user=b" SEALED " (policy)\nreply user:b machine:m session:s expires:+120s open\n");
    F.account.role = ROLE_AUDITOR;
    expect("to an auditor", "refused bad_value (to)\n");
    F.account = account_of('b', ROLE_ADMIN);
    F.account.disabled = true;
    expect("to a disabled one", "refused bad_value (to)\n");
    F.account.found = false;
    expect("to nobody", "refused bad_value (to)\n");
    F.account = account_of('u', ROLE_TECHNICIAN);
    expect("to oneself", "refused bad_value (to)\n");
    F.machine.online = false;
    expect("of a machine that is gone", "refused machine_offline\n");
    F.session.paused = true;
    expect("in doubt whose it is", "refused reprove_needed\n");
    F.session.state = SESSION_REQUESTED;
    expect("not consented", "refused not_consented\n");
    F.session.state = SESSION_ENDED;
    expect("ended", "refused session_ended\n");
    F.session.owner = id_of('o');
    expect("another's", not_theirs('o'));
    F.session.found = false;
    expect("unknown", "refused not_found\n");
    given_offer();
    F.session.family = id_of('g');
    run(&decided, 1);
    assert_int_equal(decided.refusal, REFUSE_NOT_ALLOWED);
    given_offer();
    F.caller.role = ROLE_AUDITOR;
    run(&decided, 1);
    assert_int_equal(decided.refusal, REFUSE_NOT_ALLOWED);
}

/* User u accepts session s of o. */
static void
given_accept(void)
{
    given(CMD_ACCEPT_TRANSFER);
    by_token(ROLE_TECHNICIAN);
    F.session = session_of('s', SESSION_OPEN);
    F.session.owner = id_of('o');
    F.session.family = id_of('g');
    F.session.offered_to = id_of('u');
    F.session.offered_us = NOW_US - 119 * US_PER_S;
    F.session.expires_us = NOW_US + 1000 * US_PER_S;
    F.machine = machine_of('m');
    C.accept_transfer.session = id_of('s');
}

#define TAKEN                                                                                      \
    "session.transferred by user id:u login:f @N on session:s machine:m user:u, n=5 ip_version=4 " \
    "from_user=o consent_mode="

static void
accepts(void **state)
{
    (void)state;
    given_accept();
    expect("unattended",
        TAKEN "unattended" SEALED " (policy)\nreply id:s user:u machine:m session:s connection:x "
              "expires:+1000s open nonce\n");
    assert_true(decided.reply.cut_channels);
    F.machine.guest = F.machine.consent_needed = true;
    expect("somebody sits there",
        TAKEN "asked" SEALED " (policy)\nreply id:s user:u machine:m session:s "
              "connection:x expires:+120s asks guest requested nonce\n");
    F.session.paused = true;
    expect("in doubt", "refused reprove_needed\n");
    F.session.offered_us = NOW_US - 120 * US_PER_S;
    expect("too late", not_theirs('o'));
    given_accept();
    F.session.offered_to = id_of('b');
    expect("offered to another", not_theirs('o'));
    F.session.offered_to = (struct id){{0}};
    expect("offered to nobody", not_theirs('o'));
    F.session.owner = id_of('u');
    expect("one's own", "refused not_found\n");
    F.session.found = false;
    expect("unknown", "refused not_found\n");
}

/* Consented to again, it ends when it would have ended. */
static void
the_end_stays(void **state)
{
    (void)state;
    given(CMD_ANSWER_CONSENT);
    by_token(ROLE_TECHNICIAN);
    by_agent();
    F.account = account_of('u', ROLE_TECHNICIAN);
    F.machine = machine_of('m');
    F.session = session_of('s', SESSION_OPEN);
    F.session.state = SESSION_REQUESTED;
    F.session.expires_us = NOW_US + 77 * US_PER_S;
    C.answer_consent = (struct answer_consent){
        .session = id_of('s'), .granted = true, .mode = "prompt", .said = said_by('d', "consent")};
    run(&decided, 1);
    assert_int_equal(decided.draft_count, 2);
    assert_int_equal(fields_u64(&decided.drafts[1].data, FIELD_EXPIRES_US), NOW_US + 77 * US_PER_S);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offers),
        cmocka_unit_test(accepts),
        cmocka_unit_test(the_end_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
