/* outfile.c: temp, sync, rename, sync folder; never over another file. One thread. */
#include "tools/gatehouse/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static enum err
fail(struct outfile *f, const char *what)
{
    int error = errno;

    snprintf(f->why, sizeof(f->why), "%s %s: %s", what, f->path, strerror(error));
    return error == EEXIST ? ERR_EXISTS : ERR_IO;
}

enum err
outfile_open(struct outfile *f, const char *path)
{
    struct stat sb;

    f->fd = -1;
    f->len = 0;
    f->temp[0] = f->why[0] = '\0';
    f->to_stdout = strcmp(path, "-") == 0;
    if (snprintf(f->path, sizeof(f->path), "%s", f->to_stdout ? "standard output" : path) >=
        (int)sizeof(f->path)) {
        errno = ENAMETOOLONG;
        return fail(f, "cannot write");
    }
    if (f->to_stdout) {
        f->fd = STDOUT_FILENO;
        return OK;
    }
    if (lstat(f->path, &sb) == 0) {
        errno = EEXIST;
        return fail(f, "will not overwrite");
    }
    snprintf(f->temp, sizeof(f->temp), "%s.partial-XXXXXX", f->path);
    if ((f->fd = mkostemp(f->temp, O_CLOEXEC)) < 0) {
        f->temp[0] = '\0';
        return fail(f, "cannot write");
    }
    return OK;
}

static enum err
flush(struct outfile *f)
{
    size_t done = 0;

    while (done < f->len) {
        ssize_t n = write(f->fd, f->buffer + done, f->len - done);

        if (n < 0 && errno != EINTR)
            return fail(f, "cannot write");
        done += n > 0 ? (size_t)n : 0;
    }
    f->len = 0;
    return OK;
}

enum err
outfile_write(struct outfile *f, struct span bytes)
{
    enum err err = OK;

    while (bytes.len > 0 && err == OK) {
        size_t n = OUTFILE_BUFFER - f->len < bytes.len ? OUTFILE_BUFFER - f->len : bytes.len;

        memcpy(f->buffer + f->len, bytes.ptr, n);
        f->len += n;
        bytes = span_of(bytes.ptr + n, bytes.len - n);
        if (f->len == OUTFILE_BUFFER)
            err = flush(f);
    }
    return err;
}

/* The name of the file is durable when its folder is. */
static enum err
sync_folder(struct outfile *f)
{
    char copy[PATH_MAX];
    int fd;
    bool synced;

    memcpy(copy, f->path, sizeof(copy));
    fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    synced = fd >= 0 && fsync(fd) == 0;
    if (!synced)
        (void)fail(f, "cannot sync the folder of");
    if (fd >= 0)
        close(fd);
    return synced ? OK : ERR_IO;
}

enum err
outfile_done(struct outfile *f)
{
    enum err err = flush(f);

    if (err != OK || f->to_stdout)
        return err;
    if (fsync(f->fd) != 0)
        return fail(f, "cannot sync");
    /* A link, unlike a rename, refuses a name that came into being meanwhile. */
    if (link(f->temp, f->path) != 0)
        return fail(f, errno == EEXIST ? "will not overwrite" : "cannot name");
    outfile_drop(f);
    return sync_folder(f);
}

void
outfile_drop(struct outfile *f)
{
    if (f->temp[0] != '\0')
        (void)unlink(f->temp);
    f->temp[0] = '\0';
    if (f->fd >= 0 && !f->to_stdout)
        close(f->fd);
    f->fd = -1;
}
