/* story.h: histories for tests of the world: events said one after the other, each folded twice, as
 * it was made and as it comes back from its bytes. Ids and tags are small numbers. */
#ifndef TESTS_STORY_H
#define TESTS_STORY_H

#include "tests/unit/testing.h"

#include "core/pack.h"
#include "projections/digest.h"
#include "projections/facts.h"

#include <stdlib.h>

#define S  INT64_C(1000000)
#define T0 (INT64_C(1790000000) * S)

struct story {
    struct world *w;    /* folded as made */
    struct world *copy; /* folded from bytes */
    int64_t now;
    struct event ev;
    uint8_t arena[16384];
    size_t used;
    uint8_t body[RECORD_BYTES_MAX];
};

static inline struct id
id_n(uint64_t n)
{
    struct id id = {{0}};

    if (n == 0)
        return id;
    id.b[0] = 0xA5;
    for (int i = 0; i < 8; i++)
        id.b[15 - i] = (uint8_t)(n >> (8 * i));
    return id;
}

static inline struct tag
tag_n(uint64_t n)
{
    struct id id = id_n(n);
    struct tag tag;

    memcpy(tag.b, id.b, TAG_BYTES);
    return tag;
}

static inline struct story *
story_new(void)
{
    struct story *s = calloc(1, sizeof(*s));

    assert_non_null(s);
    s->w = world_new();
    s->copy = world_new();
    s->now = T0;
    return s;
}

static inline void *
story_keep(struct story *s, const void *bytes, size_t len)
{
    uint8_t *at = s->arena + s->used;

    assert_true(s->used + len <= sizeof(s->arena));
    if (len > 0)
        memcpy(at, bytes, len);
    s->used += len;
    return at;
}

/* Begins an event; what follows adds to it; told() folds it. */
static inline void
say(struct story *s, enum event_type type)
{
    s->used = 0;
    memset(&s->ev, 0, sizeof(s->ev));
    s->ev.seq = world_size(s->w);
    s->ev.key_epoch = 1;
    s->ev.wall_us = s->ev.eff_us = s->now;
    s->ev.boot = id_n(1);
    s->ev.id = id_n(1000 + s->ev.seq);
    s->ev.type = type;
    s->ev.v = 1;
}

static inline void
with_u(struct story *s, enum field field, uint64_t u)
{
    fields_add_u64(&s->ev.data, field, u);
}

static inline void
with_bytes(struct story *s, enum field field, const void *bytes, size_t len)
{
    fields_add_span(&s->ev.data, field, span_of(story_keep(s, bytes, len), len));
}

static inline void
with_str(struct story *s, enum field field, const char *text)
{
    with_bytes(s, field, text, strlen(text));
}

static inline void
with_id(struct story *s, enum field field, uint64_t n)
{
    struct id id = id_n(n);

    with_bytes(s, field, id.b, ID_BYTES);
}

static inline void
with_key(struct story *s, enum field field, uint8_t byte)
{
    uint8_t key[32];

    memset(key, byte, sizeof(key));
    with_bytes(s, field, key, sizeof(key));
}

/* A canonical array of strings, NULL-terminated. */
static inline void
with_strs(struct story *s, enum field field, const char *const *items)
{
    uint8_t buf[8192];
    struct pack p;
    uint32_t n = 0;

    while (items[n] != NULL)
        n++;
    pack_init(&p, buf, sizeof(buf));
    pack_array(&p, n);
    for (uint32_t i = 0; i < n; i++)
        pack_str(&p, span_str(items[i]));
    assert_true(pack_ok(&p));
    with_bytes(s, field, buf, p.len);
}

static inline void
by(struct story *s, enum actor_kind kind, uint64_t id, uint64_t family)
{
    s->ev.actor.kind = kind;
    s->ev.actor.id = id_n(id);
    s->ev.actor.family = id_n(family);
}

