/* keyjwt.h: gatehouse key: `key jwt` makes or replaces the secret of access tokens; every other
 * verb of the group goes to verbs.c. */
#ifndef TOOLS_GATEHOUSE_KEYJWT_H
#define TOOLS_GATEHOUSE_KEYJWT_H

int key_main(int argc, char **argv);

#endif
