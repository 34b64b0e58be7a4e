/* device.h: what this device shows to a server that it was let in by before, so that strangers who
 * fail in the user's name cannot keep him out: $XDG_STATE_HOME/gatehouse/device.<hash>, 0600, one
 * line, one file for each server and user. It opens nothing without the password, and stays when
 * one logs out. Without such a file a login is a stranger's, and works all the same. */
#ifndef TOOLS_GATEHOUSE_DEVICE_H
#define TOOLS_GATEHOUSE_DEVICE_H

#include "core/limits.h"

#include <stdbool.h>

/* False: there is none that can be used. */
bool device_load(const char *server, const char *user, char out[DEVICE_TEXT_MAX]);
bool device_save(const char *server, const char *user, const char *text);

#endif
