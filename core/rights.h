/* rights.h: role x action. Ownership (sessions are their creator's; guests are the code issuer's)
 * is checked by the decision on top of this. */
#ifndef CORE_RIGHTS_H
#define CORE_RIGHTS_H

#include "core/command.h"

bool rights_allow(enum role role, enum action action);
const char *role_name(enum role role);  /* "admin", "technician", "auditor" */
enum role role_parse(struct span name); /* ROLE_NONE: unknown */
const char *action_name(enum action action);

#endif
