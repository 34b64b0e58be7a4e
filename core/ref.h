/* ref.h: a name for something that may be gone when an answer comes back. Carried across a wait in
 * place of a pointer; whoever gave it out resolves it and accepts that it names nothing any more.
 * Generation 0 is never given out, so a zeroed ref names nothing. */
#ifndef CORE_REF_H
#define CORE_REF_H

#include <stdbool.h>
#include <stdint.h>

struct ref {
    uint32_t slot;
    uint32_t generation;
};

static inline bool
ref_none(struct ref ref)
{
    return ref.generation == 0;
}

static inline bool
ref_equal(struct ref a, struct ref b)
{
    return a.slot == b.slot && a.generation == b.generation;
}

#endif
