/* control.c: the control connection's messages, by tables. Pure; any thread; no allocation. */
#include "core/control.h"

#include "core/mapping.h"
#include "core/service.h"
#include "core/statement.h"

#include <stdarg.h>

#define NEED true
#define MAY  false

#define ROW(type, kind, number, member, required, min, max)                                        \
    {                                                                                              \
        number, kind, required, offsetof(struct type, member), min, max, #member                   \
    }

#define C(kind, type, number, member, required, min, max)                                          \
    ROW(control_##type, MAPPING_##kind, number, member, required, min, max)

#define CODE_BYTES_MAX   64
#define DETAIL_BYTES_MAX 512
#define TICKET_BYTES_MAX 512

static const struct mapping_member challenge[] = {
    C(FIXED, challenge, 1, nonce, NEED, 0, CONTROL_NONCE_BYTES),
    C(ASCII, challenge, 2, origin, NEED, 1, ORIGIN_BYTES_MAX),
    C(ASCII, challenge, 3, root_vkey, NEED, 1, CONTROL_VKEY_BYTES_MAX),
    C(STR, challenge, 4, checkpoint, NEED, 0, CHECKPOINT_BYTES_MAX),
    C(U64, challenge, 5, protocol, NEED, 1, UINT32_MAX),
};

static const struct mapping_member welcome[] = {
    C(ID, welcome, 1, machine, NEED, 0, 0),
    C(ASCII, welcome, 2, origin, NEED, 1, ORIGIN_BYTES_MAX),
    C(BOOL, welcome, 3, guest, NEED, 0, 0),
    C(ASCII, welcome, 4, words, MAY, 1, CODE_BYTES_MAX),
    C(ID, welcome, 5, connection, NEED, 0, 0),
};

static const struct mapping_member refused[] = {
    C(ASCII, refused, 1, code, NEED, 1, CODE_BYTES_MAX),
    C(STR, refused, 2, detail, NEED, 0, DETAIL_BYTES_MAX),
};

static const struct mapping_member offer[] = {
    C(ID, offer, 1, session, NEED, 0, 0),
    C(STR, offer, 2, technician, NEED, 1, NAME_BYTES_MAX),
    C(STR, offer, 3, reason, MAY, 1, NOTE_BYTES_MAX),
    C(FIXED, offer, 4, nonce, NEED, 0, CONTROL_NONCE_BYTES),
    C(BOOL, offer, 5, ask, NEED, 0, 0),
    C(U64, offer, 6, expires_s, NEED, 0, 86400),
};

static const struct mapping_member open_channel[] = {
    C(ID, open, 1, session, NEED, 0, 0),
    C(ID, open, 2, channel, NEED, 0, 0),
    C(ASCII, open, 3, service, NEED, 1, SERVICE_BYTES_MAX),
    C(BIN, open, 4, ticket, NEED, 1, TICKET_BYTES_MAX),
    C(FIXED, open, 5, nonce, NEED, 0, CONTROL_NONCE_BYTES),
    C(U64, open, 6, cols, MAY, 1, TERMINAL_SIDE_MAX),
    C(U64, open, 7, rows, MAY, 1, TERMINAL_SIDE_MAX),
    C(ASCII, open, 8, term, MAY, 1, CODE_BYTES_MAX),
};

static const struct mapping_member end[] = {
    C(ID, end, 1, session, NEED, 0, 0),
    C(STR, end, 2, why, NEED, 0, DETAIL_BYTES_MAX),
};

static const struct mapping_member head[] = {
    C(STR, head, 1, checkpoint, NEED, 1, CHECKPOINT_BYTES_MAX),
};

static const struct mapping_member close_channel[] = {
    C(ID, close, 1, channel, NEED, 0, 0),
    C(U64, close, 2, to_agent_bytes, NEED, 0, UINT64_MAX),
    C(U64, close, 3, to_technician_bytes, NEED, 0, UINT64_MAX),
    C(FIXED, close, 4, nonce, NEED, 0, CONTROL_NONCE_BYTES),
};

static const struct mapping_member said[] = {
    C(BIN, said, 1, statement, NEED, 1, STATEMENT_BYTES_MAX),
    C(FIXED, said, 2, sig, NEED, 0, CONTROL_SIG_BYTES),
    C(FIXED, said, 3, salt, NEED, 0, CONTROL_SALT_BYTES),
    C(BIN, said, 4, personal, NEED, 1, CONTROL_PERSONAL_BYTES_MAX),
};

static const struct mapping_member channel_refused[] = {
    C(ID, channel_refused, 1, channel, NEED, 0, 0),
    C(ASCII, channel_refused, 2, code, NEED, 1, CODE_BYTES_MAX),
    C(STR, channel_refused, 3, detail, NEED, 0, DETAIL_BYTES_MAX),
};

static const struct mapping_member closed[] = {
    C(BIN, closed, 1, statement, NEED, 1, STATEMENT_BYTES_MAX),
    C(FIXED, closed, 2, sig, NEED, 0, CONTROL_SIG_BYTES),
};

static const struct mapping_member bye[] = {
    C(STR, bye, 1, why, NEED, 0, DETAIL_BYTES_MAX),
};

static const struct mapping_member hello_personal[] = {
    ROW(personal_hello, MAPPING_STR, 1, machine_name, NEED, 1, NAME_BYTES_MAX),
    ROW(personal_hello, MAPPING_STR, 2, host_name, NEED, 1, NAME_BYTES_MAX),
    ROW(personal_hello, MAPPING_STR, 3, os_user, NEED, 1, NAME_BYTES_MAX),
};

static const struct mapping_member consent_personal[] = {
    ROW(personal_consent, MAPPING_STR, 1, technician, NEED, 1, NAME_BYTES_MAX),
    ROW(personal_consent, MAPPING_STR, 2, reason, MAY, 1, NOTE_BYTES_MAX),
};

#define ROWS_OF(table)                                                                             \
    {                                                                                              \
        table, sizeof(table) / sizeof((table)[0])                                                  \
    }

static const struct kind {
    enum control_kind kind;
    enum control_sender sender;
    const char *name;
    struct mapping mapping;
} kinds[] = {
    {CONTROL_CHALLENGE, CONTROL_BY_SERVER, "challenge", ROWS_OF(challenge)},
    {CONTROL_WELCOME, CONTROL_BY_SERVER, "welcome", ROWS_OF(welcome)},
    {CONTROL_REFUSED, CONTROL_BY_SERVER, "refused", ROWS_OF(refused)},
    {CONTROL_OFFER, CONTROL_BY_SERVER, "offer", ROWS_OF(offer)},
    {CONTROL_OPEN, CONTROL_BY_SERVER, "open", ROWS_OF(open_channel)},
    {CONTROL_END, CONTROL_BY_SERVER, "end", ROWS_OF(end)},
    {CONTROL_HEAD, CONTROL_BY_SERVER, "head", ROWS_OF(head)},
    {CONTROL_CLOSE, CONTROL_BY_SERVER, "close", ROWS_OF(close_channel)},
    {CONTROL_HELLO, CONTROL_BY_AGENT, "hello", ROWS_OF(said)},
    {CONTROL_CONSENT, CONTROL_BY_AGENT, "consent", ROWS_OF(said)},
    {CONTROL_CHANNEL_REFUSED, CONTROL_BY_AGENT, "channel_refused", ROWS_OF(channel_refused)},
    {CONTROL_CLOSED, CONTROL_BY_AGENT, "closed", ROWS_OF(closed)},
    {CONTROL_BYE, CONTROL_BY_AGENT, "bye", ROWS_OF(bye)},
};

/* Every member of the union begins where the union does. */
#define CONTROL_BODY offsetof(struct control, challenge)

static const struct kind *
kind_find(uint64_t number)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if ((uint64_t)kinds[i].kind == number)
            return &kinds[i];
    return NULL;
}

