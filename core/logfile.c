/* logfile.c: reads a log from a file that anybody may have written, and verifies it as it comes.
 * Never believes a length: memory grows with what is really there. Pure but for the caller's read;
 * one thread (jobs may run on others). */
#include "core/logfile.h"

#include <stdarg.h>

#include "core/ascii.h"

#define GROW (256 * 1024)

struct key_event {
    uint64_t seq;
    struct hash leaf;
};

/* A frame's contents; if it is a bundle, the jobs of its records, which borrow them. */
struct frame {
    size_t len, cap, job_count;
    uint8_t *bytes;
    struct verify_job jobs[LOGFILE_BUNDLE];
};

struct reading {
    const struct logfile_verify *how;
    struct verify *verify;
    char origin[ORIGIN_BYTES_MAX + 1];
    uint64_t size, at; /* at: offset in the file, for messages */
    uint64_t next;     /* record */
    unsigned heads;
    size_t heads_bytes;
    bool head_of_size;
    struct key_event *keys;
    size_t key_count, key_next;
    struct frame frames[2];
    struct frame *now, *checking; /* checking: its jobs are with how->start; or NULL */
    struct event ev;
    char *why;
};

static enum err
bad(struct reading *r, enum err err, const char *format, ...)
{
    char what[100];
    va_list args;

    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    snprintf(r->why, LOGFILE_WHY_BYTES, "byte %llu: %s", (unsigned long long)r->at, what);
    return err;
}

/* Exactly n bytes; *got tells of an end that comes early. */
static enum err
take(struct reading *r, uint8_t *out, size_t n, size_t *got)
{
    enum err err = OK;
    size_t len = 1;

    for (*got = 0; *got < n && len > 0; *got += len) {
        if ((err = r->how->read(r->how->in, out + *got, n - *got, &len)) != OK)
            return bad(r, err, "cannot be read: %s", err_name(err));
        if (len > n - *got)
            return bad(r, ERR_LIMIT, "more was read than asked for");
        r->at += len;
    }
    return OK;
}

static enum err
take_all(struct reading *r, uint8_t *out, size_t n)
{
    size_t got;
    enum err err = take(r, out, n, &got);

    return err != OK || got == n ? err : bad(r, ERR_SHORT, "the file ends inside a frame");
}

/* A header line, without its LF. */
static enum err
take_line(struct reading *r, char *out, size_t cap)
{
    size_t len = 0;
    uint8_t c;
    enum err err;

    while ((err = take_all(r, &c, 1)) == OK && c != '\n') {
        if (c < 0x21 || c > 0x7e || len + 1 == cap)
            return bad(r, ERR_MALFORMED, "this is not the header of a log file");
        out[len++] = (char)c;
    }
    out[len] = '\0';
    return err;
}

static enum err
take_header(struct reading *r)
{
    char line[ORIGIN_BYTES_MAX + 1];
    enum err err;

    if ((err = take_line(r, line, sizeof(line))) != OK)
        return err;
    if (strcmp(line, LOGFILE_MAGIC) != 0)
        return bad(r, ERR_MALFORMED, "this is not a log file of this version");
    if ((err = take_line(r, r->origin, sizeof(r->origin))) != OK)
        return err;
    if (r->how->origin != NULL && strcmp(r->origin, r->how->origin) != 0)
        return bad(r, ERR_MALFORMED, "this is a log of another origin than the key's");
    if ((err = take_line(r, line, sizeof(line))) != OK)
        return err;
    if (ascii_number(span_str(line), TREE_SIZE_MAX - 1, &r->size) != OK)
        return bad(r, ERR_MALFORMED, "the size is not a number");
    return OK;
}

