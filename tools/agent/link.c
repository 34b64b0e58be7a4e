/* link.c: the control connection: dialled, challenged, greeted, up; and dialled again with patience
 * when it breaks. Says in one line why the server does not want us. One thread. */
#include "core/pack.h"
#include "core/refusal.h"
#include "core/text.h"
#include "core/words.h"
#include "tools/agent/agent.h"
#include "tools/agent/say.h"

#include <fcntl.h>
#include <pwd.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define RETRY_LEAST_MS     1000
#define RETRY_MOST_MS      60000
#define CHALLENGE_MS       10000
#define WELCOME_MS         30000
#define LEAVE_MS           2000
#define MESSAGES_PER_TURN  64
#define KEY_FILE_BYTES_MAX 200

static void
finish(struct agent *a, enum agent_exit code)
{
    a->exit = code;
    a->done = true;
}

/* ---- credentials ---- */

static enum err
key_read(const char *path, char out[KEY_FILE_BYTES_MAX + 1])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat sb;
    ssize_t n = -1;

    if (fd >= 0 && fstat(fd, &sb) == 0)
        n = read(fd, out, KEY_FILE_BYTES_MAX);
    if (fd >= 0)
        close(fd);
    if (n < 0) {
        say("key file %s cannot be read", path);
        return ERR_IO;
    }
    if ((sb.st_mode & 077) != 0) {
        say("key file %s can be read by others: chmod 600 it", path);
        return ERR_DENIED;
    }
    out[n] = '\0';
    n = (ssize_t)strcspn(out, " \t\r\n");
    out[n] = '\0';
    for (const char *p = out; *p != '\0'; p++)
        if (*p <= ' ' || *p > '~')
            n = 0;
    if (n < 4 || strncmp(out, "gh_", 3) != 0) {
        say("key file %s holds no API key (gh_...)", path);
        return ERR_MALFORMED;
    }
    return OK;
}

static void
authorization_set(struct link *l, const char *scheme, const char *secret)
{
    size_t size = strlen(scheme) + strlen(secret) + 2;

    if (l->authorization != NULL)
        sodium_memzero(l->authorization, strlen(l->authorization));
    free(l->authorization);
    l->authorization = malloc(size);
    INVARIANT(l->authorization != NULL);
    snprintf(l->authorization, size, "%s %s", scheme, secret);
}

/* The device key speaks for itself once it is known; code and key only introduce it. */
static enum err
credential_choose(struct agent *a)
{
    struct link *l = &a->link;
    char key[KEY_FILE_BYTES_MAX + 1], id[ID_TEXT_BYTES];
    enum err err = OK;

    if (!a->known && a->options.code[0] != '\0') {
        l->credential = 1;
        authorization_set(l, "Gatehouse-Code", a->options.code);
    } else if (a->known ||
               (a->state.enrolled && a->options.code[0] == '\0' && !l->device_refused)) {
        if (!a->known)
            a->machine = a->state.machine;
        l->credential = 3;
        id_text(ID_MACHINE, &a->machine, id);
        authorization_set(l, "Gatehouse-Device", id);
    } else if (a->options.key_file != NULL) {
        l->credential = 2;
        if ((err = key_read(a->options.key_file, key)) == OK)
            authorization_set(l, "Gatehouse-Key", key);
        sodium_memzero(key, sizeof(key));
    } else {
        say("this machine is not enrolled yet: give --code or --key-file");
        err = ERR_NOT_FOUND;
    }
    return err;
}

/* ---- dialling ---- */

static void
dial(struct agent *a)
{
    struct link *l = &a->link;
    struct wsclient_options options = {.target = "/relay/agent",
        .subprotocol = "gatehouse-agent.v1",
        .message_max = CONTROL_BYTES_MAX};

    if (credential_choose(a) != OK) {
        finish(a, EXIT_USAGE);
        return;
    }
    options.authorization = l->authorization;
    if (wsclient_new(a->client, &options, &l->ws) != OK) {
        say("no memory for a connection");
        finish(a, EXIT_REFUSED);
        return;
    }
    l->phase = LINK_DIALLING;
    l->deadline_ms = 0;
}

