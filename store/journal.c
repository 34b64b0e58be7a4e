/* journal.c: bodies in, durable events out. The writer thread owns the log's write transaction, the
 * tree's edge and the log key. While it is busy with a batch, the signer thread signs the next one
 * and syncs its secrets; a writer that is not busy does that itself, and saves the way to another
 * thread. Neither ever reports a failed write: state_failstop ends the process, and what was not
 * announced was never said. */
#include "store/journal.h"

#include <errno.h>
#include <sodium.h>
#include <stdatomic.h>

#include "core/pack.h"
#include "store/thread.h"

#define UNDER_WAY_MAX 2

/* A batch on its way. Its arrays stay for the next one: no allocation in the long run. */
struct job {
    struct batch *batch;
    uint8_t (*sigs)[EVENT_SIG_BYTES];
    struct hash *leaves;
    uint32_t cap;
};

struct journal {
    struct journal_config config;
    pthread_mutex_t lock; /* what follows */
    pthread_cond_t to_sign, to_write;
    /* Counts of batches; a job is its count % 2. Batches are signed one after the other, by whoever
     * has claimed one: claimed is signed_up, or one more. */
    uint64_t submitted, claimed, signed_up, done;
    uint64_t next_seq;
    bool rotating; /* a batch that rotates is under way: nothing may follow it yet */
    bool stopping;
    struct job jobs[UNDER_WAY_MAX];

    _Atomic uint64_t durable;
    pthread_mutex_t announcing; /* held while listeners are called, and for ever after a failure */
    pthread_mutex_t keys_lock;  /* rotation against rotation */
    struct tile_writer tree;    /* the writer's */
    struct note_signer *signer;
    pthread_t signer_thread, writer_thread;
    bool signer_started, writer_started;
};

/* The other thread may have a sound batch to announce: too late, once this has begun. */
static _Noreturn void
failed(struct journal *j, const char *what, enum err err, const char *error)
{
    pthread_mutex_lock(&j->announcing);
    state_failstop(j->config.state, what, error,
        err == ERR_FULL ? "Make room on the disk." : "Check the disk and its connection.");
}

static enum err
make_signer(struct journal *j)
{
    const struct keys *keys = j->config.keys;

    note_signer_free(j->signer);
    j->signer = NULL;
    return note_signer_new(span_str(keys->origin), keys->log.sk, &j->signer);
}

/* ---- the ledger's side */

static bool
submit(void *ctx, struct batch *b)
{
    struct journal *j = ctx;
    bool taken, idle;

    INVARIANT(b->count > 0);
    pthread_mutex_lock(&j->lock);
    idle = j->submitted == j->done;
    taken = !j->stopping && !j->rotating && j->submitted - j->done < UNDER_WAY_MAX;
    if (taken) {
        INVARIANT(b->first_seq == j->next_seq);
        INVARIANT(b->key_epoch == j->config.keys->event.epoch);
        j->next_seq += b->count;
        j->rotating = b->rotates;
        j->jobs[j->submitted % UNDER_WAY_MAX].batch = b;
        j->submitted++;
    }
    pthread_mutex_unlock(&j->lock);
    if (taken)
        pthread_cond_signal(idle ? &j->to_write : &j->to_sign);
    return taken;
}

void
journal_port(struct journal *j, struct journal_port *out)
{
    *out = (struct journal_port){.ctx = j, .submit = submit};
}

uint64_t
journal_durable(struct journal *j)
{
    return atomic_load(&j->durable);
}

unsigned
journal_under_way(struct journal *j)
{
    unsigned n;

    pthread_mutex_lock(&j->lock);
    n = (unsigned)(j->submitted - j->done);
    pthread_mutex_unlock(&j->lock);
    return n;
}

uint32_t
journal_event_epoch(struct journal *j)
{
    uint32_t epoch;

    pthread_mutex_lock(&j->keys_lock);
    epoch = j->config.keys->event.epoch;
    pthread_mutex_unlock(&j->keys_lock);
    return epoch;
}

enum err
journal_rotate(
    struct journal *j, enum key_role role, struct keys_rotation *out, struct complaint *why)
{
    enum err err;

