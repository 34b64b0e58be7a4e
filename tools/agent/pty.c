/* pty.c: spawning a shell. One thread; between fork and exec only calls that are safe there. The
 * child gets a clean environment and no descriptor but its terminal. */
#include "tools/agent/pty.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define ENV_MAX 24

struct plan {
    char shell[256], argv0[256], home[512];
    char lines[ENV_MAX][600];
    char *env[ENV_MAX + 1];
    size_t env_count;
    bool fallback; /* no login shell: /bin/sh -i */
};

static void __attribute__((format(printf, 2, 3))) env_put(struct plan *p, const char *format, ...)
{
    va_list args;
    int n;

    if (p->env_count == ENV_MAX)
        return;
    va_start(args, format);
    n = vsnprintf(p->lines[p->env_count], sizeof(p->lines[0]), format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof(p->lines[0]))
        return; /* better absent than cut */
    p->env[p->env_count] = p->lines[p->env_count];
    p->env[++p->env_count] = NULL;
}

/* Language and time zone are the machine's; everything else is made anew. */
static void
env_inherit(struct plan *p)
{
    static const char *const names[] = {"LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_COLLATE",
        "LC_MESSAGES", "LC_NUMERIC", "LC_TIME", "TZ"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *value = getenv(names[i]);

        if (value != NULL)
            env_put(p, "%s=%s", names[i], value);
    }
}

static void
plan_make(struct plan *p, const struct pty_start *start)
{
    const struct passwd *pw = getpwuid(geteuid());
    const char *shell = pw != NULL && pw->pw_shell != NULL ? pw->pw_shell : "";
    const char *slash;
    char session[ID_TEXT_BYTES];

    memset(p, 0, sizeof(*p));
    p->fallback = shell[0] != '/' || strlen(shell) >= sizeof(p->shell) ||
                  access(shell, X_OK) != 0 || strstr(shell, "nologin") != NULL ||
                  strcmp(shell, "/bin/false") == 0 || strcmp(shell, "/usr/bin/false") == 0;
    snprintf(p->shell, sizeof(p->shell), "%s", p->fallback ? "/bin/sh" : shell);
    slash = strrchr(p->shell, '/');
    snprintf(p->argv0, sizeof(p->argv0), "%s%.200s", p->fallback ? "" : "-", slash + 1);
    snprintf(p->home, sizeof(p->home), "%s",
        pw != NULL && pw->pw_dir != NULL && pw->pw_dir[0] == '/' ? pw->pw_dir : "/");
    id_text(ID_SESSION, &start->session, session);
    env_put(p, "TERM=%s", start->term);
    env_put(p, "HOME=%s", p->home);
    env_put(p, "SHELL=%s", p->shell);
    env_put(p, "USER=%s", pw != NULL ? pw->pw_name : "nobody");
    env_put(p, "LOGNAME=%s", pw != NULL ? pw->pw_name : "nobody");
    env_put(p, "PATH=%s",
        geteuid() == 0 ? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
                       : "/usr/local/bin:/usr/bin:/bin");
    env_put(p, "GATEHOUSE_SESSION=%s", session);
    env_inherit(p);
}

static void __attribute__((noreturn)) child(const struct plan *p, int slave, rlim_t core_max)
{
    struct rlimit core = {core_max, core_max};
    char *const login[] = {(char *)(uintptr_t)p->argv0, NULL};
    char *const plain[] = {(char *)(uintptr_t)p->argv0, (char *)(uintptr_t) "-i", NULL};
    sigset_t none;

    for (int number = 1; number < NSIG; number++)
        (void)signal(number, SIG_DFL);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (setsid() < 0 || ioctl(slave, TIOCSCTTY, 0) != 0 || dup2(slave, 0) < 0 ||
        dup2(slave, 1) < 0 || dup2(slave, 2) < 0)
        _exit(126);
    closefrom(3);
    (void)setrlimit(RLIMIT_CORE, &core);
    umask(022);
    if (chdir(p->home) != 0)
        (void)!chdir("/");
    execve(p->shell, p->fallback ? plain : login, p->env);
    _exit(127);
}

static int
open_pair(int *slave)
{
    char name[64];
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

    if (master < 0)
        return -1;
    if (grantpt(master) != 0 || unlockpt(master) != 0 ||
        ptsname_r(master, name, sizeof(name)) != 0 ||
        (*slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0 ||
        fcntl(master, F_SETFL, O_NONBLOCK) != 0) {
        close(master);
        return -1;
    }
    return master;
}

enum err
pty_spawn(const struct pty_start *start, int *master, pid_t *pid, char *why, size_t why_len)
{
    static struct plan plan; /* large; used by one thread, until exec */
    struct rlimit core = {0};
    int slave = -1;

    *master = open_pair(&slave);
    if (*master < 0) {
        snprintf(why, why_len, "no terminal: %s", strerror(errno));
        return ERR_IO;
    }
    pty_resize(*master, start->cols, start->rows);
    plan_make(&plan, start);
    (void)getrlimit(RLIMIT_CORE, &core);
    *pid = fork();
    if (*pid == 0)
        child(&plan, slave, core.rlim_max);
    close(slave);
    if (*pid < 0) {
        snprintf(why, why_len, "cannot fork: %s", strerror(errno));
        close(*master);
        *master = -1;
        return ERR_IO;
    }
    return OK;
}

void
pty_resize(int master, uint16_t cols, uint16_t rows)
{
    struct winsize size = {.ws_col = cols, .ws_row = rows};

    (void)ioctl(master, TIOCSWINSZ, &size); /* the kernel tells the foreground group (SIGWINCH) */
}

void
pty_signal(int master, int number)
{
    pid_t group = tcgetpgrp(master); /* TIOCSIG knows three signals only */

    if (group > 1)
        (void)kill(-group, number);
}

uint8_t
pty_eof_char(int master)
{
    struct termios t;

    return tcgetattr(master, &t) == 0 && t.c_cc[VEOF] != 0 ? t.c_cc[VEOF] : 4;
}

int
pty_status(int wait_status)
{
    if (WIFEXITED(wait_status))
        return WEXITSTATUS(wait_status);
    return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : 255;
}
