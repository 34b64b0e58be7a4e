/* fuzz_query.c: parameters, cursors and times, as strangers send them. What was taken is in bounds
 * and text; a cursor that nobody made is never taken. */
#include "core/event_json.h"
#include "core/text.h"
#include "http/cursor.h"
#include "http/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const allowed[] = {"a", "filter", "after", "limit", NULL};
    static const uint8_t key[32] = {7};
    uint8_t position[CURSOR_POSITION_BYTES];
    struct cursor_scope scope = {.path = "/x", .filters = span_of(data, size)};
    struct query_error error;
    struct query q;
    char text[4096];
    int64_t us;
    size_t len;

    if (query_parse(span_of(data, size), allowed, &q, &error) == OK) {
        for (uint32_t i = 0; i < q.count; i++)
            INVARIANT(text_utf8(q.items[i].value));
        if (query_scope(&q, text, sizeof(text), &len))
            INVARIANT(len <= sizeof(text));
        query_fini(&q);
    }
    INVARIANT(cursor_read(key, &scope, span_of(data, size), position) != OK);
    if (event_time_parse(span_of(data, size), &us) == OK) {
        char back[EVENT_TIME_TEXT];
        int64_t again;

        event_time_text(us, back);
        if (us >= -INT64_C(62135596800000000) && us <= INT64_C(253402300799999999))
            INVARIANT(event_time_parse(span_str(back), &again) == OK && again == us);
    }
    return 0;
}
