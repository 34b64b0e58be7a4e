/* ledger.c: command -> proofs -> facts -> decision -> events -> batch -> world. Ledger thread. */
#include "projections/ledger.h"

#include <sodium.h>

#include "core/decide.h"
#include "core/seal.h"
#include "projections/facts.h"
#include "projections/proofs.h"
#include "projections/refusals.h"

/* Support codes are short: when fresh digits are those of a live code, they are drawn again. */
#define CODE_DRAWS_MAX 16

struct ledger {
    char origin[ORIGIN_BYTES_MAX + 1];
    struct id origin_id, boot;
    struct world *world;
    struct vault *vault;
    struct keyring *keyring;
    struct journal_port journal;
    uint64_t next_seq;
    struct hash prev;
    uint32_t key_epoch;
    bool stopping, low_space;
    struct id asked_event; /* the first of the decision that is being appended */
    uint64_t rotates_at;   /* drains until this many events are durable; 0: no rotation under way */
    bool rotates_event_key;
    struct batch *open;
    struct refusals *refusals;
    char dummy_verifier[192];
    uint8_t refusal_bytes[REFUSALS_PACKED_MAX];
    uint8_t body[RECORD_BYTES_MAX];
    uint8_t sealed[SEALED_MAX][RECORD_BYTES_MAX / SEALED_MAX];
    uint8_t nonces[SEALED_MAX][SEAL_NONCE_BYTES];
    struct facts facts;
    struct decision decision;
    uint32_t paused_count; /* by this step, before what was asked for was decided */
    struct id paused[STRAYING_MAX];
};

struct ledger *
ledger_new(const struct ledger_start *start)
{
    struct ledger *l = calloc(1, sizeof(*l));

    if (l == NULL)
        return NULL;
    INVARIANT(strlen(start->origin) <= ORIGIN_BYTES_MAX);
    INVARIANT(start->next_seq == world_size(start->world));
    memcpy(l->origin, start->origin, strlen(start->origin) + 1);
    l->origin_id = event_origin_id(l->origin);
    l->boot = start->boot;
    l->world = start->world;
    l->vault = start->vault;
    l->keyring = start->keyring;
    l->journal = start->journal;
    l->next_seq = start->next_seq;
    l->prev = start->prev;
    l->key_epoch = start->key_epoch;
    if (start->dummy_verifier != NULL)
        snprintf(l->dummy_verifier, sizeof(l->dummy_verifier), "%s", start->dummy_verifier);
    l->refusals = start->refusals;
    if ((l->open = batch_new(l->next_seq, l->key_epoch)) == NULL) {
        free(l);
        return NULL;
    }
    return l;
}

void
ledger_free(struct ledger *l)
{
    if (l == NULL)
        return;
    batch_free(l->open);
    sodium_memzero(&l->decision, sizeof(l->decision));
    free(l);
}

/* Memory for what must be recorded is not optional: without it nothing true can be said. */
static void
ledger_keep_secret(struct ledger *l, const struct batch_secret *secret)
{
    INVARIANT(vault_apply(l->vault, secret) == OK);
    INVARIANT(batch_add_secret(l->open, secret) == OK);
}

static struct id
ledger_subject_key(
    struct ledger *l, const struct personal *personal, int64_t eff_us, struct entropy *entropy)
{
    struct id key_id =
        personal->key == PERSONAL_MONTH ? seal_month_id(l->origin, eff_us) : personal->subject;

    if (!keyring_has(l->keyring, &key_id)) {
        struct batch_secret key = {.kind = SECRET_SUBJECT, .id = key_id, .len = SEAL_KEY_BYTES};

        entropy_bytes(entropy, key.bytes, SEAL_KEY_BYTES);
        ledger_keep_secret(l, &key);
        sodium_memzero(&key, sizeof(key));
    }
    return key_id;
}

static void
ledger_seal_one(struct ledger *l, const struct personal *personal, struct event *ev, uint32_t slot,
    struct entropy *entropy)
{
    struct sealed_box *box = &ev->sealed[ev->sealed_count++];
    uint8_t plain[RECORD_BYTES_MAX / SEALED_MAX - SEAL_TAG_BYTES], key[SEAL_KEY_BYTES];
    size_t len;

