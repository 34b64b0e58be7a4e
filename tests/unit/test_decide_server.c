/* test_decide_server.c: log, policy, keys, clock, start, stop, time, audit: every refusal, every
 * event. */
#include "deciding.h"

#define BY_ADMIN " by user id:u login:f @N on"
#define SEALED   " | user of:u address=192.0.2.1 user_agent=ua"
#define NOT_THEIR_ROLE(action)                                                                     \
    "refused not_allowed\naccess.refused" BY_ADMIN ", action=" action " why=role" SEALED "\n"

static void
audit_read(void **state)
{
    (void)state;
    given(CMD_READ_AUDIT);
    by_token(ROLE_AUDITOR);
    C.read_audit.action = "events";
    C.read_audit.query = span_str("type=login.failed");
    expect("by an auditor",
        "audit.read" BY_ADMIN ", action=events query=type=login.failed" SEALED "\n");
    C.read_audit.query = (struct span){0};
    expect("all of it", "audit.read" BY_ADMIN ", action=events" SEALED "\n");
    F.caller.role = ROLE_TECHNICIAN;
    expect("by a technician", NOT_THEIR_ROLE("audit_read"));
    by_cli();
    expect("by the command line", "audit.read by cli on, action=events\n");
}

static void
audit_exported(void **state)
{
    (void)state;
    given(CMD_EXPORT_AUDIT);
    by_token(ROLE_AUDITOR);
    C.export_audit.action = "log";
    expect("by an auditor", "audit.exported" BY_ADMIN ", action=log" SEALED "\n");
    F.caller.role = ROLE_TECHNICIAN;
    expect("by a technician", NOT_THEIR_ROLE("audit_read"));
    by_cli();
    expect("by the command line", "audit.exported by cli on, action=log\n");
}

static void
log_opened(void **state)
{
    (void)state;
    given(CMD_OPEN_LOG);
    by_cli();
    F.log_empty = true;
    C.open_log.origin = "gatehouse.test";
    memset(C.open_log.root_pk, 'r', 32);
    memset(C.open_log.log_pk, 'l', 32);
    memset(C.open_log.event_pk, 'e', 32);
    memset(C.open_log.root_sig, 's', 64);
    expect("the first event",
        "log.opened by cli on, origin=gatehouse.test root_key=r log_key=l event_key=e root_sig=s\n"
        "keep origin v1 32 bytes\nkeep origin v2 32 bytes\nkeep origin v3 32 bytes\n"
        "keep origin v4 32 bytes\n");
    assert_memory_not_equal(decided.secrets[0].bytes.ptr, decided.secrets[1].bytes.ptr, 32);
    F.log_empty = false;
    expect("only the first", "refused not_allowed\n");
    by_token(ROLE_ADMIN);
    expect("not over the network", "refused not_allowed\n");
}

static void
policy_adopted(void **state)
{
    static uint8_t bytes[1024];
    size_t len;

    (void)state;
    given(CMD_ADOPT_POLICY);
    by_token(ROLE_ADMIN);
    assert_int_equal(policy_encode(&scene.policy, bytes, sizeof(bytes), &len), OK);
    C.adopt_policy.policy = span_of(bytes, len);
    run(&decided, 1);
    assert_int_equal(decided.refusal, REFUSE_NONE);
    assert_int_equal(decided.draft_count, 1);
    assert_int_equal(decided.drafts[0].type, EV_POLICY_ADOPTED);
    assert_true(
        span_equal(fields_span(&decided.drafts[0].data, FIELD_POLICY_BYTES), span_of(bytes, len)));
    C.adopt_policy.has_base = true;
    memset(C.adopt_policy.base.b, 'b', HASH_BYTES);
    expect("made from another one", "refused changed_meanwhile (policy)\n");
    F.policy_adopted = true;
    F.policy_hash = C.adopt_policy.base;
    run(&decided, 1);
    assert_int_equal(decided.refusal, REFUSE_NONE);
    C.adopt_policy.policy = span_of(bytes, len - 1);
    expect("cut short", "refused bad_value (policy)\n");
    F.caller.role = ROLE_TECHNICIAN;
    expect("by a technician", NOT_THEIR_ROLE("server_admin"));
}

