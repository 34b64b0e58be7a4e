/* test_views_fold.c: event by event, what the rows of the query views say. Each table is a story,
 * one second to a step; a step may look at one row afterwards. */
#include "tests/unit/views_steps.h"

static void
run(const struct step *steps, size_t count)
{
    struct tale *t = tale_new();
    struct mem again = {0};
    char text[8192];

    for (size_t i = 0; i < count; i++) {
        t->s->now = T0 + (int64_t)i * S;
        step_says(t, &steps[i]);
        if (steps[i].reads == NULL)
            continue;
        read_row(t, steps[i].look, steps[i].at, text, sizeof(text));
        if (strcmp(text, steps[i].reads) != 0)
            fail_msg("step %zu (%s):\n is     %s\n should %s", i,
                catalogue_event(steps[i].type)->name, text, steps[i].reads);
    }
    tale_again(t, &again, NULL);
    assert_same_rows(&t->mem, &again);
    mem_fini(&again);
    tale_free(t);
}

static void
people(void **state)
{
    static const struct step steps[] = {
        {EV_USER_REGISTERED, ACTOR_CLI, .user = ADA, .role = 1, .name = "Ada", .display = "Ada L.",
            .look = TABLE_USERS, .at = ADA, .reads = "Ada/Ada L. role 1 added 0 login - changed 0"},
        {EV_INVITE_ISSUED, ACTOR_USER, ADA, .id_field = FIELD_INVITE, .id = INV, .role = 2,
            .ends_in_an_hour = true, .look = TABLE_INVITES, .at = INV,
            .reads = "state 1 issuer 1 user 0 role 2 issued 1 expires 3601"},
        {EV_INVITE_ISSUED, ACTOR_USER, ADA, .id_field = FIELD_INVITE, .id = INV2, .role = 2},
        {EV_USER_REGISTERED, ACTOR_USER, BOB, .user = BOB, .id_field = FIELD_INVITE, .id = INV,
            .role = 2, .name = "bob", .box = BOB, .look = TABLE_INVITES, .at = INV,
            .reads = "state 2 issuer 1 user 2 role 2 issued 1 expires 3601"},
        {EV_INVITE_REVOKED, ACTOR_USER, ADA, .id_field = FIELD_INVITE, .id = INV2,
            .look = TABLE_INVITES, .at = INV2,
            .reads = "state 3 issuer 1 user 0 role 2 issued 2 expires -"},
        {EV_INVITE_REVOKED, ACTOR_USER, ADA, .id_field = FIELD_INVITE, .id = INV,
            .look = TABLE_INVITES, .at = INV, /* a used one stays used */
            .reads = "state 2 issuer 1 user 2 role 2 issued 1 expires 3601"},
        {EV_USER_CHANGED, ACTOR_USER, ADA, .user = BOB, .role = 3, .look = TABLE_USERS, .at = BOB,
            .reads = "bob/ role 3 added 3 login - changed 6"},
        {EV_USER_DISABLED, ACTOR_USER, ADA, .user = BOB, .look = TABLE_USERS, .at = BOB,
            .reads = "bob/ role 3 added 3 login - changed 7 disabled"},
        {EV_USER_ENABLED, ACTOR_USER, ADA, .user = BOB, .look = TABLE_USERS, .at = BOB,
            .reads = "bob/ role 3 added 3 login - changed 8"},
        {EV_USER_ENABLED, ACTOR_USER, ADA, .user = 3, .look = TABLE_USERS, .at = 3,
            .reads = "not found"}, /* nobody comes into being that way */
        {EV_USER_ERASED, ACTOR_USER, ADA, .user = BOB, .look = TABLE_USERS, .at = BOB,
            .reads = "/ role 3 added 3 login - changed 10 disabled erased"},
    };

    (void)state;
    run(steps, ROWS(steps));
}

