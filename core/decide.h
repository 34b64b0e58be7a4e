/* decide.h: what the decide_*.c files share: who may, how often, and how a session ends. Part of
 * the pure middle: values in, drafts out. */
#ifndef CORE_DECIDE_H
#define CORE_DECIDE_H

#include "core/decision.h"
#include "core/rights.h"

/* The role that a caller speaks with: the local command line and the server itself are admins. */
enum role decide_role(const struct command *cmd, const struct facts *facts);

/* Is the session bound to the network that the caller comes from? */
bool decide_bound(const struct facts *facts, const struct session_fact *s);
/* session.bound or session.suspected: a session is used from a network it is not bound to. */
void decide_network(const struct command *cmd, const struct facts *facts,
    const struct session_fact *s, struct decision *out);

/* May the caller do this? A token must be of a living family that the log knows, its account not
 * disabled, its role sufficient. False: refused, and access.refused is drafted for somebody we
 * know. */
bool decide_allowed(
    const struct command *cmd, const struct facts *facts, enum action action, struct decision *out);

/* Not the caller's thing: the same answer as for one that does not exist, but an event. */
void decide_not_yours(const struct command *cmd, const struct facts *facts, enum action action,
    const struct subject *subject, struct decision *out);
void decide_access_refused(const struct command *cmd, const struct facts *facts, enum action action,
    const char *why, const struct subject *subject, struct decision *out);

/* Is this family's token still worth something? REFUSE_NONE: yes. */
enum refusal decide_family(const struct facts *facts, const struct family_fact *family);
/* When it ends, refreshed or not. */
int64_t decide_family_end(const struct facts *facts, int64_t opened_us);

/* All windows must have room. Over: refused, counted, no event. out->limit shows the first rule's
 * figures (the caller's own; a stranger learns nothing of the others), with the time that the
 * fullest window frees. holds: an attempt that goes on takes a slot, so it is in the figures. */
bool decide_within(const struct facts *facts, const enum rule *rules, size_t count, bool holds,
    struct decision *out);

/* May a stranger write an event at all? What is refused for that is counted. Asked only where the
 * caller has proven nothing: neither a device, nor a key, nor a token of ours.
 * holds: as it was said to decide_within before. */
bool decide_budget(const struct facts *facts, bool holds, struct decision *out);

/* Does the login come from a device that an earlier one of the same account made known? */
bool decide_device_known(const struct facts *facts);
/* The login has succeeded: device.known, unless it was, and what the device shows from now on. */
void decide_device(const struct command *cmd, const struct facts *facts, struct entropy *entropy,
    struct decision *out);
void decide_device_removal(
    const struct command *cmd, const struct facts *facts, struct decision *out);

/* A caller who names a support code, over HTTP or at the relay. */
bool decide_code_within(const struct facts *facts, struct decision *out);
/* code.rejected: the same for a code never issued, used, expired or revoked. */
void decide_code_rejected(
    const struct command *cmd, const struct facts *facts, struct decision *out);

/* Drafts with the caller's address and user agent sealed: under the user's key for a token, the
 * machine's for an agent, the month's for everybody else. */
struct draft *decide_event(struct decision *out, enum event_type type, const struct command *cmd,
    const struct facts *facts);

/* session.ended for one, and for all of facts->ending; each lands in reply.ended. Sessions that
 * are to end in good order had their channels closed before (the relay cuts, then reports): what
 * is still open then reports later, without a number, and its bytes are not in these totals. */
void decide_end_session(const struct command *cmd, const struct facts *facts,
    const struct session_fact *s, uint64_t n, const char *why, struct decision *out);
void decide_end_all(
    const struct command *cmd, const struct facts *facts, const char *why, struct decision *out);
struct subject decide_session_subject(const struct session_fact *s);

/* agent.disconnected for the connection that holds the machine's presence; it is to be cut. */
void decide_disconnect(
    const struct command *cmd, const struct facts *facts, const char *why, struct decision *out);

/* COSIGNED, encoded once: [purpose, statement, sig]. */
struct span decide_cosigned(struct decision *out, const struct signed_statement *said);
/* The salt and the personal map that the statement commits to, under the machine's key. */
void decide_statement_personal(
    struct draft *d, const struct signed_statement *said, const struct id *machine);

/* Values of a draft; what they point to is copied, unless it says static or borrowed. */
void draft_number(struct draft *d, enum field field, uint64_t u);
void draft_word(struct draft *d, enum field field, const char *word); /* static */
void draft_ip_version(struct draft *d, const struct command *cmd);    /* when there is an address */
void draft_span(struct draft *d, enum field field, struct span s);    /* borrowed */
void draft_some(struct draft *d, enum field field, struct span s);    /* unless empty */
void draft_id(struct decision *out, struct draft *d, enum field field, const struct id *id);
void draft_bytes(
    struct decision *out, struct draft *d, enum field field, const void *bytes, size_t n);
/* One personal field, unless empty. */
void draft_sealed(struct draft *d, enum personal_key key, const struct id *subject,
    enum field field, struct span s);

/* n random bytes in the arena, which is wiped with the next decision. */
struct span decide_random(struct decision *out, struct entropy *entropy, size_t n);

/* A secret for the keystore: to keep (bytes borrowed: the command's or the arena's) or to destroy.
 */
void decide_keep(struct decision *out, enum secret_kind kind, const struct id *id, uint64_t version,
    struct span bytes);
void decide_drop(
    struct decision *out, enum secret_kind kind, const struct id *id, uint64_t version);

/* reply.secret = prefix, the id's 26 characters, "_" and 32 random bytes in base64url; the part
 * behind the second "_" is what the keystore gets (in the arena). */
struct span decide_secret_text(
    struct decision *out, const char *prefix, const struct id *id, struct entropy *entropy);

#endif
