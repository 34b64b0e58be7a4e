/* actors.c: people, agents and strangers that do what comes to mind, right and wrong. What a
 * verdict gives (ids, secrets, tickets) goes into pools; later commands draw from them, also from
 * stale ones. */
#include "tests/sim/sim.h"

#include "core/decision.h"
#include "core/pack.h"

#define ADDRESSES 6

/* Mostly what is new, so that things get somewhere; sometimes what is stale. */
static struct thing *
pool_pick(struct sim *s, struct pool *p)
{
    uint64_t n = p->count < POOL ? p->count : POOL;

    if (n == 0)
        return NULL;
    if (sim_below(s, 4) != 0)
        return &p->things[(p->count - 1 - sim_below(s, n < 4 ? n : 4)) % POOL];
    return &p->things[sim_below(s, n)];
}

/* The newest thing whose id (or other) is this; mostly. */
static struct thing *
pool_of(struct sim *s, struct pool *p, const struct id *id, bool by_other)
{
    uint64_t n = p->count < POOL ? p->count : POOL;

    for (uint64_t i = 0; i < n && sim_below(s, 10) != 0; i++) {
        struct thing *t = &p->things[(p->count - 1 - i) % POOL];

        if (id_equal(by_other ? &t->other : &t->id, id))
            return t;
    }
    return pool_pick(s, p);
}

static struct thing *
pool_add(struct pool *p)
{
    struct thing *t = &p->things[p->count++ % POOL];

    memset(t, 0, sizeof(*t));
    return t;
}

static struct command *
anonymous(struct sim *s, enum command_kind kind)
{
    struct command *cmd = command_new(kind, 4096);

    INVARIANT(cmd != NULL);
    cmd->caller.has_address = true;
    cmd->caller.address[10] = cmd->caller.address[11] = 0xff;
    cmd->caller.address[12] = 10;
    cmd->caller.address[15] = (uint8_t)sim_below(s, ADDRESSES);
    cmd->caller.address_text = command_copy(cmd, span_str("10.0.0.1"));
    cmd->caller.user_agent = command_copy(cmd, span_str("sim"));
    return cmd;
}

/* Most people stay where they logged in; who turns up elsewhere finds his session paused. */
static void
mostly_from(struct sim *s, struct command *cmd, size_t address)
{
    if (sim_below(s, 40) != 0)
        cmd->caller.address[15] = (uint8_t)address;
}

/* A family's newest token, or an older or invented one. */
static struct command *
with_token_of(struct sim *s, enum command_kind kind, const struct thing *f)
{
    struct command *cmd = anonymous(s, kind);

    cmd->caller.kind = CALLER_TOKEN;
    if (f == NULL)
        return cmd;
    cmd->caller.family = f->id;
    cmd->caller.user = f->other;
    cmd->caller.token_n = f->n + (sim_below(s, 50) == 0);
    mostly_from(s, cmd, f->len);
    return cmd;
}

static struct command *
with_token(struct sim *s, enum command_kind kind)
{
    return with_token_of(s, kind, pool_pick(s, &s->actors.families));
}

static struct command *
as_cli(struct sim *s, enum command_kind kind)
{
    struct command *cmd = anonymous(s, kind);

    cmd->caller.kind = CALLER_CLI;
    cmd->caller.has_address = false;
    return cmd;
}

/* Runs and frees the command; the verdict is the caller's to free. */
static struct verdict *
run(struct sim *s, struct command *cmd)
{
    struct verdict *v = s->run(s, cmd);

    command_free(cmd);
    return v;
}

static void
done(struct verdict *v)
{
    verdict_free(v);
}

static bool
granted(const struct verdict *v)
{
    return v->refusal == REFUSE_NONE;
}

/* ---- accounts ---- */

static void
add_user(struct sim *s)
{
    struct command *cmd = as_cli(s, CMD_ADD_USER);
    char name[32];
    struct verdict *v;
    int len = snprintf(name, sizeof(name), "user%llu", (unsigned long long)sim_below(s, 12));

    cmd->add_user.account_name = command_copy(cmd, span_of(name, (size_t)len));
    cmd->add_user.display_name = cmd->add_user.account_name;
    cmd->add_user.verifier = command_copy(cmd, span_str("$argon2id$sim"));
    cmd->add_user.role = (enum role)(1 + sim_below(s, 3));
    v = run(s, cmd);
    if (granted(v)) {
        struct thing *t = pool_add(&s->actors.users);

        t->id = v->reply.id;
        memcpy(t->text, name, (size_t)len);
        t->len = (size_t)len;
    }
    done(v);
}

