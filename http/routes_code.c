/* routes_code.c: what is issued and revoked: support codes, invitations, tokens. Runs on loops. */
#include "http/routes_handlers.h"

#include <sodium.h>

#include "core/rights.h"
#include "http/credential.h"
#include "http/routes_json.h"

#define TTL_MAX_S (366 * 86400)

/* ---- support codes ---- */

struct code_in {
    int64_t ttl_s;
};

static const struct json_field code_fields[] = {
    {.name = "ttl_s",
        .kind = JSON_KIND_INT,
        .min = 1,
        .max = TTL_MAX_S,
        .offset = offsetof(struct code_in, ttl_s)},
};

bool
code_parse(struct walk *w)
{
    struct code_in *in = walk_in(w, sizeof(*in));

    return in != NULL && walk_body(w, code_fields, 1, in, NULL);
}

struct command *
code_issue(struct walk *w)
{
    const struct code_in *in = w->in;
    struct command *cmd = walk_command(w, CMD_ISSUE_CODE, 0);

    if (cmd != NULL)
        cmd->issue_code.ttl_s = (uint32_t)in->ttl_s;
    return cmd;
}

/* Something new with a secret that is shown this once. */
static enum pace
issued_reply(struct walk *w, enum id_kind kind, const char *member)
{
    struct reply *reply = &w->verdict.reply;
    struct json_write json;

    json_write_init(&json, NULL, NULL);
    json_write_object(&json, NULL);
    json_id(&json, "id", kind, &reply->id);
    json_write_str(&json, member, reply->secret);
    json_id(&json, "machine", ID_MACHINE, &reply->machine);
    if (reply->role != ROLE_NONE)
        json_write_str(&json, "role", role_name(reply->role));
    if (reply->expires_us != 0)
        json_expires_in(&json, reply->expires_us, w->verdict.eff_us);
    json_write_end(&json);
    sodium_memzero(reply->secret, sizeof(reply->secret));
    return walk_json(w, 201, &json, NULL, NULL);
}

enum pace
code_reply(struct walk *w)
{
    return issued_reply(w, ID_CODE, "code");
}

/* ---- things that are named by their id alone ---- */

struct id_in {
    struct id id;
    bool is_device;
};

static bool
one_id_parse(struct walk *w, enum id_kind kind)
{
    struct id_in *in = walk_in(w, sizeof(*in));

    return in != NULL && walk_param_id(w, 0, kind, &in->id);
}

bool
code_id_parse(struct walk *w)
{
    return one_id_parse(w, ID_CODE);
}

struct command *
code_revoke(struct walk *w)
{
    struct command *cmd = walk_command(w, CMD_REVOKE_CODE, 0);

    if (cmd != NULL)
        cmd->revoke_code.code = ((const struct id_in *)w->in)->id;
    return cmd;
}

bool
invite_id_parse(struct walk *w)
{
    return one_id_parse(w, ID_INVITE);
}

struct command *
invite_revoke(struct walk *w)
{
    struct command *cmd = walk_command(w, CMD_REVOKE_INVITE, 0);

    if (cmd != NULL)
        cmd->revoke_invite.invite = ((const struct id_in *)w->in)->id;
    return cmd;
}

/* A login, or a device that is known. */
bool
family_id_parse(struct walk *w)
{
    struct id_in *in = walk_in(w, sizeof(*in));

    if (in == NULL)
        return false;
    in->is_device = id_parse(ID_DEVICE, w->params[0], &in->id) == OK;
    return in->is_device || walk_param_id(w, 0, ID_FAMILY, &in->id);
}

struct command *
family_revoke(struct walk *w)
{
    const struct id_in *in = w->in;
    struct command *cmd = walk_command(w, in->is_device ? CMD_REMOVE_DEVICE : CMD_REVOKE_FAMILY, 0);

    if (cmd == NULL)
        return NULL;
    if (in->is_device)
        cmd->remove_device.device = in->id;
    else
        cmd->revoke_family.family = in->id;
    return cmd;
}

/* ---- does this code stand? ---- */

struct validate_in {
    struct span text;
    char digits[CODE_DIGITS_MAX + 1];
};

static const struct json_field validate_fields[] = {
    {.name = "code",
        .kind = JSON_KIND_TEXT,
        .required = true,
        .min = 1,
        .max = 40,
        .offset = offsetof(struct validate_in, text)},
};

/* People group digits by spaces and hyphens. */
static bool
digits_take(struct validate_in *in)
{
    size_t n = 0;

    for (size_t i = 0; i < in->text.len; i++) {
        char c = (char)in->text.ptr[i];

        if (c == ' ' || c == '-')
            continue;
        if (c < '0' || c > '9' || n == CODE_DIGITS_MAX)
            return false;
        in->digits[n++] = c;
    }
    in->text = (struct span){NULL, 0};
    return n > 0;
}

bool
validate_parse(struct walk *w)
{
    struct validate_in *in = walk_in(w, sizeof(*in));

    if (in == NULL || !walk_body(w, validate_fields, 1, in, NULL))
        return false;
    if (!digits_take(in)) {
        walk_no(w, PROBLEM_BAD_FIELD, "code must be the digits of a support code.", "code");
        return false;
    }
    walk_forget_body(w);
    return true;
}

struct command *
validate_command(struct walk *w)
{
    const struct validate_in *in = w->in;
    struct command *cmd = walk_command(w, CMD_VALIDATE_CODE, CODE_DIGITS_MAX);

    if (cmd != NULL)
        cmd->validate_code.digits = command_copy(cmd, span_str(in->digits));
    return cmd;
}

enum pace
validate_reply(struct walk *w)
{
    struct json_write json;

    json_write_init(&json, NULL, NULL);
    json_write_object(&json, NULL);
    json_write_bool(&json, "valid", true);
    json_expires_in(&json, w->verdict.reply.expires_us, w->verdict.eff_us);
    json_write_end(&json);
    return walk_json(w, 200, &json, NULL, NULL);
}

/* ---- invitations ---- */

struct invite_in {
    struct span role_name;
    enum role role;
};

static const struct json_field invite_fields[] = {
    {.name = "role",
        .kind = JSON_KIND_TEXT,
        .required = true,
        .min = 1,
        .max = 32,
        .offset = offsetof(struct invite_in, role_name)},
};

bool
invite_parse(struct walk *w)
{
    struct invite_in *in = walk_in(w, sizeof(*in));

    if (in == NULL || !walk_body(w, invite_fields, 1, in, NULL))
        return false;
    if ((in->role = role_parse(in->role_name)) != ROLE_NONE)
        return true;
    walk_no(w, PROBLEM_BAD_FIELD, "role must be admin, technician or auditor.", "role");
    return false;
}

struct command *
invite_issue(struct walk *w)
{
    struct command *cmd = walk_command(w, CMD_ISSUE_INVITE, 0);

    if (cmd != NULL)
        cmd->issue_invite.role = ((const struct invite_in *)w->in)->role;
    return cmd;
}

enum pace
invite_reply(struct walk *w)
{
    return issued_reply(w, ID_INVITE, "invite");
}
