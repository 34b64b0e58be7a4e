/* anchor.c: writes the latest checkpoint beside the log: temp + sync + rename + sync folder. Never
 * holds up a commit, and never ends the server: an anchor that cannot be written is said in the
 * health and tried again. One thread; anchor_check runs on the main thread before it starts. */
#include "store/anchor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/proof.h"
#include "store/thread.h"

#define ANCHOR_FILE "checkpoint"
#define ANCHOR_TEMP "checkpoint.new"

struct anchor {
    char dir[STATE_PATH_BYTES];
    int dir_fd;
    struct loglmdb *log;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock; /* what follows */
    pthread_cond_t changed;
    uint64_t durable;
    bool stopping;
    struct anchor_health health;
};

static void
anchor_dir(const struct anchor_config *config, char out[STATE_PATH_BYTES])
{
    if (config->dir == NULL)
        state_path(config->state, "anchor", out);
    else
        snprintf(out, STATE_PATH_BYTES, "%s", config->dir);
}

static enum err
open_dir(
    const struct anchor_config *config, char dir[STATE_PATH_BYTES], int *fd, struct complaint *why)
{
    anchor_dir(config, dir);
    *fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd >= 0)
        return OK;
    complain(why, "cannot open the anchor folder %s: %s; make it, or give another --anchor-dir",
        dir, strerror(errno));
    return ERR_IO;
}

/* ---- check */

static enum err
read_anchor(int dir_fd, const char *dir, char *out, size_t cap, size_t *len, struct complaint *why)
{
    int fd = openat(dir_fd, ANCHOR_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t n;

    if (fd < 0 && errno == ENOENT)
        return ERR_NOT_FOUND;
    n = fd < 0 ? -1 : read(fd, out, cap);
    if (n < 0)
        complain(why, "cannot read the anchor %s/" ANCHOR_FILE ": %s", dir, strerror(errno));
    if (fd >= 0)
        close(fd);
    *len = n < 0 ? 0 : (size_t)n;
    return n < 0 ? ERR_IO : OK;
}

/* Does our tree extend the anchored one? */
static enum err
check_extends(struct loglmdb *log, const struct checkpoint *anchored)
{
    struct loglmdb_head *head = malloc(sizeof(*head));
    struct proof proof;
    struct hash root;
    enum err err = ERR_MEMORY;

    if (head == NULL)
        return err;
    err = loglmdb_head(log, head);
    if (err == ERR_NOT_FOUND && anchored->size == 0)
        err = OK;
    else if (err == OK && head->frontier.size < anchored->size)
        err = ERR_NOT_FOUND;
    else if (err == OK && (err = proof_consistency(loglmdb_tile_read, log, anchored->size,
                               head->frontier.size, &proof)) == OK) {
        frontier_root(&head->frontier, &root);
        err = proof_consistency_verify(
            anchored->size, &anchored->root, head->frontier.size, &root, proof.path, proof.count);
    }
    free(head);
    return err;
}

static enum err
judge(const struct anchor_config *config, const char *dir, const struct checkpoint *anchored,
    struct complaint *why)
{
    enum err err = check_extends(config->log, anchored);

    if (err == OK)
        return OK;
    if (err == ERR_NOT_FOUND)
        complain(why,
            "the log in %s holds %llu events, and its anchor in %s knows %llu: the log was rolled "
            "back. Put the newest log back; or, if it is lost, start with --accept-rollback, which "
            "opens a successor log and says so in it",
            config->state->path, (unsigned long long)loglmdb_size(config->log), dir,
            (unsigned long long)anchored->size);
    else if (err == ERR_MISMATCH)
        complain(why,
            "the log in %s contradicts its anchor in %s at size %llu: events were changed, or the "
            "anchor is another log's. Run `gatehouse audit verify --checkpoint %s/" ANCHOR_FILE
            "` and restore the log from a backup",
            config->state->path, dir, (unsigned long long)anchored->size, dir);
    else
        complain(why, "cannot compare the log with its anchor in %s: %s", dir, err_name(err));
    return err == ERR_NOT_FOUND ? ERR_MISMATCH : err;
}

enum err
anchor_check(const struct anchor_config *config, const struct note_key *keys, size_t count,
    struct complaint *why)
{
    char dir[STATE_PATH_BYTES], text[CHECKPOINT_BYTES_MAX + 1];
    enum err err = ERR_MISMATCH;
    struct checkpoint anchored;
    size_t len;
    int fd;

    if ((err = open_dir(config, dir, &fd, why)) != OK)
        return err;
    err = read_anchor(fd, dir, text, sizeof(text), &len, why);
    close(fd);
    if (err == ERR_NOT_FOUND)
        return OK;
    if (err != OK)
        return err;
    /* Heads of one log are by one of its keys, whichever epoch was then. */
    err = ERR_MISMATCH;
    for (size_t i = 0; i < count && err != OK; i++)
        err = checkpoint_open(span_of(text, len), &keys[i], 1, &anchored);
    if (err != OK) {
        complain(why,
            "%s/" ANCHOR_FILE " is not signed by a key of the log in %s: it is damaged or of "
            "another log; give the right --anchor-dir, or move the file away if you know why",
            dir, config->state->path);
        return ERR_MISMATCH;
    }
    return judge(config, dir, &anchored, why);
}

/* ---- write */

static bool
write_file(struct anchor *a, const char *text, size_t len)
{
    int fd = openat(a->dir_fd, ANCHOR_TEMP, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
        0644); /* no secret: others may want to copy it */
    bool ok;

    if (fd < 0)
        return false;
    ok = write(fd, text, len) == (ssize_t)len && fsync(fd) == 0;
    if (close(fd) != 0)
        ok = false;
    return ok && renameat(a->dir_fd, ANCHOR_TEMP, a->dir_fd, ANCHOR_FILE) == 0 &&
           fsync(a->dir_fd) == 0;
}

static void
put(struct anchor *a)
{
    struct loglmdb_head head;
    bool ok;
    int error;

    if (loglmdb_head(a->log, &head) != OK)
        return;
    ok = write_file(a, head.checkpoint, head.len);
    error = errno;
    pthread_mutex_lock(&a->lock);
    if (ok) {
        a->health.size = head.frontier.size;
    } else {
        if (!a->health.failing)
            fprintf(stderr,
                "gatehouse: the anchor in %s cannot be written: %s; it is tried again each "
                "second\n",
                a->dir, strerror(error));
        snprintf(a->health.error, sizeof(a->health.error), "%.500s: %s", a->dir, strerror(error));
    }
    a->health.failing = !ok;
    pthread_mutex_unlock(&a->lock);
}

/* With the lock held: until the second is over, or the end has come. */
static void
rest(struct anchor *a)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec++;
    while (!a->stopping && pthread_cond_timedwait(&a->changed, &a->lock, &until) == 0)
        ;
}