/* Where it came from; networks of one hundred share a wide one. */
static inline void
from(struct story *s, uint64_t net)
{
    s->ev.actor.tags.addr = tag_n(10000000 + net);
    s->ev.actor.tags.net = tag_n(20000000 + net);
    s->ev.actor.tags.wide = tag_n(30000000 + net / 100);
}

static inline void
about(struct story *s, uint64_t session, uint64_t machine, uint64_t user, uint64_t code)
{
    s->ev.subject = (struct subject){id_n(session), id_n(machine), id_n(user), id_n(code)};
}

static inline void
told(struct story *s)
{
    struct event back;
    size_t len;

    assert_int_equal(event_encode(&s->ev, s->body, sizeof(s->body), &len), OK);
    world_fold(s->w, &s->ev);
    assert_int_equal(event_decode(span_of(s->body, len), &back), OK);
    world_fold(s->copy, &back);
    memset(s->body, 0xEE, len); /* nothing may be borrowed from an event that is gone */
    memset(s->arena, 0xEE, s->used);
}

static inline void
assert_same_digest(const struct world *a, const struct world *b, int64_t eff_us)
{
    struct hash x, y;

    world_digest(a, eff_us, &x);
    world_digest(b, eff_us, &y);
    assert_memory_equal(x.b, y.b, HASH_BYTES);
}

static inline void
story_end(struct story *s, uint64_t strays)
{
    assert_same_digest(s->w, s->copy, s->now);
    assert_int_equal(s->w->strays, s->copy->strays);
    assert_int_equal(s->w->strays, strays);
    world_free(s->w);
    world_free(s->copy);
    free(s);
}

/* --- often told --- */

static inline void
tell_user(struct story *s, uint64_t user, enum role role)
{
    struct tag name = tag_n(40000000 + user);

    say(s, EV_USER_REGISTERED);
    by(s, ACTOR_CLI, 0, 0);
    about(s, 0, 0, user, 0);
    with_u(s, FIELD_ROLE, role);
    with_u(s, FIELD_VERIFIER_VERSION, 1);
    with_bytes(s, FIELD_ACCOUNT, name.b, TAG_BYTES);
    told(s);
}

/* Returns the attempt's seq. */
static inline uint64_t
tell_attempt(struct story *s, uint64_t user, uint64_t net)
{
    uint64_t seq = world_size(s->w);

    say(s, EV_LOGIN_ATTEMPTED);
    from(s, net);
    s->ev.actor.tags.account = tag_n(40000000 + user);
    told(s);
    return seq;
}

static inline void
tell_success(struct story *s, uint64_t attempt, uint64_t user, uint64_t family, uint64_t net)
{
    say(s, EV_LOGIN_SUCCEEDED);
    by(s, ACTOR_USER, user, family);
    from(s, net);
    with_u(s, FIELD_ATTEMPT, attempt);
    with_id(s, FIELD_FAMILY, family);
    with_u(s, FIELD_TOKEN_N, 0);
    with_u(s, FIELD_EXPIRES_US, (uint64_t)(s->now + 12 * 3600 * S));
    told(s);
}

static inline void
tell_login(struct story *s, uint64_t user, uint64_t family, uint64_t net)
{
    tell_success(s, tell_attempt(s, user, net), user, family, net);
}

static inline void
tell_code(struct story *s, uint64_t code, uint64_t issuer)
{
    say(s, EV_CODE_ISSUED);
    by(s, ACTOR_USER, issuer, 0);
    about(s, 0, 0, 0, code);
    with_u(s, FIELD_EXPIRES_US, (uint64_t)(s->now + 600 * S));
    with_u(s, FIELD_DIGITS, 9);
    told(s);
}

static inline void
tell_redeemed(struct story *s, uint64_t code, uint64_t machine, uint64_t net)
{
    say(s, EV_CODE_REDEEMED);
    by(s, ACTOR_CODE, code, 0);
    from(s, net);
    about(s, 0, machine, 0, code);
    with_key(s, FIELD_DEVICE_KEY, (uint8_t)machine);
    told(s);
}

