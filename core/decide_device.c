/* decide_device.c: devices that a login made known. They are let in by their password like any
 * other; only their attempts are counted apart. Pure; ledger thread. */
#include "core/decide.h"

bool
decide_device_known(const struct facts *facts)
{
    const struct device_fact *device = &facts->device;

    return device->mac_ok && device->found && facts->account.found &&
           id_equal(&device->user, &facts->account.user);
}

static struct draft *
device_removed(const struct command *cmd, const struct facts *facts, const struct id *device,
    const struct id *user, const char *why, struct decision *out)
{
    struct draft *d = decision_draft(out, EV_DEVICE_REMOVED, cmd, facts);

    d->subject.user = *user;
    draft_id(out, d, FIELD_DEVICE, device);
    draft_word(d, FIELD_WHY, why);
    return d;
}

void
decide_device(const struct command *cmd, const struct facts *facts, struct entropy *entropy,
    struct decision *out)
{
    const struct id *user = &facts->account.user;
    struct id device;
    struct draft *d;

    if (!id_is_nil(&facts->attempt.device)) {
        out->reply.device = facts->attempt.device;
        return;
    }
    if (!id_is_nil(&facts->oldest_device)) {
        d = device_removed(cmd, facts, &facts->oldest_device, user, "too_many", out);
        d->actor = (struct actor){.kind = ACTOR_SERVER};
    }
    device = entropy_id(entropy);
    d = decision_draft(out, EV_DEVICE_KNOWN, cmd, facts);
    d->actor = (struct actor){
        .kind = ACTOR_USER, .id = *user, .family = out->reply.family, .tags = facts->attempt.tags};
    d->subject.user = *user;
    draft_id(out, d, FIELD_DEVICE, &device);
    draft_caller(d, cmd, PERSONAL_USER, user);
    out->reply.device = device;
}

void
decide_device_removal(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    const struct device_fact *device = &facts->device;

    if (!decide_allowed(cmd, facts, ACTION_TOKEN_REVOKE, out))
        return;
    if (!device->found) {
        decision_refuse(out, REFUSE_NOT_FOUND, NULL, NULL);
        return;
    }
    if (decide_role(cmd, facts) != ROLE_ADMIN && !id_equal(&device->user, &cmd->caller.user)) {
        struct subject subject = {.user = device->user};

        decide_not_yours(cmd, facts, ACTION_TOKEN_REVOKE, &subject, out);
        return;
    }
    device_removed(cmd, facts, &device->device, &device->user, "removed", out);
}
