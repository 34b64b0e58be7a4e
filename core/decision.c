/* decision.c: the one door to all decisions. Finds the file that decides, and holds the scratch
 * that it writes into. Ledger thread; the simulation and the historian have scratches of their own.
 */
#include "core/decide.h"

#include <sodium.h>

typedef void (*decide_fn)(
    const struct command *, const struct facts *, struct entropy *, struct decision *);

/* Which file knows, and when it is still asked by callers from outside. What ends, revokes or reads
 * always is; what was begun is concluded; and people may log in for that.
 * STOPPING: a stopping server takes nothing new.
 * UNSURE: until an admin has vouched for the clock, nobody knows what has expired.
 * LOW: the disk is nearly full, and what is left is kept for the end of what is open. */
enum { STOPPING = 1, UNSURE = 2, LOW = 4, ALWAYS = STOPPING | UNSURE | LOW };

static const struct command_row {
    decide_fn decide;
    unsigned taken; /* also while ... */
} command_rows[CMD_COUNT] = {
    [CMD_ATTEMPT_LOGIN] = {decide_account, UNSURE | LOW},
    [CMD_CONCLUDE_LOGIN] = {decide_account, UNSURE | LOW},
    [CMD_REFRESH_TOKEN] = {decide_account, LOW},
    [CMD_LOGOUT] = {decide_account, ALWAYS},
    [CMD_REVOKE_FAMILY] = {decide_account, ALWAYS},
    [CMD_REMOVE_DEVICE] = {decide_account, ALWAYS},
    [CMD_REJECT_TOKEN] = {decide_account, ALWAYS},
    [CMD_AUTHORIZE] = {decide_account, ALWAYS},
    [CMD_ATTEMPT_PASSWORD] = {decide_account, 0},
    [CMD_CONCLUDE_PASSWORD] = {decide_account, UNSURE | LOW},
    [CMD_ATTEMPT_REPROVE] = {decide_proof, LOW},
    [CMD_CONCLUDE_REPROVE] = {decide_proof, UNSURE | LOW},
    [CMD_SET_PASSWORD] = {decide_account, 0},
    [CMD_ISSUE_INVITE] = {decide_people, 0},
    [CMD_REVOKE_INVITE] = {decide_people, ALWAYS},
    [CMD_ATTEMPT_REGISTER] = {decide_people, 0},
    [CMD_CONCLUDE_REGISTER] = {decide_people, UNSURE | LOW},
    [CMD_ADD_USER] = {decide_people, 0},
    [CMD_CHANGE_USER] = {decide_people, ALWAYS},
    [CMD_ISSUE_CODE] = {decide_machine, 0},
    [CMD_REVOKE_CODE] = {decide_machine, ALWAYS},
    [CMD_VALIDATE_CODE] = {decide_machine, 0},
    [CMD_ADD_MACHINE] = {decide_machine, 0},
    [CMD_CHANGE_MACHINE] = {decide_machine, 0},
    [CMD_REMOVE_MACHINE] = {decide_machine, ALWAYS},
    [CMD_ISSUE_KEY] = {decide_machine, 0},
    [CMD_REVOKE_KEY] = {decide_machine, ALWAYS},
    [CMD_SET_ALLOWLIST] = {decide_machine, ALWAYS},
    [CMD_ADMIT_AGENT] = {decide_agent, 0},
    [CMD_GREET_AGENT] = {decide_agent, 0},
    [CMD_AGENT_GONE] = {decide_agent, ALWAYS},
    [CMD_RECHECK_AGENT] = {decide_agent, ALWAYS},
    [CMD_OPEN_SESSION] = {decide_session, 0},
    [CMD_ANSWER_CONSENT] = {decide_session, UNSURE | LOW},
    [CMD_ISSUE_TICKET] = {decide_session, 0},
    [CMD_ATTACH] = {decide_channel, 0},
    [CMD_OPEN_CHANNEL] = {decide_channel, UNSURE | LOW},
    [CMD_CLOSE_CHANNEL] = {decide_channel, ALWAYS},
    [CMD_ATTEST_CHANNEL] = {decide_channel, ALWAYS},
    [CMD_DETACH] = {decide_channel, ALWAYS},
    [CMD_OFFER_TRANSFER] = {decide_transfer, 0},
    [CMD_ACCEPT_TRANSFER] = {decide_transfer, 0},
    [CMD_END_SESSION] = {decide_session, ALWAYS},
    [CMD_NOTE_SESSION] = {decide_session, ALWAYS},
    [CMD_READ_AUDIT] = {decide_server, ALWAYS},
    [CMD_EXPORT_AUDIT] = {decide_server, ALWAYS},
    [CMD_ACK_ALERT] = {decide_server, ALWAYS},
    [CMD_OPEN_LOG] = {decide_server, 0},
    [CMD_ADOPT_POLICY] = {decide_server, 0},
    [CMD_START_SERVER] = {decide_server, 0},
    [CMD_STOP_SERVER] = {decide_server, ALWAYS},
    [CMD_TIME_PASSED] = {decide_server, ALWAYS},
    [CMD_ROTATE_KEY] = {decide_server, 0},
    [CMD_ROTATE_SECRET] = {decide_server, ALWAYS},
    [CMD_ACCEPT_CLOCK] = {decide_server, ALWAYS},
};

