/* test_views_bounds.c: queries of the views at their limits: how much one call looks at, positions
 * and times of any bytes, minutes, and a store that fails or holds what it should not. */
#include "tests/unit/views_steps.h"

static struct tale *
many_machines(unsigned count)
{
    struct tale *t = tale_new();

    for (unsigned i = 0; i < count; i++) {
        const struct step step = {
            EV_MACHINE_ADDED, ACTOR_USER, ADA, .machine = i + 1, .label = "prod"};

        t->s->now++;
        step_says(t, &step);
    }
    return t;
}

static bool
count_machine(void *arg, const struct machine_row *row)
{
    (void)row;
    ++*(unsigned *)arg;
    return true;
}

static void
a_page_looks_at_so_many_rows(void **state)
{
    struct tale *t = many_machines(VIEWS_LOOKED_MAX + 500);
    struct rows rows = mem_rows(&t->mem);
    struct views_page page = {.limit = 10};
    struct filter_error error;
    struct filter none;
    struct views_position after;
    unsigned count = 0;

    (void)state;
    assert_int_equal(filter_parse(span_str("-tag:prod"), &filter_machines, &none, &error), OK);
    assert_int_equal(
        views_machines(&rows, &page, &none, NULL, t->s->now, count_machine, &count), OK);
    assert_int_equal(count, 0);
    assert_true(page.more);
    after = page.last;
    page.after = &after;
    t->mem.scanned = 0;
    assert_int_equal(
        views_machines(&rows, &page, &none, NULL, t->s->now, count_machine, &count), OK);
    assert_int_equal(count, 0);
    assert_false(page.more);
    assert_in_range(t->mem.scanned, 1000, 1010); /* the other 500, an entry and a row each */
    page = (struct views_page){.limit = UINT32_MAX};
    assert_int_equal(
        views_machines(&rows, &page, NULL, NULL, t->s->now, count_machine, &count), OK);
    assert_int_equal(count, VIEWS_LOOKED_MAX);
    assert_true(page.more);
    page = (struct views_page){.limit = 0};
    count = 0;
    assert_int_equal(
        views_machines(&rows, &page, NULL, NULL, t->s->now, count_machine, &count), OK);
    assert_int_equal(count, 0);
    tale_free(t);
}

/* A page's position is made of bytes: any bytes may come, and none reach beyond the list. */
static void
positions_are_only_bytes(void **state)
{
    static const uint8_t fills[] = {0x00, 0x01, 0x7F, 0x80, 0xA5, 0xFE, 0xFF};
    struct tale *t = many_machines(20);
    struct rows rows = mem_rows(&t->mem);
    const struct step code = {EV_CODE_ISSUED, ACTOR_USER, ADA, .code = CODE};

    (void)state;
    step_says(t, &code); /* a neighbour in the same table of the store */
    for (size_t i = 0; i < ROWS(fills); i++)
        for (size_t len = 0; len <= VIEWS_POSITION_BYTES; len++) {
            struct views_position after = {{0}};
            struct views_page page = {.after = &after, .limit = 100};
            unsigned count = 0;

            memset(after.b, fills[i], len);
            assert_int_equal(
                views_machines(&rows, &page, NULL, NULL, 0, count_machine, &count), OK);
            assert_in_range(count, 0, 20);
            assert_false(page.more);
        }
    tale_free(t);
}

static bool
note_seq(void *arg, uint64_t seq)
{
    uint64_t *sum = arg;

    *sum += seq + 1;
    return true;
}

/* 4,000 events of one user, 4,000 of another, taking turns; one is about both. */
static struct tale *
two_crowds(void)
{
    struct tale *t = tale_new();

    for (unsigned i = 0; i < 8000; i++) {
        struct step step = {EV_AUDIT_READ, ACTOR_USER, .actor = i % 2 == 0 ? ADA : BOB};

        step.user = i == 6001 ? ADA : step.actor;
        step.session = i == 6001 ? SES : 0;
        t->s->now += S;
        step_says(t, &step);
    }
    return t;
}

static void
the_rarest_leads(void **state)
{
    struct tale *t = two_crowds();
    struct rows rows = mem_rows(&t->mem);
    struct events_query q = {.has_session = true,
        .session = id_n(SES),
        .has_user = true,
        .user = id_n(ADA),
        .has_type = true,
        .type_count = 2,
        .types = {EV_HEARTBEAT, EV_AUDIT_READ},
        .limit = 10};
    uint64_t sum = 0, next;
    bool more;

    (void)state;
    t->mem.scanned = 0;
    assert_int_equal(views_events(&rows, &q, note_seq, &sum, &next, &more), OK);
    assert_int_equal(sum, 6002);
    assert_false(more);
    assert_in_range(t->mem.scanned, 1, 16);
    assert_int_equal(next, 7999); /* from here on, for who waits */
    tale_free(t);
}

