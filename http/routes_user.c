/* routes_user.c: one user, and what an admin may change of him. Runs on loops. */
#include "http/routes_handlers.h"

#include "core/rights.h"
#include "http/routes_json.h"

struct user_in {
    struct id user;
    struct span role_name;
    bool disabled, has_disabled;
    enum role role;
    uint64_t if_match;
};

enum { USER_ROLE, USER_DISABLED };

static const struct json_field change_fields[] = {
    [USER_ROLE] = {.name = "role",
        .kind = JSON_KIND_TEXT,
        .min = 1,
        .max = 32,
        .offset = offsetof(struct user_in, role_name)},
    [USER_DISABLED] = {.name = "disabled",
        .kind = JSON_KIND_BOOL,
        .offset = offsetof(struct user_in, disabled)},
};

bool
user_id_parse(struct walk *w)
{
    struct user_in *in = walk_in(w, sizeof(*in));

    return in != NULL && walk_param_id(w, 0, ID_USER, &in->user);
}

bool
user_change_parse(struct walk *w)
{
    struct user_in *in;
    uint32_t present;

    if (!user_id_parse(w))
        return false;
    in = w->in;
    if (!walk_if_match(w, &in->if_match) || !walk_body(w, change_fields, 2, in, &present))
        return false;
    if (present == 0) {
        walk_no(w, PROBLEM_MALFORMED, "Nothing to change: role or disabled.", "body");
        return false;
    }
    in->has_disabled = (present >> USER_DISABLED & 1) != 0;
    in->role = role_parse(in->role_name);
    if ((present >> USER_ROLE & 1) != 0 && in->role == ROLE_NONE) {
        walk_no(w, PROBLEM_BAD_FIELD, "role must be admin, technician or auditor.", "role");
        return false;
    }
    return true;
}

struct command *
user_change(struct walk *w)
{
    const struct user_in *in = w->in;
    struct command *cmd = walk_command(w, CMD_CHANGE_USER, 0);

    if (cmd != NULL)
        cmd->change_user = (struct change_user){.user = in->user,
            .role = in->role,
            .disabled = in->has_disabled ? in->disabled : -1,
            .if_match = in->if_match};
    return cmd;
}

enum pace
user_reply(struct walk *w)
{
    const struct user_in *in = w->in;
    char etag[ETAG_TEXT] = "";
    struct user_row row;
    struct json_write json;
    struct rows rows;
    enum err err;

    if (w->app->views.begin(w->app->views.ctx, &rows) != OK)
        return walk_busy(w);
    err = views_user(&rows, &in->user, &row);
    w->app->views.end(w->app->views.ctx, &rows);
    if (err != OK && w->route->method == METHOD_GET)
        return walk_not_found(w);
    json_write_init(&json, NULL, NULL);
    if (err == OK && w->views_ready) {
        etag_text(row.changed_seq, etag);
        user_json(&json, NULL, &row);
    } else { /* changed, but the views did not come along in time */
        json_write_object(&json, NULL);
        json_id(&json, "id", ID_USER, &in->user);
        json_write_end(&json);
    }
    return walk_json(w, 200, &json, etag[0] != '\0' ? "ETag" : NULL, etag);
}
