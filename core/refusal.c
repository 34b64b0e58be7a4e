/* refusal.c: the table of refusals. Pure; any thread. */
#include "core/refusal.h"

#include "core/err.h"

const struct refusal_row *
refusal_row(enum refusal refusal)
{
    static const struct refusal_row rows[] = {
#define X(name, code, status, title) [REFUSE_##name] = {code, status, title},
        REFUSALS(X)
#undef X
    };

    INVARIANT(refusal < REFUSAL_COUNT);
    return &rows[refusal];
}
