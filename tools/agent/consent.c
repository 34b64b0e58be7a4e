/* consent.c: asks the person in front of the machine, on the terminal, once per session.
 * Typed-ahead input does not count; what the server says is shown escaped; no answer is no. One
 * thread. */
#include "core/text.h"
#include "tools/agent/agent.h"
#include "tools/agent/say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <termios.h>
#include <unistd.h>

void
prompt_init(struct prompt *p)
{
    int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);

    *p = (struct prompt){.fd = fd, .out = fd, .tty = true, .slot = -1};
    if (fd < 0) {
        p->fd = STDIN_FILENO;
        p->out = STDERR_FILENO;
        p->tty = isatty(STDIN_FILENO) == 1;
    }
}

static void __attribute__((format(printf, 2, 3)))
tell(const struct prompt *p, const char *format, ...)
{
    char text[NOTE_BYTES_MAX * 4 + 256];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (n > 0)
        (void)!write(p->out, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

static void
ask(struct agent *a, struct agent_session *s, int64_t now_ms)
{
    char reason[NOTE_BYTES_MAX * 4];
    struct prompt *p = &a->prompt;

    p->session = s;
    p->line_len = 0;
    if (p->tty)
        (void)tcflush(p->fd, TCIFLUSH);
    tell(p, "\n  %s asks for a session with this machine.\n",
        say_foreign(span_of(s->technician, s->technician_len)));
    if (s->reason_len > 0) {
        text_escape(span_of(s->reason, s->reason_len), reason, sizeof(reason));
        tell(p, "  Reason:   %s\n", reason);
    }
    if (a->link.words[0] != '\0')
        tell(p, "  Words:    %s (ask them to read these two words to you)\n", a->link.words);
    tell(p, "  Can use: ");
    for (size_t i = 0; i < a->options.service_count; i++)
        tell(p, "%s%s", i > 0 ? ", " : " ", a->options.services[i].name);
    tell(p,
        "%s\n  Allow it? Type yes or no (%d s): ", a->options.service_count == 0 ? " nothing" : "",
        (int)((s->deadline_ms - now_ms) / 1000));
}

/* The next one that waits for an answer. */
static struct agent_session *
next_question(struct agent *a)
{
    struct agent_session *best = NULL;

    for (size_t i = 0; i < AGENT_SESSIONS_MAX; i++) {
        struct agent_session *s = &a->sessions[i];

        if (s->used && s->asking && (best == NULL || s->number < best->number))
            best = s;
    }
    return best;
}

void
prompt_withdraw(struct agent *a, const struct agent_session *s)
{
    if (a->prompt.session != s)
        return;
    tell(&a->prompt, "\n  The request was withdrawn.\n");
    a->prompt.session = NULL;
}

static void
answered(struct agent *a, bool granted)
{
    struct agent_session *s = a->prompt.session;

    a->prompt.session = NULL;
    tell(&a->prompt, "  %s.\n", granted ? "Allowed" : "Refused");
    session_answer(a, s, granted, true);
}

static void
take_line(struct agent *a)
{
    struct prompt *p = &a->prompt;

    while (p->line_len > 0 && strchr(" \t\r", p->line[p->line_len - 1]) != NULL)
        p->line_len--;
    p->line[p->line_len] = '\0';
    if (strcasecmp(p->line, "yes") == 0 || strcasecmp(p->line, "y") == 0)
        answered(a, true);
    else if (strcasecmp(p->line, "no") == 0 || strcasecmp(p->line, "n") == 0)
        answered(a, false);
    else
        tell(p, "  Type yes or no: ");
    p->line_len = 0;
}

/* Whole lines; one that is too long is no answer. */
static void
read_answer(struct agent *a)
{
    struct prompt *p = &a->prompt;
    char bytes[128];
    ssize_t n = read(p->fd, bytes, sizeof(bytes));

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        p->ended = true;
        say("nobody can be asked any more: sessions are refused (--yes would allow them)");
        if (p->session != NULL)
            answered(a, false);
        return;
    }
    for (ssize_t i = 0; i < n && p->session != NULL; i++) {
        if (bytes[i] == '\n')
            take_line(a);
        else if (p->line_len + 1 < sizeof(p->line))
            p->line[p->line_len++] = bytes[i];
    }
}

void
prompt_prepare(struct agent *a, struct pollset *ps)
{
    struct prompt *p = &a->prompt;
    struct agent_session *s;

    p->slot = -1;
    if (p->session == NULL && (s = next_question(a)) != NULL) {
        if (p->ended)
            session_answer(a, s, false, true);
        else
            ask(a, s, ps->now_ms);
    }
    if (p->session == NULL)
        return;
    p->slot = pollset_add(ps, p->fd, POLLIN);
    pollset_deadline(ps, p->session->deadline_ms);
}

void
prompt_step(struct agent *a, const struct pollset *ps)
{
    struct prompt *p = &a->prompt;

    if (p->session == NULL)
        return;
    if (ps->now_ms >= p->session->deadline_ms) {
        tell(p, "\n  No answer in time.\n");
        p->session->asking = false;
        p->session = NULL; /* the server ends the request by itself, and says so in the log */
        return;
    }
    if (pollset_got(ps, p->slot) != 0)
        read_answer(a);
}
