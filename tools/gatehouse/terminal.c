/* terminal.c: raw mode and back. One thread, one terminal. */
#include "tools/gatehouse/terminal.h"

#include "core/limits.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct {
    bool raw;
    int fd;
    struct termios before;
} terminal;

static void
at_exit(void)
{
    terminal_restore(NULL, -1);
}

enum err
terminal_raw(int fd)
{
    static bool registered;
    struct termios raw;

    if (tcgetattr(fd, &terminal.before) != 0)
        return ERR_IO;
    if (!registered && atexit(at_exit) != 0)
        return ERR_MEMORY;
    registered = true;
    raw = terminal.before;
    cfmakeraw(&raw);
    if (tcsetattr(fd, TCSADRAIN, &raw) != 0)
        return ERR_IO;
    terminal.fd = fd;
    terminal.raw = true;
    return OK;
}

void
terminal_restore(const struct termfilter *filter, int out)
{
    struct span reset;

    if (!terminal.raw)
        return;
    terminal.raw = false;
    if (filter != NULL) {
        reset = termfilter_reset(filter);
        (void)!write(out, reset.ptr, reset.len);
    }
    (void)tcsetattr(terminal.fd, TCSAFLUSH, &terminal.before);
}

bool
terminal_size(int fd, uint16_t *cols, uint16_t *rows)
{
    struct winsize size;

    if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0)
        return false;
    *cols = size.ws_col < TERMINAL_SIDE_MAX ? size.ws_col : TERMINAL_SIDE_MAX;
    *rows = size.ws_row < TERMINAL_SIDE_MAX ? size.ws_row : TERMINAL_SIDE_MAX;
    return true;
}

const char *
terminal_name(void)
{
    const char *term = getenv("TERM");

    if (term == NULL || term[0] == '\0' || strlen(term) > 64)
        return "xterm-256color";
    for (const char *p = term; *p != '\0'; p++)
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
                strchr("-+._", *p) != NULL))
            return "xterm-256color";
    return term;
}
