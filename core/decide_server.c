/* decide_server.c: the server's own life: its log, policy, keys, clock, start and stop, what time
 * ends, and who read the audit log. Pure; ledger thread. */
#include "core/decide.h"
#include "core/pack.h"

/* vault.h's origin keys: tags, codes, refresh tokens, cursors; told apart by the version */
#define ORIGIN_KEYS 4

/* A second more than asked for: the edge reads the clock before the ledger does. */
#define SECRET_GRACE_US_MAX ((SECRET_GRACE_S_MAX + 1) * US_PER_S)

static void
read_audit(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    struct draft *d;

    if (!decide_allowed(cmd, facts, ACTION_AUDIT_READ, out))
        return;
    d = decide_event(out, EV_AUDIT_READ, cmd, facts);
    draft_word(d, FIELD_ACTION, cmd->read_audit.action);
    draft_some(d, FIELD_QUERY, cmd->read_audit.query);
}

static void
export_audit(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    struct draft *d;

    if (!decide_allowed(cmd, facts, ACTION_AUDIT_READ, out))
        return;
    d = decide_event(out, EV_AUDIT_EXPORTED, cmd, facts);
    draft_word(d, FIELD_ACTION, cmd->export_audit.action);
}

static void
ack_alert(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    const struct alert_fact *alert = &facts->alert;
    enum personal_key key = cmd->caller.kind == CALLER_TOKEN ? PERSONAL_USER : PERSONAL_MONTH;
    struct draft *d;

    if (!decide_allowed(cmd, facts, ACTION_ALERT_ACK, out))
        return;
    if (!alert->found || !span_equal(alert->rule, cmd->ack_alert.rule)) {
        decision_refuse(out, REFUSE_NOT_FOUND, NULL, NULL);
        return;
    }
    d = decide_event(out, EV_ALERT_ACKNOWLEDGED, cmd, facts);
    draft_number(d, FIELD_ALERT_SEQ, alert->seq);
    draft_span(d, FIELD_ALERT_RULE, alert->rule);
    draft_sealed(d, key, &cmd->caller.user, FIELD_NOTE, cmd->ack_alert.note);
}

static bool
local_only(const struct command *cmd, struct decision *out)
{
    if (cmd->caller.kind == CALLER_CLI || cmd->caller.kind == CALLER_SERVER)
        return true;
    decision_refuse(out, REFUSE_NOT_ALLOWED, NULL, NULL);
    return false;
}

static void
open_log(const struct command *cmd, const struct facts *facts, struct entropy *entropy,
    struct decision *out)
{
    const struct open_log *o = &cmd->open_log;
    static const struct id nobody;
    struct draft *d;

    if (!local_only(cmd, out))
        return;
    if (!facts->log_empty) {
        decision_refuse(out, REFUSE_NOT_ALLOWED, NULL, "this log has been opened before");
        return;
    }
    d = decision_draft(out, EV_LOG_OPENED, cmd, facts);
    draft_word(d, FIELD_ORIGIN, o->origin);
    draft_bytes(out, d, FIELD_ROOT_KEY, o->root_pk, sizeof(o->root_pk));
    draft_bytes(out, d, FIELD_LOG_KEY, o->log_pk, sizeof(o->log_pk));
    draft_bytes(out, d, FIELD_EVENT_KEY, o->event_pk, sizeof(o->event_pk));
    draft_bytes(out, d, FIELD_ROOT_SIG, o->root_sig, sizeof(o->root_sig));
    for (uint64_t which = 1; which <= ORIGIN_KEYS; which++) {
        decide_keep(out, SECRET_ORIGIN, &nobody, which, decide_random(out, entropy, 32));
    }
}

/* What the new policy lets pass and the one in force does not: for the alert. */
static void
draft_weakened(
    struct draft *d, const struct facts *facts, const struct policy *new, struct decision *out)
{
    struct policy_item item;
    struct pack p;
    uint32_t count = 0;

    for (size_t i = 0; policy_item(new, i, &item); i++)
        count += policy_weaker(facts->policy, new, i);
    if (!facts->policy_adopted || count == 0)
        return;
    pack_init(&p, out->arena + out->arena_len, sizeof(out->arena) - out->arena_len);
    pack_array(&p, count);
    for (size_t i = 0; policy_item(new, i, &item); i++)
        if (policy_weaker(facts->policy, new, i))
            pack_str(&p, span_str(item.name));
    INVARIANT(pack_ok(&p));
    out->arena_len += p.len;
    draft_span(d, FIELD_WEAKENED, pack_span(&p));
}

