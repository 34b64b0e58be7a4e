/* refusals.c: the table of counted refusals. Ledger thread, but for refusals_busy. */
#include "projections/refusals.h"

#include <sodium.h>
#include <stdatomic.h>

#include "core/pack.h"

#define MAP_MAGIC  UINT64_C(0x4748524546303031) /* "GHREF001" */
#define COUNT_BITS 40
#define COUNT_MAX  ((UINT64_C(1) << COUNT_BITS) - 1)
#define EXACT_ROWS (REFUSALS_ROWS_MAX / 2)  /* the rest is for wider networks ... */
#define WIDER_ROWS (REFUSALS_ROWS_MAX - 32) /* ... and for all, one a reason */

_Static_assert(RULE_COUNT + 1 < REFUSALS_ROWS_MAX - WIDER_ROWS, "one row a reason");
_Static_assert(RULE_COUNT <= REFUSED_BY_BUDGET, "reasons are told apart");

/* Everything but `times` and `last_us` is written before the row is in the table. */
struct row {
    struct tag net;    /* nil: all that found the table full */
    struct id account; /* nil: none known */
    uint32_t reason;
    uint32_t sum; /* over what is above, and first_us */
    int64_t first_us;
    _Atomic int64_t last_us;
    _Atomic uint64_t times; /* the count, and in its upper bits a check of count and row */
};

/* Numbers that carry their check, like `times`, are marked so. */
struct half {
    _Atomic uint64_t generation; /* held against the log's */
    _Atomic uint64_t count;      /* checked */
    _Atomic uint64_t
        busy_through; /* checked; of `busy`: what was there when this half was frozen */
    _Atomic int64_t opened_us;
    struct row rows[REFUSALS_ROWS_MAX];
};

struct refusals_map {
    _Atomic uint64_t magic; /* written last: without it the rest was never whole */
    uint32_t bytes, sum;    /* sum: over bytes and origin */
    struct id origin_id;
    struct tag kernel_boot;
    _Atomic uint64_t clean;       /* generation at an orderly end; 0: in use */
    _Atomic uint64_t busy;        /* checked; 503s ever, by all loops */
    _Atomic uint64_t busy_logged; /* checked */
    _Atomic int64_t busy_last_us;
    struct half halves[2];
};

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a count is one store");

const char *
refusals_found_word(enum refusals_found found)
{
    static const char *const words[] = {"new", "kept", "unsure", "damaged"};

    return words[found];
}

size_t
refusals_bytes(void)
{
    return sizeof(struct refusals_map);
}

/* ---- checks: against torn pages and foreign bytes, not against an adversary ---- */

static uint64_t
sum_bytes(const void *bytes, size_t n, uint64_t also)
{
    static const uint8_t key[crypto_shorthash_KEYBYTES] = "refusals";
    uint8_t out[crypto_shorthash_BYTES];
    uint64_t sum;

    crypto_shorthash(out, bytes, n, key);
    memcpy(&sum, out, sizeof(sum));
    return sum ^ (also * UINT64_C(0x9e3779b97f4a7c15));
}

static uint32_t
row_sum(const struct row *row)
{
    return (uint32_t)(sum_bytes(row, offsetof(struct row, sum), (uint64_t)row->first_us) >> 16);
}

