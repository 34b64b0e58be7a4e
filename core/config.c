/* config.c: the option table and its readers. Main thread, at start (libinih is set up by globals).
 * Never reads or prints a secret, never guesses: an unknown name or a bad value ends the start. */
#include "core/config.h"

#include "core/text.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <inttypes.h>
#include <stdarg.h>

#define KIB UINT64_C(1024)
#define GIB (KIB * KIB * KIB)
#define TIB (KIB * GIB)
#ifdef GATEHOUSE_SANITIZED /* a TiB of address space is refused there */
#define LOG_MAP   "16G"
#define VIEWS_MAP "16G"
#else
#define LOG_MAP   "1T"
#define VIEWS_MAP "256G"
#endif

static const struct config_row rows[CONFIG_OPTIONS] = {
    [CONFIG_STATE_DIR] = {"state-dir", CONFIG_TYPE_PATH, "/var/lib/gatehouse", "DIR", NULL, 0, 0,
        "Folder of the log, keys and views, made by `gatehouse init`."},
    [CONFIG_FILE] = {"config", CONFIG_TYPE_PATH, "", "FILE", NULL, 0, 0,
        "Configuration file; without it DIR/gatehouse.conf, if there is one."},
    [CONFIG_LISTEN] = {"listen", CONFIG_TYPE_LISTEN, "127.0.0.1:8443", "ADDR:PORT", NULL, 0, 0,
        "Where to serve: TLS with a certificate, else plain and on loopback only."},
    [CONFIG_LISTEN_PLAIN] = {"listen-plain", CONFIG_TYPE_LISTEN, "", "ADDR:PORT", NULL, 0, 0,
        "Plain HTTP beside TLS, that only redirects pages to --public-url."},
    [CONFIG_PUBLIC_URL] = {"public-url", CONFIG_TYPE_ORIGIN, "", "URL", NULL, 0, 0,
        "How people and agents reach this server, e.g. https://gate.example.org."},
    [CONFIG_ALLOWED_ORIGINS] = {"allowed-origins", CONFIG_TYPE_ORIGINS, "", "URL,...", NULL, 0, 0,
        "Further origins whose pages may call the API and open WebSockets."},
    [CONFIG_TLS_CERT] = {"tls-cert", CONFIG_TYPE_PATH, "", "FILE", NULL, 0, 0,
        "Certificate chain, PEM; read again on SIGHUP."},
    [CONFIG_TLS_KEY] = {"tls-key", CONFIG_TYPE_PATH, "", "FILE", NULL, 0, 0,
        "Private key of the certificate, PEM, mode 0600."},
    [CONFIG_TRUSTED_PROXIES] = {"trusted-proxies", CONFIG_TYPE_RANGES, "", "CIDR,...", NULL, 0, 0,
        "Peers whose X-Forwarded-For and X-Forwarded-Proto are believed."},
    [CONFIG_METRICS] = {"metrics", CONFIG_TYPE_LISTEN, "", "ADDR:PORT", NULL, 0, 0,
        "Where to serve /metrics; nowhere if not set."},
    [CONFIG_ANCHOR_DIR] = {"anchor-dir", CONFIG_TYPE_PATH, "", "DIR", NULL, 0, 0,
        "Folder, best on another device, for the newest tree head."},
    [CONFIG_LOOPS] = {"loops", CONFIG_TYPE_NUMBER, "0", "N", NULL, 0, 64,
        "Network threads; 0 is one less than there are cores."},
    [CONFIG_PROOF_THREADS] = {"proof-threads", CONFIG_TYPE_NUMBER, "2", "N", NULL, 1, 16,
        "Password checks at a time; each takes 64 MiB."},
    [CONFIG_CONNECTIONS_MAX] = {"connections-max", CONFIG_TYPE_NUMBER, "20000", "N", NULL, 16,
        1000000, "Connections at a time."},
    [CONFIG_LOG_LEVEL] = {"log-level", CONFIG_TYPE_CHOICE, "info", "LEVEL", "debug|info|warn|error",
        0, 0, "What the server says to its operator."},
    [CONFIG_LOG_FORMAT] = {"log-format", CONFIG_TYPE_CHOICE, "text", "FORMAT", "text|json", 0, 0,
        "How it says it: key=value or JSON lines."},
    [CONFIG_LOG_FILE] = {"log-file", CONFIG_TYPE_PATH, "", "FILE", NULL, 0, 0,
        "Where it says it; standard error if not set."},
    [CONFIG_LOG_MAP_SIZE] = {"log-map-size", CONFIG_TYPE_SIZE, LOG_MAP, "SIZE", NULL, 64 * KIB *KIB,
        64 * TIB, "Address space kept for the event log; its final size."},
    [CONFIG_VIEWS_MAP_SIZE] = {"views-map-size", CONFIG_TYPE_SIZE, VIEWS_MAP, "SIZE", NULL,
        64 * KIB *KIB, 64 * TIB, "Address space kept for the query views."},
};

