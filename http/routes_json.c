/* routes_json.c: rows of the views as JSON. */
#include "http/routes_json.h"

#include <inttypes.h>

#include "core/event_json.h"
#include "core/facts.h"
#include "core/moment.h"
#include "core/pack.h"
#include "core/rights.h"

void
json_id(struct json_write *w, const char *key, enum id_kind kind, const struct id *id)
{
    char text[ID_TEXT_BYTES];

    if (id_is_nil(id))
        return;
    id_text(kind, id, text);
    json_write_str(w, key, text);
}

void
json_time(struct json_write *w, const char *key, int64_t us)
{
    char text[EVENT_TIME_TEXT];

    if (us == 0)
        return;
    event_time_text(us, text);
    json_write_str(w, key, text);
}

void
json_expires_in(struct json_write *w, int64_t expires_us, int64_t now_us)
{
    json_write_int(w, "expires_in", expires_us > now_us ? (expires_us - now_us) / US_PER_S : 0);
}

static void
json_some(struct json_write *w, const char *key, const char *text)
{
    if (text[0] != '\0')
        json_write_str(w, key, text);
}

void
json_strs(struct json_write *w, const char *key, struct span packed)
{
    struct reader r;

    reader_init(&r, packed);
    json_write_array(w, key);
    for (uint32_t n = packed.len > 0 ? reader_array(&r) : 0; n > 0 && reader_ok(&r); n--) {
        struct span item = reader_str(&r);

        if (reader_ok(&r))
            json_write_text(w, NULL, item);
    }
    json_write_end(w);
}

void
etag_text(uint64_t seq, char out[ETAG_TEXT])
{
    snprintf(out, ETAG_TEXT, "\"%" PRIu64 "\"", seq);
}

static void
json_etag(struct json_write *w, const char *key, uint64_t seq)
{
    char text[ETAG_TEXT];

    etag_text(seq, text);
    json_write_str(w, key, text);
}

void
user_json(struct json_write *w, const char *key, const struct user_row *row)
{
    json_write_object(w, key);
    json_id(w, "id", ID_USER, &row->user);
    json_write_str(w, "name", row->name);
    json_write_str(w, "display_name", row->display);
    json_write_str(w, "role", role_name((enum role)row->role));
    json_write_bool(w, "disabled", row->disabled);
    if (row->erased)
        json_write_bool(w, "erased", true);
    json_time(w, "added", row->added_us);
    json_time(w, "last_login", row->login_us);
    json_etag(w, "etag", row->changed_seq);
    json_write_end(w);
}

void
machine_json(struct json_write *w, const char *key, const struct machine_row *row)
{
    json_write_object(w, key);
    json_id(w, "id", ID_MACHINE, &row->machine);
    json_write_str(w, "name", row->name);
    json_write_bool(w, "online", row->online);
    json_write_bool(w, "guest", row->guest);
    json_write_bool(w, "bound", row->bound);
    json_strs(w, "tags", span_of(row->labels, row->labels_len));
    json_strs(w, "services", span_of(row->services, row->services_len));
    json_some(w, "note", row->note);
    json_some(w, "words", row->words);
    json_some(w, "host_name", row->host);
    json_some(w, "os", row->os);
    json_some(w, "agent_version", row->version);
    json_some(w, "address", row->address);
    json_id(w, "code", ID_CODE, &row->code);
    json_id(w, "issuer", ID_USER, &row->issuer);
    json_time(w, "added", row->added_us);
    json_time(w, "seen", row->seen_us);
    json_strs(w, "allow", span_of(row->allow, row->allow_len));
    json_etag(w, "etag", row->changed_seq);
    json_etag(w, "allow_etag", row->allow_seq);
    json_write_end(w);
}

static const char *
code_state_name(uint32_t state)
{
    switch (state) {
    case CODE_LIVE: return "live";
    case CODE_REDEEMED: return "redeemed";
    case CODE_EXPIRED: return "expired";
    case CODE_REVOKED: return "revoked";
    default: return "unknown";
    }
}

void
code_json(struct json_write *w, const char *key, const struct code_row *row, int64_t now_us)
{
    json_write_object(w, key);
    json_id(w, "id", ID_CODE, &row->code);
    json_write_str(w, "state", code_state_name(row->state));
    json_write_uint(w, "digits", row->digits);
    json_id(w, "issuer", ID_USER, &row->issuer);
    json_id(w, "machine", ID_MACHINE, &row->machine);
    json_time(w, "issued", row->issued_us);
    json_time(w, "ended", row->ended_us);
    if (row->state == CODE_LIVE)
        json_expires_in(w, row->expires_us, now_us);
    json_write_end(w);
}

