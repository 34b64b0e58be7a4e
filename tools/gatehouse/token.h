/* token.h: the login that `gatehouse login` left behind: $XDG_STATE_HOME/gatehouse/token.json (else
 * ~/.local/state/...), 0600, one object of texts and numbers:
 *   server, ca ("" for the system's trust), user, access_token, refresh_token,
 *   kernel_boot, refreshed_s (CLOCK_BOOTTIME): when the access token was handed out
 * Several commands may use it at once: whoever refreshes does so under a lock beside it, and the
 * others then find the new tokens in the file. A token goes to its own server only. */
#ifndef TOOLS_GATEHOUSE_TOKEN_H
#define TOOLS_GATEHOUSE_TOKEN_H

#include "core/limits.h"
#include "http/client.h"

#define TOKEN_REFRESH_S   600 /* of the 900 s that an access token lives */
#define TOKEN_REFRESH_MAX 512
#define TOKEN_PATH_MAX    4096

/* In memory by token_new only (sodium_malloc). */
struct token {
    char server[URL_TEXT_MAX]; /* as url_format writes it */
    char ca[TOKEN_PATH_MAX];   /* absolute path; "": none */
    char user[ACCOUNT_BYTES_MAX + 1];
    char access[JWT_BYTES_MAX + 1];
    char refresh[TOKEN_REFRESH_MAX + 1];
    char kernel_boot[40];
    int64_t refreshed_s;
};

/* NULL: no memory. */
struct token *token_new(void);
void token_free(struct token *token);

/* `why` is a line for people. ERR_NOT_FOUND: nobody is logged in; ERR_DENIED: others can read it.
 */
enum err token_load(struct token *token, char *why, size_t why_len) MUST_USE;
/* Notes the time by itself; replaces the file whole, under the lock. */
enum err token_save(struct token *token, char *why, size_t why_len) MUST_USE;
/* Logout: the file goes. OK also when there is none. */
enum err token_remove(char *why, size_t why_len) MUST_USE;

/* The folder that the file is in, made where there is none; -1: it cannot be used. */
int token_folder_open(void);

/* Should it be refreshed by now (also: after a reboot)? */
bool token_due(const struct token *token);

/* A refresh as a state machine, so that channels move on meanwhile. */
struct token_refresh;

enum token_refresh_state {
    TOKEN_REFRESHING,
    TOKEN_FRESH, /* *token holds usable tokens, the file too */
    TOKEN_STALE, /* refused (the login has ended) or failed; why */
};

/* `rejected`: the access token was answered with 401, a refresh is needed whatever its age. */
enum err token_refresh_new(
    struct client *client, struct token *token, bool rejected, struct token_refresh **out) MUST_USE;
void token_refresh_prepare(struct token_refresh *r, struct pollset *ps);
enum token_refresh_state token_refresh_step(struct token_refresh *r, const struct pollset *ps);
/* ERR_DENIED: log in again; else as call_failure. */
enum err token_refresh_failure(const struct token_refresh *r);
const char *token_refresh_why(const struct token_refresh *r);
void token_refresh_free(struct token_refresh *r);

#endif
