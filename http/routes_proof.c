/* routes_proof.c: the fresh proof that it is still the same person: for sessions that are paused
 * since their login was used from another network. Runs on loops. */
#include "http/routes_handlers.h"

#include <sodium.h>

#include "http/routes_json.h"

#define PASSWORD_MAX 1024 /* longer ones are nobody's; shorter ones cost the same time */

struct reproving {
    struct span password;
    uint64_t attempt;
    bool known, proven;
};

static const struct json_field reprove_fields[] = {
    {.name = "password",
        .kind = JSON_KIND_TEXT,
        .required = true,
        .min = 1,
        .max = PASSWORD_MAX,
        .offset = offsetof(struct reproving, password)},
};

bool
reprove_parse(struct walk *w)
{
    struct reproving *in = walk_in(w, sizeof(*in));

    if (in == NULL || !walk_body(w, reprove_fields, 1, in, NULL))
        return false;
    w->proof = proof_job_new(PROOF_VERIFY, in->password);
    in->password = (struct span){NULL, 0};
    walk_forget_body(w);
    if (w->proof == NULL)
        walk_busy(w);
    return w->proof != NULL;
}

struct command *
reprove_attempt(struct walk *w)
{
    return walk_command(w, CMD_ATTEMPT_REPROVE, 0);
}

enum pace
reprove_prove(struct walk *w)
{
    struct reproving *in = w->in;
    struct reply *reply = &w->verdict.reply;
    struct proof_job *job = w->proof;

    if (w->job != NULL) {
        in->proven = w->job->proven && in->known;
        return PACE_NEXT;
    }
    in->attempt = reply->attempt;
    in->known = reply->verifier_found;
    snprintf(job->verifier, sizeof(job->verifier), "%s", reply->verifier);
    sodium_memzero(reply->verifier, sizeof(reply->verifier));
    w->proof = NULL;
    return walk_prove(w, job);
}

struct command *
reprove_conclude(struct walk *w)
{
    const struct reproving *in = w->in;
    struct command *cmd = walk_command(w, CMD_CONCLUDE_REPROVE, 0);

    if (cmd != NULL)
        cmd->conclude_reprove =
            (struct conclude_reprove){.attempt = in->attempt, .proven = in->proven};
    return cmd;
}

/* Which sessions go on. */
enum pace
reprove_reply(struct walk *w)
{
    const struct reply *reply = &w->verdict.reply;
    struct json_write json;

    json_write_init(&json, NULL, NULL);
    json_write_object(&json, NULL);
    json_write_array(&json, "resumed");
    for (uint32_t i = 0; i < reply->resumed_count; i++)
        json_id(&json, NULL, ID_SESSION, &reply->resumed[i].session);
    json_write_end(&json);
    json_write_end(&json);
    return walk_json(w, 200, &json, NULL, NULL);
}
