/* store_writer.c: a program that writes events through the product's store and says on stdout which
 * are durable, to be killed, unplugged and starved by tests/durability/durability.py; and the one
 * that checks afterwards what is left.
 *   store_writer create DIR
 *   store_writer run DIR SEED EVENTS [views] [anchor] [nosync] [nometasync] [map=BYTES]
 *   store_writer check DIR ACKS [doctor]
 * `run` prints "SIZE HASH" when events 0 to SIZE-1 are durable; HASH is the chain's value behind
 * the last of them, so it speaks for all before it. */
#include "tests/unit/store_fixture.h"

#include <pthread.h>

#include "store/anchor.h"
#include "store/loglmdb_impl.h"
#include "store/verify.h"
#include "store/views.h"

#define WINDOW     16 /* batches submitted and not announced: the journal takes two */
#define SECRET_LEN 24

static struct fixture f;
static uint64_t random_state;
static uint64_t version; /* of the one secret, as the log names it */

static uint32_t
below(uint32_t bound)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((random_state >> 33) % bound);
}

/* ---- acknowledgements */

static struct {
    pthread_mutex_t lock;
    struct {
        uint64_t size;
        struct hash hash;
    } window[WINDOW];
    unsigned from, to;
} acks = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void
expect_ack(void)
{
    pthread_mutex_lock(&acks.lock);
    INVARIANT(acks.to - acks.from < WINDOW);
    acks.window[acks.to % WINDOW].size = f.next_seq;
    acks.window[acks.to % WINDOW].hash = f.prev;
    acks.to++;
    pthread_mutex_unlock(&acks.lock);
}

static void
say_ack(void *ctx, uint64_t size)
{
    char line[96], hex[2 * HASH_BYTES + 1];
    int n;

    (void)ctx;
    pthread_mutex_lock(&acks.lock);
    INVARIANT(acks.from != acks.to && acks.window[acks.from % WINDOW].size == size);
    sodium_bin2hex(hex, sizeof(hex), acks.window[acks.from % WINDOW].hash.b, HASH_BYTES);
    acks.from++;
    pthread_mutex_unlock(&acks.lock);
    n = snprintf(line, sizeof(line), "%llu %s\n", (unsigned long long)size, hex);
    INVARIANT(write(STDOUT_FILENO, line, (size_t)n) == n);
}

/* ---- the one secret: version v is put before the event that names it, v-1 dropped after */

static struct batch_secret
secret_of(uint64_t v)
{
    struct batch_secret s = {.kind = SECRET_PASSWORD, .id = {{1}}, .version = v, .len = SECRET_LEN};

    snprintf((char *)s.bytes, sizeof(s.bytes), "secret-%017llu", (unsigned long long)v);
    return s;
}

static bool
find_version(void *arg, uint64_t seq, struct span record)
{
    static struct event ev;
    struct span body, sig;
    uint64_t *found = arg, v;

    (void)seq;
    if (event_split(record, &body, &sig) != OK || event_decode(body, &ev) != OK)
        return false;
    if ((v = fields_u64(&ev.data, FIELD_VERIFIER_VERSION)) != 0)
        *found = v;
    return true;
}

static void
read_version(void)
{
    struct log_port port;
    uint64_t next;

    loglmdb_port(f.log, &port);
    FIXTURE_OK(&f, port.read(port.ctx, 0, UINT32_MAX, find_version, &version, &next));
}

struct kept {
    unsigned right, wrong;
};

/* The version in force must be there, whole; others may be left over from a cut, and go. */
static bool
keep(void *arg, const struct batch_secret *s)
{
    struct batch_secret expected = secret_of(s->version);
    struct kept *kept = arg;

    if (s->len != SECRET_LEN || memcmp(s->bytes, expected.bytes, SECRET_LEN) != 0)
        kept->wrong++;
    else if (s->version == version)
        kept->right++;
    return s->version == version;
}

static bool
secrets_right(void)
{
    struct kept kept = {0};

    FIXTURE_OK(&f, keystore_each(f.keystore, keep, &kept));
    if (kept.wrong == 0 && kept.right == (version == 0 ? 0 : 1))
        return true;
    printf("secret of version %llu: %u there, %u damaged\n", (unsigned long long)version,
        kept.right, kept.wrong);
    return false;
}

/* ---- a view: one row an event, and how many there are */

static enum err
fold(void *ctx, struct rows *rows, const struct event *ev, const struct fields *personal,
    uint32_t personal_count)
{
    uint64_t total = 0;
    struct span value;
    uint8_t key[8];
    enum err err;

    (void)ctx;
    (void)personal;
    (void)personal_count;
    lmdb_be64(ev->seq, key);
    if ((err = rows->put(rows->ctx, TABLE_BY_TIME, span_of(key, 8), span_of(ev->id.b, 16))) != OK)
        return err;
    if (rows->get(rows->ctx, TABLE_MINUTES, span_str("total"), &value) == OK)
        memcpy(&total, value.ptr, 8);
    total++;
    return rows->put(rows->ctx, TABLE_MINUTES, span_str("total"), span_of(&total, 8));
}

