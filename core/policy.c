/* policy.c: the adoptable numbers as one table, their bytes, their ranges. Pure; any thread.
 *
 * Bytes: canonical map {1: {rule: [count, window_s]}, 2...: a member each}. What an older build
 * left out keeps the built-in default; what this build does not know is refused, since a number
 * that is not obeyed must not look adopted. */
#include "core/policy.h"

#include <stddef.h>
#include <stdio.h>

#include "core/ascii.h"
#include "core/limits.h"
#include "core/pack.h"

#define RULE_COUNT_MAX    10000 /* exact windows hold a time per slot */
#define RULE_WINDOW_S_MAX (24 * 3600)
#define DAY_S             (24 * 3600)

static const struct rule_row {
    const char *name;
    struct rule_limit limit;
} rule_rows[RULE_COUNT] = {
    [RULE_NONE] = {"none", {0, 0}},
    [RULE_LOGIN_NET] = {"login_net", {5, 60}},
    [RULE_LOGIN_WIDE] = {"login_wide", {50, 60}},
    [RULE_LOGIN_ALL] = {"login_all", {600, 60}},
    [RULE_LOGIN_ACCOUNT] = {"login_account", {10, 900}},
    [RULE_REGISTER_NET] = {"register_net", {2, 60}},
    [RULE_REGISTER_ALL] = {"register_all", {60, 60}},
    [RULE_CODE_NET] = {"code_net", {10, 60}},
    [RULE_CODE_FAIL_ALL] = {"code_fail_all", {60, 60}},
    [RULE_CODE_FAIL_NET] = {"code_fail_net", {1, 600}},
    [RULE_REFRESH_NET] = {"refresh_net", {30, 60}},
    [RULE_PASSWORD_USER] = {"password_user", {5, 60}},
    [RULE_AGENT_REFUSED_NET] = {"agent_refused_net", {10, 60}},
    [RULE_SESSION_USER] = {"session_user", {30, 60}},
    [RULE_CODE_WIDE] = {"code_wide", {100, 60}},
    [RULE_LOGIN_DEVICE] = {"login_device", {10, 900}},
};

#define POLICY_RULES 1 /* the key of the rules' map; members follow */

_Static_assert(JWT_ACCESS_S == 900, "no access token may live longer than the policy can say");

static const struct member_row {
    const char *name;
    size_t offset;
    uint32_t normal, min, max;
    enum weaker { WEAKER_NEVER, WEAKER_MORE, WEAKER_LESS } weaker;
} member_rows[] = {
#define ROW(member, normal, min, max, weaker)                                                      \
    {                                                                                              \
#member, offsetof(struct policy, member), normal, min, max, WEAKER_##weaker                \
    }
    /* Keys 2 and on, in this order, for ever. */
    ROW(access_s, 15 * 60, 1, 15 * 60, MORE),
    ROW(family_s, 12 * 3600, 1, 30 * DAY_S, MORE),
    ROW(family_idle_s, 30 * 60, 1, 30 * DAY_S, MORE),
    ROW(refresh_grace_s, 30, 0, 300, MORE),
    ROW(code_s, 10 * 60, 1, DAY_S, MORE),
    ROW(codes_live_max, 1000, 1, 10000, MORE),
    ROW(guest_idle_s, 15 * 60, 1, DAY_S, MORE),
    ROW(consent_s, 120, 1, 3600, NEVER),
    ROW(session_s, 4 * 3600, 1, DAY_S, MORE),
    ROW(session_idle_s, 30 * 60, 1, DAY_S, MORE),
    ROW(ticket_s, 30, 1, 300, MORE),
    ROW(invite_s, 7 * DAY_S, 1, 90 * DAY_S, MORE),
    ROW(heartbeat_s, 60, 1, 3600, MORE),
    ROW(registration_open, 0, 0, 1, MORE),
    ROW(session_network, 1, 0, 2, LESS),
    ROW(attempts_per_s, 10, 1, 10000, MORE),
    ROW(attempts_burst, 2000, 4, 100000, MORE),
    ROW(machines_alert, 10, 1, 60, MORE),
#undef ROW
};

#define MEMBERS (sizeof(member_rows) / sizeof(member_rows[0]))

static uint32_t *
member_at(struct policy *p, size_t i)
{
    return (uint32_t *)(void *)((uint8_t *)p + member_rows[i].offset);
}

void
policy_default(struct policy *out)
{
    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < RULE_COUNT; i++)
        out->rules[i] = rule_rows[i].limit;
    for (size_t i = 0; i < MEMBERS; i++)
        *member_at(out, i) = member_rows[i].normal;
}

enum err
policy_encode(const struct policy *p, uint8_t *out, size_t cap, size_t *len)
{
    struct policy copy = *p;
    struct pack w;

    pack_init(&w, out, cap);
    pack_map(&w, 1 + (uint32_t)MEMBERS);
    pack_u64(&w, POLICY_RULES);
    pack_map(&w, RULE_COUNT - 1);
    for (uint32_t rule = 1; rule < RULE_COUNT; rule++) {
        pack_u64(&w, rule);
        pack_array(&w, 2);
        pack_u64(&w, p->rules[rule].count);
        pack_u64(&w, p->rules[rule].window_s);
    }
    for (size_t i = 0; i < MEMBERS; i++) {
        pack_u64(&w, POLICY_RULES + 1 + i);
        pack_u64(&w, *member_at(&copy, i));
    }
    if (!pack_ok(&w))
        return ERR_LIMIT;
    *len = w.len;
    return OK;
}

/* A number of the input, within its range. */
static enum err
read_number(struct reader *r, uint32_t min, uint32_t max, uint32_t *out)
{
    uint64_t value = reader_u64(r);

    if (!reader_ok(r))
        return ERR_MALFORMED;
    if (value < min || value > max)
        return ERR_LIMIT;
    *out = (uint32_t)value;
    return OK;
}

