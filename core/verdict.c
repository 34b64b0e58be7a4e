/* verdict.c: end of a verdict. Whoever received it, on any thread. */
#include "core/verdict.h"

#include <sodium.h>
#include <stdlib.h>

void
verdict_free(struct verdict *v)
{
    if (v == NULL)
        return;
    sodium_memzero(v, sizeof(*v)); /* its reply may hold a code, a key or a ticket */
    free(v);
}
