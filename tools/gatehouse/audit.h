/* audit.h: gatehouse audit events | tail | timeline | verify | export. */
#ifndef TOOLS_GATEHOUSE_AUDIT_H
#define TOOLS_GATEHOUSE_AUDIT_H

int audit_main(int argc, char **argv);
int audit_verify_main(int argc, char **argv); /* in a process of its own; reads log/ directly */
int audit_export_main(int argc, char **argv); /* the same */

#endif
