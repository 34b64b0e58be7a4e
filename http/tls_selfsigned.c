/* tls_selfsigned.c: one certificate and its key, by OpenSSL. Main thread, at init. */
#include "http/tls_selfsigned.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#define DAYS 365

static bool
is_numeric(const char *host)
{
    unsigned char buf[16];

    return inet_pton(AF_INET, host, buf) == 1 || inet_pton(AF_INET6, host, buf) == 1;
}

static bool
add_extension(X509 *cert, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *ext;
    bool added;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    if ((ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value)) == NULL)
        return false;
    added = X509_add_ext(cert, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return added;
}

static bool
fill_certificate(X509 *cert, EVP_PKEY *key, const char *host)
{
    X509_NAME *name = X509_get_subject_name(cert);
    char alt[300];
    uint64_t serial;

    snprintf(alt, sizeof(alt), "%s:%s", is_numeric(host) ? "IP" : "DNS", host);
    return RAND_bytes((unsigned char *)&serial, sizeof(serial)) == 1 &&
           X509_set_version(cert, 2) == 1 &&
           ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1) == 1 &&
           X509_gmtime_adj(X509_getm_notBefore(cert), -300) != NULL &&
           X509_gmtime_adj(X509_getm_notAfter(cert), 60L * 60 * 24 * DAYS) != NULL &&
           X509_NAME_add_entry_by_txt(
               name, "CN", MBSTRING_UTF8, (const unsigned char *)host, -1, -1, 0) == 1 &&
           X509_set_issuer_name(cert, name) == 1 && X509_set_pubkey(cert, key) == 1 &&
           add_extension(cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
           add_extension(cert, NID_key_usage, "critical,digitalSignature,keyCertSign") &&
           add_extension(cert, NID_ext_key_usage, "serverAuth") &&
           add_extension(cert, NID_subject_key_identifier, "hash") &&
           add_extension(cert, NID_subject_alt_name, alt) && X509_sign(cert, key, EVP_sha256()) > 0;
}

static bool
take_pem(BIO *bio, char out[SELFSIGNED_PEM_MAX])
{
    int n = BIO_read(bio, out, SELFSIGNED_PEM_MAX - 1);

    if (n <= 0)
        return false;
    out[n] = '\0';
    return true;
}

enum err
tls_selfsigned_make(
    const char *host, char cert_pem[SELFSIGNED_PEM_MAX], char key_pem[SELFSIGNED_PEM_MAX])
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    BIO *cert_bio = BIO_new(BIO_s_mem()), *key_bio = BIO_new(BIO_s_secmem());
    enum err err = ERR_MEMORY;

    if (key == NULL || cert == NULL || cert_bio == NULL || key_bio == NULL)
        goto out;
    if (!fill_certificate(cert, key, host)) {
        err = ERR_MALFORMED;
        goto out;
    }
    if (PEM_write_bio_X509(cert_bio, cert) == 1 &&
        PEM_write_bio_PKCS8PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL) == 1 &&
        take_pem(cert_bio, cert_pem) && take_pem(key_bio, key_pem))
        err = OK;
out:
    BIO_free(cert_bio);
    BIO_free(key_bio);
    X509_free(cert);
    EVP_PKEY_free(key);
    return err;
}