void
link_start(struct agent *a)
{
    a->link.phase = LINK_WAITING;
    a->link.retry_at_ms = pollset_clock_ms();
}

/* Doubling from 1 s to 60 s, and somewhere in the upper half of that, so that a thousand agents do
 * not come back at once. */
static void
retry_later(struct agent *a, int64_t least_ms, const char *what)
{
    struct link *l = &a->link;
    unsigned doublings = l->failures < 6 ? l->failures : 6;
    int64_t wait_ms = (int64_t)RETRY_LEAST_MS << doublings;

    wsclient_free(l->ws);
    l->ws = NULL;
    if (wait_ms > RETRY_MOST_MS)
        wait_ms = RETRY_MOST_MS;
    wait_ms = wait_ms / 2 + (int64_t)randombytes_uniform((uint32_t)(wait_ms / 2) + 1);
    if (wait_ms < RETRY_LEAST_MS)
        wait_ms = RETRY_LEAST_MS + (int64_t)randombytes_uniform(500);
    if (wait_ms < least_ms)
        wait_ms = least_ms + (int64_t)randombytes_uniform(1000);
    l->failures++;
    l->phase = LINK_WAITING;
    l->retry_at_ms = pollset_clock_ms() + wait_ms;
    say("%s; trying again in %d s", what, (int)((wait_ms + 999) / 1000));
}

static bool
one_shot(const struct agent *a)
{
    return !a->link.ever_up && (a->options.code[0] != '\0' || a->options.enroll);
}

/* The server said no, before or after the handshake. */
static void
refused(struct agent *a, unsigned status, const char *code, const char *detail, unsigned retry_s)
{
    struct link *l = &a->link;
    char line[700];

    if (a->guest && (a->guest_over || (status == 401 && a->guest_served))) {
        if (!a->guest_over)
            say("the support session is over");
        finish(a, EXIT_DONE);
        return;
    }
    snprintf(line, sizeof(line), "refused by the server: %s%s%s%s", detail,
        code[0] != '\0' ? " (" : "", code, code[0] != '\0' ? ")" : "");
    if (status == 401 && l->credential == 3 && !a->known && a->options.key_file != NULL) {
        say("%s; enrolling anew with the key", line);
        l->device_refused = true;
        state_forget_machine(&a->state);
        wsclient_free(l->ws);
        l->ws = NULL;
        l->phase = LINK_WAITING;
        l->retry_at_ms = pollset_clock_ms();
        return;
    }
    if ((status == 429 || status >= 500) && !one_shot(a)) {
        retry_later(a, (int64_t)retry_s * 1000, line);
        return;
    }
    if (status == 403 && l->credential == 3 && l->ever_up) {
        retry_later(a, RETRY_MOST_MS, line); /* an allow list may change again */
        return;
    }
    if (retry_s > 0)
        say("%s; try again in %u s", line, retry_s);
    else
        say("%s", line);
    finish(a, status == 403 ? EXIT_NOT_ALLOWED : EXIT_REFUSED);
}

static void
broken(struct agent *a)
{
    struct link *l = &a->link;
    struct span reason;
    char line[400];
    enum err failure = wsclient_failure(l->ws);
    uint16_t code;

    if (wsclient_state(l->ws) == WSC_CLOSED) {
        code = wsclient_closed(l->ws, &reason);
        snprintf(line, sizeof(line), "the server closed the connection (%u%s%s)", code,
            reason.len > 0 ? " " : "", say_foreign(reason));
    } else {
        snprintf(line, sizeof(line), "%s", wsclient_why(l->ws));
    }
    if (l->phase == LINK_LEAVING || a->guest_over) {
        finish(a, EXIT_DONE);
        return;
    }
    if (one_shot(a)) {
        bool reached = l->ever_answered || failure == ERR_MISMATCH || failure == ERR_MALFORMED;

        say("%s", line);
        finish(a, reached ? EXIT_REFUSED : EXIT_UNREACHABLE);
        return;
    }
    retry_later(a, 0, line);
}

/* ---- challenge, hello, welcome ---- */

