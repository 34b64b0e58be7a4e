/* state_file.c: small files of the state folder: checked before they are read, replaced as a whole,
 * and overwritten before they go. Never used for the log. Any thread. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/state.h"

enum err
state_file_open(const struct state *st, const char *name, int flags, int *fd, struct complaint *why)
{
    struct stat sb;
    int got = openat(st->dir_fd, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);

    if (got < 0) {
        complain(why, "cannot open %s/%s: %s; %s", st->path, name, strerror(errno),
            errno == ENOENT ? "restore it from a backup" : "check the folder's owner and modes");
        return errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
    }
    if (fstat(got, &sb) != 0 || !S_ISREG(sb.st_mode)) {
        complain(why, "%s/%s is not a regular file: move it away", st->path, name);
        goto denied;
    }
    if (sb.st_uid != geteuid()) {
        complain(why, "%s/%s belongs to user %u, and this process runs as user %u: chown it",
            st->path, name, (unsigned)sb.st_uid, (unsigned)geteuid());
        goto denied;
    }
    if ((sb.st_mode & 077) != 0) {
        complain(why, "%s/%s has mode %04o, so that others can reach it: chmod 0600 %s/%s",
            st->path, name, (unsigned)(sb.st_mode & 07777), st->path, name);
        goto denied;
    }
    *fd = got;
    return OK;
denied:
    close(got);
    return ERR_DENIED;
}

enum err
state_file_read(const struct state *st, const char *name, uint8_t *out, size_t cap, size_t *len,
    struct complaint *why)
{
    size_t at = 0;
    ssize_t n = 1;
    int fd;
    enum err err = state_file_open(st, name, O_RDONLY, &fd, why);

    if (err != OK)
        return err;
    while (at < cap && (n = read(fd, out + at, cap - at)) > 0)
        at += (size_t)n;
    if (n < 0) {
        complain(why, "cannot read %s/%s: %s", st->path, name, strerror(errno));
        err = ERR_IO;
    } else if (at == cap && read(fd, &(uint8_t){0}, 1) == 1) {
        complain(why, "%s/%s is longer than it can be: restore it from a backup", st->path, name);
        err = ERR_LIMIT;
    }
    *len = at;
    close(fd);
    return err;
}

static bool
write_all(int fd, struct span bytes)
{
    for (size_t at = 0; at < bytes.len;) {
        ssize_t n = write(fd, bytes.ptr + at, bytes.len - at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

bool
state_sync_folder(const struct state *st, const char *folder)
{
    int fd = openat(st->dir_fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;

    if (fd >= 0)
        close(fd);
    return ok;
}

/* Syncs the folder that `name` is in. */
static bool
sync_folder_of(const struct state *st, const char *name)
{
    const char *slash = strrchr(name, '/');
    char folder[64];

    if (slash == NULL)
        return fsync(st->dir_fd) == 0;
    INVARIANT((size_t)(slash - name) < sizeof(folder));
    memcpy(folder, name, (size_t)(slash - name));
    folder[slash - name] = '\0';
    return state_sync_folder(st, folder);
}

enum err
state_file_write(const struct state *st, const char *name, struct span bytes, struct complaint *why)
{
    char temp[128];
    int n = snprintf(temp, sizeof(temp), "%s.new", name);
    bool ok;
    int fd;

    INVARIANT(n > 0 && (size_t)n < sizeof(temp));
    if (unlinkat(st->dir_fd, temp, 0) != 0 && errno != ENOENT)
        goto failed;
    fd = openat(st->dir_fd, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        goto failed;
    ok = write_all(fd, bytes) && fsync(fd) == 0;
    if (close(fd) != 0 || !ok)
        goto failed;
    if (renameat(st->dir_fd, temp, st->dir_fd, name) == 0 && sync_folder_of(st, name))
        return OK;
failed:
    complain(why, "cannot write %s/%s: %s; check the disk", st->path, name, strerror(errno));
    return ERR_IO;
}

enum err
state_file_wipe(const struct state *st, const char *name, struct complaint *why)
{
    static const uint8_t zeros[512];
    struct stat sb;
    int fd = openat(st->dir_fd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    bool ok;

    if (fd < 0 && errno == ENOENT)
        return OK;
    if (fd < 0)
        goto failed;
    ok = fstat(fd, &sb) == 0;
    for (off_t left = ok ? sb.st_size : 0; ok && left > 0; left -= (off_t)sizeof(zeros))
        ok = write_all(fd, span_of(zeros, left < 512 ? (size_t)left : sizeof(zeros)));
    ok = ok && fdatasync(fd) == 0;
    if (close(fd) != 0 || !ok)
        goto failed;
    if (unlinkat(st->dir_fd, name, 0) == 0 && sync_folder_of(st, name))
        return OK;
failed:
    complain(why, "cannot overwrite %s/%s: %s", st->path, name, strerror(errno));
    return ERR_IO;
}
