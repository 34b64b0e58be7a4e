/* log.h: gatehouse-verify log FILE. */
#ifndef TOOLS_VERIFY_LOG_H
#define TOOLS_VERIFY_LOG_H

int log_main(int argc, char **argv); /* argv[0] is "log"; an exit code of tools/gatehouse/exit.h */

extern const char log_usage[];

#endif
