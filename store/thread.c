/* thread.c: starting threads. Any thread. */
#include "store/thread.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct start {
    const char *name;
    void *(*run)(void *arg);
    void *arg;
};

/* A thread names itself: naming another goes through a file below /proc, which a confined process
 * cannot write. */
static void *
thread_main(void *arg)
{
    struct start start = *(struct start *)arg;

    free(arg);
    (void)pthread_setname_np(pthread_self(), start.name);
    return start.run(start.arg);
}

enum err
thread_start(
    pthread_t *out, const char *name, void *(*run)(void *arg), void *arg, struct complaint *why)
{
    struct start *start = malloc(sizeof(*start));
    sigset_t all, before;
    int rc;

    if (start == NULL) {
        complain(why, "no memory to start the thread %s", name);
        return ERR_MEMORY;
    }
    *start = (struct start){name, run, arg};
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(out, NULL, thread_main, start);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        free(start);
        complain(
            why, "cannot start the thread %s: %s; raise the limit of tasks", name, strerror(rc));
        return ERR_MEMORY;
    }
    return OK;
}
