/* messages.c: what the server says while the link is up, and what is answered and signed. Every
 * message was scanned, typed and bounded by core/control.c before it comes here. One thread. */
#include "core/text.h"
#include "tools/agent/agent.h"
#include "tools/agent/say.h"

#include <sodium.h>
#include <string.h>

size_t
agent_sign(struct agent *a, const struct statement *st, uint8_t body[STATEMENT_BYTES_MAX],
    uint8_t sig[CONTROL_SIG_BYTES])
{
    size_t len;

    INVARIANT(statement_encode(st, body, STATEMENT_BYTES_MAX, &len) == OK);
    statement_sign(st->purpose, a->state.origin, span_of(body, len), a->state.key, sig);
    return len;
}

struct agent_session *
session_find(struct agent *a, const struct id *id)
{
    for (size_t i = 0; i < AGENT_SESSIONS_MAX; i++)
        if (a->sessions[i].used && id_equal(&a->sessions[i].id, id))
            return &a->sessions[i];
    return NULL;
}

static struct agent_session *
session_make(struct agent *a, const struct id *id)
{
    struct agent_session *s = session_find(a, id);

    if (s == NULL) {
        s = &a->sessions[0];
        for (size_t i = 0; i < AGENT_SESSIONS_MAX && s->used; i++)
            if (!a->sessions[i].used || a->sessions[i].number < s->number)
                s = &a->sessions[i];
    }
    prompt_withdraw(a, s);
    *s = (struct agent_session){.used = true, .number = ++a->counter, .id = *id};
    return s;
}

void
session_answer(struct agent *a, struct agent_session *s, bool granted, bool prompted)
{
    struct personal_consent shown = {
        span_of(s->technician, s->technician_len), span_of(s->reason, s->reason_len)};
    struct statement st = {.purpose = PURPOSE_CONSENT,
        .machine = a->machine,
        .session = s->id,
        .answer = granted ? 1 : 2,
        .mode = prompted ? 1 : 2};
    struct control message = {.kind = CONTROL_CONSENT};
    uint8_t body[STATEMENT_BYTES_MAX], personal[CONTROL_PERSONAL_BYTES_MAX];
    size_t len;

    s->asking = false;
    s->granted = granted;
    a->guest_served = a->guest_served || granted;
    INVARIANT(personal_consent_encode(&shown, personal, sizeof(personal), &len) == OK);
    message.said.personal = span_of(personal, len);
    randombytes_buf(message.said.salt, CONTROL_SALT_BYTES);
    statement_personal(message.said.salt, message.said.personal, &st.personal);
    memcpy(st.server_nonce, s->nonce, STATEMENT_NONCE);
    randombytes_buf(st.agent_nonce, STATEMENT_NONCE);
    message.said.statement = span_of(body, agent_sign(a, &st, body, message.said.sig));
    if (link_send(a, &message) != OK) {
        s->granted = false;
        say("the answer could not be sent: the server is gone");
    }
}

static void
take_offer(struct agent *a, const struct control_offer *offer)
{
    struct agent_session *s = session_make(a, &offer->session);
    /* A person who gave a code is asked, whatever the server thinks of it. */
    bool ask = offer->ask || a->guest;

    memcpy(s->nonce, offer->nonce, sizeof(s->nonce));
    memcpy(s->technician, offer->technician.ptr, offer->technician.len);
    s->technician_len = offer->technician.len;
    if (offer->reason.len > 0)
        memcpy(s->reason, offer->reason.ptr, offer->reason.len);
    s->reason_len = offer->reason.len;
    s->deadline_ms = pollset_clock_ms() + (int64_t)offer->expires_s * 1000;
    if (!ask) {
        s->granted = true;
        say("session with %s%s%s", say_foreign(offer->technician),
            offer->reason.len > 0 ? ": " : "", say_foreign(offer->reason));
    } else if (a->options.yes) {
        say("session with %s allowed by --yes%s%s", say_foreign(offer->technician),
            offer->reason.len > 0 ? ": " : "", say_foreign(offer->reason));
        session_answer(a, s, true, false);
    } else {
        s->asking = true; /* prompt_prepare takes it up */
    }
}

static void
take_end(struct agent *a, const struct control_end *end)
{
    struct agent_session *s = session_find(a, &end->session);

    if (s == NULL)
        return;
    prompt_withdraw(a, s);
    channels_end_session(a, &end->session, "session_ended");
    say("session with %s has ended (%s)", say_foreign(span_of(s->technician, s->technician_len)),
        say_foreign(end->why));
    if (a->guest && s->granted) {
        a->guest_over = true; /* the server may still ask for close statements */
        a->leave_at_ms = pollset_clock_ms() + 3000;
    }
    s->used = false;
}

static void
take_close(struct agent *a, const struct control_close *close)
{
    struct agent_channel *ch = channel_find(a, &close->channel);
    struct control message = {.kind = CONTROL_CLOSED};
    struct statement st = {.purpose = PURPOSE_CLOSE, .machine = a->machine};
    uint8_t body[STATEMENT_BYTES_MAX];
    struct agent_record *r;

    if (ch != NULL)
        channel_end(a, ch, "ended_by_server");
    if ((r = record_find(a, &close->channel)) == NULL)
        return; /* never opened here: there is nothing to say about it */
    st.session = r->session;
    st.channel = r->channel;
    st.to_agent_bytes = r->to_agent_bytes;
    st.to_technician_bytes = r->to_technician_bytes;
    st.exit_status = r->exit_status;
    st.why = span_str(r->why);
    memcpy(st.server_nonce, close->nonce, STATEMENT_NONCE);
    randombytes_buf(st.agent_nonce, STATEMENT_NONCE);
    message.closed.statement = span_of(body, agent_sign(a, &st, body, message.closed.sig));
    if (link_send(a, &message) == OK)
        r->used = false;
    if (close->to_agent_bytes != st.to_agent_bytes ||
        close->to_technician_bytes != st.to_technician_bytes)
        say("a channel's bytes differ: %llu in and %llu out here, %llu and %llu at the server",
            (unsigned long long)st.to_agent_bytes, (unsigned long long)st.to_technician_bytes,
            (unsigned long long)close->to_agent_bytes,
            (unsigned long long)close->to_technician_bytes);
}

static void
take_head(struct agent *a, const struct control_head *head)
{
    enum err err = state_head(&a->state, head->checkpoint);

    if (err == ERR_MISMATCH)
        say("WARNING: the server's log contradicts the head kept in %s/checkpoint", a->state.path);
    else if (err == ERR_MALFORMED)
        say("the server sent a head that is no checkpoint");
}

void
messages_take(struct agent *a, const struct control *message)
{
    switch (message->kind) {
    case CONTROL_OFFER: take_offer(a, &message->offer); return;
    case CONTROL_OPEN: channel_open(a, &message->open); return;
    case CONTROL_END: take_end(a, &message->end); return;
    case CONTROL_CLOSE: take_close(a, &message->close); return;
    case CONTROL_HEAD: take_head(a, &message->head); return;
    default: say("the server repeats its %s", control_name(message->kind)); return;
    }
}
