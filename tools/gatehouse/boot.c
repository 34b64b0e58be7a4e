/* boot.c: opening a state folder, and replaying its log. Main thread only. */
#include "tools/gatehouse/boot.h"

#include <sodium.h>
#include <time.h>
#include <unistd.h>

#include "core/password.h"

static int64_t
clock_us(clockid_t id)
{
    struct timespec ts;

    INVARIANT(clock_gettime(id, &ts) == 0);
    return (int64_t)ts.tv_sec * US_PER_S + ts.tv_nsec / 1000;
}

/* The kernel's boot id as a tag: told apart, and nothing else. */
static enum err
boot_identify(struct boot *b, struct complaint *why)
{
    char text[BOOT_ID_BYTES];

    if (state_kernel_boot(text) != OK) {
        complain(why, "/proc/sys/kernel/random/boot_id cannot be read: mount /proc.");
        return ERR_IO;
    }
    crypto_generichash(b->kernel_boot.b, TAG_BYTES, (const uint8_t *)text, strlen(text), NULL, 0);
    randombytes_buf(b->boot_id.b, ID_BYTES);
    return OK;
}

/* ---- replay ---- */

struct replay {
    struct boot *boot;
    uint64_t bad_seq;
    bool bad;
};

static void
replay_keys(struct boot *b, const struct event *ev)
{
    struct keys_in_force *now = &b->keys_now;
    uint32_t epoch = (uint32_t)fields_u64(&ev->data, FIELD_EPOCH);
    bool log = span_is(fields_span(&ev->data, FIELD_KEY_ROLE), "log");

    if (ev->type == EV_LOG_OPENED) {
        fields_fixed(&ev->data, FIELD_ROOT_KEY, now->root_pk, 32);
        fields_fixed(&ev->data, FIELD_LOG_KEY, now->log_pk, 32);
        fields_fixed(&ev->data, FIELD_EVENT_KEY, now->event_pk, 32);
        now->log_epoch = now->event_epoch = ev->key_epoch;
        log = true;
    } else if (ev->type == EV_KEY_ROTATED && log) {
        fields_fixed(&ev->data, FIELD_NEW_KEY, now->log_pk, 32);
        now->log_epoch = epoch;
    } else if (ev->type == EV_KEY_ROTATED) {
        fields_fixed(&ev->data, FIELD_NEW_KEY, now->event_pk, 32);
        now->event_epoch = epoch;
    } else {
        return;
    }
    if (log && b->log_key_count < sizeof(b->log_keys) / sizeof(b->log_keys[0]) &&
        note_key_make(span_str(b->state.origin), now->log_pk, &b->log_keys[b->log_key_count]) == OK)
        b->log_key_count++;
}

static void
replay_clock(struct boot *b, const struct event *ev)
{
    struct tag kernel;

    b->past.any = true;
    b->past.last_eff_us = ev->eff_us;
    if (ev->type == EV_SERVER_STARTED) {
        kernel = fields_tag(&ev->data, FIELD_KERNEL_BOOT);
        b->past.same_kernel_boot = tag_equal(&kernel, &b->kernel_boot);
    } else if (ev->type != EV_HEARTBEAT) {
        return;
    }
    b->past.mark_eff_us = ev->eff_us;
    b->past.mark_boottime_us = fields_u64(&ev->data, FIELD_BOOTTIME_US);
}

static void
replay_refusals(struct boot *b, const struct event *ev)
{
    uint64_t generation = fields_u64(&ev->data, FIELD_GENERATION);

    if (ev->type == EV_REFUSALS_COUNTED && generation > b->refusals_logged)
        b->refusals_logged = generation;
}

static bool
replay_one(void *arg, uint64_t seq, struct span record)
{
    struct replay *r = arg;
    struct span body, sig;
    struct event ev;

    if (event_split(record, &body, &sig) != OK || event_decode(body, &ev) != OK || ev.seq != seq) {
        r->bad = true;
        r->bad_seq = seq;
        return false;
    }
    world_fold(r->boot->world, &ev);
    replay_keys(r->boot, &ev);
    secret_past_fold(&r->boot->secrets, &ev);
    replay_clock(r->boot, &ev);
    replay_refusals(r->boot, &ev);
    event_prev(body, &r->boot->prev);
    return true;
}