static void
logins(void **state)
{
    static const struct step steps[] = {
        {EV_USER_REGISTERED, ACTOR_CLI, .user = ADA, .role = 1, .name = "ada"},
        {EV_USER_REGISTERED, ACTOR_CLI, .user = BOB, .role = 2, .name = "bob", .box = BOB},
        {LOGIN(ADA, FAM), .look = TABLE_FAMILIES, .at = FAM,
            .reads = "user 1 opened 2 refreshed 2 expires 3602 n 0 from 192.0.2.1 by browser live "
                     "-"},
        {EV_TOKEN_REFRESHED, ACTOR_USER, ADA, FAM, .user = ADA, .id_field = FIELD_FAMILY, .id = FAM,
            .token_n = 1, .address = "192.0.2.9", .look = TABLE_FAMILIES, .at = FAM,
            .reads = "user 1 opened 2 refreshed 3 expires 3602 n 1 from 192.0.2.9 by browser live "
                     "-"},
        {LOGIN(ADA, FAM2), .look = TABLE_USERS, .at = ADA,
            .reads = "ada/ role 1 added 0 login 4 changed 0"},
        {LOGIN(BOB, FAM3)},
        {EV_PASSWORD_CHANGED, ACTOR_USER, ADA, FAM2, .user = ADA, .look = TABLE_FAMILIES, .at = FAM,
            .reads = "user 1 opened 2 refreshed 3 expires 3602 n 1 from 192.0.2.9 by browser "
                     "password_changed 6"},
        {EV_HEARTBEAT, .look = TABLE_FAMILIES, .at = FAM2, /* the one that changed it stays */
            .reads = "user 1 opened 4 refreshed 4 expires 3604 n 0 from 192.0.2.1 by browser live "
                     "-"},
        {EV_TOKEN_REVOKED, ACTOR_SERVER, .user = ADA, .id_field = FIELD_FAMILY, .id = FAM,
            .why = "revoked", .look = TABLE_FAMILIES, .at = FAM, /* what is over ends once */
            .reads = "user 1 opened 2 refreshed 3 expires 3602 n 1 from 192.0.2.9 by browser "
                     "password_changed 6"},
        {EV_LOGOUT, ACTOR_USER, ADA, FAM2, .user = ADA, .id_field = FIELD_FAMILY, .id = FAM2,
            .look = TABLE_FAMILIES, .at = FAM2,
            .reads = "user 1 opened 4 refreshed 4 expires 3604 n 0 from 192.0.2.1 by browser "
                     "logout 9"},
        {EV_SECRET_ROTATED, ACTOR_CLI, .why = "routine", .look = TABLE_FAMILIES, .at = FAM3,
            .reads = "user 2 opened 5 refreshed 5 expires 3605 n 0 from 192.0.2.1 by browser live "
                     "-"},
        {EV_SECRET_ROTATED, ACTOR_CLI, .why = "leaked", .look = TABLE_FAMILIES, .at = FAM3,
            .reads = "user 2 opened 5 refreshed 5 expires 3605 n 0 from 192.0.2.1 by browser "
                     "secret_leaked 11"},
        {EV_TOKEN_REFRESHED, ACTOR_USER, BOB, FAM3, .user = BOB, .id_field = FIELD_FAMILY,
            .id = FAM3, .token_n = 5, .look = TABLE_FAMILIES, .at = FAM3,
            .reads = "user 2 opened 5 refreshed 5 expires 3605 n 0 from 192.0.2.1 by browser "
                     "secret_leaked 11"},
        {EV_USER_ERASED, ACTOR_CLI, .user = BOB, .look = TABLE_FAMILIES, .at = FAM3,
            .reads = "user 2 opened 5 refreshed 5 expires 3605 n 0 from  by  secret_leaked 11"},
    };

    (void)state;
    run(steps, ROWS(steps));
}

static void
demotion_and_disabling_end_logins(void **state)
{
    static const struct step steps[] = {
        {EV_USER_REGISTERED, ACTOR_CLI, .user = ADA, .role = 1, .name = "ada"},
        {LOGIN(ADA, FAM)},
        {EV_USER_CHANGED, ACTOR_CLI, .user = ADA, .role = 1, .look = TABLE_FAMILIES, .at = FAM,
            .reads = "user 1 opened 1 refreshed 1 expires 3601 n 0 from 192.0.2.1 by browser live "
                     "-"}, /* the same role: nothing ends */
        {EV_USER_CHANGED, ACTOR_CLI, .user = ADA, .role = 2, .look = TABLE_FAMILIES, .at = FAM,
            .reads = "user 1 opened 1 refreshed 1 expires 3601 n 0 from 192.0.2.1 by browser "
                     "role_changed 3"},
        {LOGIN(ADA, FAM2)},
        {EV_USER_DISABLED, ACTOR_CLI, .user = ADA, .look = TABLE_FAMILIES, .at = FAM2,
            .reads = "user 1 opened 4 refreshed 4 expires 3604 n 0 from 192.0.2.1 by browser "
                     "disabled 5"},
    };

    (void)state;
    run(steps, ROWS(steps));
}

