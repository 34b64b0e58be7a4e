/* openapi.c: the description of the API is a document for people first; the program carries the
 * very file (GATEHOUSE_OPENAPI: its path, given by the build). Read-only data; any thread. */
#include "http/openapi.h"

__asm__(".pushsection .rodata\n"
        ".global openapi_yaml, openapi_yaml_end\n"
        "openapi_yaml: .incbin \"" GATEHOUSE_OPENAPI "\"\n"
        "openapi_yaml_end: .byte 0\n"
        ".popsection\n");
