/* catalogue.c: the tables of events and fields, by number and by name. Pure; any thread. */
#include "core/catalogue.h"

#include <string.h>

static const struct event_row event_rows[] = {
#define X(num, name, dotted, v, ocsf, act, ecs, outcome)                                           \
    {EV_##name, dotted, v, ocsf, act, ecs, outcome},
    EVENTS(X)
#undef X
};

static const struct field_row field_rows[] = {
#define X(num, name, json, kind, personal) {FIELD_##name, json, kind, personal},
    FIELDS(X)
#undef X
};

#define EVENT_ROWS (sizeof(event_rows) / sizeof(event_rows[0]))
#define FIELD_ROWS (sizeof(field_rows) / sizeof(field_rows[0]))

const struct event_row *
catalogue_event(enum event_type type)
{
    for (size_t i = 0; i < EVENT_ROWS; i++)
        if (event_rows[i].type == type)
            return &event_rows[i];
    return NULL;
}

const struct event_row *
catalogue_event_named(const char *dotted, unsigned long len)
{
    for (size_t i = 0; i < EVENT_ROWS; i++)
        if (strlen(event_rows[i].name) == len && memcmp(event_rows[i].name, dotted, len) == 0)
            return &event_rows[i];
    return NULL;
}

enum {
#define X(num, name, json, kind, personal) ROW_##name,
    FIELDS(X)
#undef X
};

/* Asked for every field of every event, so by index: field numbers are small. */
const struct field_row *
catalogue_field(enum field field)
{
    static const unsigned char row_plus_one[256] = {
#define X(num, name, json, kind, personal) [num] = ROW_##name + 1,
        FIELDS(X)
#undef X
    };

    if ((unsigned)field >= sizeof(row_plus_one) || row_plus_one[field] == 0)
        return NULL;
    return &field_rows[row_plus_one[field] - 1];
}

const struct event_row *
catalogue_events(unsigned *count)
{
    *count = EVENT_ROWS;
    return event_rows;
}

const struct field_row *
catalogue_fields(unsigned *count)
{
    *count = FIELD_ROWS;
    return field_rows;
}
