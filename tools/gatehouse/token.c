/* token.c: the token file and its refresh. One thread; other processes by flock. Tokens are wiped
 * from every buffer they pass through, and never printed. */
#include "tools/gatehouse/token.h"

#include "core/json_write.h"
#include "http/json_reply.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILE_BYTES_MAX (32 * 1024)
#define LOCK_RETRY_MS  100

struct token *
token_new(void)
{
    struct token *token = sodium_malloc(sizeof(*token));

    if (token != NULL)
        memset(token, 0, sizeof(*token));
    return token;
}

void
token_free(struct token *token)
{
    sodium_free(token); /* wipes */
}

static enum err __attribute__((format(printf, 4, 5)))
tell(char *why, size_t why_len, enum err err, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(why, why_len, format, args);
    va_end(args);
    return err;
}

static int64_t
boottime_s(void)
{
    struct timespec ts;

    return clock_gettime(CLOCK_BOOTTIME, &ts) == 0 ? (int64_t)ts.tv_sec : 0;
}

static void
kernel_boot(char out[40])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, out, 39) : 0;

    if (fd >= 0)
        close(fd);
    out[n > 0 ? n : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
}

/* ---- the folder ---- */

static enum err
folder_path(char *out, size_t size, char *why, size_t why_len)
{
    const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n;

    if (xdg != NULL && xdg[0] == '/')
        n = snprintf(out, size, "%s/gatehouse", xdg);
    else if (home != NULL && home[0] == '/')
        n = snprintf(out, size, "%s/.local/state/gatehouse", home);
    else
        return tell(why, why_len, ERR_NOT_FOUND, "no HOME to keep the login in");
    return n > 0 && (size_t)n < size ? OK : tell(why, why_len, ERR_LIMIT, "HOME is too long");
}

