/* deciding.h: what the tests of decisions share: one command and its facts, and a decision written
 * out as text, line by line, so that a case reads: given this, expect that.
 *
 * An id or key made of one letter shows as that letter; one drawn from entropy as new1, new2 ... in
 * the order of appearance; a time as seconds from now. */
#ifndef TESTS_DECIDING_H
#define TESTS_DECIDING_H

#include "testing.h"

#include <sodium.h>

#include "core/decision.h"
#include "core/pack.h"
#include "core/rights.h"

#define NOW_US   (INT64_C(1800000000) * US_PER_S)
#define TEXT_MAX 32768

static struct command asked;
static struct {
    struct facts facts;
    struct policy policy;
} scene;

#define C asked
#define F (scene.facts)

static inline struct id
id_of(char letter)
{
    struct id id;

    memset(id.b, letter, ID_BYTES);
    return id;
}

static inline struct tag
tag_of(char letter)
{
    struct tag tag;

    memset(tag.b, letter, TAG_BYTES);
    return tag;
}

/* A canonical array of strings, out of a list with commas. */
static inline struct span
strings(const char *list)
{
    static uint8_t room[8][256];
    static unsigned next;
    struct pack p;
    uint32_t count = *list != '\0';

    for (const char *c = list; *c != '\0'; c++)
        count += *c == ',';
    pack_init(&p, room[next % 8], sizeof(room[0]));
    next++;
    pack_array(&p, count);
    while (count-- > 0) {
        size_t n = strcspn(list, ",");

        pack_str(&p, span_of(list, n));
        list += n + (list[n] != '\0');
    }
    assert_true(pack_ok(&p));
    return pack_span(&p);
}

/* --- callers; each brings an address --- */

static inline void
caller_address(void)
{
    static const uint8_t address[16] = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 1};

    C.caller.has_address = true;
    memcpy(C.caller.address, address, sizeof(address));
    C.caller.address_text = span_str("192.0.2.1");
    C.caller.user_agent = span_str("ua");
    F.tags.addr = tag_of('A');
    F.tags.net = tag_of('N');
    F.tags.wide = tag_of('W');
}

static inline void
by_nobody(void)
{
    C.caller = (struct caller){.kind = CALLER_NOBODY};
    caller_address();
}

/* User u, login f, with the newest token. */
static inline void
by_token(enum role role)
{
    C.caller = (struct caller){
        .kind = CALLER_TOKEN, .user = id_of('u'), .family = id_of('f'), .token_n = 3};
    caller_address();
    F.caller = (struct account_fact){.found = true,
        .user = id_of('u'),
        .role = role,
        .verifier_version = 4,
        .changed_seq = 50,
        .admins_active = 2};
    F.caller_family = (struct family_fact){.found = true,
        .family = id_of('f'),
        .user = id_of('u'),
        .n = 3,
        .opened_us = NOW_US - 3600 * US_PER_S,
        .refreshed_us = NOW_US - 60 * US_PER_S,
        .rotated_us = NOW_US - 60 * US_PER_S,
        .net = tag_of('N')};
    F.family = F.caller_family;
}

static inline void
by_cli(void)
{
    C.caller = (struct caller){.kind = CALLER_CLI};
    F.tags = (struct tags){0};
}

static inline void
by_server(void)
{
    C.caller = (struct caller){.kind = CALLER_SERVER};
    F.tags = (struct tags){0};
}

/* Machine m over control connection x. */
static inline void
by_agent(void)
{
    C.caller =
        (struct caller){.kind = CALLER_AGENT, .machine = id_of('m'), .connection = id_of('x')};
    caller_address();
}

/* A command, by nobody, on a quiet server with nothing in it. */
static inline void
given(enum command_kind kind)
{
    memset(&asked, 0, sizeof(asked));
    memset(&scene, 0, sizeof(scene));
    policy_default(&scene.policy);
    C.kind = kind;
    F.policy = &scene.policy;
    F.policy_adopted = true;
    F.now = (struct moment){.eff_us = NOW_US, .wall_us = NOW_US, .boottime_us = 7777};
    F.next_seq = 100;
    F.key_epoch = 1;
    F.log_epoch = 1;
    for (int rule = 1; rule < RULE_COUNT; rule++)
        F.limits[rule] = (struct limit_fact){
            .limit = scene.policy.rules[rule].count, .window_s = scene.policy.rules[rule].window_s};
    by_nobody();
}

