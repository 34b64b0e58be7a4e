/* test_verify.c: the rules of a log, one by one: events that are signed and chained as they should
 * be, and break one rule. */
#include <sodium.h>

#include "core/pack.h"
#include "core/verify.h"
#include "tests/unit/testing.h"

#define ORIGIN "gatehouse.rules"

struct key {
    uint8_t pk[32], sk[64];
};

/* A log in the making, with all its secrets. */
struct maker {
    struct key root, log[4], event[4];
    uint32_t log_epoch, event_epoch;
    struct event ev; /* the next one, to be bent by a case */
    struct hash prev;
    uint64_t seq;
    int64_t eff_us;
    const struct key *signer; /* NULL: the one in force */
    struct verify *v;
    uint8_t buf[6][64]; /* what fields borrow */
    uint8_t record[8192];
    size_t len;
};

static void
make_key(struct key *k)
{
    crypto_sign_keypair(k->pk, k->sk);
}

static void
next_event(struct maker *m, enum event_type type)
{
    memset(&m->ev, 0, sizeof(m->ev));
    m->ev.seq = m->seq;
    m->ev.origin_id = event_origin_id(ORIGIN);
    m->ev.prev = m->prev;
    m->ev.key_epoch = m->event_epoch;
    m->ev.eff_us = ++m->eff_us;
    m->ev.type = type;
    m->ev.v = 1;
    m->ev.actor.kind = ACTOR_SERVER;
}

static void
sign_record(struct maker *m)
{
    const struct key *k = m->signer != NULL ? m->signer : &m->event[m->event_epoch];
    size_t len;

    assert_int_equal(event_encode(&m->ev, m->record, sizeof(m->record) - 64, &len), OK);
    event_sign(ORIGIN, span_of(m->record, len), k->sk, m->record + len);
    event_prev(span_of(m->record, len), &m->prev);
    m->len = len + 64;
    m->seq++;
}

/* Feeds the record, and runs its job. */
static enum err
feed(struct maker *m)
{
    static struct event ev;
    struct verify_job job;
    enum err err = verify_record(m->v, span_of(m->record, m->len), &ev, &job);

    const char *bad;

    if (err == OK && (bad = verify_job_run(ORIGIN, &job)) != NULL) {
        verify_bad(m->v, job.seq, "%s", bad);
        err = ERR_MISMATCH;
    }
    if (err == OK)
        verify_count(m->v, &job);
    return err;
}

static void
open_fields(struct maker *m)
{
    uint8_t text[VERIFY_TEXT_MAX];
    size_t len = verify_keys_text(ORIGIN, m->log[1].pk, m->event[1].pk, text);

    crypto_sign_detached(m->buf[0], NULL, text, len, m->root.sk);
    fields_add_span(&m->ev.data, FIELD_ROOT_KEY, span_of(m->root.pk, 32));
    fields_add_span(&m->ev.data, FIELD_LOG_KEY, span_of(m->log[1].pk, 32));
    fields_add_span(&m->ev.data, FIELD_EVENT_KEY, span_of(m->event[1].pk, 32));
    fields_add_span(&m->ev.data, FIELD_ROOT_SIG, span_of(m->buf[0], 64));
    fields_add_span(&m->ev.data, FIELD_ORIGIN, span_str(ORIGIN));
}

static void
rotate_fields(struct maker *m, enum key_role role, bool compromised)
{
    uint32_t epoch = (role == KEY_LOG ? m->log_epoch : m->event_epoch) + 1;
    const struct key *new_key = role == KEY_LOG ? &m->log[epoch] : &m->event[epoch];
    const struct key *other = role == KEY_LOG ? &m->event[m->event_epoch] : &m->log[m->log_epoch];
    uint8_t text[VERIFY_TEXT_MAX];
    size_t len = verify_rotate_text(ORIGIN, role, epoch, new_key->pk, text);

    crypto_sign_detached(m->buf[0], NULL, text, len, new_key->sk);
    crypto_sign_detached(m->buf[1], NULL, text, len, compromised ? m->root.sk : other->sk);
    fields_add_span(&m->ev.data, FIELD_KEY_ROLE, span_str(key_role_name(role)));
    fields_add_u64(&m->ev.data, FIELD_EPOCH, epoch);
    fields_add_span(&m->ev.data, FIELD_NEW_KEY, span_of(new_key->pk, 32));
    fields_add_span(&m->ev.data, FIELD_POSSESSION_SIG, span_of(m->buf[0], 64));
    fields_add_span(
        &m->ev.data, compromised ? FIELD_ROOT_SIG : FIELD_OTHER_SIG, span_of(m->buf[1], 64));
}