    box->key_id = ledger_subject_key(l, personal, ev->eff_us, entropy);
    INVARIANT(keyring_get(l->keyring, &box->key_id, key));
    INVARIANT(fields_encode(&personal->fields, plain, sizeof(plain), &len) == OK);
    entropy_bytes(entropy, l->nonces[slot], SEAL_NONCE_BYTES);
    seal_close(l->origin, &ev->id, key, l->nonces[slot], span_of(plain, len), l->sealed[slot]);
    box->nonce = span_of(l->nonces[slot], SEAL_NONCE_BYTES);
    box->ciphertext = span_of(l->sealed[slot], len + SEAL_TAG_BYTES);
    sodium_memzero(key, sizeof(key));
    sodium_memzero(plain, len);
}

static void
ledger_seal(struct ledger *l, const struct draft *draft, struct event *ev, struct entropy *entropy)
{
    for (uint32_t i = 0; i < draft->personal_count; i++)
        if (draft->personal[i].fields.count > 0)
            ledger_seal_one(l, &draft->personal[i], ev, i, entropy);
    /* Sorted by key id; there are at most a few. */
    for (uint32_t i = 1; i < ev->sealed_count; i++)
        for (uint32_t k = i;
             k > 0 && memcmp(ev->sealed[k - 1].key_id.b, ev->sealed[k].key_id.b, ID_BYTES) > 0;
             k--) {
            struct sealed_box swap = ev->sealed[k];

            ev->sealed[k] = ev->sealed[k - 1];
            ev->sealed[k - 1] = swap;
        }
}

static void
ledger_append(
    struct ledger *l, const struct draft *draft, const struct moment *now, struct entropy *entropy)
{
    struct event ev;
    struct span body;
    size_t len;

    ev.seq = l->next_seq;
    ev.origin_id = l->origin_id;
    ev.prev = l->prev;
    ev.key_epoch = l->key_epoch;
    ev.wall_us = now->wall_us;
    ev.eff_us = now->eff_us;
    ev.boot = l->boot;
    ev.type = draft->type;
    ev.v = catalogue_event(draft->type)->v;
    ev.id = entropy_id(entropy);
    if (draft == &l->decision.drafts[0])
        l->asked_event = ev.id;
    ev.actor = draft->actor;
    ev.subject = draft->subject;
    ev.data = draft->data;
    ev.sealed_count = 0;
    ev.has_policy = draft->uses_policy && l->facts.policy_adopted;
    ev.policy = l->facts.policy_hash;
    ledger_seal(l, draft, &ev, entropy);
    INVARIANT(event_encode(&ev, l->body, sizeof(l->body), &len) == OK);
    body = span_of(l->body, len);
    INVARIANT(batch_add(l->open, body) == OK);
    event_prev(body, &l->prev);
    l->open->last_eff_us = ev.eff_us;
    l->next_seq++;
    world_fold(l->world, &ev);
    if (ev.type == EV_KEY_ROTATED) {
        l->open->rotates = true;
        l->rotates_at = l->next_seq;
        l->rotates_event_key = span_is(fields_span(&ev.data, FIELD_KEY_ROLE), "event");
    }
}

static bool
code_is_taken(const struct ledger *l, const struct decision *d, int64_t eff_us)
{
    const struct code *code;
    struct id id;

    return d->refusal == REFUSE_NONE && vault_find_code(l->vault, span_str(d->reply.secret), &id) &&
           (code = code_find(l->world, &id)) != NULL && code_live(code, eff_us);
}

static void
ledger_decide(
    struct ledger *l, const struct command *cmd, const struct moment *now, struct entropy *entropy)
{
    decide(cmd, &l->facts, entropy, &l->decision);
    if (cmd->kind != CMD_ISSUE_CODE)
        return;
    for (int i = 0; i < CODE_DRAWS_MAX && code_is_taken(l, &l->decision, now->eff_us); i++)
        decide(cmd, &l->facts, entropy, &l->decision);
    if (!code_is_taken(l, &l->decision, now->eff_us))
        return;
    /* Nothing of the grant may stay: neither its event, nor its secret, nor the digits. */
    l->decision.draft_count = 0;
    l->decision.secret_count = 0;
    sodium_memzero(&l->decision.reply, sizeof(l->decision.reply));
    decision_refuse(&l->decision, REFUSE_TOO_MANY, NULL, "No free support code was found.");
}

