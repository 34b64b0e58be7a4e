/* caller.c: who asks. Runs on loops; pure but for reading the request. */
#include "http/caller.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "core/text.h"
#include "http/forwarded.h"

#define FORWARDED_LINES_MAX 8

static bool
peer_addr(const struct request *request, struct addr *out)
{
    const struct sockaddr_storage *ss = &request->peer;

    if (ss->ss_family == AF_INET) {
        const struct sockaddr_in *in4 = (const struct sockaddr_in *)ss;

        memset(out->b, 0, 10);
        out->b[10] = out->b[11] = 0xff;
        memcpy(out->b + 12, &in4->sin_addr, 4);
        return true;
    }
    if (ss->ss_family == AF_INET6) {
        memcpy(out->b, &((const struct sockaddr_in6 *)ss)->sin6_addr, 16);
        return true;
    }
    return false;
}

static struct span
copy_addr(struct command *cmd, const struct addr *addr)
{
    char text[ADDR_TEXT_MAX];
    size_t len = addr_format(addr, text);

    return command_copy(cmd, span_of(text, len));
}

/* Kept as personal data only: printable ASCII, so that no log or terminal can be harmed by it. */
static struct span
copy_user_agent(struct command *cmd, const struct request *request)
{
    const struct span *field = http_field(request, "user-agent");
    uint8_t clean[USER_AGENT_BYTES_MAX];
    size_t n = 0;

    if (field == NULL)
        return (struct span){NULL, 0};
    for (size_t i = 0; i < field->len && n < sizeof(clean); i++)
        if (field->ptr[i] >= 0x20 && field->ptr[i] < 0x7f)
            clean[n++] = field->ptr[i];
    return command_copy(cmd, span_of(clean, n));
}

void
caller_address(
    const struct app *app, const struct request *request, struct command *cmd, bool *https)
{
    struct span lines[FORWARDED_LINES_MAX], proto = {NULL, 0};
    struct forwarded fwd;
    struct addr peer;
    size_t count = 0;

    if (https != NULL)
        *https = request->tls;
    if (!peer_addr(request, &peer)) {
        cmd->caller.kind = CALLER_CLI; /* admin.sock: 0600, and the peer's uid was checked */
        return;
    }
    for (size_t i = 0; i < request->field_count; i++) {
        const struct http_field *f = &request->fields[i];

        if (span_is(f->name, "x-forwarded-for") && count < FORWARDED_LINES_MAX)
            lines[count++] = f->value;
        if (span_is(f->name, "x-forwarded-proto"))
            proto = f->value;
    }
    forwarded_read(&peer, request->tls, lines, count, proto, app->trusted_proxies, &fwd);
    cmd->caller.has_address = true;
    memcpy(cmd->caller.address, fwd.client.b, 16);
    cmd->caller.address_text = copy_addr(cmd, &fwd.client);
    if (fwd.proxied)
        cmd->caller.proxy_text = copy_addr(cmd, &fwd.peer);
    cmd->caller.user_agent = copy_user_agent(cmd, request);
    if (https != NULL)
        *https = fwd.https;
}
