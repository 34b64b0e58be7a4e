/* terminal.h: the local terminal during a session: raw while it lasts, its size, and everything put
 * back at the end, whatever way the end came. What is written to it is filtered
 * (core/termfilter.h).
 */
#ifndef TOOLS_GATEHOUSE_TERMINAL_H
#define TOOLS_GATEHOUSE_TERMINAL_H

#include "core/err.h"
#include "core/termfilter.h"

/* Raw mode on the terminal at `fd`; undone by terminal_restore, at exit at the latest. */
enum err terminal_raw(int fd) MUST_USE;
/* Modes back, `filter`'s reset sequence to `out` (NULL: none), late answers thrown away. */
void terminal_restore(const struct termfilter *filter, int out);
/* False: not a terminal, or it does not know. */
bool terminal_size(int fd, uint16_t *cols, uint16_t *rows);
/* TERM as it may travel: "xterm-256color" when ours has odd characters or is not set. */
const char *terminal_name(void);

#endif