void
key_json(struct json_write *w, const char *key, const struct key_row *row, int64_t now_us)
{
    char prefix[ID_TEXT_BYTES + 4], id[ID_TEXT_BYTES];

    id_text(ID_KEY, &row->key, id);
    snprintf(prefix, sizeof(prefix), "gh_%s", id + 4);
    json_write_object(w, key);
    json_write_str(w, "id", id);
    json_write_str(w, "prefix", prefix);
    json_write_str(w, "state",
        row->state == KEY_LIVE    ? "live"
        : row->state == KEY_SPENT ? "spent"
                                  : "revoked");
    json_id(w, "machine", ID_MACHINE, &row->machine);
    json_id(w, "creator", ID_USER, &row->creator);
    json_time(w, "issued", row->issued_us);
    json_time(w, "used", row->used_us);
    if (row->state == KEY_LIVE && row->expires_us != 0)
        json_expires_in(w, row->expires_us, now_us);
    json_write_end(w);
}

void
invite_json(struct json_write *w, const char *key, const struct invite_row *row, int64_t now_us)
{
    bool live = row->state == INVITE_LIVE && row->expires_us > now_us;

    json_write_object(w, key);
    json_id(w, "id", ID_INVITE, &row->invite);
    json_write_str(w, "state",
        live                           ? "live"
        : row->state == INVITE_USED    ? "used"
        : row->state == INVITE_REVOKED ? "revoked"
                                       : "expired");
    json_write_str(w, "role", role_name((enum role)row->role));
    json_id(w, "issuer", ID_USER, &row->issuer);
    json_id(w, "user", ID_USER, &row->user);
    json_time(w, "issued", row->issued_us);
    if (live)
        json_expires_in(w, row->expires_us, now_us);
    json_write_end(w);
}

void
family_json(struct json_write *w, const char *key, const struct family_row *row,
    const struct id *own, int64_t now_us)
{
    bool live = row->live && (row->device || row->expires_us > now_us);

    json_write_object(w, key);
    json_id(w, "id", row->device ? ID_DEVICE : ID_FAMILY, &row->family);
    json_write_str(w, "kind", row->device ? "device" : "login");
    json_id(w, "user", ID_USER, &row->user);
    json_write_bool(w, "live", live);
    json_write_bool(w, "current", id_equal(&row->family, own));
    json_some(w, "why", row->why);
    json_some(w, "address", row->address);
    json_some(w, "user_agent", row->user_agent);
    json_time(w, "opened", row->opened_us);
    json_time(w, "refreshed", row->refreshed_us);
    json_time(w, "ended", row->ended_us);
    if (live && !row->device)
        json_expires_in(w, row->expires_us, now_us);
    json_write_end(w);
}

const char *
session_state_name(uint32_t state)
{
    switch (state) {
    case SESSION_REQUESTED: return "requested";
    case SESSION_CONSENTED: return "consented";
    case SESSION_OPEN: return "opened";
    case SESSION_ENDED: return "ended";
    default: return "unknown";
    }
}

static void
named_json(
    struct json_write *w, const char *key, enum id_kind kind, const struct id *id, const char *name)
{
    json_write_object(w, key);
    json_id(w, "id", kind, id);
    json_some(w, "name", name);
    json_write_end(w);
}

void
session_json_open(
    struct json_write *w, const char *key, const struct session_row *row, int64_t now_us)
{
    json_write_object(w, key);
    json_id(w, "id", ID_SESSION, &row->session);
    json_write_str(w, "state", session_state_name(row->state));
    named_json(w, "machine", ID_MACHINE, &row->machine, row->machine_name);
    named_json(w, "owner", ID_USER, &row->owner, row->owner_name);
    json_some(w, "reason", row->reason);
    json_some(w, "consent_mode", row->consent_mode);
    json_time(w, "requested", row->requested_us);
    json_time(w, "opened", row->opened_us);
    json_time(w, "ended", row->ended_us);
    json_some(w, "why", row->why);
    json_write_uint(w, "events", row->events);
    if (row->state != SESSION_ENDED)
        json_write_bool(w, "paused", row->paused);
    json_id(w, "offered_to", ID_USER, &row->offered_to);
    if (row->bytes_known) {
        json_write_object(w, "bytes");
        json_write_uint(w, "to_agent", row->to_agent_bytes);
        json_write_uint(w, "to_technician", row->to_technician_bytes);
        json_write_end(w);
    } else {
        json_write_null(w, "bytes");
    }
    if (row->state == SESSION_OPEN && row->expires_us != 0)
        json_expires_in(w, row->expires_us, now_us);
}

void
channel_json(struct json_write *w, const char *key, const struct channel_row *row)
{
    json_write_object(w, key);
    json_id(w, "id", ID_CHANNEL, &row->channel);
    json_write_str(w, "service", row->service);
    json_time(w, "attached", row->attached_us);
    json_time(w, "opened", row->opened_us);
    json_time(w, "closed", row->closed_us);
    json_some(w, "why", row->why);
    json_write_uint(w, "to_agent_bytes", row->to_agent_bytes);
    json_write_uint(w, "to_technician_bytes", row->to_technician_bytes);
    if (row->has_exit)
        json_write_int(w, "exit_status", row->exit_status);
    json_write_bool(w, "cosigned", row->cosigned);
    json_write_end(w);
}
