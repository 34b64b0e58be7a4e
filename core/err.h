/* err.h: the three kinds of "no" (see CONTRIBUTING.md).
 * The world says no: `enum refusal` in a verdict (core/refusal.h). The machine says no: `enum err`,
 * whose result must be used. We were wrong: INVARIANT, in every build. */
#ifndef CORE_ERR_H
#define CORE_ERR_H

#include <stdio.h>
#include <stdlib.h>

enum err {
    OK = 0,
    ERR_SHORT,     /* input ends before what it announced */
    ERR_MALFORMED, /* input breaks the format's rules */
    ERR_LIMIT,     /* a named limit of core/limits.h would be passed */
    ERR_NOT_FOUND, /* no such entry; often an expected answer */
    ERR_EXISTS,    /* there already, or busy: somebody else holds it */
    ERR_MISMATCH,  /* signature, hash, MAC or version does not match */
    ERR_MEMORY,    /* no memory */
    ERR_IO,        /* the operating system refused; errno tells */
    ERR_FULL,      /* a bounded queue or table is full */
    ERR_CLOSED,    /* the other side is gone */
    ERR_TIMEOUT,   /* a deadline passed */
    ERR_DENIED,    /* owner, mode or right of a file is wrong */
};

#define MUST_USE __attribute__((warn_unused_result))

/* A name for log lines and messages, e.g. "malformed"; static storage. */
const char *err_name(enum err err);

#define INVARIANT(cond)                                                                            \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "invariant broken at %s:%d: %s\n", __FILE__, __LINE__, #cond);         \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
