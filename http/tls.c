/* tls.c: TLS by OpenSSL, the adapter: no other file names SSL_. Server contexts are swapped under a
 * mutex by reload; sessions in flight keep the one they began with. A session is used by one thread
 * at a time. Never blocks; never looks at what it carries. */
#include "http/tls.h"

#include "http/tls_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

struct tls_server {
    pthread_mutex_t lock; /* guards ctx */
    SSL_CTX *ctx;
    char *cert_file;
    char *key_file;
};

struct tls_client {
    SSL_CTX *ctx;
};

struct tls {
    SSL *ssl;
    struct tls_socket socket;
    size_t encrypted; /* of the bytes to be written again: they wait in the socket's rest */
    bool dry;         /* the last read took all there was; what is left is a part of a record */
    unsigned long failure; /* OpenSSL's code of the last TLS_FAILED, 0 for errno */
    int failure_errno;
};

/* AEAD with forward secrecy only: the OpenSSL default still has CBC and RSA key exchange. */
#define TLS12_CIPHERS     "ECDHE+AESGCM:ECDHE+CHACHA20"
#define READ_BUFFER_BYTES ((size_t)TLS_SEND_RECORDS * TLS_RECORD_WIRE)

static enum err
context_new(const SSL_METHOD *method, SSL_CTX **out)
{
    SSL_CTX *ctx = SSL_CTX_new(method);

    if (ctx == NULL)
        return ERR_MEMORY;
    if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(ctx, TLS12_CIPHERS) != 1) {
        SSL_CTX_free(ctx);
        return ERR_NOT_FOUND;
    }
    /* An unannounced end is told apart by the protocols above (lengths, close frames). */
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(ctx, 1); /* several records a system call; the buffer is not kept */
    SSL_CTX_set_default_read_buffer_len(ctx, READ_BUFFER_BYTES);
    *out = ctx;
    return OK;
}

static const char *
openssl_reason(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

    return reason != NULL ? reason : "unknown error";
}

static enum err
key_file_check(const char *path, char *why, size_t why_len)
{
    struct stat st;

    if (stat(path, &st) != 0) {
        snprintf(why, why_len, "%s: %s", path, strerror(errno));
        return ERR_IO;
    }
    if ((st.st_mode & S_IRWXO) != 0) {
        snprintf(why, why_len, "%s: private key is open to everybody (mode %03o); chmod 600 it",
            path, (unsigned)(st.st_mode & 0777));
        return ERR_DENIED;
    }
    return OK;
}

static enum err
certificate_dates(SSL_CTX *ctx, const char *path, char *why, size_t why_len)
{
    const X509 *cert = SSL_CTX_get0_certificate(ctx);

    if (X509_cmp_current_time(X509_get0_notBefore(cert)) >= 0) {
        snprintf(why, why_len, "%s: certificate is not valid yet", path);
        return ERR_MISMATCH;
    }
    if (X509_cmp_current_time(X509_get0_notAfter(cert)) <= 0) {
        snprintf(why, why_len, "%s: certificate has expired", path);
        return ERR_MISMATCH;
    }
    return OK;
}