/* Tokens and tickets are made here, from what was decided: the MAC keys are the vault's. */
static void
ledger_make_tokens(struct ledger *l, const struct command *cmd, const struct moment *now)
{
    struct reply *reply = &l->decision.reply;
    struct ticket_fact ticket = {.kind = TICKET_TECHNICIAN};

    switch (cmd->kind) {
    case CMD_CONCLUDE_LOGIN:
    case CMD_REFRESH_TOKEN:
        vault_refresh_make(l->vault, &reply->family, reply->token_n, reply->secret);
        if (!id_is_nil(&reply->device))
            vault_device_make(l->vault, &reply->device, reply->device_token);
        return;
    case CMD_ISSUE_TICKET:
        memcpy(ticket.ticket_id.b, reply->nonce, TAG_BYTES);
        ticket.family = cmd->caller.family;
        ticket.expires_us = reply->expires_us;
        break;
    case CMD_ATTACH:
        ticket.kind = TICKET_AGENT;
        memcpy(ticket.ticket_id.b, reply->channel.b, TAG_BYTES); /* one agent ticket a channel */
        ticket.channel = reply->channel;
        ticket.machine = reply->machine;
        ticket.expires_us = now->eff_us + (int64_t)l->facts.policy->ticket_s * US_PER_S;
        break;
    default: return;
    }
    ticket.session = reply->session;
    memcpy(ticket.service, reply->service, sizeof(ticket.service));
    reply->ticket_len = vault_ticket_make(l->vault, &ticket, reply->ticket);
}

/* Proving a password takes the same time whether there is an account or not. */
static void
ledger_find_verifier(struct ledger *l, const struct command *cmd)
{
    struct reply *reply = &l->decision.reply;

    if (cmd->kind != CMD_ATTEMPT_LOGIN && cmd->kind != CMD_ATTEMPT_PASSWORD &&
        cmd->kind != CMD_ATTEMPT_REPROVE)
        return;
    reply->verifier_found =
        !id_is_nil(&reply->user) &&
        vault_password(l->vault, &reply->user, reply->verifier_version, reply->verifier);
    if (!reply->verifier_found)
        memcpy(reply->verifier, l->dummy_verifier, sizeof(reply->verifier));
}

/* asked_seq: the first event of what was asked for; events before it told of straying sessions. */
static struct verdict *
ledger_verdict(struct ledger *l, uint64_t first_seq, uint64_t asked_seq, const struct moment *now)
{
    struct verdict *v = calloc(1, sizeof(*v));
    struct decision *d = &l->decision;

    INVARIANT(v != NULL);
    v->refusal = d->refusal;
    v->field = d->field;
    v->detail = d->detail;
    v->limit = d->limit;
    v->rests_on = l->next_seq;
    v->first_seq = first_seq;
    v->event_count = (uint32_t)(l->next_seq - first_seq);
    v->eff_us = now->eff_us;
    if (d->draft_count > 0)
        d->reply.attempt = asked_seq;
    d->reply.paused_count = l->paused_count;
    memcpy(d->reply.paused, l->paused, sizeof(l->paused));
    v->reply = d->reply;
    sodium_memzero(&d->reply, sizeof(d->reply));
    return v;
}

/* Whose token is worth nothing may read nothing. */
static void
ledger_tell_cause(
    struct ledger *l, const struct command *cmd, uint64_t asked_seq, struct verdict *v)
{
    struct decision *d = &l->decision;

    if (cmd->caller.kind == CALLER_NOBODY && d->draft_count > 0)
        v->reference = l->asked_event;
    if (refusal_row(d->refusal)->status == 401 ||
        !rights_allow(decide_role(cmd, &l->facts), ACTION_AUDIT_READ))
        return;
    for (uint32_t i = 0; i < d->draft_count; i++)
        decision_cause(d, asked_seq + i);
    memcpy(v->cause, d->cause, sizeof(v->cause));
    v->cause_count = d->cause_count;
}

/* Counts that are due go into this command's event; a time-out alone writes nothing. */
static void
ledger_offer_refusals(
    struct ledger *l, const struct command *cmd, const struct moment *now, struct proofs *proofs)
{
    bool due = cmd->kind == CMD_TIME_PASSED && refusals_due_us(l->refusals) <= now->eff_us;

    if (!due && cmd->kind != CMD_STOP_SERVER)
        return;
    if (refusals_freeze(
            l->refusals, &proofs->refusals_generation, &proofs->refusals_total, now->eff_us))
        proofs->refusal_rows =
            refusals_pack(l->refusals, l->refusal_bytes, sizeof(l->refusal_bytes));
}

static void
ledger_count_refusal(struct ledger *l, const struct command *cmd, int64_t eff_us)
{
    static const struct id unknown;
    const struct decision *d = &l->decision;
    bool names_account = cmd->kind == CMD_ATTEMPT_LOGIN && l->facts.account.found;

    refusals_count(l->refusals, &l->facts.tags, names_account ? &l->facts.account.user : &unknown,
        d->counted_rule == RULE_NONE ? REFUSED_BY_BUDGET : (unsigned)d->counted_rule, eff_us);
}

