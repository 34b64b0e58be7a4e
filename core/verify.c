/* verify.c: the walk along a log: chain, keys, tree, heads. Never trusts a length, a number or a
 * key that it has not checked. Pure; one thread walks, any thread may check jobs. */
#include "core/verify.h"

#include <sodium.h>
#include <stdarg.h>

/* A log key, and the size of the first tree whose head it signs. */
struct log_key {
    uint64_t from_size;
    struct note_key key;
};

struct expected {
    uint64_t size;
    struct hash root;
    uint8_t *note; /* owned */
    size_t len;
};

struct verify {
    char origin[ORIGIN_BYTES_MAX + 1];
    struct id origin_id;
    struct verify_trust trust;
    bool trusted_head; /* one was by trust.log */
    struct hash prev;
    int64_t eff_us;
    struct frontier tree;
    uint8_t root_pk[32];
    uint32_t log_epoch, event_epoch;
    uint8_t event_pk[32];
    struct log_key *log_keys;
    size_t log_key_count;
    struct expected *heads; /* ascending by size */
    size_t head_count, head_next, head_cap;
    struct verify_result result;
    struct devices *devices;
    /* The record before, and its key: when a chain breaks, its signature tells which end is bad. */
    uint8_t before_pk[32];
    size_t before_len;
    uint8_t before[RECORD_BYTES_MAX];
};

enum err
verify_new(const char *origin, const struct verify_trust *trust, struct verify **out)
{
    struct verify *v;

    if (strlen(origin) > ORIGIN_BYTES_MAX)
        return ERR_LIMIT;
    if ((v = calloc(1, sizeof(*v))) == NULL)
        return ERR_MEMORY;
    memcpy(v->origin, origin, strlen(origin) + 1);
    v->origin_id = event_origin_id(origin);
    v->trust = *trust;
    v->eff_us = INT64_MIN;
    if ((v->devices = devices_new()) == NULL) {
        free(v);
        return ERR_MEMORY;
    }
    *out = v;
    return OK;
}

void
verify_free(struct verify *v)
{
    if (v == NULL)
        return;
    for (size_t i = 0; i < v->head_count; i++)
        free(v->heads[i].note);
    free(v->heads);
    free(v->log_keys);
    devices_free(v->devices);
    free(v);
}

void
verify_bad(struct verify *v, uint64_t seq, const char *format, ...)
{
    va_list args;

    if (v->result.bad && v->result.bad_seq <= seq)
        return;
    v->result.bad = true;
    v->result.bad_seq = seq;
    va_start(args, format);
    vsnprintf(v->result.why, sizeof(v->result.why), format, args);
    va_end(args);
}

#define BAD(v, ...) (verify_bad((v), (v)->tree.size, __VA_ARGS__), ERR_MISMATCH)

/* ---- heads */

enum err
verify_expect(struct verify *v, struct span signed_note)
{
    struct expected head = {.len = signed_note.len};
    struct checkpoint cp;
    struct note note;
    size_t at = v->head_count;

    if (note_parse(signed_note, &note) != OK || checkpoint_parse(note.text, &cp) != OK)
        return ERR_MALFORMED;
    if (!span_is(cp.origin, v->origin))
        return ERR_MALFORMED;
    if (cp.size < v->tree.size)
        return ERR_NOT_FOUND;
    if (v->head_count == v->head_cap) {
        size_t cap = v->head_cap == 0 ? 16 : v->head_cap * 2;
        struct expected *heads = reallocarray(v->heads, cap, sizeof(*heads));

        if (heads == NULL)
            return ERR_MEMORY;
        v->heads = heads;
        v->head_cap = cap;
    }
    head.size = cp.size;
    head.root = cp.root;
    if ((head.note = malloc(signed_note.len)) == NULL)
        return ERR_MEMORY;
    memcpy(head.note, signed_note.ptr, signed_note.len);
    for (; at > v->head_next && v->heads[at - 1].size > head.size; at--)
        v->heads[at] = v->heads[at - 1];
    v->heads[at] = head;
    v->head_count++;
    return OK;
}