/* A name that people can read and the server's rules accept. */
static struct span
machine_name(const struct agent *a, const char *host)
{
    struct span name = span_str(a->options.name != NULL ? a->options.name : host);

    return text_check(TEXT_MACHINE, name) == TEXT_OK ? name : span_str("unnamed");
}

static void
os_name(char out[STATEMENT_OS_BYTES_MAX + 1])
{
    struct utsname un;
    char line[256], pretty[61] = "";
    FILE *f = fopen("/etc/os-release", "re");

    while (f != NULL && fgets(line, sizeof(line), f) != NULL)
        if (sscanf(line, "PRETTY_NAME=\"%60[^\"\n]", pretty) == 1)
            break;
    if (f != NULL)
        fclose(f);
    (void)uname(&un);
    snprintf(out, STATEMENT_OS_BYTES_MAX + 1, "%s%s%.20s %.40s", pretty,
        pretty[0] != '\0' ? ", " : "", un.sysname, un.release);
    for (char *p = out; *p != '\0'; p++)
        if (*p < 0x20 || *p > 0x7e)
            *p = '?';
}

static size_t
services_pack(const struct agent *a, uint8_t *out, size_t cap)
{
    struct pack p;

    pack_init(&p, out, cap);
    pack_array(&p, (uint32_t)a->options.service_count);
    for (size_t i = 0; i < a->options.service_count; i++)
        pack_str(&p, span_str(a->options.services[i].name));
    INVARIANT(pack_ok(&p));
    return p.len;
}

static size_t
personal_pack(const struct agent *a, uint8_t out[CONTROL_PERSONAL_BYTES_MAX])
{
    const struct passwd *pw = getpwuid(geteuid());
    char host[65] = "";
    struct personal_hello p = {0};
    size_t len;

    (void)gethostname(host, sizeof(host) - 1);
    p.machine_name = machine_name(a, host);
    p.host_name =
        host[0] != '\0' && text_utf8(span_str(host)) ? span_str(host) : span_str("unknown");
    p.os_user = pw != NULL && text_utf8(span_str(pw->pw_name)) && strlen(pw->pw_name) <= 64
                    ? span_str(pw->pw_name)
                    : span_str("unknown");
    INVARIANT(personal_hello_encode(&p, out, CONTROL_PERSONAL_BYTES_MAX, &len) == OK);
    return len;
}

static void
send_hello(struct agent *a)
{
    struct link *l = &a->link;
    struct control message = {.kind = CONTROL_HELLO};
    struct statement st = {.purpose = PURPOSE_HELLO,
        .protocol = STATEMENT_PROTOCOL,
        .credential = l->credential,
        .version = span_str(GATEHOUSE_VERSION),
        .head_size = a->state.head_size,
        .head_root = a->state.head_root};
    uint8_t body[STATEMENT_BYTES_MAX], services[STATEMENT_SERVICES_BYTES_MAX];
    uint8_t personal[CONTROL_PERSONAL_BYTES_MAX];
    char os[STATEMENT_OS_BYTES_MAX + 1];

    os_name(os);
    st.os = span_str(os);
    st.services = span_of(services, services_pack(a, services, sizeof(services)));
    if (l->credential == 3)
        st.machine = a->machine;
    memcpy(st.device_key, a->state.public_key, 32);
    memcpy(st.server_nonce, l->server_nonce, STATEMENT_NONCE);
    randombytes_buf(l->agent_nonce, STATEMENT_NONCE);
    memcpy(st.agent_nonce, l->agent_nonce, STATEMENT_NONCE);
    message.said.personal = span_of(personal, personal_pack(a, personal));
    randombytes_buf(message.said.salt, CONTROL_SALT_BYTES);
    statement_personal(message.said.salt, message.said.personal, &st.personal);
    message.said.statement = span_of(body, agent_sign(a, &st, body, message.said.sig));
    l->phase = LINK_GREETED;
    l->deadline_ms = pollset_clock_ms() + WELCOME_MS;
    if (link_send(a, &message) != OK)
        say("the hello could not be sent");
}

