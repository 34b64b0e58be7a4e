/* register.h: gatehouse register. */
#ifndef TOOLS_GATEHOUSE_REGISTER_H
#define TOOLS_GATEHOUSE_REGISTER_H

int register_main(int argc, char **argv);

#endif