static enum err
read_rules(struct reader *r, struct policy *out)
{
    uint32_t count = reader_map(r);
    enum err err = OK;

    for (uint32_t i = 0; i < count && err == OK; i++) {
        uint64_t rule = reader_u64(r);

        if (reader_array(r) != 2 || !reader_ok(r) || rule == RULE_NONE || rule >= RULE_COUNT)
            return ERR_MALFORMED;
        err = read_number(r, 1, RULE_COUNT_MAX, &out->rules[rule].count);
        if (err == OK)
            err = read_number(r, 1, RULE_WINDOW_S_MAX, &out->rules[rule].window_s);
    }
    return err;
}

enum err
policy_decode(struct span bytes, struct policy *out)
{
    struct reader r;
    uint32_t count;
    enum err err = pack_scan(bytes);

    policy_default(out);
    if (err != OK)
        return err;
    reader_init(&r, bytes);
    count = reader_map(&r);
    for (uint32_t i = 0; i < count && err == OK; i++) {
        uint64_t key = reader_u64(&r);
        uint64_t member = key - (POLICY_RULES + 1); /* wraps for the rules, which go first */

        if (key == POLICY_RULES)
            err = read_rules(&r, out);
        else if (key < POLICY_RULES || member >= MEMBERS)
            err = ERR_MALFORMED;
        else
            err = read_number(
                &r, member_rows[member].min, member_rows[member].max, member_at(out, member));
    }
    if (err == OK && !reader_done(&r))
        err = ERR_MALFORMED;
    return err;
}

const char *
rule_name(enum rule rule)
{
    INVARIANT(rule < RULE_COUNT);
    return rule_rows[rule].name;
}

/* ---- for people ---- */

bool
policy_item(const struct policy *p, size_t i, struct policy_item *out)
{
    struct policy normal, copy = *p;

    policy_default(&normal);
    if (i < RULE_COUNT - 1) {
        enum rule rule = (enum rule)(i + 1);

        out->name = rule_rows[rule].name;
        snprintf(
            out->value, sizeof(out->value), "%u/%u", p->rules[rule].count, p->rules[rule].window_s);
        snprintf(out->normal, sizeof(out->normal), "%u/%u", normal.rules[rule].count,
            normal.rules[rule].window_s);
        snprintf(out->range, sizeof(out->range), "1-%d/1-%d", RULE_COUNT_MAX, RULE_WINDOW_S_MAX);
        return true;
    }
    i -= RULE_COUNT - 1;
    if (i >= MEMBERS)
        return false;
    out->name = member_rows[i].name;
    snprintf(out->value, sizeof(out->value), "%u", *member_at(&copy, i));
    snprintf(out->normal, sizeof(out->normal), "%u", member_rows[i].normal);
    snprintf(out->range, sizeof(out->range), "%u-%u", member_rows[i].min, member_rows[i].max);
    return true;
}

static enum err
set_number(struct span text, uint32_t min, uint32_t max, uint32_t *out)
{
    uint64_t value;
    enum err err = ascii_number(text, max, &value);

    if (err == OK && value < min)
        err = ERR_LIMIT;
    if (err == OK)
        *out = (uint32_t)value;
    return err;
}

static enum err
set_rule(struct rule_limit *limit, struct span text)
{
    const uint8_t *slash = text.len == 0 ? NULL : memchr(text.ptr, '/', text.len);
    struct rule_limit next;
    size_t count_len;
    enum err err;

    if (slash == NULL)
        return ERR_MALFORMED;
    count_len = (size_t)(slash - text.ptr);
    err = set_number(span_of(text.ptr, count_len), 1, RULE_COUNT_MAX, &next.count);
    if (err == OK)
        err = set_number(
            span_of(slash + 1, text.len - count_len - 1), 1, RULE_WINDOW_S_MAX, &next.window_s);
    if (err == OK)
        *limit = next;
    return err;
}

enum err
policy_set(struct policy *p, struct span assignment)
{
    const uint8_t *equals =
        assignment.len == 0 ? NULL : memchr(assignment.ptr, '=', assignment.len);
    struct span name, value;

    if (equals == NULL)
        return ERR_MALFORMED;
    name = span_of(assignment.ptr, (size_t)(equals - assignment.ptr));
    value = span_of(equals + 1, assignment.len - name.len - 1);
    for (uint32_t rule = 1; rule < RULE_COUNT; rule++)
        if (span_is(name, rule_rows[rule].name))
            return set_rule(&p->rules[rule], value);
    for (size_t i = 0; i < MEMBERS; i++)
        if (span_is(name, member_rows[i].name))
            return set_number(value, member_rows[i].min, member_rows[i].max, member_at(p, i));
    return ERR_NOT_FOUND;
}

bool
policy_weaker(const struct policy *a, const struct policy *b, size_t i)
{
    struct policy x = *a, y = *b;
    uint32_t was, is;

    if (i < RULE_COUNT - 1) {
        const struct rule_limit *old = &a->rules[i + 1], *new = &b->rules[i + 1];

        /* more at once, or more in the long run */
        return new->count > old->count ||
               (uint64_t) new->count * old->window_s > (uint64_t)old->count *new->window_s;
    }
    i -= RULE_COUNT - 1;
    INVARIANT(i < MEMBERS);
    was = *member_at(&x, i);
    is = *member_at(&y, i);
    switch (member_rows[i].weaker) {
    case WEAKER_MORE: return is > was;
    case WEAKER_LESS: return is < was;
    case WEAKER_NEVER: break;
    }
    return false;
}
