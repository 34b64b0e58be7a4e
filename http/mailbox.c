/* mailbox.c: how other threads reach a loop: bounded posts, reserved posts, notices. Any thread;
 * what is posted runs on the loop's own. */
#include "http/engine.h"

#define BATCH 256 /* posts taken out under one lock */

enum err
mailbox_init(struct mailbox *mailbox)
{
    /* calloc: places are touched as they are used, so an idle ring costs no memory */
    mailbox->posts = calloc(LOOP_MAILBOX_MAX, sizeof(*mailbox->posts));
    if (mailbox->posts == NULL)
        return ERR_MEMORY;
    pthread_mutex_init(&mailbox->lock, NULL);
    mailbox->notices_end = &mailbox->notices;
    return OK;
}

void
mailbox_fini(struct mailbox *mailbox)
{
    if (mailbox->posts == NULL)
        return;
    free(mailbox->posts);
    mailbox->posts = NULL;
    pthread_mutex_destroy(&mailbox->lock);
}

/* Under the lock; the caller has made sure of a place. */
static void
put(struct mailbox *mailbox, post_fn fn, struct ref ref, void *arg)
{
    uint32_t at = (mailbox->first + mailbox->used) % LOOP_MAILBOX_MAX;

    mailbox->posts[at] = (struct post){fn, ref, arg};
    mailbox->used++;
}

bool
loop_post(struct loop *loop, post_fn fn, struct ref ref, void *arg)
{
    struct mailbox *mailbox = &loop->mailbox;
    bool wake = false, posted = false;

    pthread_mutex_lock(&mailbox->lock);
    if (!mailbox->stopped && mailbox->used + mailbox->reserved < LOOP_MAILBOX_MAX) {
        wake = mailbox->used == 0;
        put(mailbox, fn, ref, arg);
        posted = true;
    }
    if (wake)
        uv_async_send(&loop->async);
    pthread_mutex_unlock(&mailbox->lock);
    return posted;
}

bool
loop_reserve(struct loop *loop)
{
    struct mailbox *mailbox = &loop->mailbox;
    bool reserved = false;

    pthread_mutex_lock(&mailbox->lock);
    if (!mailbox->stopped && mailbox->used + mailbox->reserved < LOOP_MAILBOX_MAX) {
        mailbox->reserved++;
        reserved = true;
    }
    pthread_mutex_unlock(&mailbox->lock);
    return reserved;
}

void
loop_unreserve(struct loop *loop)
{
    pthread_mutex_lock(&loop->mailbox.lock);
    INVARIANT(loop->mailbox.reserved > 0);
    loop->mailbox.reserved--;
    pthread_mutex_unlock(&loop->mailbox.lock);
}

bool
loop_post_reserved(struct loop *loop, post_fn fn, struct ref ref, void *arg)
{
    struct mailbox *mailbox = &loop->mailbox;
    bool posted;

    pthread_mutex_lock(&mailbox->lock);
    INVARIANT(mailbox->reserved > 0);
    mailbox->reserved--;
    posted = !mailbox->stopped;
    if (posted) {
        put(mailbox, fn, ref, arg);
        if (mailbox->used == 1)
            uv_async_send(&loop->async);
    }
    pthread_mutex_unlock(&mailbox->lock);
    return posted;
}

void
loop_notify(struct loop *loop, struct notice *notice)
{
    struct mailbox *mailbox = &loop->mailbox;

    pthread_mutex_lock(&mailbox->lock);
    if (!notice->posted && !mailbox->stopped) {
        notice->posted = true;
        notice->next = NULL;
        *mailbox->notices_end = notice;
        mailbox->notices_end = &notice->next;
        mailbox->notice_count++;
        if (mailbox->notices == notice)
            uv_async_send(&loop->async);
    }
    pthread_mutex_unlock(&mailbox->lock);
}

static uint32_t
take(struct mailbox *mailbox, struct post *batch)
{
    uint32_t n = mailbox->used < BATCH ? mailbox->used : BATCH;

    for (uint32_t i = 0; i < n; i++)
        batch[i] = mailbox->posts[(mailbox->first + i) % LOOP_MAILBOX_MAX];
    mailbox->used -= n;
    /* An emptied ring starts over, so that light use stays on the same few cache lines. */
    mailbox->first = mailbox->used == 0 ? 0 : (mailbox->first + n) % LOOP_MAILBOX_MAX;
    return n;
}

/* One notice off the front: its memory may be posted again by its sender from here on. */
static struct notice *
take_notice(struct mailbox *mailbox)
{
    struct notice *notice = mailbox->notices;

    if (notice == NULL)
        return NULL;
    mailbox->notices = notice->next;
    if (mailbox->notices == NULL)
        mailbox->notices_end = &mailbox->notices;
    mailbox->notice_count--;
    notice->posted = false;
    return notice;
}

void
mailbox_run(struct loop *loop)
{
    struct mailbox *mailbox = &loop->mailbox;
    struct post batch[BATCH];
    struct notice *notice;
    uint32_t n, notices;

    pthread_mutex_lock(&mailbox->lock);
    notices = mailbox->notice_count; /* those posted from now on are the next turn's */
    n = take(mailbox, batch);
    if (mailbox->used > 0)
        uv_async_send(&loop->async); /* the rest after the sockets had their turn */
    pthread_mutex_unlock(&mailbox->lock);
    for (uint32_t i = 0; i < notices; i++) {
        pthread_mutex_lock(&mailbox->lock);
        notice = take_notice(mailbox);
        if (i + 1 == notices && mailbox->notices != NULL)
            uv_async_send(&loop->async);
        pthread_mutex_unlock(&mailbox->lock);
        notice->fn(loop, notice);
    }
    for (uint32_t i = 0; i < n; i++)
        batch[i].fn(loop, batch[i].ref, batch[i].arg);
}

void
mailbox_stop(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    mailbox->stopped = true;
    pthread_mutex_unlock(&mailbox->lock);
}