const char *
control_name(enum control_kind kind)
{
    const struct kind *row = kind_find((uint64_t)kind);

    return row != NULL ? row->name : "unknown";
}

static bool
consistent(const struct control *message)
{
    struct service service;

    return message->kind != CONTROL_OPEN || service_parse(message->open.service, &service) == OK;
}

enum err
control_encode(const struct control *message, uint8_t *out, size_t cap, size_t *len)
{
    const struct kind *row = kind_find((uint64_t)message->kind);
    struct pack p;
    enum err err;

    INVARIANT(row != NULL);
    if (!consistent(message))
        return ERR_MALFORMED;
    pack_init(&p, out, cap < CONTROL_BYTES_MAX ? cap : CONTROL_BYTES_MAX);
    pack_array(&p, 2);
    pack_u64(&p, (uint64_t)row->kind);
    err = mapping_encode(&row->mapping, (const uint8_t *)message + CONTROL_BODY, &p);
    *len = p.len;
    return err != OK ? err : pack_ok(&p) ? OK : ERR_LIMIT;
}

static enum err __attribute__((format(printf, 2, 3)))
blame(char why[CONTROL_WHY_MAX], const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (why != NULL)
        vsnprintf(why, CONTROL_WHY_MAX, format, args);
    va_end(args);
    return ERR_MALFORMED;
}