/* Drafts are cleared one by one, as they are taken: clearing all of them for each command would
 * cost more than the command. */
static void
decision_reset(struct decision *out)
{
    size_t used = out->arena_len < sizeof(out->arena) ? out->arena_len : sizeof(out->arena);

    sodium_memzero(out->arena, used);
    sodium_memzero(&out->reply, sizeof(out->reply));
    out->arena_len = 0;
    out->refusal = REFUSE_NONE;
    out->field = NULL;
    out->detail = NULL;
    out->limit = (struct limit_fact){0};
    memset(out->cause, 0, sizeof(out->cause));
    out->cause_count = 0;
    out->count_refusal = false;
    out->counted_rule = RULE_NONE;
    out->draft_count = 0;
    out->secret_count = 0;
}

/* Refusals of the server itself, before anything is decided: no event, but counted. Who is on the
 * server's machine is there to repair it. */
static bool
taken(const struct command *cmd, const struct facts *facts, const struct command_row *row,
    struct decision *out)
{
    if (cmd->caller.kind == CALLER_SERVER || cmd->caller.kind == CALLER_CLI)
        return true;
    if (facts->stopping && (row->taken & STOPPING) == 0) {
        decision_refuse(out, REFUSE_STOPPING, NULL, NULL);
        return false;
    }
    if (facts->clock_unsure && (row->taken & UNSURE) == 0)
        decision_refuse(
            out, REFUSE_CLOCK_UNSURE, NULL, "An admin must run: gatehouse clock accept");
    else if (facts->low_space && (row->taken & LOW) == 0)
        decision_refuse(out, REFUSE_LOW_SPACE, NULL, "An admin must make room on the disk.");
    else
        return true;
    out->count_refusal = true;
    return false;
}

void
decide(const struct command *cmd, const struct facts *facts, struct entropy *entropy,
    struct decision *out)
{
    const struct command_row *row;

    INVARIANT(cmd->kind > CMD_NONE && cmd->kind < CMD_COUNT);
    row = &command_rows[cmd->kind];
    INVARIANT(row->decide != NULL);
    decision_reset(out);
    if (taken(cmd, facts, row, out))
        row->decide(cmd, facts, entropy, out);
}

void
decide_straying(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    decision_reset(out);
    for (uint32_t i = 0; i < facts->straying_count; i++)
        decide_network(cmd, facts, &facts->straying[i], out);
}

static struct actor
decision_actor(const struct command *cmd, const struct facts *facts)
{
    struct actor actor = {.kind = ACTOR_NOBODY, .tags = facts->tags};

    switch (cmd->caller.kind) {
    case CALLER_TOKEN:
        actor.kind = ACTOR_USER;
        actor.id = cmd->caller.user;
        actor.family = cmd->caller.family;
        break;
    case CALLER_AGENT:
        actor.kind = ACTOR_AGENT;
        actor.id = cmd->caller.machine;
        break;
    case CALLER_CLI: actor.kind = ACTOR_CLI; break;
    case CALLER_SERVER: actor.kind = ACTOR_SERVER; break;
    case CALLER_NOBODY: break;
    }
    return actor;
}

struct draft *
decision_draft(struct decision *out, enum event_type type, const struct command *cmd,
    const struct facts *facts)
{
    struct draft *d;

    INVARIANT(out->draft_count < DRAFTS_MAX);
    d = &out->drafts[out->draft_count++];
    memset(d, 0, sizeof(*d));
    d->type = type;
    d->actor = decision_actor(cmd, facts);
    return d;
}

void
decision_cause(struct decision *out, uint64_t seq)
{
    if (out->cause_count < CAUSES_MAX)
        out->cause[out->cause_count++] = seq;
}

struct span
decision_copy(struct decision *out, struct span bytes)
{
    uint8_t *at = out->arena + out->arena_len;

    INVARIANT(bytes.len <= sizeof(out->arena) - out->arena_len);
    if (bytes.len > 0)
        memcpy(at, bytes.ptr, bytes.len);
    out->arena_len += bytes.len;
    return span_of(at, bytes.len);
}

void
decision_refuse(struct decision *out, enum refusal refusal, const char *field, const char *detail)
{
    out->refusal = refusal;
    out->field = field;
    out->detail = detail;
}

struct personal *
draft_personal(struct draft *d, enum personal_key key, const struct id *subject)
{
    struct personal *p;

    for (uint32_t i = 0; i < d->personal_count; i++) {
        p = &d->personal[i];
        if (p->key == key && (key == PERSONAL_MONTH || id_equal(&p->subject, subject)))
            return p;
    }
    INVARIANT(d->personal_count < DRAFT_PERSONAL_MAX);
    p = &d->personal[d->personal_count++];
    p->key = key;
    if (key != PERSONAL_MONTH)
        p->subject = *subject;
    return p;
}

void
draft_caller(
    struct draft *d, const struct command *cmd, enum personal_key key, const struct id *subject)
{
    const struct {
        enum field field;
        struct span text;
    } parts[] = {
        {FIELD_ADDRESS, cmd->caller.address_text},
        {FIELD_PROXY_ADDRESS, cmd->caller.proxy_text},
        {FIELD_USER_AGENT, cmd->caller.user_agent},
    };

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (parts[i].text.len > 0)
            fields_add_span(
                &draft_personal(d, key, subject)->fields, parts[i].field, parts[i].text);
}
