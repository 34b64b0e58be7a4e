/* limits.h: every limit of the product, named once (docs/limits.md lists them for users).
 * Sizes in bytes, times with their unit in the name. Policy numbers that an admin may change are in
 * core/policy.h; these here are what the formats and the process are built for. */
#ifndef CORE_LIMITS_H
#define CORE_LIMITS_H
/* Columns are kept by hand, so that two additions never meet in a conflict. */
/* clang-format off */

/* log (design: records of at most 60 KiB) */
#define RECORD_BYTES_MAX  (60 * 1024)
#define MSGPACK_DEPTH_MAX 8
#define SEALED_MAX        4 /* data subjects of one event */
#define ORIGIN_BYTES_MAX  64

/* tree, signed notes, proofs (what a stranger may hand us; our own are far smaller) */
#define TREE_SIZE_MAX           ((uint64_t)1 << 62) /* sizes stay below: arithmetic cannot wrap */
#define PROOF_HASHES_MAX        64                  /* no path in a tree below 2^62 is longer */
#define PROOF_EXTRA_BYTES_MAX   (64 * 1024)         /* decoded; a whole record fits */
#define PROOF_FILE_BYTES_MAX    (256 * 1024)
#define SIGNED_NOTE_BYTES_MAX   (128 * 1024) /* 16 post-quantum signatures fit, as C2SP asks */
#define SIGNED_NOTE_SIGS_MAX    64
#define NOTE_KEY_NAME_BYTES_MAX 255  /* of keys we hold; strangers' signatures are skipped */
#define CHECKPOINT_BYTES_MAX    1024 /* as we write them: origin, size, root, one signature */
#define CHECKPOINT_EXTRA_MAX    16   /* extension lines of others' checkpoints */
#define LOGFILE_HEADS_MAX       4096 /* of an exported log file ... */
#define LOGFILE_HEADS_BYTES_MAX (8 * 1024 * 1024) /* ... which are kept until their size is met */
#define LOGFILE_KEYS_MAX        65536             /* key events listed in front of the records */

/* http */
#define HTTP_HEAD_BYTES_MAX   (16 * 1024)
#define HTTP_FIELDS_MAX       100
#define HTTP_TARGET_BYTES_MAX (8 * 1024)
#define HTTP_BODY_BYTES_MAX   (64 * 1024)
#define HTTP_HEAD_MS          10000
#define HTTP_BODY_MS          30000
#define HTTP_KEEPALIVE_MS     60000
#define TLS_HANDSHAKE_MS      10000
#define HTTP_WRITE_MS         60000 /* without a byte of progress */
#define HTTP_LINGER_MS        2000  /* reading on after the last answer, so that no RST eats it */
#define HTTP_LINGER_BYTES     (256 * 1024)
#define HTTP_STREAM_HIGH      (128 * 1024)  /* a stream's writer is told to wait */
#define HTTP_STREAM_QUEUE_MAX (1024 * 1024) /* one that does not is cut */
#define HTTP_CONNECTIONS_MAX  20000
#define HTTP_PER_ADDRESS_MAX  256 /* IPv4 /32, IPv6 /64; loopback (proxies) excepted */
#define HTTP_LOOPS_MAX        64
#define HTTP_LISTENERS_MAX    8
#define LOOP_MAILBOX_MAX      16384 /* posts waiting for one loop, reserved ones included */

/* fields, filters, configuration, tokens */
#define JSON_DEPTH_MAX         32
#define JSON_LIST_MAX          64 /* items of a list in a request body */
#define ACCOUNT_BYTES_MAX      64
#define NAME_POINTS_MAX        64 /* machine names, in code points */
#define NAME_BYTES_MAX         192
#define LABEL_BYTES_MAX        64
#define NOTE_POINTS_MAX        1000
#define NOTE_BYTES_MAX         4000
#define PASSWORD_BYTES_MIN     12
#define PASSWORD_BYTES_MAX     128
#define CIDR_LIST_MAX          64
#define FORWARDED_HOPS_MAX     16
#define FILTER_BYTES_MAX       1024
#define FILTER_TERMS_MAX       16
#define FILTER_VALUE_BYTES_MAX 128 /* keeps the glob's work per value bounded */
#define CONFIG_FILE_BYTES_MAX  (64 * 1024)
#define CONFIG_VALUE_BYTES_MAX 2000
#define JWT_BYTES_MAX          (4 * 1024)
#define JWT_SECRET_CHARS_MIN   64
#define JWT_SECRET_CHARS_MAX   1024
#define JWT_ACCESS_S           (15 * 60)
#define SECRET_GRACE_S_MAX     JWT_ACCESS_S /* after a rotation; older tokens have ended by then */
#define SECRETS_LEAKED_MAX     256          /* never taken again; beyond: the last ones */
#define LOGLINE_BYTES_MAX      4096

