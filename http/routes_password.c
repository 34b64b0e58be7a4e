/* routes_password.c: new passwords: change, registration, and what the owner of the state folder
 * sets. Judged and hashed on the proof pool. Runs on loops. */
#include "http/routes_handlers.h"

#include <sodium.h>

#include "core/password.h"
#include "core/rights.h"
#include "http/routes_json.h"

#define NEW_PASSWORD_MAX   1024 /* what is too long is told by the judge */
#define INVITE_ID_BYTES    30   /* "inv_" and 26 characters */
#define INVITE_SECRET_MAX  64
#define DISPLAY_NAME_BYTES NAME_BYTES_MAX

/* One for all four ways: each fills what it needs. */
struct fresh {
    struct span name, display_name, current, password, role_name, invite_text;
    char folded[ACCOUNT_BYTES_MAX + 1];
    char display[DISPLAY_NAME_BYTES + 1];
    char verifier[PROOF_TEXT_MAX];
    char secret[INVITE_SECRET_MAX + 1];
    struct proof_job *hash; /* the new password, until it is its turn */
    const char *member;     /* what the new password is called in the body */
    struct id invite, user;
    enum role role;
    uint64_t attempt;
    bool known, proven;
};

#define TEXT_FIELD(text, rule, must, member)                                                       \
    {                                                                                              \
        .name = text, .kind = JSON_KIND_RULED, .required = must, .text_kind = rule,                \
        .offset = offsetof(struct fresh, member)                                                   \
    }
#define PASSWORD_FIELD(text, member)                                                               \
    {                                                                                              \
        .name = text, .kind = JSON_KIND_TEXT, .required = true, .min = 1, .max = NEW_PASSWORD_MAX, \
        .offset = offsetof(struct fresh, member)                                                   \
    }

static void
fresh_drop(struct walk *w)
{
    struct fresh *in = w->in;

    proof_job_free(in->hash);
}

static struct fresh *
fresh_in(struct walk *w)
{
    struct fresh *in = walk_in(w, sizeof(*in));

    if (in != NULL) {
        w->drop = fresh_drop;
        in->member = "password";
    }
    return in;
}

/* Takes names and passwords out of the body, and forgets it. False: answered. */
static bool
fresh_take(struct walk *w)
{
    struct fresh *in = w->in;

    if (in->name.len > 0)
        text_fold(in->name, in->folded);
    if (in->display_name.len > 0)
        snprintf(in->display, sizeof(in->display), "%.*s", (int)in->display_name.len,
            (const char *)in->display_name.ptr);
    else
        snprintf(in->display, sizeof(in->display), "%s", in->folded);
    in->hash = proof_job_new(PROOF_HASH, in->password);
    if (in->current.len > 0)
        w->proof = proof_job_new(PROOF_VERIFY, in->current);
    if (in->hash == NULL || (in->current.len > 0 && w->proof == NULL)) {
        walk_busy(w);
        return false;
    }
    in->name = in->display_name = in->current = in->password = (struct span){NULL, 0};
    walk_forget_body(w);
    return true;
}

/* The new password's turn: judged first, beside the account's name. */
static enum pace
fresh_hash(struct walk *w)
{
    struct fresh *in = w->in;
    struct proof_job *job = in->hash;

    in->hash = NULL;
    job->judge = true;
    snprintf(job->account, sizeof(job->account), "%s", in->folded);
    return walk_prove(w, job);
}

static enum pace
fresh_hashed(struct walk *w)
{
    struct fresh *in = w->in;
    const struct proof_job *job = w->job;
    char detail[160];

    if (job->fault != PASSWORD_FINE) {
        snprintf(detail, sizeof(detail), "The password %s.", password_fault_name(job->fault));
        return walk_no(w, PROBLEM_WEAK_PASSWORD, detail, in->member);
    }
    if (!job->proven)
        return walk_busy(w);
    snprintf(in->verifier, sizeof(in->verifier), "%s", job->verifier);
    return PACE_NEXT;
}

/* For those whose only proof is the hash. */
static enum pace
fresh_prove(struct walk *w)
{
    return w->job == NULL ? fresh_hash(w) : fresh_hashed(w);
}

/* ---- change one's own ---- */