/* A rotation that is right, and in force from the next event on. */
static void
rotate(struct maker *m, enum key_role role, bool compromised)
{
    next_event(m, compromised ? EV_KEY_COMPROMISED : EV_KEY_ROTATED);
    rotate_fields(m, role, compromised);
    sign_record(m);
    assert_int_equal(feed(m), OK);
    if (role == KEY_LOG)
        m->log_epoch++;
    else
        m->event_epoch++;
}

static void
plain(struct maker *m)
{
    next_event(m, EV_HEARTBEAT);
    sign_record(m);
    assert_int_equal(feed(m), OK);
}

static void
begin(struct maker *m, bool trust_root)
{
    struct verify_trust trust = {.has_root = trust_root};

    memset(m, 0, sizeof(*m));
    make_key(&m->root);
    for (int i = 1; i < 4; i++) {
        make_key(&m->log[i]);
        make_key(&m->event[i]);
    }
    m->log_epoch = m->event_epoch = 1;
    memcpy(trust.root_pk, m->root.pk, 32);
    assert_int_equal(verify_new(ORIGIN, &trust, &m->v), OK);
    next_event(m, EV_LOG_OPENED);
    open_fields(m);
}

static void
opened(struct maker *m)
{
    begin(m, true);
    sign_record(m);
    assert_int_equal(feed(m), OK);
    plain(m);
    plain(m);
}

static void
end_bad(struct maker *m, const char *what, uint64_t seq, const char *word)
{
    struct verify_result result;

    verify_result(m->v, &result);
    if (!result.bad || result.bad_seq != seq || strstr(result.why, word) == NULL)
        fail_msg("%s: bad %d at %llu (%s), not at %llu (%s)", what, result.bad,
            (unsigned long long)result.bad_seq, result.why, (unsigned long long)seq, word);
    verify_free(m->v);
}

/* ---- cases: each bends an event before it is signed */

static void
bend_nothing(struct maker *m)
{
    (void)m;
}
static void
bend_seq(struct maker *m)
{
    m->ev.seq++;
}
static void
bend_prev(struct maker *m)
{
    m->ev.prev.b[31] ^= 1;
}
static void
bend_origin(struct maker *m)
{
    m->ev.origin_id.b[0] ^= 1;
}
static void
bend_epoch(struct maker *m)
{
    m->ev.key_epoch++;
}
static void
bend_epoch_zero(struct maker *m)
{
    m->ev.key_epoch = 0;
}
static void
bend_time(struct maker *m)
{
    m->ev.eff_us -= 2;
}
static void
bend_signer(struct maker *m)
{
    m->signer = &m->event[2];
}
static void
bend_type_opened(struct maker *m)
{
    m->ev.type = EV_LOG_OPENED;
    open_fields(m);
}
static void
bend_type_heartbeat(struct maker *m)
{
    m->ev.type = EV_HEARTBEAT;
}

static void
drop_field(struct fields *fields, enum field field)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < fields->count; i++) {
        if (fields->v[i].field != field)
            fields->v[n++] = fields->v[i];
    }
    fields->count = n;
}

static void
set_span(struct fields *fields, enum field field, struct span s)
{
    drop_field(fields, field);
    fields_add_span(fields, field, s);
}

static void
bend_no_root_sig(struct maker *m)
{
    drop_field(&m->ev.data, FIELD_ROOT_SIG);
}
static void
bend_no_key(struct maker *m)
{
    drop_field(&m->ev.data, FIELD_LOG_KEY);
}
static void
bend_root_sig(struct maker *m)
{
    m->buf[0][3] ^= 1;
}
static void
bend_other_origin(struct maker *m)
{
    set_span(&m->ev.data, FIELD_ORIGIN, span_str("x"));
}
static void
bend_log_key(struct maker *m)
{
    set_span(&m->ev.data, FIELD_LOG_KEY, span_of(m->log[2].pk, 32));
}
static void
bend_event_key(struct maker *m)
{
    set_span(&m->ev.data, FIELD_EVENT_KEY, span_of(m->event[2].pk, 32));
}

static void
bend_other_root(struct maker *m)
{
    uint8_t text[VERIFY_TEXT_MAX];
    size_t len = verify_keys_text(ORIGIN, m->log[1].pk, m->event[1].pk, text);

    set_span(&m->ev.data, FIELD_ROOT_KEY, span_of(m->log[3].pk, 32));
    crypto_sign_detached(m->buf[0], NULL, text, len, m->log[3].sk);
}

