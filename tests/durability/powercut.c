/* powercut.c: an LD_PRELOAD shim that lets the power go. It keeps, for every file under
 * POWERCUT_DIR, what the disk held at the last sync: the old 512-byte sectors, the old length, and
 * the names that a folder had. After POWERCUT_AFTER operations it undoes a random part of what was
 * not synced (POWERCUT_SEED), and kills the process: what is left is one of the states that a power
 * cut may leave behind. Nothing is written or said after that.
 *
 * POWERCUT_DEAF=NAME: syncs of files of that name count for nothing, as if the program had
 * forgotten them; so the tests can show that they would notice.
 * POWERCUT_BOOT=FILE: opened in place of the kernel's boot id, as a cut ends a boot.
 *
 * Not modelled: mmap writes (LMDB writes by pwrite; its lock file is rebuilt), half sectors.
 * Release builds only: sanitizers want to be first in the process. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define SECTOR    512
#define FILES_MAX 64
#define FDS_MAX   1024
#define NAMES_MAX 256
#define BUCKETS   4096
#define EXPORT    __attribute__((visibility("default")))

/* What a sector held when it was last synced. */
struct sector {
    uint64_t number;
    struct sector *next;
    uint8_t old[SECTOR];
};

struct file {
    bool used, deaf;
    dev_t dev;
    ino_t ino;
    off_t synced_size;
    char path[512];
    struct sector *dirty[BUCKETS];
};

enum change { CREATED, RENAMED, REMOVED };

/* A change of names that no sync of the folder has followed yet, in order. `aside` keeps what was
 * under the name before. */
struct name {
    enum change change;
    char dir[256], from[512], to[512], aside[512];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct file files[FILES_MAX];
static struct {
    struct file *file; /* NULL: a folder, or nothing of ours */
    bool dsync, folder;
    char path[512];
} fds[FDS_MAX];
static struct name names[NAMES_MAX];
static unsigned name_count, aside_count;
static const char *root, *deaf, *boot;
static size_t root_len;
static uint64_t left = UINT64_MAX, random_state;

static void
fatal(const char *why)
{
    dprintf(STDERR_FILENO, "powercut: %s: %s\n", why, strerror(errno));
    _exit(99);
}

static uint32_t
below(uint32_t bound)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((random_state >> 33) % bound);
}

__attribute__((constructor)) static void
begin(void)
{
    const char *after = getenv("POWERCUT_AFTER"), *seed = getenv("POWERCUT_SEED");

    root = getenv("POWERCUT_DIR");
    deaf = getenv("POWERCUT_DEAF");
    boot = getenv("POWERCUT_BOOT");
    root_len = root != NULL ? strlen(root) : 0;
    if (after != NULL)
        left = strtoull(after, NULL, 10);
    random_state = seed != NULL ? strtoull(seed, NULL, 10) : 1;
}

static bool
ours(const char *path)
{
    return root != NULL && strncmp(path, root, root_len) == 0 &&
           (path[root_len] == '/' || path[root_len] == '\0');
}

/* The path behind a descriptor, as the kernel knows it. */
static bool
path_of(int fd, char out[512])
{
    char link[64];
    ssize_t n;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, out, 511);
    if (n < 0)
        return false;
    out[n] = '\0';
    return true;
}

static void
path_at(int dirfd, const char *name, char out[512])
{
    char dir[512];

    if (name[0] == '/' || dirfd == AT_FDCWD || !path_of(dirfd, dir))
        snprintf(out, 512, "%s", name);
    else
        snprintf(out, 512, "%.250s/%.250s", dir, name);
}

static void
dir_of(const char *path, char out[256])
{
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - path);

    if (len > 255)
        len = 255;
    memcpy(out, path, len);
    out[len] = '\0';
}

/* ---- sectors */

static off_t
size_of(int fd)
{
    struct stat sb;

    return fstat(fd, &sb) == 0 ? sb.st_size : 0;
}

static struct file *
file_of(int fd, const char *path)
{
    struct file *free_one = NULL;
    struct stat sb;

    if (fstat(fd, &sb) != 0 || !S_ISREG(sb.st_mode))
        return NULL;
    for (unsigned i = 0; i < FILES_MAX; i++) {
        if (files[i].used && files[i].dev == sb.st_dev && files[i].ino == sb.st_ino)
            return &files[i];
        if (!files[i].used && free_one == NULL)
            free_one = &files[i];
    }
    if (free_one == NULL)
        fatal("too many files");
    free_one->used = true;
    free_one->dev = sb.st_dev;
    free_one->ino = sb.st_ino;
    free_one->synced_size = sb.st_size;
    free_one->deaf = deaf != NULL && strcmp(strrchr(path, '/') + 1, deaf) == 0;
    snprintf(free_one->path, sizeof(free_one->path), "%s", path);
    return free_one;
}

