/* test_cursor.c: a cursor works for its reader and its question, and for nobody and nothing else.
 */
#include "http/cursor.h"
#include "tests/unit/testing.h"

static const uint8_t key[32] = {1, 2, 3};

static struct cursor_scope
scope_of(const char *path, uint8_t user, const char *filters)
{
    struct cursor_scope scope = {.path = path, .filters = span_str(filters)};

    scope.user.b[0] = user;
    return scope;
}

static void
a_cursor_comes_back(void **state)
{
    struct cursor_scope scope = scope_of("/api/codes", 7, "filter=a\n");
    uint8_t position[CURSOR_POSITION_BYTES], back[CURSOR_POSITION_BYTES];
    char text[CURSOR_TEXT];

    (void)state;
    for (size_t i = 0; i < sizeof(position); i++)
        position[i] = (uint8_t)(i * 11);
    cursor_write(key, &scope, position, text);
    assert_int_equal(strlen(text), 54);
    assert_int_equal(cursor_read(key, &scope, span_str(text), back), OK);
    assert_memory_equal(position, back, sizeof(back));
}

static void
nobody_elses_cursor_works(void **state)
{
    static const struct {
        const char *path;
        uint8_t user;
        const char *filters;
    } others[] = {
        {"/api/codes", 8, "filter=a\n"}, {"/api/machines", 7, "filter=a\n"},
        {"/api/codes", 7, "filter=b\n"}, {"/api/codes", 7, ""},
        {"/api/codesfilter=a\n", 7, ""}, /* parts cannot lend each other bytes */
    };
    struct cursor_scope scope = scope_of("/api/codes", 7, "filter=a\n");
    static const uint8_t other_key[32] = {1, 2, 4};
    uint8_t position[CURSOR_POSITION_BYTES] = {5}, back[CURSOR_POSITION_BYTES];
    char text[CURSOR_TEXT];

    (void)state;
    cursor_write(key, &scope, position, text);
    for (size_t i = 0; i < ROWS(others); i++) {
        struct cursor_scope other = scope_of(others[i].path, others[i].user, others[i].filters);

        assert_int_equal(cursor_read(key, &other, span_str(text), back), ERR_MISMATCH);
    }
    assert_int_equal(cursor_read(other_key, &scope, span_str(text), back), ERR_MISMATCH);
}

static void
a_changed_cursor_is_refused(void **state)
{
    struct cursor_scope scope = scope_of("/api/codes", 7, "");
    uint8_t position[CURSOR_POSITION_BYTES] = {5}, back[CURSOR_POSITION_BYTES];
    char text[CURSOR_TEXT], changed[CURSOR_TEXT];

    (void)state;
    cursor_write(key, &scope, position, text);
    for (size_t i = 0; i < strlen(text); i++) {
        memcpy(changed, text, sizeof(changed));
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        assert_int_not_equal(cursor_read(key, &scope, span_str(changed), back), OK);
    }
    assert_int_equal(cursor_read(key, &scope, span_str(""), back), ERR_MALFORMED);
    assert_int_equal(cursor_read(key, &scope, span_str("12"), back), ERR_MALFORMED);
    assert_int_equal(
        cursor_read(key, &scope, span_of(text, strlen(text) - 1), back), ERR_MALFORMED);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cursor_comes_back),
        cmocka_unit_test(nobody_elses_cursor_works),
        cmocka_unit_test(a_changed_cursor_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
