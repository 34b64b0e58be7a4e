/* test_views.c: the projector follows the log, and the views are thrown away when in doubt.
 * threads: yes */
#include "tests/unit/store_fixture.h"

#include <fcntl.h>

#include "core/seal.h"
#include "store/views.h"
#include "tests/unit/testing.h"

/* A fold over the fixture's events: seq -> FIELD_COUNT, and how many there were of each type. */
struct fold_state {
    _Atomic uint64_t fail_at; /* this event does not fold; 0: all do */
    _Atomic uint64_t folded;
    _Atomic uint64_t personal;
    char text[64]; /* the last personal field seen */
};

static enum err
fold(void *ctx, struct rows *rows, const struct event *ev, const struct fields *personal,
    uint32_t personal_count)
{
    struct fold_state *st = ctx;
    uint8_t key[8];
    uint64_t count = 0;
    struct span value;

    if (ev->seq == st->fail_at && ev->seq != 0)
        return ERR_LIMIT;
    for (unsigned i = 0; i < 8; i++)
        key[i] = (uint8_t)(ev->seq >> (56 - 8 * i));
    count = fields_u64(&ev->data, FIELD_COUNT);
    if (rows->put(rows->ctx, TABLE_BY_TIME, span_of(key, 8), span_of(&count, 8)) != OK)
        return ERR_IO;
    count = 0;
    if (rows->get(rows->ctx, TABLE_MINUTES, span_str("total"), &value) == OK)
        memcpy(&count, value.ptr, 8);
    count++;
    st->folded++;
    if (personal_count > 0) {
        struct span text = fields_span(&personal[0], FIELD_ACCOUNT_NAME);

        st->personal += personal_count;
        snprintf(st->text, sizeof(st->text), "%.*s", (int)text.len, (const char *)text.ptr);
    }
    return rows->put(rows->ctx, TABLE_MINUTES, span_str("total"), span_of(&count, 8));
}

static void
start(struct fixture *f, struct fold_state *st, uint32_t schema, struct opener_port opener,
    struct views **out)
{
    struct views_config config = {
        .state = &f->state,
        .fold = {.ctx = st, .schema = schema, .fold = fold},
        .opener = opener,
        .map_bytes = 1 << 30,
    };

    loglmdb_port(f->log, &config.log);
    FIXTURE_OK(f, views_start(&config, out, &f->why));
}

static void
wait_for(struct views *v, uint64_t position)
{
    struct views_port port;

    views_port(v, &port);
    for (int i = 0; i < 20000 && port.position(port.ctx) < position; i++)
        usleep(500);
    assert_int_equal(port.position(port.ctx), position);
}

static uint64_t
total(struct views *v)
{
    struct views_port port;
    struct rows rows;
    struct span value;
    uint64_t count = 0;

    views_port(v, &port);
    assert_int_equal(port.begin(port.ctx, &rows), OK);
    assert_null(rows.put);
    assert_null(rows.del);
    if (rows.get(rows.ctx, TABLE_MINUTES, span_str("total"), &value) == OK)
        memcpy(&count, value.ptr, 8);
    port.end(port.ctx, &rows);
    return count;
}

static void
write_marker(struct fixture *f, const char *boot, unsigned schema, const char *how)
{
    char text[128];
    int n = snprintf(text, sizeof(text), "gatehouse-views-1 %s %u %s\n", boot, schema, how);

    FIXTURE_OK(f, state_file_write(&f->state, "views.marker", span_of(text, (size_t)n), &f->why));
}

struct wake {
    _Atomic uint64_t position;
};

static void
woken(void *ctx, uint64_t position)
{
    struct wake *w = ctx;

    w->position = position;
}