static enum err
boot_replay(struct boot *b, struct complaint *why)
{
    struct replay r = {.boot = b};
    struct log_port port;
    uint64_t size, next = 0;

    loglmdb_port(b->log, &port);
    size = port.size(port.ctx);
    while (next < size && !r.bad) {
        enum err err = port.read(port.ctx, next, UINT32_MAX, replay_one, &r, &next);

        if (err != OK)
            return err;
    }
    if (r.bad) {
        complain(why,
            "Event %llu of the log cannot be read. Run `gatehouse audit verify` to see what is "
            "wrong, and restore a backup.",
            (unsigned long long)r.bad_seq);
        return ERR_MISMATCH;
    }
    return OK;
}

/* ---- keystore ---- */

/* A secret that no event names (any more) is discarded: it was never acknowledged, or replaced. */
static bool
secret_is_named(const struct world *w, const struct batch_secret *s)
{
    const struct account *account;

    switch (s->kind) {
    case SECRET_PASSWORD:
        account = account_find(w, &s->id);
        return account != NULL && account->verifier_version == s->version;
    case SECRET_CODE: return code_find(w, &s->id) != NULL;
    case SECRET_API_KEY: return key_find(w, &s->id) != NULL;
    case SECRET_INVITE: return invite_find(w, &s->id) != NULL;
    case SECRET_SUBJECT: /* names people in old events, too */
    case SECRET_ORIGIN: return true;
    }
    return false;
}

struct loading {
    struct boot *boot;
    enum err err;
};

static bool
load_secret(void *arg, const struct batch_secret *secret)
{
    struct loading *l = arg;

    if (!secret_is_named(l->boot->world, secret))
        return false;
    if (l->err == OK)
        l->err = vault_apply(l->boot->vault, secret);
    return true;
}

static enum err
boot_load_secrets(struct boot *b, struct complaint *why)
{
    struct loading l = {.boot = b};
    char path[STATE_PATH_BYTES];
    enum err err;

    /* An empty one in its place would forget every password and subject key, and say nothing. */
    state_path(&b->state, "keystore", path);
    if (access(path, F_OK) != 0) {
        complain(
            why, "%s is missing: restore it from a backup, with the log of the same time.", path);
        return ERR_NOT_FOUND;
    }
    if ((err = keystore_open(&b->state, &b->keystore, why)) != OK)
        return err;
    if ((err = keystore_each(b->keystore, load_secret, &l)) != OK)
        complain(why, "The keystore cannot be read: check the disk.");
    return err == OK ? l.err : err;
}

/* ---- life ---- */

static enum err
boot_memory(struct boot *b)
{
    uint8_t boot_key[32];

    b->keyring = keyring_new(b->state.origin);
    b->world = world_new();
    randombytes_buf(boot_key, sizeof(boot_key));
    if (b->keyring != NULL)
        b->vault = vault_new(b->state.origin, boot_key, b->keyring);
    sodium_memzero(boot_key, sizeof(boot_key));
    return b->vault == NULL || b->world == NULL ? ERR_MEMORY : OK;
}

/* A doubt outlives a restart: only an admin ends it. */
static void
boot_clock(struct boot *b)
{
    int64_t wall_us = clock_us(CLOCK_REALTIME);

    clock_start(&b->clock, &b->past, wall_us, (uint64_t)clock_us(CLOCK_BOOTTIME));
    b->wall_error_us = wall_us - b->clock.eff_us;
    if (b->world->clock_unsure)
        b->clock.unsure = b->clock.away = true;
}

enum err
boot_open(const char *state_dir, uint64_t log_map_bytes, struct boot *b, struct complaint *why)
{
    enum err err;

    memset(b, 0, sizeof(*b));
    if ((err = boot_identify(b, why)) != OK)
        return err;
    err = state_open(state_dir, &(struct state_options){.exclusive = true}, &b->state, why);
    if (err != OK)
        return err;
    b->state_held = true;
    if ((err = boot_memory(b)) != OK)
        return err;
    err = loglmdb_open(
        &b->state, &(struct loglmdb_options){.map_bytes = log_map_bytes}, &b->log, why);
    if (err != OK || (err = boot_replay(b, why)) != OK)
        return err;
    boot_clock(b);
    return OK;
}

enum err
boot_load(struct boot *b, struct complaint *why)
{
    enum err err = keys_load(&b->state, &b->keys_now, &b->keys, why);

    if (err != OK)
        return err;
    b->keys_held = true;
    return boot_load_secrets(b, why);
}

enum err
boot_create(const char *state_dir, const char *origin, struct boot *b, struct keys_opening *opening,
    struct complaint *why)
{
    enum err err;