static void
take_challenge(struct agent *a, const struct control_challenge *c)
{
    struct link *l = &a->link;
    enum err err;

    if (c->protocol != STATEMENT_PROTOCOL) {
        say("the server speaks protocol %llu, this agent %d: update the older one",
            (unsigned long long)c->protocol, STATEMENT_PROTOCOL);
        finish(a, EXIT_REFUSED);
        return;
    }
    err = state_pin(&a->state, c->origin, c->root_vkey);
    if (err == ERR_MISMATCH) {
        say("this is not the server that this machine is enrolled with: it shows %s with another "
            "root key than the one pinned in %s/server.pin (%s). If the server was really "
            "replaced, "
            "remove that file and enrol again",
            say_foreign(c->origin), a->state.path, a->state.origin);
        finish(a, EXIT_UNVERIFIED);
        return;
    }
    if (err != OK) {
        say("the server shows no valid root key");
        finish(a, EXIT_UNVERIFIED);
        return;
    }
    if (c->checkpoint.len > 0 && state_head(&a->state, c->checkpoint) == ERR_MISMATCH)
        say("WARNING: the server's log contradicts the head kept in %s/checkpoint", a->state.path);
    memcpy(l->server_nonce, c->nonce, STATEMENT_NONCE);
    send_hello(a);
}

/* Both sides compute the words; the server's are only compared. */
static bool
words_agree(struct agent *a, struct span theirs)
{
    struct link *l = &a->link;
    unsigned indexes[2];

    l->words[0] = '\0';
    if (l->credential != 1)
        return true;
    statement_words(
        span_str(a->options.code), a->state.public_key, l->server_nonce, l->agent_nonce, indexes);
    words_text(indexes, l->words);
    return span_is(theirs, l->words);
}

static void
take_welcome(struct agent *a, const struct control_welcome *w)
{
    struct link *l = &a->link;
    char id[ID_TEXT_BYTES];

    if (!span_is(w->origin, a->state.origin) || !words_agree(a, w->words)) {
        say("the server's welcome does not fit what was said before: somebody is in between");
        finish(a, EXIT_UNVERIFIED);
        return;
    }
    id_text(ID_MACHINE, &w->machine, id);
    a->machine = w->machine;
    a->known = true;
    a->guest = w->guest;
    l->phase = LINK_UP;
    l->deadline_ms = 0;
    l->failures = 0;
    say("connected to %s as %s%s", a->options.server, id, w->guest ? " (guest)" : "");
    if (l->words[0] != '\0')
        say("the two words: %s (the technician sees the same)", l->words);
    if (!w->guest && (!a->state.enrolled || !id_equal(&a->state.machine, &w->machine)) &&
        state_enrolled(&a->state, &w->machine) != OK) {
        finish(a, EXIT_REFUSED);
        return;
    }
    sodium_memzero(a->options.code, sizeof(a->options.code));
    l->ever_up = true;
    if (a->options.enroll)
        link_leave(a, "enrolled");
}

static void
take_refused(struct agent *a, const struct control_refused *r)
{
    char code[130], detail[1000];
    unsigned status = 401;

    for (enum refusal i = REFUSE_NONE; i < REFUSAL_COUNT; i++)
        if (span_is(r->code, refusal_row(i)->code))
            status = (unsigned)refusal_row(i)->status;
    text_escape(r->code, code, sizeof(code));
    text_escape(r->detail, detail, 500);
    refused(a, status, code, detail[0] != '\0' ? detail : "no reason given", 0);
}

static void
take(struct agent *a, const struct control *message)
{
    struct link *l = &a->link;
    enum control_kind awaited = l->phase == LINK_CHALLENGED ? CONTROL_CHALLENGE : CONTROL_WELCOME;

    if (message->kind == CONTROL_REFUSED)
        take_refused(a, &message->refused);
    else if (l->phase == LINK_UP || l->phase == LINK_LEAVING)
        messages_take(a, message);
    else if (message->kind == CONTROL_HEAD && l->phase == LINK_GREETED)
        messages_take(a, message);
    else if (message->kind != awaited) {
        wsclient_close(l->ws, 1008, "out of turn");
        say("the server sent %s out of turn", control_name(message->kind));
    } else if (message->kind == CONTROL_CHALLENGE)
        take_challenge(a, &message->challenge);
    else
        take_welcome(a, &message->welcome);
}

