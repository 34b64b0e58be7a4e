/* routes_list.c: lists of things, newest first, a page at a time. A page says where the next one
 * begins (an authenticated cursor, or null), and what the views had seen. Runs on loops. */
#include "http/routes_handlers.h"

#include "core/ascii.h"
#include "core/rights.h"
#include "http/cursor.h"
#include "http/routes_json.h"

#define PAGE_DEFAULT 50
#define PAGE_MAX     1000

struct list {
    struct views_page page;
    struct views_position after;
    struct json_write *json;
    struct id machine, user, own;
    bool of_user, open_only;
    uint32_t wanted;
    int64_t now_us;
    struct filter filter;
};

_Static_assert(sizeof(struct views_position) == CURSOR_POSITION_BYTES, "a cursor holds a position");

static bool
list_scope(struct walk *w, char *text, size_t cap, struct cursor_scope *out)
{
    size_t len;

    if (!query_scope(&w->query, text, cap, &len))
        return false;
    *out = (struct cursor_scope){
        .path = w->route->path, .user = w->asker->caller.user, .filters = span_of(text, len)};
    return true;
}

static bool
list_cursor(struct walk *w, struct list *in)
{
    const struct span *after = query_find(&w->query, "after");
    struct cursor_scope scope;
    char text[2 * FILTER_BYTES_MAX];

    if (after == NULL)
        return true;
    if (list_scope(w, text, sizeof(text), &scope) &&
        cursor_read(w->app->cursor_key, &scope, *after, in->after.b) == OK) {
        in->page.after = &in->after;
        return true;
    }
    walk_no(
        w, PROBLEM_BAD_CURSOR, "after must be the `next` of a page of this very list.", "after");
    return false;
}

static bool
list_limit(struct walk *w, struct list *in)
{
    const struct span *limit = query_find(&w->query, "limit");
    uint64_t n = PAGE_DEFAULT;

    if (limit != NULL && (ascii_number(*limit, PAGE_MAX, &n) != OK || n == 0)) {
        walk_no(w, PROBLEM_BAD_FIELD, "limit must be 1 to 1000.", "limit");
        return false;
    }
    in->page.limit = (uint32_t)n;
    return true;
}

bool
list_parse(struct walk *w)
{
    struct list *in = walk_in(w, sizeof(*in));

    return in != NULL && list_limit(w, in) && list_cursor(w, in);
}

bool
alerts_parse(struct walk *w)
{
    const struct span *state = query_find(&w->query, "state");

    if (!list_parse(w))
        return false;
    ((struct list *)w->in)->open_only = state == NULL || span_is(*state, "open");
    if (state == NULL || span_is(*state, "open") || span_is(*state, "all"))
        return true;
    walk_no(w, PROBLEM_BAD_FIELD, "state must be open or all.", "state");
    return false;
}

bool
keys_parse(struct walk *w)
{
    struct id machine;

    if (!walk_param_id(w, 0, ID_MACHINE, &machine) || !list_parse(w))
        return false;
    ((struct list *)w->in)->machine = machine;
    return true;
}

bool
tokens_parse(struct walk *w)
{
    const struct span *user = query_find(&w->query, "user");
    struct list *in;

    if (!list_parse(w))
        return false;
    in = w->in;
    if (user == NULL)
        return true;
    in->of_user = true;
    if (id_parse(ID_USER, *user, &in->user) == OK)
        return true;
    walk_no(w, PROBLEM_BAD_FIELD, "user must be the id of a user.", "user");
    return false;
}

static bool
filter_take(struct walk *w, const struct filter_vocabulary *vocabulary)
{
    const struct span *text = query_find(&w->query, "filter");
    struct filter_error error;
    char detail[256];
    struct list *in;

    if (!list_parse(w))
        return false;
    in = w->in;
    if (text == NULL || filter_parse(*text, vocabulary, &in->filter, &error) == OK)
        return true;
    snprintf(detail, sizeof(detail), "%s%s%s", error.term, error.term[0] != '\0' ? " " : "",
        error.reason);
    walk_no(w, PROBLEM_BAD_FILTER, detail, "filter");
    return false;
}

