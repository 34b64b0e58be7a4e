/* state.c: opening, checking and locking the state folder, and the end of the process when it can
 * no longer be written. Never repairs: what is wrong is named, with the remedy. Any thread; open
 * and close belong to the main thread. */
#include "store/state.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/ascii.h"

#define FORMAT_PREFIX "gatehouse-state "

static const char *const folders[] = {"keys", "log", "views", "anchor"};

bool
state_origin_valid(struct span origin)
{
    size_t slash = origin.len;
    uint64_t successor;

    if (origin.len == 0 || origin.len > ORIGIN_BYTES_MAX)
        return false;
    for (size_t i = 0; i < origin.len; i++) {
        uint8_t c = origin.ptr[i];

        if (c == '/' && i > 0) {
            slash = i;
            break;
        }
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '.' && c != '-')
            return false;
    }
    if (slash == origin.len)
        return true;
    return ascii_number(span_of(origin.ptr + slash + 1, origin.len - slash - 1), UINT32_MAX,
               &successor) == OK &&
           successor >= 2;
}

void
state_path(const struct state *st, const char *name, char out[STATE_PATH_BYTES])
{
    int n = snprintf(out, STATE_PATH_BYTES, "%s/%s", st->path, name);

    INVARIANT(n > 0 && n < STATE_PATH_BYTES);
}

static enum err
take_path(const char *path, struct state *out, struct complaint *why)
{
    size_t len = strlen(path);

    while (len > 1 && path[len - 1] == '/')
        len--;
    if (len == 0 || len > STATE_PATH_BYTES - 256) {
        complain(why, "the path of the state folder is %s: give another with --state-dir",
            len == 0 ? "empty" : "too long");
        return ERR_LIMIT;
    }
    memset(out, 0, sizeof(*out));
    memcpy(out->path, path, len);
    out->dir_fd = out->lock_fd = -1;
    return OK;
}

static enum err
check_owner_mode(const char *path, const struct stat *sb, bool folder, struct complaint *why)
{
    if (folder ? !S_ISDIR(sb->st_mode) : !S_ISREG(sb->st_mode)) {
        complain(why, "%s is not a %s: move it away", path, folder ? "folder" : "regular file");
        return ERR_DENIED;
    }
    if (sb->st_uid != geteuid()) {
        complain(why,
            "%s belongs to user %u, and this process runs as user %u: run as its owner, or chown "
            "-R "
            "the state folder",
            path, (unsigned)sb->st_uid, (unsigned)geteuid());
        return ERR_DENIED;
    }
    if ((sb->st_mode & 077) != 0) {
        complain(why, "%s has mode %04o, so that others can reach it: chmod %s %s", path,
            (unsigned)(sb->st_mode & 07777), folder ? "0700" : "0600", path);
        return ERR_DENIED;
    }
    return OK;
}