static inline void
exhaust(enum rule rule, int frees_s)
{
    F.limits[rule].count = F.limits[rule].limit;
    F.limits[rule].frees_us = NOW_US + frees_s * US_PER_S;
}

/* --- things that facts speak of --- */

static inline struct account_fact
account_of(char user, enum role role)
{
    return (struct account_fact){.found = true,
        .user = id_of(user),
        .role = role,
        .verifier_version = 4,
        .changed_seq = 50,
        .admins_active = 2};
}

/* Enrolled, unattended, online over connection x, with device key d. */
static inline struct machine_fact
machine_of(char machine)
{
    struct machine_fact m = {.found = true,
        .bound = true,
        .online = true,
        .machine = id_of(machine),
        .added_by = id_of('a'),
        .connection = id_of('x'),
        .changed_seq = 60,
        .allow_changed_seq = 61,
        .services = strings("shell,desktop,tcp:web")};

    memset(m.device_key, 'd', sizeof(m.device_key));
    return m;
}

/* Of user u, login f, on machine m; ten seconds old. */
static inline struct session_fact
session_of(char session, enum session_state state)
{
    struct session_fact s = {.found = true,
        .state = state,
        .session = id_of(session),
        .owner = id_of('u'),
        .family = id_of('f'),
        .machine = id_of('m'),
        .agent_connection = id_of('x'),
        .net = tag_of('N'),
        .requested_us = NOW_US - 11 * US_PER_S,
        .n = 1};

    if (state == SESSION_OPEN) {
        s.opened_us = NOW_US - 10 * US_PER_S;
        s.n = 5;
        s.channels_total = 2;
        s.to_agent_bytes = 1000;
        s.to_technician_bytes = 2000;
    }
    return s;
}

static inline void
ending(char session, enum session_state state)
{
    F.ending[F.ending_count++] = session_of(session, state);
}

static inline struct signed_statement
said_by(char device, const char *purpose)
{
    struct signed_statement said = {.verified = true,
        .purpose = span_str(purpose),
        .statement = span_str("statement"),
        .sig = span_str("sig"),
        .salt = span_str("SSSSSSSSSSSSSSSS"),
        .personal = span_str("map")};

    memset(said.device_key, device, sizeof(said.device_key));
    return said;
}

/* --- a decision as text --- */

struct writing {
    char text[TEXT_MAX];
    size_t len;
    struct id drawn[8];
    unsigned drawn_count;
};

__attribute__((format(printf, 2, 3))) static inline void
put(struct writing *w, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(w->text + w->len, TEXT_MAX - w->len, format, args);
    va_end(args);
    assert_true(n >= 0 && (size_t)n < TEXT_MAX - w->len);
    w->len += (size_t)n;
}

static inline void
put_bytes(struct writing *w, struct span s)
{
    struct id id = {{0}};
    size_t same = 1;

    while (same < s.len && s.ptr[same] == s.ptr[0])
        same++;
    if (s.len > 0 && same == s.len && s.ptr[0] > ' ' && s.ptr[0] < 127) {
        put(w, "%c", s.ptr[0]);
        return;
    }
    if (s.len != ID_BYTES) {
        put(w, "%zu bytes", s.len);
        return;
    }
    memcpy(id.b, s.ptr, ID_BYTES);
    for (unsigned i = 0; i < w->drawn_count; i++)
        if (id_equal(&w->drawn[i], &id)) {
            put(w, "new%u", i + 1);
            return;
        }
    assert_true(w->drawn_count < 8);
    w->drawn[w->drawn_count++] = id;
    put(w, "new%u", w->drawn_count);
}

static inline void
put_strings(struct writing *w, struct span s)
{
    struct reader r;
    uint32_t count;

    assert_int_equal(pack_scan(s), OK);
    reader_init(&r, s);
    count = reader_array(&r);
    put(w, "[");
    for (uint32_t i = 0; i < count; i++) {
        struct span item = reader_str(&r);

        put(w, "%s%.*s", i == 0 ? "" : ",", (int)item.len, (const char *)item.ptr);
    }
    put(w, "]");
    assert_true(reader_done(&r));
}

