/* test_decide_channel.c: tickets used, channels opened, closed and attested: every refusal, every
 * event. */
#include "deciding.h"

#define ON           " session:s machine:m user:u"
#define SEALED_MONTH " | month address=192.0.2.1 user_agent=ua"

static void
ticket(unsigned kind)
{
    F.ticket = (struct ticket_fact){.well_formed = true,
        .mac_ok = true,
        .kind = kind,
        .ticket_id = tag_of('t'),
        .session = id_of('s'),
        .family = id_of('f'),
        .channel = id_of('c'),
        .machine = id_of('m'),
        .expires_us = NOW_US + US_PER_S,
        .service = "shell"};
}

static void
given_attach(void)
{
    given(CMD_ATTACH);
    by_token(ROLE_TECHNICIAN); /* fills the owner's family */
    by_nobody();
    ticket(1);
    F.account = account_of('u', ROLE_TECHNICIAN);
    F.machine = machine_of('m');
    F.session = session_of('s', SESSION_OPEN);
    C.attach.session = id_of('s');
    C.attach.service = span_str("shell");
}

static void
attaches(void **state)
{
    static const char want[] =
        "session.attached by user id:u login:f @N on" ON
        ", n=5 channel=new1 service=shell ticket=t | user of:u address=192.0.2.1 user_agent=ua\n"
        "reply id:new1 user:u login:f machine:m session:s channel:new1 connection:x issued:+0s "
        "expires:+30s nonce service:shell\n";

    (void)state;
    given_attach();
    expect("with a good ticket", want);
    exhaust(RULE_REFRESH_NET, 5);
    expect("strangers' floods do not lock out who holds one", want);
}

#define ATTACH_REFUSED(refusal, why)                                                               \
    "refused " refusal "\nsession.attach_refused by nobody @N on" ON ", n=5 why=" why SEALED_MONTH \
    " (policy)\n"

static void
attaches_refused(void **state)
{
    (void)state;
    given_attach();
    F.ticket.used = true;
    expect("used", ATTACH_REFUSED("ticket_invalid", "ticket_used"));
    assert_int_equal(decided.limit.count, 1);
    given_attach();
    F.ticket.expires_us = NOW_US;
    expect("expired", ATTACH_REFUSED("ticket_invalid", "ticket_expired"));
    given_attach();
    F.ticket.kind = 2;
    expect("an agent's", ATTACH_REFUSED("ticket_invalid", "ticket_kind"));
    given_attach();
    C.attach.session = id_of('r');
    expect("for another session", ATTACH_REFUSED("ticket_invalid", "other_session"));
    given_attach();
    C.attach.service = span_str("desktop");
    expect("for another service", ATTACH_REFUSED("ticket_invalid", "other_service"));
    given_attach();
    F.session.state = SESSION_REQUESTED;
    expect("without consent", ATTACH_REFUSED("not_consented", "not_open"));
    given_attach();
    F.ticket.family = id_of('g');
    expect("of another login", ATTACH_REFUSED("ticket_invalid", "login_over"));
    given_attach();
    F.family.family = id_of('g');
    expect("another login's facts", ATTACH_REFUSED("ticket_invalid", "login_over"));
    given_attach();
    F.family.user = id_of('v');
    expect("another user's login", ATTACH_REFUSED("ticket_invalid", "login_over"));
    given_attach();
    F.family.revoked = true;
    expect("logged out", ATTACH_REFUSED("ticket_invalid", "login_over"));
    given_attach();
    F.family.refreshed_us = NOW_US - 30 * 60 * US_PER_S;
    expect("login idle", ATTACH_REFUSED("ticket_invalid", "login_over"));
    given_attach();
    F.account.disabled = true;
    expect("disabled", ATTACH_REFUSED("ticket_invalid", "account_disabled"));
    given_attach();
    F.account.found = false;
    expect("no such account", ATTACH_REFUSED("ticket_invalid", "account_disabled"));
    given_attach();
    F.machine.online = false;
    expect("agent gone", ATTACH_REFUSED("machine_offline", "agent_gone"));
    exhaust(RULE_REFRESH_NET, 5);
    expect("a flood of them is counted", "refused too_often counted\n");
}

/* A session that is unknown or over gets no event with a number. */
static void
attaches_to_nothing(void **state)
{
    (void)state;
    given_attach();
    F.ticket.mac_ok = false;
    expect("no ticket of ours",
        "refused ticket_invalid\ntoken.rejected by nobody @N on, why=ticket_invalid" SEALED_MONTH
        " (policy)\n");
    F.ticket = (struct ticket_fact){0};
    F.session = (struct session_fact){0};
    expect("no ticket at all",
        "refused ticket_invalid\ntoken.rejected by nobody @N on, why=ticket_invalid" SEALED_MONTH
        " (policy)\n");
    given_attach();
    F.session.state = SESSION_ENDED;
    expect("ended", "refused session_ended\ntoken.rejected by nobody @N on session:s, "
                    "why=session_ended" SEALED_MONTH " (policy)\n");
    F.session.found = false;
    expect("forgotten", "refused session_ended\ntoken.rejected by nobody @N on session:s, "
                        "why=session_ended" SEALED_MONTH " (policy)\n");
}

