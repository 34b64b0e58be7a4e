/* openapi.h: docs/openapi.yaml, inside the program. */
#ifndef HTTP_OPENAPI_H
#define HTTP_OPENAPI_H

#include <stdint.h>

extern const uint8_t openapi_yaml[], openapi_yaml_end[];

#endif