static void
machines(void **state)
{
    static const struct step steps[] = {
        {EV_MACHINE_ADDED, ACTOR_USER, ADA, .machine = WEB, .label = "prod", .name = "web",
            .box = WEB, .look = TABLE_MACHINES, .at = WEB,
            .reads = "web@ from  note  added 0 seen - con 0 code 0 issuer 0 changed 0 allow 0 "
                     "labels 6 services 0"},
        {EV_KEY_ISSUED, ACTOR_USER, ADA, .machine = WEB, .id_field = FIELD_KEY, .id = KEY,
            .ends_in_an_hour = true, .look = TABLE_KEYS, .at = KEY,
            .reads = "state 1 machine 11 creator 1 issued 1 expires 3601 used -"},
        {EV_MACHINE_ENROLLED, ACTOR_AGENT, WEB, .machine = WEB, .id_field = FIELD_KEY, .id = KEY,
            .look = TABLE_KEYS, .at = KEY,
            .reads = "state 2 machine 11 creator 1 issued 1 expires 3601 used 2"},
        {EV_AGENT_CONNECTED, ACTOR_AGENT, WEB, .machine = WEB, .id_field = FIELD_CONNECTION,
            .id = CON, .label = "shell", .name = "web.local", .host = "web.lan",
            .address = "192.0.2.7", .box = WEB, .look = TABLE_MACHINES, .at = WEB,
            .reads = "web@web.lan from 192.0.2.7 note  added 0 seen 3 con 91 code 0 issuer 0 "
                     "changed 0 allow 0 labels 6 services 7 bound online"}, /* a name once given */
        {EV_MACHINE_CHANGED, ACTOR_USER, ADA, .machine = WEB, .note = "rack 4", .box = WEB,
            .look = TABLE_MACHINES, .at = WEB,
            .reads = "web@web.lan from 192.0.2.7 note rack 4 added 0 seen 3 con 91 code 0 issuer 0 "
                     "changed 4 allow 0 labels 6 services 7 bound online"},
        {EV_MACHINE_CHANGED, ACTOR_USER, ADA, .machine = WEB, .note = "", .name = "www", .box = WEB,
            .look = TABLE_MACHINES, .at = WEB,
            .reads = "www@web.lan from 192.0.2.7 note  added 0 seen 3 con 91 code 0 issuer 0 "
                     "changed 5 allow 0 labels 6 services 7 bound online"},
        {EV_ALLOWLIST_CHANGED, ACTOR_USER, ADA, .machine = WEB, .label = "10.0.0.0/8",
            .look = TABLE_MACHINES, .at = WEB,
            .reads = "www@web.lan from 192.0.2.7 note  added 0 seen 3 con 91 code 0 issuer 0 "
                     "changed 5 allow 6 labels 6 services 7 bound online"},
        {EV_ALLOWLIST_CHANGED, ACTOR_USER, ADA, .label = "10.0.0.0/8", .look = TABLE_MACHINES,
            .at = 0, /* the list for all */
            .reads = "@ from  note  added - seen - con 0 code 0 issuer 0 changed 0 allow 7 labels "
                     "0 services 0"},
        {EV_AGENT_DISCONNECTED, ACTOR_AGENT, WEB, .machine = WEB, .id_field = FIELD_CONNECTION,
            .id = CON2, .look = TABLE_MACHINES, .at = WEB, /* a connection that was replaced */
            .reads = "www@web.lan from 192.0.2.7 note  added 0 seen 3 con 91 code 0 issuer 0 "
                     "changed 5 allow 6 labels 6 services 7 bound online"},
        {EV_AGENT_DISCONNECTED, ACTOR_AGENT, WEB, .machine = WEB, .id_field = FIELD_CONNECTION,
            .id = CON, .look = TABLE_MACHINES, .at = WEB,
            .reads = "www@web.lan from 192.0.2.7 note  added 0 seen 9 con 0 code 0 issuer 0 "
                     "changed 5 allow 6 labels 6 services 7 bound"},
        {EV_KEY_REVOKED, ACTOR_USER, ADA, .machine = WEB, .id_field = FIELD_KEY, .id = KEY,
            .look = TABLE_MACHINES, .at = WEB, /* with the key goes what it bound */
            .reads = "www@web.lan from 192.0.2.7 note  added 0 seen 9 con 0 code 0 issuer 0 "
                     "changed 5 allow 6 labels 6 services 7"},
        {EV_KEY_ISSUED, ACTOR_USER, ADA, .machine = WEB, .id_field = FIELD_KEY, .id = KEY2},
        {EV_MACHINE_REMOVED, ACTOR_USER, ADA, .machine = WEB, .look = TABLE_KEYS, .at = KEY2,
            .reads = "state 3 machine 11 creator 1 issued 11 expires - used -"},
        {EV_AGENT_CONNECTED, ACTOR_AGENT, WEB, .machine = WEB, .id_field = FIELD_CONNECTION,
            .id = CON, .look = TABLE_MACHINES, .at = WEB, /* what is removed stays so */
            .reads = "www@web.lan from 192.0.2.7 note  added 0 seen 9 con 0 code 0 issuer 0 "
                     "changed 5 allow 6 labels 6 services 7 removed"},
    };

    (void)state;
    run(steps, ROWS(steps));
}

