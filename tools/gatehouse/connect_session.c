/* connect_session.c: the calls around a session. One thread; waits. */
#include "tools/gatehouse/connect_session.h"

#include "core/json_write.h"
#include "core/text.h"
#include "core/words.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define WAIT_S 30

static enum err __attribute__((format(printf, 3, 4)))
fail(struct api *api, enum err err, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(api->why, sizeof(api->why), format, args);
    va_end(args);
    api->code = EXIT_REFUSED;
    return err;
}

static const char *
shown(const char *foreign)
{
    static char text[300];

    text_escape(span_str(foreign), text, sizeof(text));
    return text;
}

/* ---- find ---- */

/* name:"...": quoted, so that no character of the name is a wildcard. */
static bool
filter_make(const char *name, char *out, size_t size)
{
    char filter[2 * NAME_BYTES_MAX + 16];
    size_t n = 6;

    if (strlen(name) > NAME_BYTES_MAX)
        return false;
    memcpy(filter, "name:\"", n);
    for (; *name != '\0'; name++) {
        if (*name == '"' || *name == '\\')
            filter[n++] = '\\';
        filter[n++] = *name;
    }
    filter[n++] = '"';
    return client_escape(span_of(filter, n), out, size) < size;
}

static enum err
find_by_name(struct api *api, const char *name, char id[ID_TEXT_BYTES])
{
    char filter[3 * (2 * NAME_BYTES_MAX + 16)], target[sizeof(filter) + 64];
    struct api_request request = {.method = "GET", .target = target};
    struct json_reply *json;
    size_t count;
    enum err err;

    if (!filter_make(name, filter, sizeof(filter)))
        return fail(api, ERR_NOT_FOUND, "%s is too long for a machine's name", shown(name));
    snprintf(target, sizeof(target), "/api/machines?limit=3&filter=%s", filter);
    if ((err = api_json(api, &request, &json)) != OK)
        return err;
    count = json_reply_count(json, "items");
    if (count == 0)
        err = fail(api, ERR_NOT_FOUND, "there is no machine called %s", shown(name));
    else if (count > 1)
        err = fail(api, ERR_MISMATCH,
            "several machines are called %s: give the id (gatehouse "
            "machine list)",
            shown(name));
    else if (!json_reply_copy(json, "items.0.id", id, ID_TEXT_BYTES))
        err = fail(api, ERR_MALFORMED, "the server's answer names no machine");
    json_reply_free(json);
    return err;
}

enum err
connect_session_find_machine(struct api *api, const char *machine, char id[ID_TEXT_BYTES])
{
    struct id parsed;

    if (id_parse(ID_MACHINE, span_str(machine), &parsed) != OK)
        return find_by_name(api, machine, id);
    id_text(ID_MACHINE, &parsed, id);
    return OK;
}

/* ---- request ---- */

enum err
connect_session_request(
    struct api *api, const char *machine_id, const char *reason, char id[ID_TEXT_BYTES], bool *asks)
{
    struct api_request request = {.method = "POST", .target = "/api/sessions"};
    struct json_write w;
    struct json_reply *json = NULL;
    struct id parsed;
    enum err err;

    json_write_init(&w, NULL, NULL);
    json_write_object(&w, NULL);
    json_write_str(&w, "machine", machine_id);
    if (reason != NULL)
        json_write_str(&w, "reason", reason);
    json_write_end(&w);
    if (json_write_done(&w) != OK) {
        err = fail(api, ERR_MEMORY, "no memory");
        goto out;
    }
    request.json = span_of(w.buf, w.len);
    if ((err = api_json(api, &request, &json)) != OK)
        goto out;
    *asks = false;
    (void)json_reply_bool(json, "asks_consent", asks);
    if (!json_reply_copy(json, "id", id, ID_TEXT_BYTES) ||
        id_parse(ID_SESSION, span_str(id), &parsed) != OK)
        err = fail(api, ERR_MALFORMED, "the server's answer names no session");
out:
    json_write_fini(&w);
    json_reply_free(json);
    return err;
}

/* ---- wait ---- */

void
connect_session_say_waiting(struct api *api, const char *machine_id, const char *id)
{
    char target[64], name[NAME_BYTES_MAX + 1] = "", words[WORDS_TEXT_MAX] = "";
    struct api_request request = {.method = "GET", .target = target};
    struct json_reply *json = NULL;

    snprintf(target, sizeof(target), "/api/machines/%s", machine_id);
    if (api_json(api, &request, &json) == OK) {
        (void)json_reply_copy(json, "name", name, sizeof(name));
        (void)json_reply_copy(json, "words", words, sizeof(words));
        json_reply_free(json);
    }
    fprintf(stderr, "waiting for consent at %s (session %s)\n",
        name[0] != '\0' ? shown(name) : machine_id, id);
    if (words[0] != '\0')
        fprintf(stderr, "the two words: %s (the person there should read you the same)\n",
            shown(words));
}

static enum err
ended(struct api *api, const struct json_reply *json)
{
    char why[80] = "";

    (void)json_reply_copy(json, "why", why, sizeof(why));
    if (strcmp(why, "denied") == 0)
        return fail(api, ERR_DENIED, "the person at the machine refused");
    if (strcmp(why, "consent_timeout") == 0)
        return fail(api, ERR_DENIED, "nobody at the machine answered in time");
    return fail(
        api, ERR_DENIED, "the session has ended: %s", why[0] != '\0' ? shown(why) : "no reason");
}

enum err
connect_session_wait(struct api *api, const char *id)
{
    char target[96];
    struct api_request request = {
        .method = "GET", .target = target, .answer_ms = (WAIT_S + 15) * 1000};

    snprintf(target, sizeof(target), "/api/sessions/%s?wait=%d", id, WAIT_S);
    for (;;) {
        struct json_reply *json;
        char state[32] = "";
        enum err err = api_json(api, &request, &json);

        if (err != OK)
            return err;
        if (!json_reply_copy(json, "state", state, sizeof(state)))
            err = fail(api, ERR_MALFORMED, "the server's answer tells no state");
        else if (strcmp(state, "ended") == 0)
            err = ended(api, json);
        json_reply_free(json);
        if (err != OK || strcmp(state, "opened") == 0)
            return err;
    }
}

/* ---- end ---- */

enum err
connect_session_end(struct api *api, const char *id)
{
    char target[64];
    struct api_request request = {.method = "DELETE", .target = target};
    struct call *call;
    enum err err;

    snprintf(target, sizeof(target), "/api/sessions/%s", id);
    err = api_call(api, &request, &call);
    call_free(call);
    return err != OK && (api->status == 404 || api->status == 409 || api->status == 410) ? OK : err;
}
