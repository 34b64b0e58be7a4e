/* command.c: life of a command. Any thread; one owner at a time. */
#include "core/command.h"

#include <sodium.h>

struct command *
command_new(enum command_kind kind, size_t arena_cap)
{
    struct command *cmd = calloc(1, sizeof(*cmd) + arena_cap);

    if (cmd == NULL)
        return NULL;
    cmd->kind = kind;
    cmd->arena_cap = arena_cap;
    return cmd;
}

void
command_free(struct command *cmd)
{
    if (cmd == NULL)
        return;
    sodium_memzero(cmd, sizeof(*cmd) + cmd->arena_cap);
    free(cmd);
}

unsigned
caller_ip_version(const struct caller *caller)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

    if (!caller->has_address)
        return 0;
    return memcmp(caller->address, mapped, sizeof(mapped)) == 0 ? 4 : 6;
}

struct span
command_copy(struct command *cmd, struct span bytes)
{
    uint8_t *at = cmd->arena + cmd->arena_len;

    INVARIANT(bytes.len <= cmd->arena_cap - cmd->arena_len);
    if (bytes.len > 0)
        memcpy(at, bytes.ptr, bytes.len);
    cmd->arena_len += bytes.len;
    return span_of(at, bytes.len);
}
