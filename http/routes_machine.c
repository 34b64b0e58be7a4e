/* routes_machine.c: machines, their keys and allow lists. Runs on loops. */
#include "http/routes_handlers.h"

#include <sodium.h>

#include "core/cidr.h"
#include "core/pack.h"
#include "http/routes_json.h"

#define TAGS_MAX   16
#define KEY_TTL_S  (10 * 366 * 86400)
#define ALLOW_MAX  sizeof(((struct machine_row *)NULL)->allow) /* of a list as it is recorded */
#define LABELS_MAX (TAGS_MAX * (LABEL_BYTES_MAX + 2) + 3)

_Static_assert(LABELS_MAX <= LABELS_BYTES + 32, "rows of the views hold all tags");

struct machine_in {
    struct id machine, key;
    struct span name, note;
    struct json_texts tags, allow;
    bool has_tags, has_note, overall;
    int64_t ttl_s;
    uint64_t if_match;
};

enum { MACHINE_NAME, MACHINE_TAGS, MACHINE_NOTE };

static const struct json_field add_fields[] = {
    {.name = "name",
        .kind = JSON_KIND_RULED,
        .required = true,
        .text_kind = TEXT_MACHINE,
        .offset = offsetof(struct machine_in, name)},
    {.name = "tags",
        .kind = JSON_KIND_RULED_LIST,
        .max = TAGS_MAX,
        .text_kind = TEXT_LABEL,
        .offset = offsetof(struct machine_in, tags)},
};

static const struct json_field change_fields[] = {
    [MACHINE_NAME] = {.name = "name",
        .kind = JSON_KIND_RULED,
        .text_kind = TEXT_MACHINE,
        .offset = offsetof(struct machine_in, name)},
    [MACHINE_TAGS] = {.name = "tags",
        .kind = JSON_KIND_RULED_LIST,
        .max = TAGS_MAX,
        .text_kind = TEXT_LABEL,
        .offset = offsetof(struct machine_in, tags)},
    [MACHINE_NOTE] = {.name = "note",
        .kind = JSON_KIND_TEXT,
        .max = NOTE_BYTES_MAX,
        .offset = offsetof(struct machine_in, note)},
};

bool
machine_add_parse(struct walk *w)
{
    struct machine_in *in = walk_in(w, sizeof(*in));
    uint32_t present;

    if (in == NULL || !walk_body(w, add_fields, 2, in, &present))
        return false;
    in->has_tags = (present >> MACHINE_TAGS & 1) != 0;
    return true;
}

bool
machine_id_parse(struct walk *w)
{
    struct machine_in *in = walk_in(w, sizeof(*in));

    return in != NULL && walk_param_id(w, 0, ID_MACHINE, &in->machine);
}

static bool
note_fits(struct walk *w, struct span note)
{
    enum text_fault fault;
    char detail[96];

    /* An empty note takes the old one away. */
    if (note.len == 0 || (fault = text_check(TEXT_NOTE, note)) == TEXT_OK)
        return true;
    snprintf(detail, sizeof(detail), "note %s", text_fault_name(fault));
    walk_no(w, PROBLEM_BAD_FIELD, detail, "note");
    return false;
}

bool
machine_change_parse(struct walk *w)
{
    struct machine_in *in;
    uint32_t present;

    if (!machine_id_parse(w))
        return false;
    in = w->in;
    if (!walk_if_match(w, &in->if_match) || !walk_body(w, change_fields, 3, in, &present))
        return false;
    if (present == 0) {
        walk_no(w, PROBLEM_MALFORMED, "Nothing to change: name, tags or note.", "body");
        return false;
    }
    in->has_tags = (present >> MACHINE_TAGS & 1) != 0;
    in->has_note = (present >> MACHINE_NOTE & 1) != 0;
    return note_fits(w, in->note);
}

/* Each once, in the order given: canonical array of str. */
static struct span
pack_texts(struct command *cmd, const struct json_texts *texts, size_t cap)
{
    struct span room = command_copy(cmd, (struct span){NULL, 0});
    uint32_t kept[JSON_LIST_MAX], count = 0;
    struct pack p;

    for (uint32_t i = 0; i < texts->count; i++) {
        uint32_t k = 0;

        while (k < count && !span_equal(texts->items[kept[k]], texts->items[i]))
            k++;
        if (k == count)
            kept[count++] = i;
    }
    pack_init(&p, cmd->arena + cmd->arena_len, cap);
    pack_array(&p, count);
    for (uint32_t i = 0; i < count; i++)
        pack_str(&p, texts->items[kept[i]]);
    INVARIANT(pack_ok(&p));
    cmd->arena_len += p.len;
    return span_of(room.ptr, p.len);
}