static inline void
put_cosigned(struct writing *w, struct span s)
{
    struct reader r;
    struct span purpose;

    assert_int_equal(pack_scan(s), OK);
    reader_init(&r, s);
    assert_int_equal(reader_array(&r), 3);
    purpose = reader_str(&r);
    put(w, "%.*s", (int)purpose.len, (const char *)purpose.ptr);
    assert_true(span_is(reader_bin(&r), "statement"));
    assert_true(span_is(reader_bin(&r), "sig"));
    assert_true(reader_done(&r));
}

static inline void
put_value(struct writing *w, const struct value *v, bool personal)
{
    const struct field_row *row = catalogue_field(v->field);

    assert_non_null(row);
    assert_int_equal(row->personal, personal); /* personal only in sealed, sealed only personal */
    put(w, " %s=", row->name);
    switch (row->kind) {
    case KIND_U64:
    case KIND_BOOL: put(w, "%llu", (unsigned long long)v->u); return;
    case KIND_I64: put(w, "%lld", (long long)v->u); return;
    case KIND_US: put(w, "%+llds", (long long)((int64_t)v->u - NOW_US) / US_PER_S); return;
    case KIND_STR: put(w, "%.*s", (int)v->s.len, (const char *)v->s.ptr); return;
    case KIND_STRS: put_strings(w, v->s); return;
    case KIND_COSIGNED: put_cosigned(w, v->s); return;
    case KIND_ROWS: put(w, "%zu bytes", v->s.len); return;
    default: put_bytes(w, v->s); return;
    }
}

static inline void
put_id(struct writing *w, const char *name, const struct id *id)
{
    if (id_is_nil(id))
        return;
    put(w, " %s:", name);
    put_bytes(w, span_of(id->b, ID_BYTES));
}

static inline void
put_draft(struct writing *w, const struct draft *d)
{
    static const char *const actors[] = {"nobody", "user", "agent", "code", "cli", "server"};
    static const char *const keys[] = {"user", "machine", "month"};
    static uint8_t room[RECORD_BYTES_MAX];
    size_t len;

    assert_non_null(catalogue_event(d->type));
    put(w, "%s by %s", catalogue_event(d->type)->name, actors[d->actor.kind]);
    put_id(w, "id", &d->actor.id);
    put_id(w, "login", &d->actor.family);
    if (!tag_is_nil(&d->actor.tags.net))
        put(w, " @%c", d->actor.tags.net.b[0]);
    if (!tag_is_nil(&d->actor.tags.account))
        put(w, " as %c", d->actor.tags.account.b[0]);
    put(w, " on");
    put_id(w, "session", &d->subject.session);
    put_id(w, "machine", &d->subject.machine);
    put_id(w, "user", &d->subject.user);
    put_id(w, "code", &d->subject.code);
    put(w, ",");
    for (uint32_t i = 0; i < d->data.count; i++)
        put_value(w, &d->data.v[i], false);
    assert_int_equal(fields_encode(&d->data, room, sizeof(room), &len), OK);
    for (uint32_t i = 0; i < d->personal_count; i++) {
        const struct personal *p = &d->personal[i];

        put(w, " | %s", keys[p->key]);
        put_id(w, "of", &p->subject);
        for (uint32_t j = 0; j < p->fields.count; j++)
            put_value(w, &p->fields.v[j], true);
        assert_int_equal(fields_encode(&p->fields, room, sizeof(room), &len), OK);
    }
    put(w, "%s\n", d->uses_policy ? " (policy)" : "");
}

static inline void
put_secret(struct writing *w, const struct secret_op *op)
{
    static const char *const kinds[] = {
        "", "password", "code", "api key", "invite", "subject", "origin"};

    put(w, "%s %s", op->drop ? "drop" : "keep", kinds[op->kind]);
    put_id(w, "of", &op->id);
    put(w, " v%llu", (unsigned long long)op->version);
    if (!op->drop)
        put(w, " %zu bytes", op->bytes.len);
    put(w, "\n");
}

static inline void
put_time(struct writing *w, const char *name, int64_t us)
{
    if (us != 0)
        put(w, " %s:%+llds", name, (long long)(us - NOW_US) / US_PER_S);
}

static inline void
put_number(struct writing *w, const char *name, uint64_t n)
{
    if (n != 0)
        put(w, " %s:%llu", name, (unsigned long long)n);
}

