/* main.c: gatehouse COMMAND. One table; each command reads its own arguments. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "http/sha.h"
#include "tools/gatehouse/audit.h"
#include "tools/gatehouse/configshow.h"
#include "tools/gatehouse/connect.h"
#include "tools/gatehouse/doctor.h"
#include "tools/gatehouse/exit.h"
#include "tools/gatehouse/init.h"
#include "tools/gatehouse/keyjwt.h"
#include "tools/gatehouse/login.h"
#include "tools/gatehouse/register.h"
#include "tools/gatehouse/serve.h"
#include "tools/gatehouse/verbs.h"

struct command_row {
    const char *name;
    int (*run)(int argc, char **argv); /* argv[0] is the command's name */
    const char *summary;
};

static const struct command_row rows[] = {
    {"init", init_main, "make a state folder: keys, log, first admin"},
    {"serve", serve_main, "run the server"},
    {"login", login_main, "log in to a server and keep the tokens"},
    {"logout", logout_main, "end the login"},
    {"register", register_main, "make an account of an invitation"},
    {"me", verbs_main, "who this login is"},
    {"password", verbs_main, "change the own password"},
    {"connect", connect_main, "open a shell, desktop or port on a machine"},
    {"code", verbs_main, "support codes: new, list, check, revoke"},
    {"machine", verbs_main, "machines: list, show, add, rename, tag, note, keys, allow lists"},
    {"session", verbs_main, "sessions: list, show, transfer, accept, end, note"},
    {"user", verbs_main, "accounts: list, show, add, role, disable, enable, password"},
    {"invite", verbs_main, "invitations to register: new, list, revoke"},
    {"token", verbs_main, "logins in force: list, revoke"},
    {"audit", audit_main, "the log: events, tail, timeline, alerts, verify, export"},
    {"key", key_main, "signing keys: rotate; jwt: the secret of access tokens"},
    {"policy", verbs_main, "the numbers that decide: show, set"},
    {"reprove", verbs_main, "prove once more that it is you, after a change of network"},
    {"clock", verbs_main, "accept the wall clock after it was stepped"},
    {"status", verbs_main, "what the server on this machine is doing"},
    {"doctor", doctor_main, "what is wrong with a state folder or its server, and what to do"},
    {"config", config_main, "show: what serve would go by, and where each value is from"},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void
help(FILE *out)
{
    fputs("usage: gatehouse COMMAND [OPTIONS]     (gatehouse COMMAND --help)\n\n", out);
    for (size_t i = 0; i < ROWS; i++)
        fprintf(out, "  %-12s %s\n", rows[i].name, rows[i].summary);
    fputs("\nExit codes: 0 done, 1 refused or failed, 2 usage, 3 server unreachable,\n"
          "            4 not allowed, 5 does not verify.\n",
        out);
}

int
main(int argc, char **argv)
{
    if (sodium_init() < 0) {
        fputs("gatehouse: no randomness from the kernel\n", stderr);
        return EXIT_REFUSED;
    }
    if (sha_init() == OK)
        hash_use(sha_hash);
    if (argc < 2) {
        help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        help(stdout);
        return EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("gatehouse " GATEHOUSE_VERSION);
        return EXIT_DONE;
    }
    for (size_t i = 0; i < ROWS; i++)
        if (strcmp(argv[1], rows[i].name) == 0)
            return rows[i].run(argc - 1, argv + 1);
    fprintf(stderr, "gatehouse: there is no command '%s'; see gatehouse --help\n", argv[1]);
    return EXIT_USAGE;
}
