/* test_event.c: the record format, held by golden bytes: a changed byte here is a broken log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sodium.h>

#include "core/event.h"
#include "core/pack.h"
#include "core/seal.h"
#include "core/tags.h"

static const char origin[] = "gatehouse.test";

static void
fill(void *out, size_t n, uint8_t first)
{
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)out)[i] = (uint8_t)(first + i);
}

static uint8_t nonce[24], ciphertext[40];

/* One event that uses every part of the body. */
static struct event
sample(void)
{
    static struct id family, channel;
    struct event ev = {.seq = 300, .origin_id = event_origin_id(origin), .key_epoch = 1};

    fill(family.b, 16, 0x10);
    fill(channel.b, 16, 0x20);
    fill(nonce, sizeof(nonce), 0x30);
    fill(ciphertext, sizeof(ciphertext), 0x50);
    fill(ev.prev.b, HASH_BYTES, 0x80);
    ev.wall_us = 1800000000000000;
    ev.eff_us = 1800000000000001;
    fill(ev.boot.b, 16, 0x01);
    ev.type = EV_SESSION_ATTACHED;
    ev.v = 1;
    fill(ev.id.b, 16, 0x02);
    ev.actor.kind = ACTOR_USER;
    fill(ev.actor.id.b, 16, 0x03);
    ev.actor.family = family;
    fill(ev.actor.tags.net.b, 16, 0x04);
    fill(ev.subject.session.b, 16, 0x05);
    fields_add_span(&ev.data, FIELD_SERVICE, span_str("shell")); /* out of order on purpose */
    fields_add_u64(&ev.data, FIELD_N, 2);
    fields_add_id(&ev.data, FIELD_CHANNEL, &channel);
    ev.sealed_count = 1;
    fill(ev.sealed[0].key_id.b, 16, 0x06);
    ev.sealed[0].nonce = span_of(nonce, sizeof(nonce));
    ev.sealed[0].ciphertext = span_of(ciphertext, sizeof(ciphertext));
    ev.has_policy = true;
    fill(ev.policy.b, HASH_BYTES, 0x07);
    return ev;
}

static size_t
record_of(const struct event *ev, uint8_t *record)
{
    uint8_t seed[32], pk[32], sk[64];
    size_t len;

    fill(seed, sizeof(seed), 0x40);
    crypto_sign_seed_keypair(pk, sk, seed);
    assert_int_equal(event_encode(ev, record, RECORD_BYTES_MAX, &len), OK);
    event_sign(origin, span_of(record, len), sk, record + len);
    assert_int_equal(event_verify(origin, span_of(record, len), span_of(record + len, 64), pk), OK);
    return len + EVENT_SIG_BYTES;
}

static void
the_golden_record_has_not_changed(void **state)
{
    static const char want_leaf[] =
        "8e00f767b0c0297a955a8de34d2e85d54dc3b95223d3d516760075ec37abf6b2";
    static const char want_prev[] =
        "d7bb93e13b0875cd1138b908748d25ac0f9cdaf4115fdc402161fee025add037";
    static uint8_t record[RECORD_BYTES_MAX];
    struct event ev = sample();
    size_t len = record_of(&ev, record);
    struct hash leaf, prev;
    char hex[65];

    (void)state;
    event_leaf(span_of(record, len), &leaf);
    sodium_bin2hex(hex, sizeof(hex), leaf.b, HASH_BYTES);
    assert_string_equal(hex, want_leaf);
    event_prev(span_of(record, len - EVENT_SIG_BYTES), &prev);
    sodium_bin2hex(hex, sizeof(hex), prev.b, HASH_BYTES);
    assert_string_equal(hex, want_prev);
}

