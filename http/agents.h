/* agents.h: agents' control connections (GET /relay/agent; docs/agents.md). Before the 101 the
 * credential is admitted; then the signed hello is the proof. Until it is verified and durable the
 * socket has no presence and gets nothing. Each connection belongs to one loop; others reach it by
 * agents_send. */
#ifndef HTTP_AGENTS_H
#define HTTP_AGENTS_H

#include "core/control.h"
#include "core/verdict.h"
#include "http/app.h"
#include "http/directory.h"

#define AGENT_HELLO_MS    10000 /* from challenge to hello */
#define AGENT_OFFERS_MAX  16    /* consents that one agent may be asked for at a time */
#define AGENT_SUBPROTOCOL "gatehouse-agent.v1"

MUST_USE enum err agents_start(struct app *app);
void agents_stop(struct app *app);

/* The request for a control connection; answers it in any case. */
void agents_request(struct loop *loop, struct ref ref, const struct request *request);

/* Any loop. Encodes and sends to the machine's agent, wherever it is connected. False: not
 * connected, or its loop takes no more. `expect`: send only to this connection (nil: whichever is
 * there). */
bool agents_send(struct loop *loop, const struct id *machine, const struct control *message);

/* Any loop. Asks for consent (or, when nobody is asked, tells): remembers the nonce on the agent's
 * loop, so that only an answer to this offer counts. */
bool agents_offer(struct loop *loop, const struct id *machine, const struct control_offer *offer);

/* The ledger is told that a connection is no more. */
void agents_report_gone(struct loop *loop, const struct id *machine, const struct id *connection);

/* The loop's own: tells those who heard of this session that it has ended. */
void agents_end_session(struct loop *loop, const struct id *session);

/* The loop's own: closes a connection (replaced, revoked). Nothing it says counts any more. */
void agents_drop(struct loop *loop, const struct id *connection);

/* The loop's own: an allow list changed (of this machine; nil: the one for all). The ledger is
 * asked for each agent here whether its address may stay. */
void agents_recheck(struct loop *loop, const struct id *machine);

#endif