/* Names in the environment that belong to other commands of ours. */
static const char *const foreign_names[] = {"SERVER", "USER", "CA", "PASSWORD_FILE", "TOKEN_FILE"};

static const char prefix[] = "GATEHOUSE_";

const struct config_row *
config_row(enum config_option option)
{
    INVARIANT(option >= 0 && option < CONFIG_OPTIONS && rows[option].name != NULL);
    return &rows[option];
}

static enum err __attribute__((format(printf, 3, 4)))
complain(struct config_error *error, enum err err, const char *format, ...)
{
    char raw[2 * sizeof(error->text)];
    va_list args;

    va_start(args, format);
    vsnprintf(raw, sizeof(raw), format, args);
    va_end(args);
    text_escape(span_str(raw), error->text, sizeof(error->text));
    return err;
}

/* ---- one value ---- */

static bool
digits(const char *text, uint64_t *out, const char **end)
{
    uint64_t n = 0;
    const char *p = text;

    for (; *p >= '0' && *p <= '9' && p - text < 18; p++)
        n = n * 10 + (uint64_t)(*p - '0');
    *out = n;
    *end = p;
    return p > text && (*text != '0' || p == text + 1);
}

static const char *
parse_number(const struct config_row *row, struct config_value *v, char *why, size_t why_len)
{
    static const char units[] = "KMGT";
    const char *end, *unit;
    bool fine = digits(v->text, &v->number, &end);

    if (fine && row->type == CONFIG_TYPE_SIZE && *end != '\0' &&
        (unit = strchr(units, *end)) != NULL) {
        for (const char *u = units; u <= unit && fine; u++) {
            fine = v->number <= UINT64_MAX / KIB;
            v->number *= KIB;
        }
        end++;
    }
    if (fine && *end == '\0' && v->number >= row->min && v->number <= row->max)
        return NULL;
    if (row->type == CONFIG_TYPE_SIZE)
        snprintf(why, why_len, "must be a size from %" PRIu64 "M to %" PRIu64 "T, such as 16G",
            row->min / KIB / KIB, row->max / TIB);
    else
        snprintf(why, why_len, "must be %" PRIu64 " to %" PRIu64, row->min, row->max);
    return why;
}

static const char *
parse_choice(const struct config_row *row, struct config_value *v, char *why, size_t why_len)
{
    const char *p = row->choices;

    for (uint64_t i = 0;; i++) {
        size_t n = strcspn(p, "|");

        if (strlen(v->text) == n && memcmp(v->text, p, n) == 0) {
            v->number = i;
            return NULL;
        }
        if (p[n] == '\0')
            break;
        p += n + 1;
    }
    snprintf(why, why_len, "must be one of %s", row->choices);
    return why;
}

static bool
host_valid(struct span host)
{
    struct addr addr;
    bool dotted = true;

    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        return memchr(host.ptr, ':', host.len) != NULL &&
               addr_parse(span_of(host.ptr + 1, host.len - 2), &addr) == OK;
    if (host.len == 0 || host.len > 253 || host.ptr[0] == '-' || host.ptr[0] == '.')
        return false;
    for (size_t i = 0; i < host.len; i++) {
        uint8_t c = host.ptr[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '.')
            return false;
        dotted = dotted && ((c >= '0' && c <= '9') || c == '.');
    }
    return !dotted || addr_parse(host, &addr) == OK;
}

