/* routes_handlers.h: the pieces that rows of routes.c are made of, by group. Names say the column:
 * x_parse, x_admit, x_prove, x_command, x_reply. */
#ifndef HTTP_ROUTES_HANDLERS_H
#define HTTP_ROUTES_HANDLERS_H

#include "http/walk.h"

/* routes_auth.c: login, tokens, passwords, registration */
bool login_parse(struct walk *w);
struct command *login_attempt(struct walk *w);
enum pace login_prove(struct walk *w);
struct command *login_conclude(struct walk *w);
enum pace login_reply(struct walk *w);
bool refresh_parse(struct walk *w);
struct command *refresh_command(struct walk *w);
enum pace refresh_reply(struct walk *w);
bool logout_parse(struct walk *w);
struct command *logout_command(struct walk *w);
enum pace logout_reply(struct walk *w);
enum pace me_reply(struct walk *w);

/* routes_password.c: what a new password goes through */
bool password_parse(struct walk *w);
struct command *password_attempt(struct walk *w);
enum pace password_prove(struct walk *w);
struct command *password_conclude(struct walk *w);
enum pace done_reply(struct walk *w); /* 204 */
bool register_parse(struct walk *w);
struct command *register_attempt(struct walk *w);
enum pace register_prove(struct walk *w);
struct command *register_conclude(struct walk *w);
enum pace register_reply(struct walk *w);
bool add_user_parse(struct walk *w);
enum pace add_user_prove(struct walk *w);
struct command *add_user_command(struct walk *w);
bool set_password_parse(struct walk *w);
enum pace set_password_prove(struct walk *w);
struct command *set_password_command(struct walk *w);

/* routes_proof.c: the fresh proof */
bool reprove_parse(struct walk *w);
struct command *reprove_attempt(struct walk *w);
enum pace reprove_prove(struct walk *w);
struct command *reprove_conclude(struct walk *w);
enum pace reprove_reply(struct walk *w);

/* routes_list.c: the one way in which lists are paged */
bool list_parse(struct walk *w);
enum pace codes_reply(struct walk *w);
bool users_parse(struct walk *w);
enum pace users_reply(struct walk *w);
enum pace invites_reply(struct walk *w);
bool tokens_parse(struct walk *w);
enum pace tokens_reply(struct walk *w);
enum pace sessions_reply(struct walk *w);
bool machines_parse(struct walk *w);
enum pace machines_reply(struct walk *w);
bool keys_parse(struct walk *w);
enum pace keys_reply(struct walk *w);

/* routes_code.c: support codes, invitations, tokens: what is issued and revoked */
bool code_parse(struct walk *w);
struct command *code_issue(struct walk *w);
enum pace code_reply(struct walk *w);
bool code_id_parse(struct walk *w);
struct command *code_revoke(struct walk *w);
bool validate_parse(struct walk *w);
struct command *validate_command(struct walk *w);
enum pace validate_reply(struct walk *w);
bool invite_parse(struct walk *w);
struct command *invite_issue(struct walk *w);
enum pace invite_reply(struct walk *w);
bool invite_id_parse(struct walk *w);
struct command *invite_revoke(struct walk *w);
bool family_id_parse(struct walk *w);
struct command *family_revoke(struct walk *w);

/* routes_machine.c */
bool machine_add_parse(struct walk *w);
struct command *machine_add(struct walk *w);
bool machine_id_parse(struct walk *w);
struct command *machine_authorize(struct walk *w);
enum pace machine_reply(struct walk *w);
bool machine_change_parse(struct walk *w);
struct command *machine_change(struct walk *w);
struct command *machine_remove(struct walk *w);
bool key_parse(struct walk *w);
struct command *key_issue(struct walk *w);
enum pace key_reply(struct walk *w);
bool key_id_parse(struct walk *w);
struct command *key_revoke(struct walk *w);
bool allowlist_parse(struct walk *w);
struct command *allowlist_set(struct walk *w);
enum pace allowlist_reply(struct walk *w);
enum pace allowlist_show(struct walk *w);

/* routes_user.c */
bool user_id_parse(struct walk *w);
enum pace user_reply(struct walk *w);
bool user_change_parse(struct walk *w);
struct command *user_change(struct walk *w);

/* routes_session.c */
bool session_open_parse(struct walk *w);
struct command *session_open(struct walk *w);
enum pace session_opened_reply(struct walk *w);
bool session_id_parse(struct walk *w);
struct command *session_admit(struct walk *w);
enum pace session_wait(struct walk *w);
struct command *session_authorize(struct walk *w);
enum pace session_reply(struct walk *w);
struct command *session_may_end(struct walk *w);
enum pace session_close(struct walk *w);
struct command *session_end(struct walk *w);
bool session_note_parse(struct walk *w);
struct command *session_note(struct walk *w);
bool transfer_parse(struct walk *w);
struct command *transfer(struct walk *w);
enum pace transfer_reply(struct walk *w);
bool ticket_parse(struct walk *w);
struct command *ticket_issue(struct walk *w);
enum pace ticket_reply(struct walk *w);

/* routes_audit.c */
bool events_parse(struct walk *w);
bool timeline_parse(struct walk *w);
struct command *audit_command(struct walk *w);
enum pace events_reply(struct walk *w);
bool event_parse(struct walk *w);
enum pace event_reply(struct walk *w);
bool stats_parse(struct walk *w);
enum pace stats_reply(struct walk *w);

/* routes_alert.c: alerts, what they rest on, and who has seen to them */
bool alerts_parse(struct walk *w);
struct command *alerts_command(struct walk *w);
enum pace alerts_reply(struct walk *w);
bool alert_parse(struct walk *w);
enum pace alert_reply(struct walk *w);
bool alert_ack_parse(struct walk *w);
struct command *alert_ack(struct walk *w);

/* routes_policy.c */
enum pace policy_reply(struct walk *w);
bool policy_change_parse(struct walk *w);
struct command *policy_adopt_command(struct walk *w);
enum pace policy_adopted_reply(struct walk *w);

/* routes_log.c: tree, heads and records as C2SP has them */
enum pace checkpoint_reply(struct walk *w);
enum pace tile_reply(struct walk *w);
bool entries_parse(struct walk *w);
struct command *entries_command(struct walk *w);
enum pace entries_reply(struct walk *w);

/* routes_secret.c: the secret of access tokens */
bool secret_parse(struct walk *w);
struct command *secret_command(struct walk *w);
enum pace secret_reply(struct walk *w);

/* routes_misc.c: pages, health, and the doors of the relay */
enum pace healthz_reply(struct walk *w);
enum pace readyz_reply(struct walk *w);
enum pace openapi_reply(struct walk *w);
enum pace home_reply(struct walk *w);
enum pace relay_agent_reply(struct walk *w);
enum pace relay_channel_reply(struct walk *w);
enum pace relay_attach_reply(struct walk *w);
enum pace status_reply(struct walk *w);
struct command *export_command(struct walk *w);
enum pace export_reply(struct walk *w);
struct command *clock_accept_command(struct walk *w);
bool rotate_parse(struct walk *w);
struct command *rotate_command(struct walk *w);
enum pace rotate_reply(struct walk *w);

#endif