static void
started(void **state)
{
    (void)state;
    given(CMD_START_SERVER);
    by_server();
    memset(C.start_server.kernel_boot.b, 'b', 16);
    memset(C.start_server.world_digest.b, 'w', 32);
    C.start_server.digest_version = 2;
#define STARTED                                                                                    \
    "server.started by server on, version=" GATEHOUSE_VERSION                                      \
    " boottime_us=7777 kernel_boot=b digest=w digest_version=2 anchor_shares_device="
    expect("quiet", STARTED "0\n");
    C.start_server.anchor_shares_device = true;
    C.start_server.clock_stepped = true;
    C.start_server.wall_error_us = -5;
    ending('s', SESSION_OPEN);
    ending('t', SESSION_REQUESTED);
    expect("with a false clock and what the last run left open", STARTED
        "1\nclock.stepped by server on, wall_error_us=-5 why=start\n"
        "session.ended by server on session:s machine:m user:u, n=5 total=6 why=server_restart "
        "channels=2\n"
        "session.ended by server on session:t machine:m user:u, n=1 total=2 why=server_restart "
        "channels=0\nreply ended:s ended:t\n");
    C.start_server.clock_stepped = false;
    C.start_server.secret_known = true;
    memset(C.start_server.fingerprint.b, 'f', 32);
    F.ending_count = 0;
    expect("with the secret that the log knows", STARTED "1 fingerprint=f\n");
    by_token(ROLE_ADMIN);
    expect("not over the network", "refused not_allowed\n");
}

static void
stopped(void **state)
{
    (void)state;
    given(CMD_STOP_SERVER);
    by_server();
    F.stopping = true;
    C.stop_server.why = "signal";
    ending('t', SESSION_REQUESTED);
    ending('e', SESSION_ENDED);
    expect("with what is open",
        "session.ended by server on session:t machine:m user:u, n=1 total=2 why=server_stopped "
        "channels=0 to_agent_bytes=0 to_technician_bytes=0\n"
        "server.stopped by server on, why=signal\nreply ended:t\n");
    F.refusal_rows = strings("");
    F.refusals_total = 3;
    F.refusals_generation = 9;
    expect("and what was counted",
        "session.ended by server on session:t machine:m user:u, n=1 total=2 why=server_stopped "
        "channels=0 to_agent_bytes=0 to_technician_bytes=0\n"
        "refusals.counted by server on, rows=1 bytes total=3 generation=9\n"
        "server.stopped by server on, why=signal\nreply ended:t\n");
    F.ending_more = true;
    expect("more than one decision can end: asked again",
        "session.ended by server on session:t machine:m user:u, n=1 total=2 why=server_stopped "
        "channels=0 to_agent_bytes=0 to_technician_bytes=0\nreply ended:t\n");
    by_token(ROLE_ADMIN);
    expect("not over the network", "refused not_allowed\n");
}

/* The largest decision there is fits. */
static void
everything_ends(void **state)
{
    (void)state;
    given(CMD_STOP_SERVER);
    by_server();
    C.stop_server.why = "signal";
    for (int i = 0; i < ENDING_MAX; i++)
        ending((char)('0' + i), SESSION_OPEN);
    run(&decided, 1);
    assert_int_equal(decided.draft_count, ENDING_MAX + 1);
    assert_int_equal(decided.reply.ended_count, ENDING_MAX);
}

static void
due(enum due_kind kind, char letter, const char *why)
{
    F.due[F.due_count++] = (struct due){.kind = kind, .id = id_of(letter), .why = why};
}

static void
time_passes(void **state)
{
    (void)state;
    given(CMD_TIME_PASSED);
    by_server();
    expect("nothing is due", "");
    C.time_passed =
        (struct time_passed){.heartbeat = true, .clock_stepped = true, .wall_error_us = 2000000};
    F.machine = machine_of('g');
    F.machine.guest = true;
    F.refusal_rows = strings("");
    F.refusals_total = 12;
    ending('s', SESSION_OPEN);
    ending('t', SESSION_REQUESTED);
    due(DUE_CODE, 'c', "expired");
    due(DUE_REQUEST, 't', "consent_timeout");
    due(DUE_SESSION, 's', "max_duration");
    due(DUE_GUEST, 'g', "idle");
    due(DUE_REFUSALS, '0', NULL);
    expect("everything at once",
        "clock.stepped by server on, wall_error_us=2000000\n"
        "code.expired by server on code:c,\n"
        "session.ended by server on session:t machine:m user:u, n=1 total=2 why=consent_timeout "
        "channels=0 to_agent_bytes=0 to_technician_bytes=0 (policy)\n"
        "session.ended by server on session:s machine:m user:u, n=5 total=6 why=max_duration "
        "channels=2 to_agent_bytes=1000 to_technician_bytes=2000 duration_us=10000000 (policy)\n"
        "agent.disconnected by server on machine:g, connection=x why=machine_removed\n"
        "machine.removed by server on machine:g, why=idle (policy)\n"
        "refusals.counted by server on, rows=1 bytes total=12 generation=0\n"
        "heartbeat by server on, boottime_us=7777 (policy)\n"
        "drop code of:c v0\n"
        "reply machine:g connection:x ended:t ended:s cut-connection\n");
    by_nobody();
    expect("not over the network", "refused not_allowed\n");
}