bool
machines_parse(struct walk *w)
{
    return filter_take(w, &filter_machines);
}

bool
users_parse(struct walk *w)
{
    return filter_take(w, &filter_users);
}

/* ---- the page ---- */

static bool
list_begin(struct walk *w, struct rows *rows, struct json_write *json)
{
    struct list *in = w->in;

    if (w->app->views.begin(w->app->views.ctx, rows) != OK) {
        walk_busy(w);
        return false;
    }
    json_write_init(json, NULL, NULL);
    json_write_object(json, NULL);
    json_write_array(json, "items");
    in->json = json;
    in->now_us = ledger_thread_eff_us(w->app->ledger);
    in->own = w->asker->caller.user;
    return true;
}

static enum pace
list_end(struct walk *w, struct rows *rows, struct json_write *json, enum err err)
{
    struct list *in = w->in;
    char text[2 * FILTER_BYTES_MAX], cursor[CURSOR_TEXT];
    struct cursor_scope scope;

    w->app->views.end(w->app->views.ctx, rows);
    if (err != OK) {
        json_write_fini(json);
        return walk_no(w, PROBLEM_INTERNAL, NULL, NULL);
    }
    json_write_end(json);
    if (in->page.more && list_scope(w, text, sizeof(text), &scope)) {
        cursor_write(w->app->cursor_key, &scope, in->page.last.b, cursor);
        json_write_str(json, "next", cursor);
    } else {
        json_write_null(json, "next");
    }
    json_write_uint(json, "position", w->verdict.rests_on);
    json_write_end(json);
    return walk_json(w, 200, json, NULL, NULL);
}

/* Whose things the caller sees: everybody's, or his own. */
static const struct id *
list_owner(const struct walk *w)
{
    const struct list *in = w->in;

    return walk_sees_all(w) ? NULL : &in->own;
}

static bool
each_code(void *arg, const struct code_row *row)
{
    struct list *in = arg;

    code_json(in->json, NULL, row, in->now_us);
    return true;
}

enum pace
codes_reply(struct walk *w)
{
    struct list *in = w->in;
    struct json_write json;
    struct rows rows;

    if (!list_begin(w, &rows, &json))
        return PACE_DONE;
    return list_end(w, &rows, &json, views_codes(&rows, &in->page, list_owner(w), each_code, in));
}

struct user_facts {
    const struct user_row *row;
    int64_t now_us;
};

static bool
user_fact(const void *ctx, unsigned field, unsigned index, struct filter_value *out)
{
    const struct user_facts *facts = ctx;
    const struct user_row *row = facts->row;
    static _Thread_local char id[ID_TEXT_BYTES];

    if (index > 0)
        return false;
    *out = (struct filter_value){0};
    switch ((enum filter_user_field)field) {
    case FILTER_USER_NAME: out->word = span_str(row->name); return true;
    case FILTER_USER_ROLE: out->word = span_str(role_name((enum role)row->role)); return true;
    case FILTER_USER_ID:
        id_text(ID_USER, &row->user, id);
        out->word = span_str(id);
        return true;
    case FILTER_USER_DISABLED: out->flag = row->disabled; return true;
    case FILTER_USER_SEEN:
        out->never = row->login_us == 0;
        out->age_us = facts->now_us > row->login_us ? (uint64_t)(facts->now_us - row->login_us) : 0;
        return true;
    }
    return false;
}

static bool
each_user(void *arg, const struct user_row *row)
{
    struct list *in = arg;
    struct user_facts facts = {row, in->now_us};

    if (!filter_match(&in->filter, user_fact, &facts))
        return true;
    user_json(in->json, NULL, row);
    return --in->wanted > 0;
}

enum pace
users_reply(struct walk *w)
{
    struct list *in = w->in;
    struct json_write json;
    struct rows rows;

    if (!list_begin(w, &rows, &json))
        return PACE_DONE;
    in->wanted = in->page.limit;
    in->page.limit = VIEWS_LOOKED_MAX; /* the filter is ours to apply */
    return list_end(w, &rows, &json, views_users(&rows, &in->page, each_user, in));
}

