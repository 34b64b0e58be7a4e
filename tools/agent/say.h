/* say.h: what the agent tells the person in front of the machine: one line each, on stderr. */
#ifndef TOOLS_AGENT_SAY_H
#define TOOLS_AGENT_SAY_H

#include "core/span.h"

/* "gatehouse-agent: ...\n". Foreign text must have gone through say_foreign. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Foreign text with controls and bidi marks escaped; in one of a few static buffers, so that it can
 * stand in a say() directly. Cut after 500 bytes. */
const char *say_foreign(struct span text);

#endif
