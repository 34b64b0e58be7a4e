/* test_alerts.c: which events alert, how alerts join, end, and what happens when there are many. */
#include "tests/unit/story.h"

enum { USER = 11, OTHER, MACHINE, SES, SES2 };

static uint64_t
alert(struct story *s, enum event_type type, enum field field, const char *word, uint64_t session)
{
    say(s, type);
    by(s, ACTOR_USER, USER, 0);
    about(s, session, MACHINE, USER, 0);
    if (field != FIELD_NONE)
        with_str(s, field, word);
    told(s);
    return s->w->size - 1;
}

/* Every rule by an event that opens it, and one of the same type that does not. */
static void
rules(void **state)
{
    static const struct {
        enum event_type type;
        enum field field;
        const char *word, *rule; /* rule NULL: none */
    } cases[] = {
        {EV_TOKEN_REUSED, 0, NULL, "refresh_reuse"},
        {EV_TOKEN_FORGED, 0, NULL, "token_forged"},
        {EV_TOKEN_REJECTED, 0, NULL, NULL},
        {EV_SESSION_SUSPECTED, FIELD_NET_MODE, "note", "session_network"},
        {EV_SESSION_BOUND, 0, NULL, NULL},
        {EV_ACCESS_REFUSED, FIELD_WHY, "not_owner", "foreign_session"},
        {EV_ACCESS_REFUSED, FIELD_WHY, "role", NULL},
        {EV_SESSION_ATTACH_REFUSED, FIELD_WHY, "ticket_used", "ticket_replayed"},
        {EV_SESSION_ATTACH_REFUSED, FIELD_WHY, "ticket_expired", NULL},
        {EV_SESSION_REQUESTED, FIELD_MACHINES, "\x0b", "many_machines"},
        {EV_SESSION_REQUESTED, 0, NULL, NULL},
        {EV_PASSWORD_REFUSED, 0, NULL, "proof_failed"},
        {EV_AGENT_ALARMED, FIELD_RULE, "second_device", "cloned_agent"},
        {EV_AGENT_ALARMED, FIELD_RULE, "network_changed", "agent_network"},
        {EV_AGENT_ALARMED, FIELD_RULE, "foreign_session", "agent_misbehaves"},
        {EV_POLICY_ADOPTED, FIELD_WEAKENED, "session_s", "policy_weakened"},
        {EV_POLICY_ADOPTED, 0, NULL, NULL},
        {EV_CLOCK_STEPPED, 0, NULL, "clock_stepped"},
        {EV_SECRET_ROTATED, FIELD_WHY, "leaked", "secret_leaked"},
        {EV_SECRET_ROTATED, FIELD_WHY, "routine", NULL},
        {EV_KEY_COMPROMISED, 0, NULL, "key_compromised"},
        {EV_AUDIT_GAP, 0, NULL, "audit_gap"},
        {EV_REFUSALS_COUNTED, 0, NULL, "flood"},
        {EV_HEARTBEAT, 0, NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct event ev = {.type = cases[i].type};
        const struct alert_rule *rule;
        struct id what;

        ev.subject.session = id_n(SES);
        if (cases[i].field == FIELD_MACHINES)
            fields_add_u64(&ev.data, FIELD_MACHINES, 11);
        else if (cases[i].field != 0)
            fields_add_span(&ev.data, cases[i].field, span_str(cases[i].word));
        rule = alert_rule_of(&ev, &what);
        if ((rule == NULL) != (cases[i].rule == NULL) ||
            (rule != NULL && strcmp(rule->name, cases[i].rule) != 0))
            fail_msg("case %zu: %s", i, rule == NULL ? "none" : rule->name);
        assert_true(rule == NULL || alert_rule_named(span_str(rule->name)) == rule);
    }
    assert_null(alert_rule_named(span_str("flo")));
}

static void
joined_and_acknowledged(void **state)
{
    struct story *s = story_new();
    uint64_t first, second;

    (void)state;
    first = alert(s, EV_SESSION_SUSPECTED, FIELD_NET_MODE, "pause", SES);
    second = alert(s, EV_SESSION_SUSPECTED, FIELD_NET_MODE, "pause", SES2);
    assert_null(alert_find(s->w, alert(s, EV_SESSION_SUSPECTED, FIELD_NET_MODE, "pause", SES)));
    assert_int_equal(alert_find(s->w, first)->count, 2);
    assert_int_equal(alert_find(s->w, first)->last_seq, second + 1);
    assert_int_equal(alert_find(s->w, second)->count, 1); /* another session is another alert */
    say(s, EV_ALERT_ACKNOWLEDGED);
    with_u(s, FIELD_ALERT_SEQ, first);
    with_str(s, FIELD_ALERT_RULE, "flood");
    told(s);
    assert_non_null(alert_find(s->w, first)); /* not that one's rule */
    say(s, EV_ALERT_ACKNOWLEDGED);
    with_u(s, FIELD_ALERT_SEQ, first);
    with_str(s, FIELD_ALERT_RULE, "session_network");
    told(s);
    assert_null(alert_find(s->w, first));
    assert_non_null(alert_find(s->w, second));
    assert_non_null(alert_find(s->w, alert(s, EV_SESSION_SUSPECTED, 0, NULL, SES)));
    story_end(s, s->w->strays);
}

static void
no_more_than_there_is_room_for(void **state)
{
    struct story *s = story_new();
    uint64_t shared = 0;

    (void)state;
    for (uint64_t i = 0; i < ALERTS_OPEN_MAX; i++)
        alert(s, EV_SESSION_SUSPECTED, 0, NULL, 1000 + i);
    assert_int_equal(s->w->alerts.by_key.count, ALERTS_OPEN_MAX);
    shared = alert(s, EV_SESSION_SUSPECTED, 0, NULL, 5000);
    assert_non_null(alert_find(s->w, shared)); /* one for all that follow */
    for (uint64_t i = 0; i < 100; i++)
        alert(s, EV_SESSION_SUSPECTED, 0, NULL, 6000 + i);
    assert_int_equal(alert_find(s->w, shared)->count, 101);
    alert(s, EV_SESSION_SUSPECTED, 0, NULL, 1000); /* what is open already still joins its own */
    assert_int_equal(alert_find(s->w, shared)->count, 101);
    for (uint64_t i = 0; i < 100; i++)
        alert(s, EV_AGENT_ALARMED, FIELD_RULE, i % 2 ? "second_device" : "x", 0);
    assert_true(s->w->alerts.by_key.count <= ALERTS_OPEN_MAX + 3);
    story_end(s, s->w->strays);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules),
        cmocka_unit_test(joined_and_acknowledged),
        cmocka_unit_test(no_more_than_there_is_room_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
