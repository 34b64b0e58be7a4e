/* tls_selfsigned.h: a certificate for trying things out: `gatehouse init --self-signed HOST`.
 * P-256, SHA-256, one year, its own issuer; clients pin it with --ca. Real servers get theirs from
 * a CA.
 */
#ifndef HTTP_TLS_SELFSIGNED_H
#define HTTP_TLS_SELFSIGNED_H

#include "core/err.h"
#include "core/span.h"

#define SELFSIGNED_PEM_MAX 4096

/* host: a DNS name or numeric address (both go into subjectAltName). Writes NUL-terminated PEM; the
 * key is the caller's to wipe. */
MUST_USE enum err tls_selfsigned_make(
    const char *host, char cert[SELFSIGNED_PEM_MAX], char key[SELFSIGNED_PEM_MAX]);

#endif