static enum err
open_folder(struct state *st, struct complaint *why)
{
    struct stat sb;

    st->dir_fd = open(st->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (st->dir_fd < 0) {
        enum err err = errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;

        complain(why, "cannot open the state folder %s: %s; `gatehouse init --state-dir` makes one",
            st->path, strerror(errno));
        return err;
    }
    if (fstat(st->dir_fd, &sb) != 0) {
        complain(why, "cannot look at %s: %s", st->path, strerror(errno));
        return ERR_IO;
    }
    return check_owner_mode(st->path, &sb, true, why);
}

static enum err
check_subfolder(const struct state *st, const char *name, struct complaint *why)
{
    char path[STATE_PATH_BYTES];
    struct stat sb;

    state_path(st, name, path);
    if (fstatat(st->dir_fd, name, &sb, AT_SYMLINK_NOFOLLOW) != 0) {
        complain(why, "%s is missing: %s; restore it from a backup", path, strerror(errno));
        return ERR_NOT_FOUND;
    }
    return check_owner_mode(path, &sb, true, why);
}

/* The lock file keeps its name for ever: unlinking it would let two hold "the" lock. */
static enum err
take_lock(struct state *st, struct complaint *why)
{
    char pid[24] = "";
    int n;

    st->lock_fd = openat(st->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (st->lock_fd < 0) {
        complain(why, "cannot open %s/lock: %s", st->path, strerror(errno));
        return ERR_IO;
    }
    if (flock(st->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        ssize_t got = pread(st->lock_fd, pid, sizeof(pid) - 1, 0);

        pid[got > 0 ? got : 0] = '\0';
        pid[strcspn(pid, "\n")] = '\0';
        complain(why,
            "the state folder %s is in use by process %s: stop that server first, or give another "
            "--state-dir",
            st->path, pid[0] != '\0' ? pid : "(unknown)");
        close(st->lock_fd);
        st->lock_fd = -1;
        return ERR_EXISTS;
    }
    n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
    if (ftruncate(st->lock_fd, 0) != 0 || pwrite(st->lock_fd, pid, (size_t)n, 0) != n) {
        complain(why, "cannot write %s/lock: %s", st->path, strerror(errno));
        return ERR_IO;
    }
    return OK;
}

static enum err
read_format(struct state *st, struct complaint *why)
{
    uint8_t text[64];
    struct span rest, line;
    uint64_t format = 0;
    size_t len;
    enum err err = state_file_read(st, "format", text, sizeof(text), &len, why);

    if (err == ERR_NOT_FOUND)
        complain(why,
            "%s is not a state folder, or its init did not finish: run `gatehouse init` on an "
            "empty "
            "folder",
            st->path);
    if (err != OK)
        return err;
    rest = span_of(text, len);
    if (!ascii_line(&rest, &line) || rest.len != 0 || !ascii_skip(&line, FORMAT_PREFIX) ||
        ascii_number(line, UINT32_MAX, &format) != OK) {
        complain(why, "%s/format is damaged: restore it from a backup", st->path);
        return ERR_MALFORMED;
    }
    if (format != STATE_FORMAT) {
        complain(why,
            "%s has format %llu and this build knows %d: use a %s build of gatehouse, or restore a "
            "backup of that format",
            st->path, (unsigned long long)format, STATE_FORMAT,
            format > STATE_FORMAT ? "newer" : "older");
        return ERR_MISMATCH;
    }
    return OK;
}

static enum err
read_origin(struct state *st, struct complaint *why)
{
    uint8_t text[ORIGIN_BYTES_MAX + 2];
    struct span rest, line;
    size_t len;
    enum err err = state_file_read(st, "origin", text, sizeof(text), &len, why);

    if (err != OK)
        return err;
    rest = span_of(text, len);
    if (!ascii_line(&rest, &line) || rest.len != 0 || !state_origin_valid(line)) {
        complain(why, "%s/origin is damaged: restore it from a backup", st->path);
        return ERR_MALFORMED;
    }
    memcpy(st->origin, line.ptr, line.len);
    st->origin[line.len] = '\0';
    return OK;
}

static enum err
refuse_after_failure(const struct state *st, struct complaint *why)
{
    char text[COMPLAINT_BYTES / 2];

    if (state_failure(st, text, sizeof(text)) == ERR_NOT_FOUND)
        return OK;
    complain(why,
        "the last run ended because the log could not be written (%s): put the disk right, then "
        "run "
        "`gatehouse doctor --state-dir %s`, which verifies the log and clears this",
        text, st->path);
    return ERR_CLOSED;
}

enum err
state_open(
    const char *path, const struct state_options *options, struct state *out, struct complaint *why)
{
    enum err err = take_path(path, out, why);

    if (err != OK)
        return err;
    if ((err = open_folder(out, why)) != OK)
        goto out;
    if ((err = read_format(out, why)) != OK || (err = read_origin(out, why)) != OK)
        goto out;
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        if ((err = check_subfolder(out, folders[i], why)) != OK)
            goto out;
    }
    if (options->exclusive && (err = take_lock(out, why)) != OK)
        goto out;
    if (options->exclusive && !options->doctor)
        err = refuse_after_failure(out, why);
out:
    if (err != OK)
        state_close(out);
    return err;
}

/* A folder counts as empty with our own lock in it: then an init that failed at once can be
 * repeated. */
static enum err
check_empty(struct state *st, struct complaint *why)
{
    static const char *const names[] = {"format", "origin", "keys", "log", "keystore", "views"};
    struct stat sb;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (fstatat(st->dir_fd, names[i], &sb, AT_SYMLINK_NOFOLLOW) == 0) {
            complain(why,
                "%s already holds a state folder (%s is there): use it with `gatehouse serve`, or "
                "give an empty folder",
                st->path, names[i]);
            return ERR_EXISTS;
        }
    }
    return OK;
}

static enum err
fill_folder(struct state *st, struct complaint *why)
{
    char line[ORIGIN_BYTES_MAX + 2];
    int n = snprintf(line, sizeof(line), "%s\n", st->origin);

    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        if (mkdirat(st->dir_fd, folders[i], 0700) != 0) {
            complain(why, "cannot make %s/%s: %s", st->path, folders[i], strerror(errno));
            return ERR_IO;
        }
    }
    if (!state_sync_folder(st, ".") || !state_sync_folder(st, "..")) {
        complain(why, "cannot sync %s: %s; check the disk", st->path, strerror(errno));
        return ERR_IO;
    }
    return state_file_write(st, "origin", span_of(line, (size_t)n), why);
}