struct command *
machine_add(struct walk *w)
{
    const struct machine_in *in = w->in;
    struct command *cmd = walk_command(w, CMD_ADD_MACHINE, NAME_BYTES_MAX + LABELS_MAX);

    if (cmd != NULL) {
        cmd->add_machine.name = command_copy(cmd, in->name);
        if (in->has_tags && in->tags.count > 0)
            cmd->add_machine.labels = pack_texts(cmd, &in->tags, LABELS_MAX);
    }
    return cmd;
}

struct command *
machine_change(struct walk *w)
{
    const struct machine_in *in = w->in;
    struct command *cmd =
        walk_command(w, CMD_CHANGE_MACHINE, NAME_BYTES_MAX + LABELS_MAX + NOTE_BYTES_MAX);

    if (cmd == NULL)
        return NULL;
    cmd->change_machine.machine = in->machine;
    cmd->change_machine.if_match = in->if_match;
    if (in->name.ptr != NULL)
        cmd->change_machine.name = command_copy(cmd, in->name);
    if (in->has_tags)
        cmd->change_machine.labels = pack_texts(cmd, &in->tags, LABELS_MAX);
    if (in->has_note)
        cmd->change_machine.note = command_copy(cmd, in->note);
    return cmd;
}

struct command *
machine_authorize(struct walk *w)
{
    struct command *cmd = walk_authorize(w, (enum action)w->route->who);

    if (cmd != NULL)
        cmd->authorize.machine = ((const struct machine_in *)w->in)->machine;
    return cmd;
}

struct command *
machine_remove(struct walk *w)
{
    struct command *cmd = walk_command(w, CMD_REMOVE_MACHINE, 0);

    if (cmd != NULL)
        cmd->remove_machine.machine = ((const struct machine_in *)w->in)->machine;
    return cmd;
}

/* The machine as the views have it now. Whether the caller may see it, the ledger has said: it
 * knows every machine that was not removed. */
static enum pace
show_machine(struct walk *w, uint16_t status, const struct id *id)
{
    struct machine_row *row = calloc(1, sizeof(*row));
    char etag[ETAG_TEXT];
    struct json_write json;
    struct rows rows;
    enum err err;

    if (row == NULL || w->app->views.begin(w->app->views.ctx, &rows) != OK) {
        free(row);
        return walk_busy(w);
    }
    err = views_machine(&rows, id, row);
    w->app->views.end(w->app->views.ctx, &rows);
    if (err != OK || row->removed) {
        free(row);
        return walk_not_found(w);
    }
    etag_text(row->changed_seq, etag);
    json_write_init(&json, NULL, NULL);
    machine_json(&json, NULL, row);
    free(row);
    return walk_json(w, status, &json, "ETag", etag);
}

/* Views that did not come along in time: the change is made all the same, so that is said. */
static enum pace
bare_machine(struct walk *w, uint16_t status, const struct id *id)
{
    struct json_write json;

    json_write_init(&json, NULL, NULL);
    json_write_object(&json, NULL);
    json_id(&json, "id", ID_MACHINE, id);
    json_write_end(&json);
    return walk_json(w, status, &json, NULL, NULL);
}

enum pace
machine_reply(struct walk *w)
{
    const struct machine_in *in = w->in;
    bool added = w->route->method == METHOD_POST;
    uint16_t status = added ? 201 : 200;
    const struct id *id = added ? &w->verdict.reply.id : &in->machine;

    return w->views_ready ? show_machine(w, status, id) : bare_machine(w, status, id);
}

/* ---- keys ---- */

static const struct json_field key_fields[] = {
    {.name = "ttl_s",
        .kind = JSON_KIND_INT,
        .min = 1,
        .max = KEY_TTL_S,
        .offset = offsetof(struct machine_in, ttl_s)},
};

bool
key_parse(struct walk *w)
{
    return machine_id_parse(w) && walk_body(w, key_fields, 1, w->in, NULL);
}

struct command *
key_issue(struct walk *w)
{
    const struct machine_in *in = w->in;
    struct command *cmd = walk_command(w, CMD_ISSUE_KEY, 0);

    if (cmd != NULL)
        cmd->issue_key = (struct issue_key){.machine = in->machine, .ttl_s = (uint32_t)in->ttl_s};
    return cmd;
}

