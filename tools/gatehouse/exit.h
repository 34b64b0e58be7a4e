/* exit.h: exit codes, fixed so that scripts can rely on them. */
#ifndef TOOLS_GATEHOUSE_EXIT_H
#define TOOLS_GATEHOUSE_EXIT_H

enum exit_code {
    EXIT_DONE = 0,
    EXIT_REFUSED = 1, /* refused or failed */
    EXIT_USAGE = 2,
    EXIT_UNREACHABLE = 3, /* the server does not answer */
    EXIT_NOT_ALLOWED = 4,
    EXIT_UNVERIFIED = 5, /* it does not verify */
};

#endif
