/* response.c: builds response heads. No byte of a field can end its line: names are tokens, values
 * have no controls but HTAB, or the whole response is spoilt. Pure; any thread. */
#include "http/response.h"

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

struct reason {
    uint16_t status;
    const char *text;
};

static const struct reason reasons[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

const char *
response_reason(uint16_t status)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].status == status)
            return reasons[i].text;
    }
    return "Status";
}

void
response_init(struct response *response, uint16_t status)
{
    *response = (struct response){.status = status};
}

static bool
is_token(const char *name)
{
    if (*name == '\0')
        return false;
    for (; *name != '\0'; name++) {
        if ((*name < '0' || *name > '9') && (*name < 'A' || *name > 'Z') &&
            (*name < 'a' || *name > 'z') && strchr("!#$%&'*+-.^_`|~", *name) == NULL)
            return false;
    }
    return true;
}

static bool
is_value(struct span value)
{
    for (size_t i = 0; i < value.len; i++) {
        if ((value.ptr[i] < 0x20 && value.ptr[i] != '\t') || value.ptr[i] == 0x7f)
            return false;
    }
    return true;
}

void
response_add(struct response *response, const char *name, struct span value)
{
    INVARIANT(strcasecmp(name, "content-length") != 0 && strcasecmp(name, "connection") != 0 &&
              strcasecmp(name, "transfer-encoding") != 0 && strcasecmp(name, "date") != 0);
    if (!is_token(name) || !is_value(value) || response->field_count == RESPONSE_FIELDS_MAX) {
        response->spoilt = true;
        return;
    }
    response->fields[response->field_count++] = (struct response_field){name, value};
}

void
response_add_str(struct response *response, const char *name, const char *value)
{
    response_add(response, name, span_str(value));
}

void
response_body(struct response *response, const char *type, struct span body)
{
    response_add_str(response, "Content-Type", type);
    response->body = body;
}

struct writer {
    char *out;
    size_t cap, len;
    bool full;
};

static void
write_bytes(struct writer *w, const void *bytes, size_t len)
{
    if (w->full || w->cap - w->len < len) {
        w->full = true;
        return;
    }
    if (len > 0)
        memcpy(w->out + w->len, bytes, len);
    w->len += len;
}

static void write_text(struct writer *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void
write_text(struct writer *w, const char *format, ...)
{
    char line[160];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof(line))
        w->full = true;
    else
        write_bytes(w, line, (size_t)n);
}

enum err
response_head(const struct response *response, enum response_framing framing, bool close,
    const char *date, char *out, size_t cap, size_t *len)
{
    struct writer w = {.out = out, .cap = cap};

    if (response->spoilt)
        return ERR_MALFORMED;
    write_text(&w, "HTTP/1.1 %u %s\r\n", response->status, response_reason(response->status));
    if (date != NULL)
        write_text(&w, "Date: %s\r\n", date);
    for (size_t i = 0; i < response->field_count; i++) {
        const struct response_field *field = &response->fields[i];

        write_bytes(&w, field->name, strlen(field->name));
        write_bytes(&w, ": ", 2);
        write_bytes(&w, field->value.ptr, field->value.len);
        write_bytes(&w, "\r\n", 2);
    }
    if (framing == FRAMING_LENGTH)
        write_text(&w, "Content-Length: %zu\r\n", response->body.len);
    else if (framing == FRAMING_CHUNKED)
        write_text(&w, "Transfer-Encoding: chunked\r\n");
    if (response->status == 101)
        write_text(&w, "Connection: Upgrade\r\n");
    else if (close)
        write_text(&w, "Connection: close\r\n");
    write_bytes(&w, "\r\n", 2);
    *len = w.len;
    return w.full ? ERR_LIMIT : OK;
}
