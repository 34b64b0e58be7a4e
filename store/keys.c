/* keys.c: signing keys as files and in guarded memory. Never prints or returns a secret. The main
 * thread creates and loads; afterwards the journal owns them (it serialises rotations). */
#include "store/keys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <unistd.h>

#include "core/ascii.h"

#define KEY_PREFIX     "gatehouse-key-v1 "
#define KEY_FILE_BYTES 160
#define KEY_NAME_BYTES 64
#define EPOCH_FIRST    1

static void
key_file(char out[KEY_NAME_BYTES], const char *role, uint32_t epoch)
{
    if (epoch == 0)
        snprintf(out, KEY_NAME_BYTES, "keys/%s.key", role);
    else
        snprintf(out, KEY_NAME_BYTES, "keys/%s.%u.key", role, (unsigned)epoch);
}

static void
keypair_fini(struct keypair *pair)
{
    sodium_free(pair->sk);
    memset(pair, 0, sizeof(*pair));
}

static enum err
keypair_from_seed(struct keypair *pair, uint32_t epoch, const uint8_t seed[32])
{
    pair->epoch = epoch;
    pair->sk = sodium_malloc(crypto_sign_SECRETKEYBYTES);
    if (pair->sk == NULL)
        return ERR_MEMORY;
    crypto_sign_seed_keypair(pair->pk, pair->sk, seed);
    sodium_mprotect_readonly(pair->sk);
    return OK;
}

/* "gatehouse-key-v1 ROLE EPOCH BASE64(seed)" */
static enum err
write_secret(const struct state *st, const char *role, uint32_t epoch, const uint8_t seed[32],
    struct complaint *why)
{
    char *text = sodium_malloc(KEY_FILE_BYTES);
    char name[KEY_NAME_BYTES];
    struct ascii a;
    size_t len;
    enum err err;

    if (text == NULL)
        return ERR_MEMORY;
    ascii_init(&a, text, KEY_FILE_BYTES);
    ascii_str(&a, KEY_PREFIX);
    ascii_str(&a, role);
    ascii_str(&a, " ");
    ascii_u64(&a, epoch);
    ascii_str(&a, " ");
    ascii_base64(&a, BASE64_STD, span_of(seed, 32));
    ascii_str(&a, "\n");
    key_file(name, role, epoch);
    if ((err = ascii_end(&a, &len)) == OK)
        err = state_file_write(st, name, span_of(text, len), why);
    sodium_free(text);
    return err;
}

static enum err
parse_secret(struct span text, const char *role, uint32_t epoch, uint8_t seed[32])
{
    struct span line, digits;
    const uint8_t *space;
    uint64_t number;
    size_t len;

    if (!ascii_line(&text, &line) || text.len != 0 || !ascii_skip(&line, KEY_PREFIX) ||
        !ascii_skip(&line, role) || !ascii_skip(&line, " "))
        return ERR_MALFORMED;
    space = memchr(line.ptr, ' ', line.len);
    if (space == NULL)
        return ERR_MALFORMED;
    digits = span_of(line.ptr, (size_t)(space - line.ptr));
    line = span_of(space + 1, line.len - digits.len - 1);
    if (ascii_number(digits, UINT32_MAX, &number) != OK || number != epoch)
        return ERR_MALFORMED;
    if (base64_decode(BASE64_STD, line, seed, 32, &len) != OK || len != 32)
        return ERR_MALFORMED;
    return OK;
}

static enum err
read_secret(const struct state *st, const char *role, uint32_t epoch, struct keypair *out,
    struct complaint *why)
{
    uint8_t *text = sodium_malloc(KEY_FILE_BYTES + 32);
    uint8_t *seed = text == NULL ? NULL : text + KEY_FILE_BYTES;
    char name[KEY_NAME_BYTES];
    size_t len;
    enum err err = ERR_MEMORY;

    key_file(name, role, epoch);
    if (text == NULL)
        goto out;
    if ((err = state_file_read(st, name, text, KEY_FILE_BYTES, &len, why)) != OK)
        goto out;
    if ((err = parse_secret(span_of(text, len), role, epoch, seed)) != OK) {
        complain(why, "%s/%s is damaged: restore it from a backup", st->path, name);
        goto out;
    }
    err = keypair_from_seed(out, epoch, seed);
out:
    sodium_free(text);
    return err;
}

/* A fresh secret, on disk before anything can rest on it. */
static enum err
make_secret(const struct state *st, const char *role, uint32_t epoch, struct keypair *out,
    struct complaint *why)
{
    uint8_t *seed = sodium_malloc(32);
    enum err err = ERR_MEMORY;

