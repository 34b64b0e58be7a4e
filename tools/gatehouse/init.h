/* init.h: gatehouse init: a state folder, keys, the first admin. */
#ifndef TOOLS_GATEHOUSE_INIT_H
#define TOOLS_GATEHOUSE_INIT_H

int init_main(int argc, char **argv);

#endif
