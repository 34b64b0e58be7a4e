/* test_decide_session.c: asking, consent, tickets, notes and the end: every refusal, every event.
 */
#include "deciding.h"

#define BY_USER " by user id:u login:f @N on"
#define SEALED  " | user of:u address=192.0.2.1 user_agent=ua"
#define NOT_YOURS(on, action)                                                                      \
    "refused not_found\naccess.refused" BY_USER on ", action=" action " why=not_owner" SEALED "\n"
#define NOT_THEIR_ROLE(action)                                                                     \
    "refused not_allowed\naccess.refused" BY_USER ", action=" action " why=role" SEALED "\n"
#define TOTALS " channels=2 to_agent_bytes=1000 to_technician_bytes=2000 duration_us=10000000"

static void
given_request(void)
{
    given(CMD_OPEN_SESSION);
    by_token(ROLE_TECHNICIAN);
    C.open_session.reason = span_str("disk full");
    F.machine = machine_of('m');
}

#define REQUESTED                                                                                  \
    "session.requested" BY_USER " session:new1 machine:m user:u, n=0 ip_version=4" SEALED          \
    " | machine of:m reason_text=disk full (policy)\n"

static void
requests(void **state)
{
    (void)state;
    given_request();
    expect("an unattended machine",
        REQUESTED "session.opened" BY_USER " session:new1 machine:m user:u, n=1 expires=+14400s "
                  "consent_mode=unattended (policy)\n"
                  "reply id:new1 user:u machine:m session:new1 connection:x expires:+14400s open "
                  "nonce\n");
    assert_int_equal(decided.limit.count, 1);
    F.machine.guest = true;
    F.machine.consent_needed = true;
    F.machine.added_by = id_of('u');
    expect("their guest",
        REQUESTED "reply id:new1 user:u machine:m session:new1 connection:x expires:+120s asks "
                  "guest requested nonce\n");
    C.open_session.reason = (struct span){0};
    expect("without a reason",
        "session.requested" BY_USER " session:new1 machine:m user:u, n=0 ip_version=4" SEALED
        " (policy)\n"
        "reply id:new1 user:u machine:m session:new1 connection:x expires:+120s asks guest "
        "requested nonce\n");
}

static void
requests_refused(void **state)
{
    (void)state;
    given_request();
    F.machine.guest = true;
    expect("another's guest", NOT_YOURS(" machine:m", "session_open"));
    F.caller.role = ROLE_ADMIN;
    expect("another's guest, which an admin sees",
        "refused not_allowed\naccess.refused" BY_USER
        " machine:m, action=session_open why=not_owner" SEALED "\n");
    given_request();
    F.machines_lately = 10;
    run(&decided, 1);
    assert_null(fields_find(&decided.drafts[0].data, FIELD_MACHINES));
    F.machines_lately = 11;
    run(&decided, 1);
    assert_int_equal(fields_u64(&decided.drafts[0].data, FIELD_MACHINES), 11);
    F.machine.online = false;
    expect("offline", "refused machine_offline\n");
    exhaust(RULE_SESSION_USER, 2);
    expect("too often", "refused too_often counted\n");
    F.machine.removed = true;
    expect("removed", "refused not_found\n");
    F.machine.found = false;
    expect("unknown", "refused not_found\n");
    F.caller.role = ROLE_AUDITOR;
    expect("by an auditor", NOT_THEIR_ROLE("session_open"));
    by_cli();
    expect("by no user", "refused not_allowed\n");
    by_nobody();
    expect("by nobody", "refused not_authenticated\n");
}

static void
given_answer(bool granted)
{
    given(CMD_ANSWER_CONSENT);
    by_token(ROLE_TECHNICIAN); /* fills the owner's family */
    by_agent();
    F.account = account_of('u', ROLE_TECHNICIAN);
    F.machine = machine_of('m');
    F.session = session_of('s', SESSION_REQUESTED);
    C.answer_consent = (struct answer_consent){.session = id_of('s'),
        .granted = granted,
        .mode = "prompt",
        .said = said_by('d', "consent")};
}

#define BY_AGENT " by agent id:m @N on session:s machine:m user:u"
#define STATED                                                                                     \
    " | machine of:m address=192.0.2.1 user_agent=ua statement_salt=S "                            \
    "statement_personal=3 bytes\n"

