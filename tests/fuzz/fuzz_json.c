/* fuzz_json.c: request bodies; and what was read, written again, reads the same. */
#include "core/json_write.h"
#include "http/json_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct dest {
    struct span name, text;
    int64_t n;
    bool flag;
    struct json_texts tags;
};

static const struct json_field fields[] = {
    {"name", JSON_KIND_RULED, false, 0, 0, TEXT_MACHINE, offsetof(struct dest, name)},
    {"text", JSON_KIND_TEXT, false, 0, 4096, 0, offsetof(struct dest, text)},
    {"n", JSON_KIND_INT, false, -1000, 1000, 0, offsetof(struct dest, n)},
    {"flag", JSON_KIND_BOOL, false, 0, 0, 0, offsetof(struct dest, flag)},
    {"tags", JSON_KIND_RULED_LIST, false, 0, 8, TEXT_LABEL, offsetof(struct dest, tags)},
};

static void
round_trip(const struct dest *dest)
{
    struct json_read_error error;
    struct json_body *body;
    struct json_write w;
    struct dest again;
    uint32_t present;

    json_write_init(&w, NULL, NULL);
    json_write_object(&w, NULL);
    json_write_text(&w, "text", dest->text);
    json_write_int(&w, "n", dest->n);
    json_write_end(&w);
    INVARIANT(json_write_done(&w) == OK);
    /* U+0000 cannot come in, so it cannot be here */
    INVARIANT(json_body_parse(span_of(w.buf, w.len), &body, &error) == OK);
    INVARIANT(json_body_read(body, fields, 5, &again, &present, &error) == OK);
    INVARIANT(span_equal(again.text, dest->text) && again.n == dest->n);
    json_body_free(body);
    json_write_fini(&w);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_read_error error;
    struct json_body *body;
    struct dest dest = {.text = span_of("", 0)};
    uint32_t present;

    if (json_body_parse(span_of(data, size), &body, &error) != OK)
        return 0;
    if (json_body_read(body, fields, 5, &dest, &present, &error) == OK)
        round_trip(&dest);
    json_body_free(body);
    return 0;
}
