/* records.c: channels that were, kept until the server asks for their close statement. Bounded: the
 * oldest gives way, and its close simply stays unsigned. One thread. */
#include "tools/agent/agent.h"

struct agent_record *
record_find(struct agent *a, const struct id *channel)
{
    for (size_t i = 0; i < AGENT_RECORDS_MAX; i++)
        if (a->records[i].used && id_equal(&a->records[i].channel, channel))
            return &a->records[i];
    return NULL;
}

struct agent_record *
record_make(struct agent *a, const struct id *channel)
{
    struct agent_record *oldest = &a->records[0];

    for (size_t i = 0; i < AGENT_RECORDS_MAX && oldest->used; i++)
        if (!a->records[i].used || a->records[i].number < oldest->number)
            oldest = &a->records[i];
    *oldest = (struct agent_record){.used = true, .number = ++a->counter, .channel = *channel};
    return oldest;
}