/* The folder's fd; -1 and errno. */
static int
folder_open(const char *path, bool make)
{
    char part[TOKEN_PATH_MAX];

    snprintf(part, sizeof(part), "%s", path);
    for (char *p = part + 1; make && *p != '\0'; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        (void)mkdir(part, 0700);
        *p = '/';
    }
    if (make)
        (void)mkdir(part, 0700);
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int
token_folder_open(void)
{
    char path[TOKEN_PATH_MAX], why[64];

    return folder_path(path, sizeof(path), why, sizeof(why)) == OK ? folder_open(path, true) : -1;
}

/* ---- reading ---- */

static enum err
file_read(int dir, const char *path, char *buf, size_t *len, char *why, size_t why_len)
{
    int fd = dir < 0 ? -1 : openat(dir, "token.json", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat sb;
    ssize_t n = -1;
    enum err err = OK;

    if (fd < 0 && errno == ENOENT)
        return tell(why, why_len, ERR_NOT_FOUND, "nobody is logged in: run gatehouse login");
    if (fd < 0 || fstat(fd, &sb) != 0) {
        err = tell(why, why_len, ERR_IO, "%s/token.json: %s", path, strerror(errno));
        goto out;
    }
    if (sb.st_uid != geteuid() || (sb.st_mode & 077) != 0 || !S_ISREG(sb.st_mode)) {
        err = tell(why, why_len, ERR_DENIED,
            "%s/token.json can be used by others: remove it and log in again", path);
        goto out;
    }
    if ((n = read(fd, buf, FILE_BYTES_MAX)) < 0 || n == FILE_BYTES_MAX)
        err = tell(why, why_len, ERR_IO, "%s/token.json cannot be read", path);
    *len = n > 0 ? (size_t)n : 0;
out:
    if (fd >= 0)
        close(fd);
    return err;
}

static bool
take(struct token *t, struct span text)
{
    struct json_reply *json;
    bool good;

    if (json_reply_parse(text, &json) != OK)
        return false;
    good = json_reply_copy(json, "server", t->server, sizeof(t->server)) &&
           json_reply_copy(json, "ca", t->ca, sizeof(t->ca)) &&
           json_reply_copy(json, "user", t->user, sizeof(t->user)) &&
           json_reply_copy(json, "access_token", t->access, sizeof(t->access)) &&
           json_reply_copy(json, "refresh_token", t->refresh, sizeof(t->refresh)) &&
           json_reply_copy(json, "kernel_boot", t->kernel_boot, sizeof(t->kernel_boot)) &&
           json_reply_int(json, "refreshed_s", &t->refreshed_s);
    json_reply_free(json);
    for (const char *p = t->access; good && *p != '\0'; p++)
        good = *p > ' ' && *p <= '~'; /* it goes into a header */
    return good && t->access[0] != '\0';
}

enum err
token_load(struct token *token, char *why, size_t why_len)
{
    char path[TOKEN_PATH_MAX];
    char *buf = sodium_malloc(FILE_BYTES_MAX);
    size_t len = 0;
    int dir = -1;
    enum err err = buf == NULL ? tell(why, why_len, ERR_MEMORY, "no memory")
                               : folder_path(path, sizeof(path), why, why_len);

    if (err == OK) {
        dir = folder_open(path, false);
        err = file_read(dir, path, buf, &len, why, why_len);
    }
    if (err == OK && !take(token, span_of(buf, len)))
        err = tell(why, why_len, ERR_MALFORMED, "%s/token.json is damaged: log in again", path);
    if (dir >= 0)
        close(dir);
    sodium_free(buf);
    return err;
}

/* ---- writing ---- */

static void
give(const struct token *t, struct json_write *w)
{
    json_write_object(w, NULL);
    json_write_str(w, "server", t->server);
    json_write_str(w, "ca", t->ca);
    json_write_str(w, "user", t->user);
    json_write_str(w, "access_token", t->access);
    json_write_str(w, "refresh_token", t->refresh);
    json_write_str(w, "kernel_boot", t->kernel_boot);
    json_write_int(w, "refreshed_s", t->refreshed_s);
    json_write_end(w);
    json_write_newline(w);
}

static enum err
file_write(int dir, const struct token *t)
{
    struct json_write w;
    bool good;
    int fd;

    json_write_init(&w, NULL, NULL);
    give(t, &w);
    good = json_write_done(&w) == OK;
    (void)unlinkat(dir, "token.json.new", 0);
    fd = openat(dir, "token.json.new", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    good = good && fd >= 0 && write(fd, w.buf, w.len) == (ssize_t)w.len && fsync(fd) == 0;
    if (fd >= 0 && close(fd) != 0)
        good = false;
    if (w.buf != NULL)
        sodium_memzero(w.buf, w.cap);
    json_write_fini(&w);
    return good && renameat(dir, "token.json.new", dir, "token.json") == 0 ? OK : ERR_IO;
}

static int
lock_open(int dir)
{
    return openat(dir, "token.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static enum err
save(struct token *token, bool locked, char *why, size_t why_len)
{
    char path[TOKEN_PATH_MAX];
    int dir, lock = -1;
    enum err err = folder_path(path, sizeof(path), why, why_len);

    if (err != OK)
        return err;
    dir = folder_open(path, true);
    if (dir >= 0 && !locked)
        lock = lock_open(dir);
    token->refreshed_s = boottime_s();
    kernel_boot(token->kernel_boot);
    if (dir < 0 || (!locked && (lock < 0 || flock(lock, LOCK_EX) != 0)) ||
        file_write(dir, token) != OK)
        err = tell(why, why_len, ERR_IO, "%s/token.json: %s", path, strerror(errno));
    if (lock >= 0)
        close(lock);
    if (dir >= 0)
        close(dir);
    return err;
}

enum err
token_save(struct token *token, char *why, size_t why_len)
{
    return save(token, false, why, why_len);
}

enum err
token_remove(char *why, size_t why_len)
{
    char path[TOKEN_PATH_MAX];
    int dir;
    enum err err = folder_path(path, sizeof(path), why, why_len);

    if (err != OK)
        return err;
    if ((dir = folder_open(path, false)) < 0)
        return OK;
    if (unlinkat(dir, "token.json", 0) != 0 && errno != ENOENT)
        err = tell(why, why_len, ERR_IO, "%s/token.json: %s", path, strerror(errno));
    close(dir);
    return err;
}

bool
token_due(const struct token *token)
{
    char boot[40];

    kernel_boot(boot);
    return strcmp(boot, token->kernel_boot) != 0 ||
           boottime_s() >= token->refreshed_s + TOKEN_REFRESH_S;
}

/* ---- refreshing ---- */

struct token_refresh {
    struct client *client;
    struct token *token;
    bool rejected;
    int lock; /* held while `call` is under way */
    bool has_lock;
    struct call *call;
    int64_t retry_at_ms;
    enum token_refresh_state state;
    enum err failure;
    char why[300];
};

static void
stale(struct token_refresh *r, enum err failure)
{
    r->failure = failure;
    r->state = TOKEN_STALE;
}

enum err
token_refresh_new(
    struct client *client, struct token *token, bool rejected, struct token_refresh **out)
{
    struct token_refresh *r = calloc(1, sizeof(*r));
    char path[TOKEN_PATH_MAX];
    int dir = -1;

    if (r == NULL)
        return ERR_MEMORY;
    *r = (struct token_refresh){.client = client, .token = token, .rejected = rejected, .lock = -1};
    *out = r;
    if (folder_path(path, sizeof(path), r->why, sizeof(r->why)) != OK) {
        stale(r, ERR_IO);
        return OK;
    }
    dir = folder_open(path, true);
    if (dir < 0 || (r->lock = lock_open(dir)) < 0) {
        stale(r, tell(r->why, sizeof(r->why), ERR_IO, "%s: %s", path, strerror(errno)));
    }
    if (dir >= 0)
        close(dir);
    return OK;
}

void
token_refresh_free(struct token_refresh *r)
{
    if (r == NULL)
        return;
    call_free(r->call);
    if (r->lock >= 0)
        close(r->lock); /* lets go of it */
    free(r);
}

static void
send_refresh(struct token_refresh *r)
{
    struct client_request request = {.method = "POST", .target = "/api/auth/refresh"};
    struct json_write w;

    json_write_init(&w, NULL, NULL);
    json_write_object(&w, NULL);
    json_write_str(&w, "refresh_token", r->token->refresh);
    json_write_end(&w);
    if (json_write_done(&w) == OK)
        request.body = span_of(w.buf, w.len);
    if (request.body.ptr == NULL || call_new(r->client, &request, &r->call) != OK)
        stale(r, tell(r->why, sizeof(r->why), ERR_MEMORY, "no memory"));
    if (w.buf != NULL)
        sodium_memzero(w.buf, w.cap);
    json_write_fini(&w);
}

/* Somebody else may have refreshed while we waited for the lock: then his tokens are ours too. */
static void
locked(struct token_refresh *r)
{
    struct token *there = token_new();
    enum err err = ERR_MEMORY;

    r->has_lock = true;
    snprintf(r->why, sizeof(r->why), "no memory");
    if (there != NULL)
        err = token_load(there, r->why, sizeof(r->why));
    if (err == OK && strcmp(there->server, r->token->server) != 0)
        err = tell(r->why, sizeof(r->why), ERR_DENIED, "somebody logged in to %s meanwhile",
            there->server);
    if (err != OK) {
        stale(r, err == ERR_NOT_FOUND ? ERR_DENIED : err);
        token_free(there);
        return;
    }
    if (strcmp(there->access, r->token->access) != 0)
        r->rejected = false;
    memcpy(r->token, there, sizeof(*there));
    token_free(there);
    if (!r->rejected && !token_due(r->token))
        r->state = TOKEN_FRESH;
    else
        send_refresh(r);
}

static void
answered(struct token_refresh *r)
{
    struct json_reply *json = NULL;
    struct problem_said said;

    if (call_status(r->call) != 200) {
        problem_read(call_status(r->call), call_body(r->call), &said);
        snprintf(r->why, sizeof(r->why), "the login has ended: %.200s (run gatehouse login)",
            said.detail);
        stale(r, call_status(r->call) == 401 ? ERR_DENIED : ERR_IO);
        return;
    }
    if (json_reply_parse(call_body(r->call), &json) != OK ||
        !json_reply_copy(json, "access_token", r->token->access, sizeof(r->token->access)) ||
        !json_reply_copy(json, "refresh_token", r->token->refresh, sizeof(r->token->refresh)))
        stale(r, tell(r->why, sizeof(r->why), ERR_MALFORMED, "the server's answer has no tokens"));
    else if (save(r->token, true, r->why, sizeof(r->why)) != OK)
        stale(r, ERR_IO);
    else
        r->state = TOKEN_FRESH;
    json_reply_free(json);
}

void
token_refresh_prepare(struct token_refresh *r, struct pollset *ps)
{
    if (r->call != NULL)
        call_prepare(r->call, ps);
    else
        pollset_deadline(ps, r->retry_at_ms);
}

enum token_refresh_state
token_refresh_step(struct token_refresh *r, const struct pollset *ps)
{
    if (r->state != TOKEN_REFRESHING)
        return r->state;
    if (!r->has_lock) {
        if (ps->now_ms < r->retry_at_ms)
            return r->state;
        r->retry_at_ms = ps->now_ms + LOCK_RETRY_MS;
        if (flock(r->lock, LOCK_EX | LOCK_NB) != 0)
            return r->state;
        locked(r);
        return r->state;
    }
    switch (call_step(r->call, ps)) {
    case CALL_GOING: break;
    case CALL_DONE: answered(r); break;
    case CALL_FAILED:
        snprintf(r->why, sizeof(r->why), "%s", call_why(r->call));
        stale(r, call_failure(r->call));
        break;
    }
    return r->state;
}

enum err
token_refresh_failure(const struct token_refresh *r)
{
    return r->failure;
}

const char *
token_refresh_why(const struct token_refresh *r)
{
    return r->why;
}