static void
given_channel(void)
{
    given(CMD_OPEN_CHANNEL);
    ticket(2);
    F.machine = machine_of('m');
    F.session = session_of('s', SESSION_OPEN);
    F.channel = (struct channel_fact){.found = true, .channel = id_of('c'), .session = id_of('s')};
    C.open_channel.said = said_by('d', "channel");
}

#define CHANNEL_REFUSED(refusal, on, why)                                                          \
    "refused " refusal "\nagent.rejected by nobody @N on" on                                       \
    ", credential=ticket why=" why SEALED_MONTH " (policy)\n"
#define REAL " session:s machine:m"

static void
channels(void **state)
{
    (void)state;
    given_channel();
    expect("the agent dials back",
        "channel.opened by agent id:m @N on" ON
        ", n=5 channel=c service=shell cosigned=channel ticket=t | machine of:m statement_salt=S "
        "statement_personal=3 bytes address=192.0.2.1 user_agent=ua\n"
        "reply id:c user:u login:f machine:m session:s channel:c service:shell\n");
}

static void
channels_refused(void **state)
{
    (void)state;
    given_channel();
    F.ticket.mac_ok = false;
    expect("no ticket of ours", CHANNEL_REFUSED("ticket_invalid", "", "ticket_invalid"));
    assert_int_equal(decided.limit.count, 1);
    by_agent();
    expect("who is refused is nobody", CHANNEL_REFUSED("ticket_invalid", "", "ticket_invalid"));
    given_channel();
    F.machine.removed = true;
    expect("its machine is gone", CHANNEL_REFUSED("ticket_invalid", REAL, "other_machine"));
    given_channel();
    F.ticket.kind = 1;
    expect("a technician's", CHANNEL_REFUSED("ticket_invalid", REAL, "ticket_kind"));
    given_channel();
    F.ticket.used = true;
    expect("used", CHANNEL_REFUSED("ticket_invalid", REAL, "ticket_used"));
    given_channel();
    F.ticket.expires_us = NOW_US;
    expect("expired", CHANNEL_REFUSED("ticket_invalid", REAL, "ticket_expired"));
    given_channel();
    F.session.state = SESSION_ENDED;
    expect("session over", CHANNEL_REFUSED("session_ended", REAL, "session_ended"));
    given_channel();
    F.session.session = id_of('r');
    expect("another session's facts", CHANNEL_REFUSED("session_ended", REAL, "session_ended"));
    given_channel();
    F.channel.open = true;
    expect("open already", CHANNEL_REFUSED("ticket_invalid", REAL, "channel_gone"));
    given_channel();
    F.channel.closed = true;
    expect("closed already", CHANNEL_REFUSED("ticket_invalid", REAL, "channel_gone"));
    given_channel();
    F.channel.found = false;
    expect("no such channel", CHANNEL_REFUSED("ticket_invalid", REAL, "channel_gone"));
    given_channel();
    F.channel.channel = id_of('b');
    expect("another channel", CHANNEL_REFUSED("ticket_invalid", REAL, "channel_gone"));
    given_channel();
    F.channel.session = id_of('r');
    expect("another session's channel", CHANNEL_REFUSED("ticket_invalid", REAL, "channel_gone"));
    given_channel();
    F.machine.machine = id_of('o');
    expect("another machine's facts", CHANNEL_REFUSED("ticket_invalid", REAL, "other_machine"));
    given_channel();
    F.ticket.machine = id_of('o');
    expect("another machine's ticket",
        CHANNEL_REFUSED("ticket_invalid", " session:s machine:o", "other_machine"));
    given_channel();
    C.open_channel.said.verified = false;
    expect("unsigned", CHANNEL_REFUSED("bad_statement", REAL, "bad_statement"));
    given_channel();
    C.open_channel.said = said_by('e', "channel");
    expect("signed by another device", CHANNEL_REFUSED("bad_statement", REAL, "bad_statement"));
    exhaust(RULE_AGENT_REFUSED_NET, 5);
    expect("a flood of them is counted", "refused too_often counted\n");
}

static void
given_close(void)
{
    given(CMD_CLOSE_CHANNEL);
    by_server();
    F.machine = machine_of('m');
    F.session = session_of('s', SESSION_OPEN);
    F.channel = (struct channel_fact){
        .found = true, .open = true, .channel = id_of('c'), .session = id_of('s')};
    C.close_channel = (struct close_channel){.session = id_of('s'),
        .channel = id_of('c'),
        .to_agent_bytes = 10,
        .to_technician_bytes = 20,
        .duration_us = 30,
        .has_exit = true,
        .exit_status = -1,
        .why = "exit",
        .said = said_by('d', "close")};
}