static bool
each_invite(void *arg, const struct invite_row *row)
{
    struct list *in = arg;

    invite_json(in->json, NULL, row, in->now_us);
    return true;
}

enum pace
invites_reply(struct walk *w)
{
    struct list *in = w->in;
    struct json_write json;
    struct rows rows;

    if (!list_begin(w, &rows, &json))
        return PACE_DONE;
    return list_end(w, &rows, &json, views_invites(&rows, &in->page, each_invite, in));
}

static bool
each_family(void *arg, const struct family_row *row)
{
    struct list *in = arg;

    family_json(in->json, NULL, row, &in->own, in->now_us);
    return true;
}

/* One's own; an admin's are everybody's, or those of the user asked for. */
enum pace
tokens_reply(struct walk *w)
{
    bool admin = walk_is_local(w) || w->verdict.reply.role == ROLE_ADMIN;
    struct list *in = w->in;
    struct json_write json;
    const struct id *user = &w->asker->caller.user;
    struct rows rows;

    if (in->of_user && !admin && !id_equal(&in->user, user))
        return walk_not_found(w);
    if (admin)
        user = in->of_user ? &in->user : NULL;
    if (!list_begin(w, &rows, &json))
        return PACE_DONE;
    in->own = w->asker->caller.family; /* "current": the one that asks */
    return list_end(w, &rows, &json, views_families(&rows, &in->page, user, each_family, in));
}

static bool
each_session(void *arg, const struct session_row *row)
{
    struct list *in = arg;

    session_json_open(in->json, NULL, row, in->now_us);
    json_write_end(in->json);
    return true;
}

enum pace
sessions_reply(struct walk *w)
{
    struct list *in = w->in;
    struct json_write json;
    struct rows rows;

    if (!list_begin(w, &rows, &json))
        return PACE_DONE;
    return list_end(
        w, &rows, &json, views_sessions(&rows, &in->page, list_owner(w), each_session, in));
}

static bool
each_machine(void *arg, const struct machine_row *row)
{
    struct list *in = arg;

    machine_json(in->json, NULL, row);
    return true;
}

enum pace
machines_reply(struct walk *w)
{
    struct list *in = w->in;
    struct json_write json;
    struct rows rows;

    if (!list_begin(w, &rows, &json))
        return PACE_DONE;
    return list_end(w, &rows, &json,
        views_machines(&rows, &in->page, &in->filter, list_owner(w), in->now_us, each_machine, in));
}

static bool
each_key(void *arg, const struct key_row *row)
{
    struct list *in = arg;

    key_json(in->json, NULL, row, in->now_us);
    return true;
}

enum pace
keys_reply(struct walk *w)
{
    struct list *in = w->in;
    struct machine_row *machine = calloc(1, sizeof(*machine));
    struct json_write json;
    struct rows rows;
    enum err err;

    if (machine == NULL)
        return walk_busy(w);
    if (!list_begin(w, &rows, &json)) {
        free(machine);
        return PACE_DONE;
    }
    err = views_machine(&rows, &in->machine, machine);
    if (err == OK && machine->removed)
        err = ERR_NOT_FOUND;
    free(machine);
    if (err == ERR_NOT_FOUND) {
        w->app->views.end(w->app->views.ctx, &rows);
        json_write_fini(&json);
        return walk_not_found(w);
    }
    return list_end(w, &rows, &json, views_keys(&rows, &in->page, &in->machine, each_key, in));
}

static bool
each_alert(void *arg, const struct alert_row *row)
{
    struct list *in = arg;

    alert_json(in->json, NULL, row);
    return true;
}

enum pace
alerts_reply(struct walk *w)
{
    struct list *in = w->in;
    struct json_write json;
    struct rows rows;

    if (!list_begin(w, &rows, &json))
        return PACE_DONE;
    return list_end(w, &rows, &json, views_alerts(&rows, &in->page, in->open_only, each_alert, in));
}
