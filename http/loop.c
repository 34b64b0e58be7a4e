/* loop.c: one uv loop on one thread, and what happens in each of its turns. The order of a turn:
 * timers, mailbox and sockets as uv finds them; then, before it sleeps, what is queued is written,
 * poll masks are set, and what has ended is ended (conns_turn). Never decides, never blocks. */
#include "http/conn.h"
#include "http/relay.h"
#include "http/relay_internal.h"

#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

static _Thread_local const struct loop *this_loop;

bool
loop_is_mine(const struct loop *loop)
{
    return this_loop == loop || !loop->started;
}

unsigned
loop_index(const struct loop *loop)
{
    return loop->index;
}

uint64_t
loop_now_ms(const struct loop *loop)
{
    return uv_now(&loop->uv);
}

void *
loop_user(struct loop *loop)
{
    return loop->server->options.user;
}

void
loop_timer_set(struct loop *loop, struct timer *timer, uint64_t after_ms)
{
    timer_set(&loop->wheel, timer, loop_now_ms(loop), after_ms);
}

void
loop_timer_stop(struct loop *loop, struct timer *timer)
{
    timer_stop(&loop->wheel, timer);
}

void
loop_counters_read(const struct loop *loop, struct loop_counters *out)
{
    const struct loop_counters *c = &loop->counters;

#define READ(field) out->field = __atomic_load_n(&c->field, __ATOMIC_RELAXED)
    READ(accepted);
    READ(refused_caps);
    READ(refused_files);
    READ(handshakes);
    READ(handshakes_failed);
    READ(requests);
    READ(refused_requests);
    READ(timeouts);
    READ(upgrades);
    READ(moved_in);
    READ(moved_out);
    READ(relays);
    READ(relay_bytes);
    READ(bytes_in);
    READ(bytes_out);
    READ(connections);
    READ(websockets);
    READ(relays_open);
#undef READ
}