static void
attempt_login(struct sim *s)
{
    struct thing *u = pool_pick(s, &s->actors.users);
    struct command *cmd = anonymous(s, CMD_ATTEMPT_LOGIN);
    struct verdict *v;

    cmd->attempt_login.account_name = u == NULL || sim_below(s, 4) == 0
                                          ? command_copy(cmd, span_str("stranger"))
                                          : command_copy(cmd, span_of(u->text, u->len));
    v = run(s, cmd);
    if (granted(v)) {
        struct thing *t = pool_add(&s->actors.logins);

        t->n = v->reply.attempt;
        t->other = v->reply.user;
        memcpy(t->bytes, &v->reply.verifier_version, 8);
    }
    done(v);
}

static void
conclude_login(struct sim *s)
{
    struct thing *t = pool_pick(s, &s->actors.logins);
    struct command *cmd = anonymous(s, CMD_CONCLUDE_LOGIN);
    uint8_t address = cmd->caller.address[15];
    struct verdict *v;

    if (t != NULL) {
        cmd->conclude_login.attempt = t->n;
        cmd->conclude_login.proven = !id_is_nil(&t->other) && sim_below(s, 5) != 0;
        memcpy(&cmd->conclude_login.verifier_version, t->bytes, 8);
    }
    v = run(s, cmd);
    if (granted(v)) {
        struct thing *f = pool_add(&s->actors.families);

        PROMISE(s, t != NULL && id_equal(&v->reply.user, &t->other)); /* who proved is who enters */
        f->id = v->reply.family;
        f->other = v->reply.user;
        f->len = address;
        snprintf(f->text, sizeof(f->text), "%s", v->reply.secret);
    }
    done(v);
}

static void
refresh(struct sim *s)
{
    struct thing *f = pool_pick(s, &s->actors.families);
    struct command *cmd = anonymous(s, CMD_REFRESH_TOKEN);
    struct verdict *v;

    cmd->refresh_token.token = command_copy(cmd, span_str(f == NULL ? "tok_x.1.y" : f->text));
    v = run(s, cmd);
    if (granted(v) && sim_below(s, 6) != 0) { /* sometimes the answer is lost: the old one again */
        f->n = v->reply.token_n;
        snprintf(f->text, sizeof(f->text), "%s", v->reply.secret);
    }
    done(v);
}

static void
logout(struct sim *s)
{
    done(run(s, with_token(s, CMD_LOGOUT)));
}

static void
change_user(struct sim *s)
{
    struct thing *u = pool_pick(s, &s->actors.users);
    struct command *cmd =
        sim_below(s, 2) == 0 ? as_cli(s, CMD_CHANGE_USER) : with_token(s, CMD_CHANGE_USER);

    if (u != NULL)
        cmd->change_user.user = u->id;
    cmd->change_user.role = (enum role)sim_below(s, 4);
    cmd->change_user.disabled = (int)sim_below(s, 3) - 1;
    done(run(s, cmd));
}

/* ---- codes, machines, agents ---- */

static void
issue_code(struct sim *s)
{
    struct verdict *v = run(s, with_token(s, CMD_ISSUE_CODE));

    if (granted(v)) {
        struct thing *t = pool_add(&s->actors.codes);

        t->id = v->reply.id;
        snprintf(t->text, sizeof(t->text), "%s", v->reply.secret);
    }
    done(v);
}

static void
revoke_code(struct sim *s)
{
    struct thing *t = pool_pick(s, &s->actors.codes);
    struct command *cmd = with_token(s, CMD_REVOKE_CODE);

    if (t != NULL)
        cmd->revoke_code.code = t->id;
    done(run(s, cmd));
}

static void
validate_code(struct sim *s)
{
    struct thing *t = pool_pick(s, &s->actors.codes);
    struct command *cmd = anonymous(s, CMD_VALIDATE_CODE);

    cmd->validate_code.digits =
        command_copy(cmd, span_str(t == NULL || sim_below(s, 2) == 0 ? "000000000" : t->text));
    done(run(s, cmd));
}