static struct views *
open_views(void)
{
    struct views_config config = {.state = &f.state, .fold = {.schema = 1, .fold = fold}};
    struct views *v;

    loglmdb_port(f.log, &config.log);
    FIXTURE_OK(&f, views_start(&config, &v, &f.why));
    return v;
}

static bool
count_row(void *arg, struct span key, struct span value)
{
    uint64_t *count = arg;

    if (key.len != 8 || value.len != 16 || lmdb_u64(key.ptr) != *count)
        return false;
    ++*count;
    return true;
}

static bool
views_right(void)
{
    struct views *v = open_views();
    uint64_t size = loglmdb_size(f.log), total = 0, rows_seen = 0;
    struct views_port port;
    struct span value;
    struct rows rows;

    views_port(v, &port);
    for (int i = 0; i < 60000 && port.position(port.ctx) < size; i++)
        usleep(1000);
    FIXTURE_OK(&f, port.begin(port.ctx, &rows));
    if (rows.get(rows.ctx, TABLE_MINUTES, span_str("total"), &value) == OK)
        memcpy(&total, value.ptr, 8);
    FIXTURE_OK(
        &f, rows.scan(rows.ctx, TABLE_BY_TIME, span_of("", 0), false, count_row, &rows_seen));
    port.end(port.ctx, &rows);
    views_stop(v);
    if (total == size && rows_seen == size)
        return true;
    printf("views: %llu of %llu events, %llu rows\n", (unsigned long long)total,
        (unsigned long long)size, (unsigned long long)rows_seen);
    return false;
}

/* ---- run */

static size_t
payload(void)
{
    uint32_t dice = below(1000);

    return dice == 0 ? 50000 : dice < 10 ? 4000 + below(4000) : below(500);
}

static struct batch *
next_batch(uint32_t count)
{
    static uint8_t filler[50000];
    struct batch *b = fixture_batch(&f);
    bool with_secret = below(4) == 0;

    for (uint32_t i = 0; i < count; i++) {
        struct fields data = {0};

        fields_add_span(&data, FIELD_POLICY_BYTES, span_of(filler, payload()));
        if (with_secret && i == 0)
            fields_add_u64(&data, FIELD_VERIFIER_VERSION, version + 1);
        fixture_add(&f, b, EV_HEARTBEAT, &data);
    }
    if (with_secret) {
        struct batch_secret put = secret_of(version + 1), drop = secret_of(version);

        drop.drop = true;
        FIXTURE_OK(&f, batch_add_secret(b, &put));
        if (version > 0)
            FIXTURE_OK(&f, batch_add_secret(b, &drop));
        version++;
    }
    return b;
}

static void
rotate(enum key_role role)
{
    struct keys_rotation r;
    struct fields data = {0};
    struct batch *b = fixture_batch(&f);

    FIXTURE_OK(&f, journal_rotate(f.journal, role, &r, &f.why));
    fields_add_span(&data, FIELD_KEY_ROLE, span_str(key_role_name(role)));
    fields_add_u64(&data, FIELD_EPOCH, r.epoch);
    fields_add_span(&data, FIELD_NEW_KEY, span_of(r.new_pk, 32));
    fields_add_span(&data, FIELD_POSSESSION_SIG, span_of(r.possession_sig, 64));
    fields_add_span(&data, FIELD_OTHER_SIG, span_of(r.other_sig, 64));
    fixture_add(&f, b, EV_KEY_ROTATED, &data);
    b->rotates = true;
    expect_ack();
    fixture_submit(&f, b);
    fixture_wait(&f);
}

struct how {
    bool views, anchor;
    unsigned env_flags;
};

static void
add_listener(struct durable_listener listener)
{
    f.config.listeners[f.config.listener_count++] = listener;
}

static int
run(uint64_t events, const struct how *how)
{
    struct anchor_config anchor_config = {.state = &f.state};
    struct anchor *anchor = NULL;
    struct views *views = NULL;

    fixture_open_store(&f);
    INVARIANT(mdb_env_set_flags(f.log->env, how->env_flags, 1) == 0);
    read_version();
    INVARIANT(secrets_right());
    anchor_config.log = f.log;
    FIXTURE_OK(&f, anchor_check(&anchor_config, f.chain.log, f.chain.log_count, &f.why));
    add_listener((struct durable_listener){NULL, say_ack});
    if (how->anchor) {
        FIXTURE_OK(&f, anchor_start(&anchor_config, &anchor, &f.why));
        f.config.listener_count++;
        anchor_listener(anchor, &f.config.listeners[1]);
    }
    if (how->views) {
        views = open_views();
        views_durable_listener(views, &f.config.listeners[f.config.listener_count++]);
    }
    fixture_journal(&f);
    for (uint64_t end = f.next_seq + events; f.next_seq < end;) {
        struct batch *b;

        if (below(40) == 0)
            rotate(below(2) == 0 ? KEY_LOG : KEY_EVENT);
        b = next_batch(1 + (below(8) == 0 ? below(300) : below(20)));
        expect_ack();
        fixture_submit(&f, b);
    }
    fixture_wait(&f);
    journal_stop(f.journal);
    f.journal = NULL;
    anchor_stop(anchor);
    views_stop(views);
    fixture_close(&f);
    return 0;
}