static int
alpn_choose(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
    unsigned int in_len, void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen;

    (void)ssl;
    (void)arg;
    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof(ours) - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static enum err
server_context(
    const char *cert_file, const char *key_file, SSL_CTX **out, char *why, size_t why_len)
{
    SSL_CTX *ctx = NULL;
    enum err err = key_file_check(key_file, why, why_len);

    if (err != OK)
        return err;
    ERR_clear_error();
    if ((err = context_new(TLS_server_method(), &ctx)) != OK) {
        snprintf(why, why_len, "TLS: %s", openssl_reason());
        return err;
    }
    err = ERR_MALFORMED;
    if (SSL_CTX_use_certificate_chain_file(ctx, cert_file) != 1) {
        snprintf(why, why_len, "%s: cannot use as certificate: %s", cert_file, openssl_reason());
        goto out;
    }
    if (SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(ctx) != 1) {
        bool other = ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH ||
                     ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_TYPE_MISMATCH;

        if (other)
            snprintf(
                why, why_len, "%s does not belong to the certificate in %s", key_file, cert_file);
        else
            snprintf(why, why_len, "%s: cannot use as private key: %s", key_file, openssl_reason());
        err = other ? ERR_MISMATCH : ERR_MALFORMED;
        goto out;
    }
    if ((err = certificate_dates(ctx, cert_file, why, why_len)) != OK)
        goto out;
    SSL_CTX_set_alpn_select_cb(ctx, alpn_choose, NULL);
    SSL_CTX_set_num_tickets(ctx, 0);
    *out = ctx;
    ctx = NULL;
out:
    SSL_CTX_free(ctx);
    ERR_clear_error();
    return err;
}

enum err
tls_server_new(
    const char *cert_file, const char *key_file, struct tls_server **out, char *why, size_t why_len)
{
    struct tls_server *server = calloc(1, sizeof(*server));
    enum err err = ERR_MEMORY;

    if (server == NULL) {
        snprintf(why, why_len, "out of memory");
        return err;
    }
    pthread_mutex_init(&server->lock, NULL);
    server->cert_file = strdup(cert_file);
    server->key_file = strdup(key_file);
    if (server->cert_file == NULL || server->key_file == NULL)
        snprintf(why, why_len, "out of memory");
    else
        err = server_context(cert_file, key_file, &server->ctx, why, why_len);
    if (err != OK) {
        tls_server_free(server);
        return err;
    }
    *out = server;
    return OK;
}

enum err
tls_server_reload(struct tls_server *server, char *why, size_t why_len)
{
    SSL_CTX *fresh, *old;
    enum err err = server_context(server->cert_file, server->key_file, &fresh, why, why_len);

    if (err != OK)
        return err;
    pthread_mutex_lock(&server->lock);
    old = server->ctx;
    server->ctx = fresh;
    pthread_mutex_unlock(&server->lock);
    SSL_CTX_free(old); /* sessions hold their own reference */
    return OK;
}

void
tls_server_free(struct tls_server *server)
{
    if (server == NULL)
        return;
    SSL_CTX_free(server->ctx);
    free(server->cert_file);
    free(server->key_file);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

enum err
tls_client_new(const char *ca_file, struct tls_client **out, char *why, size_t why_len)
{
    struct tls_client *client = calloc(1, sizeof(*client));
    enum err err;
    int trusted;

    ERR_clear_error();
    err = client != NULL ? context_new(TLS_client_method(), &client->ctx) : ERR_MEMORY;
    if (err != OK) {
        snprintf(why, why_len, "TLS: %s", openssl_reason());
        free(client);
        return err;
    }
    trusted = ca_file != NULL ? SSL_CTX_load_verify_locations(client->ctx, ca_file, NULL)
                              : SSL_CTX_set_default_verify_paths(client->ctx);
    if (trusted != 1) {
        snprintf(why, why_len, "%s: cannot use as list of trusted certificates: %s",
            ca_file != NULL ? ca_file : "system trust store", openssl_reason());
        tls_client_free(client);
        ERR_clear_error();
        return ERR_MALFORMED;
    }
    SSL_CTX_set_verify(client->ctx, SSL_VERIFY_PEER, NULL);
    *out = client;
    return OK;
}

void
tls_client_free(struct tls_client *client)
{
    if (client == NULL)
        return;
    SSL_CTX_free(client->ctx);
    free(client);
}

static enum err
session_new(SSL_CTX *ctx, int fd, struct tls **out)
{
    struct tls *tls = calloc(1, sizeof(*tls));
    BIO *bio;

    if (tls == NULL)
        return ERR_MEMORY;
    tls->socket.fd = fd;
    tls->ssl = SSL_new(ctx);
    bio = tls->ssl != NULL ? tls_socket_bio(&tls->socket) : NULL;
    if (bio == NULL) {
        tls_free(tls);
        ERR_clear_error();
        return ERR_MEMORY;
    }
    SSL_set_bio(tls->ssl, bio, bio);
    *out = tls;
    return OK;
}

enum err
tls_accept(struct tls_server *server, int fd, struct tls **out)
{
    SSL_CTX *ctx;
    enum err err;

    pthread_mutex_lock(&server->lock);
    ctx = server->ctx;
    SSL_CTX_up_ref(ctx);
    pthread_mutex_unlock(&server->lock);
    err = session_new(ctx, fd, out);
    SSL_CTX_free(ctx);
    if (err == OK)
        SSL_set_accept_state((*out)->ssl);
    return err;
}

static bool
is_numeric_address(const char *host)
{
    unsigned char buf[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, host, buf) == 1 || inet_pton(AF_INET6, host, buf) == 1;
}

enum err
tls_connect(struct tls_client *client, int fd, const char *host, struct tls **out)
{
    struct tls *tls;
    enum err err = session_new(client->ctx, fd, &tls);
    bool named;

    if (err != OK)
        return err;
    SSL_set_connect_state(tls->ssl);
    SSL_set_hostflags(tls->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (is_numeric_address(host))
        named = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls->ssl), host) == 1;
    else
        named = SSL_set1_host(tls->ssl, host) == 1 && SSL_set_tlsext_host_name(tls->ssl, host) == 1;
    if (!named) {
        tls_free(tls);
        ERR_clear_error();
        return ERR_MALFORMED;
    }
    *out = tls;
    return OK;
}

void
tls_free(struct tls *tls)
{
    if (tls == NULL)
        return;
    SSL_free(tls->ssl);
    tls_socket_fini(&tls->socket);
    free(tls);
}

/* What `result` of an SSL_ call means. errno is the call's. */
static enum tls_step
step_of(struct tls *tls, int result)
{
    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_NONE: return TLS_DONE;
    case SSL_ERROR_WANT_READ: return TLS_WANT_READ;
    case SSL_ERROR_WANT_WRITE: return TLS_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN: return TLS_EOF;
    default:
        tls->failure_errno = errno;
        tls->failure = ERR_peek_last_error();
        ERR_clear_error();
        return tls->failure == 0 && tls->failure_errno == 0 ? TLS_EOF : TLS_FAILED;
    }
}

