/* state.c: files of the state folder, each replaced whole (temp, sync, rename). One thread. */
#include "tools/agent/state.h"

#include "core/ascii.h"
#include "core/checkpoint.h"
#include "tools/agent/say.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX 2048

static enum err
default_path(char *out, size_t size)
{
    const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n;

    if (xdg != NULL && xdg[0] == '/')
        n = snprintf(out, size, "%s/gatehouse-agent", xdg);
    else if (geteuid() == 0)
        n = snprintf(out, size, "/var/lib/gatehouse-agent");
    else if (home != NULL && home[0] == '/')
        n = snprintf(out, size, "%s/.local/state/gatehouse-agent", home);
    else
        return ERR_NOT_FOUND;
    return n > 0 && (size_t)n < size ? OK : ERR_LIMIT;
}

/* mkdir -p, the last one 0700. */
static void
make_folders(const char *path)
{
    char part[4096];

    snprintf(part, sizeof(part), "%s", path);
    for (char *p = part + 1; *p != '\0'; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        (void)mkdir(part, 0755);
        *p = '/';
    }
    (void)mkdir(part, 0700);
}

static enum err
folder_open(struct state *st)
{
    struct stat sb;

    make_folders(st->path);
    st->dir = open(st->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (st->dir < 0 || fstat(st->dir, &sb) != 0) {
        say("state folder %s: %s", st->path, strerror(errno));
        return ERR_IO;
    }
    if (sb.st_uid != geteuid() || (sb.st_mode & 077) != 0) {
        say("state folder %s must belong to you alone: chown it to uid %u, chmod 700", st->path,
            (unsigned)geteuid());
        return ERR_DENIED;
    }
    st->lock = openat(st->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (st->lock < 0 || flock(st->lock, LOCK_EX | LOCK_NB) != 0) {
        say("state folder %s: another agent uses it (or: %s)", st->path, strerror(errno));
        return ERR_EXISTS;
    }
    return OK;
}

/* A whole small file. ERR_NOT_FOUND: there is none. */
static enum err
file_read(struct state *st, const char *name, void *buf, size_t cap, size_t *len)
{
    int fd = openat(st->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat sb;
    ssize_t n = -1;
    enum err err = ERR_IO;

    if (fd < 0 && errno == ENOENT)
        return ERR_NOT_FOUND;
    if (fd < 0 || fstat(fd, &sb) != 0) {
        say("%s/%s: %s", st->path, name, strerror(errno));
        goto out;
    }
    if (sb.st_uid != geteuid() || (sb.st_mode & 077) != 0 || !S_ISREG(sb.st_mode)) {
        say("%s/%s must be a file that only you can read: chmod 600", st->path, name);
        err = ERR_DENIED;
        goto out;
    }
    if ((n = read(fd, buf, cap)) < 0 || (size_t)n == cap) {
        say("%s/%s: %s", st->path, name, n < 0 ? strerror(errno) : "is too long");
        goto out;
    }
    *len = (size_t)n;
    err = OK;
out:
    if (fd >= 0)
        close(fd);
    return err;
}

static enum err
file_write(struct state *st, const char *name, const void *bytes, size_t len)
{
    char temp[64];
    int fd;
    bool good;

    snprintf(temp, sizeof(temp), "%s.new", name);
    (void)unlinkat(st->dir, temp, 0);
    fd = openat(st->dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    good = fd >= 0 && write(fd, bytes, len) == (ssize_t)len && fsync(fd) == 0;
    if (fd >= 0 && close(fd) != 0)
        good = false;
    if (!good || renameat(st->dir, temp, st->dir, name) != 0 || fsync(st->dir) != 0) {
        say("%s/%s: %s", st->path, name, strerror(errno));
        return ERR_IO;
    }
    return OK;
}

static enum err
key_load(struct state *st)
{
    uint8_t *seed = sodium_malloc(33); /* one more, to see what is too long */
    size_t len = 0;
    enum err err;

    st->key = sodium_malloc(crypto_sign_SECRETKEYBYTES);
    if (seed == NULL || st->key == NULL) {
        say("no memory for the device key");
        sodium_free(seed);
        return ERR_MEMORY;
    }
    err = file_read(st, "device.key", seed, 33, &len);
    if (err == ERR_NOT_FOUND) {
        randombytes_buf(seed, 32);
        len = 32;
        err = file_write(st, "device.key", seed, 32);
    }
    if (err == OK && len != 32) {
        say("%s/device.key is damaged: it should have 32 bytes; remove it and enrol again",
            st->path);
        err = ERR_MALFORMED;
    }
    if (err == OK)
        crypto_sign_seed_keypair(st->public_key, st->key, seed);
    sodium_free(seed);
    return err;
}

static enum err
pin_load(struct state *st)
{
    char buf[FILE_BYTES_MAX];
    struct span rest, origin, vkey;
    size_t len;
    enum err err = file_read(st, "server.pin", buf, sizeof(buf), &len);

    if (err != OK)
        return err == ERR_NOT_FOUND ? OK : err;
    rest = span_of(buf, len);
    if (!ascii_line(&rest, &origin) || !ascii_line(&rest, &vkey) || rest.len != 0 ||
        origin.len > ORIGIN_BYTES_MAX || vkey.len > CONTROL_VKEY_BYTES_MAX) {
        say("%s/server.pin is damaged", st->path);
        return ERR_MALFORMED;
    }
    memcpy(st->origin, origin.ptr, origin.len);
    memcpy(st->root_vkey, vkey.ptr, vkey.len);
    st->pinned = true;
    return OK;
}

static enum err
machine_load(struct state *st)
{
    char buf[64];
    struct span rest, line;
    size_t len;
    enum err err = file_read(st, "machine", buf, sizeof(buf), &len);

    if (err != OK)
        return err == ERR_NOT_FOUND ? OK : err;
    rest = span_of(buf, len);
    if (!ascii_line(&rest, &line) || id_parse(ID_MACHINE, line, &st->machine) != OK) {
        say("%s/machine is damaged: it should hold a machine id (mch_...)", st->path);
        return ERR_MALFORMED;
    }
    st->enrolled = true;
    return OK;
}

/* Reads a checkpoint of the pinned origin. The log key is not known here, so its signature is not
 * checked: what is kept is what the server said, to be held against it later. */
static enum err
head_parse(const struct state *st, struct span checkpoint, struct checkpoint *cp)
{
    struct note note;
    enum err err;

    if (checkpoint.len > CHECKPOINT_BYTES_MAX)
        return ERR_LIMIT;
    if ((err = note_parse(checkpoint, &note)) != OK)
        return err;
    if ((err = checkpoint_parse(note.text, cp)) != OK)
        return err;
    return span_is(cp->origin, st->origin) ? OK : ERR_MISMATCH;
}

static enum err
head_load(struct state *st)
{
    char buf[CHECKPOINT_BYTES_MAX + 1];
    struct checkpoint cp;
    size_t len;
    enum err err = file_read(st, "checkpoint", buf, sizeof(buf), &len);

    if (err != OK)
        return err == ERR_NOT_FOUND ? OK : err;
    if (head_parse(st, span_of(buf, len), &cp) != OK) {
        say("%s/checkpoint is damaged: moved aside by the next one", st->path);
        return OK;
    }
    st->head_size = cp.size;
    st->head_root = cp.root;
    return OK;
}

enum err
state_open(const char *path, struct state *st)
{
    char def[4096];
    enum err err;

    *st = (struct state){.dir = -1, .lock = -1};
    if (path == NULL && default_path(def, sizeof(def)) != OK) {
        say("no HOME to keep state in: give --state-dir");
        return ERR_NOT_FOUND;
    }
    if ((st->path = strdup(path != NULL ? path : def)) == NULL)
        return ERR_MEMORY;
    if ((err = folder_open(st)) != OK || (err = key_load(st)) != OK || (err = pin_load(st)) != OK ||
        (err = machine_load(st)) != OK || (err = head_load(st)) != OK)
        state_close(st);
    return err;
}

void
state_close(struct state *st)
{
    sodium_free(st->key);
    free(st->path);
    if (st->lock >= 0)
        close(st->lock);
    if (st->dir >= 0)
        close(st->dir);
    *st = (struct state){.dir = -1, .lock = -1};
}

enum err
state_pin(struct state *st, struct span origin, struct span root_vkey)
{
    char text[ORIGIN_BYTES_MAX + CONTROL_VKEY_BYTES_MAX + 8], root[ORIGIN_BYTES_MAX + 8];
    struct note_key key;
    int n;
    enum err err;

    if (st->pinned)
        return span_is(origin, st->origin) && span_is(root_vkey, st->root_vkey) ? OK : ERR_MISMATCH;
    if (origin.len > ORIGIN_BYTES_MAX || root_vkey.len > CONTROL_VKEY_BYTES_MAX ||
        note_vkey_parse(root_vkey, &key) != OK)
        return ERR_MALFORMED;
    snprintf(root, sizeof(root), "%.*s", (int)origin.len, (const char *)origin.ptr);
    root[strcspn(root, "/")] = '\0'; /* NAME/2 is certified by NAME/root */
    snprintf(root + strlen(root), sizeof(root) - strlen(root), "/root");
    if (strcmp(key.name, root) != 0)
        return ERR_MALFORMED;
    n = snprintf(text, sizeof(text), "%.*s\n%.*s\n", (int)origin.len, (const char *)origin.ptr,
        (int)root_vkey.len, (const char *)root_vkey.ptr);
    if ((err = file_write(st, "server.pin", text, (size_t)n)) != OK)
        return err;
    memcpy(st->origin, origin.ptr, origin.len);
    st->origin[origin.len] = '\0';
    memcpy(st->root_vkey, root_vkey.ptr, root_vkey.len);
    st->root_vkey[root_vkey.len] = '\0';
    st->pinned = true;
    return OK;
}

enum err
state_enrolled(struct state *st, const struct id *machine)
{
    char text[ID_TEXT_BYTES + 1];
    size_t n;

    st->machine = *machine;
    st->enrolled = true;
    id_text(ID_MACHINE, machine, text);
    n = strlen(text);
    text[n++] = '\n';
    return file_write(st, "machine", text, n);
}

void
state_forget_machine(struct state *st)
{
    st->enrolled = false;
    (void)unlinkat(st->dir, "machine", 0);
}

enum err
state_head(struct state *st, struct span checkpoint)
{
    struct checkpoint cp;
    enum err err = head_parse(st, checkpoint, &cp);

    if (err != OK)
        return err == ERR_MISMATCH ? err : ERR_MALFORMED;
    if (cp.size < st->head_size ||
        (cp.size == st->head_size && !hash_equal(&cp.root, &st->head_root)))
        return ERR_MISMATCH;
    if (cp.size == st->head_size)
        return OK;
    if ((err = file_write(st, "checkpoint", checkpoint.ptr, checkpoint.len)) != OK)
        return err;
    st->head_size = cp.size;
    st->head_root = cp.root;
    return OK;
}
