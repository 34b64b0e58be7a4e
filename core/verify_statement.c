/* verify_statement.c: which event must carry which statement, and what it must agree on. Pure; the
 * thread that walks the log. */
#include "core/verify_statement.h"

#include <sodium.h>

#include "core/pack.h"

const char verify_no_memory[] = "out of memory";

/* ---- machine -> device key; keyed, as a hostile log chooses its ids */

struct device {
    bool used;
    struct id machine;
    uint8_t pk[32];
};

struct devices {
    struct device *table;
    size_t count, cap; /* cap: a power of two, at most half full */
    uint8_t hash_key[crypto_shorthash_KEYBYTES];
};

struct devices *
devices_new(void)
{
    struct devices *d = calloc(1, sizeof(*d));

    if (d == NULL)
        return NULL;
    d->cap = 64;
    d->table = calloc(d->cap, sizeof(*d->table));
    if (d->table == NULL) {
        free(d);
        return NULL;
    }
    crypto_shorthash_keygen(d->hash_key);
    return d;
}

void
devices_free(struct devices *d)
{
    if (d == NULL)
        return;
    free(d->table);
    free(d);
}

/* Its place, or the free one where it would go. */
static struct device *
device_slot(const struct devices *d, const struct id *machine)
{
    uint64_t h;

    crypto_shorthash((uint8_t *)&h, machine->b, ID_BYTES, d->hash_key);
    for (size_t at = h & (d->cap - 1);; at = (at + 1) & (d->cap - 1)) {
        if (!d->table[at].used || id_equal(&d->table[at].machine, machine))
            return &d->table[at];
    }
}

static bool
devices_grow(struct devices *d)
{
    struct devices wider = *d;

    wider.cap = d->cap * 2;
    wider.table = calloc(wider.cap, sizeof(*wider.table));
    if (wider.table == NULL)
        return false;
    for (size_t i = 0; i < d->cap; i++) {
        if (d->table[i].used)
            *device_slot(&wider, &d->table[i].machine) = d->table[i];
    }
    free(d->table);
    *d = wider;
    return true;
}

static bool
devices_bind(struct devices *d, const struct id *machine, const uint8_t pk[32])
{
    struct device *slot;

    if (d->count * 2 >= d->cap && !devices_grow(d))
        return false;
    slot = device_slot(d, machine);
    d->count += !slot->used;
    slot->used = true;
    slot->machine = *machine;
    memcpy(slot->pk, pk, 32);
    return true;
}

/* ---- which event carries what */

struct rule {
    enum event_type type;
    enum purpose purpose;
    bool must, binds;
    uint64_t answer; /* of a consent */
};

static const struct rule rules[] = {
    {EV_MACHINE_ENROLLED, PURPOSE_HELLO, true, true, 0},
    {EV_MACHINE_REBOUND, PURPOSE_HELLO, true, true, 0},
    {EV_CODE_REDEEMED, PURPOSE_HELLO, true, true, 0},
    {EV_AGENT_CONNECTED, PURPOSE_HELLO, true, false, 0},
    {EV_SESSION_CONSENTED, PURPOSE_CONSENT, true, false, 1},
    {EV_SESSION_DENIED, PURPOSE_CONSENT, true, false, 2},
    {EV_CHANNEL_OPENED, PURPOSE_CHANNEL, true, false, 0},
    {EV_CHANNEL_CLOSED, PURPOSE_CLOSE, false, false, 0}, /* if the agent answered in time */
    {EV_CHANNEL_ATTESTED, PURPOSE_CLOSE, true, false, 0},
};

static const struct rule *
rule_of(enum event_type type)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (rules[i].type == type)
            return &rules[i];
    }
    return NULL;
}

/* [purpose, statement, sig] */
static const char *
read_cosigned(
    struct span cosigned, const struct rule *rule, struct statement_job *job, struct statement *st)
{
    struct reader r;
    struct span purpose;

    reader_init(&r, cosigned);
    if (reader_array(&r) != 3)
        return "its co-signature is malformed";
    purpose = reader_str(&r);
    job->statement = reader_bin(&r);
    job->sig = reader_bin(&r);
    if (!reader_done(&r) || job->sig.len != 64)
        return "its co-signature is malformed";
    if (!span_is(purpose, purpose_name(rule->purpose)))
        return "its co-signature is for another purpose";
    if (statement_decode(rule->purpose, job->statement, st) != OK)
        return "the agent's statement is malformed";
    job->purpose = rule->purpose;
    return NULL;
}

static const char *
check_hello(
    struct devices *d, const struct event *ev, const struct rule *rule, const struct statement *st)
{
    uint8_t pk[32];

    if (!id_is_nil(&st->machine) && !id_equal(&st->machine, &ev->subject.machine))
        return "the agent's statement names another machine";
    if (!rule->binds)
        return NULL;
    if (!fields_fixed(&ev->data, FIELD_DEVICE_KEY, pk, sizeof(pk)) ||
        memcmp(pk, st->device_key, sizeof(pk)) != 0)
        return "the agent's statement names another device key";
    return devices_bind(d, &ev->subject.machine, pk) ? NULL : verify_no_memory;
}

static const char *
check_session(const struct event *ev, const struct rule *rule, const struct statement *st)
{
    struct id channel = fields_id(&ev->data, FIELD_CHANNEL);

    if (!id_equal(&st->machine, &ev->subject.machine))
        return "the agent's statement names another machine";
    if (!id_equal(&st->session, &ev->subject.session))
        return "the agent's statement names another session";
    if (rule->purpose == PURPOSE_CONSENT)
        return st->answer == rule->answer ? NULL : "the agent's statement gives another answer";
    if (!id_equal(&st->channel, &channel))
        return "the agent's statement names another channel";
    if (rule->purpose == PURPOSE_CHANNEL &&
        !span_equal(st->service, fields_span(&ev->data, FIELD_SERVICE)))
        return "the agent's statement names another service";
    return NULL;
}

const char *
verify_statement(struct devices *d, const struct event *ev, struct statement_job *job)
{
    const struct rule *rule = rule_of(ev->type);
    struct span cosigned = fields_span(&ev->data, FIELD_COSIGNED);
    const struct device *device;
    struct statement st;
    const char *bad;

    job->there = false;
    if (rule == NULL)
        return NULL;
    if (cosigned.len == 0)
        return rule->must ? "it lacks the agent's co-signature" : NULL;
    if ((bad = read_cosigned(cosigned, rule, job, &st)) != NULL)
        return bad;
    bad = rule->purpose == PURPOSE_HELLO ? check_hello(d, ev, rule, &st)
                                         : check_session(ev, rule, &st);
    if (bad != NULL)
        return bad;
    device = device_slot(d, &ev->subject.machine);
    if (!device->used)
        return "its machine is bound to no device";
    if (rule->purpose == PURPOSE_HELLO && memcmp(st.device_key, device->pk, 32) != 0)
        return "the agent's statement is of another device than the machine's";
    memcpy(job->pk, device->pk, 32);
    job->there = true;
    return NULL;
}