const char *
loop_date(struct loop *loop)
{
    uint64_t now = loop_now_ms(loop);

    if (loop->date[0] == '\0' || now - loop->date_ms >= 1000) {
        time_t t = time(NULL);
        struct tm tm;

        gmtime_r(&t, &tm);
        strftime(loop->date, sizeof(loop->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        loop->date_ms = now;
    }
    return loop->date;
}

static void
on_async(uv_async_t *async)
{
    mailbox_run(async->data);
}

static void
on_idle(uv_idle_t *idle)
{
    (void)idle; /* being active is its work: poll does not sleep */
}

static void
on_tick(uv_timer_t *ticker)
{
    struct loop *loop = ticker->data;

    timer_wheel_run(&loop->wheel, loop, loop_now_ms(loop));
}

static void
on_handle_closed(uv_handle_t *handle)
{
    (void)handle;
}

/* The loop's own handles go when the last connection is gone; uv_run then returns. */
static void
loop_close_handles(struct loop *loop)
{
    uv_handle_t *handles[] = {(uv_handle_t *)&loop->async, (uv_handle_t *)&loop->prepare,
        (uv_handle_t *)&loop->idle, (uv_handle_t *)&loop->ticker};

    mailbox_stop(&loop->mailbox);
    do /* what was accepted is still answered: its sender may wait for it */
        mailbox_run(loop);
    while (loop->mailbox.used > 0);
    for (size_t i = 0; i < sizeof(handles) / sizeof(handles[0]); i++) {
        if (!uv_is_closing(handles[i]))
            uv_close(handles[i], on_handle_closed);
    }
}

/* The wheel is ticked only while a timer is set: an idle loop sleeps. */
static void
loop_tick_at_need(struct loop *loop)
{
    bool need = loop->wheel.count > 0;

    if (need == loop->ticking)
        return;
    loop->ticking = need;
    if (need) {
        loop->wheel.tick = loop_now_ms(loop) / TIMER_TICK_MS;
        uv_timer_start(&loop->ticker, on_tick, TIMER_TICK_MS, TIMER_TICK_MS);
    } else {
        uv_timer_stop(&loop->ticker);
    }
}

static void
on_prepare(uv_prepare_t *prepare)
{
    struct loop *loop = prepare->data;
    bool busy;

    conns_turn(loop);
    relays_turn(loop);
    busy = conns_busy(loop) || loop->relays_ending != NULL;
    if (busy != loop->idling) {
        loop->idling = busy;
        if (busy)
            uv_idle_start(&loop->idle, on_idle);
        else
            uv_idle_stop(&loop->idle);
    }
    loop_tick_at_need(loop);
    if (loop->stopping && !busy && loop->handles == 0)
        loop_close_handles(loop);
}

enum err
loop_new(struct http_server *server, unsigned index, struct loop **out)
{
    struct loop *loop = calloc(1, sizeof(*loop));

    if (loop == NULL)
        return ERR_MEMORY;
    loop->server = server;
    loop->index = index;
    loop->slots_max = server->options.connections_max;
    loop->slots_free = UINT32_MAX;
    loop->spare_fd = -1;
    if (uv_loop_init(&loop->uv) != 0) {
        free(loop);
        return ERR_MEMORY;
    }
    timer_wheel_init(&loop->wheel, loop_now_ms(loop));
    loop->slots = calloc(loop->slots_max, sizeof(*loop->slots));
    loop->read_buffer = malloc(LOOP_HEADROOM + RELAY_READ_BYTES);
    loop->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (loop->slots == NULL || loop->read_buffer == NULL || loop->spare_fd < 0 ||
        mailbox_init(&loop->mailbox) != OK ||
        uv_async_init(&loop->uv, &loop->async, on_async) != 0) {
        loop_free(loop);
        return ERR_MEMORY;
    }
    uv_prepare_init(&loop->uv, &loop->prepare);
    uv_idle_init(&loop->uv, &loop->idle);
    uv_timer_init(&loop->uv, &loop->ticker);
    loop->async.data = loop->prepare.data = loop->ticker.data = loop;
    uv_prepare_start(&loop->prepare, on_prepare);
    *out = loop;
    return OK;
}

static void *
loop_main(void *arg)
{
    struct loop *loop = arg;

    this_loop = loop;
    uv_update_time(&loop->uv);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    return NULL;
}

enum err
loop_start(struct loop *loop)
{
    sigset_t all, before;
    int rc;

    for (size_t i = 0; i < loop->listener_count; i++) {
        if (listener_start(&loop->listeners[i]) != OK)
            return ERR_IO;
    }
    loop->started = true;
    sigfillset(&all); /* signals are the main thread's */
    pthread_sigmask(SIG_BLOCK, &all, &before);
    rc = pthread_create(&loop->thread, NULL, loop_main, loop);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        loop->started = false;
    return rc == 0 ? OK : ERR_IO;
}

static void
loop_drain_over(struct loop *loop, struct timer *timer)
{
    (void)timer;
    for (uint32_t i = 0; i < loop->slots_touched; i++) {
        if (loop->slots[i].conn != NULL)
            conn_end(loop->slots[i].conn);
    }
}

static void
loop_begin_stop(struct loop *loop, struct notice *notice)
{
    (void)notice;
    if (loop->stopping)
        return;
    loop->stopping = true;
    for (size_t i = 0; i < loop->listener_count; i++)
        listener_stop(&loop->listeners[i]);
    for (uint32_t i = 0; i < loop->slots_touched; i++) {
        struct conn *conn = loop->slots[i].conn;

        if (conn == NULL || conn->ended)
            continue;
        if (conn->handshaking)
            conn_end(conn);
        else
            conn->ops->on_stop(conn);
    }
    loop->drain_timer.fn = loop_drain_over;
    loop_timer_set(loop, &loop->drain_timer, atomic_load(&loop->server->drain_ms));
}

bool
loop_is_stopping(const struct loop *loop)
{
    return loop->stopping;
}

void
loop_stop(struct loop *loop)
{
    loop->stop_notice.fn = loop_begin_stop;
    loop_notify(loop, &loop->stop_notice);
}

void
loop_join(struct loop *loop)
{
    if (!loop->started)
        return;
    pthread_join(loop->thread, NULL);
    loop->started = false;
}

void
loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    INVARIANT(!loop->started);
    for (size_t i = 0; i < loop->listener_count; i++)
        listener_stop(&loop->listeners[i]);
    if (loop->async.data != NULL)
        loop_close_handles(loop);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    INVARIANT(uv_loop_close(&loop->uv) == 0);
    mailbox_fini(&loop->mailbox);
    if (loop->spare_fd >= 0)
        close(loop->spare_fd);
    free(loop->slots);
    free(loop->read_buffer);
    free(loop);
}