static void *
run(void *arg)
{
    struct anchor *a = arg;

    pthread_mutex_lock(&a->lock);
    while (!a->stopping) {
        if (a->durable == a->health.size) {
            pthread_cond_wait(&a->changed, &a->lock);
            continue;
        }
        pthread_mutex_unlock(&a->lock);
        put(a);
        pthread_mutex_lock(&a->lock);
        rest(a);
    }
    pthread_mutex_unlock(&a->lock);
    put(a);
    return NULL;
}

static void
heard(void *ctx, uint64_t size)
{
    struct anchor *a = ctx;

    pthread_mutex_lock(&a->lock);
    a->durable = size;
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
}

void
anchor_listener(struct anchor *a, struct durable_listener *out)
{
    *out = (struct durable_listener){.ctx = a, .durable = heard};
}

void
anchor_health(struct anchor *a, struct anchor_health *out)
{
    pthread_mutex_lock(&a->lock);
    *out = a->health;
    pthread_mutex_unlock(&a->lock);
}

enum err
anchor_start(const struct anchor_config *config, struct anchor **out, struct complaint *why)
{
    struct anchor *a = calloc(1, sizeof(*a));
    pthread_condattr_t monotonic;
    struct stat ours, state;
    enum err err;

    if (a == NULL)
        return ERR_MEMORY;
    a->log = config->log;
    a->dir_fd = -1;
    pthread_mutex_init(&a->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&a->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if ((err = open_dir(config, a->dir, &a->dir_fd, why)) != OK)
        goto out;
    if (fstat(a->dir_fd, &ours) != 0 || fstat(config->state->dir_fd, &state) != 0) {
        complain(why, "cannot look at %s: %s", a->dir, strerror(errno));
        err = ERR_IO;
        goto out;
    }
    a->health.shares_device = ours.st_dev == state.st_dev;
    a->durable = loglmdb_size(config->log);
    err = thread_start(&a->thread, "anchor", run, a, why);
    a->started = err == OK;
out:
    if (err == OK)
        *out = a;
    else
        anchor_stop(a);
    return err;
}

void
anchor_stop(struct anchor *a)
{
    if (a == NULL)
        return;
    pthread_mutex_lock(&a->lock);
    a->stopping = true;
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
    if (a->started)
        pthread_join(a->thread, NULL);
    if (a->dir_fd >= 0)
        close(a->dir_fd);
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->lock);
    free(a);
}
