/* ask.c: questions to the ledger and the line of verdicts that wait to be durable. The ledger
 * delivers in order and mailboxes keep order, so a loop's line is sorted by rests_on: only its head
 * is looked at. Runs on loops; ask_deliver on the ledger thread. */
#include "http/ask.h"

#define OWED_RETRY_MS 128

struct question {
    struct loop *loop;
    struct ask_options options;
    struct command *cmd;
    struct verdict *verdict;
    uint64_t views_until_ms;
    struct question *next;
};

struct line {
    struct question *head, **tail;
};

struct ask_line {
    struct app *app;
    struct loop *loop;
    struct line durable; /* waiting for durability */
    struct line views;   /* durable, waiting for the views */
    struct line owed;    /* facts that a full queue did not take */
    struct timer owed_timer;
    struct notice notice;
    struct timer timer;
};

static void
line_push(struct line *line, struct question *q)
{
    q->next = NULL;
    *line->tail = q;
    line->tail = &q->next;
}

static struct question *
line_pop(struct line *line)
{
    struct question *q = line->head;

    line->head = q->next;
    if (line->head == NULL)
        line->tail = &line->head;
    return q;
}

static void
question_free(struct question *q)
{
    verdict_free(q->verdict);
    command_free(q->cmd);
    free(q);
}

static void
question_answer(struct question *q)
{
    if (q->options.fn != NULL)
        q->options.fn(q->loop, q->options.ref, q->options.user, q->cmd, q->verdict);
    question_free(q);
}

static bool
views_show(const struct app *app, uint64_t rests_on)
{
    return app->views.position(app->views.ctx) >= rests_on;
}

bool
ask_views_ready(struct loop *loop, const struct verdict *verdict)
{
    return views_show(app_of(loop), verdict->rests_on);
}

static void
line_settle(struct ask_line *l)
{
    uint64_t durable = ledger_thread_durable(l->app->ledger);

    while (l->durable.head != NULL && l->durable.head->verdict->rests_on <= durable) {
        struct question *q = line_pop(&l->durable);

        if (q->options.read_views && !views_show(l->app, q->verdict->rests_on)) {
            q->views_until_ms = loop_now_ms(l->loop) + ASK_VIEWS_MS;
            line_push(&l->views, q);
        } else {
            question_answer(q);
        }
    }
    while (l->views.head != NULL && (views_show(l->app, l->views.head->verdict->rests_on) ||
                                        loop_now_ms(l->loop) >= l->views.head->views_until_ms))
        question_answer(line_pop(&l->views));
    if (l->views.head != NULL)
        loop_timer_set(l->loop, &l->timer, ASK_VIEWS_MS / 10);
}

void
ask_settle(struct loop *loop)
{
    line_settle(app_loop_of(loop)->line);
}

static void
line_noticed(struct loop *loop, struct notice *notice)
{
    (void)notice;
    ask_settle(loop);
}

static void
line_timed(struct loop *loop, struct timer *timer)
{
    (void)timer;
    ask_settle(loop);
}

/* "Too often" grants nothing and tells nothing but the caller's own doing: it need not wait. */
static bool
refused_at_once(const struct verdict *verdict)
{
    return verdict->refusal == REFUSE_TOO_OFTEN && verdict->event_count == 0;
}

static void
ask_arrived(struct loop *loop, struct ref ref, void *arg)
{
    struct ask_line *l = app_loop_of(loop)->line;
    struct question *q = arg;

    (void)ref;
    if (refused_at_once(q->verdict)) {
        question_answer(q);
        return;
    }
    line_push(&l->durable, arg);
    line_settle(l);
}

/* Ledger thread. The place in the mailbox was reserved: only a loop that has ended does not take
 * it, and then nobody is there to be told. */
static void
ask_deliver(void *ctx, struct command *cmd, struct verdict *verdict)
{
    struct question *q = ctx;

    q->cmd = cmd;
    q->verdict = verdict;
    if (q->options.decided != NULL)
        q->options.decided(q->loop, q->options.ref, cmd, verdict);
    if (!loop_post_reserved(q->loop, ask_arrived, q->options.ref, q))
        question_free(q);
}

/* Reserves the answer's place, then sends. */
static bool
question_send(struct question *q)
{
    q->cmd->reply_to = (struct reply_to){.deliver = ask_deliver, .ctx = q};
    if (!loop_reserve(q->loop))
        return false;
    if (ledger_thread_submit(app_of(q->loop)->ledger, q->cmd))
        return true;
    loop_unreserve(q->loop);
    return false;
}

static struct question *
question_new(struct loop *loop, struct command *cmd, const struct ask_options *options)
{
    struct question *q = calloc(1, sizeof(*q));

    if (q == NULL)
        return NULL;
    q->loop = loop;
    q->cmd = cmd;
    q->options = *options;
    return q;
}

bool
ask(struct loop *loop, struct command *cmd, const struct ask_options *options)
{
    struct question *q = question_new(loop, cmd, options);

    if (q == NULL) {
        command_free(cmd);
        return false;
    }
    if (question_send(q))
        return true;
    question_free(q);
    return false;
}

static void
owed_retry(struct loop *loop, struct timer *timer)
{
    struct ask_line *l = app_loop_of(loop)->line;

    while (l->owed.head != NULL) {
        struct question *q = line_pop(&l->owed);

        if (question_send(q))
            continue;
        q->next = l->owed.head; /* to the front again: order is kept */
        if (l->owed.head == NULL)
            l->owed.tail = &q->next;
        l->owed.head = q;
        loop_timer_set(loop, timer, OWED_RETRY_MS);
        return;
    }
}

void
ask_insist(struct loop *loop, struct command *cmd, asked_fn fn)
{
    struct ask_line *l = app_loop_of(loop)->line;
    struct question *q = question_new(loop, cmd, &(struct ask_options){.fn = fn});

    INVARIANT(q != NULL); /* without memory the log could not be told the truth */
    if (l->owed.head == NULL && question_send(q))
        return;
    line_push(&l->owed, q);
    loop_timer_set(loop, &l->owed_timer, OWED_RETRY_MS);
}

enum err
ask_start(struct app *app)
{
    for (unsigned i = 0; i < http_server_loops(app->server); i++) {
        struct ask_line *l = calloc(1, sizeof(*l));

        if (l == NULL)
            return ERR_MEMORY;
        l->app = app;
        l->loop = http_server_loop(app->server, i);
        l->durable.tail = &l->durable.head;
        l->views.tail = &l->views.head;
        l->notice.fn = line_noticed;
        l->timer.fn = line_timed;
        l->owed.tail = &l->owed.head;
        l->owed_timer.fn = owed_retry;
        app->loops[i].app = app;
        app->loops[i].line = l;
    }
    return OK;
}

void
ask_advanced(struct app *app)
{
    for (unsigned i = 0; i < APP_LOOPS_MAX && app->loops[i].line != NULL; i++)
        loop_notify(app->loops[i].line->loop, &app->loops[i].line->notice);
}

void
ask_stop(struct app *app)
{
    for (unsigned i = 0; i < APP_LOOPS_MAX && app->loops[i].line != NULL; i++) {
        struct ask_line *l = app->loops[i].line;

        while (l->durable.head != NULL)
            question_free(line_pop(&l->durable));
        while (l->views.head != NULL)
            question_free(line_pop(&l->views));
        while (l->owed.head != NULL)
            question_free(line_pop(&l->owed));
        free(l);
        app->loops[i].line = NULL;
    }
}