static void
a_second_key_takes_over(void **state)
{
    static const struct step steps[] = {
        {EV_MACHINE_ADDED, ACTOR_USER, ADA, .machine = WEB},
        {EV_KEY_ISSUED, ACTOR_USER, ADA, .machine = WEB, .id_field = FIELD_KEY, .id = KEY},
        {EV_MACHINE_ENROLLED, ACTOR_AGENT, WEB, .machine = WEB, .id_field = FIELD_KEY, .id = KEY},
        {EV_KEY_ISSUED, ACTOR_USER, ADA, .machine = WEB, .id_field = FIELD_KEY, .id = KEY2},
        {EV_MACHINE_REBOUND, ACTOR_AGENT, WEB, .machine = WEB, .id_field = FIELD_KEY, .id = KEY2,
            .look = TABLE_KEYS, .at = KEY2,
            .reads = "state 2 machine 11 creator 1 issued 3 expires - used 4"},
        {EV_KEY_REVOKED, ACTOR_USER, ADA, .machine = WEB, .id_field = FIELD_KEY, .id = KEY,
            .look = TABLE_MACHINES, .at = WEB, /* the first key holds nothing any more */
            .reads =
                "@ from  note  added 0 seen - con 0 code 0 issuer 0 changed 0 allow 0 labels 0 "
                "services 0 bound"},
    };

    (void)state;
    run(steps, ROWS(steps));
}

static void
guests(void **state)
{
    static const struct step steps[] = {
        {EV_CODE_ISSUED, ACTOR_USER, ADA, .code = CODE, .ends_in_an_hour = true,
            .look = TABLE_CODES, .at = CODE,
            .reads = "state 1 issuer 1 machine 0 issued 0 expires 3600 ended -"},
        {EV_CODE_REDEEMED, ACTOR_CODE, CODE, .machine = GUEST, .code = CODE, .look = TABLE_CODES,
            .at = CODE, .reads = "state 2 issuer 1 machine 13 issued 0 expires 3600 ended 1"},
        {EV_AGENT_CONNECTED, ACTOR_AGENT, GUEST, .machine = GUEST, .id_field = FIELD_CONNECTION,
            .id = CON, .name = "laptop", .box = GUEST, .look = TABLE_MACHINES, .at = GUEST,
            .reads = "laptop@ from  note  added 1 seen 2 con 91 code 31 issuer 1 changed 1 allow 1 "
                     "labels 0 services 0 guest bound online"},
        {EV_AGENT_CONNECTED, ACTOR_AGENT, GUEST, .machine = GUEST, .id_field = FIELD_CONNECTION,
            .id = CON2, .name = "laptop2", .box = GUEST, .look = TABLE_MACHINES, .at = GUEST,
            .reads = "laptop2@ from  note  added 1 seen 3 con 92 code 31 issuer 1 changed 1 allow "
                     "1 labels 0 services 0 guest bound online"},
        {EV_SERVER_STOPPED, ACTOR_SERVER, .look = TABLE_MACHINES, .at = GUEST,
            .reads = "laptop2@ from  note  added 1 seen 4 con 0 code 31 issuer 1 changed 1 allow "
                     "1 labels 0 services 0 guest bound"},
        {EV_AGENT_CONNECTED, ACTOR_AGENT, GUEST, .machine = GUEST, .id_field = FIELD_CONNECTION,
            .id = CON},
        {EV_HEARTBEAT, .kind = ACTOR_SERVER},
        {EV_SERVER_STARTED, ACTOR_SERVER, .look = TABLE_MACHINES, .at = GUEST,
            .reads = "laptop2@ from  note  added 1 seen 6 con 0 code 31 issuer 1 changed 1 allow "
                     "1 labels 0 services 0 guest bound"}, /* killed after the heartbeat */
        {EV_CODE_ISSUED, ACTOR_USER, ADA, .code = CODE2},
        {EV_CODE_EXPIRED, ACTOR_SERVER, .code = CODE2, .look = TABLE_CODES, .at = CODE2,
            .reads = "state 3 issuer 1 machine 0 issued 8 expires - ended 9"},
        {EV_CODE_REVOKED, ACTOR_USER, ADA, .code = CODE2, .look = TABLE_CODES, .at = CODE2,
            .reads = "state 3 issuer 1 machine 0 issued 8 expires - ended 9"},
    };

    (void)state;
    run(steps, ROWS(steps));
}