enum err
state_create(const char *path, const char *origin, struct state *out, struct complaint *why)
{
    enum err err = take_path(path, out, why);

    if (err != OK)
        return err;
    if (!state_origin_valid(span_str(origin))) {
        complain(why,
            "the origin \"%.80s\" is not a name of a-z, 0-9, '.', '-' with at most %d characters: "
            "give another with --origin",
            origin, ORIGIN_BYTES_MAX);
        return ERR_MALFORMED;
    }
    memcpy(out->origin, origin, strlen(origin) + 1);
    if (mkdir(out->path, 0700) != 0 && errno != EEXIST) {
        complain(why, "cannot make the folder %s: %s; make the folder above it first", out->path,
            strerror(errno));
        return ERR_IO;
    }
    if ((err = open_folder(out, why)) != OK || (err = check_empty(out, why)) != OK)
        goto out;
    if ((err = take_lock(out, why)) == OK)
        err = fill_folder(out, why);
out:
    if (err != OK)
        state_close(out);
    return err;
}

enum err
state_create_done(struct state *st, struct complaint *why)
{
    char line[64];
    int n = snprintf(line, sizeof(line), FORMAT_PREFIX "%d\n", STATE_FORMAT);

    return state_file_write(st, "format", span_of(line, (size_t)n), why);
}

void
state_close(struct state *st)
{
    if (st->lock_fd >= 0)
        close(st->lock_fd);
    if (st->dir_fd >= 0)
        close(st->dir_fd);
    st->dir_fd = st->lock_fd = -1;
}

enum err
state_free_bytes(const struct state *st, uint64_t *out)
{
    char path[STATE_PATH_BYTES];
    struct statvfs fs;

    state_path(st, "log", path);
    if (statvfs(path, &fs) != 0)
        return ERR_IO;
    *out = (uint64_t)fs.f_bavail * fs.f_frsize;
    return OK;
}

enum err
state_kernel_boot(char out[BOOT_ID_BYTES])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, out, BOOT_ID_BYTES - 1);

    if (fd >= 0)
        close(fd);
    if (n != BOOT_ID_BYTES - 1)
        return ERR_IO;
    out[n] = '\0';
    return OK;
}

enum err
state_failure(const struct state *st, char *text, size_t cap)
{
    struct span rest, line;
    uint8_t bytes[COMPLAINT_BYTES];
    size_t len = 0;
    enum err err = state_file_read(st, "failed", bytes, sizeof(bytes), &len, NULL);

    if (err == ERR_NOT_FOUND)
        return err;
    rest = span_of(bytes, err == OK ? len : 0); /* an unreadable marker is a marker */
    if (!ascii_line(&rest, &line))
        line = span_str("no reason was kept");
    snprintf(text, cap, "%.*s", (int)line.len, (const char *)line.ptr);
    return OK;
}

enum err
state_failure_clear(struct state *st, struct complaint *why)
{
    if (unlinkat(st->dir_fd, "failed", 0) != 0 && errno != ENOENT) {
        complain(why, "cannot remove %s/failed: %s", st->path, strerror(errno));
        return ERR_IO;
    }
    if (fsync(st->dir_fd) != 0) {
        complain(why, "cannot sync %s: %s", st->path, strerror(errno));
        return ERR_IO;
    }
    return OK;
}

_Noreturn void
state_failstop(const struct state *st, const char *what, const char *error, const char *remedy)
{
    char line[COMPLAINT_BYTES];
    int n = snprintf(line, sizeof(line), "%s: %s\n", what, error);
    int fd;

    if (n < 0 || (size_t)n >= sizeof(line))
        n = (int)sizeof(line) - 1;
    fprintf(stderr,
        "gatehouse: FATAL: %s: %s. Nothing was acknowledged after this; the server stops. %s Then "
        "run `gatehouse doctor --state-dir %s`.\n",
        what, error, remedy, st->path);
    /* Best effort: on a full or dead disk the line above is all there is. */
    fd = openat(st->dir_fd, "failed", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0) {
        if (write(fd, line, (size_t)n) == n)
            (void)fsync(fd);
        (void)fsync(st->dir_fd);
    }
    _exit(STORE_EXIT_FAILSTOP);
}
