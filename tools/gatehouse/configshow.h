/* configshow.h: gatehouse config show. */
#ifndef TOOLS_GATEHOUSE_CONFIGSHOW_H
#define TOOLS_GATEHOUSE_CONFIGSHOW_H

int config_main(int argc, char **argv);

#endif