static struct span
services(struct command *cmd)
{
    uint8_t bytes[64];
    struct pack p;

    pack_init(&p, bytes, sizeof(bytes));
    pack_array(&p, 2);
    pack_str(&p, span_str("shell"));
    pack_str(&p, span_str("tcp:web"));
    return command_copy(cmd, pack_span(&p));
}

static void
fill_hello(struct sim *s, struct command *cmd, const uint8_t key[32])
{
    struct greet_agent *g = &cmd->greet_agent;

    cmd->caller.kind = CALLER_AGENT;
    entropy_bytes(&s->dice, g->connection.b, ID_BYTES);
    cmd->caller.connection = g->connection;
    g->hello.verified = sim_below(s, 20) != 0;
    g->hello.purpose = span_str("hello");
    g->hello.statement = command_copy(cmd, span_str("statement"));
    g->hello.sig = command_copy(cmd, span_str("signature"));
    memcpy(g->hello.device_key, key, 32);
    g->name = command_copy(cmd, span_str("machine"));
    g->host_name = g->name;
    g->os = command_copy(cmd, span_str("linux"));
    g->version = command_copy(cmd, span_str("1"));
    g->services = services(cmd);
}

static void
agent_came(struct sim *s, const struct command *cmd, const struct verdict *v)
{
    struct thing *m, *c;

    if (!granted(v))
        return;
    m = pool_add(&s->actors.machines);
    m->id = v->reply.machine;
    memcpy(m->bytes, cmd->greet_agent.hello.device_key, 32);
    c = pool_add(&s->actors.connections);
    c->id = cmd->greet_agent.connection;
    c->other = v->reply.machine;
    memcpy(c->bytes, cmd->greet_agent.hello.device_key, 32);
}

static void
agent_by_code(struct sim *s)
{
    struct thing *t = pool_pick(s, &s->actors.codes);
    struct command *cmd = anonymous(s, CMD_GREET_AGENT);
    uint8_t key[32];
    struct verdict *v;

    entropy_bytes(&s->dice, key, sizeof(key));
    cmd->greet_agent.admitted.credential = CREDENTIAL_CODE;
    cmd->greet_agent.admitted.code = command_copy(cmd, span_str(t == NULL ? "1" : t->text));
    fill_hello(s, cmd, key);
    v = s->run(s, cmd);
    agent_came(s, cmd, v);
    done(v);
    command_free(cmd);
}

static void
agent_by_device(struct sim *s)
{
    struct thing *m = pool_pick(s, &s->actors.machines);
    struct command *cmd = anonymous(s, CMD_GREET_AGENT);
    uint8_t key[32] = {0};
    struct verdict *v;

    cmd->greet_agent.admitted.credential = CREDENTIAL_DEVICE;
    if (m != NULL) {
        cmd->greet_agent.admitted.machine = m->id;
        memcpy(key, m->bytes, 32);
    }
    key[0] ^= sim_below(s, 10) == 0; /* somebody else's key */
    fill_hello(s, cmd, key);
    v = s->run(s, cmd);
    PROMISE(s, !granted(v) || (m != NULL && memcmp(key, m->bytes, 32) == 0));
    agent_came(s, cmd, v);
    done(v);
    command_free(cmd);
}

static void
add_machine_and_key(struct sim *s)
{
    struct command *cmd = with_token(s, CMD_ADD_MACHINE);
    struct verdict *v;

    cmd->add_machine.name = command_copy(cmd, span_str("server"));
    v = run(s, cmd);
    if (granted(v)) {
        struct id machine = v->reply.id;

        done(v);
        cmd = with_token(s, CMD_ISSUE_KEY);
        cmd->issue_key.machine = machine;
        v = run(s, cmd);
        if (granted(v)) {
            struct thing *k = pool_add(&s->actors.keys);

            k->id = v->reply.id;
            snprintf(k->text, sizeof(k->text), "%s", v->reply.secret);
        }
    }
    done(v);
}

