/* service.h: what a channel can be opened to: "shell", "desktop" or "tcp:NAME" (NAME is a
 * TEXT_SERVICE). One reader for server, agent and command line. */
#ifndef CORE_SERVICE_H
#define CORE_SERVICE_H

#include "core/err.h"
#include "core/span.h"

#define SERVICE_BYTES_MAX 36 /* "tcp:" and 32 */

enum service_kind {
    SERVICE_SHELL,
    SERVICE_DESKTOP,
    SERVICE_TCP,
};

struct service {
    enum service_kind kind;
    struct span name; /* of SERVICE_TCP; borrows from the text */
};

/* ERR_MALFORMED for anything else. */
enum err service_parse(struct span text, struct service *out) MUST_USE;

#endif
