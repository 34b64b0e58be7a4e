/* directory.h: where live things are: which loop holds an agent's control connection, and which
 * loop waits for a channel's agent. The only state that loops share; behind one lock, held for a
 * look-up only. Not a source of decisions: it says where bytes go, after the ledger has said that
 * they may. */
#ifndef HTTP_DIRECTORY_H
#define HTTP_DIRECTORY_H

#include "core/event.h"
#include "core/ref.h"

#define PLACE_SERVICE_BYTES 64

struct agent_place {
    struct id machine, connection;
    uint8_t device_key[32];
    unsigned loop;
    struct ref ref;
};

struct channel_place {
    struct id channel, session, machine;
    uint8_t nonce[32]; /* the server nonce that the agent's channel statement must carry */
    char service[PLACE_SERVICE_BYTES];
    unsigned loop;
    bool settled; /* closed for good */
};

struct directory;

struct directory *directory_new(void);
void directory_free(struct directory *d);

/* Replaces an older connection of the same machine. ERR_MEMORY. */
MUST_USE enum err directory_put_agent(struct directory *d, const struct agent_place *place);
bool directory_find_agent(struct directory *d, const struct id *machine, struct agent_place *out);
/* Only if it is still this connection. */
void directory_drop_agent(
    struct directory *d, const struct id *machine, const struct id *connection);

MUST_USE enum err directory_put_channel(struct directory *d, const struct channel_place *place);
bool directory_find_channel(
    struct directory *d, const struct id *channel, struct channel_place *out);
/* Its channel.closed is durable: it no longer counts as one of the session's. */
void directory_settle_channel(struct directory *d, const struct id *channel);
void directory_drop_channel(struct directory *d, const struct id *channel);
/* session NULL: of all. */
unsigned directory_session_channels(struct directory *d, const struct id *session);

#endif