/* The key that signs heads of trees of `size`. */
static const struct note_key *
head_key(const struct verify *v, uint64_t size)
{
    for (size_t i = v->log_key_count; i-- > 0;) {
        if (v->log_keys[i].from_size <= size)
            return &v->log_keys[i].key;
    }
    return NULL;
}

static void
check_head(struct verify *v, const struct expected *head, const struct hash *root)
{
    const struct note_key *key = head_key(v, head->size);
    struct checkpoint cp;

    /* A head of the empty tree comes before any key is known; the first record brings it. */
    if (key == NULL && v->trust.has_log)
        key = &v->trust.log;
    if (!hash_equal(&head->root, root)) {
        verify_bad(v, head->size == 0 ? 0 : head->size - 1,
            "the head of size %llu has another root than these events: one of them, at or below "
            "this, was changed",
            (unsigned long long)head->size);
        return;
    }
    if (key == NULL || checkpoint_open(span_of(head->note, head->len), key, 1, &cp) != OK) {
        verify_bad(v, head->size == 0 ? 0 : head->size - 1,
            "the head of size %llu is not signed by the log key in force",
            (unsigned long long)head->size);
        return;
    }
    if (v->trust.has_log && note_key_equal(key, &v->trust.log))
        v->trusted_head = true;
    v->result.heads++;
}

/* All expected heads of this size. */
static void
check_heads(struct verify *v, uint64_t size)
{
    struct hash root;

    if (v->head_next == v->head_count || v->heads[v->head_next].size != size)
        return;
    if (size == 0)
        tree_empty_root(&root);
    else
        frontier_root(&v->tree, &root);
    for (; v->head_next < v->head_count && v->heads[v->head_next].size == size; v->head_next++)
        check_head(v, &v->heads[v->head_next], &root);
}

/* ---- keys */

static enum err
add_log_key(struct verify *v, uint64_t from_size, const uint8_t pk[32])
{
    struct log_key *keys = reallocarray(v->log_keys, v->log_key_count + 1, sizeof(*keys));

    if (keys == NULL)
        return ERR_MEMORY;
    v->log_keys = keys;
    keys[v->log_key_count].from_size = from_size;
    if (note_key_make(span_str(v->origin), pk, &keys[v->log_key_count].key) != OK)
        return BAD(v, "the origin is no name for a log key");
    v->log_key_count++;
    return OK;
}

static const uint8_t *
log_pk(const struct verify *v)
{
    return v->log_keys[v->log_key_count - 1].key.public_key;
}

static bool
signed_by(const uint8_t pk[32], const uint8_t sig[64], const uint8_t *text, size_t len)
{
    return crypto_sign_verify_detached(sig, text, len, pk) == 0;
}

static enum err
take_opened(struct verify *v, const struct event *ev)
{
    uint8_t text[VERIFY_TEXT_MAX], log[32], sig[64];
    size_t len;

    if (!fields_fixed(&ev->data, FIELD_ROOT_KEY, v->root_pk, 32) ||
        !fields_fixed(&ev->data, FIELD_LOG_KEY, log, 32) ||
        !fields_fixed(&ev->data, FIELD_EVENT_KEY, v->event_pk, 32) ||
        !fields_fixed(&ev->data, FIELD_ROOT_SIG, sig, 64))
        return BAD(v, "log.opened lacks a key or root's signature");
    if (!span_is(fields_span(&ev->data, FIELD_ORIGIN), v->origin))
        return BAD(v, "log.opened names another origin");
    if (v->trust.has_root && memcmp(v->trust.root_pk, v->root_pk, 32) != 0)
        return BAD(v, "log.opened names another root key than the one given");
    len = verify_keys_text(v->origin, log, v->event_pk, text);
    if (!signed_by(v->root_pk, sig, text, len))
        return BAD(v, "log.opened: root did not sign these keys");
    v->log_epoch = v->event_epoch = 1;
    return add_log_key(v, 0, log);
}

