/* complaint.h: why something about the state folder cannot go on, in one sentence for people that
 * ends with the remedy. The enum err beside it is for programs. */
#ifndef STORE_COMPLAINT_H
#define STORE_COMPLAINT_H

#define COMPLAINT_BYTES 640

struct complaint {
    char text[COMPLAINT_BYTES]; /* NUL-terminated, one line */
};

/* Cuts what does not fit. NULL is taken: nobody wants to know. */
void complain(struct complaint *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
