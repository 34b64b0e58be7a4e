/* ask.h: a loop never decides. It asks the ledger, goes on with other work, and is called back on
 * its own thread when the verdict is durable: only then may anything of it leave the server. */
#ifndef HTTP_ASK_H
#define HTTP_ASK_H

#include "core/verdict.h"
#include "http/app.h"

/* Called on the loop that asked. cmd and verdict are freed after it returns. `ref` names the
 * connection, which may have ended meanwhile: resolve it, and accept that it is gone. */
typedef void (*asked_fn)(
    struct loop *loop, struct ref ref, void *user, struct command *cmd, struct verdict *verdict);

struct ask_options {
    asked_fn fn; /* NULL: nobody wants to know */
    /* On the ledger's thread, once it is decided and before any later verdict is delivered: for
     * what the loops of later ones will look up. NULL: none. */
    void (*decided)(struct loop *loop, struct ref ref, const struct command *cmd,
        const struct verdict *verdict);
    struct ref ref;
    void *user;      /* must outlive the answer; never a connection's own memory */
    bool read_views; /* also wait until the views show what the verdict rests on (ASK_VIEWS_MS) */
};

#define ASK_VIEWS_MS 5000

/* Takes cmd. False: the queue or the mailbox is full; cmd was freed; answer 503 with Retry-After.
 */
MUST_USE bool ask(struct loop *loop, struct command *cmd, const struct ask_options *options);

/* For facts that the edge alone knows and the log must hear (a peer is gone, a channel closed):
 * kept and tried again until the queue takes it. Takes cmd. fn may be NULL. */
void ask_insist(struct loop *loop, struct command *cmd, asked_fn fn);

/* Whether the views had caught up when fn was called (only with read_views). */
bool ask_views_ready(struct loop *loop, const struct verdict *verdict);

/* Answers what is durable by now. For a loop that hears, by another's post, of something that rests
 * on a verdict which still waits in its own line. */
void ask_settle(struct loop *loop);

/* Per-loop state. ask_start after the loops exist, before they run; ask_stop after they have ended.
 */
MUST_USE enum err ask_start(struct app *app);
void ask_stop(struct app *app);
/* Any thread: durable size or views position advanced. */
void ask_advanced(struct app *app);

#endif
