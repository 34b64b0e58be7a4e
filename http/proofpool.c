/* proofpool.c: threads that hash. They own nothing but the job in hand. */
#include "http/proofpool.h"

#include <pthread.h>
#include <sodium.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PROOF_PASSWORD_MAX 1024
#define PROOF_NICE         5
#define PROOF_BUFFERS_KEPT 64

struct proofpool {
    pthread_t threads[PROOF_THREADS_MAX];
    unsigned thread_count;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct proof_job *head, **tail;
    unsigned queued;
    bool closing;
};

/* Guarded buffers that wait to be used again: making one takes system calls and touches every
 * thread's page tables, which a flood of logins must not buy. Any thread. */
static struct {
    pthread_mutex_t lock;
    unsigned count;
    char *buffers[PROOF_BUFFERS_KEPT];
} kept = {.lock = PTHREAD_MUTEX_INITIALIZER};

static char *
buffer_take(void)
{
    char *buffer = NULL;

    pthread_mutex_lock(&kept.lock);
    if (kept.count > 0)
        buffer = kept.buffers[--kept.count];
    pthread_mutex_unlock(&kept.lock);
    return buffer != NULL ? buffer : sodium_malloc(PROOF_PASSWORD_MAX + 1);
}

static void
buffer_give(char *buffer, size_t used)
{
    sodium_memzero(buffer, used);
    pthread_mutex_lock(&kept.lock);
    if (kept.count < PROOF_BUFFERS_KEPT) {
        kept.buffers[kept.count++] = buffer;
        buffer = NULL;
    }
    pthread_mutex_unlock(&kept.lock);
    sodium_free(buffer);
}

static void
buffers_free(void)
{
    while (kept.count > 0)
        sodium_free(kept.buffers[--kept.count]);
}

struct proof_job *
proof_job_new(enum proof_kind kind, struct span password)
{
    struct proof_job *job;

    if (password.len > PROOF_PASSWORD_MAX || (job = calloc(1, sizeof(*job))) == NULL)
        return NULL;
    if ((job->password = buffer_take()) == NULL) {
        free(job);
        return NULL;
    }
    if (password.len > 0)
        memcpy(job->password, password.ptr, password.len);
    job->password[password.len] = '\0';
    job->password_len = password.len;
    job->kind = kind;
    return job;
}

void
proof_job_free(struct proof_job *job)
{
    if (job == NULL)
        return;
    buffer_give(job->password, job->password_len + 1);
    sodium_memzero(job, sizeof(*job));
    free(job);
}

static void
proof_run(struct proof_job *job)
{
    struct span password = span_of(job->password, job->password_len);

    if (job->kind == PROOF_VERIFY)
        job->proven = password_verify(job->verifier, password);
    else if (job->judge)
        job->fault = password_judge(password, span_str(job->account));
    if (job->kind == PROOF_HASH && job->fault == PASSWORD_FINE)
        job->proven = password_hash(password, job->verifier) == OK;
}

static void
proof_arrived(struct loop *loop, struct ref ref, void *arg)
{
    struct proof_job *job = arg;

    job->done(loop, ref, job);
    proof_job_free(job);
}

static struct proof_job *
pool_take(struct proofpool *pool)
{
    struct proof_job *job = NULL;

    pthread_mutex_lock(&pool->lock);
    while (pool->head == NULL && !pool->closing)
        pthread_cond_wait(&pool->wake, &pool->lock);
    if (!pool->closing) {
        job = pool->head;
        pool->head = job->next;
        if (pool->head == NULL)
            pool->tail = &pool->head;
        pool->queued--;
    }
    pthread_mutex_unlock(&pool->lock);
    return job;
}

static void *
pool_run(void *arg)
{
    struct proofpool *pool = arg;
    struct proof_job *job;

    /* Per thread on Linux; a refusal costs nothing but politeness. */
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), PROOF_NICE);
    while ((job = pool_take(pool)) != NULL) {
        proof_run(job);
        if (!loop_post_reserved(job->loop, proof_arrived, job->ref, job))
            proof_job_free(job); /* the loop has ended */
    }
    return NULL;
}

struct proofpool *
proofpool_new(unsigned threads)
{
    struct proofpool *pool = calloc(1, sizeof(*pool));

    if (pool == NULL)
        return NULL;
    pool->tail = &pool->head;
    INVARIANT(pthread_mutex_init(&pool->lock, NULL) == 0);
    INVARIANT(pthread_cond_init(&pool->wake, NULL) == 0);
    if (threads > PROOF_THREADS_MAX)
        threads = PROOF_THREADS_MAX;
    while (pool->thread_count < threads)
        if (pthread_create(&pool->threads[pool->thread_count], NULL, pool_run, pool) != 0)
            break;
        else
            pool->thread_count++;
    if (pool->thread_count == 0) {
        free(pool);
        return NULL;
    }
    return pool;
}

void
proofpool_free(struct proofpool *pool)
{
    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->thread_count; i++)
        pthread_join(pool->threads[i], NULL);
    while (pool->head != NULL) {
        struct proof_job *next = pool->head->next;

        proof_job_free(pool->head);
        pool->head = next;
    }
    buffers_free();
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

bool
proofpool_submit(struct proofpool *pool, struct proof_job *job)
{
    bool taken = false;

    if (!loop_reserve(job->loop))
        return false;
    pthread_mutex_lock(&pool->lock);
    if (!pool->closing && pool->queued < PROOF_QUEUE_MAX) {
        job->next = NULL;
        *pool->tail = job;
        pool->tail = &job->next;
        pool->queued++;
        taken = true;
        pthread_cond_signal(&pool->wake);
    }
    pthread_mutex_unlock(&pool->lock);
    if (!taken)
        loop_unreserve(job->loop);
    return taken;
}
