/* say.c: the agent's voice. One thread. Never prints foreign bytes raw, never prints a secret. */
#include "tools/agent/say.h"

#include "core/text.h"

#include <stdarg.h>
#include <stdio.h>

void
say(const char *format, ...)
{
    char line[2048];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (n < 0)
        return;
    fprintf(stderr, "gatehouse-agent: %s\n", line);
    fflush(stderr);
}

const char *
say_foreign(struct span text)
{
    static char buffers[4][501];
    static unsigned next;
    char *out = buffers[next++ % 4];

    text_escape(text, out, sizeof(buffers[0]));
    return out;
}
