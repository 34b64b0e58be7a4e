/* bench_agent.c: see the header. */
#include "tests/bench/bench_agent.h"

#include <sodium.h>
#include <stdio.h>

#include "core/base64.h"
#include "core/pack.h"
#include "http/wsframe.h"

static void
must(enum err err, const char *what)
{
    if (err != OK)
        wire_die("%s: %s", what, err_name(err));
}

/* The next message of that kind; others are passed over. Spans borrow from `bytes`. */
static void
take(struct bench_agent *a, enum control_kind kind, uint8_t *bytes, size_t cap, struct control *out)
{
    char why[CONTROL_WHY_MAX];
    size_t len;

    do {
        if ((len = wire_ws_recv(&a->wire, bytes, cap)) == 0)
            wire_die("the server closed the agent's connection");
        must(control_decode(CONTROL_BY_SERVER, span_of(bytes, len), out, why), "control message");
        if (out->kind == CONTROL_REFUSED)
            wire_die("agent refused: %.*s", (int)out->refused.code.len,
                (const char *)out->refused.code.ptr);
    } while (out->kind != kind);
}

static size_t
sign(const struct bench_agent *a, const struct statement *st, uint8_t body[STATEMENT_BYTES_MAX],
    uint8_t sig[CONTROL_SIG_BYTES])
{
    size_t len;

    must(statement_encode(st, body, STATEMENT_BYTES_MAX, &len), "statement");
    statement_sign(st->purpose, a->origin, span_of(body, len), a->secret_key, sig);
    return len;
}

static void
say_hello(
    struct bench_agent *a, const struct control_challenge *c, const char *name, const char *service)
{
    uint8_t body[STATEMENT_BYTES_MAX], services[64], map[512], out[8192];
    struct control message = {.kind = CONTROL_HELLO};
    struct personal_hello personal = {span_str(name), span_str("bench"), span_str("bench")};
    struct statement st = {.purpose = PURPOSE_HELLO,
        .protocol = STATEMENT_PROTOCOL,
        .credential = 2,
        .version = span_str("bench"),
        .os = span_str("bench")};
    struct pack p;
    size_t len;

    pack_init(&p, services, sizeof(services));
    pack_array(&p, 1);
    pack_str(&p, span_str(service));
    st.services = span_of(services, p.len);
    memcpy(st.device_key, a->public_key, sizeof(st.device_key));
    memcpy(st.server_nonce, c->nonce, STATEMENT_NONCE);
    randombytes_buf(st.agent_nonce, STATEMENT_NONCE);
    must(personal_hello_encode(&personal, map, sizeof(map), &len), "personal map");
    message.said.personal = span_of(map, len);
    randombytes_buf(message.said.salt, CONTROL_SALT_BYTES);
    statement_personal(message.said.salt, message.said.personal, &st.personal);
    message.said.statement = span_of(body, sign(a, &st, body, message.said.sig));
    must(control_encode(&message, out, sizeof(out), &len), "hello");
    wire_ws_send(&a->wire, WSFRAME_BINARY, span_of(out, len));
}

void
bench_agent_greet(struct bench_agent *a, const struct wire_address *to, const char *key,
    const char *name, const char *service)
{
    uint8_t bytes[8192];
    struct control message;
    char fields[256];

    crypto_sign_keypair(a->public_key, a->secret_key);
    snprintf(fields, sizeof(fields), "Authorization: Gatehouse-Key %s\r\n", key);
    wire_connect(to, &a->wire);
    wire_upgrade(&a->wire, "/relay/agent", "gatehouse-agent.v1", fields);
    take(a, CONTROL_CHALLENGE, bytes, sizeof(bytes), &message);
    snprintf(a->origin, sizeof(a->origin), "%.*s", (int)message.challenge.origin.len,
        (const char *)message.challenge.origin.ptr);
    say_hello(a, &message.challenge, name, service);
}

void
bench_agent_welcome(struct bench_agent *a)
{
    uint8_t bytes[8192];
    struct control message;

    take(a, CONTROL_WELCOME, bytes, sizeof(bytes), &message);
    a->machine = message.welcome.machine;
}

void
bench_agent_dial(struct bench_agent *a, const struct wire_address *to, struct wire *out)
{
    uint8_t bytes[8192], body[STATEMENT_BYTES_MAX], sig[CONTROL_SIG_BYTES];
    char fields[8192] = "Authorization: Gatehouse-Ticket ";
    struct statement st = {.purpose = PURPOSE_CHANNEL, .machine = a->machine};
    struct control message;
    struct span parts[3];
    size_t at = strlen(fields), n;

    take(a, CONTROL_OPEN, bytes, sizeof(bytes), &message);
    st.session = message.open.session;
    st.channel = message.open.channel;
    st.service = message.open.service;
    memcpy(st.server_nonce, message.open.nonce, STATEMENT_NONCE);
    randombytes_buf(st.agent_nonce, STATEMENT_NONCE);
    parts[0] = message.open.ticket;
    parts[1] = span_of(body, sign(a, &st, body, sig));
    parts[2] = span_of(sig, sizeof(sig));
    for (int i = 0; i < 3; i++) {
        if (i > 0)
            fields[at++] = '.';
        must(base64_encode(BASE64_URL, parts[i], fields + at, sizeof(fields) - 3 - at, &n),
            "ticket");
        at += n;
    }
    memcpy(fields + at, "\r\n", 3);
    wire_connect(to, out);
    wire_upgrade(out, "/relay/channel", "gatehouse-channel.v1", fields);
}
