/* bridge.h: one channel of a session on the technician's side: a ticket, a WebSocket, and something
 * local to join it with (stdin and stdout, a terminal, an accepted connection). Driven by a
 * pollset; one thread. Neither side is read faster than the other takes. */
#ifndef TOOLS_GATEHOUSE_BRIDGE_H
#define TOOLS_GATEHOUSE_BRIDGE_H

#include "core/termfilter.h"
#include "http/wsclient.h"
#include "tools/gatehouse/api.h"

struct bridge_options {
    const char *session; /* ses_... */
    const char *service; /* "shell", "desktop", "tcp:NAME" */
    int rfd, wfd;        /* the bridge closes them, whatever becomes of it */
    int rflags, wflags;  /* file status flags to put back before that; -1: none */
    bool keys;           /* rfd is a terminal in raw mode: ~. ends the connection */
    bool filter;         /* wfd is a terminal */
    uint16_t cols, rows; /* shell: 0 when there is no terminal */
    struct span first;   /* bytes to send before anything from rfd (copied) */
};

enum bridge_phase {
    BRIDGE_TICKET,
    BRIDGE_DIALLING,
    BRIDGE_MOVING,
    BRIDGE_CLOSING,
    BRIDGE_ENDED,
};

#define BRIDGE_KEYS  4096
#define BRIDGE_SLICE (16 * 1024)

struct bridge {
    struct api *api;
    struct bridge_options options;
    enum bridge_phase phase;
    struct call *ticket;
    struct wsclient *ws;
    struct stream local;
    uint8_t *first;
    size_t first_at, first_len;
    struct termkeys keys;
    uint8_t pending_keys[BRIDGE_KEYS + 2]; /* read from the terminal, not yet sent */
    size_t keys_at, keys_len;
    struct termfilter filter;
    uint8_t *filtered; /* BRIDGE_SLICE + TERMFILTER_HELD, not yet written */
    size_t filtered_at, filtered_len;
    bool stuck; /* the local side does not take what is there */
    bool deaf;  /* ... and never will again */
    bool local_ended, local_told, remote_ended;
    bool disconnect;   /* ~. */
    int exit_status;   /* the shell's; -1: none came */
    bool clean;        /* the channel ended as it should */
    bool session_gone; /* the server says that there is no such session any more */
    char why[700];     /* when it did not */
};

enum err bridge_new(
    struct api *api, const struct bridge_options *options, struct bridge **out) MUST_USE;
void bridge_free(struct bridge *b);
void bridge_prepare(struct bridge *b, struct pollset *ps);
/* False: it has ended; clean, exit_status and why tell how. */
bool bridge_step(struct bridge *b, const struct pollset *ps);
/* The terminal has another size. */
void bridge_resize(struct bridge *b, uint16_t cols, uint16_t rows);
/* Ends it in a moment (bridge_step says when). */
void bridge_close(struct bridge *b);

#endif