static void
the_first_event(void **state)
{
    static const struct {
        const char *what;
        void (*bend)(struct maker *m);
        const char *word;
    } cases[] = {
        {"seq", bend_seq, "it says that it is event 1"},
        {"prev", bend_prev, "prev"},
        {"origin id", bend_origin, "another log"},
        {"epoch", bend_epoch, "epoch"},
        {"signer", bend_signer, "signature is false"},
        {"type", bend_type_heartbeat, "not log.opened"},
        {"no root sig", bend_no_root_sig, "lacks"},
        {"no key", bend_no_key, "lacks"},
        {"root sig", bend_root_sig, "root did not sign"},
        {"log key", bend_log_key, "root did not sign"},
        {"event key", bend_event_key, "root did not sign"},
        {"origin", bend_other_origin, "another origin"},
        {"root", bend_other_root, "another root key"},
    };
    struct maker m;

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        begin(&m, true);
        cases[i].bend(&m);
        sign_record(&m);
        assert_int_equal(feed(&m), ERR_MISMATCH);
        end_bad(&m, cases[i].what, 0, cases[i].word);
    }
    /* without a root to trust, any root does: then the log only agrees with itself */
    begin(&m, false);
    bend_other_root(&m);
    sign_record(&m);
    assert_int_equal(feed(&m), OK);
    assert_int_equal(verify_done(m.v), OK);
    verify_free(m.v);
}

static void
any_event(void **state)
{
    static const struct {
        const char *what;
        void (*bend)(struct maker *m);
        const char *word;
    } cases[] = {
        {"seq", bend_seq, "it says that it is event 4"},
        {"prev", bend_prev, "prev"},
        {"origin id", bend_origin, "another log"},
        {"epoch", bend_epoch, "epoch 2, and 1 is in force"},
        {"epoch", bend_epoch_zero, "epoch 0, and 1 is in force"},
        {"time", bend_time, "time"},
        {"signer", bend_signer, "signature is false"},
        {"type", bend_type_opened, "log.opened again"},
    };
    struct maker m;

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        opened(&m);
        next_event(&m, EV_HEARTBEAT);
        cases[i].bend(&m);
        sign_record(&m);
        assert_int_equal(feed(&m), ERR_MISMATCH);
        end_bad(&m, cases[i].what, 3, cases[i].word);
    }
    opened(&m);
    next_event(&m, EV_HEARTBEAT);
    bend_nothing(&m);
    m.ev.eff_us--; /* the same time again is fine */
    sign_record(&m);
    assert_int_equal(feed(&m), OK);
    next_event(&m, 9999); /* an event of a later build, too */
    sign_record(&m);
    assert_int_equal(feed(&m), OK);
    assert_int_equal(verify_done(m.v), OK);
    verify_free(m.v);
}

static void
malformed_records(void **state)
{
    struct maker m;

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        opened(&m);
        next_event(&m, EV_HEARTBEAT);
        sign_record(&m);
        switch (i) {
        case 0: m.len = 0; break;
        case 1: m.len = 64; break;
        case 2: m.len--; break;
        case 3: m.record[0] = 0xdf; break;
        default: m.record[1] = 2; break; /* fmt */
        }
        assert_int_equal(feed(&m), ERR_MISMATCH);
        assert_int_equal(feed(&m), ERR_MISMATCH); /* and stays so */
        end_bad(&m, "malformed", 3, i < 2 ? "size" : "well-formed");
    }
}

static void
bend_role(struct maker *m)
{
    set_span(&m->ev.data, FIELD_KEY_ROLE, span_str("root"));
}
static void
bend_no_new_key(struct maker *m)
{
    drop_field(&m->ev.data, FIELD_NEW_KEY);
}
static void
bend_no_possession(struct maker *m)
{
    drop_field(&m->ev.data, FIELD_POSSESSION_SIG);
}
static void
bend_no_other(struct maker *m)
{
    drop_field(&m->ev.data, FIELD_OTHER_SIG);
}
static void
bend_possession(struct maker *m)
{
    m->buf[0][9] ^= 1;
}
static void
bend_other(struct maker *m)
{
    m->buf[1][9] ^= 1;
}
static void
bend_new_key(struct maker *m)
{
    set_span(&m->ev.data, FIELD_NEW_KEY, span_of(m->log[3].pk, 32));
}