static void
what_was_encoded_decodes_to_the_same_event(void **state)
{
    static uint8_t record[RECORD_BYTES_MAX], again[RECORD_BYTES_MAX];
    struct event ev = sample(), back;
    size_t len = record_of(&ev, record) - EVENT_SIG_BYTES, again_len;
    uint8_t id[16];

    (void)state;
    memset(&back, 0xaa, sizeof(back)); /* decoding must not rely on zeros */
    assert_int_equal(event_decode(span_of(record, len), &back), OK);
    assert_true(back.seq == 300 && back.type == EV_SESSION_ATTACHED && back.key_epoch == 1);
    assert_true(back.eff_us - back.wall_us == 1);
    assert_true(id_equal(&back.actor.family, &ev.actor.family));
    assert_true(tag_is_nil(&back.actor.tags.addr));
    assert_true(fields_u64(&back.data, FIELD_N) == 2);
    assert_true(span_is(fields_span(&back.data, FIELD_SERVICE), "shell"));
    assert_true(fields_fixed(&back.data, FIELD_CHANNEL, id, 16));
    assert_false(fields_fixed(&back.data, FIELD_SERVICE, id, 16));
    assert_null(fields_find(&back.data, FIELD_WHY));
    assert_int_equal(event_encode(&back, again, sizeof(again), &again_len), OK);
    assert_int_equal(again_len, len);
    assert_memory_equal(again, record, len);
}

static void
every_cut_or_lengthened_body_is_refused(void **state)
{
    static uint8_t record[RECORD_BYTES_MAX];
    struct event ev = sample(), back;
    size_t len = record_of(&ev, record) - EVENT_SIG_BYTES;

    (void)state;
    for (size_t cut = 0; cut < len; cut++)
        assert_int_not_equal(event_decode(span_of(record, cut), &back), OK);
    assert_int_not_equal(event_decode(span_of(record, len + 1), &back), OK);
}

static void
any_flipped_bit_breaks_the_signature(void **state)
{
    static uint8_t record[RECORD_BYTES_MAX];
    struct event ev = sample();
    size_t len = record_of(&ev, record);
    uint8_t seed[32], pk[32], sk[64];

    (void)state;
    fill(seed, sizeof(seed), 0x40);
    crypto_sign_seed_keypair(pk, sk, seed);
    for (size_t i = 0; i < len; i += 7) {
        struct span body, sig;

        record[i] ^= 1;
        assert_int_equal(event_split(span_of(record, len), &body, &sig), OK);
        assert_int_equal(event_verify(origin, body, sig, pk), ERR_MISMATCH);
        assert_int_equal(event_verify("another.origin", body, sig, pk), ERR_MISMATCH);
        record[i] ^= 1;
    }
}

static void
unknown_types_and_fields_survive(void **state)
{
    static uint8_t body[1024], again[1024];
    struct event ev = sample(), back;
    const uint8_t unknown[] = {0x92, 0x01, 0xa1, 'x'};
    size_t len, again_len;

    (void)state;
    ev.type = (enum event_type)7777;
    fields_add_span(&ev.data, (enum field)9999, span_of(unknown, sizeof(unknown)));
    assert_int_equal(event_encode(&ev, body, sizeof(body), &len), OK);
    assert_int_equal(event_decode(span_of(body, len), &back), OK);
    assert_int_equal(back.type, 7777);
    assert_null(catalogue_event(back.type));
    assert_true(
        span_equal(fields_span(&back.data, (enum field)9999), span_of(unknown, sizeof(unknown))));
    assert_int_equal(event_encode(&back, again, sizeof(again), &again_len), OK);
    assert_true(span_equal(span_of(again, again_len), span_of(body, len)));
}

static void
a_field_of_the_wrong_type_is_malformed(void **state)
{
    const uint8_t n_as_string[] = {0x81, FIELD_N, 0xa1, 'x'};
    struct fields f;

    (void)state;
    assert_int_equal(fields_decode(span_of(n_as_string, sizeof(n_as_string)), &f), ERR_MALFORMED);
}

static void
the_catalogue_has_unique_numbers_and_names(void **state)
{
    unsigned events, fields;
    const struct event_row *e = catalogue_events(&events);
    const struct field_row *f = catalogue_fields(&fields);

    (void)state;
    for (unsigned i = 0; i < events; i++) {
        assert_ptr_equal(catalogue_event(e[i].type), &e[i]);
        assert_ptr_equal(catalogue_event_named(e[i].name, strlen(e[i].name)), &e[i]);
    }
    for (unsigned i = 0; i < fields; i++) {
        assert_ptr_equal(catalogue_field(f[i].field), &f[i]);
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(f[i].name, f[k].name);
    }
    assert_null(catalogue_field((enum field)255));
    assert_null(catalogue_field((enum field)100000));
}