/* ---- check */

struct claims {
    FILE *file;
    uint64_t size, met; /* the next claim, and how many were right */
    struct hash hash;
    bool done, wrong;
};

static void
next_claim(struct claims *c)
{
    char hex[2 * HASH_BYTES + 1];
    unsigned long long size;

    if (fscanf(c->file, "%llu %64s", &size, hex) != 2 ||
        sodium_hex2bin(c->hash.b, HASH_BYTES, hex, strlen(hex), NULL, NULL, NULL) != 0) {
        c->done = true;
        return;
    }
    if (size <= c->size)
        c->wrong = true;
    c->size = size;
}

static bool
compare_claim(void *arg, uint64_t seq, struct span record)
{
    struct claims *c = arg;
    struct span body, sig;
    struct hash hash;

    if (c->done)
        return false;
    if (seq + 1 != c->size)
        return true;
    if (event_split(record, &body, &sig) != OK)
        return false;
    event_prev(body, &hash);
    if (!hash_equal(&hash, &c->hash)) {
        printf("event %llu is not the one that was acknowledged\n", (unsigned long long)seq);
        c->wrong = true;
    }
    c->met++;
    next_claim(c);
    return true;
}

static bool
acks_right(const char *path, uint64_t *met)
{
    struct claims c = {.file = fopen(path, "r")};
    struct log_port port;
    uint64_t next;

    INVARIANT(c.file != NULL);
    next_claim(&c);
    loglmdb_port(f.log, &port);
    FIXTURE_OK(&f, port.read(port.ctx, 0, UINT32_MAX, compare_claim, &c, &next));
    fclose(c.file);
    if (!c.done) {
        printf("%llu events were acknowledged, %llu are there\n", (unsigned long long)c.size,
            (unsigned long long)loglmdb_size(f.log));
        return false;
    }
    *met = c.met;
    return !c.wrong;
}

static bool
log_right(void)
{
    struct store_verify how = {.log = f.log, .origin = f.state.origin};
    struct verify_result result;
    enum err err;

    how.trust.has_root = true;
    memcpy(how.trust.root_pk, f.keys.root_pk, 32);
    err = store_verify(&how, &result, &f.why);
    if (err == OK)
        return true;
    printf("verify: %s; event %llu: %s\n", err_name(err), (unsigned long long)result.bad_seq,
        result.why);
    return false;
}

static int
check(const char *acks_path)
{
    struct anchor_config anchor_config = {.state = &f.state};
    uint64_t met = 0;
    bool right;

    fixture_open_store(&f);
    anchor_config.log = f.log;
    FIXTURE_OK(&f, anchor_check(&anchor_config, f.chain.log, f.chain.log_count, &f.why));
    fixture_journal(&f); /* takes up the tree */
    read_version();
    right = log_right();
    right = acks_right(acks_path, &met) && right;
    right = secrets_right() && right;
    right = views_right() && right;
    if (f.doctor)
        FIXTURE_OK(&f, state_failure_clear(&f.state, &f.why));
    printf("%s: %llu events, %llu acknowledgements\n", right ? "right" : "WRONG",
        (unsigned long long)loglmdb_size(f.log), (unsigned long long)met);
    fixture_close(&f);
    return right ? 0 : 5;
}

static bool
option(struct how *how, const char *word)
{
    if (strcmp(word, "views") == 0)
        how->views = true;
    else if (strcmp(word, "anchor") == 0)
        how->anchor = true;
    else if (strcmp(word, "nosync") == 0)
        how->env_flags |= MDB_NOSYNC;
    else if (strcmp(word, "nometasync") == 0)
        how->env_flags |= MDB_NOMETASYNC;
    else if (strncmp(word, "map=", 4) == 0)
        f.map_bytes = strtoull(word + 4, NULL, 10);
    else if (strcmp(word, "doctor") == 0)
        f.doctor = true;
    else
        return false;
    return true;
}

int
main(int argc, char **argv)
{
    struct how how = {0};
    int first = 5;

    if (argc < 3 || sodium_init() < 0)
        return 2;
    snprintf(f.dir, sizeof(f.dir), "%s", argv[2]);
    if (strcmp(argv[1], "create") == 0) {
        fixture_create(&f);
        fixture_close(&f);
        return 0;
    }
    if (strcmp(argv[1], "check") == 0)
        first = 4;
    for (int i = first; i < argc; i++) {
        if (!option(&how, argv[i]))
            return 2;
    }
    if (strcmp(argv[1], "check") == 0 && argc >= 4)
        return check(argv[3]);
    if (strcmp(argv[1], "run") != 0 || argc < 5)
        return 2;
    random_state = strtoull(argv[3], NULL, 10);
    return run(strtoull(argv[4], NULL, 10), &how);
}
