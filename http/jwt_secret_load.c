/* jwt_secret_load.c: finds the secret of access tokens and the one before it. Main thread, at
 * start. Never falls back from a bad source to the next. */
#include "http/jwt_secret.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (2 * JWT_SECRET_CHARS_MAX + 256)
#define REMEDY   ": `gatehouse key jwt` makes one that is fit"

static enum err
keep(struct span text, char **out, size_t *len)
{
    if ((*out = sodium_malloc(text.len)) == NULL)
        return ERR_MEMORY;
    memcpy(*out, text.ptr, text.len);
    *len = text.len;
    return OK;
}

static struct span
trim_end(struct span s)
{
    while (s.len > 0 && (s.ptr[s.len - 1] == '\n' || s.ptr[s.len - 1] == '\r'))
        s.len--;
    return s;
}

/* `before`: it is the one before, which comes second. */
static enum err
keep_judged(struct span text, bool before, struct jwt_secret *out, char *why, size_t why_len)
{
    const char *weakness = jwt_secret_weakness(text);

    if (weakness != NULL) {
        snprintf(why, why_len, "the %sJWT secret from %s %s" REMEDY, before ? "previous " : "",
            out->source, weakness);
        return ERR_DENIED;
    }
    return before ? keep(text, &out->previous, &out->previous_len)
                  : keep(text, &out->text, &out->len);
}

/* Reads a whole small file into guarded memory. `checked`: owner and mode must be a secret's. */
static enum err
slurp(const char *path, bool checked, char **out, size_t *len, char *why, size_t why_len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    enum err err = ERR_IO;
    struct stat st;
    ssize_t n;

    *out = NULL;
    *len = 0;
    if (fd < 0) {
        err = errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
        snprintf(why, why_len, "cannot read the JWT secret from %s: %s", path, strerror(errno));
        return err;
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        snprintf(why, why_len, "%s is not a regular file", path);
        goto out;
    }
    if (checked && ((st.st_mode & 077) != 0 || (st.st_uid != geteuid() && st.st_uid != 0))) {
        snprintf(why, why_len,
            "%s can be read or written by others (mode %04o, uid %u): chown it to the server's "
            "user "
            "and chmod 600 it, and rotate the secret if it may have been seen",
            path, (unsigned)(st.st_mode & 07777), (unsigned)st.st_uid);
        err = ERR_DENIED;
        goto out;
    }
    if ((*out = sodium_malloc(FILE_MAX)) == NULL) {
        err = ERR_MEMORY;
        goto out;
    }
    while (*len < FILE_MAX && (n = read(fd, *out + *len, FILE_MAX - *len)) > 0)
        *len += (size_t)n;
    if (*len == FILE_MAX) {
        snprintf(why, why_len, "%s is too long for a secret", path);
        err = ERR_LIMIT;
        goto out;
    }
    err = OK;
out:
    close(fd);
    if (err != OK) {
        sodium_free(*out);
        *out = NULL;
    }
    return err;
}

/* Takes a secret out of the environment: its bytes are what /proc/PID/environ shows. */
static enum err
load_env(
    const char *name, char *value, bool before, struct jwt_secret *out, char *why, size_t why_len)
{
    enum err err;

    if (!before)
        snprintf(out->source, sizeof(out->source), "environment %s", name);
    err = keep_judged(span_str(value), before, out, why, why_len);
    sodium_memzero(value, strlen(value));
    unsetenv(name);
    return err;
}

static enum err
load_plain(
    const char *path, bool checked, bool before, struct jwt_secret *out, char *why, size_t why_len)
{
    enum err err;
    char *text;
    size_t len;

    if (!before)
        snprintf(out->source, sizeof(out->source), "%s", path);
    if ((err = slurp(path, checked, &text, &len, why, why_len)) != OK)
        return err;
    err = keep_judged(trim_end(span_of(text, len)), before, out, why, why_len);
    sodium_free(text);
    return err;
}

static bool
take(struct span line, const char *name, struct span *value)
{
    size_t n = strlen(name);

    if (line.len <= n || memcmp(line.ptr, name, n) != 0 || line.ptr[n] != '=')
        return false;
    *value = span_of(line.ptr + n + 1, line.len - n - 1);
    return true;
}

static enum err
end_parse(struct span text, int64_t *out)
{
    int64_t n = 0;

    if (text.len == 0 || text.len > 12)
        return ERR_MALFORMED;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return ERR_MALFORMED;
        n = n * 10 + (text.ptr[i] - '0');
    }
    *out = n;
    return OK;
}

static enum err
env_line(struct span line, struct jwt_secret *out, char *why, size_t why_len)
{
    struct span value;

    if (line.len == 0 || line.ptr[0] == '#')
        return OK;
    if (take(line, "JWT_SECRET", &value) && out->text == NULL)
        return keep_judged(value, false, out, why, why_len);
    if (take(line, "JWT_SECRET_PREVIOUS", &value) && out->previous == NULL && value.len > 0 &&
        jwt_secret_weakness(value) == NULL)
        return keep(value, &out->previous, &out->previous_len);
    if (take(line, "JWT_SECRET_PREVIOUS_END", &value) &&
        end_parse(value, &out->previous_end_s) == OK)
        return OK;
    return ERR_MALFORMED;
}