    pthread_mutex_lock(&j->keys_lock);
    err = keys_rotate_begin(j->config.state, j->config.keys, role, out, why);
    pthread_mutex_unlock(&j->keys_lock);
    return err;
}

enum err
journal_rotate_cancel(struct journal *j, struct complaint *why)
{
    enum err err;

    pthread_mutex_lock(&j->keys_lock);
    err = keys_rotate_cancel(j->config.state, j->config.keys, why);
    pthread_mutex_unlock(&j->keys_lock);
    return err;
}

/* ---- the signer */

static void
job_room(struct journal *j, struct job *job)
{
    uint32_t count = job->batch->count;

    if (count <= job->cap)
        return;
    free(job->sigs);
    free(job->leaves);
    job->sigs = calloc(count, sizeof(*job->sigs));
    job->leaves = calloc(count, sizeof(*job->leaves));
    if (job->sigs == NULL || job->leaves == NULL)
        failed(j, "no memory to sign a batch", ERR_MEMORY, "out of memory");
    job->cap = count;
}

/* The type of an event, without decoding all of it. */
static uint64_t
type_of(struct span body)
{
    struct reader r;

    reader_init(&r, body);
    (void)reader_array(&r);
    for (unsigned i = 0; i < 8; i++)
        (void)reader_raw(&r);
    return reader_u64(&r);
}

static bool
is_key_event(struct span body)
{
    uint64_t type = type_of(body);

    return type == EV_LOG_OPENED || type == EV_KEY_ROTATED || type == EV_KEY_COMPROMISED;
}

static void
sign_job(struct journal *j, struct job *job)
{
    static const uint8_t leaf_prefix = 0x00;
    const struct batch *b = job->batch;
    const struct keys *keys = j->config.keys;

    if (b->secret_count > 0) {
        enum err err = keystore_apply(j->config.keystore, b->secrets, b->secret_count);

        if (err != OK)
            failed(j, "a secret could not be written to the keystore", err,
                err == ERR_IO ? strerror(errno) : err_name(err));
    }
    job_room(j, job);
    for (uint32_t i = 0; i < b->count; i++) {
        struct span body = batch_body(b, i);
        struct span parts[3] = {
            span_of(&leaf_prefix, 1), body, span_of(job->sigs[i], EVENT_SIG_BYTES)};

        /* Key events are found again by their place: first of all, or last of a rotation. */
        INVARIANT(
            is_key_event(body) == (b->first_seq + i == 0 || (b->rotates && i + 1 == b->count)));
        event_sign(keys->origin, body, keys->event.sk, job->sigs[i]);
        hash_parts(parts, 3, &job->leaves[i]);
    }
}

/* Under the lock: a batch waits to be signed, and all before it are. */
static bool
may_claim(const struct journal *j)
{
    return j->submitted > j->claimed && j->claimed == j->signed_up;
}

/* Called and returns under the lock. */
static void
claim_and_sign(struct journal *j)
{
    struct job *job = &j->jobs[j->claimed % UNDER_WAY_MAX];

    j->claimed++;
    pthread_mutex_unlock(&j->lock);
    sign_job(j, job);
    pthread_mutex_lock(&j->lock);
    j->signed_up++;
}

static void *
signer_run(void *arg)
{
    struct journal *j = arg;

    pthread_mutex_lock(&j->lock);
    for (;;) {
        if (may_claim(j) && j->claimed > j->done) { /* else the writer is free to do it */
            claim_and_sign(j);
            pthread_cond_signal(&j->to_write);
        } else if (j->stopping && j->claimed == j->submitted) {
            break;
        } else {
            pthread_cond_wait(&j->to_sign, &j->lock);
        }
    }
    pthread_mutex_unlock(&j->lock);
    return NULL;
}

/* ---- the writer */

static enum err
put_records(struct journal *j, const struct job *job)
{
    struct loglmdb *log = j->config.log;
    const struct batch *b = job->batch;
    enum err err = OK;

    for (uint32_t i = 0; i < b->count && err == OK; i++) {
        struct span body = batch_body(b, i);
        uint8_t *where;

        err = loglmdb_reserve(log, b->first_seq + i, body.len + EVENT_SIG_BYTES, &where);
        if (err != OK)
            break;
        memcpy(where, body.ptr, body.len);
        memcpy(where + body.len, job->sigs[i], EVENT_SIG_BYTES);
    }
    if (err == OK && b->first_seq == 0)
        err = loglmdb_put_key_event(log, 0);
    if (err == OK && b->rotates)
        err = loglmdb_put_key_event(log, b->first_seq + b->count - 1);
    return err;
}