static void
follows_the_log(void **state)
{
    struct fixture f = {0};
    struct fold_state st = {0};
    struct wake wake = {0};
    struct views_config config = {.state = &f.state, .map_bytes = 1 << 30};
    struct views_health health;
    struct views *v;

    (void)state;
    fixture_create(&f);
    fixture_append(&f, 5000, 10); /* more than a slice, before anybody looks */
    fixture_wait(&f);
    journal_stop(f.journal);
    config.fold = (struct view_fold){.ctx = &st, .schema = 1, .fold = fold};
    config.listener_count = 1;
    config.listeners[0] = (struct views_listener){&wake, woken};
    loglmdb_port(f.log, &config.log);
    FIXTURE_OK(&f, views_start(&config, &v, &f.why));
    f.config.listener_count = 1;
    views_durable_listener(v, &f.config.listeners[0]);
    fixture_journal(&f);
    wait_for(v, 5001);
    for (int i = 0; i < 50; i++)
        fixture_append(&f, 7, 10);
    fixture_wait(&f);
    wait_for(v, 5351);
    assert_int_equal(total(v), 5351);
    assert_int_equal(st.folded, 5351);
    views_health(v, &health);
    assert_int_equal(health.position, 5351);
    assert_int_equal(health.lag, 0);
    assert_int_equal(health.error, OK);
    assert_true(health.advanced_us > 0);
    journal_stop(f.journal);
    f.journal = NULL;
    views_stop(v);
    assert_int_equal(wake.position, 5351);
    /* stopped cleanly: goes on where it was */
    start(&f, &st, 1, (struct opener_port){0}, &v);
    wait_for(v, 5351);
    views_health(v, &health);
    assert_false(health.rebuilt);
    assert_int_equal(total(v), 5351);
    assert_int_equal(st.folded, 5351);
    views_stop(v);
    fixture_close(&f);
    fixture_remove(f.dir);
}

/* Each reason to rebuild, and each reason not to. */
static void
rebuilt_when_in_doubt(void **state)
{
    static const char other_boot[] = "00000000-0000-4000-8000-000000000000";
    char boot[BOOT_ID_BYTES];
    struct fold_state st = {0};
    struct fixture f = {0};
    const struct {
        const char *boot;
        unsigned schema;
        const char *how;
        bool rebuilt;
    } cases[] = {
        {boot, 1, "clean", false},
        {boot, 1, "open", false}, /* killed, but the page cache has it */
        {other_boot, 1, "clean", false},
        {other_boot, 1, "open", true},
        {boot, 2, "clean", true},
        {boot, 2, "open", true},
        {other_boot, 2, "clean", true},
        {boot, 1, "neither", true},
        {"short", 1, "clean", true},
        {"", 1, "", true},
    };

    (void)state;
    assert_int_equal(state_kernel_boot(boot), OK);
    fixture_create(&f);
    fixture_append(&f, 20, 10);
    fixture_wait(&f);
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct views_health health;
        struct views *v;

        start(&f, &st, 1, (struct opener_port){0}, &v);
        wait_for(v, 21);
        views_stop(v);
        write_marker(&f, cases[i].boot, cases[i].schema, cases[i].how);
        start(&f, &st, 1, (struct opener_port){0}, &v);
        wait_for(v, 21);
        views_health(v, &health);
        if (health.rebuilt != cases[i].rebuilt)
            fail_msg("case %zu", i);
        assert_int_equal(total(v), 21);
        views_stop(v);
    }
    fixture_close(&f);
    fixture_remove(f.dir);
}

/* Views of a longer log, and of another log of the same length. */
static void
another_log_is_seen(void **state)
{
    struct fixture f = {0}, g = {0};
    struct fold_state st = {0};
    struct views_health health;
    struct views *v;
    char ours[STATE_PATH_BYTES], theirs[STATE_PATH_BYTES];

    (void)state;
    fixture_create(&f);
    fixture_create(&g);
    fixture_append(&f, 20, 10);
    fixture_append(&g, 20, 10);
    fixture_wait(&f);
    fixture_wait(&g);
    start(&f, &st, 1, (struct opener_port){0}, &v);
    wait_for(v, 21);
    views_stop(v);
    start(&g, &st, 1, (struct opener_port){0}, &v);
    wait_for(v, 21);
    views_stop(v);
    state_path(&f.state, "views/data.mdb", ours);
    state_path(&g.state, "views/data.mdb", theirs);
    assert_int_equal(rename(ours, theirs), 0);
    start(&g, &st, 1, (struct opener_port){0}, &v);
    wait_for(v, 21);
    views_health(v, &health);
    assert_true(health.rebuilt);
    views_stop(v);
    /* a log that is shorter than its views */
    fixture_append(&g, 5, 10);
    fixture_wait(&g);
    start(&g, &st, 1, (struct opener_port){0}, &v);
    wait_for(v, 26);
    views_stop(v);
    state_path(&f.state, "views/data.mdb", ours);
    assert_int_equal(rename(theirs, ours), 0);
    start(&f, &st, 1, (struct opener_port){0}, &v);
    wait_for(v, 21);
    views_health(v, &health);
    assert_true(health.rebuilt);
    assert_int_equal(total(v), 21);
    views_stop(v);
    fixture_close(&f);
    fixture_close(&g);
    fixture_remove(f.dir);
    fixture_remove(g.dir);
}