/* key.rotated: the new key proves possession, the other active key agrees. key.compromised: root
 * agrees in its place. */
static enum err
take_rotated(struct verify *v, const struct event *ev)
{
    bool compromised = ev->type == EV_KEY_COMPROMISED;
    struct span role_name = fields_span(&ev->data, FIELD_KEY_ROLE);
    enum key_role role = span_is(role_name, key_role_name(KEY_LOG)) ? KEY_LOG : KEY_EVENT;
    uint32_t *epoch = role == KEY_LOG ? &v->log_epoch : &v->event_epoch;
    const uint8_t *other = role == KEY_LOG ? v->event_pk : log_pk(v);
    uint8_t text[VERIFY_TEXT_MAX], pk[32], possession[64], agreed[64];
    size_t len;

    if (!span_is(role_name, key_role_name(role)))
        return BAD(v, "a rotation of no known role");
    if (!fields_fixed(&ev->data, FIELD_NEW_KEY, pk, 32) ||
        !fields_fixed(&ev->data, FIELD_POSSESSION_SIG, possession, 64) ||
        !fields_fixed(&ev->data, compromised ? FIELD_ROOT_SIG : FIELD_OTHER_SIG, agreed, 64))
        return BAD(v, "a rotation without the new key or one of its signatures");
    if (*epoch == UINT32_MAX || fields_u64(&ev->data, FIELD_EPOCH) != *epoch + UINT64_C(1))
        return BAD(v, "a rotation to an epoch that is not the next");
    len = verify_rotate_text(v->origin, role, *epoch + 1, pk, text);
    if (!signed_by(pk, possession, text, len))
        return BAD(v, "a rotation without proof of possession of the new key");
    if (!signed_by(compromised ? v->root_pk : other, agreed, text, len))
        return BAD(v, compromised ? "a rotation that root did not sign"
                                  : "a rotation that the other key did not sign");
    ++*epoch;
    if (role == KEY_LOG)
        return add_log_key(v, v->tree.size + 2, pk);
    memcpy(v->event_pk, pk, 32);
    return OK;
}

/* ---- records */

static const char false_signature[] = "the signature is false: the event was changed";

static bool
signature_ok(const char *origin, const struct verify_job *job)
{
    return event_verify(origin, job->body, job->sig, job->pk) == OK;
}

const char *
verify_job_run(const char *origin, const struct verify_job *job)
{
    if (job->sig.len != 0 && !signature_ok(origin, job))
        return false_signature;
    if (job->said.there && statement_verify(job->said.purpose, origin, job->said.statement,
                               job->said.sig, job->said.pk) != OK)
        return "the agent's statement is not signed by the machine's device";
    return NULL;
}

/* The chain is broken between two events: a false signature on the first says that it was it. */
static enum err
bad_chain(struct verify *v)
{
    struct verify_job job = {.seq = v->tree.size - 1};

    if (v->before_len > 0) {
        memcpy(job.pk, v->before_pk, 32);
        if (event_split(span_of(v->before, v->before_len), &job.body, &job.sig) != OK ||
            !signature_ok(v->origin, &job)) {
            verify_bad(v, job.seq, "%s", false_signature);
            return ERR_MISMATCH;
        }
    }
    return BAD(v, "prev is not the hash of the event before");
}

static enum err
check_place(struct verify *v, const struct event *ev)
{
    if (!id_equal(&ev->origin_id, &v->origin_id))
        return BAD(v, "it is of another log: the origin differs");
    if (ev->seq != v->tree.size)
        return BAD(v, "it says that it is event %llu", (unsigned long long)ev->seq);
    if (!hash_equal(&ev->prev, &v->prev))
        return bad_chain(v);
    if (ev->eff_us < v->eff_us)
        return BAD(v, "its time lies before that of the event before");
    if ((ev->type == EV_LOG_OPENED) != (ev->seq == 0))
        return BAD(v, ev->seq == 0 ? "the first event is not log.opened"
                                   : "log.opened again, after the first event");
    return OK;
}