static void
bend_new_epoch(struct maker *m)
{
    drop_field(&m->ev.data, FIELD_EPOCH);
    fields_add_u64(&m->ev.data, FIELD_EPOCH, 3);
}

static void
rotations(void **state)
{
    static const struct {
        const char *what;
        void (*bend)(struct maker *m);
        const char *word;
    } cases[] = {
        {"role", bend_role, "no known role"},
        {"no key", bend_no_new_key, "without the new key"},
        {"no possession", bend_no_possession, "without the new key or one"},
        {"no other", bend_no_other, "without the new key or one"},
        {"epoch", bend_new_epoch, "not the next"},
        {"new key", bend_new_key, "possession"},
        {"possession", bend_possession, "possession"},
        {"other", bend_other, "the other key did not sign"},
        {"signer", bend_signer, "signature is false"},
    };
    struct maker m;

    (void)state;
    for (size_t i = 0; i < ROWS(cases) * 2; i++) {
        opened(&m);
        next_event(&m, EV_KEY_ROTATED);
        rotate_fields(&m, i % 2 == 0 ? KEY_LOG : KEY_EVENT, false);
        cases[i / 2].bend(&m);
        sign_record(&m);
        assert_int_equal(feed(&m), ERR_MISMATCH);
        end_bad(&m, cases[i / 2].what, 3, cases[i / 2].word);
    }
    /* what root must sign, the other key cannot */
    opened(&m);
    next_event(&m, EV_KEY_COMPROMISED);
    rotate_fields(&m, KEY_EVENT, false);
    set_span(&m.ev.data, FIELD_ROOT_SIG, span_of(m.buf[1], 64));
    sign_record(&m);
    assert_int_equal(feed(&m), ERR_MISMATCH);
    end_bad(&m, "compromised", 3, "root did not sign");
    /* all that is right */
    opened(&m);
    rotate(&m, KEY_EVENT, false);
    plain(&m);
    rotate(&m, KEY_LOG, false);
    rotate(&m, KEY_EVENT, true);
    plain(&m);
    rotate(&m, KEY_LOG, true);
    plain(&m);
    /* the old key signs no more */
    next_event(&m, EV_HEARTBEAT);
    m.signer = &m.event[2];
    sign_record(&m);
    assert_int_equal(feed(&m), ERR_MISMATCH);
    end_bad(&m, "old key", 10, "signature is false");
    /* nor may an event name its epoch */
    opened(&m);
    rotate(&m, KEY_EVENT, false);
    next_event(&m, EV_HEARTBEAT);
    m.ev.key_epoch = 1;
    m.signer = &m.event[1];
    sign_record(&m);
    assert_int_equal(feed(&m), ERR_MISMATCH);
    end_bad(&m, "old epoch", 4, "epoch 1, and 2 is in force");
}

/* A head of the tree so far, by a key. */
static struct span
sign_head(struct maker *m, const struct key *k, uint64_t size, const struct hash *root)
{
    static char text[CHECKPOINT_BYTES_MAX];
    struct note_signer *signer;
    size_t len;

    (void)m;
    assert_int_equal(note_signer_new(span_str(ORIGIN), k->sk, &signer), OK);
    assert_int_equal(checkpoint_sign(size, root, signer, text, sizeof(text), &len), OK);
    note_signer_free(signer);
    return span_of(text, len);
}

