/* doctor.h: gatehouse doctor. */
#ifndef TOOLS_GATEHOUSE_DOCTOR_H
#define TOOLS_GATEHOUSE_DOCTOR_H

int doctor_main(int argc, char **argv);

#endif