static enum err
put_tree(struct journal *j, const struct job *job)
{
    struct loglmdb *log = j->config.log;
    char checkpoint[CHECKPOINT_BYTES_MAX];
    struct hash root;
    size_t len;
    enum err err =
        tile_writer_append(&j->tree, job->leaves, job->batch->count, loglmdb_tile_put, log);

    if (err != OK)
        return err;
    frontier_root(&j->tree.frontier, &root);
    err = checkpoint_sign(
        j->tree.frontier.size, &root, j->signer, checkpoint, sizeof(checkpoint), &len);
    if (err != OK)
        return err;
    return loglmdb_put_head(log, &j->tree.frontier, span_of(checkpoint, len));
}

static void
commit_job(struct journal *j, const struct job *job)
{
    uint64_t size = job->batch->first_seq + job->batch->count;
    enum err err = loglmdb_begin(j->config.log);

    if (err == OK)
        err = put_records(j, job);
    if (err == OK)
        err = put_tree(j, job);
    if (err == OK)
        err = loglmdb_commit(j->config.log, size);
    if (err != OK)
        failed(j, "events could not be made durable", err, loglmdb_strerror(j->config.log, err));
}

/* key.rotated is durable: from here on the new key is the key. */
static void
switch_keys(struct journal *j, const struct batch *b, struct keypair *old, enum key_role *role)
{
    struct keys *keys = j->config.keys;
    struct event *ev = malloc(sizeof(*ev));
    uint8_t pk[32];
    enum err err;

    if (ev == NULL)
        failed(j, "no memory to switch keys", ERR_MEMORY, "out of memory");
    pthread_mutex_lock(&j->keys_lock);
    err = event_decode(batch_body(b, b->count - 1), ev);
    INVARIANT(err == OK && fields_fixed(&ev->data, FIELD_NEW_KEY, pk, sizeof(pk)));
    INVARIANT(memcmp(pk, keys->next.pk, sizeof(pk)) == 0);
    *role = keys->next_role;
    keys_rotate_switch(keys, old);
    if (*role == KEY_LOG && (err = make_signer(j)) != OK)
        failed(j, "the new log key cannot be used", err, err_name(err));
    pthread_mutex_unlock(&j->keys_lock);
    free(ev);
}

static void
announce(struct journal *j, uint64_t size)
{
    pthread_mutex_lock(&j->announcing);
    atomic_store(&j->durable, size);
    for (uint32_t i = 0; i < j->config.listener_count; i++)
        j->config.listeners[i].durable(j->config.listeners[i].ctx, size);
    pthread_mutex_unlock(&j->announcing);
}

/* What may go now that its successor is durable. */
static void
clean_up(struct journal *j, const struct batch *b, enum key_role role, struct keypair *old)
{
    struct complaint why = {.text = ""};
    enum err err;

    if (b->secret_count > 0) {
        err = keystore_drop(j->config.keystore, b->secrets, b->secret_count);
        if (err != OK)
            failed(j, "a replaced secret could not be overwritten", err, strerror(errno));
    }
    if (b->rotates) {
        err = keys_rotate_end(j->config.state, role, old, &why);
        if (err != OK)
            failed(j, "the old key could not be overwritten", err, why.text);
    }
}

static void
write_job(struct journal *j, struct job *job)
{
    struct batch *b = job->batch;
    struct keypair old = {0};
    enum key_role role = KEY_EVENT;

    commit_job(j, job);
    if (b->rotates)
        switch_keys(j, b, &old, &role);
    pthread_mutex_lock(&j->lock);
    job->batch = NULL;
    j->done++;
    if (b->rotates)
        j->rotating = false;
    pthread_mutex_unlock(&j->lock);
    announce(j, b->first_seq + b->count);
    clean_up(j, b, role, &old);
    batch_free(b);
}

