/* views_random.h: random histories from a seed. Types, ids, fields and personal fields are drawn
 * from small pools, so that events meet each other; most do not fit, as in no real log. What comes
 * into being has an id of its own, as real ids are random. */
#ifndef TESTS_VIEWS_RANDOM_H
#define TESTS_VIEWS_RANDOM_H

#include "tests/unit/views_kit.h"

struct dice {
    uint64_t state;
};

static inline uint64_t
roll(struct dice *d, uint64_t sides)
{
    uint64_t z = d->state += 0x9E3779B97F4A7C15u; /* splitmix64 */

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (z ^ (z >> 31)) % sides;
}

/* Kinds of things; ids of kind k are 1000 k + 1, + 2, ... */
enum thing { USER = 1, MACHINE, SESSION, CODE, KEY, FAMILY, CHANNEL, INVITE, CONNECTION, THINGS };

struct history {
    struct dice dice;
    uint64_t made[THINGS];
    struct tale *t;
    bool time_goes_back; /* as in a log that lies */
};

static inline uint64_t
fresh(struct history *h, enum thing thing)
{
    return 1000u * thing + ++h->made[thing];
}

/* One of the latest few, or one that never was; nil at times. */
static inline uint64_t
some(struct history *h, enum thing thing)
{
    uint64_t last = h->made[thing], back = roll(&h->dice, thing == CHANNEL ? 4 : 6);

    if (roll(&h->dice, 16) == 0)
        return 0;
    if (roll(&h->dice, 32) == 0)
        return 1000u * thing + 999;
    return last > back ? 1000u * thing + last - back : 0;
}

static inline const char *
one_of(struct history *h, const char *const *texts, size_t count)
{
    return texts[roll(&h->dice, count)];
}

static inline void
random_actor(struct history *h, enum event_type type)
{
    struct tale *t = h->t;

    switch (type == EV_AGENT_CONNECTED ? 3 : roll(&h->dice, 8)) {
    case 0: by(t->s, ACTOR_NOBODY, 0, 0); return;
    case 1: by(t->s, ACTOR_SERVER, 0, 0); return;
    case 2: by(t->s, ACTOR_CLI, 0, 0); return;
    case 3: by(t->s, ACTOR_AGENT, some(h, MACHINE), 0); return;
    case 4: by(t->s, ACTOR_CODE, some(h, CODE), 0); return;
    default: by(t->s, ACTOR_USER, some(h, USER), some(h, FAMILY)); return;
    }
}

static inline void
random_subject(struct history *h, enum event_type type)
{
    bool makes_session = type == EV_SESSION_REQUESTED;
    bool makes_machine = type == EV_MACHINE_ADDED || type == EV_CODE_REDEEMED;

    about(h->t->s, makes_session ? fresh(h, SESSION) : some(h, SESSION),
        makes_machine ? fresh(h, MACHINE) : some(h, MACHINE),
        type == EV_USER_REGISTERED ? fresh(h, USER) : some(h, USER),
        type == EV_CODE_ISSUED ? fresh(h, CODE) : some(h, CODE));
}

static inline void
random_data(struct history *h, enum event_type type)
{
    static const char *const whys[] = {
        "leaked", "revoked", "closed", "server_restart", "routine", "not_owner", "ticket_used"};
    static const char *const labels[] = {"prod", "web", "eu:west", "old"};
    const char *list[] = {one_of(h, labels, ROWS(labels)), one_of(h, labels, ROWS(labels)), NULL};
    struct story *s = h->t->s;

    with_id(s, FIELD_FAMILY, type == EV_LOGIN_SUCCEEDED ? fresh(h, FAMILY) : some(h, FAMILY));
    with_id(s, FIELD_KEY, type == EV_KEY_ISSUED ? fresh(h, KEY) : some(h, KEY));
    with_id(s, FIELD_INVITE, type == EV_INVITE_ISSUED ? fresh(h, INVITE) : some(h, INVITE));
    with_id(s, FIELD_CHANNEL, type == EV_SESSION_ATTACHED ? fresh(h, CHANNEL) : some(h, CHANNEL));
    with_id(s, FIELD_CONNECTION,
        type == EV_AGENT_CONNECTED ? fresh(h, CONNECTION) : some(h, CONNECTION));
    with_u(s, FIELD_TOKEN_N, roll(&h->dice, 4));
    with_u(s, FIELD_N, type == EV_SESSION_REQUESTED ? 0 : roll(&h->dice, 12));
    with_u(s, FIELD_ROLE, roll(&h->dice, 5));
    if (type == EV_SESSION_TRANSFER_OFFERED)
        with_id(s, FIELD_TO_USER, some(h, USER));
    if (type == EV_SESSION_TRANSFERRED && roll(&h->dice, 2) == 0)
        with_str(s, FIELD_CONSENT_MODE, "asked");
    with_u(s, FIELD_TOTAL, roll(&h->dice, 100));
    with_u(s, FIELD_EXPIRES_US, (uint64_t)(s->now + 12 * 3600 * S));
    with_str(s, FIELD_WHY, one_of(h, whys, ROWS(whys)));
    if (type == EV_ALERT_ACKNOWLEDGED) { /* most name one that is open */
        uint32_t at = (uint32_t)roll(&h->dice, 2);
        const struct alert *a = idmap_next(&s->w->alerts.by_seq, &at);

        with_u(s, FIELD_ALERT_SEQ, a != NULL ? a->seq : 7);
        with_str(s, FIELD_ALERT_RULE, a != NULL ? a->rule->name : "flood");
    }
    if (roll(&h->dice, 2) == 0)
        with_u(s, FIELD_TO_AGENT_BYTES, roll(&h->dice, 1000));
    if (roll(&h->dice, 2) == 0) {
        with_strs(s, FIELD_LABELS, list);
        with_str(s, FIELD_OS, "linux");
    }
}

