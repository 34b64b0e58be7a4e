/* jwt_secret.c: finds, judges, makes and writes the secret of access tokens. Main thread, at start;
 * command line. Never prints a secret, never falls back from a bad source to the next. */
#include "http/jwt_secret.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX     (2 * JWT_SECRET_CHARS_MAX + 256)
#define DISTINCT_MIN 16
#define REMEDY       ": take 64 or more random characters, such as `openssl rand -base64 48` prints"

/* Parts of secrets that stand in examples, tutorials and lists of bad passwords. Eight letters and
 * more, so that a random secret holds one by chance less than once in 10^9. */
static const char *const samples[] = {"changeme", "change-me", "change_me", "password", "passw0rd",
    "your-256-bit", "your_jwt_secret", "your-secret", "yoursecret", "mysecret", "my-secret",
    "my_secret", "supersecret", "super-secret", "super_secret", "topsecret", "secretkey",
    "secret-key", "secret_key", "jwtsecret", "jwt-secret", "jwt_secret", "secretsecret",
    "gatehouse", "12345678", "87654321", "abcdefgh", "qwertyui", "placeholder", "replace-me",
    "replace_me", "replaceme", "deadbeef", "letmein1", "insecure"};

static bool
holds(struct span text, const char *sample)
{
    size_t n = strlen(sample);

    for (size_t i = 0; i + n <= text.len; i++) {
        size_t k = 0;

        while (k < n && tolower(text.ptr[i + k]) == sample[k])
            k++;
        if (k == n)
            return true;
    }
    return false;
}

static unsigned
distinct(struct span text)
{
    bool seen[256] = {false};
    unsigned n = 0;

    for (size_t i = 0; i < text.len; i++) {
        n += !seen[text.ptr[i]];
        seen[text.ptr[i]] = true;
    }
    return n;
}

/* True if the text is one piece of at most half its length, repeated. */
static bool
periodic(struct span text)
{
    for (size_t period = 1; period <= text.len / 2; period++)
        if (memcmp(text.ptr, text.ptr + period, text.len - period) == 0)
            return true;
    return false;
}

const char *
jwt_secret_weakness(struct span secret)
{
    if (secret.len == 0)
        return "is empty";
    if (secret.len < JWT_SECRET_CHARS_MIN)
        return "is shorter than 64 characters";
    if (secret.len > JWT_SECRET_CHARS_MAX)
        return "is longer than 1024 characters";
    for (size_t i = 0; i < secret.len; i++)
        if (secret.ptr[i] <= 0x20 || secret.ptr[i] >= 0x7F)
            return "holds a space, a control or a non-ASCII character";
    if (periodic(secret))
        return "repeats itself";
    if (distinct(secret) < DISTINCT_MIN)
        return "has too few different characters";
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
        if (holds(secret, samples[i]))
            return "is a known sample or built around one";
    return NULL;
}

void
jwt_secret_generate(char out[JWT_SECRET_GENERATED + 1])
{
    uint8_t random[JWT_SECRET_GENERATED / 4 * 3];

    do {
        randombytes_buf(random, sizeof(random));
        sodium_bin2base64(out, JWT_SECRET_GENERATED + 1, random, sizeof(random),
            sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    } while (jwt_secret_weakness(span_str(out)) != NULL);
    sodium_memzero(random, sizeof(random));
}

void
jwt_secret_fini(struct jwt_secret *secret)
{
    sodium_free(secret->text);
    sodium_free(secret->previous);
    secret->text = secret->previous = NULL;
}

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

static enum err
keep_judged(struct span text, struct jwt_secret *out, char *why, size_t why_len)
{
    const char *weakness = jwt_secret_weakness(text);

    if (weakness != NULL) {
        snprintf(why, why_len, "the JWT secret from %s %s" REMEDY, out->source, weakness);
        return ERR_DENIED;
    }
    return keep(text, &out->text, &out->len);
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

static enum err
load_env(char *value, struct jwt_secret *out, char *why, size_t why_len)
{
    enum err err;

    snprintf(out->source, sizeof(out->source), "environment JWT_SECRET");
    err = keep_judged(span_str(value), out, why, why_len);
    /* the block is what /proc/PID/environ shows */
    sodium_memzero(value, strlen(value));
    unsetenv("JWT_SECRET");
    return err;
}

static enum err
load_plain(const char *path, bool checked, struct jwt_secret *out, char *why, size_t why_len)
{
    enum err err;
    char *text;
    size_t len;

    snprintf(out->source, sizeof(out->source), "%s", path);
    if ((err = slurp(path, checked, &text, &len, why, why_len)) != OK)
        return err;
    err = keep_judged(trim_end(span_of(text, len)), out, why, why_len);
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
        return keep_judged(value, out, why, why_len);
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

static enum err
load(const char *state_dir, struct jwt_secret *out, char *why, size_t why_len)
{
    char *value, *dir;
    char path[4096];
    enum err err;

    if ((value = getenv("JWT_SECRET")) != NULL)
        return load_env(value, out, why, why_len);
    if ((value = getenv("JWT_SECRET_FILE")) != NULL)
        return load_plain(value, true, out, why, why_len);
    if ((dir = getenv("CREDENTIALS_DIRECTORY")) != NULL) {
        snprintf(path, sizeof(path), "%s/jwt_secret", dir);
        if (access(path, F_OK) == 0) /* systemd sets owner and mode itself */
            return load_plain(path, false, out, why, why_len);
    }
    snprintf(path, sizeof(path), "%s/jwt.env", state_dir);
    if ((err = load_state(path, out, why, why_len)) == ERR_NOT_FOUND)
        snprintf(why, why_len,
            "there is no JWT secret: set JWT_SECRET or JWT_SECRET_FILE, or let `gatehouse init` "
            "write "
            "%s",
            path);
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

static enum err
write_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, text, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ERR_IO;
        text += n;
        len -= (size_t)n;
    }
    return fsync(fd) == 0 ? OK : ERR_IO;
}

enum err
jwt_secret_write(const char *state_dir, const char *secret, const char *previous,
    int64_t previous_end_s, bool replace)
{
    char text[FILE_MAX], temp[32];
    int dir = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1, n;
    enum err err = ERR_IO;

    if (dir < 0)
        return ERR_IO;
    n = snprintf(
        text, sizeof(text), "# Signs access tokens. Keep it secret.\nJWT_SECRET=%s\n", secret);
    if (previous != NULL)
        n += snprintf(text + n, sizeof(text) - (size_t)n,
            "JWT_SECRET_PREVIOUS=%s\nJWT_SECRET_PREVIOUS_END=%" PRId64 "\n", previous,
            previous_end_s);
    snprintf(temp, sizeof(temp), "jwt.env.%08" PRIx32, randombytes_random());
    fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        goto out;
    if (write_all(fd, text, (size_t)n) != OK)
        goto out;
    if (renameat2(dir, temp, dir, "jwt.env", replace ? 0 : RENAME_NOREPLACE) != 0) {
        err = errno == EEXIST ? ERR_EXISTS : ERR_IO;
        goto out;
    }
    err = fsync(dir) == 0 ? OK : ERR_IO;
out:
    if (fd >= 0) {
        close(fd);
        if (err != OK)
            unlinkat(dir, temp, 0);
    }
    close(dir);
    sodium_memzero(text, sizeof(text));
    return err;
}
