/* vault.c: secrets in memory and the proofs made with them. Ledger thread only. */
#include "core/vault.h"

#include <sodium.h>
#include <uthash.h>

#include "core/arena.h"

struct secret_key { /* hash key: no padding */
    struct id id;
    uint64_t version;
    uint64_t kind;
};

struct secret_entry {
    struct secret_key key;
    uint8_t *bytes; /* arena slot */
    size_t len;
    UT_hash_handle hh;
};

struct code_entry { /* keyed hash of the digits -> code */
    uint8_t hash[32];
    struct id code;
    UT_hash_handle hh;
};

struct vault {
    struct arena *arena;
    struct keyring *keyring; /* borrowed */
    struct secret_entry *secrets;
    struct code_entry *codes;
    uint8_t *boot_key; /* arena slots */
    uint8_t *origin_keys[ORIGIN_KEY_COUNT];
    char origin[ORIGIN_BYTES_MAX + 1];
};

struct vault *
vault_new(const char *origin, const uint8_t boot_key[32], struct keyring *keyring)
{
    struct vault *v = calloc(1, sizeof(*v));

    if (v == NULL)
        return NULL;
    v->keyring = keyring;
    INVARIANT(strlen(origin) <= ORIGIN_BYTES_MAX);
    memcpy(v->origin, origin, strlen(origin) + 1);
    if ((v->arena = arena_new()) == NULL || (v->boot_key = arena_take(v->arena)) == NULL)
        goto fail;
    for (size_t i = 0; i < ORIGIN_KEY_COUNT; i++)
        if ((v->origin_keys[i] = arena_take(v->arena)) == NULL)
            goto fail;
    memcpy(v->boot_key, boot_key, 32);
    return v;
fail:
    vault_free(v);
    return NULL;
}

void
vault_free(struct vault *v)
{
    struct secret_entry *s, *next_secret;
    struct code_entry *c, *next_code;

    if (v == NULL)
        return;
    HASH_ITER (hh, v->secrets, s, next_secret) {
        HASH_DEL(v->secrets, s);
        free(s);
    }
    HASH_ITER (hh, v->codes, c, next_code) {
        HASH_DEL(v->codes, c);
        sodium_memzero(c, sizeof(*c));
        free(c);
    }
    arena_free(v->arena);
    free(v);
}

static struct secret_entry *
vault_find(const struct vault *v, enum secret_kind kind, const struct id *id, uint64_t version)
{
    struct secret_key key = {.id = *id, .version = version, .kind = kind};
    struct secret_entry *e;

    HASH_FIND(hh, v->secrets, &key, sizeof(key), e);
    return e;
}

static void
code_unlink(struct vault *v, const struct secret_entry *e)
{
    struct code_entry *c;

    HASH_FIND(hh, v->codes, e->bytes, 32, c);
    if (c == NULL || !id_equal(&c->code, &e->key.id))
        return;
    HASH_DEL(v->codes, c);
    sodium_memzero(c->hash, sizeof(c->hash));
    free(c);
}

static void
vault_drop(struct vault *v, const struct batch_secret *secret)
{
    struct secret_entry *e = vault_find(v, secret->kind, &secret->id, secret->version);

    if (e == NULL)
        return;
    if (e->key.kind == SECRET_CODE)
        code_unlink(v, e);
    HASH_DEL(v->secrets, e);
    arena_give(v->arena, e->bytes);
    free(e);
}

/* A later code with the same digits takes the place of an earlier, dead one. */
static enum err
code_link(struct vault *v, const struct secret_entry *e)
{
    struct code_entry *c;

    HASH_FIND(hh, v->codes, e->bytes, 32, c);
    if (c != NULL) {
        c->code = e->key.id;
        return OK;
    }
    if ((c = calloc(1, sizeof(*c))) == NULL)
        return ERR_MEMORY;
    memcpy(c->hash, e->bytes, sizeof(c->hash));
    c->code = e->key.id;
    HASH_ADD(hh, v->codes, hash, sizeof(c->hash), c);
    return OK;
}

static enum err
vault_store(struct vault *v, const struct batch_secret *secret)
{
    struct secret_entry *e = calloc(1, sizeof(*e));

    if (e == NULL)
        return ERR_MEMORY;
    INVARIANT(secret->len <= ARENA_SLOT_BYTES);
    if ((e->bytes = arena_take(v->arena)) == NULL) {
        free(e);
        return ERR_MEMORY;
    }
    memcpy(e->bytes, secret->bytes, secret->len);
    e->len = secret->len;
    e->key = (struct secret_key){secret->id, secret->version, secret->kind};
    HASH_ADD(hh, v->secrets, key, sizeof(e->key), e);
    return secret->kind == SECRET_CODE && secret->len == 32 ? code_link(v, e) : OK;
}

