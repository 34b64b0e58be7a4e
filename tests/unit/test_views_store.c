/* test_views_store.c: the view fold in the real store: events sealed, journaled, followed by the
 * projector, kept in LMDB, asked while more come; and the same rows and answers as in memory.
 * threads: yes */
#include "tests/unit/store_fixture.h"
#include "tests/unit/views_random.h"

#include "core/keyring.h"
#include "core/seal.h"
#include "store/views.h"

#define BATCHES      60
#define BATCH_EVENTS 40

struct scene {
    struct fixture f;
    struct history h;
    struct keyring *keys;
    struct views *views;
    struct views_port port;
};

static int
by_key(const void *a, const void *b)
{
    return memcmp(((const struct sealed_box *)a)->key_id.b,
        ((const struct sealed_box *)b)->key_id.b, ID_BYTES);
}

/* The event in hand, with its boxes closed under real keys, as the ledger would. */
static void
append(struct scene *s, struct batch *b)
{
    struct tale *t = s->h.t;
    struct event *ev = &t->s->ev;
    static uint8_t plain[RECORD_BYTES_MAX], body[RECORD_BYTES_MAX];
    static uint8_t cipher[SEALED_MAX][4096], nonce[SEALED_MAX][SEAL_NONCE_BYTES];
    size_t len;

    if (ev->type <= EV_KEY_COMPROMISED) /* the journal's own */
        ev->type = EV_HEARTBEAT;
    ev->seq = s->f.next_seq++;
    ev->origin_id = event_origin_id(FIXTURE_ORIGIN);
    ev->prev = s->f.prev;
    ev->key_epoch = s->f.keys.event.epoch;
    ev->id = id_n(1000000 + ev->seq);
    for (uint32_t i = 0; i < t->boxes; i++) {
        uint8_t key[SEAL_KEY_BYTES];

        randombytes_buf(key, sizeof(key));
        if (!keyring_get(s->keys, &t->subject[i], key))
            assert_int_equal(keyring_put(s->keys, &t->subject[i], key), OK);
        assert_int_equal(fields_encode(&t->personal[i], plain, sizeof(plain), &len), OK);
        randombytes_buf(nonce[i], SEAL_NONCE_BYTES);
        seal_close(FIXTURE_ORIGIN, &ev->id, key, nonce[i], span_of(plain, len), cipher[i]);
        ev->sealed[i] = (struct sealed_box){t->subject[i], span_of(nonce[i], SEAL_NONCE_BYTES),
            span_of(cipher[i], len + SEAL_TAG_BYTES)};
    }
    ev->sealed_count = t->boxes;
    qsort(ev->sealed, ev->sealed_count, sizeof(ev->sealed[0]), by_key);
    assert_int_equal(event_encode(ev, body, sizeof(body), &len), OK);
    event_prev(span_of(body, len), &s->f.prev);
    assert_int_equal(batch_add(b, span_of(body, len)), OK);
}

static void
append_some(struct scene *s)
{
    struct batch *b = fixture_batch(&s->f);

    for (unsigned i = 0; i < BATCH_EVENTS; i++) {
        random_event(&s->h);
        append(s, b);
    }
    fixture_submit(&s->f, b);
}

static void
views_begin(struct scene *s, uint32_t schema)
{
    struct views_config config = {.state = &s->f.state,
        .fold = views_fold_port(),
        .opener = keyring_opener(s->keys),
        .map_bytes = 1 << 30};

    config.fold.schema = schema;
    loglmdb_port(s->f.log, &config.log);
    FIXTURE_OK(&s->f, views_start(&config, &s->views, &s->f.why));
    views_port(s->views, &s->port);
}

static void
caught_up(struct scene *s)
{
    struct views_health health;

    fixture_wait(&s->f);
    for (int i = 0; i < 60000 && s->port.position(s->port.ctx) < s->f.next_seq; i++)
        usleep(500);
    views_health(s->views, &health);
    assert_int_equal(health.error, OK);
    assert_int_equal(health.unopened, 0);
    assert_int_equal(s->port.position(s->port.ctx), s->f.next_seq);
}

/* --- the same in memory --- */

struct folding_again {
    struct scene *s;
    struct mem mem;
};

static bool
fold_record(void *arg, uint64_t seq, struct span record)
{
    struct folding_again *a = arg;
    const struct view_fold port = views_fold_port();
    struct opener_port opener = keyring_opener(a->s->keys);
    struct rows rows = mem_rows(&a->mem);
    static uint8_t plain[SEALED_MAX][4096];
    static struct fields personal[SEALED_MAX];
    static struct event ev;
    struct span body, sig;
    uint32_t n = 0;

    (void)seq;
    assert_int_equal(event_split(record, &body, &sig), OK);
    assert_int_equal(event_decode(body, &ev), OK);
    for (uint32_t i = 0; i < ev.sealed_count; i++) {
        size_t len;
        enum err err =
            opener.open(opener.ctx, &ev, &ev.sealed[i], plain[i], sizeof(plain[i]), &len);

        if (err == ERR_NOT_FOUND)
            continue;
        assert_int_equal(err, OK);
        assert_int_equal(fields_decode(span_of(plain[i], len), &personal[n++]), OK);
    }
    assert_int_equal(port.fold(port.ctx, &rows, &ev, personal, n), OK);
    return true;
}

static void
fold_log(struct scene *s, struct folding_again *out)
{
    struct log_port log;
    uint64_t next = 0;

    *out = (struct folding_again){.s = s};
    loglmdb_port(s->f.log, &log);
    while (next < log.size(log.ctx))
        assert_int_equal(log.read(log.ctx, next, 500, fold_record, out, &next), OK);
}

struct copying {
    struct mem *to;
    enum table table;
};