/* Sizes around a rotation of the log key at seq 3: up to size 4 the old key signs. */
static void
heads(void **state)
{
    static const struct {
        uint64_t size;
        unsigned key; /* epoch of the log key that signs */
        enum err err;
    } cases[] = {
        {0, 1, OK}, {0, 2, ERR_MISMATCH}, {1, 1, OK}, {3, 1, OK}, {4, 1, OK}, {4, 2, ERR_MISMATCH},
        {5, 2, OK}, {5, 1, ERR_MISMATCH}, {6, 2, OK}, {7, 2, ERR_MISMATCH}, /* beyond the end */
    };
    struct maker m;

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct verify_trust trust = {0};
        struct verify_result result;
        static uint8_t records[6][4096];
        size_t lens[6];
        struct frontier tree = {0};
        struct hash root, leaf;

        begin(&m, true);
        for (unsigned seq = 0; seq < 6; seq++) {
            if (seq == 3) {
                next_event(&m, EV_KEY_ROTATED);
                rotate_fields(&m, KEY_LOG, false);
            } else if (seq > 0) {
                next_event(&m, EV_HEARTBEAT);
            }
            sign_record(&m);
            memcpy(records[seq], m.record, m.len);
            lens[seq] = m.len;
            if (seq < cases[i].size) {
                event_leaf(span_of(m.record, m.len), &leaf);
                frontier_append(&tree, &leaf, 1, NULL, NULL);
            }
        }
        frontier_root(&tree, &root);
        verify_free(m.v);
        for (unsigned wrong = 0; wrong < 2; wrong++) {
            enum err err = OK;

            if (wrong == 1 && cases[i].size == 0)
                continue; /* cannot even be written */
            root.b[0] ^= (uint8_t)wrong;
            assert_int_equal(verify_new(ORIGIN, &trust, &m.v), OK);
            assert_int_equal(
                verify_expect(m.v, sign_head(&m, &m.log[cases[i].key], cases[i].size, &root)), OK);
            for (unsigned seq = 0; seq < 6 && err == OK; seq++) {
                memcpy(m.record, records[seq], lens[seq]);
                m.len = lens[seq];
                err = feed(&m);
            }
            if (err == OK)
                err = verify_done(m.v);
            if (err != (wrong == 1 ? ERR_MISMATCH : cases[i].err))
                fail_msg("case %zu, wrong %u: %s", i, wrong, err_name(err));
            verify_result(m.v, &result);
            assert_int_equal(result.heads, err == OK ? 1 : 0);
            verify_free(m.v);
        }
    }
}

static void
heads_that_are_none(void **state)
{
    struct maker m;
    struct hash root = {{0}};
    struct note_signer *signer;
    char text[CHECKPOINT_BYTES_MAX];
    size_t len;

    (void)state;
    opened(&m);
    assert_int_equal(verify_expect(m.v, span_str("")), ERR_MALFORMED);
    assert_int_equal(verify_expect(m.v, sign_head(&m, &m.log[1], 2, &root)), ERR_NOT_FOUND);
    assert_int_equal(note_signer_new(span_str("another"), m.log[1].sk, &signer), OK);
    assert_int_equal(checkpoint_sign(5, &root, signer, text, sizeof(text), &len), OK);
    note_signer_free(signer);
    assert_int_equal(verify_expect(m.v, span_of(text, len)), ERR_MALFORMED);
    assert_int_equal(verify_done(m.v), OK);
    verify_free(m.v);
}

/* With a log vkey as the key given, a head by it must be there. */
static void
a_log_key_is_trusted(void **state)
{
    struct maker m, other;
    struct verify_trust trust = {.has_log = true};

    (void)state;
    opened(&m);
    verify_free(m.v);
    for (int given = 0; given < 3; given++) { /* no head; by the key; by another key */
        struct frontier tree = {0};
        struct hash leaf, root;
        enum err err;

        begin(&other, false);
        verify_free(other.v);
        assert_int_equal(
            note_key_make(span_str(ORIGIN), given == 2 ? m.log[1].pk : other.log[1].pk, &trust.log),
            OK);
        assert_int_equal(verify_new(ORIGIN, &trust, &other.v), OK);
        sign_record(&other);
        event_leaf(span_of(other.record, other.len), &leaf);
        frontier_append(&tree, &leaf, 1, NULL, NULL);
        frontier_root(&tree, &root);
        if (given > 0)
            assert_int_equal(
                verify_expect(other.v, sign_head(&other, &other.log[1], 1, &root)), OK);
        assert_int_equal(feed(&other), OK);
        err = verify_done(other.v);
        assert_int_equal(err, given == 1 ? OK : ERR_MISMATCH);
        verify_free(other.v);
    }
}

/* ---- agents' statements: an enrolled machine, a session on it, a channel */

struct agent {
    struct key device, stranger;
    struct id machine, session, channel;
    struct statement st;
    uint8_t statement[STATEMENT_BYTES_MAX], cosigned[STATEMENT_BYTES_MAX + 100];
    const struct key *signs; /* NULL: the device */
    const char *purpose;     /* NULL: the right one */
    bool leave_out;
};

static struct agent agent;

/* The co-signature of agent.st into the event. */
static void
cosign(struct maker *m)
{
    uint8_t sig[64];
    struct pack p;
    size_t len;

    if (agent.leave_out)
        return;
    assert_int_equal(
        statement_encode(&agent.st, agent.statement, sizeof(agent.statement), &len), OK);
    statement_sign(agent.st.purpose, ORIGIN, span_of(agent.statement, len),
        agent.signs != NULL ? agent.signs->sk : agent.device.sk, sig);
    pack_init(&p, agent.cosigned, sizeof(agent.cosigned));
    pack_array(&p, 3);
    pack_str(&p, span_str(agent.purpose != NULL ? agent.purpose : purpose_name(agent.st.purpose)));
    pack_bin(&p, span_of(agent.statement, len));
    pack_bin(&p, span_of(sig, 64));
    fields_add_span(&m->ev.data, FIELD_COSIGNED, pack_span(&p));
}

