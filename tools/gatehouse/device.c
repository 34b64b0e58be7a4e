/* device.c: one small file for each server and user. Main thread. */
#include "tools/gatehouse/device.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/gatehouse/token.h"

#define NAME_MAX_BYTES 64

static void
file_name(const char *server, const char *user, const char *suffix, char out[NAME_MAX_BYTES])
{
    crypto_generichash_state st;
    uint8_t hash[16];
    char hex[2 * sizeof(hash) + 1];

    crypto_generichash_init(&st, NULL, 0, sizeof(hash));
    crypto_generichash_update(&st, (const uint8_t *)server, strlen(server) + 1);
    crypto_generichash_update(&st, (const uint8_t *)user, strlen(user));
    crypto_generichash_final(&st, hash, sizeof(hash));
    snprintf(out, NAME_MAX_BYTES, "device.%s%s",
        sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash)), suffix);
}

/* It goes into a JSON text: nothing but what such a token is made of. */
static bool
looks_right(const char *text)
{
    size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.");

    return n > 0 && text[n] == '\0';
}

bool
device_load(const char *server, const char *user, char out[DEVICE_TEXT_MAX])
{
    char name[NAME_MAX_BYTES];
    int dir = token_folder_open(), fd = -1;
    struct stat sb;
    ssize_t n = -1;

    file_name(server, user, "", name);
    if (dir >= 0)
        fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && fstat(fd, &sb) == 0 && S_ISREG(sb.st_mode) && sb.st_uid == geteuid() &&
        (sb.st_mode & 077) == 0)
        n = read(fd, out, DEVICE_TEXT_MAX - 1);
    if (fd >= 0)
        close(fd);
    if (dir >= 0)
        close(dir);
    out[n > 0 ? n : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
    return looks_right(out);
}

bool
device_save(const char *server, const char *user, const char *text)
{
    char name[NAME_MAX_BYTES], fresh[NAME_MAX_BYTES];
    int dir = token_folder_open(), fd = -1;
    bool good = looks_right(text) && dir >= 0;

    file_name(server, user, "", name);
    file_name(server, user, ".new", fresh);
    if (good) {
        (void)unlinkat(dir, fresh, 0);
        fd = openat(dir, fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    }
    good = fd >= 0 && dprintf(fd, "%s\n", text) > 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    good = good && renameat(dir, fresh, dir, name) == 0;
    if (dir >= 0)
        close(dir);
    return good;
}