/* ---- the loop's side ---- */

enum err
link_send(struct agent *a, const struct control *message)
{
    static uint8_t out[CONTROL_BYTES_MAX];
    struct link *l = &a->link;
    size_t len;
    enum err err;

    if (l->ws == NULL || wsclient_state(l->ws) != WSC_OPEN)
        return ERR_CLOSED;
    err = control_encode(message, out, sizeof(out), &len);
    if (err == OK)
        err = wsclient_send(l->ws, WSFRAME_BINARY, span_of(out, len));
    wsclient_flush(l->ws);
    return err;
}

void
link_leave(struct agent *a, const char *why)
{
    struct control message = {.kind = CONTROL_BYE, .bye = {span_str(why)}};
    struct link *l = &a->link;

    if (l->phase != LINK_UP || link_send(a, &message) != OK) {
        finish(a, EXIT_DONE);
        return;
    }
    wsclient_close(l->ws, 1000, why);
    wsclient_flush(l->ws);
    l->phase = LINK_LEAVING;
    l->deadline_ms = pollset_clock_ms() + LEAVE_MS;
}

void
link_prepare(struct agent *a, struct pollset *ps)
{
    struct link *l = &a->link;

    if (l->phase == LINK_WAITING)
        pollset_deadline(ps, l->retry_at_ms);
    else
        wsclient_prepare(l->ws, ps, true);
    if (l->deadline_ms != 0)
        pollset_deadline(ps, l->deadline_ms);
}

static void
read_messages(struct agent *a)
{
    struct link *l = &a->link;

    for (int i = 0; i < MESSAGES_PER_TURN && !a->done && l->ws != NULL; i++) {
        char why[CONTROL_WHY_MAX];
        struct control message;
        struct span bytes;

        switch (wsclient_next(l->ws, &bytes)) {
        case WSC_NOTHING: return;
        case WSC_TEXT:
            wsclient_close(l->ws, 1008, "text on a control connection");
            say("the server sent text where only messages belong");
            return;
        case WSC_BINARY: break;
        }
        if (control_decode(CONTROL_BY_SERVER, bytes, &message, why) != OK) {
            wsclient_close(l->ws, 1008, why);
            say("the server sent a malformed message: %s", why);
            return;
        }
        take(a, &message);
    }
}

static void
step_open(struct agent *a, int64_t now_ms)
{
    struct link *l = &a->link;

    if (l->phase == LINK_DIALLING) {
        l->phase = LINK_CHALLENGED;
        l->ever_answered = true;
        l->deadline_ms = now_ms + CHALLENGE_MS;
    }
    read_messages(a);
}

void
link_step(struct agent *a, const struct pollset *ps)
{
    struct link *l = &a->link;
    const struct wsclient_refusal *r;

    if (l->phase == LINK_WAITING) {
        if (ps->now_ms >= l->retry_at_ms)
            dial(a);
        return;
    }
    if (wsclient_step(l->ws, ps) == WSC_OPEN)
        step_open(a, ps->now_ms);
    if (l->ws == NULL || a->done)
        return;
    switch (wsclient_state(l->ws)) {
    case WSC_REFUSED:
        l->ever_answered = true;
        r = wsclient_refusal(l->ws);
        refused(a, r->status, r->said.code, r->said.detail, r->retry_after_s);
        return;
    case WSC_CLOSED:
    case WSC_FAILED: broken(a); return;
    case WSC_OPENING:
    case WSC_OPEN: break;
    }
    if (l->deadline_ms == 0 || ps->now_ms < l->deadline_ms)
        return;
    if (l->phase == LINK_LEAVING)
        finish(a, EXIT_DONE);
    else
        retry_later(a, 0, "the server does not go on with the handshake");
}

void
link_fini(struct agent *a)
{
    wsclient_free(a->link.ws);
    if (a->link.authorization != NULL)
        sodium_memzero(a->link.authorization, strlen(a->link.authorization));
    free(a->link.authorization);
}