static void
sealed_text_opens_only_for_its_event_and_key(void **state)
{
    uint8_t key[32], box[64], plain[64];
    struct id event_id, other_id;
    size_t len;

    (void)state;
    fill(key, sizeof(key), 1);
    fill(event_id.b, 16, 2);
    fill(other_id.b, 16, 3);
    fill(nonce, sizeof(nonce), 4);
    seal_close(origin, &event_id, key, nonce, span_str("alice"), box);
    assert_int_equal(seal_open(origin, &event_id, key, span_of(nonce, 24), span_of(box, 21), plain,
                         sizeof(plain), &len),
        OK);
    assert_true(span_is(span_of(plain, len), "alice"));
    assert_int_equal(seal_open(origin, &other_id, key, span_of(nonce, 24), span_of(box, 21), plain,
                         sizeof(plain), &len),
        ERR_MISMATCH);
    assert_int_equal(
        seal_open(origin, &event_id, key, span_of(nonce, 24), span_of(box, 21), plain, 4, &len),
        ERR_LIMIT);
    key[0] ^= 1;
    assert_int_equal(seal_open(origin, &event_id, key, span_of(nonce, 24), span_of(box, 21), plain,
                         sizeof(plain), &len),
        ERR_MISMATCH);
}

static void
months_have_keys_of_their_own(void **state)
{
    /* 2026-11-30 23:59:59.999999, the microsecond after it, and the end of that month. */
    struct id november = seal_month_id(origin, INT64_C(1796083199999999));
    struct id december = seal_month_id(origin, INT64_C(1796083200000000));
    struct id last = seal_month_id(origin, INT64_C(1798761599999999));
    struct id january = seal_month_id(origin, INT64_C(1798761600000000));

    (void)state;
    assert_false(id_equal(&november, &december));
    assert_true(id_equal(&december, &last));
    assert_false(id_equal(&last, &january));
}

static void
tags_group_addresses_as_limits_need_them(void **state)
{
    uint8_t key[32] = {1}, other_key[32] = {2};
    uint8_t v4[16] = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 1}, v4b[16],
            v6[16] = {0x20, 1, 0xd, 0xb8}, v6b[16];
    struct tags a, b;

    (void)state;
    memcpy(v4b, v4, 16);
    v4b[15] = 2;
    tags_address(key, v4, &a);
    tags_address(key, v4b, &b);
    assert_false(tag_equal(&a.net, &b.net));  /* /32 */
    assert_true(tag_equal(&a.wide, &b.wide)); /* /24 */
    memcpy(v6b, v6, 16);
    v6b[15] = 9;
    tags_address(key, v6, &a);
    tags_address(key, v6b, &b);
    assert_false(tag_equal(&a.addr, &b.addr));
    assert_true(tag_equal(&a.net, &b.net)); /* /64 */
    v6b[7] = 1;
    tags_address(key, v6b, &b);
    assert_false(tag_equal(&a.net, &b.net));
    assert_true(tag_equal(&a.wide, &b.wide)); /* /48 */
    tags_address(other_key, v6, &b);
    assert_false(tag_equal(&a.addr, &b.addr));
    a.account = tag_account(key, span_str("Alice"));
    b.account = tag_account(key, span_str("aLICE"));
    assert_true(tag_equal(&a.account, &b.account));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_golden_record_has_not_changed),
        cmocka_unit_test(what_was_encoded_decodes_to_the_same_event),
        cmocka_unit_test(every_cut_or_lengthened_body_is_refused),
        cmocka_unit_test(any_flipped_bit_breaks_the_signature),
        cmocka_unit_test(unknown_types_and_fields_survive),
        cmocka_unit_test(a_field_of_the_wrong_type_is_malformed),
        cmocka_unit_test(the_catalogue_has_unique_numbers_and_names),
        cmocka_unit_test(sealed_text_opens_only_for_its_event_and_key),
        cmocka_unit_test(months_have_keys_of_their_own),
        cmocka_unit_test(tags_group_addresses_as_limits_need_them),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
