/* test_routes.c: the table of routes: every row is whole, each request finds its own, and the
 * document that describes the API has the same doors as the table. */
#include "http/openapi.h"
#include "http/routes.h"
#include "tests/unit/testing.h"

static void
every_row_is_whole(void **state)
{
    size_t count;
    const struct route *rows = routes_table(&count);

    (void)state;
    assert_true(count > 40);
    for (size_t i = 0; i < count; i++) {
        const struct route *r = &rows[i];
        bool reads = r->method == METHOD_GET;
        bool sends =
            r->method == METHOD_POST || r->method == METHOD_PUT || r->method == METHOD_PATCH;

        assert_true(r->path[0] == '/');
        assert_non_null(r->reply);
        assert_true(r->who < (int)ACTION_COUNT && r->who >= WHO_LOCAL && r->who != ACTION_NONE);
        assert_int_equal(sends, r->body_max > 0);
        assert_true(r->body_max <= HTTP_BODY_BYTES_MAX);
        /* Who changes something gives the ledger a command; a read gives one, or its right. */
        assert_true(reads || r->command != NULL);
        assert_true(r->query == NULL || reads);
        assert_true(strncmp(r->path, "/admin/", 7) != 0 || r->who == WHO_LOCAL);
        assert_true(
            strncmp(r->path, "/relay/", 7) != 0 || r->who == WHO_AGENT || r->who == WHO_TICKET);
        /* A path with a name in it is read by somebody: the id is never taken on trust. */
        assert_true(strstr(r->path, "{id}") == NULL || r->parse != NULL || r->who == WHO_TICKET);
        /* Reads of the API wait for positions. */
        if (reads && r->who >= 0 && strncmp(r->path, "/api/", 5) == 0) {
            assert_non_null(r->query);
            assert_string_equal(r->query[0], "at_least");
        }
        for (size_t k = 0; k < i; k++)
            assert_true(rows[k].method != r->method || strcmp(rows[k].path, r->path) != 0);
    }
}

static const struct {
    enum http_method method;
    const char *path;
    bool local;
    const char *found; /* the row's path; NULL: none */
    const char *allow;
    const char *first, *second; /* what the names in it stand for */
} finds[] = {
    {METHOD_POST, "/api/auth/login", false, "/api/auth/login", NULL, NULL, NULL},
    {METHOD_GET, "/api/auth/login", false, NULL, "POST", NULL, NULL},
    {METHOD_OPTIONS, "/api/codes", false, NULL, "POST, GET, HEAD", NULL, NULL},
    {METHOD_TRACE, "/", false, NULL, "GET, HEAD", NULL, NULL},
    {METHOD_HEAD, "/api/codes", false, "/api/codes", NULL, NULL, NULL},
    {METHOD_DELETE, "/api/codes/cod_1", false, "/api/codes/{id}", NULL, "cod_1", NULL},
    {METHOD_POST, "/api/codes/validate", false, "/api/codes/validate", NULL, NULL, NULL},
    {METHOD_DELETE, "/api/machines/m/keys/k", false, "/api/machines/{id}/keys/{kid}", NULL, "m",
        "k"},
    {METHOD_GET, "/api/machines/m/keys/k", false, NULL, "DELETE", NULL, NULL},
    {METHOD_GET, "/relay/sessions/s/tcp/ssh", false, "/relay/sessions/{id}/{service*}", NULL, "s",
        "tcp/ssh"},
    {METHOD_GET, "/relay/sessions/s/", false, NULL, "", NULL, NULL},
    {METHOD_GET, "/log/tile/entries/000", false, "/log/tile/entries/{path*}", NULL, "000", NULL},
    {METHOD_GET, "/log/tile/0/000", false, "/log/tile/{path*}", NULL, "0/000", NULL},
    {METHOD_GET, "/api/codes/", false, NULL, "", NULL, NULL},
    {METHOD_GET, "/api//codes", false, NULL, "", NULL, NULL},
    {METHOD_GET, "//api/codes", false, NULL, "", NULL, NULL},
    {METHOD_GET, "/api/%63odes", false, NULL, "", NULL, NULL},
    {METHOD_GET, "/api/../healthz", false, NULL, "", NULL, NULL},
    {METHOD_GET, "/API/codes", false, NULL, "", NULL, NULL},
    {METHOD_GET, "*", false, NULL, "", NULL, NULL},
    {METHOD_GET, "/admin/status", true, "/admin/status", NULL, NULL, NULL},
    {METHOD_GET, "/admin/status", false, NULL, "", NULL, NULL},
    {METHOD_PUT, "/admin/users", false, NULL, "", NULL, NULL},
    {METHOD_PUT, "/admin/users", true, NULL, "POST", NULL, NULL},
};