bool
config_origin_valid(struct span origin)
{
    const char *p = (const char *)origin.ptr;
    bool https = origin.len > 8 && memcmp(p, "https://", 8) == 0;
    bool http = origin.len > 7 && memcmp(p, "http://", 7) == 0;
    struct span host = span_of(p + (https ? 8 : 7), origin.len - (https ? 8 : 7));
    uint64_t port = 0;
    const char *end;
    char text[8];
    size_t n;

    if (!https && !http)
        return false;
    for (n = host.len; n > 0 && host.ptr[n - 1] >= '0' && host.ptr[n - 1] <= '9'; n--)
        ;
    if (n > 0 && n < host.len && host.ptr[n - 1] == ':') {
        if (host.len - n > 5)
            return false;
        memcpy(text, host.ptr + n, host.len - n);
        text[host.len - n] = '\0';
        if (!digits(text, &port, &end) || port == 0 || port > 65535 || port == (https ? 443 : 80))
            return false; /* browsers leave the default port out */
        host.len = n - 1;
    }
    return host_valid(host);
}

/* Calls `valid` on each comma-separated item. */
static bool
origins_valid(const char *text)
{
    for (;;) {
        size_t n = strcspn(text, ",");

        if (!config_origin_valid(span_of(text, n)))
            return false;
        if (text[n] == '\0')
            return true;
        text += n + 1;
        while (*text == ' ')
            text++;
    }
}

/* NULL, or why not. An empty text unsets an option that may be unset. */
static const char *
parse_value(const struct config_row *row, struct config_value *v, struct cidr_list *ranges,
    char *why, size_t why_len)
{
    if (v->text[0] == '\0' && row->value[0] == '\0')
        return NULL;
    if (!text_utf8(span_str(v->text)))
        return "is not valid UTF-8";
    for (const char *p = v->text; *p != '\0'; p++)
        if (iscntrl((unsigned char)*p))
            return "holds a control character";
    switch (row->type) {
    case CONFIG_TYPE_PATH: return v->text[0] != '\0' ? NULL : "must not be empty";
    case CONFIG_TYPE_LISTEN:
        return addr_port_parse(span_str(v->text), &v->addr, &v->port) == OK
                   ? NULL
                   : "must be ADDRESS:PORT, such as 127.0.0.1:8443 or [::]:443";
    case CONFIG_TYPE_ORIGIN:
        return config_origin_valid(span_str(v->text))
                   ? NULL
                   : "must be https://host or https://host:port, in lower case and without a path";
    case CONFIG_TYPE_ORIGINS:
        return origins_valid(v->text)
                   ? NULL
                   : "must be a comma-separated list of https://host or https://host:port";
    case CONFIG_TYPE_RANGES:
        return cidr_list_parse(span_str(v->text), ranges, NULL) == OK
                   ? NULL
                   : "must be a comma-separated list of addresses or ranges such as 10.0.0.0/8";
    case CONFIG_TYPE_NUMBER:
    case CONFIG_TYPE_SIZE: return parse_number(row, v, why, why_len);
    case CONFIG_TYPE_CHOICE: break;
    }
    return parse_choice(row, v, why, why_len);
}

struct place {
    enum config_source source;
    const char *file; /* CONFIG_FROM_FILE */
    unsigned line;
};

/* "--loops", "environment GATEHOUSE_LOOPS", "gatehouse.conf line 3: loops" */
static void
name_place(const struct place *place, const char *option, char *out, size_t size)
{
    size_t n;

    switch (place->source) {
    case CONFIG_FROM_FLAG: snprintf(out, size, "--%s", option); return;
    case CONFIG_FROM_FILE:
        snprintf(out, size, "%s line %u: %s", place->file, place->line, option);
        return;
    case CONFIG_FROM_ENVIRONMENT:
        n = (size_t)snprintf(out, size, "environment %s%s", prefix, option);
        for (size_t i = 0; i < n && i < size; i++)
            out[i] = (char)(i < 12 ? out[i] : out[i] == '-' ? '_' : toupper((unsigned char)out[i]));
        return;
    case CONFIG_FROM_DEFAULT: break;
    }
    snprintf(out, size, "%s", option);
}

