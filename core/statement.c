/* statement.c: what an agent signs: one table of members per purpose, and the signed bytes. Pure;
 * any thread. Secret keys are the caller's, used and not kept. */
#include "core/statement.h"

#include "core/limits.h"
#include "core/mapping.h"
#include "core/service.h"

#include <sodium.h>

#define NEED true
#define MAY  false

#define ROW(kind, number, member, required, min, max)                                              \
    {                                                                                              \
        number, kind, required, offsetof(struct statement, member), min, max, #member              \
    }
#define FIXED(number, member, size, required)   ROW(MAPPING_FIXED, number, member, required, 0, size)
#define ID(number, member, required)            ROW(MAPPING_ID, number, member, required, 0, 0)
#define U64(number, member, required, min, max) ROW(MAPPING_U64, number, member, required, min, max)
#define ASCII(number, member, required, min, max)                                                  \
    ROW(MAPPING_ASCII, number, member, required, min, max)

static const struct mapping_member hello[] = {
    FIXED(1, device_key, 32, NEED),
    FIXED(2, server_nonce, STATEMENT_NONCE, NEED),
    FIXED(3, agent_nonce, STATEMENT_NONCE, NEED),
    ID(4, machine, MAY),
    ROW(MAPPING_STRS, 7, services, NEED, 1, STATEMENT_SERVICES_BYTES_MAX),
    ASCII(9, version, NEED, 1, STATEMENT_VERSION_BYTES_MAX),
    ASCII(10, os, NEED, 1, STATEMENT_OS_BYTES_MAX),
    U64(11, protocol, NEED, 1, UINT32_MAX),
    U64(12, credential, NEED, 1, 3),
    FIXED(19, personal, HASH_BYTES, NEED),
    U64(20, head_size, MAY, 1, TREE_SIZE_MAX - 1),
    FIXED(21, head_root, HASH_BYTES, MAY),
};

static const struct mapping_member consent[] = {
    FIXED(2, server_nonce, STATEMENT_NONCE, NEED),
    FIXED(3, agent_nonce, STATEMENT_NONCE, NEED),
    ID(4, machine, NEED),
    ID(5, session, NEED),
    U64(13, answer, NEED, 1, 2),
    U64(14, mode, NEED, 1, 2),
    FIXED(19, personal, HASH_BYTES, NEED),
};

static const struct mapping_member channel[] = {
    FIXED(2, server_nonce, STATEMENT_NONCE, NEED),
    FIXED(3, agent_nonce, STATEMENT_NONCE, NEED),
    ID(4, machine, NEED),
    ID(5, session, NEED),
    ID(6, channel, NEED),
    ASCII(8, service, NEED, 1, SERVICE_BYTES_MAX),
};

static const struct mapping_member closing[] = {
    FIXED(2, server_nonce, STATEMENT_NONCE, NEED),
    FIXED(3, agent_nonce, STATEMENT_NONCE, NEED),
    ID(4, machine, NEED),
    ID(5, session, NEED),
    ID(6, channel, NEED),
    U64(15, to_agent_bytes, NEED, 0, UINT64_MAX),
    U64(16, to_technician_bytes, NEED, 0, UINT64_MAX),
    U64(17, exit_status, MAY, 1, 256),
    ASCII(18, why, NEED, 1, STATEMENT_WHY_BYTES_MAX),
};

#define ROWS_OF(table)                                                                             \
    {                                                                                              \
        table, sizeof(table) / sizeof((table)[0])                                                  \
    }

static const struct {
    const char *name;
    struct mapping mapping;
} purposes[] = {
    [PURPOSE_HELLO] = {"hello", ROWS_OF(hello)},
    [PURPOSE_CONSENT] = {"consent", ROWS_OF(consent)},
    [PURPOSE_CHANNEL] = {"channel", ROWS_OF(channel)},
    [PURPOSE_CLOSE] = {"close", ROWS_OF(closing)},
};

static bool
purpose_known(enum purpose purpose)
{
    return purpose >= PURPOSE_HELLO && purpose <= PURPOSE_CLOSE;
}

const char *
purpose_name(enum purpose purpose)
{
    INVARIANT(purpose_known(purpose));
    return purposes[purpose].name;
}

static bool
services_valid(struct span services)
{
    struct reader r;
    struct service service;
    uint32_t count;

    reader_init(&r, services);
    count = reader_array(&r);
    for (uint32_t i = 0; i < count; i++)
        if (service_parse(reader_str(&r), &service) != OK)
            return false;
    return reader_done(&r);
}