enum tls_step
tls_handshake(struct tls *tls)
{
    ERR_clear_error();
    errno = 0;
    return step_of(tls, SSL_do_handshake(tls->ssl));
}

enum tls_step
tls_read(struct tls *tls, void *buf, size_t cap, size_t *len)
{
    enum tls_step step;

    ERR_clear_error();
    errno = 0;
    *len = 0;
    step = step_of(tls, SSL_read_ex(tls->ssl, buf, cap, len));
    tls->dry = step != TLS_DONE;
    return step;
}

static enum tls_step
broken(struct tls *tls)
{
    tls->failure_errno = errno;
    tls->failure = 0;
    return TLS_FAILED;
}

/* What an earlier call encrypted and the socket did not take. */
static enum tls_step
write_rest(struct tls *tls, size_t *written)
{
    switch (tls_socket_flush(&tls->socket)) {
    case TLS_SENT_ALL: break;
    case TLS_SENT_SOME: return TLS_WANT_WRITE;
    case TLS_SENT_BROKEN: return broken(tls);
    }
    *written = tls->encrypted;
    tls->encrypted = 0;
    return TLS_DONE;
}

/* Encrypts up to TLS_SEND_RECORDS records, sends them, and counts as written those that went; the
 * caller comes again with the bytes of the others, and finds them encrypted. */
enum tls_step
tls_write(struct tls *tls, const void *buf, size_t len, size_t *written)
{
    size_t plain_end[TLS_SEND_RECORDS], wire_end[TLS_SEND_RECORDS], at = 0, gone, n;
    enum tls_step step = TLS_DONE;
    unsigned count = 0, went = 0;
    enum tls_sent sent;

    ERR_clear_error();
    errno = 0;
    *written = 0;
    if (tls->encrypted > 0)
        return write_rest(tls, written);
    tls_socket_gather(&tls->socket);
    while (at < len && count < TLS_SEND_RECORDS) {
        size_t piece = len - at < TLS_RECORD_PLAIN ? len - at : TLS_RECORD_PLAIN;

        step = step_of(tls, SSL_write_ex(tls->ssl, (const uint8_t *)buf + at, piece, &n));
        if (step != TLS_DONE)
            break;
        at += n;
        plain_end[count] = at;
        wire_end[count++] = tls_socket_gathered(&tls->socket);
    }
    sent = tls_socket_send(&tls->socket, &gone);
    if (sent == TLS_SENT_BROKEN)
        return broken(tls);
    while (went < count && wire_end[went] <= gone)
        *written = plain_end[went++];
    tls->encrypted = at - *written;
    if (*written > 0)
        return TLS_DONE; /* what stopped the others comes up again */
    return count > 0 ? TLS_WANT_WRITE : step;
}

void
tls_shutdown(struct tls *tls)
{
    if (!SSL_is_init_finished(tls->ssl))
        return;
    ERR_clear_error();
    (void)SSL_shutdown(tls->ssl);
    ERR_clear_error();
}

bool
tls_pending(const struct tls *tls)
{
    return !tls->dry && SSL_has_pending(tls->ssl) == 1;
}

const char *
tls_why(const struct tls *tls)
{
    long verified = SSL_get_verify_result(tls->ssl);
    const char *reason;

    if (!SSL_is_server(tls->ssl) && verified != X509_V_OK)
        return X509_verify_cert_error_string(verified);
    if (tls->failure == 0)
        return tls->failure_errno != 0 ? strerror(tls->failure_errno) : "connection closed";
    reason = ERR_reason_error_string(tls->failure);
    return reason != NULL ? reason : "TLS failure";
}