static void
remember(struct file *file, uint64_t number)
{
    struct sector **bucket = &file->dirty[number % BUCKETS], *s;
    int fd;

    for (s = *bucket; s != NULL; s = s->next) {
        if (s->number == number)
            return;
    }
    if ((s = calloc(1, sizeof(*s))) == NULL)
        fatal("no memory");
    s->number = number;
    fd = (int)syscall(SYS_openat, AT_FDCWD, file->path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) { /* beyond the end: zeros */
        (void)!syscall(SYS_pread64, fd, s->old, SECTOR, (off_t)(number * SECTOR));
        syscall(SYS_close, fd);
    }
    s->next = *bucket;
    *bucket = s;
}

static void
remember_range(struct file *file, off_t at, size_t len)
{
    for (uint64_t n = (uint64_t)at / SECTOR; len > 0 && n <= ((uint64_t)at + len - 1) / SECTOR; n++)
        remember(file, n);
}

/* All of the file, or (O_DSYNC) only a range of it, is on the disk now. */
static void
forget(struct file *file, bool all, off_t at, size_t len)
{
    for (unsigned i = 0; i < BUCKETS; i++) {
        struct sector **link = &file->dirty[i], *s;

        while ((s = *link) != NULL) {
            if (!all && (s->number < (uint64_t)at / SECTOR ||
                            s->number > ((uint64_t)at + len - 1) / SECTOR)) {
                link = &s->next;
                continue;
            }
            *link = s->next;
            free(s);
        }
    }
}

/* ---- the cut */

static void
undo_file(struct file *file)
{
    int fd = (int)syscall(SYS_openat, AT_FDCWD, file->path, O_RDWR | O_CLOEXEC);
    unsigned style = below(4); /* all undone, all kept, or each by chance */

    if (fd < 0)
        return; /* its name is gone: so is it */
    for (unsigned i = 0; i < BUCKETS; i++) {
        for (struct sector *s = file->dirty[i]; s != NULL; s = s->next) {
            if (style == 1 || (style > 1 && below(2) == 0))
                continue;
            (void)!syscall(SYS_pwrite64, fd, s->old, SECTOR, (off_t)(s->number * SECTOR));
        }
    }
    syscall(SYS_close, fd);
}

/* Last of all: other threads may have the file mapped, and would die of it before we do. */
static void
undo_size(const struct file *file)
{
    int fd = (int)syscall(SYS_openat, AT_FDCWD, file->path, O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return;
    if (size_of(fd) > file->synced_size && below(2) == 0)
        (void)!syscall(SYS_ftruncate, fd, file->synced_size);
    syscall(SYS_close, fd);
}

static void
undo_name(const struct name *n)
{
    switch (n->change) {
    case CREATED: syscall(SYS_unlink, n->to); break;
    case RENAMED:
        syscall(SYS_rename, n->to, n->from);
        if (n->aside[0] != '\0')
            syscall(SYS_rename, n->aside, n->to);
        break;
    case REMOVED: syscall(SYS_rename, n->aside, n->from); break;
    }
}

/* A file system keeps the order of names within a folder: a tail of them is lost. */
static void
undo_names(void)
{
    unsigned keep = below(name_count + 1);

    for (unsigned i = name_count; i-- > keep;)
        undo_name(&names[i]);
    for (unsigned i = 0; i < keep; i++) {
        if (names[i].aside[0] != '\0')
            syscall(SYS_unlink, names[i].aside);
    }
}

/* One operation more; with the lock held, which is never given back at the end. */
static void
tick(void)
{
    if (left == UINT64_MAX || left-- > 0)
        return;
    for (unsigned i = 0; i < FILES_MAX; i++) {
        if (files[i].used)
            undo_file(&files[i]);
    }
    for (unsigned i = 0; i < FILES_MAX; i++) {
        if (files[i].used)
            undo_size(&files[i]);
    }
    undo_names();
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;)
        pause();
}

/* ---- open, close */