/* More than a call may look at: the next one goes on, and nothing is left out or told twice. */
static void
a_search_looks_at_so_many_entries(void **state)
{
    struct tale *t = two_crowds();
    struct rows rows = mem_rows(&t->mem);
    struct events_query q = {.has_user = true,
        .user = id_n(BOB),
        .has_type = true,
        .type_count = 2,
        .types = {EV_AUDIT_READ, EV_LOGOUT},
        .limit = UINT32_MAX};
    uint64_t sum = 0;
    unsigned calls = 0;

    (void)state;
    for (bool more = true; more; calls++) {
        t->mem.scanned = 0;
        assert_int_equal(views_events(&rows, &q, note_seq, &sum, &q.after, &more), OK);
        assert_in_range(t->mem.scanned, 1, VIEWS_LOOKED_MAX + 16);
        q.has_after = true;
    }
    assert_in_range(calls, 4, 8);
    assert_int_equal(sum, 4000u * 4001u);                     /* 2 + 4 + ... + 8000 */
    q = (struct events_query){.has_type = true, .limit = 10}; /* of no type at all */
    t->mem.scanned = sum = 0;
    assert_int_equal(views_events(&rows, &q, note_seq, &sum, &q.after, &(bool){false}), OK);
    assert_int_equal(sum, 0);
    assert_in_range(t->mem.scanned, 1, 2);
    tale_free(t);
}

static void
times_at_their_ends(void **state)
{
    static const int64_t times[] = {INT64_MIN, INT64_MIN + 1, -1, 1, T0, INT64_MAX - 1, INT64_MAX};
    struct tale *t = tale_new();
    struct rows rows = mem_rows(&t->mem);
    const struct step beat = {EV_HEARTBEAT, .kind = ACTOR_SERVER};
    uint64_t next;
    bool more;

    (void)state;
    /* An empty log has nothing, and says where to go on: where it was told. */
    assert_int_equal(views_events(&rows, &(struct events_query){.limit = 5}, note_seq,
                         &(uint64_t){0}, &next, &more),
        OK);
    assert_int_equal(next, 0);
    assert_false(more);
    step_says(t, &beat); /* at T0 */
    for (size_t from = 0; from < ROWS(times); from++)
        for (size_t to = 0; to < ROWS(times); to++) {
            struct events_query q = {
                .from_us = times[from], .to_us = times[to], .limit = UINT32_MAX};
            uint64_t sum = 0;

            assert_int_equal(views_events(&rows, &q, note_seq, &sum, &next, &more), OK);
            assert_int_equal(sum, times[from] <= T0 && T0 < times[to]);
            assert_false(more);
        }
    assert_int_equal(
        views_events(&rows,
            &(struct events_query){.has_after = true, .after = UINT64_MAX, .limit = UINT32_MAX},
            note_seq, &(uint64_t){0}, &next, &more),
        OK);
    assert_int_equal(next, UINT64_MAX);
    tale_free(t);
}

struct minutes_seen {
    unsigned count;
    int64_t at[16];
    struct minute_row row[16];
};

static bool
see_minute(void *arg, int64_t minute_us, const struct minute_row *row)
{
    struct minutes_seen *m = arg;

    assert_true(m->count < 16);
    m->at[m->count] = minute_us;
    m->row[m->count++] = *row;
    return true;
}