enum err
vault_apply(struct vault *v, const struct batch_secret *secret)
{
    if (secret->kind == SECRET_SUBJECT) {
        if (secret->drop) {
            keyring_drop(v->keyring, &secret->id);
            return OK;
        }
        return keyring_put(v->keyring, &secret->id, secret->bytes) == ERR_MEMORY ? ERR_MEMORY : OK;
    }
    if (secret->kind == SECRET_ORIGIN) {
        if (secret->version > 0 && secret->version < ORIGIN_KEY_COUNT && secret->len == 32)
            memcpy(v->origin_keys[secret->version], secret->bytes, 32);
        return OK;
    }
    vault_drop(v, secret);
    return secret->drop ? OK : vault_store(v, secret);
}

static void
code_hash(const struct vault *v, struct span digits, uint8_t out[32])
{
    crypto_generichash(out, 32, digits.ptr, digits.len, v->origin_keys[ORIGIN_KEY_CODE], 32);
}

void
vault_prepare(const struct vault *v, const struct secret_op *op, struct batch_secret *out)
{
    *out = (struct batch_secret){
        .kind = op->kind, .drop = op->drop, .id = op->id, .version = op->version};
    if (op->drop)
        return;
    switch (op->kind) {
    case SECRET_CODE:
        code_hash(v, op->bytes, out->bytes);
        out->len = 32;
        return;
    case SECRET_API_KEY:
    case SECRET_INVITE:
        crypto_hash_sha256(out->bytes, op->bytes.ptr, op->bytes.len);
        out->len = 32;
        return;
    default:
        INVARIANT(op->bytes.len <= sizeof(out->bytes));
        memcpy(out->bytes, op->bytes.ptr, op->bytes.len);
        out->len = op->bytes.len;
    }
}

const uint8_t *
vault_origin_key(const struct vault *v, enum origin_key which)
{
    return v->origin_keys[which];
}

bool
vault_password(const struct vault *v, const struct id *user, uint64_t version, char out[192])
{
    const struct secret_entry *e = vault_find(v, SECRET_PASSWORD, user, version);

    if (e == NULL || e->len >= 192)
        return false;
    memcpy(out, e->bytes, e->len);
    out[e->len] = '\0';
    return true;
}

bool
vault_find_code(const struct vault *v, struct span digits, struct id *code)
{
    const struct code_entry *c;
    uint8_t hash[32];

    code_hash(v, digits, hash);
    HASH_FIND(hh, v->codes, hash, sizeof(hash), c);
    sodium_memzero(hash, sizeof(hash));
    if (c == NULL)
        return false;
    *code = c->code;
    return true;
}

bool
vault_check(const struct vault *v, enum secret_kind kind, const struct id *id, struct span secret)
{
    const struct secret_entry *e = vault_find(v, kind, id, 0);
    uint8_t hash[32];
    bool same;

    crypto_hash_sha256(hash, secret.ptr, secret.len);
    same = e != NULL && e->len == sizeof(hash) && sodium_memcmp(hash, e->bytes, sizeof(hash)) == 0;
    sodium_memzero(hash, sizeof(hash));
    return same;
}

static void
refresh_mac(const struct vault *v, const struct id *family, uint64_t n, uint8_t out[32])
{
    uint8_t message[ID_BYTES + 8];

    memcpy(message, family->b, ID_BYTES);
    for (size_t i = 0; i < 8; i++)
        message[ID_BYTES + i] = (uint8_t)(n >> (56 - 8 * i));
    crypto_generichash(out, 32, message, sizeof(message), v->origin_keys[ORIGIN_KEY_REFRESH], 32);
}

