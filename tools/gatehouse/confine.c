/* confine.c: which files the server may still reach, and that it can start nothing. Main thread. */
#include "tools/gatehouse/confine.h"

#include <libgen.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http/logline.h"
#include "tools/process/process.h"

#define PATHS_MAX 24

struct reach {
    struct process_path paths[PATHS_MAX];
    char *texts[PATHS_MAX]; /* what must be freed */
    size_t count;
};

static void
reach_add(struct reach *r, const char *path, enum process_reach reach)
{
    if (path == NULL || path[0] == '\0')
        return;
    INVARIANT(r->count < PATHS_MAX);
    r->paths[r->count++] = (struct process_path){path, reach};
}

/* The folder of a file that is read again on SIGHUP: it may have been replaced by then. A link, as
 * certbot makes them, leads to another folder: that one too. */
static void
reach_folder(struct reach *r, const char *path)
{
    char *texts[] = {strdup(path), realpath(path, NULL)};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (texts[i] == NULL)
            continue;
        r->texts[r->count] = texts[i];
        reach_add(r, dirname(texts[i]), PROCESS_READS);
    }
}

#ifndef GATEHOUSE_SANITIZED
static enum err
confine_files(const struct config *config)
{
    static const char *const kernel[] = {
        "/proc", "/sys/devices/system/cpu", "/dev/null", "/dev/urandom", "/dev/random"};
    static const char *const secrets[] = {
        "JWT_SECRET_FILE", "JWT_SECRET_PREVIOUS_FILE", "CREDENTIALS_DIRECTORY"};
    struct reach r = {.count = 0};
    enum err err;

    reach_add(&r, config_string(config, CONFIG_STATE_DIR), PROCESS_WRITES);
    reach_add(&r, config_string(config, CONFIG_ANCHOR_DIR), PROCESS_WRITES);
    if (config_is_set(config, CONFIG_TLS_CERT)) {
        reach_folder(&r, config_string(config, CONFIG_TLS_CERT));
        reach_folder(&r, config_string(config, CONFIG_TLS_KEY));
    }
    for (size_t i = 0; i < sizeof(kernel) / sizeof(kernel[0]); i++)
        reach_add(&r, kernel[i], PROCESS_READS);
    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
        reach_add(&r, getenv(secrets[i]), PROCESS_READS);
    err = process_files(r.paths, r.count);
    for (size_t i = 0; i < PATHS_MAX; i++)
        free(r.texts[i]);
    return err;
}
#else
/* Sanitizers write their reports wherever they are told to. */
static enum err
confine_files(const struct config *config)
{
    (void)config;
    (void)reach_folder;
    return ERR_CLOSED;
}
#endif

static bool
told(const char *what, enum err err)
{
    if (err == OK)
        return true;
    if (err == ERR_CLOSED)
        logline(LOGLINE_WARN, "not_confined", logline_str("missing", what));
    else
        logline(LOGLINE_ERROR, "not_confined", logline_str("failed", what),
            logline_str("why", err_name(err)));
    return err == ERR_CLOSED;
}

enum err
confine(const struct config *config)
{
    struct rlimit files;

    umask(077);
    (void)signal(SIGPIPE, SIG_IGN);
    process_harden();
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    if (geteuid() == 0)
        logline(LOGLINE_WARN, "running_as_root",
            logline_str("hint", "give the server a user of its own, which owns the state folder"));
    return told("landlock", confine_files(config)) && told("seccomp", process_syscalls())
               ? OK
               : ERR_DENIED;
}