static void
minutes_count(void **state)
{
    static const struct {
        enum event_type type;
        int64_t at_s; /* into a minute */
    } told_at[] = {{EV_LOGIN_SUCCEEDED, 0}, {EV_LOGIN_FAILED, 1}, {EV_AGENT_REJECTED, 59},
        {EV_REFUSALS_COUNTED, 60}, {EV_SESSION_OPENED, 61}, {EV_AGENT_CONNECTED, 62},
        {EV_HEARTBEAT, 300}};
    struct tale *t = tale_new();
    struct rows rows = mem_rows(&t->mem);
    struct minutes_seen m = {0};
    int64_t base = T0 - T0 % VIEWS_MINUTE_US;

    (void)state;
    for (size_t i = 0; i < ROWS(told_at); i++) {
        t->s->now = base + told_at[i].at_s * S;
        tale_say(t, told_at[i].type);
        if (told_at[i].type == EV_REFUSALS_COUNTED)
            with_u(t->s, FIELD_TOTAL, 70);
        tale_told(t);
    }
    assert_int_equal(views_minutes(&rows, 0, 0, 100, see_minute, &m), OK);
    assert_int_equal(m.count, 3);
    assert_int_equal(m.at[0], base);
    assert_int_equal(m.at[1], base + 60 * S);
    assert_int_equal(m.at[2], base + 300 * S);
    assert_int_equal(m.row[0].events, 3);
    assert_int_equal(m.row[0].logins, 1);
    assert_int_equal(m.row[0].logins_failed, 1);
    assert_int_equal(m.row[0].refusals, 1);
    assert_int_equal(m.row[1].refusals, 70);
    assert_int_equal(m.row[1].sessions, 1);
    assert_int_equal(m.row[1].agents, 1);
    m.count = 0;
    assert_int_equal(views_minutes(&rows, base + 1, base + 300 * S, 100, see_minute, &m), OK);
    assert_int_equal(m.count, 1); /* the one in the middle */
    m.count = 0;
    assert_int_equal(views_minutes(&rows, 0, 0, 2, see_minute, &m), OK);
    assert_int_equal(m.count, 2);
    m.count = 0;
    assert_int_equal(views_minutes(&rows, 0, 0, 0, see_minute, &m), OK);
    assert_int_equal(m.count, 0);
    tale_free(t);
}

/* --- a store that is not as it should be --- */

static enum err
get_fails(void *ctx, enum table t, struct span key, struct span *value)
{
    (void)ctx;
    (void)t;
    (void)key;
    (void)value;
    return ERR_IO;
}

static enum err
scan_fails(void *ctx, enum table t, struct span from, bool reverse,
    bool (*each)(void *arg, struct span key, struct span value), void *arg)
{
    (void)ctx;
    (void)t;
    (void)from;
    (void)reverse;
    (void)each;
    (void)arg;
    return ERR_IO;
}

static bool
take_none(void *arg, const struct session_row *row)
{
    (void)arg;
    (void)row;
    fail_msg("a row that could not be read");
    return false;
}

static bool
take_no_channel(void *arg, const struct channel_row *row)
{
    (void)arg;
    (void)row;
    return false;
}

static void
failures_are_told(void **state)
{
    struct tale *t = tale_new();
    struct rows rows = mem_rows(&t->mem), deaf = rows, blind = rows;
    const struct step asked = {
        EV_SESSION_REQUESTED, ACTOR_USER, ADA, .session = SES, .machine = WEB, .user = ADA};
    struct views_page page = {.limit = 5};
    struct id ses = id_n(SES);
    static union any_row row;
    uint64_t next;
    bool more;

    (void)state;
    step_says(t, &asked);
    deaf.get = get_fails;
    blind.scan = scan_fails;
    assert_int_equal(views_session(&deaf, &ses, &row.session), ERR_IO);
    assert_int_equal(views_user_named(&deaf, span_str("ada"), &row.user), ERR_IO);
    assert_int_equal(views_sessions(&deaf, &page, NULL, take_none, NULL), ERR_IO);
    assert_int_equal(views_sessions(&blind, &page, NULL, take_none, NULL), ERR_IO);
    assert_int_equal(views_channels(&blind, &ses, take_no_channel, NULL), ERR_IO);
    assert_int_equal(views_minutes(&blind, 0, 0, 5, see_minute, NULL), ERR_IO);
    assert_int_equal(views_events(&blind, &(struct events_query){.limit = 5}, note_seq,
                         &(uint64_t){0}, &next, &more),
        ERR_IO);
    /* Bytes that are no row, and an entry without its row. */
    assert_int_equal(
        rows.put(rows.ctx, TABLE_SESSIONS, span_of(ses.b, ID_BYTES), span_str("x")), OK);
    assert_int_equal(views_session(&rows, &ses, &row.session), ERR_MALFORMED);
    assert_int_equal(views_sessions(&rows, &page, NULL, take_none, NULL), ERR_MALFORMED);
    assert_int_equal(rows.del(rows.ctx, TABLE_SESSIONS, span_of(ses.b, ID_BYTES)), OK);
    assert_int_equal(views_sessions(&rows, &page, NULL, take_none, NULL), ERR_MALFORMED);
    tale_free(t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_looks_at_so_many_rows),
        cmocka_unit_test(positions_are_only_bytes),
        cmocka_unit_test(the_rarest_leads),
        cmocka_unit_test(a_search_looks_at_so_many_entries),
        cmocka_unit_test(times_at_their_ends),
        cmocka_unit_test(minutes_count),
        cmocka_unit_test(failures_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
