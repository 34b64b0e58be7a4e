/* views_fold_index.c: which event is found by what: type, person, address, machine, session, time;
 * and how many there were in each minute. Projector's thread. */
#include "core/addr.h"
#include "projections/views_fold.h"

/* seq comes last, so that what is found is found in order. */
static void
index_put(struct folding *f, enum table t, const void *part, size_t n, struct span value)
{
    struct key key = {.len = 0};

    key_bytes(&key, part, n);
    key_u64(&key, f->ev->seq);
    fold_set(f, t, &key, value);
}

static void
index_id(struct folding *f, enum table t, const struct id *id, struct span value)
{
    if (!id_is_nil(id))
        index_put(f, t, id->b, ID_BYTES, value);
}

/* Whose key the caller's address is sealed under: who acted, or whom a registration made. */
static struct id
address_owner(const struct event *ev)
{
    static const struct id nobody;

    if (ev->type == EV_USER_REGISTERED)
        return ev->subject.user;
    return ev->actor.kind == ACTOR_USER ? ev->actor.id : nobody;
}

/* Who acted and who it was done to. An address that is a user's is kept in their entry, so that it
 * can be taken back when they are erased. */
static void
index_users(struct folding *f, const struct addr *from)
{
    const struct id *acted = &f->ev->actor.id, *about = &f->ev->subject.user;
    struct id owner = address_owner(f->ev);
    struct span none = span_of(NULL, 0);
    struct span address = from == NULL ? none : span_of(from->b, sizeof(from->b));

    index_id(f, TABLE_BY_USER, about, id_equal(about, &owner) ? address : none);
    if (f->ev->actor.kind == ACTOR_USER && !id_equal(acted, about))
        index_id(f, TABLE_BY_USER, acted, id_equal(acted, &owner) ? address : none);
}

static void
index_time(struct folding *f)
{
    struct key key = {.len = 0};

    key_time(&key, f->now_us);
    key_u64(&key, f->ev->seq);
    fold_set(f, TABLE_BY_TIME, &key, span_of(NULL, 0));
}

static void
index_type(struct folding *f)
{
    struct key key = {.len = 0};

    key_u32(&key, (uint32_t)f->ev->type);
    key_u64(&key, f->ev->seq);
    fold_set(f, TABLE_BY_TYPE, &key, span_of(NULL, 0));
}

static uint64_t
refusals(const struct event *ev)
{
    switch (ev->type) {
    case EV_ACCESS_REFUSED:
    case EV_AGENT_REJECTED:
    case EV_CODE_REJECTED:
    case EV_CONNECTION_REFUSED:
    case EV_PASSWORD_REFUSED:
    case EV_REGISTER_REFUSED:
    case EV_SESSION_ATTACH_REFUSED:
    case EV_TOKEN_FORGED:
    case EV_TOKEN_REJECTED:
    case EV_TOKEN_REUSED: return 1;
    case EV_REFUSALS_COUNTED: return fields_u64(&ev->data, FIELD_TOTAL);
    default: return 0;
    }
}

static void
count_minute(struct folding *f)
{
    struct minute_row row = {0};
    struct key key = {.len = 0};
    uint8_t bytes[ROW_BYTES_MAX];
    int64_t into = f->now_us % VIEWS_MINUTE_US;
    struct span there;

    into += into < 0 ? VIEWS_MINUTE_US : 0;
    key_time(&key, f->now_us >= INT64_MIN + into ? f->now_us - into : INT64_MIN);
    if (fold_get(f, TABLE_MINUTES, &key, &there) && row_decode(TABLE_MINUTES, there, &row) != OK)
        memset(&row, 0, sizeof(row));
    row.events++;
    row.logins += f->ev->type == EV_LOGIN_SUCCEEDED;
    row.logins_failed += f->ev->type == EV_LOGIN_FAILED;
    row.refusals += refusals(f->ev);
    row.sessions += f->ev->type == EV_SESSION_OPENED;
    row.agents += f->ev->type == EV_AGENT_CONNECTED;
    fold_set(f, TABLE_MINUTES, &key, span_of(bytes, row_encode(TABLE_MINUTES, &row, bytes)));
}

void
views_fold_index(struct folding *f)
{
    const struct actor *a = &f->ev->actor;
    const struct subject *s = &f->ev->subject;
    struct addr addr;
    bool from = addr_parse(fold_personal(f, FIELD_ADDRESS), &addr) == OK;

    index_time(f);
    index_type(f);
    index_users(f, from ? &addr : NULL);
    if (from)
        index_put(f, TABLE_BY_ADDRESS, addr.b, sizeof(addr.b), span_of(NULL, 0));
    index_id(f, TABLE_BY_MACHINE, &s->machine, span_of(NULL, 0));
    if (a->kind == ACTOR_AGENT)
        index_id(f, TABLE_BY_MACHINE, &a->id, span_of(NULL, 0));
    index_id(f, TABLE_BY_SESSION, &s->session, span_of(NULL, 0));
    count_minute(f);
}

/* rest: the seq; value: the address that came with it. */
static bool
forget_address(struct folding *f, struct span rest, struct span value, void *arg)
{
    const struct id *user = arg;
    struct key by_address = {.len = 0}, by_user = {.len = 0};

    if (value.len == 0)
        return true;
    key_bytes(&by_address, value.ptr, value.len);
    key_bytes(&by_address, rest.ptr, rest.len);
    fold_unset(f, TABLE_BY_ADDRESS, &by_address);
    key_id(&by_user, user);
    key_bytes(&by_user, rest.ptr, rest.len);
    fold_set(f, TABLE_BY_USER, &by_user, span_of(NULL, 0));
    return true;
}

void
views_fold_index_forget(struct folding *f, const struct id *user)
{
    struct key prefix = {.len = 0};
    struct id id = *user;

    key_id(&prefix, user);
    fold_sweep(f, TABLE_BY_USER, &prefix, forget_address, &id);
}
