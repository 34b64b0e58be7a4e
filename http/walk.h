/* walk.h: one request, from parsed bytes to its answer, in one straight line of stages. A loop
 * never decides: it asks the ledger, and speaks once the answer is durable.
 *
 * A walk belongs to its loop. While the ledger or the proof pool works for it, it stays even if the
 * peer hangs up (then `gone`): what was asked for is settled all the same, only nobody hears of it.
 * walk_free is the one place where a walk ends. */
#ifndef HTTP_WALK_H
#define HTTP_WALK_H

#include "core/json_write.h"
#include "core/verdict.h"
#include "http/app.h"
#include "http/idempotency.h"
#include "http/json_read.h"
#include "http/problem.h"
#include "http/query.h"
#include "http/rates.h"

#define WALK_PARAMS_MAX 2

enum pace {
    PACE_NEXT, /* on to the next stage */
    PACE_WAIT, /* this stage runs again, or the next one does, when somebody wakes the walk */
    PACE_DONE, /* answered, or nobody is there any more */
};

/* Who may come this way: an enum action, which role and ledger decide, or one of these. */
enum who {
    WHO_ANYONE = -1,
    WHO_READER = -2, /* anyone; a token is looked at when there is one */
    WHO_TICKET = -3, /* the relay's own credentials: one-time tickets ... */
    WHO_AGENT = -4,  /* ... codes, keys and devices */
    WHO_LOCAL = -5,  /* admin.sock only; over the network there is no such thing */
};

#define ROUTE_VIEWS 1u /* the answer shows what was just decided: wait for the views */

struct walk;
struct reply_extra; /* reply.h */

struct route {
    enum http_method method;
    const char *path; /* "/api/codes/{id}"; "{name*}" takes the rest, slashes and all */
    int who;
    uint32_t body_max; /* 0: no body */
    uint32_t flags;
    const char *const *query; /* allowed parameters, ends with NULL; NULL: none */
    /* Any may be NULL. False: answered. */
    bool (*parse)(struct walk *w);
    /* The question before a proof. NULL with w->skip: none this time; NULL without: no memory. */
    struct command *(*admit)(struct walk *w);
    /* Runs again for each wake, until it says PACE_NEXT or PACE_DONE. */
    enum pace (*prove)(struct walk *w);
    /* Without one, and with an action in `who`: may they? */
    struct command *(*command)(struct walk *w);
    enum pace (*reply)(struct walk *w);
};

struct walk {
    struct loop *loop;
    struct app *app;
    struct ref self; /* walk_get */
    struct ref ref;  /* the connection's; none once answered or gone */
    const struct route *route;
    unsigned stage;
    bool gone;      /* the peer hung up */
    bool waiting;   /* somebody works for this walk and will come back */
    bool https;     /* by our own TLS or a trusted proxy's word */
    bool skip;      /* no admission this time */
    bool rejecting; /* the token is refused, and the ledger is being told */
    bool views_ready;
    bool replay;                         /* this POST was answered before */
    bool streaming;                      /* counted in the token's streams */
    struct span params[WALK_PARAMS_MAX]; /* of the path; live until the answer */
    struct command *asker;               /* holds the caller, for all commands of this walk */
    struct query query;
    struct json_body *body;
    void *in; /* what parse made of it: the route's own struct */
    size_t in_len;
    struct verdict verdict;  /* of the last question */
    struct limit_fact limit; /* shown when the verdict has none */
    uint64_t at_least, at_least_until_ms;
    struct proof_job *proof; /* made by parse, not yet submitted */
    struct proof_job *job;   /* done; for this call of prove only */
    struct idempotency_claim claim;
    const struct reply_extra *extra; /* more headers for walk_json, or NULL */
    struct timer timer;              /* wakes the walk */
    /* What a long answer needs; `drop` frees it. */
    void *feed;
    void (*drop)(struct walk *w);
    void (*resume)(struct walk *w); /* a verdict within a long answer */
};

/* ---- the app's side ---- */

struct routes; /* routes.c: tables that all loops share, and each loop's walks */
struct walks {
    struct walk_slot *slots;
    uint32_t count, free;
};
struct walks *routes_walks(struct loop *loop);
struct idempotency *routes_idempotency(struct app *app);
struct rates *routes_rates(struct app *app);

/* NULL: no memory (the request was answered). */
struct walk *walk_new(struct loop *loop, struct ref ref, const struct request *request);
void walk_free(struct walk *w);
void walk_gone(struct walk *w);
void walk_run(struct walk *w);
struct walk *walk_get(struct loop *loop, struct ref self);
void walks_fini(struct walks *walks); /* after the loops have ended */

/* ---- for handlers ---- */

/* The request; NULL once it is answered or gone. */
const struct request *walk_request(const struct walk *w);
/* Zeroed memory for the route's own input; wiped with the walk. NULL: answered 503. */
void *walk_in(struct walk *w, size_t len);
/* Reads the body by table. False: answered, with the member named. */
bool walk_body(
    struct walk *w, const struct json_field *fields, size_t count, void *dest, uint32_t *present);
/* The body is not needed any more: wipes it, also where the engine keeps it. */
void walk_forget_body(struct walk *w);
/* Parses params[i]. False: answered 404, as for any other thing that is not there. */
bool walk_param_id(struct walk *w, unsigned i, enum id_kind kind, struct id *out);
/* If-Match of PATCH and PUT. False: answered 428 or 400. */
bool walk_if_match(struct walk *w, uint64_t *seq);

/* A command with this walk's caller, and `arena` more bytes. */
struct command *walk_command(struct walk *w, enum command_kind kind, size_t arena);
struct command *walk_authorize(struct walk *w, enum action action);
/* Asks; the walk's next stage (or w->resume) runs when the verdict is durable. Takes cmd, which may
 * be NULL (no memory). PACE_DONE: answered 503. */
enum pace walk_ask(struct walk *w, struct command *cmd, bool read_views);
/* The same within a long answer: nothing is said when it cannot be asked. */
bool walk_ask_again(struct walk *w, struct command *cmd);
/* The token is worth nothing: the ledger is told why, the caller only that. */
enum pace walk_reject(struct walk *w, const char *why, bool forged);
/* Gives a job to the proof pool; prove runs again with w->job. Takes job. */
enum pace walk_prove(struct walk *w, struct proof_job *job);
/* Runs the current stage again, later. */
enum pace walk_sleep(struct walk *w, uint64_t ms);

/* Answers. Each returns PACE_DONE, and does nothing when nobody is there. */
enum pace walk_no(struct walk *w, enum problem_code code, const char *detail, const char *field);
enum pace walk_not_found(struct walk *w); /* or somebody else's: one answer for both */
enum pace walk_busy(struct walk *w);
enum pace walk_refuse(struct walk *w); /* as w->verdict says */
/* Finishes `json` and frees it. header (may be NULL): one more header. */
enum pace walk_json(struct walk *w, uint16_t status, struct json_write *json, const char *header,
    const char *value);
enum pace walk_empty(struct walk *w, uint16_t status);
/* The answer was given by http_reply itself. */
enum pace walk_spoke(struct walk *w);
/* The request goes to somebody else, who answers it: returns its ref. */
struct ref walk_hand_over(struct walk *w);

static inline bool
walk_is_local(const struct walk *w)
{
    return w->asker->caller.kind == CALLER_CLI;
}

/* What the ledger said about the caller, for reads that show everybody's or one's own. */
static inline bool
walk_sees_all(const struct walk *w)
{
    return walk_is_local(w) || w->verdict.reply.role == ROLE_ADMIN ||
           w->verdict.reply.role == ROLE_AUDITOR;
}

#endif
