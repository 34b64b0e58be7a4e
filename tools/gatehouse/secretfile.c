/* secretfile.c: reads one secret into guarded memory. */
#include "tools/gatehouse/secretfile.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <unistd.h>

static enum err
read_all(int fd, char *out, size_t cap, size_t *len)
{
    *len = 0;
    for (;;) {
        ssize_t n = read(fd, out + *len, cap - *len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ERR_IO;
        if (n == 0)
            return OK;
        *len += (size_t)n;
        if (*len == cap)
            return ERR_LIMIT;
    }
}

enum err
secret_read(const char *path, struct secret_text *out, char *why, size_t why_len)
{
    bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    enum err err;
    size_t len;

    if (fd < 0) {
        snprintf(why, why_len, "%s: %s", path, strerror(errno));
        return ERR_IO;
    }
    if ((out->memory = sodium_malloc(SECRET_FILE_MAX)) == NULL) {
        snprintf(why, why_len, "out of memory");
        err = ERR_MEMORY;
    } else {
        err = read_all(fd, out->memory, SECRET_FILE_MAX, &len);
        if (err == OK && len > 0 && out->memory[len - 1] == '\n')
            len--;
        if (err == OK && len > 0 && out->memory[len - 1] == '\r')
            len--;
        if (err == OK && (len == 0 || memchr(out->memory, '\n', len) != NULL))
            err = ERR_MALFORMED;
        if (err != OK) {
            snprintf(
                why, why_len, "%s: must hold one line of 1 to %d bytes", path, SECRET_FILE_MAX - 1);
            sodium_free(out->memory);
            out->memory = NULL;
        } else {
            out->text = span_of(out->memory, len);
        }
    }
    if (!is_stdin)
        close(fd);
    return err;
}

void
secret_free(struct secret_text *secret)
{
    sodium_free(secret->memory);
    *secret = (struct secret_text){0};
}