static inline void
tell_machine(struct story *s, uint64_t machine, uint64_t by_user)
{
    static const char *const labels[] = {"prod", "web", NULL};

    say(s, EV_MACHINE_ADDED);
    by(s, ACTOR_USER, by_user, 0);
    about(s, 0, machine, 0, 0);
    with_strs(s, FIELD_LABELS, labels);
    told(s);
}

static inline void
tell_key(struct story *s, uint64_t key, uint64_t machine, uint64_t by_user)
{
    say(s, EV_KEY_ISSUED);
    by(s, by_user == 0 ? ACTOR_CLI : ACTOR_USER, by_user, 0);
    about(s, 0, machine, 0, 0);
    with_id(s, FIELD_KEY, key);
    with_u(s, FIELD_EXPIRES_US, (uint64_t)(s->now + 3600 * S));
    told(s);
}

static inline void
tell_bound(struct story *s, enum event_type type, uint64_t machine, uint64_t key, uint8_t device)
{
    static const char *const services[] = {"shell", "tcp:ssh", NULL};

    say(s, type);
    by(s, ACTOR_AGENT, machine, 0);
    about(s, 0, machine, 0, 0);
    with_id(s, FIELD_KEY, key);
    with_key(s, FIELD_DEVICE_KEY, device);
    with_strs(s, FIELD_SERVICES, services);
    told(s);
}

static inline void
tell_connected(struct story *s, uint64_t machine, uint64_t connection)
{
    static const char *const services[] = {"shell", NULL};

    say(s, EV_AGENT_CONNECTED);
    by(s, ACTOR_AGENT, machine, 0);
    about(s, 0, machine, 0, 0);
    with_id(s, FIELD_CONNECTION, connection);
    with_strs(s, FIELD_SERVICES, services);
    told(s);
}

static inline void
tell_gone(struct story *s, uint64_t machine, uint64_t connection)
{
    say(s, EV_AGENT_DISCONNECTED);
    by(s, ACTOR_AGENT, machine, 0);
    about(s, 0, machine, 0, 0);
    with_id(s, FIELD_CONNECTION, connection);
    told(s);
}

/* Any event of a session, numbered as the world expects it. */
static inline void
say_session(struct story *s, enum event_type type, uint64_t session)
{
    struct id id = id_n(session);
    const struct session *known = session_find(s->w, &id);

    say(s, type);
    s->ev.subject.session = id;
    if (known != NULL)
        s->ev.subject.machine = known->machine;
    with_u(s, FIELD_N, known == NULL ? 0 : known->n);
}

static inline void
tell_session(struct story *s, enum event_type type, uint64_t session)
{
    say_session(s, type, session);
    told(s);
}

static inline void
tell_requested(struct story *s, uint64_t session, uint64_t machine, uint64_t user, uint64_t family)
{
    say_session(s, EV_SESSION_REQUESTED, session);
    by(s, ACTOR_USER, user, family);
    from(s, 7);
    s->ev.subject.machine = id_n(machine);
    told(s);
}

static inline void
tell_opened(struct story *s, uint64_t session)
{
    say_session(s, EV_SESSION_OPENED, session);
    by(s, ACTOR_AGENT, 0, 0);
    from(s, 8);
    with_u(s, FIELD_EXPIRES_US, (uint64_t)(s->now + 4 * 3600 * S));
    told(s);
}

static inline void
tell_channel(
    struct story *s, enum event_type type, uint64_t session, uint64_t channel, uint64_t ticket)
{
    say_session(s, type, session);
    with_id(s, FIELD_CHANNEL, channel);
    if (type == EV_SESSION_ATTACHED)
        with_str(s, FIELD_SERVICE, "tcp:ssh");
    if (ticket != 0)
        with_id(s, FIELD_TICKET, ticket);
    if (type == EV_CHANNEL_CLOSED) {
        with_u(s, FIELD_TO_AGENT_BYTES, 10);
        with_u(s, FIELD_TO_TECHNICIAN_BYTES, 1000);
    }
    told(s);
}

#endif