static void
opened(int fd, int flags, bool created)
{
    char path[512];
    struct stat sb;

    if (fd < 0 || fd >= FDS_MAX || !path_of(fd, path) || !ours(path) || fstat(fd, &sb) != 0)
        return;
    fds[fd].file = file_of(fd, path);
    fds[fd].folder = S_ISDIR(sb.st_mode);
    fds[fd].dsync = (flags & (O_DSYNC | O_SYNC)) != 0;
    snprintf(fds[fd].path, sizeof(fds[fd].path), "%s", path);
    if (created && fds[fd].file != NULL) {
        struct name *n = &names[name_count];

        if (name_count++ == NAMES_MAX)
            fatal("too many names");
        *n = (struct name){.change = CREATED};
        snprintf(n->to, sizeof(n->to), "%s", path);
        dir_of(path, n->dir);
    }
}

static int
do_open(int dirfd, const char *name, int flags, mode_t mode)
{
    bool created = false;
    int fd;

    if (boot != NULL && strcmp(name, "/proc/sys/kernel/random/boot_id") == 0)
        name = boot;
    pthread_mutex_lock(&lock);
    if ((flags & O_CREAT) != 0) {
        struct stat sb;

        created = fstatat(dirfd, name, &sb, AT_SYMLINK_NOFOLLOW) != 0;
    }
    fd = (int)syscall(SYS_openat, dirfd, name, flags, mode);
    if (fd >= 0)
        opened(fd, flags, created);
    pthread_mutex_unlock(&lock);
    return fd;
}

static mode_t
mode_from(int flags, va_list args)
{
    return (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(args, mode_t) : 0;
}

#define OPEN(name)                                                                                 \
    EXPORT int name(const char *path, int flags, ...)                                              \
    {                                                                                              \
        va_list args;                                                                              \
        mode_t mode;                                                                               \
        va_start(args, flags);                                                                     \
        mode = mode_from(flags, args);                                                             \
        va_end(args);                                                                              \
        return do_open(AT_FDCWD, path, flags, mode);                                               \
    }
#define OPENAT(name)                                                                               \
    EXPORT int name(int dirfd, const char *path, int flags, ...)                                   \
    {                                                                                              \
        va_list args;                                                                              \
        mode_t mode;                                                                               \
        va_start(args, flags);                                                                     \
        mode = mode_from(flags, args);                                                             \
        va_end(args);                                                                              \
        return do_open(dirfd, path, flags, mode);                                                  \
    }
OPEN(open)
OPEN(open64)
OPEN(__open_2)
OPEN(__open64_2)
OPENAT(openat)
OPENAT(openat64)
OPENAT(__openat_2)
OPENAT(__openat64_2)

EXPORT int
close(int fd)
{
    int rc;

    pthread_mutex_lock(&lock);
    if (fd >= 0 && fd < FDS_MAX)
        memset(&fds[fd], 0, sizeof(fds[fd]));
    rc = (int)syscall(SYS_close, fd);
    pthread_mutex_unlock(&lock);
    return rc;
}

/* ---- write, sync */

static bool
tracked(int fd)
{
    return fd >= 0 && fd < FDS_MAX && fds[fd].file != NULL;
}

static ssize_t
do_pwritev(int fd, const struct iovec *iov, int count, off_t at, bool positioned)
{
    size_t len = 0;
    ssize_t n;

    for (int i = 0; i < count; i++)
        len += iov[i].iov_len;
    pthread_mutex_lock(&lock);
    tick(); /* also for stdout: nothing is said after the cut */
    if (tracked(fd)) {
        if (!positioned)
            at = (off_t)syscall(SYS_lseek, fd, 0, SEEK_CUR);
        remember_range(fds[fd].file, at, len);
    }
    n = positioned ? syscall(SYS_pwritev, fd, iov, count, (long)at, 0L)
                   : syscall(SYS_writev, fd, iov, count);
    if (tracked(fd) && fds[fd].dsync && n > 0 && !fds[fd].file->deaf) {
        tick(); /* written, and perhaps not yet on the disk */
        forget(fds[fd].file, false, at, (size_t)n);
    }
    pthread_mutex_unlock(&lock);
    return n;
}

EXPORT ssize_t
pwrite64(int fd, const void *buf, size_t len, off_t at)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = len};

    return do_pwritev(fd, &iov, 1, at, true);
}

EXPORT ssize_t
pwrite(int fd, const void *buf, size_t len, off_t at)
{
    return pwrite64(fd, buf, len, at);
}

EXPORT ssize_t
write(int fd, const void *buf, size_t len)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = len};

    return do_pwritev(fd, &iov, 1, 0, false);
}

EXPORT ssize_t
writev(int fd, const struct iovec *iov, int count)
{
    return do_pwritev(fd, iov, count, 0, false);
}

