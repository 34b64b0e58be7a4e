/* test_views_rows.c: of the query views, what no list of steps says well: sweeps over many rows,
 * names, lengths, the bytes of rows, a store that fails. */
#include "tests/unit/views_steps.h"

static void
logins_that_ran_out_are_tidied_up_by_the_next(void **state)
{
    struct tale *t = tale_new();
    char text[8192];

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        const struct step login = {LOGIN(ADA, FAM + i)};

        t->s->now = T0 + (int64_t)i * 3000 * S;
        step_says(t, &login);
    }
    read_row(t, TABLE_FAMILIES, FAM, text, sizeof(text));
    assert_string_equal(text,
        "user 1 opened 0 refreshed 0 expires 3600 n 0 from 192.0.2.1 by browser expired 3600");
    read_row(t, TABLE_FAMILIES, FAM2, text, sizeof(text));
    assert_non_null(strstr(text, " live -"));
    tale_free(t);
}

/* More than a batch of entries: all are swept, whether the sweep takes them away or not. */
static void
sweeps_reach_everything(void **state)
{
    enum { MANY = 300 };
    struct tale *t = tale_new();
    struct rows rows = mem_rows(&t->mem);
    const struct step password = {
        EV_PASSWORD_CHANGED, ACTOR_USER, ADA, 1000 + MANY / 2, .user = ADA};
    const struct step erased = {EV_USER_ERASED, ACTOR_CLI, .user = ADA};
    const struct step registered = {EV_USER_REGISTERED, ACTOR_CLI, .user = ADA, .name = "ada"};
    struct family_row row;
    struct id id;

    (void)state;
    step_says(t, &registered);
    for (unsigned i = 0; i < MANY; i++) {
        const struct step login = {LOGIN(ADA, 1000 + i)};

        t->s->now += 1;
        step_says(t, &login);
    }
    step_says(t, &password);
    for (unsigned i = 0; i < MANY; i++) {
        id = id_n(1000 + i);
        assert_int_equal(row_get(&rows, TABLE_FAMILIES, &id, &row), OK);
        assert_int_equal(row.live, i == MANY / 2);
    }
    assert_int_equal(t->mem.t[TABLE_BY_ADDRESS].count, MANY);
    step_says(t, &erased);
    for (unsigned i = 0; i < MANY; i++) {
        id = id_n(1000 + i);
        assert_int_equal(row_get(&rows, TABLE_FAMILIES, &id, &row), OK);
        assert_false(row.live);
        assert_string_equal(row.address, "");
    }
    assert_int_equal(t->mem.t[TABLE_BY_ADDRESS].count, 0);
    tale_free(t);
}

static void
names_belong_to_whom_they_name(void **state)
{
    static const struct {
        const char *name;
        size_t len;
        unsigned user; /* 0: nobody */
    } asked[] = {
        {"bob", 3, 1},
        {"BOB", 3, 1},
        {"bo", 2, 2},
        {"b", 1, 0},
        {"bobby", 5, 0},
        {"bob\0", 4, 0},
        {"bob\0x", 5, 0},
        {"", 0, 0},
        {"\0", 1, 0},
        {"bo\xff", 3, 0},
        {" bob", 4, 0},
        {"%00", 3, 0},
        {"' OR 1=1", 8, 0},
        {"*", 1, 0},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 64, 3},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 65, 0},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 63, 0},
    };
    static const char *const names[] = {"Bob", "bo",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "bob" /* an odd log: the first one keeps it */, "",
        "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"};
    struct tale *t = tale_new();
    struct rows rows = mem_rows(&t->mem);
    struct step erased = {EV_USER_ERASED, .kind = ACTOR_CLI};
    struct user_row row;

    (void)state;
    for (unsigned i = 0; i < ROWS(names); i++) {
        struct step step = {
            EV_USER_REGISTERED, ACTOR_CLI, .user = i + 1, .name = names[i], .box = i + 1};

        step_says(t, &step);
    }
    for (size_t i = 0; i < ROWS(asked); i++) {
        enum err err = views_user_named(&rows, span_of(asked[i].name, asked[i].len), &row);

        assert_int_equal(err, asked[i].user == 0 ? ERR_NOT_FOUND : OK);
        if (err == OK)
            assert_int_equal(number(&row.user), asked[i].user);
    }
    erased.user = 4; /* had none: takes none away */
    step_says(t, &erased);
    assert_int_equal(views_user_named(&rows, span_str("bob"), &row), OK);
    erased.user = 1;
    step_says(t, &erased);
    assert_int_equal(views_user_named(&rows, span_str("bob"), &row), ERR_NOT_FOUND);
    tale_free(t);
}

