/* alert_rules.c: the table of what alerts. Its names are in the log (alert.acknowledged) and in
 * URLs: a row is added, never renamed. Pure; any thread. */
#include "projections/alert_rules.h"

#include <sodium.h>

enum about { ABOUT_ALL, ABOUT_SESSION, ABOUT_MACHINE, ABOUT_USER, ABOUT_ACTOR };

/* A row matches an event of its type whose `field` (if any) is there and says `word` (if any). */
static const struct rule_row {
    struct alert_rule rule;
    enum event_type type;
    enum field field;
    const char *word;
    enum about about;
} rows[] = {
    {{"refresh_reuse", ALERT_CRITICAL,
         "A refresh token that was replaced was used again: it was copied. The login was ended; "
         "have its owner log in again and look at what it did."},
        EV_TOKEN_REUSED, FIELD_NONE, NULL, ABOUT_USER},
    {{"token_forged", ALERT_CRITICAL,
         "A token with a right signature that this log never issued: the token secret is known to "
         "somebody else. Replace it as leaked."},
        EV_TOKEN_FORGED, FIELD_NONE, NULL, ABOUT_ALL},
    {{"session_network", ALERT_CRITICAL,
         "A session's login was used from a network that the session is not bound to: its owner "
         "has moved, or a token was stolen."},
        EV_SESSION_SUSPECTED, FIELD_NONE, NULL, ABOUT_SESSION},
    {{"foreign_session", ALERT_CRITICAL,
         "Somebody used the id of a session that is another user's: ids leak, or an account is "
         "misused."},
        EV_ACCESS_REFUSED, FIELD_WHY, "not_owner", ABOUT_SESSION},
    {{"ticket_replayed", ALERT_WARNING,
         "A one-time ticket came a second time: it was copied on its way."},
        EV_SESSION_ATTACH_REFUSED, FIELD_WHY, "ticket_used", ABOUT_SESSION},
    {{"many_machines", ALERT_WARNING,
         "One user asked for sessions on unusually many machines within ten minutes."},
        EV_SESSION_REQUESTED, FIELD_MACHINES, NULL, ABOUT_ACTOR},
    {{"proof_failed", ALERT_WARNING, "Somebody who holds a login could not prove to be its owner."},
        EV_PASSWORD_REFUSED, FIELD_NONE, NULL, ABOUT_USER},
    {{"cloned_agent", ALERT_CRITICAL,
         "Two devices use one API key or one device key: one is a copy. Revoke the key."},
        EV_AGENT_ALARMED, FIELD_RULE, "second_device", ABOUT_MACHINE},
    {{"agent_network", ALERT_WARNING,
         "A machine's agent came from another network: the machine has moved, or its key was "
         "copied."},
        EV_AGENT_ALARMED, FIELD_RULE, "network_changed", ABOUT_MACHINE},
    {{"agent_misbehaves", ALERT_CRITICAL,
         "An agent spoke of sessions that are not its own, or with a signature that does not hold: "
         "it is broken or hostile."},
        EV_AGENT_ALARMED, FIELD_NONE, NULL, ABOUT_MACHINE},
    {{"policy_weakened", ALERT_WARNING, "The policy now lets pass what it did not before."},
        EV_POLICY_ADOPTED, FIELD_WEAKENED, NULL, ABOUT_ALL},
    {{"clock_stepped", ALERT_WARNING,
         "The wall clock was set by more than a second: look why, then accept it."},
        EV_CLOCK_STEPPED, FIELD_NONE, NULL, ABOUT_ALL},
    {{"secret_leaked", ALERT_CRITICAL,
         "The token secret was replaced because it leaked: all logins were ended."},
        EV_SECRET_ROTATED, FIELD_WHY, "leaked", ABOUT_ALL},
    {{"key_compromised", ALERT_CRITICAL, "A signing key was declared compromised."},
        EV_KEY_COMPROMISED, FIELD_NONE, NULL, ABOUT_ALL},
    {{"audit_gap", ALERT_CRITICAL, "The log says that something is missing from it."}, EV_AUDIT_GAP,
        FIELD_NONE, NULL, ABOUT_ALL},
    {{"flood", ALERT_NOTICE,
         "Requests were refused because there were too many: somebody tries to get in, or a "
         "program goes wrong."},
        EV_REFUSALS_COUNTED, FIELD_NONE, NULL, ABOUT_ALL},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))
_Static_assert(ROWS <= ALERT_RULES_MAX, "each rule has an alert of its own when all are full");

static bool
row_matches(const struct rule_row *row, const struct event *ev)
{
    const struct value *v;

    if (row->type != ev->type)
        return false;
    if (row->field == FIELD_NONE)
        return true;
    v = fields_find(&ev->data, row->field);
    return v != NULL && (row->word == NULL || span_is(v->s, row->word));
}

static struct id
about_of(const struct rule_row *row, const struct event *ev)
{
    switch (row->about) {
    case ABOUT_SESSION: return ev->subject.session;
    case ABOUT_MACHINE: return ev->subject.machine;
    case ABOUT_USER: return ev->subject.user;
    case ABOUT_ACTOR: return ev->actor.id;
    case ABOUT_ALL: break;
    }
    return (struct id){{0}};
}

const struct alert_rule *
alert_rule_of(const struct event *ev, struct id *about)
{
    for (size_t i = 0; i < ROWS; i++) {
        if (!row_matches(&rows[i], ev))
            continue;
        *about = about_of(&rows[i], ev);
        /* refused things that are no session (a machine, a code) are everyday mistakes */
        if (rows[i].type == EV_ACCESS_REFUSED && id_is_nil(about))
            return NULL;
        return &rows[i].rule;
    }
    return NULL;
}

const struct alert_rule *
alert_rule_named(struct span name)
{
    for (size_t i = 0; i < ROWS; i++)
        if (span_is(name, rows[i].rule.name))
            return &rows[i].rule;
    return NULL;
}

const char *
alert_severity_name(uint32_t severity)
{
    switch (severity) {
    case ALERT_NOTICE: return "notice";
    case ALERT_WARNING: return "warning";
    case ALERT_CRITICAL: return "critical";
    default: return "unknown";
    }
}

struct tag
alert_key(const struct alert_rule *rule, const struct id *about)
{
    crypto_generichash_state st;
    struct tag key;

    crypto_generichash_init(&st, NULL, 0, TAG_BYTES);
    crypto_generichash_update(&st, (const uint8_t *)rule->name, strlen(rule->name) + 1);
    crypto_generichash_update(&st, about->b, ID_BYTES);
    crypto_generichash_final(&st, key.b, TAG_BYTES);
    return key;
}