static void
due_no_more(void **state)
{
    (void)state;
    given(CMD_TIME_PASSED);
    by_server();
    due(DUE_SESSION, 's', "idle");
    due(DUE_GUEST, 'g', "idle");
    due(DUE_REFUSALS, '0', NULL);
    expect("gone before its time", "");
    ending('s', SESSION_ENDED);
    F.machine = machine_of('h');
    expect("ended before its time, and another machine's facts", "");
    F.machine = machine_of('g');
    F.machine.removed = true;
    expect("removed before its time", "");
    given(CMD_TIME_PASSED);
    by_server();
    for (int i = 0; i < DUE_MAX; i++)
        due(DUE_CODE, (char)('0' + i), "expired");
    C.time_passed.heartbeat = true;
    run(&decided, 1);
    assert_int_equal(decided.draft_count, DUE_MAX + 1);
    assert_int_equal(decided.secret_count, DUE_MAX);
}

static void
keys_rotated(void **state)
{
    (void)state;
    given(CMD_ROTATE_KEY);
    by_cli();
    F.key_epoch = 4;
    F.log_epoch = 7;
    C.rotate_key.epoch = 5;
    memset(C.rotate_key.new_pk, 'n', 32);
    memset(C.rotate_key.possession_sig, 'p', 64);
    memset(C.rotate_key.other_sig, 'o', 64);
    expect("the event key", "key.rotated by cli on, key_role=event epoch=5 new_key=n "
                            "possession_sig=p other_sig=o\n");
    C.rotate_key.log_key = true;
    expect("not the log key's next epoch", "refused key_rotating\n");
    C.rotate_key.epoch = 8;
    expect("the log key", "key.rotated by cli on, key_role=log epoch=8 new_key=n "
                          "possession_sig=p other_sig=o\n");
    by_token(ROLE_TECHNICIAN);
    expect("by a technician", NOT_THEIR_ROLE("server_admin"));
}

static void
secret_rotated(void **state)
{
    (void)state;
    given(CMD_ROTATE_SECRET);
    by_cli();
    ending('s', SESSION_OPEN);
    memset(C.rotate_secret.fingerprint.b, 'f', 32);
    expect("in good order", "secret.rotated by cli on, why=routine fingerprint=f\n");
    C.rotate_secret.until_us = NOW_US + 900 * US_PER_S;
    expect("with a grace", "secret.rotated by cli on, why=routine fingerprint=f expires=+900s\n");
    C.rotate_secret.until_us = NOW_US + 902 * US_PER_S;
    expect("longer than a token lives", "refused bad_value (grace_s)\n");
    C.rotate_secret.until_us = NOW_US + 900 * US_PER_S;
    C.rotate_secret.leaked = true;
    expect("a leaked one has no grace", "refused bad_value (grace_s)\n");
    C.rotate_secret.until_us = 0;
    expect("leaked",
        "secret.rotated by cli on, why=leaked fingerprint=f\n"
        "session.ended by cli on session:s machine:m user:u, n=5 total=6 why=secret_leaked "
        "channels=2 to_agent_bytes=1000 to_technician_bytes=2000 duration_us=10000000\n"
        "reply ended:s\n");
    by_token(ROLE_AUDITOR);
    expect("by an auditor", NOT_THEIR_ROLE("server_admin"));
    by_server();
    C.rotate_secret.leaked = false;
    F.ending_count = 0;
    expect("found at the start", "secret.rotated by server on, why=restart fingerprint=f\n");
}

