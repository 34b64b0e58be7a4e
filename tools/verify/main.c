/* main.c: gatehouse-verify: what an auditor is handed. Reads evidence from files and judges it by a
 * key that came some other way. Never opens a socket or a state folder, never writes a file; of
 * what it reads it prints nothing that is not signed. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "tools/gatehouse/exit.h"
#include "tools/verify/log.h"

static void
help(FILE *out)
{
    fputs("usage: gatehouse-verify log FILE --key VKEY [OPTIONS]\n\n", out);
    fputs(log_usage, out);
}

int
main(int argc, char **argv)
{
    if (sodium_init() < 0) {
        fputs("gatehouse-verify: no randomness from the kernel\n", stderr);
        return EXIT_REFUSED;
    }
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
        help(stdout);
        return EXIT_DONE;
    }
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        puts("gatehouse-verify " GATEHOUSE_VERSION);
        return EXIT_DONE;
    }
    if (argc > 1 && strcmp(argv[1], "log") == 0)
        return log_main(argc - 1, argv + 1);
    if (argc > 1)
        fputs("gatehouse-verify: there is no such command\n", stderr);
    help(stderr);
    return EXIT_USAGE;
}