static void
a_file_that_is_no_database(void **state)
{
    struct fixture f = {0};
    struct fold_state st = {0};
    struct views_health health;
    struct views *v;

    (void)state;
    fixture_create(&f);
    start(&f, &st, 1, (struct opener_port){0}, &v);
    wait_for(v, 1);
    views_stop(v);
    FIXTURE_OK(
        &f, state_file_write(&f.state, "views/data.mdb",
                span_str("rather long, but certainly not a database of any kind, or so"), &f.why));
    start(&f, &st, 1, (struct opener_port){0}, &v);
    wait_for(v, 1);
    views_health(v, &health);
    assert_true(health.rebuilt);
    views_stop(v);
    fixture_close(&f);
    fixture_remove(f.dir);
}

static void
a_failing_fold_is_loud_and_goes_on(void **state)
{
    struct fixture f = {0};
    struct fold_state st = {.fail_at = 11};
    struct views_health health;
    struct views *v;

    (void)state;
    fixture_create(&f);
    fixture_append(&f, 20, 10);
    fixture_wait(&f);
    start(&f, &st, 1, (struct opener_port){0}, &v);
    wait_for(v, 11); /* what is before it is there */
    for (int i = 0; i < 2000; i++) {
        views_health(v, &health);
        if (health.error != OK)
            break;
        usleep(1000);
    }
    assert_int_equal(health.error, ERR_LIMIT);
    assert_int_equal(health.error_seq, 11);
    assert_int_equal(health.lag, 10);
    assert_int_equal(total(v), 11); /* and nothing of a half-folded slice */
    st.fail_at = 0;
    wait_for(v, 21);
    for (int i = 0; i < 2000 && health.error != OK; i++) {
        usleep(1000);
        views_health(v, &health);
    }
    assert_int_equal(health.error, OK);
    assert_int_equal(total(v), 21);
    views_stop(v);
    fixture_close(&f);
    fixture_remove(f.dir);
}

/* ---- sealed boxes */

static const uint8_t box_key[32] = {7};

static enum err
open_box(void *ctx, const struct event *ev, const struct sealed_box *box, uint8_t *out, size_t cap,
    size_t *len)
{
    (void)ctx;
    if (box->key_id.b[0] == 2) /* destroyed */
        return ERR_NOT_FOUND;
    return seal_open(FIXTURE_ORIGIN, &ev->id, box_key, box->nonce, box->ciphertext, out, cap, len);
}

static void
seal_box(struct event *ev, unsigned at, uint8_t key_id, const uint8_t key[32], const char *text,
    uint8_t *nonce, uint8_t *out)
{
    struct fields fields = {0};
    uint8_t plain[128];
    size_t len;

    fields_add_span(&fields, FIELD_ACCOUNT_NAME, span_str(text));
    assert_int_equal(fields_encode(&fields, plain, sizeof(plain), &len), OK);
    randombytes_buf(nonce, 24);
    seal_close(FIXTURE_ORIGIN, &ev->id, key, nonce, span_of(plain, len), out);
    ev->sealed[at] =
        (struct sealed_box){{{key_id}}, span_of(nonce, 24), span_of(out, len + SEAL_TAG_BYTES)};
    ev->sealed_count = at + 1;
}

