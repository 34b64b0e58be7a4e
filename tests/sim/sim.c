/* sim.c: the run: act, let the disk lag, let clocks jump, crash, restart, compare. */
#include "tests/sim/sim.h"

#include <sodium.h>
#include <time.h>

#include "core/decision.h"

uint64_t
sim_below(struct sim *s, uint64_t bound)
{
    return entropy_below(&s->dice, bound);
}

static struct moment
sim_now(struct sim *s)
{
    struct moment now = {.wall_us = s->wall_us, .boottime_us = s->boottime_us};
    int64_t error;

    (void)clock_advance(&s->clock, s->wall_us, s->boottime_us, &error);
    now.eff_us = s->clock.eff_us;
    return now;
}

/* Time goes on: mostly milliseconds, sometimes hours; the wall clock now and then leaps either way.
 */
static void
sim_pass(struct sim *s)
{
    uint64_t us = sim_below(s, 20000);

    if (sim_below(s, 200) == 0)
        us = sim_below(s, 90 * US_PER_S);
    if (sim_below(s, 20000) == 0)
        us = sim_below(s, (uint64_t)5 * 3600 * US_PER_S);
    s->boottime_us += us;
    s->wall_us += (int64_t)us;
    if (sim_below(s, 1000) == 0)
        s->wall_us += (int64_t)sim_below(s, (uint64_t)7200 * US_PER_S) - 3600 * US_PER_S;
}

static void
sim_settle(struct sim *s)
{
    if (!disk_sync(&s->disk))
        return;
    invariants_acked(s->disk.size); /* from now on verdicts resting on it may have been spoken */
    ledger_durable(s->ledger, s->disk.size);
}

static struct verdict *
sim_run(struct sim *s, struct command *cmd)
{
    struct verdict *v;
    struct moment now;
    uint8_t seed[32];

    while (ledger_blocked(s->ledger)) {
        ledger_flush(s->ledger);
        sim_settle(s);
    }
    now = sim_now(s);
    entropy_bytes(&s->dice, seed, sizeof(seed));
    v = ledger_step(s->ledger, cmd, &now, seed);
    invariants_verdict(s, cmd, v);
    if (v->refusal == REFUSE_NONE)
        s->granted++;
    else
        s->refused++;
    return v;
}

static void
sim_tell(struct sim *s, struct command *cmd)
{
    INVARIANT(cmd != NULL);
    verdict_free(sim_run(s, cmd));
    command_free(cmd);
}

static void
sim_time_passed(struct sim *s)
{
    for (int i = 0; i < 1000 && ledger_deadline(s->ledger) <= s->clock.eff_us; i++) {
        struct command *cmd = command_new(CMD_TIME_PASSED, 0);

        cmd->caller.kind = CALLER_SERVER;
        sim_tell(s, cmd);
    }
    PROMISE(s, ledger_deadline(s->ledger) > s->clock.eff_us); /* ends come, and do not spin */
}

static void
sim_announce(struct sim *s)
{
    struct command *cmd = command_new(CMD_START_SERVER, 0);

    cmd->caller.kind = CALLER_SERVER;
    entropy_bytes(&s->dice, cmd->start_server.boot.b, ID_BYTES);
    sim_tell(s, cmd);
}

/* From the disk alone, as a server does. */
static void
sim_boot(struct sim *s)
{
    static const uint8_t boot_key[32] = {1};
    struct ledger_start start = {.origin = SIM_ORIGIN, .key_epoch = 1, .dummy_verifier = "dummy"};
    struct clock_past past = {0};
    struct id origin_id = event_origin_id(SIM_ORIGIN);
    struct tag kernel_boot = {{1}};
    uint64_t counted = 0;
    struct event ev;

    s->keyring = keyring_new(SIM_ORIGIN);
    s->vault = vault_new(SIM_ORIGIN, boot_key, s->keyring);
    s->world = world_new();
    INVARIANT(s->keyring != NULL && s->vault != NULL && s->world != NULL);
    for (uint64_t i = 0; i < s->disk.size; i++) {
        PROMISE(s, event_decode(s->disk.records[i], &ev) == OK);
        PROMISE(s, hash_equal(&ev.prev, &start.prev)); /* the chain holds across crashes */
        world_fold(s->world, &ev);
        event_prev(s->disk.records[i], &start.prev);
        past = (struct clock_past){.any = true, .last_eff_us = ev.eff_us};
        if (ev.type == EV_REFUSALS_COUNTED)
            counted = fields_u64(&ev.data, FIELD_GENERATION);
    }
    for (uint32_t i = 0; i < s->disk.secret_count; i++)
        INVARIANT(vault_apply(s->vault, &s->disk.secrets[i]) == OK);
    clock_start(&s->clock, &past, s->wall_us, s->boottime_us);
    PROMISE(s, refusals_open(&s->refusals, s->refusals_memory, &origin_id, &kernel_boot, counted,
                   s->clock.eff_us) <= REFUSALS_KEPT);
    start.refusals = &s->refusals;
    start.world = s->world;
    start.vault = s->vault;
    start.keyring = s->keyring;
    start.journal = disk_port(&s->disk);
    start.next_seq = s->disk.size;
    s->ledger = ledger_new(&start);
    INVARIANT(s->ledger != NULL);
}

static void
sim_halt(struct sim *s)
{
    ledger_free(s->ledger);
    vault_free(s->vault);
    keyring_free(s->keyring);
    world_free(s->world);
}

static void
sim_crash(struct sim *s)
{
    s->crashes++;
    disk_crash(&s->disk, &s->dice);
    sim_halt(s);
    s->boottime_us = sim_below(s, 100 * US_PER_S); /* often another kernel boot, too */
    sim_boot(s);
    invariants_restarted(s);
    actors_crashed(&s->actors);
    sim_announce(s);
}

