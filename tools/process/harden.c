/* harden.c: the attributes of a process that hold secrets back from dumps and tracers. */
#include <sys/prctl.h>
#include <sys/resource.h>

#include "tools/process/process.h"

void
process_harden(void)
{
    const struct rlimit none = {0, 0};

    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}