/* websocket and relay */
#define WS_MESSAGE_BYTES_MAX  (1024 * 1024)
#define WS_QUEUE_BYTES_MAX    (1024 * 1024) /* waiting for one peer */
#define WS_CLOSE_MS           5000          /* for the peer's half of a close */
#define WS_CONTROL_PER_SECOND 10            /* pings and pongs of a peer: more is 1008 ... */
#define WS_CONTROL_BURST      40
#define WS_PING_MS            30000
#define WS_DEAD_MS            90000
#define RELAY_STALL_MS        60000
#define RELAY_TEXT_BYTES_MAX  4096 /* text messages are control: resize, signal, eof, exit */
#define RELAY_TEXT_PER_SECOND 50
#define RELAY_TEXT_BURST      200
#define RELAY_READ_BYTES      (256 * 1024) /* one per loop: the biggest lever of relay throughput */

/* world: the decision state in memory */
#define LIMITS_KEYS_MAX  65536 /* per rule; beyond: new keys share one bucket */
#define ATTEMPTS_MAX     8192  /* not concluded; beyond: the oldest counts as failed */
#define DEVICES_PER_USER 16    /* known ones; beyond: the oldest is removed, by an event */
#define DEVICE_TEXT_MAX  96    /* what such a device shows */
#define ATTEMPT_S        60    /* a proof that takes longer counts as failed */
#define ALERTS_OPEN_MAX  1024  /* beyond: one for each rule takes the rest */
#define MACHINES_LATELY_S 600   /* over which the machines of a user are counted */
#define BIND_SECOND_S    60    /* how long a session may learn its network of the other IP version */
#define SESSION_LINGER_S 600   /* an ended session still answers "ended" */
#define REFUSALS_ROWS_MAX 256 /* of one refusals.counted; beyond: the wider network's row */
#define CHANNEL_LINGER_S 120   /* a channel not opened, or closed and not attested yet */

/* room: what is left of the disk, or of the log's map */
#define LOW_SPACE_BYTES (256 * 1024 * 1024ULL) /* below: nothing new; kept for logins and ends */
#define READERS_CHECK_S 60 /* readers of the log whose process died */

/* agents: statements, control messages, channels */
#define STATEMENT_SERVICES_BYTES_MAX 1024 /* the encoded list in a hello */
#define STATEMENT_VERSION_BYTES_MAX  64
#define STATEMENT_OS_BYTES_MAX       128
#define STATEMENT_WHY_BYTES_MAX      128
#define CONTROL_BYTES_MAX            (64 * 1024)
#define CONTROL_VKEY_BYTES_MAX       512
#define CONTROL_PERSONAL_BYTES_MAX   (8 * 1024)
#define TERMINAL_SIDE_MAX            4096 /* columns or rows */

/* client side: agent and command line */
#define CLIENT_CONNECT_MS     20000 /* name, TCP and TLS together */
#define CLIENT_ANSWER_MS      30000 /* until the head of an answer */
#define CLIENT_BODY_MS        30000 /* between two pieces of a body */
#define CLIENT_STOP_MS        500   /* a stop flag is looked at that often */
#define CLIENT_READ_BYTES     (16 * 1024)
#define WSCLIENT_BUFFER       (256 * 1024) /* each direction of a channel, at both of its ends */
#define CLIENT_BODY_BYTES_MAX (16 * 1024 * 1024) /* of an answer kept in memory */

#endif