static void
answers(void **state)
{
    static const char owner_gone[] =
        "session.consented" BY_AGENT ", n=1 cosigned=consent consent_mode=prompt" STATED
        "session.ended" BY_AGENT ", n=2 total=3 why=owner_gone channels=0 to_agent_bytes=0 "
        "to_technician_bytes=0\n"
        "reply id:s user:u machine:m session:s connection:x ended ended:s\n";

    (void)state;
    given_answer(true);
    expect("yes", "session.consented" BY_AGENT ", n=1 cosigned=consent consent_mode=prompt" STATED
                  "session.opened" BY_AGENT ", n=2 expires=+14400s consent_mode=prompt (policy)\n"
                  "reply id:s user:u machine:m session:s connection:x expires:+14400s open\n");
    F.family.revoked = true;
    expect("yes, to somebody who is logged out", owner_gone);
    F.family.revoked = false;
    F.account.disabled = true;
    expect("yes, to somebody who is disabled", owner_gone);
    given_answer(false);
    expect("no", "session.denied" BY_AGENT ", n=1 cosigned=consent consent_mode=prompt" STATED
                 "session.ended" BY_AGENT
                 ", n=2 total=3 why=denied channels=0 to_agent_bytes=0 to_technician_bytes=0\n"
                 "reply id:s user:u machine:m session:s connection:x ended ended:s\n");
}

static void
answers_refused(void **state)
{
    (void)state;
    given_answer(true);
    F.session.state = SESSION_OPEN;
    expect("answered before", "refused session_ended\n");
    F.session.state = SESSION_ENDED;
    expect("too late", "refused session_ended\n");
    F.session.found = false;
    expect("unknown", "refused not_found\n");
    given_answer(true);
    F.session.machine = id_of('o');
    expect("another machine's session",
        "refused not_found\nagent.alarmed by agent id:m @N on machine:m, rule=foreign_session | "
        "machine of:m address=192.0.2.1 user_agent=ua\n");
    given_answer(true);
    C.answer_consent.said.verified = false;
    expect("unsigned",
        "refused bad_statement\nagent.alarmed by agent id:m @N on machine:m, rule=bad_statement | "
        "machine of:m address=192.0.2.1 user_agent=ua\n");
    given_answer(true);
    C.answer_consent.said = said_by('e', "consent");
    run(&decided, 1); /* signed, by another device */
    assert_int_equal(decided.refusal, REFUSE_BAD_STATEMENT);
    given_answer(true);
    F.machine.connection = id_of('y');
    expect("over a connection that was replaced", "refused machine_offline\n");
    given_answer(true);
    F.machine.online = false;
    expect("from nowhere", "refused machine_offline\n");
    given_answer(true);
    by_token(ROLE_ADMIN);
    expect("by a person", "refused not_allowed\n");
}

static void
given_ticket(void)
{
    given(CMD_ISSUE_TICKET);
    by_token(ROLE_TECHNICIAN);
    F.machine = machine_of('m');
    F.session = session_of('s', SESSION_OPEN);
    C.issue_ticket.session = id_of('s');
    C.issue_ticket.service = span_str("tcp:web");
}

static void
tickets(void **state)
{
    (void)state;
    given_ticket();
    expect("for a service that is on",
        "reply user:u login:f machine:m session:s issued:+0s expires:+30s nonce "
        "service:tcp:web\n");
    C.issue_ticket.service = span_str("tcp:db");
    expect("for one that is off", "refused service_off\n");
    C.issue_ticket.service = span_str("tcp:we");
    expect("for the beginning of a name", "refused service_off\n");
    C.issue_ticket.service =
        span_str("tcp:0123456789012345678901234567890123456789012345678901234567890");
    assert_int_equal(C.issue_ticket.service.len, 65);
    C.issue_ticket.service.len = 64;
    F.machine.services =
        strings("tcp:012345678901234567890123456789012345678901234567890123456789");
    expect("for a longer name than a ticket holds", "refused service_off\n");
    C.issue_ticket.service.len = 63;
    F.machine.services = strings("tcp:01234567890123456789012345678901234567890123456789012345678");
    run(&decided, 1);
    assert_int_equal(decided.refusal, REFUSE_NONE);
    F.machine.services = (struct span){0};
    expect("none is on", "refused service_off\n");
    given_ticket();
    F.machine.online = false;
    expect("offline", "refused machine_offline\n");
    F.session.state = SESSION_REQUESTED;
    expect("not consented", "refused not_consented\n");
    F.session.state = SESSION_ENDED;
    expect("ended", "refused session_ended\n");
    F.session.found = false;
    expect("unknown", "refused not_found\n");
    given_ticket();
    F.session.owner = id_of('v');
    expect("another's", NOT_YOURS(" session:s machine:m user:v", "session_open"));
    F.caller.role = ROLE_ADMIN;
    expect("another's, by an admin", NOT_YOURS(" session:s machine:m user:v", "session_open"));
    given_ticket();
    F.session.family = id_of('g');
    expect("another login's",
        "refused not_allowed\naccess.refused" BY_USER
        " session:s machine:m user:u, action=session_open why=other_login" SEALED "\n");
    F.caller.role = ROLE_AUDITOR;
    expect("by an auditor", NOT_THEIR_ROLE("session_open"));
}