    if (seed == NULL)
        return ERR_MEMORY;
    randombytes_buf(seed, 32);
    if ((err = keypair_from_seed(out, epoch, seed)) == OK)
        err = write_secret(st, role, epoch, seed, why);
    sodium_free(seed);
    if (err != OK)
        keypair_fini(out);
    return err;
}

static enum err
vkey(const char *origin, const char *suffix, const uint8_t pk[32], char *out, size_t cap)
{
    char name[ORIGIN_BYTES_MAX + 8];
    struct note_key key;
    size_t len;
    enum err err;

    snprintf(name, sizeof(name), "%s%s", origin, suffix);
    if ((err = note_key_make(span_str(name), pk, &key)) != OK)
        return err;
    if ((err = note_vkey_format(&key, out, cap - 1, &len)) == OK)
        out[len] = '\0';
    return err;
}

enum err
keys_root_vkey(const struct keys *k, char *out, size_t cap)
{
    return vkey(k->origin, "/root", k->root_pk, out, cap);
}

enum err
keys_log_vkey(const struct keys *k, char *out, size_t cap)
{
    return vkey(k->origin, "", k->log.pk, out, cap);
}

static enum err
write_root_public(const struct state *st, const struct keys *k, struct complaint *why)
{
    char text[NOTE_VKEY_BYTES_MAX + 2];
    size_t len;
    enum err err = keys_root_vkey(k, text, sizeof(text) - 1);

    if (err != OK)
        return err;
    len = strlen(text);
    text[len++] = '\n';
    return state_file_write(st, "keys/root.pub", span_of(text, len), why);
}

enum err
keys_root_public(const struct state *st, struct note_key *out, struct complaint *why)
{
    uint8_t text[NOTE_VKEY_BYTES_MAX + 2];
    char name[ORIGIN_BYTES_MAX + 8];
    struct span rest, line;
    size_t len;
    enum err err = state_file_read(st, "keys/root.pub", text, sizeof(text), &len, why);

    if (err != OK)
        return err;
    rest = span_of(text, len);
    snprintf(name, sizeof(name), "%s/root", st->origin);
    if (!ascii_line(&rest, &line) || rest.len != 0 || note_vkey_parse(line, out) != OK ||
        strcmp(out->name, name) != 0) {
        complain(why, "%s/keys/root.pub is not the verifier key of %s: restore it from a backup",
            st->path, name);
        return ERR_MALFORMED;
    }
    return OK;
}

static void
sign_opening(const struct keys *k, const uint8_t *root_sk, struct keys_opening *out)
{
    uint8_t text[VERIFY_TEXT_MAX];
    size_t len = verify_keys_text(k->origin, k->log.pk, k->event.pk, text);

    memcpy(out->root_pk, k->root_pk, 32);
    memcpy(out->log_pk, k->log.pk, 32);
    memcpy(out->event_pk, k->event.pk, 32);
    INVARIANT(crypto_sign_detached(out->root_sig, NULL, text, len, root_sk) == 0);
}

enum err
keys_create(
    const struct state *st, struct keys *out, struct keys_opening *opening, struct complaint *why)
{
    struct keypair root = {0};
    enum err err;

    memset(out, 0, sizeof(*out));
    memcpy(out->origin, st->origin, sizeof(out->origin));
    if ((err = make_secret(st, "root", 0, &root, why)) != OK ||
        (err = make_secret(st, "log", EPOCH_FIRST, &out->log, why)) != OK ||
        (err = make_secret(st, "event", EPOCH_FIRST, &out->event, why)) != OK)
        goto out;
    memcpy(out->root_pk, root.pk, 32);
    if ((err = write_root_public(st, out, why)) == OK)
        sign_opening(out, root.sk, opening);
out:
    if (err == ERR_MEMORY)
        complain(why, "no guarded memory for keys: raise the memlock limit (ulimit -l)");
    keypair_fini(&root);
    if (err != OK)
        keys_close(out);
    return err;
}

static enum err
load_role(const struct state *st, enum key_role role, uint32_t epoch, const uint8_t pk[32],
    struct keypair *out, struct complaint *why)
{
    enum err err = read_secret(st, key_role_name(role), epoch, out, why);

    if (err == ERR_MEMORY)
        complain(why, "no guarded memory for keys: raise the memlock limit (ulimit -l)");
    if (err == OK && memcmp(out->pk, pk, 32) != 0) {
        complain(why,
            "%s/keys/%s.%u.key is not the key that the log names: restore the right one from a "
            "backup",
            st->path, key_role_name(role), (unsigned)epoch);
        err = ERR_MISMATCH;
    }
    return err;
}

