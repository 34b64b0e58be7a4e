/* test_vault.c: secrets are found by proof only, replaced ones are gone, tickets die with the boot.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sodium.h>

#include "core/vault.h"

static const uint8_t boot_key[32] = {1};
static struct keyring *keyring;
static struct vault *vault;

static void
apply(enum secret_kind kind, uint8_t id, uint64_t version, const char *text)
{
    struct secret_op op = {.kind = kind, .version = version, .bytes = span_str(text)};
    struct batch_secret secret;

    op.id.b[0] = id;
    vault_prepare(vault, &op, &secret);
    assert_int_equal(vault_apply(vault, &secret), OK);
}

static void
drop(enum secret_kind kind, uint8_t id, uint64_t version)
{
    struct batch_secret secret = {.kind = kind, .version = version, .drop = true};

    secret.id.b[0] = id;
    assert_int_equal(vault_apply(vault, &secret), OK);
}

static int
setup(void **state)
{
    (void)state;
    keyring = keyring_new("gatehouse.test");
    vault = vault_new("gatehouse.test", boot_key, keyring);
    for (uint64_t k = 1; k < ORIGIN_KEY_COUNT; k++) {
        struct batch_secret key = {.kind = SECRET_ORIGIN, .version = k, .len = 32};

        memset(key.bytes, (int)k, 32);
        assert_int_equal(vault_apply(vault, &key), OK);
    }
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    vault_free(vault);
    keyring_free(keyring);
    return 0;
}

static void
a_code_is_found_by_its_digits_until_dropped(void **state)
{
    struct id code;

    (void)state;
    assert_false(vault_find_code(vault, span_str("123456789"), &code));
    apply(SECRET_CODE, 7, 0, "123456789");
    assert_true(vault_find_code(vault, span_str("123456789"), &code));
    assert_int_equal(code.b[0], 7);
    assert_false(vault_find_code(vault, span_str("123456780"), &code));
    apply(SECRET_CODE, 8, 0, "123456789"); /* the same digits, later */
    assert_true(vault_find_code(vault, span_str("123456789"), &code));
    assert_int_equal(code.b[0], 8);
    drop(SECRET_CODE, 7, 0); /* dropping the dead one leaves the live one */
    assert_true(vault_find_code(vault, span_str("123456789"), &code));
    drop(SECRET_CODE, 8, 0);
    assert_false(vault_find_code(vault, span_str("123456789"), &code));
}

static void
only_the_right_secret_of_the_right_key_proves(void **state)
{
    struct id id = {{9}}, other = {{10}};

    (void)state;
    apply(SECRET_API_KEY, 9, 0, "s3cret");
    assert_true(vault_check(vault, SECRET_API_KEY, &id, span_str("s3cret")));
    assert_false(vault_check(vault, SECRET_API_KEY, &id, span_str("s3cre")));
    assert_false(vault_check(vault, SECRET_API_KEY, &other, span_str("s3cret")));
    assert_false(vault_check(vault, SECRET_INVITE, &id, span_str("s3cret")));
}

static void
a_replaced_password_is_gone(void **state)
{
    struct id user = {{3}};
    char out[192];

    (void)state;
    apply(SECRET_PASSWORD, 3, 1, "$argon2id$one");
    apply(SECRET_PASSWORD, 3, 2, "$argon2id$two");
    drop(SECRET_PASSWORD, 3, 1);
    assert_false(vault_password(vault, &user, 1, out));
    assert_true(vault_password(vault, &user, 2, out));
    assert_string_equal(out, "$argon2id$two");
}

static void
refresh_tokens_read_back_and_reject_any_change(void **state)
{
    struct id family = {{5, 6}}, back;
    struct refresh_fact fact;
    char text[REFRESH_TEXT_MAX], bad[REFRESH_TEXT_MAX];
    size_t len;

    (void)state;
    vault_refresh_make(vault, &family, 41, text);
    len = strlen(text);
    vault_refresh_read(vault, span_str(text), &fact, &back);
    assert_true(fact.well_formed && fact.mac_ok && fact.n == 41 && id_equal(&back, &family));
    for (size_t i = 0; i < len; i++) {
        memcpy(bad, text, len + 1);
        bad[i] = bad[i] == '1' ? '2' : '1';
        vault_refresh_read(vault, span_str(bad), &fact, &back);
        assert_false(fact.mac_ok);
        vault_refresh_read(vault, span_of(text, i), &fact, &back);
        assert_false(fact.mac_ok);
    }
    vault_refresh_read(vault, span_str("tok_.."), &fact, &back);
    assert_false(fact.well_formed);
}

static struct ticket_fact
ticket(void)
{
    struct ticket_fact t = {.kind = TICKET_TECHNICIAN, .expires_us = 1234567, .service = "tcp:web"};

    t.session.b[0] = 1;
    t.family.b[0] = 2;
    t.ticket_id.b[0] = 3;
    return t;
}

static void
tickets_read_back_and_reject_any_change(void **state)
{
    struct ticket_fact t = ticket(), back;
    uint8_t bytes[TICKET_BYTES_MAX];
    size_t len = vault_ticket_make(vault, &t, bytes);

    (void)state;
    vault_ticket_read(vault, span_of(bytes, len), &back);
    assert_true(back.mac_ok && back.kind == TICKET_TECHNICIAN && back.expires_us == 1234567);
    assert_string_equal(back.service, "tcp:web");
    assert_true(id_equal(&back.session, &t.session) && tag_equal(&back.ticket_id, &t.ticket_id));
    for (size_t i = 0; i < len; i++) {
        bytes[i] ^= 1;
        vault_ticket_read(vault, span_of(bytes, len), &back);
        assert_false(back.mac_ok);
        bytes[i] ^= 1;
        vault_ticket_read(vault, span_of(bytes, i), &back);
        assert_false(back.mac_ok);
    }
}

static void
no_ticket_survives_a_restart(void **state)
{
    const uint8_t next_boot[32] = {2};
    struct vault *next = vault_new("gatehouse.test", next_boot, keyring);
    struct ticket_fact t = ticket(), back;
    uint8_t bytes[TICKET_BYTES_MAX];
    size_t len = vault_ticket_make(vault, &t, bytes);

    (void)state;
    vault_ticket_read(next, span_of(bytes, len), &back);
    assert_true(back.well_formed);
    assert_false(back.mac_ok);
    vault_free(next);
}

static void
ten_thousand_secrets_fit_in_guarded_memory(void **state)
{
    struct id code;
    char digits[16];

    (void)state;
    for (int i = 0; i < 10000; i++) {
        struct secret_op op = {.kind = SECRET_CODE};
        struct batch_secret secret;

        snprintf(digits, sizeof(digits), "%09d", i);
        memcpy(op.id.b, &i, sizeof(i));
        op.bytes = span_str(digits);
        vault_prepare(vault, &op, &secret);
        assert_int_equal(vault_apply(vault, &secret), OK);
    }
    assert_true(vault_find_code(vault, span_str("000009999"), &code));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(a_code_is_found_by_its_digits_until_dropped),
        T(only_the_right_secret_of_the_right_key_proves),
        T(a_replaced_password_is_gone),
        T(refresh_tokens_read_back_and_reject_any_change),
        T(tickets_read_back_and_reject_any_change),
        T(no_ticket_survives_a_restart),
        T(ten_thousand_secrets_fit_in_guarded_memory),
#undef T
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