static void
each_request_finds_its_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(finds); i++) {
        struct span params[WALK_PARAMS_MAX] = {{NULL, 0}};
        char allow[ROUTES_ALLOW_TEXT];
        const struct route *r =
            routes_find(finds[i].method, span_str(finds[i].path), finds[i].local, params, allow);

        if (finds[i].found == NULL) {
            assert_null(r);
            assert_string_equal(allow, finds[i].allow);
            continue;
        }
        assert_non_null(r);
        assert_string_equal(r->path, finds[i].found);
        if (finds[i].first != NULL)
            assert_true(span_is(params[0], finds[i].first));
        if (finds[i].second != NULL)
            assert_true(span_is(params[1], finds[i].second));
    }
}

/* ---- the document ---- */

static char *
document(void)
{
    size_t len = (size_t)(openapi_yaml_end - openapi_yaml);
    char *text = malloc(len + 1);

    memcpy(text, openapi_yaml, len);
    text[len] = '\0';
    return text;
}

/* "/a/{b*}" as the document writes it. */
static void
path_text(const char *pattern, char *out, size_t cap)
{
    size_t n = 0;

    for (; *pattern != '\0' && n + 1 < cap; pattern++)
        if (*pattern != '*')
            out[n++] = *pattern;
    out[n] = '\0';
}

/* The lines of one path, up to the next one's; NULL: not described. */
static char *
path_block(const char *text, const char *pattern)
{
    char path[128], heading[140];
    const char *from, *to;

    path_text(pattern, path, sizeof(path));
    snprintf(heading, sizeof(heading), "\n  %s:\n", path);
    if ((from = strstr(text, heading)) == NULL)
        return NULL;
    from += strlen(heading);
    to = from;
    while (strncmp(to, "    ", 4) == 0)
        to = strchr(to, '\n') + 1;
    return strndup(from, (size_t)(to - from));
}

static void
the_document_describes_every_row(void **state)
{
    char *text = document();
    size_t count;
    const struct route *rows = routes_table(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        char *block = path_block(text, rows[i].path);
        char operation[32], name[40];
        char method[16];
        size_t n = 0;

        for (const char *m = http_method_name(rows[i].method); *m != '\0'; m++)
            method[n++] = (char)(*m - 'A' + 'a');
        method[n] = '\0';
        snprintf(operation, sizeof(operation), "    %s:\n", method);
        if (block == NULL || strstr(block, operation) == NULL)
            fail_msg("docs/openapi.yaml lacks %s %s", method, rows[i].path);
        for (const char *const *q = rows[i].query; q != NULL && *q != NULL; q++) {
            snprintf(name, sizeof(name), "{name: %s, in: query,", *q);
            if (strstr(text, name) == NULL)
                fail_msg("docs/openapi.yaml lacks the parameter %s of %s", *q, rows[i].path);
        }
        free(block);
    }
    free(text);
}

static void
the_document_describes_nothing_else(void **state)
{
    static const char *const methods[] = {"get", "post", "put", "patch", "delete"};
    char *text = document(), *paths = strstr(text, "\npaths:\n");
    char *end = strstr(text, "\ncomponents:\n");
    size_t count, described = 0;

    (void)state;
    (void)routes_table(&count);
    assert_non_null(paths);
    assert_non_null(end);
    *end = '\0';
    for (size_t i = 0; i < ROWS(methods); i++) {
        char line[16];

        snprintf(line, sizeof(line), "\n    %s:\n", methods[i]);
        for (const char *at = paths; (at = strstr(at, line)) != NULL; at++)
            described++;
    }
    assert_int_equal(described, count);
    free(text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_whole),
        cmocka_unit_test(each_request_finds_its_row),
        cmocka_unit_test(the_document_describes_every_row),
        cmocka_unit_test(the_document_describes_nothing_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