static void
boxes_are_opened(void **state)
{
    static const uint8_t wrong_key[32] = {8};
    static struct event ev;
    struct fixture f = {0};
    struct fold_state st = {0};
    struct views_health health;
    uint8_t body[2048], nonce[3][24], out[3][256];
    struct views *v;
    struct batch *b;
    size_t len;

    (void)state;
    fixture_create(&f);
    b = fixture_batch(&f);
    ev = (struct event){.seq = f.next_seq++,
        .origin_id = event_origin_id(FIXTURE_ORIGIN),
        .prev = f.prev,
        .key_epoch = 1,
        .eff_us = f.eff_us,
        .type = EV_HEARTBEAT,
        .v = 1};
    seal_box(&ev, 0, 1, box_key, "ada", nonce[0], out[0]);
    seal_box(&ev, 1, 2, box_key, "forgotten", nonce[1], out[1]);
    seal_box(&ev, 2, 3, wrong_key, "not ours", nonce[2], out[2]);
    assert_int_equal(event_encode(&ev, body, sizeof(body), &len), OK);
    assert_int_equal(batch_add(b, span_of(body, len)), OK);
    fixture_submit(&f, b);
    fixture_wait(&f);
    start(&f, &st, 1, (struct opener_port){.open = open_box}, &v);
    wait_for(v, 2);
    views_health(v, &health);
    assert_int_equal(st.personal, 1);
    assert_string_equal(st.text, "ada");
    assert_int_equal(health.unopened, 1);
    assert_int_equal(health.error, OK);
    views_stop(v);
    fixture_close(&f);
    fixture_remove(f.dir);
}

/* ---- scans */

struct scanned {
    uint64_t seqs[64];
    unsigned count, stop_after;
};

static bool
scan_one(void *arg, struct span key, struct span value)
{
    struct scanned *s = arg;
    uint64_t seq = 0;

    assert_int_equal(key.len, 8);
    assert_int_equal(value.len, 8);
    for (unsigned i = 0; i < 8; i++)
        seq = seq << 8 | key.ptr[i];
    s->seqs[s->count++] = seq;
    return s->count < s->stop_after;
}

static void
scans(void **state)
{
    static const struct {
        const char *from;
        size_t from_len;
        bool reverse;
        unsigned stop_after, count;
        uint64_t first;
    } cases[] = {
        {"", 0, false, 64, 31, 0},
        {"\0\0\0\0\0\0\0\x05", 8, false, 64, 26, 5},
        {"\0\0\0\0\0\0\0\x05", 8, false, 3, 3, 5},
        {"\0\0\0\0\0\0\0\x05", 8, true, 64, 6, 5},
        {"\0\0\0\0\0\0\0\x05x", 9, true, 64, 6, 5}, /* between two keys */
        {"\0\0\0\0\0\0\0\x05x", 9, false, 64, 25, 6},
        {"\xff", 1, true, 2, 2, 30},
        {"\xff", 1, false, 64, 0, 0},
        {"\0", 1, true, 64, 0, 0}, /* before the first */
        {"", 0, true, 64, 0, 0},
        {"\0\0\0\0\0\0\0\x1e", 8, true, 1, 1, 30},
    };
    struct fixture f = {0};
    struct fold_state st = {0};
    struct views_port port;
    struct views *v;
    struct rows rows, other;

    (void)state;
    fixture_create(&f);
    fixture_append(&f, 30, 10);
    fixture_wait(&f);
    start(&f, &st, 1, (struct opener_port){0}, &v);
    wait_for(v, 31);
    views_port(v, &port);
    for (size_t i = 0; i < ROWS(cases); i++) {
        struct scanned s = {.stop_after = cases[i].stop_after};

        assert_int_equal(port.begin(port.ctx, &rows), OK);
        assert_int_equal(port.begin(port.ctx, &other), OK); /* two at once, on one thread */
        assert_int_equal(
            rows.scan(rows.ctx, TABLE_BY_TIME, span_of(cases[i].from, cases[i].from_len),
                cases[i].reverse, scan_one, &s),
            OK);
        port.end(port.ctx, &other);
        port.end(port.ctx, &rows);
        if (s.count != cases[i].count || (s.count > 0 && s.seqs[0] != cases[i].first))
            fail_msg("case %zu: %u keys from %llu", i, s.count, (unsigned long long)s.seqs[0]);
    }
    views_stop(v);
    fixture_close(&f);
    fixture_remove(f.dir);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_the_log),
        cmocka_unit_test(rebuilt_when_in_doubt),
        cmocka_unit_test(another_log_is_seen),
        cmocka_unit_test(a_file_that_is_no_database),
        cmocka_unit_test(a_failing_fold_is_loud_and_goes_on),
        cmocka_unit_test(boxes_are_opened),
        cmocka_unit_test(scans),
    };

    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