static void
state_it(enum purpose purpose)
{
    static const uint8_t services[] = {0x91, 0xa5, 's', 'h', 'e', 'l', 'l'};
    uint8_t *nonces = agent.st.server_nonce;

    memset(&agent.st, 0, sizeof(agent.st));
    agent.st.purpose = purpose;
    randombytes_buf(nonces, 32);
    randombytes_buf(agent.st.agent_nonce, 32);
    agent.st.machine = agent.machine;
    agent.st.session = agent.session;
    switch (purpose) {
    case PURPOSE_HELLO:
        memcpy(agent.st.device_key, agent.device.pk, 32);
        memset(&agent.st.machine, 0, sizeof(agent.st.machine));
        memset(&agent.st.session, 0, sizeof(agent.st.session));
        agent.st.services = span_of(services, sizeof(services));
        agent.st.version = span_str("1");
        agent.st.os = span_str("linux");
        agent.st.protocol = STATEMENT_PROTOCOL;
        agent.st.credential = 2;
        agent.st.personal.b[0] = 1;
        break;
    case PURPOSE_CONSENT:
        agent.st.answer = agent.st.mode = 1;
        agent.st.personal.b[0] = 1;
        break;
    case PURPOSE_CHANNEL:
        agent.st.channel = agent.channel;
        agent.st.service = span_str("shell");
        break;
    case PURPOSE_CLOSE:
        agent.st.channel = agent.channel;
        agent.st.why = span_str("done");
        break;
    }
}

static void
agent_event(struct maker *m, enum event_type type, enum purpose purpose)
{
    next_event(m, type);
    m->ev.actor.kind = ACTOR_AGENT;
    m->ev.subject.machine = agent.machine;
    if (purpose != PURPOSE_HELLO)
        m->ev.subject.session = agent.session;
    if (purpose == PURPOSE_CHANNEL || purpose == PURPOSE_CLOSE)
        fields_add_id(&m->ev.data, FIELD_CHANNEL, &agent.channel);
    if (purpose == PURPOSE_CHANNEL)
        fields_add_span(&m->ev.data, FIELD_SERVICE, span_str("shell"));
    if (type == EV_MACHINE_ENROLLED || type == EV_MACHINE_REBOUND || type == EV_CODE_REDEEMED)
        fields_add_span(&m->ev.data, FIELD_DEVICE_KEY, span_of(agent.device.pk, 32));
    state_it(purpose);
}

static void
said(struct maker *m, enum event_type type, enum purpose purpose)
{
    agent_event(m, type, purpose);
    if (type == EV_SESSION_DENIED)
        agent.st.answer = 2;
    cosign(m);
    sign_record(m);
    assert_int_equal(feed(m), OK);
}

/* Up to an enrolled machine at seq 3. */
static void
enrolled(struct maker *m)
{
    memset(&agent, 0, sizeof(agent));
    make_key(&agent.device);
    make_key(&agent.stranger);
    agent.machine.b[0] = 1;
    agent.session.b[0] = 2;
    agent.channel.b[0] = 3;
    opened(m);
    said(m, EV_MACHINE_ENROLLED, PURPOSE_HELLO);
}

static void
lie_nothing(struct maker *m)
{
    (void)m;
}
static void
lie_leave_out(struct maker *m)
{
    (void)m;
    agent.leave_out = true;
}
static void
lie_stranger(struct maker *m)
{
    (void)m;
    agent.signs = &agent.stranger;
}
static void
lie_purpose(struct maker *m)
{
    (void)m;
    agent.purpose = "nothing";
}
static void
lie_machine(struct maker *m)
{
    (void)m;
    agent.st.machine.b[5] = 9;
}
static void
lie_subject(struct maker *m)
{
    m->ev.subject.machine.b[5] = 9;
}
static void
lie_session(struct maker *m)
{
    (void)m;
    agent.st.session.b[5] = 9;
}
static void
lie_channel(struct maker *m)
{
    (void)m;
    agent.st.channel.b[5] = 9;
}
static void
lie_service(struct maker *m)
{
    (void)m;
    agent.st.service = span_str("desktop");
}
static void
lie_answer(struct maker *m)
{
    (void)m;
    agent.st.answer = 3 - agent.st.answer;
}

