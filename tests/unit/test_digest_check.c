/* test_digest_check.c: a log whose server.started carries another state's digest is found out. */
#include "projections/digest.h"
#include "projections/digest_check.h"
#include "tests/unit/testing.h"

static struct event
event_of(enum event_type type, uint64_t seq)
{
    return (struct event){.seq = seq,
        .eff_us = 1700000000000000 + (int64_t)seq,
        .wall_us = 1700000000000000 + (int64_t)seq,
        .type = type,
        .v = 1,
        .actor = {.kind = ACTOR_SERVER}};
}

static struct event
started(uint64_t seq, const struct hash *digest, uint64_t version)
{
    struct event ev = event_of(EV_SERVER_STARTED, seq);

    fields_add_span(&ev.data, FIELD_DIGEST, span_of(digest->b, HASH_BYTES));
    fields_add_u64(&ev.data, FIELD_DIGEST_VERSION, version);
    return ev;
}

static void
digests(void **state)
{
    struct digest_check d;
    struct world *twin = world_new();
    struct event ev = event_of(EV_LOG_OPENED, 0);
    struct hash now, other;

    (void)state;
    assert_int_equal(digest_check_init(&d), OK);
    assert_null(digest_check_event(&d, &ev));
    world_fold(twin, &ev);
    world_digest(twin, twin->eff_us, &now);
    other = now;
    other.b[31] ^= 1;
    /* of a version that is not ours: not checked, whatever it is */
    ev = started(1, &other, WORLD_DIGEST_VERSION + 1);
    assert_null(digest_check_event(&d, &ev));
    assert_int_equal(d.skipped, 1);
    assert_int_equal(d.checked, 0);
    world_fold(twin, &ev);
    /* the digest is that of the state before the event, every event before it included */
    ev = started(2, &now, WORLD_DIGEST_VERSION);
    assert_non_null(digest_check_event(&d, &ev));
    world_digest(twin, twin->eff_us, &now);
    ev = started(2, &now, WORLD_DIGEST_VERSION);
    assert_null(digest_check_event(&d, &ev));
    assert_int_equal(d.checked, 2);
    /* without one there is nothing to compare */
    ev = event_of(EV_SERVER_STARTED, 3);
    assert_null(digest_check_event(&d, &ev));
    assert_int_equal(d.checked, 2);
    digest_check_fini(&d);
    world_free(twin);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(digests)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