static void
adopt_policy(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    struct policy policy;
    struct draft *d;

    if (!decide_allowed(cmd, facts, ACTION_SERVER_ADMIN, out))
        return;
    if (policy_decode(cmd->adopt_policy.policy, &policy) != OK) {
        decision_refuse(out, REFUSE_BAD_VALUE, "policy",
            "not a policy of this version, or a number out of its range");
        return;
    }
    if (cmd->adopt_policy.has_base &&
        (!facts->policy_adopted || !hash_equal(&cmd->adopt_policy.base, &facts->policy_hash))) {
        decision_refuse(out, REFUSE_CHANGED_MEANWHILE, "policy", "another policy was adopted");
        return;
    }
    d = decide_event(out, EV_POLICY_ADOPTED, cmd, facts);
    draft_span(d, FIELD_POLICY_BYTES, cmd->adopt_policy.policy);
    draft_weakened(d, facts, &policy, out);
}

static void
clock_stepped(const struct command *cmd, const struct facts *facts, int64_t wall_error_us,
    bool at_start, struct decision *out)
{
    struct draft *d = decision_draft(out, EV_CLOCK_STEPPED, cmd, facts);

    draft_number(d, FIELD_WALL_ERROR_US, (uint64_t)wall_error_us);
    if (at_start) /* nothing else tells how long the server was away */
        draft_word(d, FIELD_WHY, "start");
}

/* Sessions that the last run left open end here; how much they carried nobody knows any more. */
static void
start_server(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    const struct start_server *s = &cmd->start_server;
    struct draft *d;

    if (!local_only(cmd, out))
        return;
    d = decision_draft(out, EV_SERVER_STARTED, cmd, facts);
    draft_word(d, FIELD_VERSION, GATEHOUSE_VERSION);
    draft_number(d, FIELD_BOOTTIME_US, facts->now.boottime_us);
    draft_bytes(out, d, FIELD_KERNEL_BOOT, s->kernel_boot.b, TAG_BYTES);
    draft_bytes(out, d, FIELD_DIGEST, s->world_digest.b, HASH_BYTES);
    draft_number(d, FIELD_DIGEST_VERSION, s->digest_version);
    draft_number(d, FIELD_ANCHOR_SHARED, s->anchor_shares_device);
    if (s->secret_known)
        draft_bytes(out, d, FIELD_FINGERPRINT, s->fingerprint.b, HASH_BYTES);
    if (s->refusal_counts != NULL)
        draft_word(d, FIELD_REFUSAL_COUNTS, s->refusal_counts);
    if (s->clock_stepped)
        clock_stepped(cmd, facts, s->wall_error_us, true, out);
    decide_end_all(cmd, facts, "server_restart", out);
}

static void
refusals_counted(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    struct draft *d;

    if (facts->refusal_rows.len == 0)
        return;
    d = decision_draft(out, EV_REFUSALS_COUNTED, cmd, facts);
    draft_span(d, FIELD_ROWS, facts->refusal_rows);
    draft_number(d, FIELD_TOTAL, facts->refusals_total);
    draft_number(d, FIELD_GENERATION, facts->refusals_generation);
}

/* With more sessions than one decision can end, the ledger asks again: server.stopped is last. */
static void
stop_server(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    if (!local_only(cmd, out))
        return;
    decide_end_all(cmd, facts, "server_stopped", out);
    if (facts->ending_more)
        return;
    refusals_counted(cmd, facts, out);
    draft_word(decision_draft(out, EV_SERVER_STOPPED, cmd, facts), FIELD_WHY, cmd->stop_server.why);
}

static const struct session_fact *
due_session(const struct facts *facts, const struct id *id)
{
    for (uint32_t i = 0; i < facts->ending_count; i++)
        if (facts->ending[i].found && facts->ending[i].state != SESSION_ENDED &&
            id_equal(&facts->ending[i].session, id))
            return &facts->ending[i];
    return NULL;
}

static void
guest_removed(const struct command *cmd, const struct facts *facts, const struct due *due,
    struct decision *out)
{
    struct draft *d;

    if (!facts->machine.found || facts->machine.removed ||
        !id_equal(&facts->machine.machine, &due->id))
        return;
    decide_disconnect(cmd, facts, "machine_removed", out);
    d = decision_draft(out, EV_MACHINE_REMOVED, cmd, facts);
    d->subject.machine = due->id;
    d->uses_policy = true;
    draft_word(d, FIELD_WHY, due->why);
}

static void
due_ended(const struct command *cmd, const struct facts *facts, const struct due *due,
    struct decision *out)
{
    const struct session_fact *s;
    struct draft *d;

