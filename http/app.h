/* app.h: what every handler on a loop can reach. Built once by tools/gatehouse/serve.c, read-only
 * afterwards (but for what is atomic or owned by its loop). */
#ifndef HTTP_APP_H
#define HTTP_APP_H

#include <stdatomic.h>

#include "core/cidr.h"
#include "core/ports.h"
#include "core/rows.h"
#include "http/jwt.h"
#include "http/ledger_thread.h"
#include "http/proofpool.h"
#include "http/server.h"

#define APP_LOOPS_MAX 64

struct ask_line; /* ask.c */
struct agents;   /* agents.c: control connections of one loop */
struct channels; /* channels.c: channels of one loop */
struct cuts;     /* cuts.c */
struct directory;
struct routes;

/* What only one loop touches. */
struct app_loop {
    struct app *app;
    struct ask_line *line; /* verdicts waiting to become durable, or visible in the views */
    struct agents *agents;
    struct channels *channels;
};

/* Tiles and heads, as bytes ready to be served; any thread. */
struct tiles_port {
    void *ctx;
    /* ERR_NOT_FOUND; out holds TILE bytes (width * 32). */
    enum err (*tile)(void *ctx, unsigned level, uint64_t index, unsigned width, uint8_t *out);
    /* The latest durable checkpoint (a signed note). */
    enum err (*checkpoint)(void *ctx, char *out, size_t cap, size_t *len);
};

/* For /readyz and doctor. */
struct app_health {
    bool ready;
    uint64_t head, views_position;
    int64_t views_age_us; /* since the projector last advanced, when it lags */
    bool views_failing, clock_unsure, low_space;
    const char *why; /* static: the first reason for not being ready, or NULL */
};

/* The secret of access tokens, as a rotation handles it; tools/gatehouse/tokens.c. */
struct token_secret_port {
    void *ctx;
    /* NULL, or why it cannot be replaced for good here: it does not come from the state folder. */
    const char *(*fixed)(void *ctx);
    /* leaked and until_us in, fingerprint out: makes the next and syncs it beside the one in force.
     * OK: settle must be called, once. ERR_EXISTS: one is under way. */
    enum err (*begin)(void *ctx, struct rotate_secret *rotate);
    /* durable: the event is; the next takes over. Else it is forgotten. */
    void (*settle)(void *ctx, bool durable);
};

struct app {
    const char *origin;
    const char *root_vkey;
    const char *public_url; /* "https://host[:port]", no slash at the end; "" when not known */
    struct ledger_thread *ledger;
    struct http_server *server;
    struct proofpool *proofs;
    struct directory *directory;
    struct cuts *cuts;
    atomic_bool ending;    /* the server is about to stop: no channel begins any more */
    struct routes *routes; /* routes.c: what all requests share */
    struct keyring *keyring;
    struct refusals *refusals; /* only refusals_busy */
    struct views_port views;
    struct log_port log;
    struct tiles_port tiles;
    struct opener_port opener;
    struct jwt_keys *jwt;
    struct token_secret_port token_secret;
    const struct cidr_list *trusted_proxies;
    const uint8_t *cursor_key; /* 32 bytes, guarded */
    bool plain_is_trusted;     /* a plain listener on loopback is all there is: no https_required */
    const char *allowed_origins; /* more Origins than public_url, comma-separated; may be "" */
    void (*health)(void *ctx, struct app_health *out);
    void *health_ctx;
    /* Makes the next key and signs what CMD_ROTATE_KEY must carry. ERR_EXISTS: one is under way. */
    enum err (*rotate)(void *ctx, bool log_key, struct rotate_key *out);
    void *rotate_ctx;
    struct app_loop loops[APP_LOOPS_MAX];
};

static inline struct app *
app_of(struct loop *loop)
{
    return loop_user(loop);
}

static inline struct app_loop *
app_loop_of(struct loop *loop)
{
    return &app_of(loop)->loops[loop_index(loop)];
}

#endif
