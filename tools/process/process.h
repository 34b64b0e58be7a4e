/* process.h: what a process gives up before it meets anybody. Main thread, before others start.
 *
 * Three steps, each of which holds until the process ends:
 *     process_harden    no core dumps, nobody may trace or read it, no new privileges
 *     process_files     Landlock: no file outside the folders named here can be opened, none
 * executed process_syscalls  seccomp: no other program, no tracing, no mount, no other identity, no
 * code that was not there at the start
 *
 * In builds with sanitizers (GATEHOUSE_SANITIZED) process_syscalls leaves out what these need
 * themselves: the leak checker clones a process and traces its own threads. */
#ifndef TOOLS_PROCESS_PROCESS_H
#define TOOLS_PROCESS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

void process_harden(void);

enum process_reach { PROCESS_READS, PROCESS_WRITES /* and reads, makes, renames, removes */ };

/* A folder or file, and what may be done beneath it; one that is not there is left out. */
struct process_path {
    const char *path;
    enum process_reach reach;
};

/* ERR_CLOSED: the kernel has no Landlock; nothing was given up. */
enum err process_files(const struct process_path *paths, size_t count) MUST_USE;

/* ERR_CLOSED: the kernel has no seccomp filters. */
enum err process_syscalls(void) MUST_USE;

#endif