static void
lie_device(struct maker *m)
{
    (void)m;
    memcpy(agent.st.device_key, agent.stranger.pk, 32);
    agent.signs = &agent.stranger;
}

static void
statements(void **state)
{
    static const struct {
        const char *what;
        enum event_type type;
        enum purpose purpose;
        void (*lie)(struct maker *m);
        const char *word; /* NULL: taken */
    } cases[] = {
        {"connected", EV_AGENT_CONNECTED, PURPOSE_HELLO, lie_nothing, NULL},
        {"connected", EV_AGENT_CONNECTED, PURPOSE_HELLO, lie_leave_out, "lacks"},
        {"connected", EV_AGENT_CONNECTED, PURPOSE_HELLO, lie_stranger, "not signed"},
        {"connected", EV_AGENT_CONNECTED, PURPOSE_HELLO, lie_device, "another device"},
        {"connected", EV_AGENT_CONNECTED, PURPOSE_HELLO, lie_purpose, "another purpose"},
        {"connected", EV_AGENT_CONNECTED, PURPOSE_HELLO, lie_subject, "bound to no device"},
        {"connected", EV_AGENT_CONNECTED, PURPOSE_CONSENT, lie_nothing, "another purpose"},
        {"rebound", EV_MACHINE_REBOUND, PURPOSE_HELLO, lie_leave_out, "lacks"},
        {"rebound", EV_MACHINE_REBOUND, PURPOSE_HELLO, lie_device, "another device key"},
        {"redeemed", EV_CODE_REDEEMED, PURPOSE_HELLO, lie_leave_out, "lacks"},
        {"redeemed", EV_CODE_REDEEMED, PURPOSE_HELLO, lie_stranger, "not signed"},
        {"consented", EV_SESSION_CONSENTED, PURPOSE_CONSENT, lie_nothing, NULL},
        {"consented", EV_SESSION_CONSENTED, PURPOSE_CONSENT, lie_leave_out, "lacks"},
        {"consented", EV_SESSION_CONSENTED, PURPOSE_CONSENT, lie_stranger, "not signed"},
        {"consented", EV_SESSION_CONSENTED, PURPOSE_CONSENT, lie_answer, "another answer"},
        {"consented", EV_SESSION_CONSENTED, PURPOSE_CONSENT, lie_session, "another session"},
        {"consented", EV_SESSION_CONSENTED, PURPOSE_CONSENT, lie_machine, "another machine"},
        {"denied", EV_SESSION_DENIED, PURPOSE_CONSENT, lie_nothing, "another answer"},
        {"denied", EV_SESSION_DENIED, PURPOSE_CONSENT, lie_answer, NULL},
        {"channel", EV_CHANNEL_OPENED, PURPOSE_CHANNEL, lie_nothing, NULL},
        {"channel", EV_CHANNEL_OPENED, PURPOSE_CHANNEL, lie_leave_out, "lacks"},
        {"channel", EV_CHANNEL_OPENED, PURPOSE_CHANNEL, lie_service, "another service"},
        {"channel", EV_CHANNEL_OPENED, PURPOSE_CHANNEL, lie_channel, "another channel"},
        {"channel", EV_CHANNEL_OPENED, PURPOSE_CHANNEL, lie_stranger, "not signed"},
        {"closed", EV_CHANNEL_CLOSED, PURPOSE_CLOSE, lie_nothing, NULL},
        {"closed", EV_CHANNEL_CLOSED, PURPOSE_CLOSE, lie_leave_out, NULL},
        {"closed", EV_CHANNEL_CLOSED, PURPOSE_CLOSE, lie_channel, "another channel"},
        {"closed", EV_CHANNEL_CLOSED, PURPOSE_CLOSE, lie_stranger, "not signed"},
        {"attested", EV_CHANNEL_ATTESTED, PURPOSE_CLOSE, lie_leave_out, "lacks"},
        {"attested", EV_CHANNEL_ATTESTED, PURPOSE_CLOSE, lie_nothing, NULL},
    };
    struct verify_result result;
    struct maker m;

    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        enum err err;

        enrolled(&m);
        agent_event(&m, cases[i].type, cases[i].purpose);
        cases[i].lie(&m);
        cosign(&m);
        sign_record(&m);
        err = feed(&m);
        if ((err == OK) != (cases[i].word == NULL))
            fail_msg("case %zu, %s: %s", i, cases[i].what, err_name(err));
        if (cases[i].word != NULL) {
            end_bad(&m, cases[i].what, 4, cases[i].word);
            continue;
        }
        verify_result(m.v, &result);
        assert_int_equal(result.statements, agent.leave_out ? 1 : 2);
        verify_free(m.v);
    }
}

