/* thread.h: starting the store's threads: named, and deaf to signals, which are the main thread's.
 */
#ifndef STORE_THREAD_H
#define STORE_THREAD_H

#include <pthread.h>

#include "core/err.h"
#include "store/complaint.h"

MUST_USE enum err thread_start(
    pthread_t *out, const char *name, void *(*run)(void *arg), void *arg, struct complaint *why);

#endif