static enum err
load_state(const char *path, struct jwt_secret *out, char *why, size_t why_len)
{
    unsigned line_no = 0;
    struct span rest;
    char *text;
    size_t len;
    enum err err;

    snprintf(out->source, sizeof(out->source), "%s", path);
    if ((err = slurp(path, true, &text, &len, why, why_len)) != OK)
        return err;
    for (rest = span_of(text, len); rest.len > 0 && err == OK;) {
        const uint8_t *end = memchr(rest.ptr, '\n', rest.len);
        size_t n = end != NULL ? (size_t)(end - rest.ptr) : rest.len;

        line_no++;
        if ((err = env_line(span_of(rest.ptr, n), out, why, why_len)) == ERR_MALFORMED)
            snprintf(why, why_len, "%s line %u: expected JWT_SECRET=... once, or a # comment", path,
                line_no);
        rest = span_of(rest.ptr + n, rest.len - n);
        if (rest.len > 0)
            rest = span_of(rest.ptr + 1, rest.len - 1);
    }
    sodium_free(text);
    if (err == OK && out->text == NULL) {
        snprintf(why, why_len, "%s has no line JWT_SECRET=...", path);
        err = ERR_MALFORMED;
    }
    return err;
}

/* How long the one before is taken. */
static enum err
load_grace(struct jwt_secret *out, char *why, size_t why_len)
{
    const char *text = getenv("JWT_SECRET_GRACE");

    out->grace_s = SECRET_GRACE_S_MAX;
    if (text == NULL || jwt_secret_grace(text, &out->grace_s) == OK)
        return OK;
    snprintf(
        why, why_len, "JWT_SECRET_GRACE must be 1s to %ds, or in minutes: 15m", SECRET_GRACE_S_MAX);
    return ERR_MALFORMED;
}

/* The second of a pair from outside the state folder: `name` in the environment, the file that
 * `name`_FILE names, or the credential. */
static enum err
load_before(const char *credentials, struct jwt_secret *out, char *why, size_t why_len)
{
    char path[4096], *value;
    enum err err = OK;

    if ((value = getenv("JWT_SECRET_PREVIOUS")) != NULL)
        err = load_env("JWT_SECRET_PREVIOUS", value, true, out, why, why_len);
    else if ((value = getenv("JWT_SECRET_PREVIOUS_FILE")) != NULL)
        err = load_plain(value, true, true, out, why, why_len);
    else if (credentials != NULL) {
        snprintf(path, sizeof(path), "%s/jwt_secret_previous", credentials);
        if (access(path, F_OK) == 0)
            err = load_plain(path, false, true, out, why, why_len);
    }
    return err != OK || out->previous == NULL ? err : load_grace(out, why, why_len);
}

static enum err
load(const char *state_dir, struct jwt_secret *out, char *why, size_t why_len)
{
    const char *file = getenv("JWT_SECRET_FILE"), *dir = getenv("CREDENTIALS_DIRECTORY");
    char path[4096], *value;
    enum err err;

    if (dir != NULL)
        snprintf(path, sizeof(path), "%s/jwt_secret", dir);
    if ((value = getenv("JWT_SECRET")) != NULL)
        err = load_env("JWT_SECRET", value, false, out, why, why_len);
    else if (file != NULL)
        err = load_plain(file, true, false, out, why, why_len);
    else if (dir != NULL && access(path, F_OK) == 0) /* systemd sets owner and mode itself */
        err = load_plain(path, false, false, out, why, why_len);
    else {
        snprintf(path, sizeof(path), "%s/jwt.env", state_dir);
        out->in_state = true;
        if ((err = load_state(path, out, why, why_len)) == ERR_NOT_FOUND)
            snprintf(why, why_len,
                "there is no JWT secret: set JWT_SECRET or JWT_SECRET_FILE, or let `gatehouse "
                "init` write %s",
                path);
        return err;
    }
    return err == OK ? load_before(dir, out, why, why_len) : err;
}

enum err
jwt_secret_proposed(const char *state_dir, struct hash *fingerprint, char *why, size_t why_len)
{
    struct jwt_secret next = {0};
    char path[4096];
    enum err err;

    snprintf(path, sizeof(path), "%s/jwt.env.next", state_dir);
    if ((err = load_state(path, &next, why, why_len)) == OK)
        jwt_secret_fingerprint(span_of(next.text, next.len), fingerprint);
    jwt_secret_fini(&next);
    return err;
}

enum err
jwt_secret_load(const char *state_dir, struct jwt_secret *out, char *why, size_t why_len)
{
    enum err err;

    *out = (struct jwt_secret){0};
    if (sodium_init() < 0)
        return ERR_MEMORY;
    if (why_len > 0)
        why[0] = '\0';
    if ((err = load(state_dir, out, why, why_len)) != OK)
        jwt_secret_fini(out);
    return err;
}
