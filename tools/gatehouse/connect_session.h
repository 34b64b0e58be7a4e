/* connect_session.h: a session with a machine, from its name to the end: find, request, wait for
 * consent, end.
 */
#ifndef TOOLS_GATEHOUSE_CONNECT_SESSION_H
#define TOOLS_GATEHOUSE_CONNECT_SESSION_H

#include "core/id.h"
#include "tools/gatehouse/api.h"

/* MACHINE as people give it: an id (mch_...) or the only machine of that name. On failure
 * api->why and api->code tell. */
enum err connect_session_find_machine(
    struct api *api, const char *machine, char id[ID_TEXT_BYTES]) MUST_USE;

/* Requests a session; *asks: somebody at the machine has to consent first. reason may be NULL. */
enum err connect_session_request(struct api *api, const char *machine_id, const char *reason,
    char id[ID_TEXT_BYTES], bool *asks) MUST_USE;

/* Says on stderr what is waited for, and the two words that the person there will read out. */
void connect_session_say_waiting(struct api *api, const char *machine_id, const char *id);

/* Waits until it is open. ERR_DENIED: it will not be; ERR_CLOSED: interrupted. */
enum err connect_session_wait(struct api *api, const char *id) MUST_USE;

/* Ends it; that it had ended already is fine. */
enum err connect_session_end(struct api *api, const char *id) MUST_USE;

#endif