enum pace
key_reply(struct walk *w)
{
    struct reply *reply = &w->verdict.reply;
    struct json_write json;

    json_write_init(&json, NULL, NULL);
    json_write_object(&json, NULL);
    json_id(&json, "id", ID_KEY, &reply->id);
    json_write_str(&json, "key", reply->secret);
    json_id(&json, "machine", ID_MACHINE, &reply->machine);
    if (reply->expires_us != 0)
        json_expires_in(&json, reply->expires_us, w->verdict.eff_us);
    json_write_end(&json);
    sodium_memzero(reply->secret, sizeof(reply->secret));
    return walk_json(w, 201, &json, NULL, NULL);
}

bool
key_id_parse(struct walk *w)
{
    return machine_id_parse(w) && walk_param_id(w, 1, ID_KEY, &((struct machine_in *)w->in)->key);
}

struct command *
key_revoke(struct walk *w)
{
    const struct machine_in *in = w->in;
    struct command *cmd = walk_command(w, CMD_REVOKE_KEY, 0);

    if (cmd != NULL)
        cmd->revoke_key = (struct revoke_key){.machine = in->machine, .key = in->key};
    return cmd;
}

/* ---- allow lists ---- */

static const struct json_field allow_fields[] = {
    {.name = "allow",
        .kind = JSON_KIND_LIST,
        .required = true,
        .max = CIDR_LIST_MAX,
        .offset = offsetof(struct machine_in, allow)},
};

static bool
allow_fits(struct walk *w, const struct json_texts *allow)
{
    char detail[200], shown[64];
    struct cidr cidr;
    size_t bytes = 3;

    for (uint32_t i = 0; i < allow->count; i++) {
        bytes += allow->items[i].len + 2;
        if (cidr_parse(allow->items[i], &cidr) == OK)
            continue;
        text_escape(allow->items[i], shown, sizeof(shown));
        snprintf(detail, sizeof(detail),
            "allow[%u] (%s) is not a network such as 192.0.2.0/24 or 2001:db8::/32.", i, shown);
        walk_no(w, PROBLEM_BAD_FIELD, detail, "allow");
        return false;
    }
    if (bytes <= ALLOW_MAX)
        return true;
    walk_no(w, PROBLEM_BAD_FIELD, "allow is too long.", "allow");
    return false;
}

/* /api/machines/{id}/allowlist, and /api/allowlist for all machines. */
bool
allowlist_parse(struct walk *w)
{
    struct machine_in *in = walk_in(w, sizeof(*in));

    if (in == NULL)
        return false;
    in->overall = w->params[0].ptr == NULL;
    return (in->overall || walk_param_id(w, 0, ID_MACHINE, &in->machine)) &&
           walk_if_match(w, &in->if_match) && walk_body(w, allow_fields, 1, in, NULL) &&
           allow_fits(w, &in->allow);
}

struct command *
allowlist_set(struct walk *w)
{
    const struct machine_in *in = w->in;
    struct command *cmd = walk_command(w, CMD_SET_ALLOWLIST, ALLOW_MAX);

    if (cmd != NULL) {
        cmd->set_allowlist.machine = in->machine;
        cmd->set_allowlist.if_match = in->if_match;
        cmd->set_allowlist.allow = pack_texts(cmd, &in->allow, ALLOW_MAX);
    }
    return cmd;
}

/* The list for all machines. */
enum pace
allowlist_show(struct walk *w)
{
    static const struct id all;
    struct machine_row *row = calloc(1, sizeof(*row));
    char etag[ETAG_TEXT];
    struct json_write json;
    struct rows rows;

    if (row == NULL || w->app->views.begin(w->app->views.ctx, &rows) != OK) {
        free(row);
        return walk_busy(w);
    }
    if (views_machine(&rows, &all, row) != OK)
        memset(row, 0, sizeof(*row)); /* never set */
    w->app->views.end(w->app->views.ctx, &rows);
    etag_text(row->allow_seq, etag);
    json_write_init(&json, NULL, NULL);
    json_write_object(&json, NULL);
    json_strs(&json, "allow", span_of(row->allow, row->allow_len));
    json_write_str(&json, "etag", etag);
    json_write_end(&json);
    free(row);
    return walk_json(w, 200, &json, "ETag", etag);
}

enum pace
allowlist_reply(struct walk *w)
{
    const struct machine_in *in = w->in;
    char etag[ETAG_TEXT];
    struct json_write json;

    etag_text(w->verdict.first_seq, etag); /* the event that says so */
    json_write_init(&json, NULL, NULL);
    json_write_object(&json, NULL);
    json_id(&json, "machine", ID_MACHINE, &in->machine);
    json_write_array(&json, "allow");
    for (uint32_t i = 0; i < in->allow.count; i++)
        json_write_text(&json, NULL, in->allow.items[i]);
    json_write_end(&json);
    json_write_str(&json, "etag", etag);
    json_write_end(&json);
    return walk_json(w, 200, &json, "ETag", etag);
}
