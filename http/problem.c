/* problem.c: the table of problems and their JSON. Pure; any thread. Never shows internals: what it
 * prints was put there for the caller. */
#include "http/problem.h"

static const struct problem_row rows[PROBLEM_CODES] = {
    [PROBLEM_MALFORMED] = {"malformed", 400, "The request is malformed"},
    [PROBLEM_BAD_FIELD] = {"bad_field", 400, "A field is not valid"},
    [PROBLEM_BAD_FILTER] = {"bad_filter", 400, "The filter is not valid"},
    [PROBLEM_BAD_CURSOR] = {"bad_cursor", 400, "The page cursor is not valid"},
    [PROBLEM_UNAUTHENTICATED] = {"unauthenticated", 401, "Authentication is needed"},
    [PROBLEM_LOGIN_FAILED] = {"login_failed", 401, "Name or password is wrong"},
    [PROBLEM_FORBIDDEN] = {"forbidden", 403, "This is not allowed"},
    [PROBLEM_HTTPS_REQUIRED] = {"https_required", 403, "HTTPS is required"},
    [PROBLEM_ORIGIN] = {"origin_not_allowed", 403, "The origin is not allowed"},
    [PROBLEM_ADDRESS] = {"address_not_allowed", 403, "The address is not allowed"},
    [PROBLEM_NOT_FOUND] = {"not_found", 404, "Not found"},
    [PROBLEM_METHOD] = {"method_not_allowed", 405, "The method is not allowed here"},
    [PROBLEM_NOT_ACCEPTABLE] = {"not_acceptable", 406, "No such representation"},
    [PROBLEM_TIMEOUT] = {"timeout", 408, "The request took too long"},
    [PROBLEM_CONFLICT] = {"conflict", 409, "Not possible in this state"},
    [PROBLEM_EXISTS] = {"exists", 409, "It exists already"},
    [PROBLEM_GONE] = {"gone", 410, "It has ended"},
    [PROBLEM_PRECONDITION] = {"precondition_failed", 412, "It was changed meanwhile"},
    [PROBLEM_TOO_LARGE] = {"too_large", 413, "The body is too large"},
    [PROBLEM_URI_TOO_LONG] = {"uri_too_long", 414, "The request target is too long"},
    [PROBLEM_MEDIA_TYPE] = {"media_type", 415, "The content type is not application/json"},
    [PROBLEM_WEAK_PASSWORD] = {"weak_password", 422, "The password is too weak"},
    [PROBLEM_IDEMPOTENCY] = {"idempotency_key_reused", 422, "The idempotency key was used before"},
    [PROBLEM_UPGRADE] = {"upgrade_required", 426, "This is a WebSocket endpoint"},
    [PROBLEM_NO_PRECONDITION] = {"precondition_required", 428, "If-Match is needed"},
    [PROBLEM_TOO_OFTEN] = {"too_often", 429, "Too many attempts"},
    [PROBLEM_HEAD_TOO_LARGE] = {"head_too_large", 431, "The header section is too large"},
    [PROBLEM_INTERNAL] = {"internal", 500, "The server failed"},
    [PROBLEM_NOT_IMPLEMENTED] = {"not_implemented", 501, "The method is not known"},
    [PROBLEM_BUSY] = {"busy", 503, "The server is busy"},
    [PROBLEM_READ_ONLY] = {"read_only", 503, "The server takes no changes now"},
    [PROBLEM_BEHIND] = {"behind", 503, "The answer is not there yet"},
};

const struct problem_row *
problem_row(enum problem_code code)
{
    INVARIANT(code >= 0 && code < PROBLEM_CODES && rows[code].code != NULL);
    return &rows[code];
}

void
problem_write(const struct problem *problem, struct json_write *w)
{
    const struct problem_row *row = problem_row(problem->code);
    char type[64];

    snprintf(type, sizeof(type), "urn:gatehouse:problem:%s", row->code);
    json_write_object(w, NULL);
    json_write_str(w, "type", type);
    json_write_str(w, "title", row->title);
    json_write_uint(w, "status", row->status);
    json_write_str(w, "code", row->code);
    if (problem->detail != NULL)
        json_write_str(w, "detail", problem->detail);
    if (problem->field != NULL)
        json_write_str(w, "field", problem->field);
    if (problem->reference != NULL)
        json_write_str(w, "reference", problem->reference);
    if (problem->retry_after_s > 0)
        json_write_uint(w, "retry_after", problem->retry_after_s);
    if (problem->event_count > 0) {
        json_write_array(w, "events");
        for (size_t i = 0; i < problem->event_count; i++)
            json_write_uint(w, NULL, problem->events[i]);
        json_write_end(w);
    }
    json_write_end(w);
}