static const struct json_field password_fields[] = {
    PASSWORD_FIELD("current", current),
    PASSWORD_FIELD("new", password),
};

bool
password_parse(struct walk *w)
{
    struct fresh *in = fresh_in(w);

    if (in == NULL)
        return false;
    in->member = "new";
    return walk_body(w, password_fields, 2, in, NULL) && fresh_take(w);
}

struct command *
password_attempt(struct walk *w)
{
    return walk_command(w, CMD_ATTEMPT_PASSWORD, 0);
}

/* The name that the new password must not be built around. */
static void
find_own_name(struct walk *w, struct fresh *in)
{
    struct user_row row;
    struct rows rows;

    if (w->app->views.begin(w->app->views.ctx, &rows) != OK)
        return;
    if (views_user(&rows, &w->verdict.reply.user, &row) == OK)
        snprintf(in->folded, sizeof(in->folded), "%.*s", ACCOUNT_BYTES_MAX, row.name);
    w->app->views.end(w->app->views.ctx, &rows);
}

/* First the current password, then, if it is right, the new one. */
enum pace
password_prove(struct walk *w)
{
    struct fresh *in = w->in;
    struct reply *reply = &w->verdict.reply;
    struct proof_job *job = w->proof;

    if (job != NULL) {
        in->attempt = reply->attempt;
        in->known = reply->verifier_found;
        find_own_name(w, in);
        snprintf(job->verifier, sizeof(job->verifier), "%s", reply->verifier);
        sodium_memzero(reply->verifier, sizeof(reply->verifier));
        w->proof = NULL;
        return walk_prove(w, job);
    }
    if (in->hash == NULL)
        return fresh_hashed(w);
    in->proven = w->job->proven && in->known;
    return in->proven ? fresh_hash(w) : PACE_NEXT;
}

struct command *
password_conclude(struct walk *w)
{
    struct fresh *in = w->in;
    struct command *cmd = walk_command(w, CMD_CONCLUDE_PASSWORD, sizeof(in->verifier));

    if (cmd != NULL) {
        cmd->conclude_password.attempt = in->attempt;
        cmd->conclude_password.proven = in->proven;
        cmd->conclude_password.verifier = command_copy(cmd, span_str(in->verifier));
    }
    return cmd;
}

enum pace
done_reply(struct walk *w)
{
    return walk_empty(w, 204);
}

/* ---- register ---- */

static const struct json_field register_fields[] = {
    TEXT_FIELD("name", TEXT_ACCOUNT, true, name),
    TEXT_FIELD("display_name", TEXT_MACHINE, false, display_name),
    PASSWORD_FIELD("password", password),
    {.name = "invite",
        .kind = JSON_KIND_TEXT,
        .min = INVITE_ID_BYTES + 2,
        .max = INVITE_ID_BYTES + 1 + INVITE_SECRET_MAX,
        .offset = offsetof(struct fresh, invite_text)},
};

/* "inv_<26>_<secret>" */
static bool
invite_take(struct fresh *in)
{
    struct span text = in->invite_text;
    size_t secret_len;

    if (text.len == 0)
        return true; /* where registration is open */
    secret_len = text.len - INVITE_ID_BYTES - 1;
    if (text.ptr[INVITE_ID_BYTES] != '_' ||
        id_parse(ID_INVITE, span_of(text.ptr, INVITE_ID_BYTES), &in->invite) != OK)
        return false;
    memcpy(in->secret, text.ptr + INVITE_ID_BYTES + 1, secret_len);
    in->secret[secret_len] = '\0';
    in->invite_text = (struct span){NULL, 0};
    return true;
}

bool
register_parse(struct walk *w)
{
    struct fresh *in = fresh_in(w);

    if (in == NULL || !walk_body(w, register_fields, 4, in, NULL))
        return false;
    if (!invite_take(in)) {
        walk_no(w, PROBLEM_BAD_FIELD, "invite is not an invitation.", "invite");
        return false;
    }
    return fresh_take(w);
}

