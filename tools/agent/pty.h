/* pty.h: a real terminal for the shell service: the login shell of the user who runs the agent, as
 * leader of its own session on its own PTY. */
#ifndef TOOLS_AGENT_PTY_H
#define TOOLS_AGENT_PTY_H

#include "core/err.h"
#include "core/id.h"

#include <stdint.h>
#include <sys/types.h>

struct pty_start {
    uint16_t cols, rows;
    const char *term;  /* TERM of the technician; checked by the caller */
    struct id session; /* told to the shell as GATEHOUSE_SESSION */
};

/* The master side (non-blocking, close-on-exec) and the shell's process id. `why` is for people. */
enum err pty_spawn(
    const struct pty_start *start, int *master, pid_t *pid, char *why, size_t why_len) MUST_USE;
void pty_resize(int master, uint16_t cols, uint16_t rows);
/* To the foreground process group of the terminal, as its keyboard would. */
void pty_signal(int master, int number);
/* The terminal's end-of-file character. */
uint8_t pty_eof_char(int master);
/* waitpid's status as a shell tells it: 0 to 255. */
int pty_status(int wait_status);

#endif