static inline void
put_reply(struct writing *w, const struct reply *r)
{
    static const char *const states[] = {"", "requested", "consented", "open", "ended"};

    put(w, "reply");
    put_id(w, "id", &r->id);
    put_id(w, "user", &r->user);
    put_id(w, "login", &r->family);
    put_id(w, "machine", &r->machine);
    put_id(w, "session", &r->session);
    put_id(w, "channel", &r->channel);
    put_id(w, "connection", &r->connection);
    if (r->role != ROLE_NONE)
        put(w, " role:%s", role_name(r->role));
    put_number(w, "attempt", r->attempt);
    put_number(w, "n", r->token_n);
    put_number(w, "verifier", r->verifier_version);
    put_time(w, "issued", r->issued_us);
    put_time(w, "expires", r->expires_us);
    put(w, "%s%s", r->asks_consent ? " asks" : "", r->guest ? " guest" : "");
    if (r->state != 0)
        put(w, " %s", states[r->state]);
    if (!sodium_is_zero(r->nonce, sizeof(r->nonce)))
        put(w, " nonce");
    if (r->secret[0] != '\0')
        put(w, " secret:%zu", strlen(r->secret));
    if (r->service[0] != '\0')
        put(w, " service:%s", r->service);
    for (uint32_t i = 0; i < r->ended_count; i++)
        put_id(w, "ended", &r->ended[i]);
    put(w, "%s%s%s\n", r->cut_connection ? " cut-connection" : "",
        r->recheck_agents ? " recheck-agents" : "", r->cut_user ? " cut-user" : "");
}

static inline void
write_out(const struct decision *d, struct writing *w)
{
    w->len = 0;
    w->drawn_count = 0;
    if (d->refusal != REFUSE_NONE) {
        put(w, "refused %s", refusal_row(d->refusal)->code);
        if (d->field != NULL)
            put(w, " (%s)", d->field);
        put(w, "%s\n", d->count_refusal ? " counted" : "");
    }
    for (uint32_t i = 0; i < d->draft_count; i++)
        put_draft(w, &d->drafts[i]);
    for (uint32_t i = 0; i < d->secret_count; i++)
        put_secret(w, &d->secrets[i]);
    put_reply(w, &d->reply);
    if (w->len >= 7 && strcmp(w->text + w->len - 7, "\nreply\n") == 0)
        w->text[w->len -= 6] = '\0'; /* an empty one goes without saying */
    else if (strcmp(w->text, "reply\n") == 0)
        w->text[w->len = 0] = '\0';
}

/* --- running it --- */

static struct decision decided; /* the last one, for what a case wants to look at itself */

static inline void
run(struct decision *out, uint8_t seed_byte)
{
    uint8_t seed[32];
    struct entropy entropy;

    memset(seed, seed_byte, sizeof(seed));
    entropy_init(&entropy, seed);
    decide(&C, &F, &entropy, out);
}

/* What holds of every decision. */
static inline void
check_always(const char *what)
{
    static struct decision dirty; /* remembers the case before */
    static struct writing again, first;

    if (decided.refusal == REFUSE_TOO_OFTEN && (decided.draft_count != 0 || !decided.count_refusal))
        fail_msg("%s: too often must be counted, not written", what);
    run(&dirty, 1);
    write_out(&decided, &first);
    write_out(&dirty, &again);
    assert_string_equal(first.text, again.text);
    assert_int_equal(decided.arena_len, dirty.arena_len);
    assert_memory_equal(decided.arena, dirty.arena, dirty.arena_len);
    assert_memory_equal(decided.reply.secret, dirty.reply.secret, sizeof(dirty.reply.secret));
    assert_memory_equal(decided.reply.nonce, dirty.reply.nonce, sizeof(dirty.reply.nonce));
    assert_ptr_equal(decided.field, dirty.field);
    assert_ptr_equal(decided.detail, dirty.detail);
    assert_memory_equal(&decided.limit, &dirty.limit, sizeof(dirty.limit));
    assert_int_equal(decided.cause_count, dirty.cause_count);
    assert_memory_equal(decided.cause, dirty.cause, sizeof(dirty.cause));
}

static inline void
expect(const char *what, const char *want)
{
    static struct writing w;

    memset(&decided, 0, sizeof(decided));
    run(&decided, 1);
    write_out(&decided, &w);
    if (strcmp(w.text, want) != 0)
        fail_msg("%s:\n--- got\n%s--- expected\n%s", what, w.text, want);
    check_always(what);
}

#endif