/* A machine bound anew: only its new device speaks for it. And many machines. */
static void
devices_change(void **state)
{
    struct key old;
    struct maker m;

    (void)state;
    enrolled(&m);
    old = agent.device;
    make_key(&agent.device);
    said(&m, EV_MACHINE_REBOUND, PURPOSE_HELLO);
    said(&m, EV_SESSION_CONSENTED, PURPOSE_CONSENT);
    agent_event(&m, EV_SESSION_CONSENTED, PURPOSE_CONSENT);
    agent.signs = &old;
    cosign(&m);
    sign_record(&m);
    assert_int_equal(feed(&m), ERR_MISMATCH);
    end_bad(&m, "old device", 6, "not signed");
    enrolled(&m);
    for (unsigned i = 0; i < 300; i++) {
        randombytes_buf(agent.machine.b, ID_BYTES);
        said(&m, EV_CODE_REDEEMED, PURPOSE_HELLO);
        said(&m, EV_CHANNEL_OPENED, PURPOSE_CHANNEL);
    }
    assert_int_equal(verify_done(m.v), OK);
    verify_free(m.v);
    /* --fast looks at none of it */
    begin(&m, false);
    verify_free(m.v);
    assert_int_equal(verify_new(ORIGIN, &(struct verify_trust){.fast = true}, &m.v), OK);
    sign_record(&m);
    assert_int_equal(feed(&m), OK);
    next_event(&m, EV_SESSION_CONSENTED);
    sign_record(&m);
    assert_int_equal(feed(&m), OK);
    verify_free(m.v);
}

/* ---- keys as people hand them on */

static void
keys_from_outside(void **state)
{
    static const struct {
        const char *name;
        enum err err;
        bool root;
        const char *origin;
    } rows[] = {
        {"help.example/root", OK, true, "help.example"},
        {"help.example", OK, false, "help.example"},
        {"help.example/2", OK, false, "help.example/2"},
        {"help.example/2/root", OK, true, "help.example/2"},
        {"/root", ERR_LIMIT, false, NULL},
        {"a23456789012345678901234567890123456789012345678901234567890123x/root", OK, true,
            "a23456789012345678901234567890123456789012345678901234567890123x"},
        {"a23456789012345678901234567890123456789012345678901234567890123xy/root", ERR_LIMIT, false,
            NULL},
    };
    char text[NOTE_VKEY_BYTES_MAX], origin[ORIGIN_BYTES_MAX + 1];
    struct verify_trust trust;
    struct note_key key;
    uint8_t pk[32] = {9};
    size_t len;

    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        assert_int_equal(note_key_make(span_str(rows[i].name), pk, &key), OK);
        assert_int_equal(note_vkey_format(&key, text, sizeof(text), &len), OK);
        assert_int_equal(verify_trust_key(span_of(text, len), &trust, origin), rows[i].err);
        if (rows[i].err != OK)
            continue;
        assert_string_equal(origin, rows[i].origin);
        assert_int_equal(trust.has_root, rows[i].root);
        assert_int_equal(trust.has_log, !rows[i].root);
        assert_int_equal(trust.fast, !rows[i].root);
        assert_memory_equal(rows[i].root ? trust.root_pk : trust.log.public_key, pk, 32);
    }
    assert_int_equal(verify_trust_key(span_str("help.example"), &trust, origin), ERR_MALFORMED);
    assert_int_equal(verify_trust_key(span_str(""), &trust, origin), ERR_MALFORMED);
    assert_int_equal(note_key_make(span_str("help.example/root"), pk, &key), OK);
    key.id ^= 1;
    assert_int_equal(note_vkey_format(&key, text, sizeof(text), &len), OK);
    assert_int_equal(verify_trust_key(span_of(text, len), &trust, origin), ERR_MISMATCH);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_event),
        cmocka_unit_test(any_event),
        cmocka_unit_test(malformed_records),
        cmocka_unit_test(rotations),
        cmocka_unit_test(heads),
        cmocka_unit_test(heads_that_are_none),
        cmocka_unit_test(a_log_key_is_trusted),
        cmocka_unit_test(statements),
        cmocka_unit_test(devices_change),
        cmocka_unit_test(keys_from_outside),
    };

    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
