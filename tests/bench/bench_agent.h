/* bench_agent.h: an agent reduced to what the server asks of one (docs/agents.md): its hello with
 * an own device key, and dialling back for channels. Blocking; one thread. */
#ifndef TESTS_BENCH_BENCH_AGENT_H
#define TESTS_BENCH_BENCH_AGENT_H

#include "core/control.h"
#include "core/statement.h"
#include "tests/bench/wire.h"

struct bench_agent {
    struct wire wire;
    struct id machine;
    char origin[ORIGIN_BYTES_MAX + 1];
    uint8_t public_key[32], secret_key[64];
};

/* Enrols with an API key (gh_...) and a fresh device key; returns when it is welcome. Both halves
 * apart: many hellos may wait for one sync. */
void bench_agent_greet(struct bench_agent *a, const struct wire_address *to, const char *key,
    const char *name, const char *service);
void bench_agent_welcome(struct bench_agent *a);
/* Waits for the next channel that is asked for, and dials back. */
void bench_agent_dial(struct bench_agent *a, const struct wire_address *to, struct wire *out);

#endif