static enum err
set(struct config *config, size_t option, const char *text, const struct place *place,
    struct config_error *error)
{
    static const struct cidr_list no_ranges;
    struct config_value *value = &config->values[option];
    const struct config_row *row = &rows[option];
    struct cidr_list ranges = no_ranges;
    struct config_value v = {.source = place->source, .line = place->line};
    char why[128], where[256];
    const char *fault;

    name_place(place, row->name, where, sizeof(where));
    if (strlen(text) > CONFIG_VALUE_BYTES_MAX)
        return complain(
            error, ERR_LIMIT, "%s: is longer than %d bytes", where, CONFIG_VALUE_BYTES_MAX);
    memcpy(v.text, text, strlen(text) + 1);
    if ((fault = parse_value(row, &v, &ranges, why, sizeof(why))) != NULL)
        return complain(error, ERR_MALFORMED, "%s: %s, not '%.100s'", where, fault, text);
    if (value->source == place->source && place->source != CONFIG_FROM_DEFAULT)
        return complain(error, ERR_EXISTS, "%s: is given twice", where);
    if (value->source > place->source)
        return OK; /* said by a stronger source */
    *value = v;
    if (option == CONFIG_TRUSTED_PROXIES)
        config->trusted_proxies = ranges;
    return OK;
}

static size_t
find(const char *name, size_t len)
{
    size_t i = 0;

    while (
        i < CONFIG_OPTIONS && (strlen(rows[i].name) != len || memcmp(rows[i].name, name, len) != 0))
        i++;
    return i;
}

/* ---- the sources ---- */

void
config_init(struct config *config)
{
    static const struct place nowhere = {CONFIG_FROM_DEFAULT, NULL, 0};
    struct config_error error;

    memset(config, 0, sizeof(*config));
    for (size_t i = 0; i < CONFIG_OPTIONS; i++)
        INVARIANT(set(config, i, rows[i].value, &nowhere, &error) == OK);
}

enum err
config_flags(struct config *config, int argc, char *const argv[], struct config_error *error)
{
    static const struct place place = {CONFIG_FROM_FLAG, NULL, 0};
    enum err err;

    for (int i = 0; i < argc; i++) {
        const char *name = argv[i], *value;
        size_t option, len;

        if (strncmp(name, "--", 2) != 0 || name[2] == '\0')
            return complain(error, ERR_MALFORMED, "'%.100s': is not an option", name);
        name += 2;
        len = strcspn(name, "=");
        if ((option = find(name, len)) == CONFIG_OPTIONS)
            return complain(error, ERR_MALFORMED, "--%.*s: is not a known option (see --help)",
                (int)(len < 100 ? len : 100), name);
        if (name[len] == '=')
            value = name + len + 1;
        else if (i + 1 < argc)
            value = argv[++i];
        else
            return complain(error, ERR_MALFORMED, "--%s: needs a value", rows[option].name);
        if ((err = set(config, option, value, &place, error)) != OK)
            return err;
    }
    return OK;
}

static bool
foreign_name(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof(foreign_names) / sizeof(foreign_names[0]); i++)
        if (strlen(foreign_names[i]) == len && memcmp(foreign_names[i], name, len) == 0)
            return true;
    return false;
}

enum err
config_environment(struct config *config, char *const envp[], struct config_error *error)
{
    static const struct place place = {CONFIG_FROM_ENVIRONMENT, NULL, 0};
    enum err err;

    for (; *envp != NULL; envp++) {
        const char *name = *envp + sizeof(prefix) - 1;
        char lower[64];
        size_t option, len;

        if (strncmp(*envp, prefix, sizeof(prefix) - 1) != 0)
            continue;
        len = strcspn(name, "=");
        if (foreign_name(name, len))
            continue;
        for (size_t i = 0; i < len && i < sizeof(lower); i++)
            lower[i] = (char)(name[i] == '_'   ? '-'
                              : name[i] == '-' ? '_'
                                               : tolower((unsigned char)name[i]));
        option = len <= sizeof(lower) ? find(lower, len) : CONFIG_OPTIONS;
        if (option == CONFIG_OPTIONS || name[len] != '=')
            return complain(error, ERR_MALFORMED, "environment %s%.*s: is not a known option",
                prefix, (int)(len < 100 ? len : 100), name);
        if ((err = set(config, option, name + len + 1, &place, error)) != OK)
            return err;
    }
    return OK;
}

