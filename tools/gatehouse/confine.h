/* confine.h: what `gatehouse serve` gives up once it knows its options, and before it reads
 * anything that others wrote. */
#ifndef TOOLS_GATEHOUSE_CONFINE_H
#define TOOLS_GATEHOUSE_CONFINE_H

#include "core/config.h"

/* Main thread, before others start; the log file is open. OK, or what failed is said in the log. A
 * kernel without Landlock or seccomp is a warning, not an error. */
MUST_USE enum err confine(const struct config *config);

#endif
