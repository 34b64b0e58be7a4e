/* test_query.c: parameters of a request's target: what is taken, and what is told when it is not.
 */
#include "http/query.h"
#include "tests/unit/testing.h"

static const char *const allowed[] = {"filter", "limit", "after", "x", NULL};

static const struct {
    const char *text;
    enum err err;
    const char *name;  /* of what is wrong, or of what is looked at */
    const char *value; /* NULL: absent */
} cases[] = {
    {"", OK, "limit", NULL},
    {"limit=5", OK, "limit", "5"},
    {"limit=5&filter=a", OK, "filter", "a"},
    {"&&limit=5&", OK, "limit", "5"},
    {"limit", OK, "limit", ""},
    {"limit=", OK, "limit", ""},
    {"filter=name:web*+tag:prod", OK, "filter", "name:web* tag:prod"},
    {"filter=a%20b%2bc%2Bd", OK, "filter", "a b+c+d"},
    {"filter=%C3%A4", OK, "filter", "\xc3\xa4"},
    {"fil%74er=1", OK, "filter", "1"},
    {"filter=a=b", OK, "filter", "a=b"},
    {"token=secret", ERR_MALFORMED, "token", NULL},
    {"Limit=5", ERR_MALFORMED, "Limit", NULL},
    {"limit=5&limit=6", ERR_MALFORMED, "limit", NULL},
    {"limit=%00", ERR_MALFORMED, "limit", NULL},
    {"limit=%0a", ERR_MALFORMED, "limit", NULL},
    {"limit=%7F", ERR_MALFORMED, "limit", NULL},
    {"limit=%ff", ERR_MALFORMED, "limit", NULL},
    {"limit=%C0%80", ERR_MALFORMED, "limit", NULL},
    {"limit=%4", ERR_MALFORMED, "limit", NULL},
    {"limit=%", ERR_MALFORMED, "limit", NULL},
    {"limit=%zz", ERR_MALFORMED, "limit", NULL},
    {"%00=1", ERR_MALFORMED, "\\x00", NULL},
    {"=1", ERR_MALFORMED, "", NULL},
};

static void
parameters_are_read_strictly(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct query q;
        struct query_error error;
        const struct span *value;

        assert_int_equal(query_parse(span_str(cases[i].text), allowed, &q, &error), cases[i].err);
        if (cases[i].err != OK) {
            assert_string_equal(error.name, cases[i].name);
            assert_true(strlen(error.reason) > 0);
            continue;
        }
        value = query_find(&q, cases[i].name);
        if (cases[i].value == NULL) {
            assert_null(value);
        } else {
            assert_non_null(value);
            assert_true(span_is(*value, cases[i].value));
        }
        query_fini(&q);
    }
}

static void
a_resource_without_parameters_takes_none(void **state)
{
    struct query q;
    struct query_error error;

    (void)state;
    assert_int_equal(query_parse(span_str("a=1"), NULL, &q, &error), ERR_MALFORMED);
    assert_string_equal(error.name, "a");
    assert_int_equal(query_parse(span_str(""), NULL, &q, &error), OK);
}

static void
the_scope_leaves_out_what_only_moves(void **state)
{
    struct query q;
    struct query_error error;
    char text[64];
    size_t len;

    (void)state;
    assert_int_equal(
        query_parse(span_str("filter=a%26b&limit=5&after=zz&x=1"), allowed, &q, &error), OK);
    assert_true(query_scope(&q, text, sizeof(text), &len));
    assert_true(span_is(span_of(text, len), "filter=a&b\nx=1\n"));
    assert_false(query_scope(&q, text, 12, &len));
    query_fini(&q);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_are_read_strictly),
        cmocka_unit_test(a_resource_without_parameters_takes_none),
        cmocka_unit_test(the_scope_leaves_out_what_only_moves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
