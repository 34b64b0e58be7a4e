/* fuzz_event_json.c: any body that decodes is shown as valid JSON, whatever its fields hold. */
#include "core/event_json.h"
#include "http/json_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Valid, but not taken by our strict reader: integers above INT64_MAX, and NUL in a string. */
static bool
beyond_our_reader(const struct json_write *w)
{
    size_t run = 0;

    if (memmem(w->buf, w->len, "\\u0000", 6) != NULL)
        return true;

    for (size_t i = 0; i < w->len && run < 19; i++)
        run = w->buf[i] >= '0' && w->buf[i] <= '9' ? run + 1 : 0;
    return run >= 19;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_read_error error;
    struct json_body *body;
    struct json_write w;
    struct event ev;

    /* Records of the corpus come with their signature. */
    if (event_decode(span_of(data, size), &ev) != OK &&
        (size < EVENT_SIG_BYTES || event_decode(span_of(data, size - EVENT_SIG_BYTES), &ev) != OK))
        return 0;
    json_write_init(&w, NULL, NULL);
    event_json(&w, NULL, &ev, NULL, 0);
    INVARIANT(json_write_done(&w) == OK);
    for (size_t i = 0; i < w.len; i++)
        INVARIANT(w.buf[i] >= 0x20);
    if (!beyond_our_reader(&w)) {
        INVARIANT(json_body_parse(span_of(w.buf, w.len), &body, &error) == OK);
        json_body_free(body);
    }
    json_write_fini(&w);
    return 0;
}
