/* routes_policy.c: the policy in force, and the local owner's changes to it. Runs on loops.
 *
 * What is in force is read from the log: the last policy.adopted below the views' position. A
 * change is made from that, and the ledger refuses it when another one came in between. */
#include "http/routes_handlers.h"

#include "core/ascii.h"
#include "core/event_json.h"
#include "http/routes_json.h"

struct policy_in {
    struct json_texts set;
    struct policy policy; /* in force, and then with the changes */
    struct hash base;
    uint64_t seq; /* of the event that adopted it */
    bool found;
};

static const struct json_field policy_fields[] = {
    {.name = "set",
        .kind = JSON_KIND_LIST,
        .required = true,
        .min = 1,
        .max = JSON_LIST_MAX,
        .offset = offsetof(struct policy_in, set)},
};

static bool
each_adoption(void *arg, uint64_t seq)
{
    struct policy_in *in = arg;

    in->seq = seq;
    in->found = true;
    return true;
}

static bool
each_policy_record(void *arg, uint64_t seq, struct span record)
{
    struct policy_in *in = arg;
    struct span body, sig, bytes;
    struct event ev;

    (void)seq;
    in->found = event_split(record, &body, &sig) == OK && event_decode(body, &ev) == OK;
    if (!in->found)
        return false;
    bytes = fields_span(&ev.data, FIELD_POLICY_BYTES);
    hash_bytes(bytes, &in->base);
    in->found = policy_decode(bytes, &in->policy) == OK;
    return false;
}

/* False: answered. */
static bool
policy_load(struct walk *w, struct policy_in *in)
{
    struct events_query query = {
        .has_type = true, .type_count = 1, .types = {EV_POLICY_ADOPTED}, .limit = UINT32_MAX};
    struct rows rows;
    bool more = true;
    uint64_t next;
    enum err err;

    if (w->app->views.begin(w->app->views.ctx, &rows) != OK) {
        walk_busy(w);
        return false;
    }
    for (err = OK; more && err == OK; query.has_after = true, query.after = next)
        err = views_events(&rows, &query, each_adoption, in, &next, &more);
    w->app->views.end(w->app->views.ctx, &rows);
    if (err == OK && in->found)
        err = w->app->log.read(w->app->log.ctx, in->seq, 1, each_policy_record, in, &next);
    if (err == OK && in->found)
        return true;
    walk_no(w, PROBLEM_INTERNAL, NULL, NULL);
    return false;
}

static const char *
set_fault(enum err err)
{
    switch (err) {
    case ERR_NOT_FOUND: return "there is no number of that name";
    case ERR_LIMIT: return "that is out of its range";
    default: return "it must be NAME=NUMBER, or NAME=COUNT/SECONDS for a rate";
    }
}

bool
policy_change_parse(struct walk *w)
{
    struct policy_in *in = walk_in(w, sizeof(*in));
    char item[JSON_ITEM_BYTES_MAX], detail[JSON_ITEM_BYTES_MAX + 128];
    struct ascii shown;

    if (in == NULL || !walk_body(w, policy_fields, 1, in, NULL) || !policy_load(w, in))
        return false;
    for (uint32_t i = 0; i < in->set.count; i++) {
        enum err err = policy_set(&in->policy, in->set.items[i]);

        if (err == OK)
            continue;
        ascii_init(&shown, item, sizeof(item));
        ascii_put(&shown, in->set.items[i]);
        snprintf(detail, sizeof(detail), "set: %.*s: %s.", (int)shown.len, item, set_fault(err));
        walk_no(w, PROBLEM_BAD_FIELD, detail, "set");
        return false;
    }
    return true;
}

struct command *
policy_adopt_command(struct walk *w)
{
    const struct policy_in *in = w->in;
    struct command *cmd = walk_command(w, CMD_ADOPT_POLICY, POLICY_BYTES_MAX);
    uint8_t bytes[POLICY_BYTES_MAX];
    size_t len;

    if (cmd == NULL)
        return NULL;
    if (policy_encode(&in->policy, bytes, sizeof(bytes), &len) != OK) {
        command_free(cmd);
        return NULL;
    }
    cmd->adopt_policy.policy = command_copy(cmd, span_of(bytes, len));
    cmd->adopt_policy.has_base = true;
    cmd->adopt_policy.base = in->base;
    return cmd;
}

static enum pace
policy_show(struct walk *w, const struct policy_in *in)
{
    struct policy_item item;
    struct json_write json;
    char hex[2 * HASH_BYTES + 1];

    for (size_t i = 0; i < HASH_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", in->base.b[i]);
    json_write_init(&json, NULL, NULL);
    json_write_object(&json, NULL);
    json_write_array(&json, "items");
    for (size_t i = 0; policy_item(&in->policy, i, &item); i++) {
        json_write_object(&json, NULL);
        json_write_str(&json, "name", item.name);
        json_write_str(&json, "value", item.value);
        json_write_str(&json, "default", item.normal);
        json_write_str(&json, "range", item.range);
        json_write_bool(&json, "changed", strcmp(item.value, item.normal) != 0);
        json_write_end(&json);
    }
    json_write_end(&json);
    json_write_str(&json, "sha256", hex);
    json_write_uint(&json, "seq", in->seq);
    json_write_end(&json);
    return walk_json(w, 200, &json, NULL, NULL);
}

enum pace
policy_reply(struct walk *w)
{
    struct policy_in *in = walk_in(w, sizeof(*in));

    if (in == NULL || !policy_load(w, in))
        return PACE_DONE;
    return policy_show(w, in);
}

enum pace
policy_adopted_reply(struct walk *w)
{
    struct policy_in *in = w->in;
    uint8_t bytes[POLICY_BYTES_MAX];
    size_t len;

    in->seq = w->verdict.first_seq;
    if (policy_encode(&in->policy, bytes, sizeof(bytes), &len) == OK)
        hash_bytes(span_of(bytes, len), &in->base);
    return policy_show(w, in);
}
