/* verbs.h: commands that are one call and a table: code, machine, session, user, invite, token,
 * key, clock, status. */
#ifndef TOOLS_GATEHOUSE_VERBS_H
#define TOOLS_GATEHOUSE_VERBS_H

/* argv[0] is the group: "code". */
int verbs_main(int argc, char **argv);
/* For --help of the program and for completion: calls each(group, verb, usage, help). */
void verbs_each(
    void (*each)(const char *group, const char *verb, const char *usage, const char *help));

#endif