static enum err
take_frame(struct reading *r, char *tag)
{
    struct frame *f = r->now;
    uint8_t head[5];
    size_t left;
    enum err err = take_all(r, head, sizeof(head));

    if (err != OK)
        return err;
    *tag = (char)head[0];
    left = (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
    if (left > LOGFILE_FRAME_BYTES)
        return bad(r, ERR_LIMIT, "a frame of %zu bytes is too long", left);
    for (f->len = 0; left > 0;) {
        size_t step = left < GROW ? left : GROW;

        if (f->cap - f->len < step) {
            size_t cap =
                f->cap * 2 + step < LOGFILE_FRAME_BYTES ? f->cap * 2 + step : LOGFILE_FRAME_BYTES;
            uint8_t *more = realloc(f->bytes, cap);

            if (more == NULL)
                return bad(r, ERR_MEMORY, "out of memory");
            f->bytes = more;
            f->cap = cap;
        }
        if ((err = take_all(r, f->bytes + f->len, step)) != OK)
            return err;
        f->len += step;
        left -= step;
    }
    return OK;
}

static enum err
on_head(struct reading *r)
{
    struct span message = span_of(r->now->bytes, r->now->len);
    struct checkpoint cp;
    struct note note;
    enum err err;

    if (r->next > 0 || r->key_count > 0)
        return bad(r, ERR_MALFORMED, "a head out of place");
    r->heads_bytes += message.len;
    if (r->heads++ == LOGFILE_HEADS_MAX || r->heads_bytes > LOGFILE_HEADS_BYTES_MAX)
        return bad(r, ERR_LIMIT, "too many heads");
    if ((err = verify_expect(r->verify, message)) != OK)
        return bad(r, err, "a head that is none of this log (%s)", err_name(err));
    if (note_parse(message, &note) == OK && checkpoint_parse(note.text, &cp) == OK) {
        if (cp.size > r->size)
            return bad(r, ERR_MALFORMED, "a head of more events than the file says it has");
        r->head_of_size = r->head_of_size || cp.size == r->size;
    }
    return OK;
}

static enum err
on_key_event(struct reading *r)
{
    const struct frame *f = r->now;
    struct key_event key = {0};

    if (r->next > 0 || f->len < 8 || r->key_count == LOGFILE_KEYS_MAX)
        return bad(r, ERR_MALFORMED, "a key event out of place");
    for (unsigned i = 0; i < 8; i++)
        key.seq = key.seq << 8 | f->bytes[i];
    if (key.seq >= r->size || (r->key_count > 0 && key.seq <= r->keys[r->key_count - 1].seq))
        return bad(r, ERR_MALFORMED, "key events are not ascending");
    if ((r->key_count & (r->key_count - 1)) == 0) { /* 0, 1, 2, 4 ...: room for twice as many */
        size_t cap = r->key_count == 0 ? 1 : r->key_count * 2;
        struct key_event *keys = reallocarray(r->keys, cap, sizeof(*keys));

        if (keys == NULL)
            return bad(r, ERR_MEMORY, "out of memory");
        r->keys = keys;
    }
    event_leaf(span_of(f->bytes + 8, f->len - 8), &key.leaf);
    r->keys[r->key_count++] = key;
    return OK;
}

static bool
is_key_event(enum event_type type)
{
    return type == EV_LOG_OPENED || type == EV_KEY_ROTATED || type == EV_KEY_COMPROMISED;
}

/* The list of key events is what it says it is: each of them, and nothing else. */
static bool
key_event_listed(struct reading *r, const struct verify_job *job)
{
    bool listed = r->key_next < r->key_count && r->keys[r->key_next].seq == job->seq;

    if (listed != is_key_event(r->ev.type))
        return false;
    return !listed || hash_equal(&r->keys[r->key_next++].leaf, &job->leaf);
}

static enum err
on_record(struct reading *r, struct span record, struct verify_job *job)
{
    const char *wrong = NULL;
    enum err err = verify_record(r->verify, record, &r->ev, job);

    if (err != OK)
        return err;
    if (!key_event_listed(r, job))
        wrong = "it is not as the file's list of key events says";
    else if (r->how->each != NULL)
        wrong = r->how->each(r->how->ctx, &r->ev, record);
    if (wrong == NULL)
        return OK;
    verify_bad(r->verify, job->seq, "%s", wrong);
    return ERR_MISMATCH;
}

static size_t
run_here(const char *origin, const struct verify_job *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (verify_job_run(origin, &jobs[i]) != NULL)
            return i;
    }
    return SIZE_MAX;
}

/* Waits for the jobs that are under way, and takes in what they found. */
static void
settle(struct reading *r)
{
    struct frame *f = r->checking;
    size_t failed;

    if (f == NULL)
        return;
    failed = r->how->start != NULL ? r->how->wait(r->how->ctx)
                                   : run_here(r->origin, f->jobs, f->job_count);
    if (failed < f->job_count) {
        const char *what = verify_job_run(r->origin, &f->jobs[failed]);

        verify_bad(r->verify, f->jobs[failed].seq, "%s", what != NULL ? what : "a false signature");
    }
    for (size_t i = 0; i < f->job_count; i++)
        verify_count(r->verify, &f->jobs[i]);
    r->checking = NULL;
}