static bool
is_key_event(enum event_type type)
{
    return type == EV_LOG_OPENED || type == EV_KEY_ROTATED || type == EV_KEY_COMPROMISED;
}

/* Its own signature first, by the key that was in force before it (log.opened brings its own). */
static enum err
take_key_event(struct verify *v, const struct event *ev, struct verify_job *job)
{
    enum err err = OK;

    if (ev->type == EV_LOG_OPENED && (err = take_opened(v, ev)) != OK)
        return err;
    memcpy(job->pk, v->event_pk, 32);
    memcpy(v->before_pk, job->pk, 32);
    if (!signature_ok(v->origin, job))
        return BAD(v, "%s", false_signature);
    v->result.signatures++;
    job->sig.len = 0;
    return ev->type == EV_LOG_OPENED ? OK : take_rotated(v, ev);
}

static enum err
take_keys(struct verify *v, const struct event *ev, struct verify_job *job)
{
    uint32_t epoch = ev->seq == 0 ? 1 : v->event_epoch;

    if (ev->key_epoch != epoch)
        return BAD(v, "it names key epoch %u, and %u is in force", (unsigned)ev->key_epoch,
            (unsigned)epoch);
    if (is_key_event(ev->type))
        return take_key_event(v, ev, job);
    memcpy(job->pk, v->event_pk, 32);
    memcpy(v->before_pk, job->pk, 32);
    return OK;
}

enum err
verify_record(struct verify *v, struct span record, struct event *ev, struct verify_job *job)
{
    const char *bad;
    enum err err;

    if (v->result.bad)
        return ERR_MISMATCH;
    if (event_split(record, &job->body, &job->sig) != OK)
        return BAD(v, "it has not the size of a record");
    if ((err = event_decode(job->body, ev)) != OK)
        return BAD(v, "it is not a well-formed event (%s)", err_name(err));
    job->seq = v->tree.size;
    if ((err = check_place(v, ev)) != OK || (err = take_keys(v, ev, job)) != OK)
        return err;
    job->said.there = false;
    if (!v->trust.fast && (bad = verify_statement(v->devices, ev, &job->said)) != NULL)
        return bad == verify_no_memory ? ERR_MEMORY : BAD(v, "%s", bad);
    v->eff_us = ev->eff_us;
    event_prev(job->body, &v->prev);
    event_leaf(record, &job->leaf);
    if (v->tree.size == 0)
        check_heads(v, 0);
    if (v->tree.size >= TREE_SIZE_MAX - 1)
        return BAD(v, "the log is too long");
    frontier_append(&v->tree, &job->leaf, 1, NULL, NULL);
    memcpy(v->before, record.ptr, record.len);
    v->before_len = record.len;
    check_heads(v, v->tree.size);
    return v->result.bad ? ERR_MISMATCH : OK;
}

enum err
verify_done(struct verify *v)
{
    check_heads(v, v->tree.size); /* of the empty log */
    if (v->head_next < v->head_count)
        verify_bad(v, v->tree.size,
            "it is missing: a head speaks of %llu events, and there are %llu",
            (unsigned long long)v->heads[v->head_count - 1].size, (unsigned long long)v->tree.size);
    if (v->trust.has_log && !v->trusted_head)
        verify_bad(v, v->tree.size, "no head is signed by the key given");
    return v->result.bad ? ERR_MISMATCH : OK;
}

const struct frontier *
verify_frontier(const struct verify *v)
{
    return &v->tree;
}

void
verify_result(const struct verify *v, struct verify_result *out)
{
    *out = v->result;
    out->size = v->tree.size;
    if (v->tree.size == 0)
        tree_empty_root(&out->root);
    else
        frontier_root(&v->tree, &out->root);
}

void
verify_count(struct verify *v, const struct verify_job *job)
{
    v->result.signatures += job->sig.len != 0;
    v->result.statements += job->said.there;
}
