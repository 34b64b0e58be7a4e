/* journal_bench.c: durable signed events per second, through the real ledger thread and journal,
 * beside the bare limit of this machine: a loop that signs bodies of the same size, appends them to
 * LMDB and commits batches of as many as there are producers. Each producer has one command under
 * way: it submits, and goes on when what its verdict rests on is durable.
 *
 *   journal_bench --state-dir DIR [--seconds 3] [--producers 8,64,256] [--threads N] [--limit]
 *
 * DIR was made by `gatehouse init`, and its log grows. --threads N: the producers share N threads,
 * as clients of pgbench -j N and connections of the server's loops do (default: one thread each).
 * --limit: the bare limit only, in a throw-away LMDB beside DIR's log. */
#include <getopt.h>
#include <lmdb.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "http/ledger_thread.h"
#include "tools/gatehouse/boot.h"

#define PRODUCERS_MAX 1024
#define SAMPLES_MAX   (1u << 22)

struct driver;

struct producer {
    struct driver *driver;
    struct producer *next;
    uint64_t rests_on;
    int64_t submitted_ns;
};

/* One thread, and the producers that it submits for. */
struct driver {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct producer *done; /* under lock: durable, to be submitted again */
    unsigned count;
};

static struct {
    struct boot boot;
    struct ledger_thread *ledger;
    pthread_mutex_t lock; /* of what follows */
    struct producer *waiting, **waiting_tail;
    uint64_t durable;
    uint32_t samples;
    int64_t end_ns;
    int64_t *sample_ns;
    struct producer producers[PRODUCERS_MAX];
    struct driver drivers[PRODUCERS_MAX];
} bench = {.lock = PTHREAD_MUTEX_INITIALIZER, .waiting_tail = &bench.waiting};