static void
clock_accepted(void **state)
{
    (void)state;
    given(CMD_ACCEPT_CLOCK);
    by_cli();
    expect("it is right as it is", "");
    F.clock_stepped = true;
    expect("it ran away meanwhile", "clock.accepted by cli on,\n");
    F.clock_stepped = false;
    F.clock_unsure = true;
    expect("an admin vouches for it", "clock.accepted by cli on,\n");
    by_token(ROLE_TECHNICIAN);
    expect("by a technician", NOT_THEIR_ROLE("server_admin"));
}

static void
alerts_acknowledged(void **state)
{
    (void)state;
    given(CMD_ACK_ALERT);
    by_token(ROLE_ADMIN);
    C.ack_alert = (struct ack_alert){.seq = 40, .rule = span_str("flood"), .note = span_str("ok")};
    F.alert = (struct alert_fact){.found = true, .seq = 40, .rule = span_str("flood")};
    expect("by an admin", "alert.acknowledged by user id:u login:f @N on, alert_seq=40 "
                          "alert_rule=flood | user of:u address=192.0.2.1 user_agent=ua note=ok\n");
    F.alert.rule = span_str("audit_gap");
    expect("another rule's", "refused not_found\n");
    F.alert.found = false;
    expect("not there, or acknowledged before", "refused not_found\n");
    by_token(ROLE_AUDITOR);
    expect("auditors read", NOT_THEIR_ROLE("alert_ack"));
}

/* Every command has its file; what a stopping server still does is in the table of decision.c. */
static void
every_command_is_decided(void **state)
{
    static const enum command_kind refused_while_stopping[] = {CMD_ATTEMPT_LOGIN,
        CMD_CONCLUDE_LOGIN, CMD_REFRESH_TOKEN, CMD_ATTEMPT_PASSWORD, CMD_CONCLUDE_PASSWORD,
        CMD_ATTEMPT_REPROVE, CMD_CONCLUDE_REPROVE, CMD_SET_PASSWORD, CMD_ISSUE_INVITE,
        CMD_ATTEMPT_REGISTER, CMD_CONCLUDE_REGISTER, CMD_ADD_USER, CMD_ISSUE_CODE,
        CMD_VALIDATE_CODE, CMD_ADD_MACHINE, CMD_CHANGE_MACHINE, CMD_ISSUE_KEY, CMD_ADMIT_AGENT,
        CMD_GREET_AGENT, CMD_OPEN_SESSION, CMD_ANSWER_CONSENT, CMD_ISSUE_TICKET, CMD_ATTACH,
        CMD_OPEN_CHANNEL, CMD_OFFER_TRANSFER, CMD_ACCEPT_TRANSFER, CMD_OPEN_LOG, CMD_ADOPT_POLICY,
        CMD_START_SERVER, CMD_ROTATE_KEY};
    size_t refused = 0;

    (void)state;
    for (int kind = CMD_NONE + 1; kind < CMD_COUNT; kind++) {
        given((enum command_kind)kind);
        if (kind == CMD_REJECT_TOKEN)
            C.reject_token.why = "bad";
        F.stopping = true;
        run(&decided, 1);
        if (decided.refusal == REFUSE_STOPPING) {
            assert_true(refused < ROWS(refused_while_stopping));
            assert_int_equal(refused_while_stopping[refused], kind);
            refused++;
        }
    }
    assert_int_equal(refused, ROWS(refused_while_stopping));
    for (enum caller_kind kind = CALLER_CLI; kind <= CALLER_SERVER; kind++) {
        given(CMD_VALIDATE_CODE);
        C.caller.kind = kind;
        F.stopping = true;
        run(&decided, 1);
        assert_int_equal(
            decided.refusal, kind == CALLER_AGENT ? REFUSE_STOPPING : REFUSE_CODE_INVALID);
    }
}

/* Which commands from outside are refused as `refusal` when `doubt` says that something is wrong.
 */
static void
refused_when(bool *doubt, enum refusal refusal, const enum command_kind *want, size_t count)
{
    size_t refused = 0;

    for (int kind = CMD_NONE + 1; kind < CMD_COUNT; kind++) {
        given((enum command_kind)kind);
        if (kind == CMD_REJECT_TOKEN)
            C.reject_token.why = "bad";
        *doubt = true;
        run(&decided, 1);
        if (decided.refusal != refusal)
            continue;
        if (refused == count || want[refused] != (enum command_kind)kind)
            fail_msg("command %d is refused, and should not be", kind);
        assert_int_equal(decided.draft_count, 0);
        assert_true(decided.count_refusal);
        refused++;
    }
    assert_int_equal(refused, count);
    given(CMD_VALIDATE_CODE);
    by_cli();
    *doubt = true;
    run(&decided, 1);
    assert_int_equal(decided.refusal, REFUSE_CODE_INVALID); /* who repairs it is not stopped */
}