    memset(b, 0, sizeof(*b));
    if ((err = boot_identify(b, why)) != OK ||
        (err = state_create(state_dir, origin, &b->state, why)) != OK)
        return err;
    b->state_held = true;
    if ((err = boot_memory(b)) != OK)
        return err;
    if ((err = keys_create(&b->state, &b->keys, opening, why)) != OK)
        return err;
    b->keys_held = true;
    if ((err = loglmdb_open(&b->state, &(struct loglmdb_options){.create = true}, &b->log, why)) !=
        OK)
        return err;
    if ((err = keystore_open(&b->state, &b->keystore, why)) != OK)
        return err;
    b->keys_now.event_epoch = b->keys_now.log_epoch = 1;
    boot_clock(b);
    return OK;
}

static enum err
boot_open_refusals(struct boot *b, struct complaint *why)
{
    struct id origin_id = event_origin_id(b->state.origin);
    enum err err = sharedfile_open(&b->state, "refusals", refusals_bytes(), &b->refusals_file, why);

    if (err == OK)
        b->refusals_found = refusals_open(&b->refusals, b->refusals_file.memory, &origin_id,
            &b->kernel_boot, b->refusals_logged, b->clock.eff_us);
    return err;
}

/* What absent accounts are proven against: a verifier that no password matches. */
static enum err
boot_dummy_verifier(char out[PASSWORD_VERIFIER_BYTES])
{
    uint8_t random[32];
    enum err err;

    randombytes_buf(random, sizeof(random));
    err = password_hash(span_of(random, sizeof(random)), out);
    sodium_memzero(random, sizeof(random));
    return err;
}

enum err
boot_start(
    struct boot *b, const struct durable_listener *listeners, uint32_t count, struct complaint *why)
{
    struct journal_config config = {
        .state = &b->state, .log = b->log, .keystore = b->keystore, .keys = &b->keys};
    char dummy[PASSWORD_VERIFIER_BYTES];
    struct ledger_start start = {.origin = b->state.origin,
        .world = b->world,
        .vault = b->vault,
        .keyring = b->keyring,
        .next_seq = world_size(b->world),
        .prev = b->prev,
        .key_epoch = b->keys_now.event_epoch,
        .boot = b->boot_id,
        .refusals = &b->refusals,
        .dummy_verifier = dummy};
    enum err err;

    INVARIANT(count <= JOURNAL_LISTENERS_MAX);
    config.listener_count = count;
    for (uint32_t i = 0; i < count; i++)
        config.listeners[i] = listeners[i];
    if ((err = boot_open_refusals(b, why)) != OK ||
        (err = journal_start(&config, &b->journal, why)) != OK)
        return err;
    if ((err = boot_dummy_verifier(dummy)) != OK) {
        complain(why, "Argon2id needs 64 MiB of memory, and there is none.");
        return err;
    }
    journal_port(b->journal, &start.journal);
    return (b->ledger = ledger_new(&start)) == NULL ? ERR_MEMORY : OK;
}

struct verdict *
boot_step(struct boot *b, const struct command *cmd)
{
    struct moment now = {
        .wall_us = clock_us(CLOCK_REALTIME), .boottime_us = (uint64_t)clock_us(CLOCK_BOOTTIME)};
    struct verdict *verdict;
    int64_t wall_error_us;
    uint8_t seed[32];

    (void)clock_advance(&b->clock, now.wall_us, now.boottime_us, &wall_error_us);
    now.eff_us = b->clock.eff_us;
    randombytes_buf(seed, sizeof(seed));
    verdict = ledger_step(b->ledger, cmd, &now, seed);
    sodium_memzero(seed, sizeof(seed));
    return verdict;
}

void
boot_flush(struct boot *b)
{
    static const struct timespec moment = {.tv_nsec = 1000000};

    while (!ledger_flush(b->ledger))
        (void)nanosleep(&moment, NULL);
}

void
boot_close(struct boot *b)
{
    if (b->journal != NULL)
        journal_stop(b->journal);
    ledger_free(b->ledger);
    if (b->refusals_file.memory != NULL)
        refusals_close(&b->refusals);
    sharedfile_close(&b->refusals_file);
    if (b->keystore != NULL)
        keystore_close(b->keystore);
    vault_free(b->vault);
    keyring_free(b->keyring);
    world_free(b->world);
    if (b->keys_held)
        keys_close(&b->keys);
    if (b->log != NULL)
        loglmdb_close(b->log);
    if (b->state_held)
        state_close(&b->state);
    memset(b, 0, sizeof(*b));
}