static void *
writer_run(void *arg)
{
    struct journal *j = arg;

    pthread_mutex_lock(&j->lock);
    for (;;) {
        if (j->signed_up > j->done) {
            pthread_mutex_unlock(&j->lock);
            write_job(j, &j->jobs[j->done % UNDER_WAY_MAX]);
            pthread_mutex_lock(&j->lock);
        } else if (may_claim(j)) {
            claim_and_sign(j);
            if (j->submitted > j->claimed || j->stopping)
                pthread_cond_signal(&j->to_sign); /* held back meanwhile, or the end */
        } else if (j->stopping && j->done == j->submitted) {
            break;
        } else {
            pthread_cond_wait(&j->to_write, &j->lock);
        }
    }
    pthread_mutex_unlock(&j->lock);
    return NULL;
}

/* ---- start and stop */

/* The stored tree must agree with itself and with the stored head. */
static enum err
load_tree(struct journal *j, struct complaint *why)
{
    struct loglmdb_head head;
    struct checkpoint cp;
    struct hash root;
    struct note note;
    enum err err = loglmdb_head(j->config.log, &head);

    tile_writer_init(&j->tree);
    if (err == ERR_NOT_FOUND && loglmdb_size(j->config.log) == 0)
        return OK;
    if (err == OK)
        err = tile_writer_load(&j->tree, &head.frontier, loglmdb_tile_read, j->config.log);
    if (err == OK)
        err = note_parse(span_of(head.checkpoint, head.len), &note);
    if (err == OK)
        err = checkpoint_parse(note.text, &cp);
    if (err == OK) {
        frontier_root(&j->tree.frontier, &root);
        if (cp.size != j->tree.frontier.size || !hash_equal(&cp.root, &root))
            err = ERR_MISMATCH;
    }
    if (err != OK)
        complain(why,
            "tiles, tree and checkpoint of %s/log do not fit together (%s): run `gatehouse audit "
            "verify`, and restore the log from a backup",
            j->config.state->path, err_name(err));
    return err;
}

enum err
journal_start(const struct journal_config *config, struct journal **out, struct complaint *why)
{
    struct journal *j = calloc(1, sizeof(*j));
    enum err err;

    if (j == NULL)
        return ERR_MEMORY;
    j->config = *config;
    pthread_mutex_init(&j->lock, NULL);
    pthread_mutex_init(&j->keys_lock, NULL);
    pthread_mutex_init(&j->announcing, NULL);
    pthread_cond_init(&j->to_sign, NULL);
    pthread_cond_init(&j->to_write, NULL);
    if ((err = load_tree(j, why)) != OK)
        goto out;
    j->next_seq = j->tree.frontier.size;
    atomic_store(&j->durable, j->next_seq);
    if ((err = make_signer(j)) != OK) {
        complain(why, "no guarded memory for keys: raise the memlock limit (ulimit -l)");
        goto out;
    }
    if ((err = thread_start(&j->signer_thread, "signer", signer_run, j, why)) != OK)
        goto out;
    j->signer_started = true;
    if ((err = thread_start(&j->writer_thread, "journal", writer_run, j, why)) != OK)
        goto out;
    j->writer_started = true;
out:
    if (err == OK)
        *out = j;
    else
        journal_stop(j);
    return err;
}

void
journal_stop(struct journal *j)
{
    if (j == NULL)
        return;
    pthread_mutex_lock(&j->lock);
    j->stopping = true;
    pthread_mutex_unlock(&j->lock);
    pthread_cond_signal(&j->to_sign);
    pthread_cond_signal(&j->to_write);
    if (j->signer_started)
        pthread_join(j->signer_thread, NULL);
    if (j->writer_started)
        pthread_join(j->writer_thread, NULL);
    note_signer_free(j->signer);
    for (unsigned i = 0; i < UNDER_WAY_MAX; i++) {
        free(j->jobs[i].sigs);
        free(j->jobs[i].leaves);
    }
    pthread_cond_destroy(&j->to_sign);
    pthread_cond_destroy(&j->to_write);
    pthread_mutex_destroy(&j->announcing);
    pthread_mutex_destroy(&j->keys_lock);
    pthread_mutex_destroy(&j->lock);
    free(j);
}
