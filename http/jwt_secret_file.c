/* jwt_secret_file.c: writes the secret of access tokens to disk: by init, by a rotation, for other
 * programs. Main thread or a loop; synced before it returns. Never prints one. */
#include "http/jwt_secret.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (2 * JWT_SECRET_CHARS_MAX + 256)
#define IN_FORCE "jwt.env"
#define NEXT     "jwt.env.next"

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

static int
folder_open(const char *path)
{
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Written beside, synced, then renamed: whoever reads finds all of it or nothing. */
static enum err
put(int dir, const char *name, bool replace, const char *text, size_t len)
{
    char temp[32];
    enum err err = ERR_IO;
    int fd;

    snprintf(temp, sizeof(temp), "jwt.env.%08" PRIx32, randombytes_random());
    fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return ERR_IO;
    if (write_all(fd, text, len) == OK) {
        if (renameat2(dir, temp, dir, name, replace ? 0 : RENAME_NOREPLACE) == 0)
            err = fsync(dir) == 0 ? OK : ERR_IO;
        else
            err = errno == EEXIST ? ERR_EXISTS : ERR_IO;
    }
    close(fd);
    if (err != OK)
        unlinkat(dir, temp, 0);
    return err;
}

static enum err
put_secrets(const char *state_dir, const char *name, bool replace, struct span secret,
    struct span previous, int64_t previous_end_s)
{
    int dir = folder_open(state_dir), n;
    char text[FILE_MAX];
    enum err err;

    if (dir < 0)
        return ERR_IO;
    n = snprintf(text, sizeof(text), "# Signs access tokens. Keep it secret.\nJWT_SECRET=%.*s\n",
        (int)secret.len, (const char *)secret.ptr);
    if (previous.len > 0)
        n += snprintf(text + n, sizeof(text) - (size_t)n,
            "JWT_SECRET_PREVIOUS=%.*s\nJWT_SECRET_PREVIOUS_END=%" PRId64 "\n", (int)previous.len,
            (const char *)previous.ptr, previous_end_s);
    INVARIANT(n > 0 && n < FILE_MAX);
    err = put(dir, name, replace, text, (size_t)n);
    close(dir);
    sodium_memzero(text, sizeof(text));
    return err;
}

enum err
jwt_secret_write(const char *state_dir, struct span secret)
{
    return put_secrets(state_dir, IN_FORCE, false, secret, (struct span){NULL, 0}, 0);
}

enum err
jwt_secret_propose(
    const char *state_dir, struct span secret, struct span previous, int64_t previous_end_s)
{
    return put_secrets(state_dir, NEXT, true, secret, previous, previous_end_s);
}

/* What a file's name no longer leads to; a disk that writes elsewhere may keep it all the same. */
static void
overwrite(int fd)
{
    char zeros[FILE_MAX] = {0};
    struct stat st;

    if (fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size <= FILE_MAX)
        (void)write_all(fd, zeros, (size_t)st.st_size);
}

enum err
jwt_secret_adopt(const char *state_dir)
{
    int dir = folder_open(state_dir), old;
    enum err err = ERR_IO;

    if (dir < 0)
        return ERR_IO;
    old = openat(dir, IN_FORCE, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (renameat(dir, NEXT, dir, IN_FORCE) == 0 && fsync(dir) == 0)
        err = OK;
    if (old >= 0) {
        if (err == OK)
            overwrite(old);
        close(old);
    }
    close(dir);
    return err;
}

enum err
jwt_secret_discard(const char *state_dir)
{
    int dir = folder_open(state_dir), fd;
    enum err err = ERR_IO;

    if (dir < 0)
        return ERR_IO;
    fd = openat(dir, NEXT, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0) {
        overwrite(fd);
        close(fd);
    }
    if (unlinkat(dir, NEXT, 0) == 0)
        err = fsync(dir) == 0 ? OK : ERR_IO;
    else if (errno == ENOENT)
        err = ERR_NOT_FOUND;
    close(dir);
    return err;
}

enum err
jwt_secret_export(const char *path, struct span secret)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    char line[JWT_SECRET_CHARS_MAX + 1];
    enum err err;
    int why;

    INVARIANT(secret.len < sizeof(line));
    if (fd < 0)
        return errno == EEXIST ? ERR_EXISTS : ERR_IO;
    memcpy(line, secret.ptr, secret.len);
    line[secret.len] = '\n';
    err = write_all(fd, line, secret.len + 1);
    sodium_memzero(line, sizeof(line));
    why = errno;
    close(fd);
    if (err != OK)
        unlink(path);
    errno = why;
    return err;
}