    switch (due->kind) {
    case DUE_CODE:
        d = decision_draft(out, EV_CODE_EXPIRED, cmd, facts);
        d->subject.code = due->id;
        decide_drop(out, SECRET_CODE, &due->id, 0);
        return;
    case DUE_SESSION:
    case DUE_REQUEST:
        s = due_session(facts, &due->id);
        if (s == NULL)
            return;
        decide_end_session(cmd, facts, s, s->n, due->why, out);
        out->drafts[out->draft_count - 1].uses_policy = true;
        return;
    case DUE_GUEST: guest_removed(cmd, facts, due, out); return;
    case DUE_REFUSALS: refusals_counted(cmd, facts, out); return;
    }
}

static void
time_passed(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    struct draft *d;

    if (!local_only(cmd, out))
        return;
    if (cmd->time_passed.clock_stepped)
        clock_stepped(cmd, facts, cmd->time_passed.wall_error_us, false, out);
    for (uint32_t i = 0; i < facts->due_count; i++)
        due_ended(cmd, facts, &facts->due[i], out);
    if (cmd->time_passed.heartbeat) {
        d = decision_draft(out, EV_HEARTBEAT, cmd, facts);
        d->uses_policy = true;
        draft_number(d, FIELD_BOOTTIME_US, facts->now.boottime_us);
    }
}

static void
rotate_key(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    const struct rotate_key *r = &cmd->rotate_key;
    struct draft *d;

    if (!decide_allowed(cmd, facts, ACTION_SERVER_ADMIN, out))
        return;
    if (r->epoch != (r->log_key ? facts->log_epoch : facts->key_epoch) + 1) {
        decision_refuse(out, REFUSE_KEY_ROTATING, NULL, NULL);
        return;
    }
    d = decide_event(out, EV_KEY_ROTATED, cmd, facts);
    draft_word(d, FIELD_KEY_ROLE, r->log_key ? "log" : "event");
    draft_number(d, FIELD_EPOCH, r->epoch);
    draft_bytes(out, d, FIELD_NEW_KEY, r->new_pk, sizeof(r->new_pk));
    draft_bytes(out, d, FIELD_POSSESSION_SIG, r->possession_sig, sizeof(r->possession_sig));
    draft_bytes(out, d, FIELD_OTHER_SIG, r->other_sig, sizeof(r->other_sig));
}

/* secret.rotated{leaked} revokes all families: the fold's rule. A leaked secret has no grace: its
 * tokens could be anybody's. By the server itself: it found another secret at its start. */
static void
rotate_secret(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    const struct rotate_secret *r = &cmd->rotate_secret;
    struct draft *d;

    if (!decide_allowed(cmd, facts, ACTION_SERVER_ADMIN, out))
        return;
    if (r->until_us != 0 && (r->leaked || r->until_us > facts->now.eff_us + SECRET_GRACE_US_MAX)) {
        decision_refuse(out, REFUSE_BAD_VALUE, "grace_s",
            r->leaked ? "a leaked secret gets no grace" : "longer than an access token lives");
        return;
    }
    d = decide_event(out, EV_SECRET_ROTATED, cmd, facts);
    draft_word(d, FIELD_WHY,
        r->leaked                           ? "leaked"
        : cmd->caller.kind == CALLER_SERVER ? "restart"
                                            : "routine");
    draft_bytes(out, d, FIELD_FINGERPRINT, r->fingerprint.b, HASH_BYTES);
    if (r->until_us != 0)
        draft_number(d, FIELD_EXPIRES_US, (uint64_t)r->until_us);
    if (r->leaked)
        decide_end_all(cmd, facts, "secret_leaked", out);
}

static void
accept_clock(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    if (!decide_allowed(cmd, facts, ACTION_SERVER_ADMIN, out))
        return;
    if (facts->clock_unsure || facts->clock_stepped)
        decide_event(out, EV_CLOCK_ACCEPTED, cmd, facts);
}

void
decide_server(const struct command *cmd, const struct facts *facts, struct entropy *entropy,
    struct decision *out)
{
    switch (cmd->kind) {
    case CMD_READ_AUDIT: read_audit(cmd, facts, out); return;
    case CMD_EXPORT_AUDIT: export_audit(cmd, facts, out); return;
    case CMD_ACK_ALERT: ack_alert(cmd, facts, out); return;
    case CMD_OPEN_LOG: open_log(cmd, facts, entropy, out); return;
    case CMD_ADOPT_POLICY: adopt_policy(cmd, facts, out); return;
    case CMD_START_SERVER: start_server(cmd, facts, out); return;
    case CMD_STOP_SERVER: stop_server(cmd, facts, out); return;
    case CMD_TIME_PASSED: time_passed(cmd, facts, out); return;
    case CMD_ROTATE_KEY: rotate_key(cmd, facts, out); return;
    case CMD_ROTATE_SECRET: rotate_secret(cmd, facts, out); return;
    case CMD_ACCEPT_CLOCK: accept_clock(cmd, facts, out); return;
    default: INVARIANT(!"a command of another file");
    }
}
