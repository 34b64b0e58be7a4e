/* complaint.c: words for what is wrong with a state folder. Never prints. Any thread. */
#include "store/complaint.h"

#include <stdarg.h>
#include <stdio.h>

void
complain(struct complaint *c, const char *format, ...)
{
    va_list args;

    if (c == NULL)
        return;
    va_start(args, format);
    vsnprintf(c->text, sizeof(c->text), format, args);
    va_end(args);
}
