/* config.h: what `gatehouse serve` can be told, from one table: file, environment, flags, --help,
 * `config show` and the man page all read it. Flag over environment over file over default, and
 * each value remembers where it came from. No secret is ever a value here: secrets come from files,
 * credentials or JWT_SECRET (http/jwt_secret.h). The only user of libinih.
 *
 * The file is STATE/gatehouse.conf if it exists, or what --config / GATEHOUSE_CONFIG names: lines
 * `name = value`, comments from `#` or `;`, no sections but [gatehouse]. */
#ifndef CORE_CONFIG_H
#define CORE_CONFIG_H

#include "core/cidr.h"
#include "core/err.h"
#include "core/limits.h"

enum config_option {
    CONFIG_STATE_DIR,
    CONFIG_FILE,
    CONFIG_LISTEN,
    CONFIG_LISTEN_PLAIN,
    CONFIG_PUBLIC_URL,
    CONFIG_ALLOWED_ORIGINS,
    CONFIG_TLS_CERT,
    CONFIG_TLS_KEY,
    CONFIG_TRUSTED_PROXIES,
    CONFIG_METRICS,
    CONFIG_ANCHOR_DIR,
    CONFIG_LOOPS,
    CONFIG_PROOF_THREADS,
    CONFIG_CONNECTIONS_MAX,
    CONFIG_LOG_LEVEL,
    CONFIG_LOG_FORMAT,
    CONFIG_LOG_FILE,
    CONFIG_LOG_MAP_SIZE,
    CONFIG_VIEWS_MAP_SIZE,
    CONFIG_OPTIONS,
};

enum config_type {
    CONFIG_TYPE_PATH,
    CONFIG_TYPE_LISTEN,  /* ADDR:PORT */
    CONFIG_TYPE_ORIGIN,  /* https://host[:port] */
    CONFIG_TYPE_ORIGINS, /* the same, comma-separated */
    CONFIG_TYPE_RANGES,  /* comma-separated CIDRs */
    CONFIG_TYPE_NUMBER,  /* min..max */
    CONFIG_TYPE_SIZE,    /* bytes, with K, M, G or T (powers of 1024); min..max */
    CONFIG_TYPE_CHOICE,  /* one word of `choices` */
};

struct config_row {
    const char *name; /* flag --name, file `name`, environment GATEHOUSE_NAME */
    enum config_type type;
    const char *value; /* the default as it would be written; "" : not set */
    const char *placeholder;
    const char *choices; /* "a|b|c" */
    uint64_t min, max;
    const char *help; /* one sentence */
};

enum config_source {
    CONFIG_FROM_DEFAULT,
    CONFIG_FROM_FILE,
    CONFIG_FROM_ENVIRONMENT,
    CONFIG_FROM_FLAG,
};

struct config_value {
    enum config_source source;
    unsigned line; /* CONFIG_FROM_FILE */
    char text[CONFIG_VALUE_BYTES_MAX + 1];
    uint64_t number;  /* NUMBER, SIZE, and the index of a CHOICE */
    struct addr addr; /* LISTEN */
    uint16_t port;
};

struct config {
    struct config_value values[CONFIG_OPTIONS];
    struct cidr_list trusted_proxies;
};

struct config_error {
    char text[512]; /* one line, foreign text escaped: "--loops: must be 0 to 64, not 'many'" */
};

const struct config_row *config_row(enum config_option option);

void config_init(struct config *config);
/* Flags, then environment, then the file that they name. argv holds only options, no command. */
enum err config_load(struct config *config, int argc, char *const argv[], char *const envp[],
    struct config_error *error) MUST_USE;
/* The rules between options (certificate without key, plain text beyond loopback, ...). */
enum err config_check(const struct config *config, struct config_error *error) MUST_USE;

/* The parts of config_load. A later call never overrides a stronger source. */
enum err config_flags(
    struct config *config, int argc, char *const argv[], struct config_error *error) MUST_USE;
enum err config_environment(
    struct config *config, char *const envp[], struct config_error *error) MUST_USE;
/* `name` is the file's, for messages. */
enum err config_text(
    struct config *config, const char *name, struct span text, struct config_error *error) MUST_USE;

bool config_is_set(const struct config *config, enum config_option option); /* not empty */
const char *config_string(const struct config *config, enum config_option option);
uint64_t config_number(const struct config *config, enum config_option option);

/* scheme://host[:port] as browsers send it in Origin: lower case, no path, no user, no default
 * port. */
bool config_origin_valid(struct span origin);

void config_help(FILE *out);
void config_show(const struct config *config, FILE *out);

#endif