enum err
control_decode(
    enum control_sender sender, struct span bytes, struct control *out, char why[CONTROL_WHY_MAX])
{
    struct mapping_fault fault;
    const struct kind *row;
    struct reader r;
    uint64_t number;

    *out = (struct control){0};
    if (bytes.len > CONTROL_BYTES_MAX) {
        blame(why, "longer than %d bytes", CONTROL_BYTES_MAX);
        return ERR_LIMIT;
    }
    if (pack_scan(bytes) != OK)
        return blame(why, "not one canonical msgpack value");
    reader_init(&r, bytes);
    if (reader_peek(&r) != PACK_ARRAY || reader_array(&r) != 2 || reader_peek(&r) != PACK_INT)
        return blame(why, "not an array of kind and map");
    number = reader_u64(&r);
    if (!reader_ok(&r) || (row = kind_find(number)) == NULL || row->sender != sender)
        return blame(why, "not a kind of message that this side takes");
    out->kind = row->kind;
    if (mapping_decode(&row->mapping, &r, (uint8_t *)out + CONTROL_BODY, &fault) != OK) {
        char text[CONTROL_WHY_MAX - 24];

        mapping_fault_text(&fault, text, sizeof(text));
        return blame(why, "%s: %s", row->name, text);
    }
    if (!consistent(out))
        return blame(why, "%s: member 3 (service) is not a service", row->name);
    return reader_done(&r) ? OK : blame(why, "%s: has bytes behind it", row->name);
}

static enum err
personal_encode(const struct mapping *m, const void *from, uint8_t *out, size_t cap, size_t *len)
{
    struct pack p;
    enum err err;

    pack_init(&p, out, cap < CONTROL_PERSONAL_BYTES_MAX ? cap : CONTROL_PERSONAL_BYTES_MAX);
    err = mapping_encode(m, from, &p);
    *len = p.len;
    return err != OK ? err : pack_ok(&p) ? OK : ERR_LIMIT;
}

static enum err
personal_decode(const struct mapping *m, struct span map, void *to)
{
    struct mapping_fault fault;
    struct reader r;
    enum err err;

    if (map.len > CONTROL_PERSONAL_BYTES_MAX)
        return ERR_LIMIT;
    if ((err = pack_scan(map)) != OK)
        return err;
    reader_init(&r, map);
    err = mapping_decode(m, &r, to, &fault);
    return err != OK ? err : reader_done(&r) ? OK : ERR_MALFORMED;
}

static const struct mapping hello_map = ROWS_OF(hello_personal);
static const struct mapping consent_map = ROWS_OF(consent_personal);

enum err
personal_hello_encode(const struct personal_hello *p, uint8_t *out, size_t cap, size_t *len)
{
    return personal_encode(&hello_map, p, out, cap, len);
}

enum err
personal_hello_decode(struct span map, struct personal_hello *out)
{
    *out = (struct personal_hello){0};
    return personal_decode(&hello_map, map, out);
}

enum err
personal_consent_encode(const struct personal_consent *p, uint8_t *out, size_t cap, size_t *len)
{
    return personal_encode(&consent_map, p, out, cap, len);
}

enum err
personal_consent_decode(struct span map, struct personal_consent *out)
{
    *out = (struct personal_consent){0};
    return personal_decode(&consent_map, map, out);
}
