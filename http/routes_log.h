/* routes_log.h: the head that strangers are shown: renewed once a minute, so that they cannot watch
 * the log grow. Shared by all loops. */
#ifndef HTTP_ROUTES_LOG_H
#define HTTP_ROUTES_LOG_H

#include <pthread.h>

#include "core/limits.h"
#include "http/app.h"

struct published_head {
    pthread_mutex_t lock;
    uint64_t taken_ms;
    size_t len;
    char text[CHECKPOINT_BYTES_MAX];
};

struct published_head *published_head_new(void); /* NULL: no memory */
void published_head_free(struct published_head *h);
struct published_head *routes_published_head(struct app *app); /* routes.c */

#endif