/* What the rows alone cannot say. */
static bool
consistent(const struct statement *st)
{
    static const struct hash no_root;
    struct service service;

    if (st->purpose == PURPOSE_CHANNEL)
        return service_parse(st->service, &service) == OK;
    if (st->purpose != PURPOSE_HELLO)
        return true;
    if ((st->credential == 3) == id_is_nil(&st->machine))
        return false; /* only a known device has a machine to name */
    if ((st->head_size == 0) != hash_equal(&st->head_root, &no_root))
        return false;
    return services_valid(st->services);
}

enum err
statement_encode(const struct statement *st, uint8_t *out, size_t cap, size_t *len)
{
    struct pack p;
    enum err err;

    INVARIANT(purpose_known(st->purpose));
    if (!consistent(st))
        return ERR_MALFORMED;
    pack_init(&p, out, cap < STATEMENT_BYTES_MAX ? cap : STATEMENT_BYTES_MAX);
    if ((err = mapping_encode(&purposes[st->purpose].mapping, st, &p)) != OK)
        return err;
    *len = p.len;
    return pack_ok(&p) ? OK : ERR_LIMIT;
}

enum err
statement_decode(enum purpose purpose, struct span body, struct statement *out)
{
    struct mapping_fault fault;
    struct reader r;
    enum err err;

    INVARIANT(purpose_known(purpose));
    *out = (struct statement){.purpose = purpose};
    if (body.len > STATEMENT_BYTES_MAX)
        return ERR_LIMIT;
    if ((err = pack_scan(body)) != OK)
        return err;
    reader_init(&r, body);
    if ((err = mapping_decode(&purposes[purpose].mapping, &r, out, &fault)) != OK)
        return err;
    return reader_done(&r) && consistent(out) ? OK : ERR_MALFORMED;
}

/* The bytes that are signed. 0: too long. */
#define SIGNED_BYTES_MAX (sizeof("gatehouse-consent-v1\n") + ORIGIN_BYTES_MAX + STATEMENT_BYTES_MAX)

static size_t
signed_bytes(enum purpose purpose, const char *origin, struct span body, uint8_t *out)
{
    int head = snprintf(
        (char *)out, SIGNED_BYTES_MAX, "gatehouse-%s-v1\n%s\n", purpose_name(purpose), origin);

    if (strlen(origin) > ORIGIN_BYTES_MAX || body.len > STATEMENT_BYTES_MAX || head < 0)
        return 0;
    memcpy(out + head, body.ptr, body.len);
    return (size_t)head + body.len;
}

void
statement_sign(
    enum purpose purpose, const char *origin, struct span body, const uint8_t *sk, uint8_t sig[64])
{
    uint8_t bytes[SIGNED_BYTES_MAX];
    size_t len = signed_bytes(purpose, origin, body, bytes);

    INVARIANT(len > 0);
    INVARIANT(crypto_sign_detached(sig, NULL, bytes, len, sk) == 0);
}

enum err
statement_verify(enum purpose purpose, const char *origin, struct span body, struct span sig,
    const uint8_t pk[32])
{
    uint8_t bytes[SIGNED_BYTES_MAX];
    size_t len = signed_bytes(purpose, origin, body, bytes);

    if (len == 0)
        return ERR_LIMIT;
    if (sig.len != crypto_sign_BYTES)
        return ERR_MALFORMED;
    return crypto_sign_verify_detached(sig.ptr, bytes, len, pk) == 0 ? OK : ERR_MISMATCH;
}

void
statement_personal(const uint8_t salt[16], struct span map, struct hash *out)
{
    struct span parts[] = {span_of(salt, 16), map};

    hash_parts(parts, 2, out);
}

void
statement_words(struct span code, const uint8_t device_key[32], const uint8_t server_nonce[32],
    const uint8_t agent_nonce[32], unsigned words[2])
{
    struct span parts[] = {
        span_str("gatehouse-words-v1"),
        code,
        span_of(device_key, 32),
        span_of(server_nonce, STATEMENT_NONCE),
        span_of(agent_nonce, STATEMENT_NONCE),
    };
    struct hash h;
    uint32_t bits;

    hash_parts(parts, sizeof(parts) / sizeof(parts[0]), &h);
    bits = (uint32_t)h.b[0] << 16 | (uint32_t)h.b[1] << 8 | h.b[2]; /* the first 22 are used */
    words[0] = bits >> 13;
    words[1] = bits >> 2 & 2047;
}
