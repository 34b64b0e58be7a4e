/* credential.h: the Authorization line of agents:
 *   Gatehouse-Code <digits> | Gatehouse-Key gh_<26>_<43> | Gatehouse-Device mch_<26>
 *   Gatehouse-Ticket <ticket>.<statement>.<sig>   (base64url; channels) */
#ifndef HTTP_CREDENTIAL_H
#define HTTP_CREDENTIAL_H

#include "core/command.h"

#define CREDENTIAL_ARENA 160
#define CODE_DIGITS_MAX  16

/* Copies into cmd's arena. A code may be grouped by spaces or hyphens. ERR_MALFORMED otherwise. */
MUST_USE enum err credential_parse(
    struct span authorization, struct command *cmd, struct admit_agent *out);

/* Spans borrow from out's own buffers. */
struct channel_credential {
    uint8_t ticket_bytes[256], statement_bytes[4096], sig_bytes[64];
    struct span ticket, statement, sig;
};
MUST_USE enum err credential_parse_ticket(
    struct span authorization, struct channel_credential *out);

#endif