static int64_t
now_ns(void)
{
    struct timespec ts;

    INVARIANT(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static double
cpu_s(void)
{
    struct timespec ts;

    INVARIANT(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts) == 0);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
die(const char *what)
{
    fprintf(stderr, "journal_bench: %s\n", what);
    exit(1);
}

/* ---- results ---- */

static int
by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* One line, easy to read for people and for run.sh. */
static void
print_result(const char *what, unsigned producers, unsigned threads, double seconds, double events,
    double cpu)
{
    uint32_t n = bench.samples;
    uint64_t median = n / 2, p99 = (uint64_t)n * 99 / 100;

    qsort(bench.sample_ns, n, sizeof(*bench.sample_ns), by_value);
    printf("%-9s producers %4u threads %4u events_s %8.0f p50_ms %7.3f p99_ms %7.3f cpu_us %6.1f\n",
        what, producers, threads, events / seconds,
        n == 0 ? 0 : (double)bench.sample_ns[median] / 1e6,
        n == 0 ? 0 : (double)bench.sample_ns[p99] / 1e6, cpu * 1e6 / events);
    fflush(stdout);
}

static void
sample(int64_t ns)
{
    if (bench.samples < SAMPLES_MAX)
        bench.sample_ns[bench.samples++] = ns;
}

/* ---- producers ---- */

static void
hand_back(struct producer *p)
{
    struct driver *d = p->driver;
    bool idle;

    pthread_mutex_lock(&d->lock);
    p->next = d->done;
    d->done = p;
    idle = p->next == NULL;
    pthread_mutex_unlock(&d->lock);
    if (idle)
        pthread_cond_signal(&d->wake);
}

/* Ledger thread. Positions ascend, so the queue is in their order. */
static void
deliver(void *ctx, struct command *cmd, struct verdict *verdict)
{
    struct producer *p = ctx;
    bool now;

    if (verdict->refusal != REFUSE_NONE || verdict->event_count != 1)
        die("the command was refused, or made other than one event");
    p->rests_on = verdict->rests_on;
    verdict_free(verdict);
    command_free(cmd);
    pthread_mutex_lock(&bench.lock);
    now = p->rests_on <= bench.durable;
    if (!now) {
        p->next = NULL;
        *bench.waiting_tail = p;
        bench.waiting_tail = &p->next;
    }
    pthread_mutex_unlock(&bench.lock);
    if (now)
        hand_back(p);
}

/* Journal's writer thread. */
static void
durable_now(void *ctx, uint64_t size)
{
    struct producer *first, **end, *p;

    (void)ctx;
    if (bench.ledger != NULL)
        ledger_thread_set_durable(bench.ledger, size);
    pthread_mutex_lock(&bench.lock);
    bench.durable = size;
    for (end = &bench.waiting; *end != NULL && (*end)->rests_on <= size; end = &(*end)->next)
        ;
    first = end == &bench.waiting ? NULL : bench.waiting;
    if (first != NULL) {
        bench.waiting = *end;
        *end = NULL;
        if (bench.waiting == NULL)
            bench.waiting_tail = &bench.waiting;
    }
    pthread_mutex_unlock(&bench.lock);
    while ((p = first) != NULL) {
        first = p->next;
        hand_back(p);
    }
}

static void
submit(struct producer *p)
{
    struct command *cmd = command_new(CMD_READ_AUDIT, 0);

    if (cmd == NULL)
        die("out of memory");
    cmd->caller.kind = CALLER_CLI;
    cmd->read_audit.action = "bench";
    cmd->reply_to = (struct reply_to){.deliver = deliver, .ctx = p};
    p->submitted_ns = now_ns();
    if (!ledger_thread_submit(bench.ledger, cmd))
        die("the ledger's queue is full");
}

static void *
drive(void *arg)
{
    struct driver *d = arg;
    unsigned left = d->count;
    struct producer *p, *list;
    int64_t now;

    while (left > 0) {
        pthread_mutex_lock(&d->lock);
        while (d->done == NULL)
            pthread_cond_wait(&d->wake, &d->lock);
        list = d->done;
        d->done = NULL;
        pthread_mutex_unlock(&d->lock);
        now = now_ns();
        while ((p = list) != NULL) {
            list = p->next;
            if (p->submitted_ns != 0) {
                pthread_mutex_lock(&bench.lock);
                sample(now - p->submitted_ns);
                pthread_mutex_unlock(&bench.lock);
            }
            if (now < bench.end_ns)
                submit(p);
            else
                left--;
        }
    }
    return NULL;
}

static void
run_producers(unsigned producers, unsigned threads, double seconds)
{
    int64_t start = now_ns();
    double cpu = cpu_s();

    bench.samples = 0;
    bench.end_ns = start + (int64_t)(seconds * 1e9);
    for (unsigned i = 0; i < threads; i++) {
        bench.drivers[i] =
            (struct driver){.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
    }
    for (unsigned i = 0; i < producers; i++) {
        struct driver *d = &bench.drivers[i % threads];

        bench.producers[i] = (struct producer){.driver = d, .next = d->done};
        d->done = &bench.producers[i];
        d->count++;
    }
    for (unsigned i = 0; i < threads; i++)
        if (pthread_create(&bench.drivers[i].thread, NULL, drive, &bench.drivers[i]) != 0)
            die("no thread");
    for (unsigned i = 0; i < threads; i++)
        pthread_join(bench.drivers[i].thread, NULL);
    print_result("gatehouse", producers, threads, (double)(now_ns() - start) / 1e9, bench.samples,
        cpu_s() - cpu);
}

/* ---- the bare limit ---- */

struct limit {
    MDB_env *env;
    MDB_dbi dbi;
    uint64_t seq;
    uint8_t pk[crypto_sign_PUBLICKEYBYTES], sk[crypto_sign_SECRETKEYBYTES];
    uint8_t record[512];
    size_t record_len; /* body and signature, as in the log */
};

static void
must(int rc)
{
    if (rc != 0)
        die(mdb_strerror(rc));
}

static void
limit_open(struct limit *l, const char *folder)
{
    MDB_txn *txn;

    if (mkdir(folder, 0700) != 0)
        die("the folder of the bare limit cannot be made");
    must(mdb_env_create(&l->env));
    must(mdb_env_set_mapsize(l->env, (size_t)16 << 30));
    must(mdb_env_open(l->env, folder, 0, 0600));
    must(mdb_txn_begin(l->env, NULL, 0, &txn));
    must(mdb_dbi_open(txn, NULL, 0, &l->dbi));
    must(mdb_txn_commit(txn));
    crypto_sign_keypair(l->pk, l->sk);
}

static void
limit_batch(struct limit *l, unsigned count)
{
    size_t body = l->record_len - crypto_sign_BYTES;
    MDB_txn *txn;

    must(mdb_txn_begin(l->env, NULL, 0, &txn));
    for (unsigned i = 0; i < count; i++) {
        uint8_t key[8];
        MDB_val k = {sizeof(key), key}, v = {l->record_len, l->record};

        for (int b = 0; b < 8; b++)
            key[b] = (uint8_t)(l->seq >> (56 - 8 * b));
        memcpy(l->record, &l->seq, sizeof(l->seq));
        l->seq++;
        crypto_sign_detached(l->record + body, NULL, l->record, body, l->sk);
        must(mdb_put(txn, l->dbi, &k, &v, MDB_APPEND));
    }
    must(mdb_txn_commit(txn));
}

static void
run_limit(const char *state_dir, size_t record_len, unsigned producers, double seconds)
{
    struct limit l = {.record_len = record_len};
    int64_t start, before, now;
    char folder[4096], file[4200];
    double cpu;

    snprintf(folder, sizeof(folder), "%s/bench-limit", state_dir);
    limit_open(&l, folder);
    bench.samples = 0;
    cpu = cpu_s();
    start = before = now = now_ns();
    while (now < start + (int64_t)(seconds * 1e9)) {
        limit_batch(&l, producers);
        now = now_ns();
        sample(now - before);
        before = now;
    }
    print_result("limit", producers, 1, (double)(now - start) / 1e9, (double)l.seq, cpu_s() - cpu);
    mdb_env_close(l.env);
    snprintf(file, sizeof(file), "%s/data.mdb", folder);
    unlink(file);
    snprintf(file, sizeof(file), "%s/lock.mdb", folder);
    unlink(file);
    rmdir(folder);
}

/* ---- main ---- */

static void
start(const char *state_dir)
{
    struct durable_listener listener = {.durable = durable_now};
    struct complaint why = {""};
    struct ledger_thread_options options;
    int64_t before = now_ns();

    if (boot_open(state_dir, 0, &bench.boot, &why) != OK || boot_load(&bench.boot, &why) != OK ||
        boot_start(&bench.boot, &listener, 1, &why) != OK)
        die(why.text);
    options = (struct ledger_thread_options){.ledger = bench.boot.ledger,
        .clock = bench.boot.clock,
        .heartbeat_s = bench.boot.world->policy.heartbeat_s};
    bench.durable = journal_durable(bench.boot.journal);
    printf("replay    events %llu seconds %.3f\n", (unsigned long long)bench.durable,
        (double)(now_ns() - before) / 1e9);
    if ((bench.ledger = ledger_thread_start(&options)) == NULL)
        die("no thread for the ledger");
    ledger_thread_set_durable(bench.ledger, bench.durable);
}

/* Bytes of the last record: what the producers' command leaves in the log. */
static size_t
record_bytes(void)
{
    static uint8_t record[RECORD_BYTES_MAX];
    size_t len;

    if (loglmdb_record(
            bench.boot.log, loglmdb_size(bench.boot.log) - 1, record, sizeof(record), &len) != OK ||
        len > sizeof(((struct limit *)0)->record))
        die("the last record cannot be read");
    return len;
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {{"state-dir", required_argument, NULL, 'd'},
        {"seconds", required_argument, NULL, 's'}, {"producers", required_argument, NULL, 'p'},
        {"threads", required_argument, NULL, 't'}, {"limit", no_argument, NULL, 'l'},
        {NULL, 0, NULL, 0}};
    const char *state_dir = NULL, *list = "8,64,256";
    unsigned threads = 0;
    bool limit = false;
    double seconds = 3;
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'd': state_dir = optarg; break;
        case 's': seconds = strtod(optarg, NULL); break;
        case 'p': list = optarg; break;
        case 't': threads = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'l': limit = true; break;
        default: return 2;
        }
    }
    if (state_dir == NULL || threads > PRODUCERS_MAX || sodium_init() < 0)
        die("--state-dir DIR, and at most 1024 threads");
    if ((bench.sample_ns = malloc(SAMPLES_MAX * sizeof(*bench.sample_ns))) == NULL)
        die("out of memory");
    start(state_dir);
    run_producers(1, 1, 0.2); /* warm, and leaves a record to be measured */
    printf("record    bytes %zu\n", record_bytes());
    for (char *end; *list != '\0'; list = *end == ',' ? end + 1 : end) {
        unsigned producers = (unsigned)strtoul(list, &end, 10);

        if (producers == 0 || producers > PRODUCERS_MAX)
            die("--producers: numbers up to 1024, with commas");
        if (limit)
            run_limit(state_dir, record_bytes(), producers, seconds);
        else
            run_producers(
                producers, threads == 0 || threads > producers ? producers : threads, seconds);
    }
    (void)ledger_thread_stop(bench.ledger);
    boot_close(&bench.boot);
    ledger_thread_free(bench.ledger);
    free(bench.sample_ns);
    return 0;
}