static void
given_end(void)
{
    given(CMD_END_SESSION);
    by_token(ROLE_TECHNICIAN);
    F.machine = machine_of('m');
    F.session = session_of('s', SESSION_OPEN);
    C.end_session.session = id_of('s');
}

#define ENDED_REPLY "reply id:s user:u machine:m session:s connection:x ended ended:s\n"

static void
ends(void **state)
{
    (void)state;
    given_end();
    expect("by its owner",
        "session.ended" BY_USER " session:s machine:m user:u, n=5 total=6 why=closed" TOTALS SEALED
        "\n" ENDED_REPLY);
    F.session.state = SESSION_REQUESTED;
    expect("before consent",
        "session.ended" BY_USER " session:s machine:m user:u, n=5 total=6 why=withdrawn channels=2 "
        "to_agent_bytes=1000 to_technician_bytes=2000" SEALED "\n" ENDED_REPLY);
    F.session.state = SESSION_ENDED;
    expect("twice", "refused session_ended\n");
    F.session.found = false;
    expect("unknown", "refused not_found\n");
    given_end();
    F.session.owner = id_of('v');
    expect("another's", NOT_YOURS(" session:s machine:m user:v", "session_end"));
    F.caller.role = ROLE_ADMIN;
    expect("another's, by an admin",
        "session.ended" BY_USER
        " session:s machine:m user:v, n=5 total=6 why=terminated" TOTALS SEALED
        "\nreply id:s user:v machine:m session:s connection:x ended ended:s\n");
    F.caller.role = ROLE_AUDITOR;
    expect("by an auditor", NOT_THEIR_ROLE("session_end"));
    by_cli();
    expect("by the command line",
        "session.ended by cli on session:s machine:m user:v, n=5 total=6 why=terminated" TOTALS
        "\nreply id:s user:v machine:m session:s connection:x ended ended:s\n");
    by_server();
    C.end_session.why = "idle";
    expect("by the server, which says why",
        "session.ended by server on session:s machine:m user:v, n=5 total=6 why=idle" TOTALS
        "\nreply id:s user:v machine:m session:s connection:x ended ended:s\n");
    by_nobody();
    expect("by nobody", "refused not_authenticated\n");
}

static void
notes(void **state)
{
    (void)state;
    given_end();
    C.kind = CMD_NOTE_SESSION;
    C.note_session.note = span_str("rebooted");
    expect("by its owner", "session.noted" BY_USER " session:s machine:m user:u, n=5" SEALED
                           " | machine of:m note=rebooted\nreply id:s session:s\n");
    F.session.owner = id_of('v');
    F.caller.role = ROLE_ADMIN;
    expect("another's, by an admin",
        "session.noted" BY_USER " session:s machine:m user:v, n=5" SEALED
        " | machine of:m note=rebooted\nreply id:s session:s\n");
    F.session.state = SESSION_ENDED;
    expect("too late: the total is said", "refused session_ended\n");
    F.caller.role = ROLE_TECHNICIAN;
    expect("another's", NOT_YOURS(" session:s machine:m user:v", "session_note"));
    F.session.found = false;
    expect("unknown", "refused not_found\n");
    F.caller.role = ROLE_AUDITOR;
    expect("by an auditor", NOT_THEIR_ROLE("session_note"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests),
        cmocka_unit_test(requests_refused),
        cmocka_unit_test(answers),
        cmocka_unit_test(answers_refused),
        cmocka_unit_test(tickets),
        cmocka_unit_test(ends),
        cmocka_unit_test(notes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