struct command *
register_attempt(struct walk *w)
{
    const struct fresh *in = w->in;
    struct command *cmd =
        walk_command(w, CMD_ATTEMPT_REGISTER, ACCOUNT_BYTES_MAX + INVITE_SECRET_MAX);

    if (cmd != NULL) {
        cmd->attempt_register.invite = in->invite;
        cmd->attempt_register.secret = command_copy(cmd, span_str(in->secret));
        cmd->attempt_register.account_name = command_copy(cmd, span_str(in->folded));
    }
    return cmd;
}

enum pace
register_prove(struct walk *w)
{
    struct fresh *in = w->in;

    if (w->job == NULL)
        in->attempt = w->verdict.reply.attempt;
    return fresh_prove(w);
}

struct command *
register_conclude(struct walk *w)
{
    const struct fresh *in = w->in;
    struct command *cmd = walk_command(
        w, CMD_CONCLUDE_REGISTER, ACCOUNT_BYTES_MAX + sizeof(in->display) + sizeof(in->verifier));

    if (cmd != NULL) {
        cmd->conclude_register.attempt = in->attempt;
        cmd->conclude_register.account_name = command_copy(cmd, span_str(in->folded));
        cmd->conclude_register.display_name = command_copy(cmd, span_str(in->display));
        cmd->conclude_register.verifier = command_copy(cmd, span_str(in->verifier));
    }
    return cmd;
}

enum pace
register_reply(struct walk *w)
{
    const struct fresh *in = w->in;
    struct json_write json;

    json_write_init(&json, NULL, NULL);
    json_write_object(&json, NULL);
    json_id(&json, "id", ID_USER, &w->verdict.reply.user);
    json_write_str(&json, "name", in->folded);
    json_write_str(&json, "display_name", in->display);
    json_write_str(&json, "role", role_name(w->verdict.reply.role));
    json_write_end(&json);
    return walk_json(w, 201, &json, NULL, NULL);
}

/* ---- by the owner of the state folder ---- */

static const struct json_field add_user_fields[] = {
    TEXT_FIELD("name", TEXT_ACCOUNT, true, name),
    TEXT_FIELD("display_name", TEXT_MACHINE, false, display_name),
    PASSWORD_FIELD("password", password),
    {.name = "role",
        .kind = JSON_KIND_TEXT,
        .required = true,
        .min = 1,
        .max = 32,
        .offset = offsetof(struct fresh, role_name)},
};

bool
add_user_parse(struct walk *w)
{
    struct fresh *in = fresh_in(w);

    if (in == NULL || !walk_body(w, add_user_fields, 4, in, NULL))
        return false;
    in->role = role_parse(in->role_name);
    if (in->role == ROLE_NONE) {
        walk_no(w, PROBLEM_BAD_FIELD, "role must be admin, technician or auditor.", "role");
        return false;
    }
    return fresh_take(w);
}

enum pace
add_user_prove(struct walk *w)
{
    return fresh_prove(w);
}

struct command *
add_user_command(struct walk *w)
{
    const struct fresh *in = w->in;
    struct command *cmd = walk_command(
        w, CMD_ADD_USER, ACCOUNT_BYTES_MAX + sizeof(in->display) + sizeof(in->verifier));

    if (cmd != NULL) {
        cmd->add_user.role = in->role;
        cmd->add_user.account_name = command_copy(cmd, span_str(in->folded));
        cmd->add_user.display_name = command_copy(cmd, span_str(in->display));
        cmd->add_user.verifier = command_copy(cmd, span_str(in->verifier));
    }
    return cmd;
}

static const struct json_field set_password_fields[] = {
    PASSWORD_FIELD("password", password),
};

bool
set_password_parse(struct walk *w)
{
    struct fresh *in = fresh_in(w);

    return in != NULL && walk_param_id(w, 0, ID_USER, &in->user) &&
           walk_body(w, set_password_fields, 1, in, NULL) && fresh_take(w);
}

enum pace
set_password_prove(struct walk *w)
{
    return fresh_prove(w);
}

struct command *
set_password_command(struct walk *w)
{
    const struct fresh *in = w->in;
    struct command *cmd = walk_command(w, CMD_SET_PASSWORD, sizeof(in->verifier));

    if (cmd != NULL) {
        cmd->set_password.user = in->user;
        cmd->set_password.verifier = command_copy(cmd, span_str(in->verifier));
    }
    return cmd;
}
