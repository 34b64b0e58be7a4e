/* sigpool.c: a few threads that take jobs by number from one array. Never touches the verifier. */
#include "store/sigpool.h"

#include <stdatomic.h>
#include <unistd.h>

#include "store/thread.h"

#define THREADS_MAX 64
#define CHUNK       8 /* jobs taken at once: some 0.4 ms */

struct sigpool {
    const char *origin;
    pthread_mutex_t lock; /* what follows */
    pthread_cond_t work, idle;
    const struct verify_job *jobs;
    size_t count;
    uint64_t round; /* raised by each start */
    unsigned busy;  /* threads that have not finished this round */
    bool ending;
    size_t bad;

    atomic_size_t next;
    unsigned threads;
    pthread_t thread[THREADS_MAX];
};

/* The lowest index that failed, of those this thread took. */
static size_t
work(struct sigpool *p, const struct verify_job *jobs, size_t count)
{
    size_t bad = SIZE_MAX, from;

    while ((from = atomic_fetch_add(&p->next, CHUNK)) < count) {
        for (size_t i = from; i < count && i < from + CHUNK; i++) {
            if (verify_job_run(p->origin, &jobs[i]) != NULL && i < bad)
                bad = i;
        }
    }
    return bad;
}

static void *
run(void *arg)
{
    struct sigpool *p = arg;
    uint64_t round = 0;

    pthread_mutex_lock(&p->lock);
    for (;;) {
        size_t bad;

        while (p->round == round && !p->ending)
            pthread_cond_wait(&p->work, &p->lock);
        if (p->ending)
            break;
        round = p->round;
        pthread_mutex_unlock(&p->lock);
        bad = work(p, p->jobs, p->count);
        pthread_mutex_lock(&p->lock);
        if (bad < p->bad)
            p->bad = bad;
        if (--p->busy == 0)
            pthread_cond_signal(&p->idle);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

enum err
sigpool_new(const char *origin, unsigned threads, struct sigpool **out, struct complaint *why)
{
    struct sigpool *p = calloc(1, sizeof(*p));
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (p == NULL)
        return ERR_MEMORY;
    if (threads == 0)
        threads = cores > 0 ? (unsigned)cores : 1;
    p->origin = origin;
    p->bad = SIZE_MAX;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->idle, NULL);
    for (unsigned i = 0; i < threads && i < THREADS_MAX; i++) {
        enum err err = thread_start(&p->thread[p->threads], "verify", run, p, why);

        if (err != OK) {
            sigpool_free(p);
            return err;
        }
        p->threads++;
    }
    *out = p;
    return OK;
}

void
sigpool_start(struct sigpool *p, const struct verify_job *jobs, size_t count)
{
    pthread_mutex_lock(&p->lock);
    INVARIANT(p->busy == 0);
    p->jobs = jobs;
    p->count = count;
    p->bad = SIZE_MAX;
    atomic_store(&p->next, 0);
    p->busy = p->threads;
    p->round++;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
}

size_t
sigpool_wait(struct sigpool *p)
{
    size_t bad;

    pthread_mutex_lock(&p->lock);
    while (p->busy > 0)
        pthread_cond_wait(&p->idle, &p->lock);
    bad = p->bad;
    pthread_mutex_unlock(&p->lock);
    return bad;
}

void
sigpool_free(struct sigpool *p)
{
    if (p == NULL)
        return;
    (void)sigpool_wait(p);
    pthread_mutex_lock(&p->lock);
    p->ending = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->threads; i++)
        pthread_join(p->thread[i], NULL);
    pthread_cond_destroy(&p->work);
    pthread_cond_destroy(&p->idle);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
