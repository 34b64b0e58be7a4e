/* logfile_write.c: a log into a file. Any thread; one per writer. */
#include "core/ascii.h"
#include "core/logfile.h"

struct logfile_writer {
    struct logfile_out out;
    uint64_t size, seq;
    size_t len, cap; /* of the bundle */
    uint8_t *bundle;
};

static enum err
frame(struct logfile_writer *w, char tag, struct span first, struct span second)
{
    size_t len = first.len + second.len;
    uint8_t head[5] = {(uint8_t)tag, (uint8_t)(len >> 24), (uint8_t)(len >> 16),
        (uint8_t)(len >> 8), (uint8_t)len};
    enum err err;

    INVARIANT(len <= LOGFILE_FRAME_BYTES);
    if ((err = w->out.write(w->out.ctx, span_of(head, sizeof(head)))) != OK)
        return err;
    if (first.len > 0 && (err = w->out.write(w->out.ctx, first)) != OK)
        return err;
    return second.len > 0 ? w->out.write(w->out.ctx, second) : OK;
}

enum err
logfile_writer_new(const struct logfile_out *out, const char *origin, uint64_t size,
    struct logfile_writer **writer)
{
    struct logfile_writer *w = calloc(1, sizeof(*w));
    char text[ORIGIN_BYTES_MAX + 64];
    struct ascii a;
    size_t len;
    enum err err;

    if (w == NULL)
        return ERR_MEMORY;
    w->out = *out;
    w->size = size;
    ascii_init(&a, text, sizeof(text));
    ascii_str(&a, LOGFILE_MAGIC "\n");
    ascii_str(&a, origin);
    ascii_str(&a, "\n");
    ascii_u64(&a, size);
    ascii_str(&a, "\n");
    if ((err = ascii_end(&a, &len)) == OK)
        err = w->out.write(w->out.ctx, span_of(text, len));
    if (err == OK)
        *writer = w;
    else
        logfile_writer_free(w);
    return err;
}

enum err
logfile_head(struct logfile_writer *w, struct span signed_note)
{
    return frame(w, 'H', signed_note, span_of("", 0));
}

enum err
logfile_key_event(struct logfile_writer *w, uint64_t seq, struct span record)
{
    uint8_t number[8];

    for (unsigned i = 0; i < 8; i++)
        number[i] = (uint8_t)(seq >> (56 - 8 * i));
    return frame(w, 'K', span_of(number, sizeof(number)), record);
}

static enum err
flush(struct logfile_writer *w)
{
    enum err err = OK;

    if (w->len > 0)
        err = frame(w, 'B', span_of(w->bundle, w->len), span_of("", 0));
    w->len = 0;
    return err;
}

enum err
logfile_record(struct logfile_writer *w, struct span record)
{
    INVARIANT(w->seq < w->size && record.len <= RECORD_BYTES_MAX);
    if (w->cap - w->len < 2 + record.len) {
        size_t cap = w->cap * 2 + 2 + record.len;
        uint8_t *bundle = realloc(w->bundle, cap);

        if (bundle == NULL)
            return ERR_MEMORY;
        w->bundle = bundle;
        w->cap = cap;
    }
    w->bundle[w->len++] = (uint8_t)(record.len >> 8);
    w->bundle[w->len++] = (uint8_t)record.len;
    memcpy(w->bundle + w->len, record.ptr, record.len);
    w->len += record.len;
    return ++w->seq % LOGFILE_BUNDLE == 0 ? flush(w) : OK;
}

enum err
logfile_end(struct logfile_writer *w)
{
    enum err err = flush(w);

    INVARIANT(w->seq == w->size);
    return err != OK ? err : frame(w, 'E', span_of("", 0), span_of("", 0));
}

void
logfile_writer_free(struct logfile_writer *w)
{
    if (w == NULL)
        return;
    free(w->bundle);
    free(w);
}