void
vault_refresh_make(
    const struct vault *v, const struct id *family, uint64_t n, char out[REFRESH_TEXT_MAX])
{
    char id[ID_TEXT_BYTES], mac_text[48];
    uint8_t mac[32];

    id_text(ID_FAMILY, family, id);
    refresh_mac(v, family, n, mac);
    sodium_bin2base64(
        mac_text, sizeof(mac_text), mac, sizeof(mac), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    snprintf(out, REFRESH_TEXT_MAX, "%s.%llu.%s", id, (unsigned long long)n, mac_text);
}

/* Decimal without sign, space or leading zero, up to 2^63. */
static bool
decimal_read(struct span text, uint64_t *out)
{
    uint64_t n = 0;

    if (text.len == 0 || text.len > 18 || (text.len > 1 && text.ptr[0] == '0'))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    *out = n;
    return true;
}

void
vault_refresh_read(
    const struct vault *v, struct span text, struct refresh_fact *fact, struct id *family)
{
    const uint8_t *dot1, *dot2;
    uint8_t mac[32], want[32];
    size_t mac_len;

    *fact = (struct refresh_fact){0};
    *family = (struct id){0};
    if (text.len == 0 || text.len >= REFRESH_TEXT_MAX ||
        (dot1 = memchr(text.ptr, '.', text.len)) == NULL ||
        (dot2 = memchr(dot1 + 1, '.', text.len - (size_t)(dot1 + 1 - text.ptr))) == NULL)
        return;
    if (id_parse(ID_FAMILY, span_of(text.ptr, (size_t)(dot1 - text.ptr)), family) != OK ||
        !decimal_read(span_of(dot1 + 1, (size_t)(dot2 - dot1 - 1)), &fact->n))
        return;
    if (sodium_base642bin(mac, sizeof(mac), (const char *)dot2 + 1,
            text.len - (size_t)(dot2 + 1 - text.ptr), NULL, &mac_len, NULL,
            sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
        mac_len != sizeof(mac))
        return;
    fact->well_formed = true;
    refresh_mac(v, family, fact->n, want);
    fact->mac_ok = sodium_memcmp(mac, want, sizeof(want)) == 0;
    sodium_memzero(want, sizeof(want));
}

/* Under the refresh tokens' key, told apart from them by its purpose. */
static void
device_mac(const struct vault *v, const struct id *device, uint8_t out[32])
{
    static const char purpose[] = "gatehouse-device-v1\n";
    uint8_t message[sizeof(purpose) - 1 + ID_BYTES];

    memcpy(message, purpose, sizeof(purpose) - 1);
    memcpy(message + sizeof(purpose) - 1, device->b, ID_BYTES);
    crypto_generichash(out, 32, message, sizeof(message), v->origin_keys[ORIGIN_KEY_REFRESH], 32);
}

void
vault_device_make(const struct vault *v, const struct id *device, char out[DEVICE_TEXT_MAX])
{
    char id[ID_TEXT_BYTES], mac_text[48];
    uint8_t mac[32];

    id_text(ID_DEVICE, device, id);
    device_mac(v, device, mac);
    sodium_bin2base64(
        mac_text, sizeof(mac_text), mac, sizeof(mac), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    snprintf(out, DEVICE_TEXT_MAX, "%s.%s", id, mac_text);
}

bool
vault_device_read(const struct vault *v, struct span text, struct id *device)
{
    const uint8_t *dot;
    uint8_t mac[32], want[32];
    size_t mac_len;
    bool ours;

    if (text.len == 0 || text.len >= DEVICE_TEXT_MAX ||
        (dot = memchr(text.ptr, '.', text.len)) == NULL ||
        id_parse(ID_DEVICE, span_of(text.ptr, (size_t)(dot - text.ptr)), device) != OK ||
        sodium_base642bin(mac, sizeof(mac), (const char *)dot + 1,
            text.len - (size_t)(dot + 1 - text.ptr), NULL, &mac_len, NULL,
            sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
        mac_len != sizeof(mac))
        return false;
    device_mac(v, device, want);
    ours = sodium_memcmp(mac, want, sizeof(want)) == 0;
    sodium_memzero(want, sizeof(want));
    return ours;
}

/* kind, ticket id, session, channel, family, machine, expiry, service; then 32 bytes of MAC. */
#define TICKET_FIXED (1 + 5 * ID_BYTES + 8)
#define TICKET_MAC   32

static void
ticket_mac(const struct vault *v, struct span body, uint8_t out[TICKET_MAC])
{
    crypto_generichash(out, TICKET_MAC, body.ptr, body.len, v->boot_key, 32);
}

size_t
vault_ticket_make(
    const struct vault *v, const struct ticket_fact *fact, uint8_t out[TICKET_BYTES_MAX])
{
    const uint8_t *ids[] = {
        fact->ticket_id.b, fact->session.b, fact->channel.b, fact->family.b, fact->machine.b};
    size_t service_len = strlen(fact->service), len = 0;

    INVARIANT(TICKET_FIXED + service_len + TICKET_MAC <= TICKET_BYTES_MAX);
    out[len++] = (uint8_t)fact->kind;
    for (size_t i = 0; i < 5; i++, len += ID_BYTES)
        memcpy(out + len, ids[i], ID_BYTES);
    for (size_t i = 0; i < 8; i++)
        out[len++] = (uint8_t)((uint64_t)fact->expires_us >> (56 - 8 * i));
    memcpy(out + len, fact->service, service_len);
    len += service_len;
    ticket_mac(v, span_of(out, len), out + len);
    return len + TICKET_MAC;
}

void
vault_ticket_read(const struct vault *v, struct span ticket, struct ticket_fact *fact)
{
    uint8_t *ids[] = {
        fact->ticket_id.b, fact->session.b, fact->channel.b, fact->family.b, fact->machine.b};
    uint8_t want[TICKET_MAC];
    uint64_t expires = 0;
    const uint8_t *p;
    size_t body_len, service_len;

    *fact = (struct ticket_fact){0};
    if (ticket.len < TICKET_FIXED + TICKET_MAC || ticket.len > TICKET_BYTES_MAX)
        return;
    body_len = ticket.len - TICKET_MAC;
    service_len = body_len - TICKET_FIXED;
    if (service_len >= sizeof(fact->service))
        return;
    fact->well_formed = true;
    ticket_mac(v, span_of(ticket.ptr, body_len), want);
    fact->mac_ok = sodium_memcmp(want, ticket.ptr + body_len, TICKET_MAC) == 0;
    if (!fact->mac_ok)
        return; /* not a word of it is ours */
    p = ticket.ptr;
    fact->kind = *p++;
    for (size_t i = 0; i < 5; i++, p += ID_BYTES)
        memcpy(ids[i], p, ID_BYTES);
    for (size_t i = 0; i < 8; i++)
        expires = (expires << 8) | *p++;
    fact->expires_us = (int64_t)expires;
    memcpy(fact->service, p, service_len);
}