static void
agent_by_key(struct sim *s)
{
    struct thing *k = pool_pick(s, &s->actors.keys);
    struct command *cmd = anonymous(s, CMD_GREET_AGENT);
    uint8_t key[32];
    struct verdict *v;

    entropy_bytes(&s->dice, key, sizeof(key));
    cmd->greet_agent.admitted.credential = CREDENTIAL_KEY;
    if (k != NULL && strlen(k->text) == 73) {
        cmd->greet_agent.admitted.key = k->id;
        cmd->greet_agent.admitted.key_secret = command_copy(cmd, span_str(k->text + 30));
    }
    fill_hello(s, cmd, key);
    v = s->run(s, cmd);
    agent_came(s, cmd, v);
    done(v);
    command_free(cmd);
}

static struct command *
as_agent(struct sim *s, enum command_kind kind, const struct thing *c)
{
    struct command *cmd = anonymous(s, kind);

    cmd->caller.kind = CALLER_AGENT;
    if (c != NULL) {
        cmd->caller.machine = c->other;
        cmd->caller.connection = c->id;
    }
    return cmd;
}

static void
agent_gone(struct sim *s)
{
    struct command *cmd = as_agent(s, CMD_AGENT_GONE, pool_pick(s, &s->actors.connections));

    cmd->agent_gone.why = "gone";
    done(run(s, cmd));
}

static void
remove_machine(struct sim *s)
{
    struct thing *m = pool_pick(s, &s->actors.machines);
    struct command *cmd = with_token(s, CMD_REMOVE_MACHINE);

    if (m != NULL)
        cmd->remove_machine.machine = m->id;
    done(run(s, cmd));
}

/* ---- sessions ---- */

static void
open_session(struct sim *s)
{
    struct thing *m = pool_pick(s, &s->actors.connections);
    struct command *cmd = with_token(s, CMD_OPEN_SESSION);
    struct verdict *v;

    if (m != NULL)
        cmd->open_session.machine = m->other;
    cmd->open_session.reason = command_copy(cmd, span_str("help"));
    v = s->run(s, cmd);
    if (granted(v)) {
        struct thing *t = pool_add(&s->actors.sessions);

        t->id = v->reply.session;
        t->other = v->reply.machine;
        t->third = cmd->caller.family;
    }
    done(v);
    command_free(cmd);
}

static void
said(struct command *cmd, struct signed_statement *out, const uint8_t key[32], const char *purpose)
{
    out->verified = true;
    out->purpose = span_str(purpose);
    out->statement = command_copy(cmd, span_str("statement"));
    out->sig = command_copy(cmd, span_str("signature"));
    memcpy(out->device_key, key, 32);
}

static void
answer_consent(struct sim *s)
{
    static const struct id nil;
    struct thing *t = pool_pick(s, &s->actors.sessions);
    struct thing *c = pool_of(s, &s->actors.connections, t == NULL ? &nil : &t->other, true);
    struct command *cmd = as_agent(s, CMD_ANSWER_CONSENT, c);

    if (t != NULL)
        cmd->answer_consent.session = t->id;
    cmd->answer_consent.granted = sim_below(s, 5) != 0;
    cmd->answer_consent.mode = "prompt";
    if (c != NULL)
        said(cmd, &cmd->answer_consent.said, c->bytes, "consent");
    done(run(s, cmd));
}

static void
issue_ticket(struct sim *s)
{
    struct thing *t = pool_pick(s, &s->actors.sessions);
    static const struct id nil;
    struct command *cmd = with_token_of(
        s, CMD_ISSUE_TICKET, pool_of(s, &s->actors.families, t == NULL ? &nil : &t->third, false));
    uint8_t address = cmd->caller.address[15];
    struct verdict *v;

    if (t != NULL)
        cmd->issue_ticket.session = t->id;
    cmd->issue_ticket.service = command_copy(cmd, span_str("shell"));
    v = run(s, cmd);
    if (granted(v)) {
        struct thing *k = pool_add(&s->actors.tickets);

        k->id = v->reply.session;
        k->len = v->reply.ticket_len;
        memcpy(k->bytes, v->reply.ticket, k->len);
        k->text[0] = (char)address;
    }
    done(v);
}

