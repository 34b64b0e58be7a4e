/* credential.c: agents' Authorization lines into typed values. Pure; any thread. */
#include "http/credential.h"

#include <sodium.h>

#include "core/base64.h"
#include "core/statement.h"

static bool
take_scheme(struct span *line, const char *scheme)
{
    size_t len = strlen(scheme);

    if (line->len <= len || memcmp(line->ptr, scheme, len) != 0 || line->ptr[len] != ' ')
        return false;
    *line = span_of(line->ptr + len + 1, line->len - len - 1);
    return true;
}

static enum err
parse_code(struct span text, struct command *cmd, struct admit_agent *out)
{
    uint8_t digits[CODE_DIGITS_MAX];
    size_t n = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == ' ' || text.ptr[i] == '-')
            continue;
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || n == sizeof(digits))
            return ERR_MALFORMED;
        digits[n++] = text.ptr[i];
    }
    if (n == 0)
        return ERR_MALFORMED;
    out->credential = CREDENTIAL_CODE;
    out->code = command_copy(cmd, span_of(digits, n));
    sodium_memzero(digits, sizeof(digits));
    return OK;
}

/* gh_<26 characters of the id>_<secret> */
static enum err
parse_key(struct span text, struct command *cmd, struct admit_agent *out)
{
    char id[ID_TEXT_BYTES];

    if (text.len != 3 + 26 + 1 + 43 || memcmp(text.ptr, "gh_", 3) != 0 || text.ptr[29] != '_')
        return ERR_MALFORMED;
    snprintf(id, sizeof(id), "key_%.26s", (const char *)text.ptr + 3);
    if (id_parse(ID_KEY, span_str(id), &out->key) != OK)
        return ERR_MALFORMED;
    out->credential = CREDENTIAL_KEY;
    out->key_secret = command_copy(cmd, span_of(text.ptr + 30, 43));
    return OK;
}

enum err
credential_parse(struct span line, struct command *cmd, struct admit_agent *out)
{
    *out = (struct admit_agent){0};
    if (take_scheme(&line, "Gatehouse-Code"))
        return parse_code(line, cmd, out);
    if (take_scheme(&line, "Gatehouse-Key"))
        return parse_key(line, cmd, out);
    if (!take_scheme(&line, "Gatehouse-Device"))
        return ERR_MALFORMED;
    out->credential = CREDENTIAL_DEVICE;
    return id_parse(ID_MACHINE, line, &out->machine);
}

/* One dot-separated part off the front. */
static struct span
take_part(struct span *line)
{
    const uint8_t *dot = line->len == 0 ? NULL : memchr(line->ptr, '.', line->len);
    struct span part = *line;

    if (dot == NULL) {
        *line = (struct span){NULL, 0};
        return part;
    }
    part.len = (size_t)(dot - line->ptr);
    *line = span_of(dot + 1, line->len - part.len - 1);
    return part;
}

enum err
credential_parse_ticket(struct span line, struct channel_credential *out)
{
    struct span ticket, statement;
    size_t len;

    if (!take_scheme(&line, "Gatehouse-Ticket"))
        return ERR_MALFORMED;
    ticket = take_part(&line);
    statement = take_part(&line);
    if (base64_decode(BASE64_URL, ticket, out->ticket_bytes, sizeof(out->ticket_bytes), &len) != OK)
        return ERR_MALFORMED;
    out->ticket = span_of(out->ticket_bytes, len);
    if (base64_decode(
            BASE64_URL, statement, out->statement_bytes, sizeof(out->statement_bytes), &len) != OK)
        return ERR_MALFORMED;
    out->statement = span_of(out->statement_bytes, len);
    if (base64_decode(BASE64_URL, line, out->sig_bytes, sizeof(out->sig_bytes), &len) != OK ||
        len != sizeof(out->sig_bytes))
        return ERR_MALFORMED;
    out->sig = span_of(out->sig_bytes, len);
    return OK;
}