static void
ledger_take_secrets(struct ledger *l)
{
    for (uint32_t i = 0; i < l->decision.secret_count; i++) {
        struct batch_secret secret;

        vault_prepare(l->vault, &l->decision.secrets[i], &secret);
        ledger_keep_secret(l, &secret);
        sodium_memzero(&secret, sizeof(secret));
    }
}

static void
ledger_append_drafts(struct ledger *l, const struct moment *now, struct entropy *entropy)
{
    for (uint32_t i = 0; i < l->decision.draft_count; i++) {
        ledger_append(l, &l->decision.drafts[i], now, entropy);
        if (l->decision.drafts[i].type == EV_REFUSALS_COUNTED)
            refusals_offered(l->refusals, l->next_seq);
    }
}

/* A login that is used from elsewhere: told, and folded, before what it asks for is decided. */
static void
ledger_watch(struct ledger *l, const struct command *cmd, const struct proofs *proofs,
    const struct moment *now, struct entropy *entropy)
{
    l->paused_count = 0;
    if (l->facts.straying_count == 0)
        return;
    decide_straying(cmd, &l->facts, &l->decision);
    ledger_append_drafts(l, now, entropy);
    l->paused_count = l->decision.reply.paused_count;
    memcpy(l->paused, l->decision.reply.paused, sizeof(l->paused));
    facts_gather(l->world, proofs, cmd, now, &l->facts);
}

struct verdict *
ledger_step(
    struct ledger *l, const struct command *cmd, const struct moment *now, const uint8_t seed[32])
{
    struct decision *d = &l->decision;
    uint64_t first_seq = l->next_seq, asked_seq;
    struct entropy entropy;
    struct verdict *verdict;
    struct proofs proofs;

    INVARIANT(!ledger_blocked(l));
    entropy_init(&entropy, seed);
    proofs_gather(l->vault, cmd, &proofs);
    proofs.stopping = l->stopping;
    proofs.low_space = l->low_space;
    ledger_offer_refusals(l, cmd, now, &proofs);
    facts_gather(l->world, &proofs, cmd, now, &l->facts);
    ledger_watch(l, cmd, &proofs, now, &entropy);
    asked_seq = l->next_seq;
    ledger_decide(l, cmd, now, &entropy);
    ledger_take_secrets(l);
    ledger_append_drafts(l, now, &entropy);
    if (d->count_refusal)
        ledger_count_refusal(l, cmd, now->eff_us);
    if (d->refusal == REFUSE_NONE) {
        ledger_make_tokens(l, cmd, now);
        ledger_find_verifier(l, cmd);
    }
    verdict = ledger_verdict(l, first_seq, asked_seq, now);
    if (d->refusal != REFUSE_NONE)
        ledger_tell_cause(l, cmd, asked_seq, verdict);
    return verdict;
}

bool
ledger_flush(struct ledger *l)
{
    struct batch *next;

    if (l->open->count == 0)
        return true;
    if ((next = batch_new(l->next_seq, l->key_epoch)) == NULL)
        return false; /* the open batch goes on filling; memory may come back */
    if (!l->journal.submit(l->journal.ctx, l->open)) {
        batch_free(next);
        return false;
    }
    l->open = next;
    return true;
}

bool
ledger_has_open(const struct ledger *l)
{
    return l->open->count > 0;
}

bool
ledger_blocked(const struct ledger *l)
{
    return l->rotates_at != 0 || l->open->count >= LEDGER_BATCH_EVENTS ||
           l->open->bytes_len >= LEDGER_BATCH_BYTES;
}

void
ledger_durable(struct ledger *l, uint64_t size)
{
    refusals_durable(l->refusals, size);
    if (l->rotates_at == 0 || size < l->rotates_at)
        return;
    l->rotates_at = 0;
    if (l->rotates_event_key)
        l->key_epoch++;
    INVARIANT(l->open->count == 0);
    l->open->key_epoch = l->key_epoch;
}

int64_t
ledger_deadline(const struct ledger *l)
{
    int64_t world = world_next_deadline(l->world), refusals = refusals_due_us(l->refusals);

    return world < refusals ? world : refusals;
}

uint64_t
ledger_size(const struct ledger *l)
{
    return l->next_seq;
}

struct world *
ledger_world(struct ledger *l)
{
    return l->world;
}

void
ledger_stop(struct ledger *l)
{
    l->stopping = true;
}

void
ledger_low_space(struct ledger *l, bool low)
{
    l->low_space = low;
}
