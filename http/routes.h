/* routes.h: every door into the server: one table, and what the engine calls. */
#ifndef HTTP_ROUTES_H
#define HTTP_ROUTES_H

#include "http/walk.h"

/* For http_server_options.app, before the server exists. Makes what the routes share (app->routes);
 * a process that cannot have that much memory does not start. */
struct http_app routes_app(struct app *app);
/* After the loops have ended, the ledger's thread too, and before http_server_free. */
void routes_free(struct app *app);

/* The table, for tests and documents. */
const struct route *routes_table(size_t *count);
/* The row for a request; NULL: none. allow gets the methods that the path knows, "" for none. A
 * HEAD is a GET. local: the request came by admin.sock. */
#define ROUTES_ALLOW_TEXT 64
const struct route *routes_find(enum http_method method, struct span path, bool local,
    struct span params[WALK_PARAMS_MAX], char allow[ROUTES_ALLOW_TEXT]);

#endif