/* log.opened, the default policy, an admin: as init does it. */
static void
sim_init(struct sim *s)
{
    struct command *cmd = command_new(CMD_OPEN_LOG, 0);
    struct policy policy;
    uint8_t bytes[1024];
    size_t len;

    cmd->caller.kind = CALLER_CLI;
    cmd->open_log.origin = SIM_ORIGIN;
    sim_tell(s, cmd);
    cmd = command_new(CMD_ADOPT_POLICY, sizeof(bytes));
    cmd->caller.kind = CALLER_CLI;
    policy_default(&policy);
    INVARIANT(policy_encode(&policy, bytes, sizeof(bytes), &len) == OK);
    cmd->adopt_policy.policy = command_copy(cmd, span_of(bytes, len));
    sim_tell(s, cmd);
    sim_announce(s);
}

static void
sim_life(struct sim *s)
{
    sim_boot(s);
    sim_init(s);
    for (s->step = 0; s->step < s->steps; s->step++) {
        sim_pass(s);
        (void)sim_now(s);
        sim_time_passed(s);
        actors_act(s);
        if (sim_below(s, 3) == 0)
            ledger_flush(s->ledger);
        if (sim_below(s, 4) == 0)
            sim_settle(s);
        if (sim_below(s, 2000) == 0)
            sim_crash(s);
    }
    ledger_flush(s->ledger);
    while (disk_sync(&s->disk))
        ;
    ledger_durable(s->ledger, s->disk.size);
    invariants_refusals(s);
}

static void
sim_hash(const struct sim *s, struct hash *out)
{
    struct hash next;

    memset(out, 0, sizeof(*out));
    for (uint64_t i = 0; i < s->disk.size; i++) {
        hash_parts((struct span[]){span_of(out->b, HASH_BYTES), s->disk.records[i]}, 2, &next);
        *out = next;
    }
}

/* A long run must have seen the product's whole life; else its promises were never tried. */
static void
sim_coverage(struct sim *s)
{
    static const enum event_type must[] = {EV_LOGIN_SUCCEEDED, EV_LOGIN_FAILED, EV_LOGOUT,
        EV_TOKEN_REFRESHED, EV_TOKEN_REUSED, EV_TOKEN_REVOKED, EV_USER_DISABLED, EV_CODE_REDEEMED,
        EV_CODE_REJECTED, EV_CODE_EXPIRED, EV_MACHINE_ENROLLED, EV_MACHINE_REMOVED,
        EV_AGENT_CONNECTED, EV_AGENT_REJECTED, EV_AGENT_DISCONNECTED, EV_SESSION_CONSENTED,
        EV_SESSION_DENIED, EV_SESSION_OPENED, EV_SESSION_ATTACHED, EV_CHANNEL_OPENED,
        EV_CHANNEL_CLOSED, EV_SESSION_ENDED, EV_REFUSALS_COUNTED};
    uint64_t seen[512] = {0};
    bool missing = false;
    struct event ev;

    for (uint64_t i = 0; i < s->disk.size; i++)
        if (event_decode(s->disk.records[i], &ev) == OK && (unsigned)ev.type < 512)
            seen[ev.type]++;
    for (unsigned type = 0; type < 512; type++)
        if (seen[type] > 0)
            printf("  %-26s %llu\n", catalogue_event((enum event_type)type)->name,
                (unsigned long long)seen[type]);
    for (size_t i = 0; s->steps >= 100000 && i < sizeof(must) / sizeof(must[0]); i++)
        if (seen[must[i]] == 0) {
            fprintf(stderr, "never seen: %s\n", catalogue_event(must[i])->name);
            missing = true;
        }
    PROMISE(s, !missing);
}

static struct hash
sim_once(uint64_t seed, uint64_t steps)
{
    struct sim *s = calloc(1, sizeof(*s));
    uint8_t bytes[32] = {0};
    struct hash hash;

    INVARIANT(s != NULL);
    memcpy(bytes, &seed, sizeof(seed));
    entropy_init(&s->dice, bytes);
    s->seed = seed;
    s->steps = steps;
    s->run = sim_run;
    s->refusals_memory = calloc(1, refusals_bytes());
    INVARIANT(s->refusals_memory != NULL);
    s->wall_us = INT64_C(1790000000) * US_PER_S;
    invariants_reset();
    sim_life(s);
    sim_hash(s, &hash);
    sim_coverage(s);
    printf("seed %llu: %llu steps, %llu granted, %llu refused, %llu events, %llu crashes\n",
        (unsigned long long)seed, (unsigned long long)steps, (unsigned long long)s->granted,
        (unsigned long long)s->refused, (unsigned long long)s->disk.size,
        (unsigned long long)s->crashes);
    sim_halt(s);
    disk_free(&s->disk);
    free(s->refusals_memory);
    free(s);
    return hash;
}

int
main(int argc, char **argv)
{
    uint64_t seed = 0, steps = 200000;
    bool twice = false;
    struct hash first, second;

    if (sodium_init() < 0)
        return 1;
    randombytes_buf(&seed, 4);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            seed = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--steps") == 0 && i + 1 < argc)
            steps = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--twice") == 0)
            twice = true;
        else
            return 2;
    }
    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    first = sim_once(seed, steps);
    if (!twice)
        return 0;
    second = sim_once(seed, steps);
    if (!hash_equal(&first, &second)) {
        fprintf(stderr, "seed %llu gives two different logs\n", (unsigned long long)seed);
        return 1;
    }
    return 0;
}
