/* logexport.c: head first, then key events, then all records up to that head, slice by slice.
 * Any thread. */
#include "store/logexport.h"

struct export
{
    const struct logexport *how;
    struct logfile_writer *w;
    uint64_t size;
    enum err err;
    uint8_t record[RECORD_BYTES_MAX];
};

static bool
put_key_event(void *arg, uint64_t seq)
{
    struct export *x = arg;
    size_t len;

    if (seq >= x->size)
        return false;
    x->err = loglmdb_record(x->how->log, seq, x->record, sizeof(x->record), &len);
    if (x->err == OK)
        x->err = logfile_key_event(x->w, seq, span_of(x->record, len));
    return x->err == OK;
}

static bool
put_record(void *arg, uint64_t seq, struct span record)
{
    struct export *x = arg;

    x->err = logfile_record(x->w, record);
    if (x->how->progress != NULL && (seq + 1) % LOGFILE_BUNDLE == 0)
        x->how->progress(x->how->ctx, seq + 1, x->size);
    return x->err == OK;
}

static enum err
put_records(struct export *x)
{
    struct log_port port;
    uint64_t next = 0;
    enum err err = OK;

    loglmdb_port(x->how->log, &port);
    while (err == OK && x->err == OK && next < x->size) {
        uint64_t left = x->size - next;

        err = port.read(
            port.ctx, next, left < UINT32_MAX ? (uint32_t)left : UINT32_MAX, put_record, x, &next);
    }
    return err != OK ? err : x->err;
}

enum err
logexport(const struct logexport *how, uint64_t *size)
{
    struct export *x = calloc(1, sizeof(*x));
    struct loglmdb_head head;
    enum err err;

    *size = 0;
    if (x == NULL)
        return ERR_MEMORY;
    x->how = how;
    if ((err = loglmdb_head(how->log, &head)) != OK)
        goto out;
    x->size = head.frontier.size;
    if ((err = logfile_writer_new(&how->out, how->origin, x->size, &x->w)) != OK ||
        (err = logfile_head(x->w, span_of(head.checkpoint, head.len))) != OK)
        goto out;
    if ((err = loglmdb_key_events(how->log, put_key_event, x)) != OK || (err = x->err) != OK)
        goto out;
    if ((err = put_records(x)) == OK)
        err = logfile_end(x->w);
    if (err == OK)
        *size = x->size;
out:
    logfile_writer_free(x->w);
    free(x);
    return err;
}