/* New work; but people may log in, read, revoke, and end what is open. */
static void
nothing_new_while_the_clock_is_unsure(void **state)
{
    static const enum command_kind refused[] = {CMD_REFRESH_TOKEN, CMD_ATTEMPT_PASSWORD,
        CMD_ATTEMPT_REPROVE, CMD_SET_PASSWORD, CMD_ISSUE_INVITE, CMD_ATTEMPT_REGISTER, CMD_ADD_USER,
        CMD_ISSUE_CODE, CMD_VALIDATE_CODE, CMD_ADD_MACHINE, CMD_CHANGE_MACHINE, CMD_ISSUE_KEY,
        CMD_ADMIT_AGENT, CMD_GREET_AGENT, CMD_OPEN_SESSION, CMD_ISSUE_TICKET, CMD_ATTACH,
        CMD_OFFER_TRANSFER, CMD_ACCEPT_TRANSFER, CMD_OPEN_LOG, CMD_ADOPT_POLICY, CMD_START_SERVER,
        CMD_ROTATE_KEY};

    (void)state;
    refused_when(&F.clock_unsure, REFUSE_CLOCK_UNSURE, refused, ROWS(refused));
}

static void
nothing_new_on_a_full_disk(void **state)
{
    static const enum command_kind refused[] = {CMD_ATTEMPT_PASSWORD, CMD_SET_PASSWORD,
        CMD_ISSUE_INVITE, CMD_ATTEMPT_REGISTER, CMD_ADD_USER, CMD_ISSUE_CODE, CMD_VALIDATE_CODE,
        CMD_ADD_MACHINE, CMD_CHANGE_MACHINE, CMD_ISSUE_KEY, CMD_ADMIT_AGENT, CMD_GREET_AGENT,
        CMD_OPEN_SESSION, CMD_ISSUE_TICKET, CMD_ATTACH, CMD_OFFER_TRANSFER, CMD_ACCEPT_TRANSFER,
        CMD_OPEN_LOG, CMD_ADOPT_POLICY, CMD_START_SERVER, CMD_ROTATE_KEY};

    (void)state;
    refused_when(&F.low_space, REFUSE_LOW_SPACE, refused, ROWS(refused));
}

/* A secret of one command must not lie about for the next to find. */
static void
scratch_is_wiped(void **state)
{
    (void)state;
    given(CMD_OPEN_LOG);
    by_cli();
    F.log_empty = true;
    C.open_log.origin = "gatehouse.test";
    run(&decided, 1);
    assert_true(decided.arena_len >= 4 * 32);
    given(CMD_ACCEPT_CLOCK);
    by_cli();
    run(&decided, 1);
    assert_true(sodium_is_zero(decided.arena, sizeof(decided.arena)));
    assert_true(sodium_is_zero((const uint8_t *)&decided.reply, sizeof(decided.reply)));
    given(CMD_ADOPT_POLICY);
    by_cli();
    run(&decided, 1);
    assert_string_equal(decided.field, "policy");
    given(CMD_ACCEPT_CLOCK);
    by_cli();
    run(&decided, 1);
    assert_null(decided.field);
    assert_null(decided.detail);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(audit_read),
        cmocka_unit_test(audit_exported),
        cmocka_unit_test(log_opened),
        cmocka_unit_test(policy_adopted),
        cmocka_unit_test(started),
        cmocka_unit_test(stopped),
        cmocka_unit_test(everything_ends),
        cmocka_unit_test(time_passes),
        cmocka_unit_test(due_no_more),
        cmocka_unit_test(keys_rotated),
        cmocka_unit_test(secret_rotated),
        cmocka_unit_test(clock_accepted),
        cmocka_unit_test(alerts_acknowledged),
        cmocka_unit_test(every_command_is_decided),
        cmocka_unit_test(nothing_new_while_the_clock_is_unsure),
        cmocka_unit_test(nothing_new_on_a_full_disk),
        cmocka_unit_test(scratch_is_wiped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