struct ini {
    struct config *config;
    struct config_error *error;
    const char *file;
    enum err err;
    unsigned line;
    char section[64], name[128], value[CONFIG_VALUE_BYTES_MAX + 16];
    bool got;
};

static int
ini_keep(void *user, const char *section, const char *name, const char *value)
{
    struct ini *ini = user;

    ini->got = true;
    snprintf(ini->section, sizeof(ini->section), "%s", section);
    snprintf(ini->name, sizeof(ini->name), "%s", name);
    snprintf(ini->value, sizeof(ini->value), "%s", value);
    return 1;
}

/* One line at a time, so that every complaint has its number. */
static enum err
ini_line(struct ini *ini, const char *line)
{
    struct place place = {CONFIG_FROM_FILE, ini->file, ini->line};
    const char *p = line;
    size_t option;

    while (*p == ' ' || *p == '\t')
        p++;
    if (*p == '[')
        return strncmp(p, "[gatehouse]", 11) == 0 && p[11 + strspn(p + 11, " \t\r")] == '\0'
                   ? OK
                   : complain(ini->error, ERR_MALFORMED,
                         "%s line %u: the only section is [gatehouse]", ini->file, ini->line);
    ini->got = false;
    if (ini_parse_string(line, ini_keep, ini) != 0)
        return complain(
            ini->error, ERR_MALFORMED, "%s line %u: expected name = value", ini->file, ini->line);
    if (!ini->got)
        return OK; /* blank or a comment */
    option = find(ini->name, strlen(ini->name));
    if (option == CONFIG_OPTIONS || option == CONFIG_FILE || option == CONFIG_STATE_DIR)
        return complain(ini->error, ERR_MALFORMED, "%s line %u: %.100s is not %s", ini->file,
            ini->line, ini->name,
            option == CONFIG_OPTIONS ? "a known option"
                                     : "for the file: it tells where the file is");
    return set(ini->config, option, ini->value, &place, ini->error);
}

enum err
config_text(struct config *config, const char *name, struct span text, struct config_error *error)
{
    struct ini *ini;
    char line[CONFIG_VALUE_BYTES_MAX + 128];
    enum err err = OK;

    if (text.len > CONFIG_FILE_BYTES_MAX)
        return complain(
            error, ERR_LIMIT, "%s: is longer than %d bytes", name, CONFIG_FILE_BYTES_MAX);
    if ((ini = calloc(1, sizeof(*ini))) == NULL)
        return complain(error, ERR_MEMORY, "%s: no memory", name);
    *ini = (struct ini){.config = config, .error = error, .file = name};
    ini_use_stack = false; /* its default is 200 bytes a line, cut without a word */
    ini_max_line = ini_initial_alloc = (int)sizeof(line) + 8;
    ini_allow_multiline = false;
    while (text.len > 0 && err == OK) {
        const uint8_t *end = memchr(text.ptr, '\n', text.len);
        size_t n = end != NULL ? (size_t)(end - text.ptr) : text.len;

        ini->line++;
        if (n >= sizeof(line))
            err = complain(error, ERR_LIMIT, "%s line %u: is too long", name, ini->line);
        else if (memchr(text.ptr, 0, n) != NULL)
            err = complain(error, ERR_MALFORMED, "%s line %u: holds a NUL", name, ini->line);
        else {
            memcpy(line, text.ptr, n);
            line[n] = '\0';
            err = ini_line(ini, line);
        }
        text = span_of(text.ptr + n, text.len - n);
        if (text.len > 0)
            text = span_of(text.ptr + 1, text.len - 1);
    }
    free(ini);
    return err;
}

