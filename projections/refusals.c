/* refusals.c: the table of counted refusals. Pure; ledger thread. */
#include "projections/refusals.h"

#include "core/pack.h"

static struct refusals_row *
refusals_row(struct refusals *r, const struct tag *net, enum refusal reason)
{
    static const struct tag nil;
    struct refusals_row *row;

    for (uint32_t i = 0; i < r->count; i++)
        if (r->rows[i].reason == reason && tag_equal(&r->rows[i].net, net))
            return &r->rows[i];
    /* The last rows are kept for the shared buckets, one a reason. */
    if (r->count >= REFUSALS_ROWS_MAX - REFUSAL_COUNT && !tag_is_nil(net))
        return refusals_row(r, &nil, reason);
    INVARIANT(r->count < REFUSALS_ROWS_MAX);
    row = &r->rows[r->count++];
    *row = (struct refusals_row){.net = *net, .reason = reason};
    return row;
}

void
refusals_count(struct refusals *r, const struct tag *net, enum refusal reason, int64_t eff_us)
{
    struct refusals_row *row = refusals_row(r, net, reason);

    if (row->times++ == 0)
        row->first_us = eff_us;
    row->last_us = eff_us;
    r->total++;
}

int64_t
refusals_due_us(const struct refusals *r)
{
    int64_t first = INT64_MAX;

    for (uint32_t i = 0; i < r->count; i++)
        if (r->rows[i].first_us < first)
            first = r->rows[i].first_us;
    return first == INT64_MAX ? first : first + REFUSALS_WRITE_US;
}

struct span
refusals_pack(const struct refusals *r, uint8_t *out, size_t cap)
{
    struct pack p;

    pack_init(&p, out, cap);
    pack_array(&p, r->count);
    for (uint32_t i = 0; i < r->count; i++) {
        const struct refusals_row *row = &r->rows[i];

        pack_array(&p, 5);
        pack_bin(&p, span_of(row->net.b, TAG_BYTES));
        pack_str(&p, span_str(refusal_row(row->reason)->code));
        pack_u64(&p, row->times);
        pack_i64(&p, row->first_us);
        pack_i64(&p, row->last_us);
    }
    INVARIANT(pack_ok(&p));
    return pack_span(&p);
}

void
refusals_reset(struct refusals *r)
{
    r->count = 0;
    r->total = 0;
}
