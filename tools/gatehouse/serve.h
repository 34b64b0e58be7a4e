/* serve.h: gatehouse serve. */
#ifndef TOOLS_GATEHOUSE_SERVE_H
#define TOOLS_GATEHOUSE_SERVE_H

int serve_main(int argc, char **argv);

#endif