#define CLOSED(on, n, tail)                                                                        \
    "channel.closed by server on" on "," n " channel=c why=exit to_agent_bytes=10 "                \
    "to_technician_bytes=20 duration_us=30" tail "\nreply id:c session:s channel:c\n"

static void
closes(void **state)
{
    (void)state;
    given_close();
    expect("signed by the agent", CLOSED(ON, " n=5", " exit_status=-1 cosigned=close"));
    C.close_channel.has_exit = false;
    expect("without an exit status", CLOSED(ON, " n=5", " cosigned=close"));
    F.channel.open = false;
    expect("never opened", CLOSED(ON, " n=5", " cosigned=close"));
    C.close_channel.said.verified = false;
    expect("no signature in time", CLOSED(ON, " n=5", " agent_why=no_answer"));
    C.close_channel.agent_why = "agent_gone";
    expect("nobody to sign", CLOSED(ON, " n=5", " agent_why=agent_gone"));
    C.close_channel.said = said_by('e', "close");
    expect("signed by another device", CLOSED(ON, " n=5", " agent_why=unknown_device"));
    F.session.state = SESSION_ENDED;
    C.close_channel.said = said_by('d', "close");
    expect("after the session: no number, as the total is said", CLOSED(ON, "", " cosigned=close"));
    F.session = (struct session_fact){0};
    F.channel = (struct channel_fact){0};
    F.machine = (struct machine_fact){0};
    expect("of a forgotten session: no fold could place it", "refused not_found\n");
    given_close();
    F.channel.closed = true;
    expect("twice", "refused not_found\n");
    F.session.state = SESSION_ENDED;
    expect("twice, after the session", "refused not_found\n");
    given_close();
    F.channel = (struct channel_fact){0};
    expect("unknown", "refused not_found\n");
    by_agent();
    expect("only the relay counts bytes", "refused not_allowed\n");
}

static void
given_attest(void)
{
    given_close();
    C.kind = CMD_ATTEST_CHANNEL;
    by_agent();
    F.channel.open = false;
    F.channel.closed = true;
    C.attest_channel = (struct attest_channel){
        .session = id_of('s'), .channel = id_of('c'), .said = said_by('d', "close")};
}

static void
attests(void **state)
{
    static const char want[] =
        "channel.attested by agent id:m @N on" ON ", channel=c cosigned=close\n";

    (void)state;
    given_attest();
    expect("a late signature", want);
    F.session.state = SESSION_ENDED;
    expect("after the session", want);
    C.attest_channel.said = said_by('e', "close");
    expect("another device's", "refused bad_statement\n");
    C.attest_channel.said.verified = false;
    expect("none", "refused bad_statement\n");
    F.channel.closed = false;
    expect("not closed", "refused not_found\n");
    given_attest();
    F.channel.session = id_of('r');
    expect("another session's channel", "refused not_found\n");
    given_attest();
    F.session.machine = id_of('o');
    expect("another machine's session", "refused not_found\n");
    given_attest();
    F.channel.found = false;
    expect("unknown", "refused not_found\n");
    given_attest();
    F.session.found = false;
    expect("forgotten", "refused not_found\n");
    by_server();
    expect("not by the server", "refused not_allowed\n");
}

static void
detaches(void **state)
{
    (void)state;
    given_close();
    C.kind = CMD_DETACH;
    C.detach = (struct detach){.session = id_of('s'), .why = "peer_gone"};
    expect("the agent's socket was on its way",
        "channel.closed by server on" ON ", n=5 channel=c why=peer_gone to_agent_bytes=0 "
        "to_technician_bytes=0 duration_us=0 agent_why=no_answer\nreply session:s\n");
    F.channel.session = id_of('t');
    expect("another session's channel",
        "session.detached by server on" ON ", n=5 why=peer_gone\nreply session:s\n");
    F.channel.session = id_of('s');
    F.channel.open = false;
    expect("the technician's socket is gone",
        "session.detached by server on" ON ", n=5 why=peer_gone\nreply session:s\n");
    F.session.state = SESSION_ENDED;
    expect("after the session", "refused session_ended\n");
    F.session.found = false;
    expect("unknown", "refused not_found\n");
    by_token(ROLE_ADMIN);
    expect("only the relay sees sockets go", "refused not_allowed\n");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attaches),
        cmocka_unit_test(attaches_refused),
        cmocka_unit_test(attaches_to_nothing),
        cmocka_unit_test(channels),
        cmocka_unit_test(channels_refused),
        cmocka_unit_test(closes),
        cmocka_unit_test(attests),
        cmocka_unit_test(detaches),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