static bool
copy_entry(void *arg, struct span key, struct span value)
{
    struct copying *c = arg;

    assert_int_equal(mem_put(c->to, c->table, key, value), OK);
    return true;
}

static void
same_as_in_memory(struct scene *s, const struct mem *want)
{
    struct mem stored = {0};
    struct rows rows;

    assert_int_equal(s->port.begin(s->port.ctx, &rows), OK);
    for (unsigned t = 0; t < TABLE_COUNT; t++) {
        struct copying c = {&stored, (enum table)t};

        assert_int_equal(
            rows.scan(rows.ctx, (enum table)t, span_of(NULL, 0), false, copy_entry, &c), OK);
    }
    s->port.end(s->port.ctx, &rows);
    assert_same_rows(want, &stored);
    mem_fini(&stored);
}

/* --- the same answers --- */

struct answers {
    struct hash chain; /* of all that each() got */
    unsigned count;
};

static void
note(struct answers *a, struct span bytes)
{
    struct span parts[] = {span_of(a->chain.b, HASH_BYTES), bytes};

    hash_parts(parts, 2, &a->chain);
    a->count++;
}

static bool
note_session(void *arg, const struct session_row *row)
{
    note(arg, span_of(row, sizeof(*row)));
    return true;
}

static bool
note_machine(void *arg, const struct machine_row *row)
{
    note(arg, span_of(row, sizeof(*row)));
    return true;
}

static bool
note_seq(void *arg, uint64_t seq)
{
    note(arg, span_of(&seq, sizeof(seq)));
    return true;
}

static void
ask(const struct rows *rows, struct dice dice, struct answers *a)
{
    struct views_position after;
    struct views_page page;

    *a = (struct answers){.count = 0};
    page = (struct views_page){.limit = 7, .more = true};
    while (page.more) {
        assert_int_equal(views_sessions(rows, &page, NULL, note_session, a), OK);
        after = page.last;
        page.after = &after;
    }
    page = (struct views_page){.limit = 5, .more = true};
    while (page.more) {
        assert_int_equal(views_machines(rows, &page, NULL, NULL, T0, note_machine, a), OK);
        after = page.last;
        page.after = &after;
    }
    for (unsigned i = 0; i < 50; i++) {
        struct events_query q = {.has_user = roll(&dice, 2) == 0,
            .user = id_n(1000 * USER + roll(&dice, 20)),
            .has_machine = roll(&dice, 3) == 0,
            .machine = id_n(1000 * MACHINE + roll(&dice, 20)),
            .from_us = roll(&dice, 3) == 0 ? T0 + (int64_t)roll(&dice, 9000) * S : 0,
            .has_type = roll(&dice, 2) == 0,
            .type_count = 3,
            .types = {EV_LOGIN_SUCCEEDED, EV_SESSION_OPENED, EV_HEARTBEAT},
            .limit = 20};
        bool more;

        assert_int_equal(views_events(rows, &q, note_seq, a, &q.after, &more), OK);
    }
}

static void
same_answers(struct scene *s, struct mem *mem)
{
    struct rows rows, in_memory = mem_rows(mem);
    struct answers stored, want;

    assert_int_equal(s->port.begin(s->port.ctx, &rows), OK);
    ask(&rows, s->h.dice, &stored);
    s->port.end(s->port.ctx, &rows);
    ask(&in_memory, s->h.dice, &want);
    assert_int_equal(stored.count, want.count);
    assert_true(want.count > 100);
    assert_memory_equal(stored.chain.b, want.chain.b, HASH_BYTES);
}

/* The first of the users that there are, and their key with them. */
static void
erase(struct scene *s)
{
    struct id user = id_n(1000 * USER + 1);
    struct batch *b = fixture_batch(&s->f);

    tale_say(s->h.t, EV_USER_ERASED);
    s->h.t->s->ev.subject.user = user;
    append(s, b);
    fixture_submit(&s->f, b);
    caught_up(s);
    keyring_drop(s->keys, &user);
}

static void
the_store_holds_the_same(void **state)
{
    struct scene *s = calloc(1, sizeof(*s));
    struct folding_again again;

    (void)state;
    assert_non_null(s);
    s->h = (struct history){.dice = {7}, .t = tale_new()};
    assert_non_null(s->keys = keyring_new(FIXTURE_ORIGIN));
    fixture_create(&s->f);
    for (unsigned i = 0; i < BATCHES / 2; i++)
        append_some(s);
    fixture_wait(&s->f);
    journal_stop(s->f.journal);
    views_begin(s, VIEWS_SCHEMA); /* behind, then beside the journal */
    s->f.config.listener_count = 1;
    views_durable_listener(s->views, &s->f.config.listeners[0]);
    fixture_journal(&s->f);
    for (unsigned i = 0; i < BATCHES / 2; i++) {
        struct answers a;
        struct rows rows;

        append_some(s);
        assert_int_equal(s->port.begin(s->port.ctx, &rows), OK);
        ask(&rows, s->h.dice, &a); /* whatever has come so far */
        s->port.end(s->port.ctx, &rows);
    }
    erase(s);
    fold_log(s, &again);
    same_as_in_memory(s, &again.mem);
    same_answers(s, &again.mem);
    journal_stop(s->f.journal);
    views_stop(s->views);
    /* Thrown away and made anew: the key is gone, the rows are the same. */
    views_begin(s, VIEWS_SCHEMA + 1);
    s->f.config.listener_count = 0;
    fixture_journal(&s->f);
    caught_up(s);
    same_as_in_memory(s, &again.mem);
    views_stop(s->views);
    fixture_close(&s->f);
    fixture_remove(s->f.dir);
    mem_fini(&again.mem);
    keyring_free(s->keys);
    tale_free(s->h.t);
    free(s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_store_holds_the_same),
    };

    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
