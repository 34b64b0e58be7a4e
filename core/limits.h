/* limits.h: every limit of the product, named once (docs/limits.md lists them for users).
 * Sizes in bytes, times with their unit in the name. Policy numbers that an admin may change are in
 * core/policy.h; these here are what the formats and the process are built for. */
#ifndef CORE_LIMITS_H
#define CORE_LIMITS_H

/* log (design: records of at most 60 KiB) */
#define RECORD_BYTES_MAX  (60 * 1024)
#define MSGPACK_DEPTH_MAX 8
#define SEALED_MAX        4 /* data subjects of one event */
#define ORIGIN_BYTES_MAX  64

/* http */
#define HTTP_HEAD_BYTES_MAX   (16 * 1024)
#define HTTP_FIELDS_MAX       100
#define HTTP_TARGET_BYTES_MAX (8 * 1024)
#define HTTP_BODY_BYTES_MAX   (64 * 1024)
#define HTTP_HEAD_MS          10000
#define HTTP_BODY_MS          30000
#define HTTP_KEEPALIVE_MS     60000
#define TLS_HANDSHAKE_MS      10000

/* websocket and relay */
#define WS_MESSAGE_BYTES_MAX (1024 * 1024)
#define WS_PING_MS           30000
#define WS_DEAD_MS           90000
#define RELAY_STALL_MS       60000
#define RELAY_READ_BYTES     (256 * 1024) /* one per loop: the biggest lever of relay throughput */

#endif
