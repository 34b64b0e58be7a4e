/* relay_internal.h: the relay's step in the loop turn. For loop.c only. */
#ifndef HTTP_RELAY_INTERNAL_H
#define HTTP_RELAY_INTERNAL_H

struct loop;

/* Tells the owners of relays that ended. */
void relays_turn(struct loop *loop);

#endif