static enum err
read_file(struct config *config, const char *path, bool must, struct config_error *error)
{
    char *text = NULL;
    FILE *file = fopen(path, "re");
    enum err err = ERR_IO;
    size_t n;

    if (file == NULL)
        return errno == ENOENT && !must
                   ? OK
                   : complain(error, ERR_IO, "%.200s: %s", path, strerror(errno));
    if ((text = malloc(CONFIG_FILE_BYTES_MAX + 1)) == NULL)
        goto out;
    n = fread(text, 1, CONFIG_FILE_BYTES_MAX + 1, file);
    if (ferror(file))
        err = complain(error, ERR_IO, "%.200s: %s", path, strerror(errno));
    else
        err = config_text(config, path, span_of(text, n), error);
out:
    free(text);
    fclose(file);
    return err;
}

enum err
config_load(struct config *config, int argc, char *const argv[], char *const envp[],
    struct config_error *error)
{
    char path[CONFIG_VALUE_BYTES_MAX + 32];
    enum err err;

    config_init(config);
    if ((err = config_flags(config, argc, argv, error)) != OK ||
        (err = config_environment(config, envp, error)) != OK)
        return err;
    if (config_is_set(config, CONFIG_FILE))
        err = read_file(config, config_string(config, CONFIG_FILE), true, error);
    else {
        snprintf(path, sizeof(path), "%s/gatehouse.conf", config_string(config, CONFIG_STATE_DIR));
        err = read_file(config, path, false, error);
    }
    return err != OK ? err : config_check(config, error);
}

enum err
config_check(const struct config *config, struct config_error *error)
{
    const struct config_value *listen = &config->values[CONFIG_LISTEN];
    bool cert = config_is_set(config, CONFIG_TLS_CERT), key = config_is_set(config, CONFIG_TLS_KEY);

    if (cert != key)
        return complain(error, ERR_MALFORMED, "%s is set, but %s is not: TLS needs both",
            cert ? "tls-cert" : "tls-key", cert ? "tls-key" : "tls-cert");
    if (!cert && !addr_is_loopback(&listen->addr))
        return complain(error, ERR_MALFORMED,
            "listen %s is not on loopback and there is no certificate: set tls-cert and tls-key, "
            "or "
            "listen on 127.0.0.1 behind a proxy named in trusted-proxies",
            listen->text);
    if (config_is_set(config, CONFIG_LISTEN_PLAIN) && !cert)
        return complain(error, ERR_MALFORMED,
            "listen-plain only redirects to TLS: set tls-cert and tls-key, or leave it out");
    if (config_is_set(config, CONFIG_LISTEN_PLAIN) && !config_is_set(config, CONFIG_PUBLIC_URL))
        return complain(error, ERR_MALFORMED, "listen-plain redirects to public-url: set it");
    return OK;
}

bool
config_is_set(const struct config *config, enum config_option option)
{
    return config->values[option].text[0] != '\0';
}

const char *
config_string(const struct config *config, enum config_option option)
{
    return config->values[option].text;
}

uint64_t
config_number(const struct config *config, enum config_option option)
{
    INVARIANT(rows[option].type >= CONFIG_TYPE_NUMBER);
    return config->values[option].number;
}

/* ---- for people ---- */

void
config_help(FILE *out)
{
    for (size_t i = 0; i < CONFIG_OPTIONS; i++) {
        const struct config_row *row = &rows[i];
        int n = fprintf(out, "  --%s %s", row->name, row->placeholder);

        fprintf(out, "%*s%s", n < 32 ? 32 - n : 1, "", row->help);
        if (row->choices != NULL)
            fprintf(out, " [%s]", row->choices);
        if (row->value[0] != '\0')
            fprintf(out, " (default %s)", row->value);
        fputc('\n', out);
    }
}

void
config_show(const struct config *config, FILE *out)
{
    static const char *const sources[] = {"default", "file", "environment", "flag"};

    for (size_t i = 0; i < CONFIG_OPTIONS; i++) {
        const struct config_value *v = &config->values[i];
        char shown[4 * CONFIG_VALUE_BYTES_MAX + 1];

        text_escape(span_str(v->text), shown, sizeof(shown));
        fprintf(out, "%-18s %-32s %s", rows[i].name, shown[0] != '\0' ? shown : "-",
            sources[v->source]);
        if (v->source == CONFIG_FROM_FILE)
            fprintf(out, " line %u", v->line);
        fputc('\n', out);
    }
}
