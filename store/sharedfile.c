/* sharedfile.c: a file mapped for reading and writing. Main thread. */
#include "store/sharedfile.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum err
sharedfile_open(const struct state *st, const char *name, size_t bytes, struct sharedfile *out,
    struct complaint *why)
{
    struct stat sb;
    int fd, error;
    enum err err = state_file_open(st, name, O_RDWR | O_CREAT, &fd, why);

    *out = (struct sharedfile){NULL, 0};
    if (err != OK)
        return err;
    if (fstat(fd, &sb) != 0 || (sb.st_size > (off_t)bytes && ftruncate(fd, (off_t)bytes) != 0)) {
        error = errno;
        goto failed;
    }
    if ((error = posix_fallocate(fd, 0, (off_t)bytes)) != 0)
        goto failed;
    out->memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (out->memory == MAP_FAILED || !state_sync_folder(st, ".")) {
        error = errno;
        goto failed;
    }
    out->bytes = bytes;
    close(fd);
    return OK;
failed:
    if (out->memory == MAP_FAILED)
        out->memory = NULL;
    if (out->memory != NULL)
        munmap(out->memory, bytes);
    out->memory = NULL;
    complain(why, "cannot use %s/%s: %s; make room on the disk, or remove the file", st->path, name,
        strerror(error));
    close(fd);
    return ERR_IO;
}

void
sharedfile_close(struct sharedfile *f)
{
    if (f->memory == NULL)
        return;
    (void)msync(f->memory, f->bytes, MS_SYNC); /* counts only: what is lost is said at the start */
    munmap(f->memory, f->bytes);
    *f = (struct sharedfile){NULL, 0};
}
