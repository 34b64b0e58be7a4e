/* test_ledger.c: what the ledger does around a decision: support codes that meet a living one are
 * drawn again, and when no draw is free, nothing of the grant stays. Real vault, world and
 * decisions; the same seed draws the same codes. */
#include "testing.h"

#include <sodium.h>

#include "core/decision.h"
#include "core/keyring.h"
#include "projections/ledger.h"

#define ORIGIN "gatehouse.test"
#define DRAWS  17 /* the first, and CODE_DRAWS_MAX more */

static struct {
    struct ledger *ledger;
    struct vault *vault;
    struct world *world;
    struct keyring *keyring;
    struct refusals refusals;
    void *refusals_memory;
    struct moment now;
} T;

static bool
take_batch(void *ctx, struct batch *b)
{
    (void)ctx;
    batch_free(b);
    return true;
}

/* Frees the command. */
static struct verdict *
step(struct command *cmd, uint8_t seed_byte)
{
    struct verdict *v;
    uint8_t seed[32];

    memset(seed, seed_byte, sizeof(seed));
    v = ledger_step(T.ledger, cmd, &T.now, seed);
    command_free(cmd);
    return v;
}

static struct command *
by_cli(enum command_kind kind)
{
    struct command *cmd = command_new(kind, 256);

    assert_non_null(cmd);
    cmd->caller.kind = CALLER_CLI;
    return cmd;
}

static struct verdict *
granted(struct verdict *v)
{
    assert_int_equal(v->refusal, REFUSE_NONE);
    return v;
}

static void
ledger_open(void)
{
    static const uint8_t boot_key[32] = {1};
    struct ledger_start start = {.origin = ORIGIN,
        .key_epoch = 1,
        .dummy_verifier = "dummy",
        .journal = {NULL, take_batch},
        .refusals = &T.refusals};
    struct id origin_id = event_origin_id(ORIGIN);
    struct command *cmd;

    memset(&T, 0, sizeof(T));
    T.now = (struct moment){.eff_us = 1800000000 * US_PER_S, .wall_us = 1800000000 * US_PER_S};
    T.keyring = keyring_new(ORIGIN);
    T.vault = vault_new(ORIGIN, boot_key, T.keyring);
    T.world = world_new();
    T.refusals_memory = calloc(1, refusals_bytes());
    assert_true(T.vault != NULL && T.world != NULL && T.refusals_memory != NULL);
    (void)refusals_open(
        &T.refusals, T.refusals_memory, &origin_id, &(struct tag){{1}}, 0, T.now.eff_us);
    start.vault = T.vault;
    start.world = T.world;
    start.keyring = T.keyring;
    T.ledger = ledger_new(&start);
    assert_non_null(T.ledger);
    cmd = by_cli(CMD_OPEN_LOG);
    cmd->open_log.origin = ORIGIN;
    verdict_free(granted(step(cmd, 1)));
}

static void
ledger_close(void)
{
    ledger_free(T.ledger);
    vault_free(T.vault);
    keyring_free(T.keyring);
    world_free(T.world);
    refusals_close(&T.refusals);
    free(T.refusals_memory);
}

/* A technician, logged in. */
static struct caller
technician(void)
{
    struct command *cmd = by_cli(CMD_ADD_USER);
    struct caller caller = {.kind = CALLER_TOKEN};
    struct verdict *v;
    uint64_t attempt;

    cmd->add_user = (struct add_user){.role = ROLE_TECHNICIAN,
        .account_name = command_copy(cmd, span_str("tech")),
        .display_name = command_copy(cmd, span_str("Tech")),
        .verifier = command_copy(cmd, span_str("verifier"))};
    verdict_free(granted(step(cmd, 2)));
    cmd = command_new(CMD_ATTEMPT_LOGIN, 64);
    assert_non_null(cmd);
    cmd->attempt_login.account_name = command_copy(cmd, span_str("tech"));
    v = granted(step(cmd, 3));
    attempt = v->reply.attempt;
    cmd = command_new(CMD_CONCLUDE_LOGIN, 64);
    assert_non_null(cmd);
    cmd->conclude_login.attempt = attempt;
    cmd->conclude_login.proven = true;
    cmd->conclude_login.verifier_version = v->reply.verifier_version;
    verdict_free(v);
    v = granted(step(cmd, 4));
    caller.user = v->reply.user;
    caller.family = v->reply.family;
    caller.token_n = v->reply.token_n;
    verdict_free(v);
    return caller;
}

static struct verdict *
issue(const struct caller *caller, uint8_t seed_byte)
{
    struct command *cmd = command_new(CMD_ISSUE_CODE, 0);

    assert_non_null(cmd);
    cmd->caller = *caller;
    return step(cmd, seed_byte);
}

static void
codes_that_live_are_drawn_again(void **state)
{
    char drawn[DRAWS][32];
    struct caller caller;
    struct verdict *v;
    uint64_t size;

    (void)state;
    ledger_open();
    caller = technician();
    for (uint8_t i = 0; i < 10; i++) /* from here on codes have ten digits */
        verdict_free(granted(issue(&caller, (uint8_t)(100 + i))));
    for (size_t i = 0; i < DRAWS; i++) {
        v = granted(issue(&caller, 7));
        assert_int_equal(strlen(v->reply.secret), 10);
        memcpy(drawn[i], v->reply.secret, sizeof(drawn[i]));
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(drawn[i], drawn[k]);
        assert_int_equal(v->event_count, 1);
        verdict_free(v);
    }
    size = ledger_size(T.ledger);
    v = issue(&caller, 7); /* all that this seed draws are taken */
    assert_int_equal(v->refusal, REFUSE_TOO_MANY);
    assert_int_equal(v->event_count, 0);
    assert_int_equal(ledger_size(T.ledger), size);
    assert_true(sodium_is_zero((const uint8_t *)v->reply.secret, sizeof(v->reply.secret)));
    assert_true(id_is_nil(&v->reply.id));
    verdict_free(v);
    for (size_t i = 0; i < DRAWS; i++) { /* and each still opens what it was issued for */
        struct id id;

        assert_true(vault_find_code(T.vault, span_str(drawn[i]), &id));
        assert_true(code_live(code_find(T.world, &id), T.now.eff_us));
    }
    verdict_free(granted(issue(&caller, 8)));
    ledger_close();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_that_live_are_drawn_again),
    };

    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