/* The bundle's signatures are checked while the next one is read into the other frame. */
static void
hand_out(struct reading *r)
{
    struct frame *f = r->now;

    settle(r);
    if (r->how->trust.fast || f->job_count == 0)
        return;
    if (r->how->start != NULL)
        r->how->start(r->how->ctx, f->jobs, f->job_count);
    r->checking = f;
    r->now = f == &r->frames[0] ? &r->frames[1] : &r->frames[0];
}

static enum err
on_bundle(struct reading *r)
{
    uint64_t left = r->size - r->next, count = 0;
    struct frame *f = r->now;
    const uint8_t *p = f->bytes, *end = f->bytes + f->len;
    enum err err = OK;

    if (left > LOGFILE_BUNDLE)
        left = LOGFILE_BUNDLE;
    for (f->job_count = 0; count < left && err == OK; count++) {
        size_t len;

        if (p == end) {
            verify_bad(r->verify, r->next + count, "it is missing: its bundle ends before it");
            err = ERR_MISMATCH;
            break;
        }
        if (end - p < 2 || (size_t)(end - p) - 2 < (len = (size_t)p[0] << 8 | p[1])) {
            err = bad(r, ERR_MALFORMED, "a bundle ends inside a record");
            break;
        }
        err = on_record(r, span_of(p + 2, len), &f->jobs[f->job_count]);
        f->job_count += err == OK;
        p += 2 + len;
    }
    if (err == OK && (p != end || left == 0))
        err = bad(r, ERR_MALFORMED, "a bundle holds more records than belong there");
    hand_out(r);
    r->next += count;
    if (r->how->progress != NULL)
        r->how->progress(r->how->ctx, r->next, r->size);
    return err;
}

static enum err
on_end(struct reading *r)
{
    uint8_t more;
    size_t got;
    enum err err;

    if (r->now->len > 0)
        return bad(r, ERR_MALFORMED, "the end has contents");
    if ((err = take(r, &more, 1, &got)) != OK)
        return err;
    if (got > 0)
        return bad(r, ERR_MALFORMED, "something follows the end");
    if (r->next < r->size) {
        verify_bad(r->verify, r->next, "it is missing: the file says it holds %llu events",
            (unsigned long long)r->size);
        return ERR_MISMATCH;
    }
    if (r->key_next < r->key_count)
        return bad(r, ERR_MALFORMED, "the list of key events names what is not there");
    if (!r->head_of_size && r->size > 0)
        return bad(r, ERR_MALFORMED, "no head speaks of all these events");
    return verify_done(r->verify);
}

static enum err
take_frames(struct reading *r)
{
    enum err err = OK;
    char tag = '\0';

    while (err == OK && tag != 'E') {
        if ((err = take_frame(r, &tag)) != OK)
            break;
        switch (tag) {
        case 'H': err = on_head(r); break;
        case 'K': err = on_key_event(r); break;
        case 'B': err = on_bundle(r); break;
        case 'E': err = on_end(r); break;
        default: err = bad(r, ERR_MALFORMED, "a frame of no known kind"); break;
        }
    }
    return err;
}

/* What is known of the events wins over what is wrong with the file behind them; but not over what
 * the machine lacks. */
static enum err
conclude(struct reading *r, enum err err, struct verify_result *out)
{
    settle(r);
    verify_result(r->verify, out);
    if (out->bad && (err == OK || err == ERR_MALFORMED || err == ERR_SHORT || err == ERR_LIMIT))
        return ERR_MISMATCH;
    return err;
}

static enum err
expect_old(struct reading *r)
{
    enum err err = OK;

    if (r->how->old.len > 0 && (err = verify_expect(r->verify, r->how->old)) != OK)
        return bad(r, err, "the older head given is none of this log (%s)", err_name(err));
    return err;
}

enum err
logfile_verify(
    const struct logfile_verify *how, struct verify_result *out, char why[LOGFILE_WHY_BYTES])
{
    struct reading *r = calloc(1, sizeof(*r));
    enum err err;

    memset(out, 0, sizeof(*out));
    why[0] = '\0';
    if (r == NULL)
        return ERR_MEMORY;
    r->how = how;
    r->why = why;
    r->now = &r->frames[0];
    if ((err = take_header(r)) == OK &&
        (err = verify_new(r->origin, &how->trust, &r->verify)) == OK) {
        if ((err = expect_old(r)) == OK)
            err = take_frames(r);
        err = conclude(r, err, out);
    }
    verify_free(r->verify);
    free(r->keys);
    free(r->frames[0].bytes);
    free(r->frames[1].bytes);
    free(r);
    return err;
}