/* A number and its check in one word, so that one store changes both. */
static uint64_t
checked(uint64_t n, uint32_t salt)
{
    uint64_t check = (n + 1) * UINT64_C(0x9e3779b97f4a7c15) + salt;

    check = (check ^ check >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return n | (check ^ check >> 29) << COUNT_BITS;
}

static uint64_t
get(const _Atomic uint64_t *word)
{
    return atomic_load(word) & COUNT_MAX;
}

static void
set(_Atomic uint64_t *word, uint64_t n)
{
    atomic_store(word, checked(n, 0));
}

static bool
holds(const _Atomic uint64_t *word)
{
    return atomic_load(word) == checked(get(word), 0);
}

static uint32_t
map_sum(const struct refusals_map *m)
{
    return (uint32_t)sum_bytes(&m->origin_id, ID_BYTES, MAP_MAGIC ^ m->bytes);
}

/* ---- the halves ---- */

static struct half *
active(const struct refusals *r)
{
    struct half *h = r->map->halves;

    return get(&h[0].generation) > get(&h[1].generation) ? &h[0] : &h[1];
}

static struct half *
other(const struct refusals *r)
{
    struct half *h = r->map->halves;

    return active(r) == &h[0] ? &h[1] : &h[0];
}

static uint64_t
half_busy(const struct refusals *r, const struct half *h)
{
    return get(&h->busy_through) - get(&r->map->busy_logged);
}

/* Not in the log yet. */
static bool
frozen(const struct refusals *r)
{
    const struct half *h = other(r);

    return get(&h->generation) > r->logged && (get(&h->count) > 0 || half_busy(r, h) > 0);
}

/* Its event is durable: in the order that a new process would do it again. */
static void
half_clear(struct refusals *r, struct half *h)
{
    uint64_t through = get(&h->busy_through);

    if (through > get(&r->map->busy_logged))
        set(&r->map->busy_logged, through);
    set(&h->count, 0);
}

static uint64_t
half_total(const struct refusals *r, const struct half *h)
{
    uint64_t total = half_busy(r, h);

    for (uint32_t i = 0; i < get(&h->count); i++)
        total += get(&h->rows[i].times);
    return total;
}

/* ---- at start ---- */

static void
map_make(
    struct refusals *r, const struct id *origin_id, const struct tag *kernel_boot, int64_t eff_us)
{
    struct refusals_map *m = r->map;

    memset((void *)m, 0, sizeof(*m));
    m->bytes = sizeof(*m);
    m->origin_id = *origin_id;
    m->kernel_boot = *kernel_boot;
    set(&m->busy, 0);
    set(&m->busy_logged, 0);
    for (int i = 0; i < 2; i++) {
        set(&m->halves[i].count, 0);
        set(&m->halves[i].busy_through, 0);
    }
    set(&m->halves[0].generation, r->logged);
    atomic_store(&m->halves[1].opened_us, eff_us);
    set(&m->halves[1].generation, r->logged + 1);
    m->sum = map_sum(m);
    atomic_store(&m->magic, MAP_MAGIC);
}

static bool
map_is_ours(const struct refusals_map *m, const struct id *origin_id)
{
    return atomic_load(&m->magic) == MAP_MAGIC && m->bytes == sizeof(*m) && m->sum == map_sum(m) &&
           id_equal(&m->origin_id, origin_id);
}

/* The numbers fit together, and to the log: the half in use is the next one to be written, or the
 * one after that. */
static bool
map_is_whole(const struct refusals *r)
{
    const struct half *now = active(r), *was = other(r);
    uint64_t next = get(&now->generation), busy = get(&r->map->busy);
    uint64_t logged = get(&r->map->busy_logged);

    return next == get(&was->generation) + 1 && (next == r->logged + 1 || next == r->logged + 2) &&
           holds(&now->generation) && holds(&was->generation) && holds(&now->count) &&
           holds(&was->count) && holds(&now->busy_through) && holds(&was->busy_through) &&
           holds(&r->map->busy) && holds(&r->map->busy_logged) &&
           get(&now->count) <= REFUSALS_ROWS_MAX && get(&was->count) <= REFUSALS_ROWS_MAX &&
           logged <= busy && get(&was->busy_through) <= busy && get(&was->busy_through) >= logged;
}

static bool
row_is_whole(const struct row *row)
{
    bool known = (row->reason > RULE_NONE && row->reason < RULE_COUNT) ||
                 row->reason == REFUSED_BY_BUDGET || row->reason == REFUSED_BY_BUSY;

    return known && row->sum == row_sum(row) && row->first_us >= 0 &&
           atomic_load(&row->last_us) >= row->first_us &&
           atomic_load(&row->times) == checked(get(&row->times), row->sum);
}

/* Keeps the rows that verify, in their order. */
static bool
half_check(struct half *h)
{
    uint32_t count = (uint32_t)get(&h->count), kept = 0;

    for (uint32_t i = 0; i < count; i++) {
        if (!row_is_whole(&h->rows[i]))
            continue;
        if (kept != i)
            memcpy((void *)&h->rows[kept], (const void *)&h->rows[i], sizeof(h->rows[i]));
        kept++;
    }
    set(&h->count, kept);
    return kept == count;
}

static enum refusals_found
map_check(
    struct refusals *r, const struct id *origin_id, const struct tag *kernel_boot, int64_t eff_us)
{
    struct refusals_map *m = r->map;
    bool whole;

    if (atomic_load(&m->magic) == 0) { /* also: the process ended while it was made */
        map_make(r, origin_id, kernel_boot, eff_us);
        return REFUSALS_NEW;
    }
    if (!map_is_ours(m, origin_id) || !map_is_whole(r)) {
        map_make(r, origin_id, kernel_boot, eff_us);
        return REFUSALS_DAMAGED;
    }
    whole = half_check(&m->halves[0]);
    whole = half_check(&m->halves[1]) && whole;
    if (!whole)
        return REFUSALS_DAMAGED;
    return tag_equal(&m->kernel_boot, kernel_boot) || atomic_load(&m->clean) != 0 ? REFUSALS_KEPT
                                                                                  : REFUSALS_UNSURE;
}

enum refusals_found
refusals_open(struct refusals *r, void *memory, const struct id *origin_id,
    const struct tag *kernel_boot, uint64_t logged, int64_t eff_us)
{
    enum refusals_found found;

    *r = (struct refusals){.map = memory, .logged = logged};
    found = map_check(r, origin_id, kernel_boot, eff_us);
    r->map->kernel_boot = *kernel_boot;
    atomic_store(&r->map->clean, 0);
    if (get(&other(r)->generation) <= logged)
        half_clear(r, other(r));
    if (atomic_load(&active(r)->opened_us) > eff_us || atomic_load(&active(r)->opened_us) < 0)
        atomic_store(&active(r)->opened_us, eff_us);
    return found;
}

void
refusals_close(struct refusals *r)
{
    atomic_store(&r->map->clean, get(&active(r)->generation));
}

/* ---- counting ---- */

static struct row *
row_find(struct half *h, const struct tag *net, const struct id *account, unsigned reason)
{
    uint32_t count = (uint32_t)get(&h->count);

    for (uint32_t i = 0; i < count; i++)
        if (tag_equal(&h->rows[i].net, net) && h->rows[i].reason == reason &&
            id_equal(&h->rows[i].account, account))
            return &h->rows[i];
    return NULL;
}

/* It is in the table with a count of nothing; a process that ends here leaves it so. */
static struct row *
row_add(struct half *h, const struct tag *net, const struct id *account, unsigned reason,
    int64_t eff_us)
{
    uint32_t at = (uint32_t)get(&h->count);
    struct row *row = &h->rows[at];

    row->net = *net;
    row->account = *account;
    row->reason = reason;
    row->first_us = eff_us;
    row->sum = row_sum(row);
    atomic_store(&row->last_us, eff_us);
    atomic_store(&row->times, checked(0, row->sum));
    set(&h->count, at + 1);
    return row;
}

static struct row *
row_for(struct half *h, const struct tags *tags, const struct id *account, unsigned reason,
    int64_t eff_us)
{
    static const struct id nobody;
    static const struct tag all;
    uint32_t count = (uint32_t)get(&h->count);
    struct row *row = row_find(h, &tags->net, account, reason);

    if (row != NULL)
        return row;
    if (count < EXACT_ROWS)
        return row_add(h, &tags->net, account, reason, eff_us);
    if ((row = row_find(h, &tags->wide, &nobody, reason)) != NULL)
        return row;
    if (count < WIDER_ROWS)
        return row_add(h, &tags->wide, &nobody, reason, eff_us);
    if ((row = row_find(h, &all, &nobody, reason)) != NULL)
        return row;
    INVARIANT(count < REFUSALS_ROWS_MAX); /* as many are kept as there are reasons */
    return row_add(h, &all, &nobody, reason, eff_us);
}

void
refusals_count(struct refusals *r, const struct tags *tags, const struct id *account,
    unsigned reason, int64_t eff_us)
{
    struct row *row = row_for(active(r), tags, account, reason, eff_us);

    /* After a restart on a false clock the log's time may be behind a row's that was not written.
     */
    if (eff_us > atomic_load(&row->last_us))
        atomic_store(&row->last_us, eff_us);
    atomic_store(&row->times, checked(get(&row->times) + 1, row->sum));
}

void
refusals_busy(struct refusals *r, int64_t eff_us)
{
    uint64_t was = atomic_load(&r->map->busy);

    atomic_store_explicit(&r->map->busy_last_us, eff_us, memory_order_relaxed);
    while (!atomic_compare_exchange_weak(&r->map->busy, &was, checked((was & COUNT_MAX) + 1, 0)))
        ;
}

/* ---- writing ---- */

uint64_t
refusals_pending(const struct refusals *r)
{
    const struct half *now = active(r), *was = other(r);
    uint64_t total = get(&r->map->busy) - get(&r->map->busy_logged);

    for (uint32_t i = 0; i < get(&now->count); i++)
        total += get(&now->rows[i].times);
    if (frozen(r))
        total += half_total(r, was) - half_busy(r, was);
    return total;
}

int64_t
refusals_due_us(const struct refusals *r)
{
    const struct half *h = active(r);

    if (r->offered)
        return INT64_MAX;
    if (frozen(r))
        return 0;
    if (get(&h->count) > 0)
        return h->rows[0].first_us + REFUSALS_WRITE_US; /* rows are in the order of their first */
    if (get(&r->map->busy) > get(&r->map->busy_logged))
        return atomic_load(&h->opened_us) + REFUSALS_WRITE_US;
    return INT64_MAX;
}

bool
refusals_freeze(struct refusals *r, uint64_t *generation, uint64_t *total, int64_t eff_us)
{
    struct half *h = active(r), *next = other(r);

    if (r->offered)
        return false;
    if (!frozen(r)) {
        if (refusals_due_us(r) == INT64_MAX)
            return false;
        set(&h->busy_through, get(&r->map->busy));
        set(&next->count, 0);
        atomic_store(&next->opened_us, eff_us);
        set(&next->generation, get(&h->generation) + 1); /* from here on */
        next = h;
    }
    *generation = get(&next->generation);
    *total = half_total(r, next);
    return true;
}

static const char *
reason_word(unsigned reason)
{
    if (reason == REFUSED_BY_BUDGET)
        return "budget";
    return reason == REFUSED_BY_BUSY ? "busy" : rule_name((enum rule)reason);
}

static void
pack_row(struct pack *p, const struct row *row, uint64_t times, int64_t last_us)
{
    pack_array(p, 6);
    pack_bin(p, span_of(row->net.b, tag_is_nil(&row->net) ? 0 : TAG_BYTES));
    pack_bin(p, span_of(row->account.b, id_is_nil(&row->account) ? 0 : ID_BYTES));
    pack_str(p, span_str(reason_word(row->reason)));
    pack_u64(p, times);
    pack_i64(p, row->first_us);
    pack_i64(p, last_us);
}

struct span
refusals_pack(const struct refusals *r, uint8_t *out, size_t cap)
{
    const struct half *h = other(r);
    uint32_t count = (uint32_t)get(&h->count), counted = 0;
    uint64_t busy = half_busy(r, h);
    struct pack p;

    for (uint32_t i = 0; i < count; i++)
        counted += get(&h->rows[i].times) > 0;
    pack_init(&p, out, cap);
    pack_array(&p, counted + (busy > 0));
    for (uint32_t i = 0; i < count; i++)
        if (get(&h->rows[i].times) > 0)
            pack_row(&p, &h->rows[i], get(&h->rows[i].times), atomic_load(&h->rows[i].last_us));
    if (busy > 0) {
        struct row row = {.reason = REFUSED_BY_BUSY, .first_us = atomic_load(&h->opened_us)};
        int64_t last_us = atomic_load(&r->map->busy_last_us);

        pack_row(&p, &row, busy, last_us > row.first_us ? last_us : row.first_us);
    }
    INVARIANT(pack_ok(&p));
    return pack_span(&p);
}

void
refusals_offered(struct refusals *r, uint64_t rests_on)
{
    r->offered = true;
    r->rests_on = rests_on;
}

void
refusals_durable(struct refusals *r, uint64_t size)
{
    struct half *h = other(r);

    if (!r->offered || size < r->rests_on)
        return;
    r->logged = get(&h->generation);
    half_clear(r, h);
    r->offered = false;
}
