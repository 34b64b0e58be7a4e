/* thread.c: starting threads. Any thread. */
#include "store/thread.h"

#include <signal.h>
#include <string.h>

enum err
thread_start(
    pthread_t *out, const char *name, void *(*run)(void *arg), void *arg, struct complaint *why)
{
    sigset_t all, before;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(out, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        complain(
            why, "cannot start the thread %s: %s; raise the limit of tasks", name, strerror(rc));
        return ERR_MEMORY;
    }
    (void)pthread_setname_np(*out, name);
    return OK;
}