EXPORT ssize_t
pwritev64(int fd, const struct iovec *iov, int count, off_t at)
{
    return do_pwritev(fd, iov, count, at, true);
}

EXPORT ssize_t
pwritev(int fd, const struct iovec *iov, int count, off_t at)
{
    return do_pwritev(fd, iov, count, at, true);
}

EXPORT int
ftruncate64(int fd, off_t size)
{
    int rc;

    pthread_mutex_lock(&lock);
    tick();
    if (tracked(fd) && size < size_of(fd))
        fatal("shrinking is not modelled");
    rc = (int)syscall(SYS_ftruncate, fd, size);
    pthread_mutex_unlock(&lock);
    return rc;
}

EXPORT int
ftruncate(int fd, off_t size)
{
    /* The lock file holds a pid for people; what it says does not matter after a cut. */
    if (tracked(fd) && strcmp(strrchr(fds[fd].path, '/'), "/lock") == 0)
        return (int)syscall(SYS_ftruncate, fd, size);
    return ftruncate64(fd, size);
}

static void
names_synced(const char *dir)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < name_count; i++) {
        if (strcmp(names[i].dir, dir) != 0) {
            names[kept++] = names[i];
            continue;
        }
        if (names[i].aside[0] != '\0')
            syscall(SYS_unlink, names[i].aside);
    }
    name_count = kept;
}

static int
do_sync(int fd, long number)
{
    int rc;

    pthread_mutex_lock(&lock);
    tick();
    rc = (int)syscall(number, fd);
    if (rc == 0 && tracked(fd) && !fds[fd].file->deaf) {
        forget(fds[fd].file, true, 0, 0);
        fds[fd].file->synced_size = size_of(fd);
    } else if (rc == 0 && fd >= 0 && fd < FDS_MAX && fds[fd].folder) {
        names_synced(fds[fd].path);
    }
    tick(); /* synced, and nobody knows it yet */
    pthread_mutex_unlock(&lock);
    return rc;
}

EXPORT int
fsync(int fd)
{
    return do_sync(fd, SYS_fsync);
}

EXPORT int
fdatasync(int fd)
{
    return do_sync(fd, SYS_fdatasync);
}

/* ---- names */

static struct name *
new_name(enum change change, const char *from, const char *to)
{
    struct name *n = &names[name_count];

    if (name_count++ == NAMES_MAX)
        fatal("too many names");
    *n = (struct name){.change = change};
    snprintf(n->from, sizeof(n->from), "%s", from);
    snprintf(n->to, sizeof(n->to), "%s", to);
    dir_of(from, n->dir);
    snprintf(
        n->aside, sizeof(n->aside), "%.400s/../powercut.%d.%u", root, (int)getpid(), aside_count++);
    return n;
}

/* In one folder, as the product does; a file that was removed is forgotten when it is synced. */
EXPORT int
renameat(int from_fd, const char *from_name, int to_fd, const char *to_name)
{
    char from[512], to[512];
    int rc;

    pthread_mutex_lock(&lock);
    tick();
    path_at(from_fd, from_name, from);
    path_at(to_fd, to_name, to);
    if (ours(from)) {
        struct name *n = new_name(RENAMED, from, to);

        if (syscall(SYS_link, to, n->aside) != 0)
            n->aside[0] = '\0';
        for (unsigned i = 0; i < FILES_MAX; i++) { /* the file moves with its name */
            if (files[i].used && strcmp(files[i].path, to) == 0)
                files[i].used = false;
            if (files[i].used && strcmp(files[i].path, from) == 0)
                snprintf(files[i].path, sizeof(files[i].path), "%s", to);
        }
    }
    rc = (int)syscall(SYS_renameat, from_fd, from_name, to_fd, to_name);
    pthread_mutex_unlock(&lock);
    return rc;
}

EXPORT int
unlinkat(int dirfd, const char *name, int flags)
{
    char path[512];
    int rc;

    pthread_mutex_lock(&lock);
    tick();
    path_at(dirfd, name, path);
    if (ours(path) && flags == 0) {
        struct name *n = new_name(REMOVED, path, path);

        rc = (int)syscall(SYS_rename, path, n->aside);
        if (rc != 0)
            name_count--;
        for (unsigned i = 0; i < FILES_MAX && rc == 0; i++) {
            if (files[i].used && strcmp(files[i].path, path) == 0)
                files[i].used = false;
        }
    } else {
        rc = (int)syscall(SYS_unlinkat, dirfd, name, flags);
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

EXPORT int
unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}