#define OF(ses)      .session = ses, .machine = WEB, .user = ADA
#define CHANNEL(chn) .id_field = FIELD_CHANNEL, .id = chn

static void
sessions(void **state)
{
    static const struct step steps[] = {
        {EV_USER_REGISTERED, ACTOR_CLI, .user = ADA, .role = 1, .name = "ada"},
        {EV_MACHINE_ADDED, ACTOR_USER, ADA, .machine = WEB, .name = "web", .box = WEB},
        {EV_SESSION_REQUESTED, ACTOR_USER, ADA, FAM, OF(SES), .n = 1, .reason = "disk full",
            .box = WEB, .look = TABLE_SESSIONS, .at = SES,
            .reads = "requested ada->web (disk full) asked 2 opened - ended - why  mode  events 1 "
                     "channels 0 bytes 0/0"},
        {EV_SESSION_CONSENTED, ACTOR_AGENT, WEB, OF(SES), .n = 2, .mode = "prompt",
            .look = TABLE_SESSIONS, .at = SES,
            .reads = "consented ada->web (disk full) asked 2 opened - ended - why  mode prompt "
                     "events 2 channels 0 bytes 0/0"},
        {EV_SESSION_OPENED, ACTOR_AGENT, WEB, OF(SES), .n = 3, .mode = "prompt",
            .ends_in_an_hour = true, .look = TABLE_SESSIONS, .at = SES,
            .reads = "open ada->web (disk full) asked 2 opened 4 ended - why  mode prompt events 3 "
                     "channels 0 bytes 0/0"},
        {EV_SESSION_ATTACHED, ACTOR_USER, ADA, FAM, OF(SES), .n = 4, CHANNEL(CHN),
            .service = "shell", .look = TABLE_CHANNELS, .at = CHN,
            .reads = "shell of 41 attached 5 opened - closed - why  bytes 0/0 exit 0?"},
        {EV_CHANNEL_OPENED, ACTOR_AGENT, WEB, OF(SES), .n = 5, CHANNEL(CHN), .cosigned = true,
            .look = TABLE_CHANNELS, .at = CHN,
            .reads = "shell of 41 attached 5 opened 6 closed - why  bytes 0/0 exit 0?"},
        {EV_CHANNEL_CLOSED, ACTOR_SERVER, OF(SES), .n = 6, CHANNEL(CHN), .bytes = 100,
            .why = "technician", .look = TABLE_CHANNELS, .at = CHN,
            .reads = "shell of 41 attached 5 opened 6 closed 7 why technician bytes 100/200 exit "
                     "0?"},
        {EV_CHANNEL_ATTESTED, ACTOR_AGENT, WEB, OF(SES), CHANNEL(CHN), .cosigned = true,
            .look = TABLE_CHANNELS, .at = CHN,
            .reads = "shell of 41 attached 5 opened 6 closed 7 why technician bytes 100/200 exit "
                     "0? signed"},
        {EV_SESSION_ATTACHED, ACTOR_USER, ADA, FAM, OF(SES), .n = 7, CHANNEL(CHN2),
            .service = "tcp:ssh"},
        {EV_CHANNEL_OPENED, ACTOR_AGENT, WEB, OF(SES2), .n = 8, CHANNEL(CHN2),
            .look = TABLE_CHANNELS, .at = CHN2, /* of a session that is not there */
            .reads = "tcp:ssh of 41 attached 9 opened - closed - why  bytes 0/0 exit 0?"},
        {EV_SESSION_DETACHED, ACTOR_SERVER, OF(SES), .n = 8, CHANNEL(CHN2), .why = "gone",
            .look = TABLE_CHANNELS, .at = CHN2,
            .reads = "tcp:ssh of 41 attached 9 opened - closed 11 why gone bytes 0/0 exit 0?"},
        {EV_SESSION_NOTED, ACTOR_USER, ADA, FAM, OF(SES), .n = 9, .note = "fixed"},
        {EV_SESSION_ENDED, ACTOR_USER, ADA, FAM, OF(SES), .n = 10, .bytes = 100, .why = "closed",
            .look = TABLE_SESSIONS, .at = SES,
            .reads = "ended ada->web (disk full) asked 2 opened 4 ended 13 why closed mode prompt "
                     "events 10 channels 1 bytes 100/200"},
        {EV_SESSION_OPENED, ACTOR_AGENT, WEB, OF(SES), .look = TABLE_SESSIONS, .at = SES,
            .reads = "ended ada->web (disk full) asked 2 opened 4 ended 13 why closed mode prompt "
                     "events 10 channels 1 bytes 100/200"}, /* over is over */
        {EV_USER_ERASED, ACTOR_CLI, .user = ADA, .look = TABLE_SESSIONS, .at = SES,
            .reads = "ended ->web (disk full) asked 2 opened 4 ended 13 why closed mode prompt "
                     "events 10 channels 1 bytes 100/200"},
    };

    (void)state;
    run(steps, ROWS(steps));
}

