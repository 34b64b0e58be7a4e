/* cursor.c: cursors and their MAC (keyed BLAKE2b-128). Pure; any thread. */
#include "http/cursor.h"

#include <sodium.h>

#include "core/base64.h"

/* Each part goes in with its length, so that none can lend bytes to its neighbour. */
static void
mac_part(crypto_generichash_state *state, const void *bytes, size_t len)
{
    uint64_t size = len;

    crypto_generichash_update(state, (const uint8_t *)&size, sizeof(size));
    if (len > 0)
        crypto_generichash_update(state, bytes, len);
}

static void
cursor_mac(const uint8_t *key, const struct cursor_scope *scope, const uint8_t *position,
    uint8_t mac[CURSOR_MAC_BYTES])
{
    static const char domain[] = "gatehouse-cursor-v1";
    crypto_generichash_state state;

    crypto_generichash_init(&state, key, 32, CURSOR_MAC_BYTES);
    mac_part(&state, domain, sizeof(domain) - 1);
    mac_part(&state, scope->path, strlen(scope->path));
    mac_part(&state, scope->user.b, ID_BYTES);
    mac_part(&state, scope->filters.ptr, scope->filters.len);
    mac_part(&state, position, CURSOR_POSITION_BYTES);
    crypto_generichash_final(&state, mac, CURSOR_MAC_BYTES);
}

void
cursor_write(const uint8_t *key, const struct cursor_scope *scope,
    const uint8_t position[CURSOR_POSITION_BYTES], char out[CURSOR_TEXT])
{
    uint8_t bytes[CURSOR_POSITION_BYTES + CURSOR_MAC_BYTES];
    size_t len;

    memcpy(bytes, position, CURSOR_POSITION_BYTES);
    cursor_mac(key, scope, position, bytes + CURSOR_POSITION_BYTES);
    INVARIANT(
        base64_encode(BASE64_URL, span_of(bytes, sizeof(bytes)), out, CURSOR_TEXT - 1, &len) == OK);
    out[len] = '\0';
}

enum err
cursor_read(const uint8_t *key, const struct cursor_scope *scope, struct span text,
    uint8_t position[CURSOR_POSITION_BYTES])
{
    uint8_t bytes[CURSOR_POSITION_BYTES + CURSOR_MAC_BYTES], mac[CURSOR_MAC_BYTES];
    size_t len;

    if (base64_decode(BASE64_URL, text, bytes, sizeof(bytes), &len) != OK || len != sizeof(bytes))
        return ERR_MALFORMED;
    cursor_mac(key, scope, bytes, mac);
    if (sodium_memcmp(mac, bytes + CURSOR_POSITION_BYTES, sizeof(mac)) != 0)
        return ERR_MISMATCH;
    memcpy(position, bytes, CURSOR_POSITION_BYTES);
    return OK;
}