/* What a user's action says of them is in their box; else in the machine's, or the month's. */
static inline void
random_personal(struct history *h)
{
    static const char *const names[] = {"bob", "BOB", "bo", "b", "bobby", "", "eve", "e\xC3\xA9"};
    static const char *const addresses[] = {"192.0.2.1", "::ffff:192.0.2.1", "192.0.2.10",
        "2001:db8::1", "2001:db8::", "192.0.2.256", "nonsense", "", "::"};
    const struct actor *a = &h->t->s->ev.actor;
    const struct subject *sub = &h->t->s->ev.subject;
    uint64_t user = 0, box = 999;
    char name[32];

    if (h->t->s->ev.type == EV_USER_REGISTERED)
        user = key_read_u64(sub->user.b + 8);
    else if (a->kind == ACTOR_USER)
        user = key_read_u64(a->id.b + 8);
    if (user != 0)
        box = user;
    if (roll(&h->dice, 2) == 0)
        tale_text(h->t, box, FIELD_ADDRESS, one_of(h, addresses, ROWS(addresses)));
    if (roll(&h->dice, 2) == 0)
        tale_text(h->t, box, FIELD_USER_AGENT, "agent");
    if (h->t->s->ev.type == EV_USER_REGISTERED) { /* names are unique: the decision's rule */
        snprintf(
            name, sizeof(name), "%s%u", one_of(h, names, ROWS(names)), (unsigned)h->made[USER]);
        tale_text(h->t, key_read_u64(sub->user.b + 8), FIELD_ACCOUNT_NAME, name);
    }
    if (roll(&h->dice, 2) == 0)
        tale_text(h->t, 998, FIELD_MACHINE_NAME, one_of(h, names, ROWS(names)));
    if (roll(&h->dice, 4) == 0)
        tale_text(h->t, 998, FIELD_NOTE, one_of(h, names, ROWS(names)));
    if (roll(&h->dice, 4) == 0)
        tale_text(h->t, 998, FIELD_REASON_TEXT, one_of(h, names, ROWS(names)));
}

static inline enum event_type
random_type(struct history *h)
{
    static const enum event_type often[] = {EV_USER_REGISTERED, EV_LOGIN_SUCCEEDED,
        EV_MACHINE_ADDED, EV_AGENT_CONNECTED, EV_SESSION_REQUESTED, EV_SESSION_OPENED,
        EV_SESSION_ATTACHED, EV_CHANNEL_OPENED, EV_CHANNEL_CLOSED, EV_KEY_ISSUED, EV_CODE_ISSUED,
        EV_MACHINE_ENROLLED};
    unsigned count;
    const struct event_row *all = catalogue_events(&count);

    if (roll(&h->dice, 64) == 0)
        return (enum event_type)999; /* of a later build */
    if (roll(&h->dice, 2) == 0)
        return often[roll(&h->dice, ROWS(often))];
    return all[roll(&h->dice, count)].type;
}

static inline void
random_event(struct history *h)
{
    enum event_type type = random_type(h);
    struct story *s = h->t->s;

    /* Rare, as they end nearly all that lives. */
    if ((type == EV_SERVER_STARTED || type == EV_SERVER_STOPPED || type == EV_SECRET_ROTATED ||
            type == EV_USER_ERASED) &&
        roll(&h->dice, 4) != 0)
        type = EV_HEARTBEAT;
    s->now += (int64_t)roll(&h->dice, 20) * S;
    if (h->time_goes_back && roll(&h->dice, 10) == 0)
        s->now -= 100 * S;
    tale_say(h->t, type);
    random_actor(h, type);
    random_subject(h, type);
    random_data(h, type);
    random_personal(h);
}

static inline void
random_history(struct history *h, uint64_t seed, unsigned events)
{
    *h = (struct history){.dice = {seed}, .t = tale_new()};
    h->time_goes_back = roll(&h->dice, 3) == 0;
    for (unsigned i = 0; i < events; i++) {
        random_event(h);
        tale_told(h->t);
    }
}

#endif
