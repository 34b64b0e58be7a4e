/* service.c: names of services. Pure; any thread. */
#include "core/service.h"

#include "core/text.h"

enum err
service_parse(struct span text, struct service *out)
{
    *out = (struct service){0};
    if (span_is(text, "shell")) {
        out->kind = SERVICE_SHELL;
        return OK;
    }
    if (span_is(text, "desktop")) {
        out->kind = SERVICE_DESKTOP;
        return OK;
    }
    if (text.len <= 4 || memcmp(text.ptr, "tcp:", 4) != 0)
        return ERR_MALFORMED;
    out->kind = SERVICE_TCP;
    out->name = span_of(text.ptr + 4, text.len - 4);
    return text_check(TEXT_SERVICE, out->name) == TEXT_OK ? OK : ERR_MALFORMED;
}