static void
long_texts_are_cut_between_code_points(void **state)
{
    struct tale *t = tale_new();
    struct rows rows = mem_rows(&t->mem);
    struct machine_row row;
    struct id id = id_n(WEB);
    uint8_t name[NAME_BYTES + 8], labels[LABELS_BYTES + 1] = {0x90};

    (void)state;
    name[0] = 'x';
    for (size_t i = 1; i < sizeof(name); i++)
        name[i] = i % 2 == 1 ? 0xC3 : 0xA4; /* a umlaut */
    tale_say(t, EV_MACHINE_ADDED);
    about(t->s, 0, WEB, 0, 0);
    tale_personal(t, WEB, FIELD_MACHINE_NAME, name, sizeof(name) - 1);
    tale_told(t);
    assert_int_equal(views_machine(&rows, &id, &row), OK);
    assert_int_equal(strlen(row.name), NAME_BYTES - 1);
    assert_memory_equal(row.name, name, NAME_BYTES - 1);
    name[1] = 'y'; /* now the limit is inside one */
    for (size_t i = 2; i < sizeof(name); i++)
        name[i] = i % 2 == 0 ? 0xC3 : 0xA4;
    tale_say(t, EV_MACHINE_CHANGED);
    about(t->s, 0, WEB, 0, 0);
    tale_personal(t, WEB, FIELD_MACHINE_NAME, name, sizeof(name) - 2);
    tale_told(t);
    assert_int_equal(views_machine(&rows, &id, &row), OK);
    assert_int_equal(strlen(row.name), NAME_BYTES - 2);
    /* Half a list would be a wrong one. */
    tale_say(t, EV_MACHINE_CHANGED);
    about(t->s, 0, WEB, 0, 0);
    labels[0] = 0xC5; /* bin 16, whole */
    labels[1] = (uint8_t)((sizeof(labels) - 3) >> 8);
    labels[2] = (uint8_t)(sizeof(labels) - 3);
    with_bytes(t->s, FIELD_LABELS, labels, sizeof(labels));
    tale_told(t);
    assert_int_equal(views_machine(&rows, &id, &row), OK);
    assert_int_equal(row.labels_len, 0);
    tale_free(t);
}

/* Every column of every table holds its own: a row of ones reads back as a row of ones. */
static void
rows_read_back(void **state)
{
    static const struct {
        enum table table;
        size_t size;
    } tables[] = {
        {TABLE_USERS, sizeof(struct user_row)},
        {TABLE_CODES, sizeof(struct code_row)},
        {TABLE_KEYS, sizeof(struct key_row)},
        {TABLE_INVITES, sizeof(struct invite_row)},
        {TABLE_FAMILIES, sizeof(struct family_row)},
        {TABLE_CHANNELS, sizeof(struct channel_row)},
        {TABLE_MINUTES, sizeof(struct minute_row)},
    };
    static uint8_t bytes[ROW_BYTES_MAX], again[ROW_BYTES_MAX];
    static union any_row row, back;

    (void)state;
    for (size_t i = 0; i < ROWS(tables); i++) {
        size_t len, member = 0;

        memset(&row, 1, sizeof(row)); /* texts without a NUL, too */
        len = row_encode(tables[i].table, &row, bytes);
        memset(&back, 0xEE, sizeof(back));
        assert_int_equal(row_decode(tables[i].table, span_of(bytes, len), &back), OK);
        /* Only padding and the last byte of texts may differ: zeros there. */
        for (size_t at = 0; at < tables[i].size; at++)
            member += ((uint8_t *)&back)[at] == 1;
        assert_true(member + 40 >= tables[i].size);
        assert_int_equal(row_encode(tables[i].table, &back, again), len);
        assert_memory_equal(bytes, again, len);
        for (size_t cut = 0; cut < len; cut++)
            assert_int_equal(
                row_decode(tables[i].table, span_of(bytes, cut), &back), ERR_MALFORMED);
        assert_int_equal(
            row_decode(tables[i].table, span_of(bytes, len + 1), &back), ERR_MALFORMED);
    }
    memset(&row, 0, sizeof(row));
    memset(row.machine.labels, 7, LABELS_BYTES);
    memset(row.machine.allow, 8, ALLOW_BYTES);
    row.machine.labels_len = LABELS_BYTES;
    row.machine.allow_len = ALLOW_BYTES;
    row.machine.named = true;
    assert_int_equal(
        row_decode(TABLE_MACHINES, span_of(bytes, row_encode(TABLE_MACHINES, &row, bytes)), &back),
        OK);
    assert_memory_equal(&row.machine, &back.machine, sizeof(row.machine));
}

/* The store says no: the fold stops at once and says so. */
static enum err
put_fails(void *ctx, enum table t, struct span key, struct span value)
{
    unsigned *left = ctx;

    (void)t;
    (void)key;
    (void)value;
    if (*left == 0)
        return ERR_IO;
    (*left)--;
    return OK;
}

static enum err
get_nothing(void *ctx, enum table t, struct span key, struct span *value)
{
    (void)ctx;
    (void)t;
    (void)key;
    (void)value;
    return ERR_NOT_FOUND;
}

static enum err
del_nothing(void *ctx, enum table t, struct span key)
{
    (void)ctx;
    (void)t;
    (void)key;
    return ERR_NOT_FOUND;
}

static enum err
scan_nothing(void *ctx, enum table t, struct span from, bool reverse,
    bool (*each)(void *arg, struct span key, struct span value), void *arg)
{
    (void)ctx;
    (void)t;
    (void)from;
    (void)reverse;
    (void)each;
    (void)arg;
    return OK;
}

static void
a_failing_store_is_told(void **state)
{
    struct view_fold port = views_fold_port();
    struct story *s = story_new();
    unsigned puts = 0;

    (void)state;
    say(s, EV_USER_REGISTERED);
    about(s, 0, 0, ADA, 0);
    for (unsigned allowed = 0; allowed < 20; allowed++) {
        unsigned left = allowed;
        struct rows rows = {&left, get_nothing, put_fails, del_nothing, scan_nothing};
        enum err err = port.fold(port.ctx, &rows, &s->ev, NULL, 0);

        if (err == OK) {
            puts = allowed;
            break;
        }
        assert_int_equal(err, ERR_IO);
        assert_int_equal(left, 0);
    }
    assert_int_equal(puts, 6); /* time, type, user, minute; the row, and its place in the list */
    story_end(s, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logins_that_ran_out_are_tidied_up_by_the_next),
        cmocka_unit_test(sweeps_reach_everything),
        cmocka_unit_test(names_belong_to_whom_they_name),
        cmocka_unit_test(long_texts_are_cut_between_code_points),
        cmocka_unit_test(rows_read_back),
        cmocka_unit_test(a_failing_store_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