/* Is this a secret of a role, of another epoch than the one in force, or a torn write of one? */
static bool
is_stale(const char *name, const struct keys *k)
{
    static const enum key_role roles[] = {KEY_LOG, KEY_EVENT};
    char current[KEY_NAME_BYTES];
    size_t len = strlen(name);

    if (len > 4 && strcmp(name + len - 4, ".new") == 0)
        return true;
    for (size_t i = 0; i < 2; i++) {
        const char *role = key_role_name(roles[i]);
        size_t role_len = strlen(role);

        if (strncmp(name, role, role_len) != 0 || name[role_len] != '.')
            continue;
        key_file(current, role, roles[i] == KEY_LOG ? k->log.epoch : k->event.epoch);
        return len > 4 && strcmp(name + len - 4, ".key") == 0 &&
               strcmp(current + strlen("keys/"), name) != 0;
    }
    return false;
}

/* Secrets that no event names (a rotation that did not become durable), and those of epochs gone by
 * (one whose wiping was cut short). */
static enum err
wipe_stale(const struct state *st, const struct keys *k, struct complaint *why)
{
    int fd = openat(st->dir_fd, "keys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    enum err err = OK;

    if (dir == NULL) {
        complain(why, "cannot list %s/keys: %s", st->path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return ERR_IO;
    }
    while (err == OK && (entry = readdir(dir)) != NULL) {
        char name[KEY_NAME_BYTES];

        if (!is_stale(entry->d_name, k))
            continue;
        if (snprintf(name, sizeof(name), "keys/%s", entry->d_name) < (int)sizeof(name))
            err = state_file_wipe(st, name, why);
    }
    closedir(dir);
    return err;
}

static enum err
load_both(const struct state *st, const struct keys_in_force *now, struct keys *out,
    struct complaint *why)
{
    enum err err;

    memset(out, 0, sizeof(*out));
    memcpy(out->origin, st->origin, sizeof(out->origin));
    memcpy(out->root_pk, now->root_pk, 32);
    err = load_role(st, KEY_LOG, now->log_epoch, now->log_pk, &out->log, why);
    if (err == OK)
        err = load_role(st, KEY_EVENT, now->event_epoch, now->event_pk, &out->event, why);
    return err;
}

enum err
keys_load(const struct state *st, const struct keys_in_force *now, struct keys *out,
    struct complaint *why)
{
    enum err err = load_both(st, now, out, why);

    if (err == OK)
        err = wipe_stale(st, out, why);
    if (err != OK)
        keys_close(out);
    return err;
}

enum err
keys_check(const struct state *st, const struct keys_in_force *now, struct complaint *why)
{
    struct keys keys;
    enum err err = load_both(st, now, &keys, why);

    keys_close(&keys);
    return err;
}

void
keys_close(struct keys *k)
{
    keypair_fini(&k->log);
    keypair_fini(&k->event);
    keypair_fini(&k->next);
}

enum err
keys_rotate_begin(const struct state *st, struct keys *k, enum key_role role,
    struct keys_rotation *out, struct complaint *why)
{
    const struct keypair *now = role == KEY_LOG ? &k->log : &k->event;
    const struct keypair *other = role == KEY_LOG ? &k->event : &k->log;
    uint8_t text[VERIFY_TEXT_MAX];
    size_t len;
    enum err err;

    if (k->next.sk != NULL) {
        complain(why, "another rotation is under way: try again when it is done");
        return ERR_EXISTS;
    }
    err = make_secret(st, key_role_name(role), now->epoch + 1, &k->next, why);
    if (err != OK)
        return err;
    k->next_role = role;
    out->role = role;
    out->epoch = k->next.epoch;
    memcpy(out->new_pk, k->next.pk, 32);
    len = verify_rotate_text(k->origin, role, out->epoch, out->new_pk, text);
    INVARIANT(crypto_sign_detached(out->possession_sig, NULL, text, len, k->next.sk) == 0);
    INVARIANT(crypto_sign_detached(out->other_sig, NULL, text, len, other->sk) == 0);
    return OK;
}

void
keys_rotate_switch(struct keys *k, struct keypair *old)
{
    struct keypair *now = k->next_role == KEY_LOG ? &k->log : &k->event;

    INVARIANT(k->next.sk != NULL);
    *old = *now;
    *now = k->next;
    memset(&k->next, 0, sizeof(k->next));
}

enum err
keys_rotate_end(
    const struct state *st, enum key_role role, struct keypair *old, struct complaint *why)
{
    char name[KEY_NAME_BYTES];

    key_file(name, key_role_name(role), old->epoch);
    keypair_fini(old);
    return state_file_wipe(st, name, why);
}

enum err
keys_rotate_cancel(const struct state *st, struct keys *k, struct complaint *why)
{
    if (k->next.sk == NULL)
        return OK;
    return keys_rotate_end(st, k->next_role, &k->next, why);
}