static void
attach(struct sim *s)
{
    struct thing *k = pool_pick(s, &s->actors.tickets);
    struct command *cmd = anonymous(s, CMD_ATTACH);
    struct verdict *v;

    if (k != NULL) {
        cmd->attach.ticket = command_copy(cmd, span_of(k->bytes, k->len));
        cmd->attach.session = k->id;
        mostly_from(s, cmd, (uint8_t)k->text[0]);
    }
    cmd->attach.service = command_copy(cmd, span_str("shell"));
    v = run(s, cmd);
    if (granted(v)) {
        struct thing *d = pool_add(&s->actors.dials);

        PROMISE(s, k->n++ == 0); /* a ticket opens once */
        d->id = v->reply.channel;
        d->other = v->reply.session;
        d->third = v->reply.machine;
        d->len = v->reply.ticket_len;
        memcpy(d->bytes, v->reply.ticket, d->len);
    }
    done(v);
}

static void
open_channel(struct sim *s)
{
    static const struct id nil;
    struct thing *d = pool_pick(s, &s->actors.dials);
    struct thing *c = pool_of(s, &s->actors.connections, d == NULL ? &nil : &d->third, true);
    struct command *cmd = as_agent(s, CMD_OPEN_CHANNEL, c);
    struct verdict *v;

    if (d != NULL)
        cmd->open_channel.ticket = command_copy(cmd, span_of(d->bytes, d->len));
    if (c != NULL)
        said(cmd, &cmd->open_channel.said, c->bytes, "channel");
    v = run(s, cmd);
    if (granted(v)) {
        struct thing *t = pool_add(&s->actors.channels);

        PROMISE(s, d->n++ == 0 && c != NULL && id_equal(&c->other, &d->third));
        t->id = d->id;
        t->other = d->other;
    }
    done(v);
}

static void
close_channel(struct sim *s)
{
    struct thing *t = pool_pick(s, &s->actors.channels);
    struct command *cmd = as_cli(s, CMD_CLOSE_CHANNEL);

    cmd->caller.kind = CALLER_SERVER;
    if (t != NULL) {
        cmd->close_channel.channel = t->id;
        cmd->close_channel.session = t->other;
    }
    cmd->close_channel.to_agent_bytes = sim_below(s, 1u << 20);
    cmd->close_channel.why = "technician_closed";
    cmd->close_channel.agent_why = "no_answer";
    done(run(s, cmd));
}

static void
end_session(struct sim *s)
{
    struct thing *t = pool_pick(s, &s->actors.sessions);
    struct command *cmd = with_token(s, CMD_END_SESSION);

    if (t != NULL)
        cmd->end_session.session = t->id;
    cmd->end_session.why = "ended";
    done(run(s, cmd));
}

static void
touch_session(struct sim *s)
{
    struct thing *t = pool_pick(s, &s->actors.sessions);

    if (t != NULL)
        world_touch_session(s->world, &t->id, s->clock.eff_us);
}

/* ---- */

static const struct act {
    void (*act)(struct sim *s);
    unsigned weight;
} acts[] = {
    {add_user, 2},
    {attempt_login, 12},
    {conclude_login, 12},
    {refresh, 6},
    {logout, 1},
    {change_user, 1},
    {issue_code, 4},
    {revoke_code, 1},
    {validate_code, 3},
    {agent_by_code, 6},
    {agent_by_device, 6},
    {add_machine_and_key, 3},
    {agent_by_key, 3},
    {agent_gone, 2},
    {remove_machine, 1},
    {open_session, 10},
    {answer_consent, 14},
    {issue_ticket, 12},
    {attach, 12},
    {open_channel, 12},
    {close_channel, 6},
    {end_session, 2},
    {touch_session, 10},
};

void
actors_act(struct sim *s)
{
    unsigned total = 0;
    uint64_t at;

    for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
        total += acts[i].weight;
    at = sim_below(s, total);
    for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
        if (at < acts[i].weight) {
            acts[i].act(s);
            return;
        }
        at -= acts[i].weight;
    }
}

void
actors_crashed(struct actors *a)
{
    /* A login under way is a request in the server's memory: it dies with the process, and the seq
     * of a lost attempt is given out again. */
    a->logins.count = 0;
    a->connections.count = a->tickets.count = a->dials.count = a->channels.count = 0;
}