static void
sessions_end_with_the_server(void **state)
{
    static const struct step steps[] = {
        {EV_SESSION_REQUESTED, ACTOR_USER, ADA, FAM, OF(SES), .n = 1},
        {EV_SESSION_OPENED, ACTOR_USER, ADA, FAM, OF(SES), .n = 2, .mode = "unattended"},
        {EV_SESSION_ATTACHED, ACTOR_USER, ADA, FAM, OF(SES), .n = 3, CHANNEL(CHN)},
        {EV_SESSION_REQUESTED, ACTOR_USER, ADA, FAM, OF(SES2), .n = 1},
        {EV_SERVER_STARTED, ACTOR_SERVER, .look = TABLE_SESSIONS, .at = SES2,
            .reads = "ended -> () asked 3 opened - ended 4 why server_restart mode  events 1 "
                     "channels 0 bytes 0/0"},
        {EV_HEARTBEAT, .look = TABLE_SESSIONS, .at = SES, /* an open one waits for its own end */
            .reads = "open -> () asked 0 opened 1 ended - why  mode unattended events 3 channels 0 "
                     "bytes 0/0"},
        {EV_SESSION_ENDED, ACTOR_SERVER, OF(SES), .n = 4, .why = "server_restart",
            .look = TABLE_SESSIONS, .at = SES,
            .reads = "ended -> () asked 0 opened 1 ended 6 why server_restart mode unattended "
                     "events 4 channels 0 bytes 0/0 unknown"},
        {EV_HEARTBEAT, .look = TABLE_CHANNELS, .at = CHN,
            .reads = " of 41 attached 2 opened - closed 6 why server_restart bytes 0/0 exit 0?"},
        {EV_SESSION_REQUESTED, ACTOR_USER, ADA, FAM, OF(SES3), .n = 1},
        {EV_SESSION_DENIED, ACTOR_AGENT, WEB, OF(SES3), .n = 2, .mode = "prompt"},
        {EV_SESSION_ENDED, ACTOR_AGENT, WEB, OF(SES3), .n = 3, .why = "denied", .all_known = true,
            .look = TABLE_SESSIONS, .at = SES3,
            .reads = "ended -> () asked 8 opened - ended 10 why denied mode prompt events 3 "
                     "channels 0 bytes 0/0"},
        {EV_SERVER_STOPPED, ACTOR_SERVER, .look = TABLE_SESSIONS, .at = SES3,
            .reads = "ended -> () asked 8 opened - ended 10 why denied mode prompt events 3 "
                     "channels 0 bytes 0/0"},
    };

    (void)state;
    run(steps, ROWS(steps));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(people),
        cmocka_unit_test(logins),
        cmocka_unit_test(demotion_and_disabling_end_logins),
        cmocka_unit_test(machines),
        cmocka_unit_test(a_second_key_takes_over),
        cmocka_unit_test(guests),
        cmocka_unit_test(sessions),
        cmocka_unit_test(sessions_end_with_the_server),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
