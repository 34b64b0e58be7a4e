/* caps.c: connection counts per address in an open-addressed table of twice the total cap, so that
 * it is never more than half full; keyed hash, so that nobody can aim at one chain. Any thread
 * (mutex; touched once per accept and once per end). */
#include "http/caps.h"

#include <netinet/in.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>

struct entry {
    uint64_t net;
    uint32_t count; /* 0: free */
    uint8_t kind;
};

struct caps {
    pthread_mutex_t lock;
    uint32_t total, total_max, per_address_max;
    uint32_t mask; /* entries - 1, a power of two */
    uint8_t key[crypto_shorthash_KEYBYTES];
    struct entry entries[];
};

enum err
caps_new(uint32_t total_max, uint32_t per_address_max, struct caps **out)
{
    uint32_t size = 16;
    struct caps *caps;

    while (size < 2 * (uint64_t)total_max && size < 1u << 30)
        size *= 2;
    caps = calloc(1, sizeof(*caps) + size * sizeof(struct entry));
    if (caps == NULL)
        return ERR_MEMORY;
    pthread_mutex_init(&caps->lock, NULL);
    caps->total_max = total_max;
    caps->per_address_max = per_address_max;
    caps->mask = size - 1;
    randombytes_buf(caps->key, sizeof(caps->key));
    *out = caps;
    return OK;
}

void
caps_free(struct caps *caps)
{
    if (caps == NULL)
        return;
    pthread_mutex_destroy(&caps->lock);
    free(caps);
}

static struct caps_key
key_ipv4(uint32_t address)
{
    return (struct caps_key){address, (uint8_t)(address >> 24 == 127 ? 0 : 4)};
}

struct caps_key
caps_key(const struct sockaddr *peer)
{
    struct sockaddr_in6 in6;
    struct sockaddr_in in;
    struct caps_key key = {0, 6};
    const uint8_t *a;

    switch (peer->sa_family) {
    case AF_INET: memcpy(&in, peer, sizeof(in)); return key_ipv4(ntohl(in.sin_addr.s_addr));
    case AF_INET6:
        memcpy(&in6, peer, sizeof(in6));
        a = in6.sin6_addr.s6_addr;
        if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr))
            return key_ipv4(
                (uint32_t)a[12] << 24 | (uint32_t)a[13] << 16 | (uint32_t)a[14] << 8 | a[15]);
        if (IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr))
            return (struct caps_key){0, 0};
        for (int i = 0; i < 8; i++)
            key.net = key.net << 8 | a[i];
        return key;
    default: return (struct caps_key){0, 0};
    }
}

static uint32_t
home_of(const struct caps *caps, uint64_t net, uint8_t kind)
{
    uint8_t in[9], out[crypto_shorthash_BYTES];
    uint32_t h;

    memcpy(in, &net, 8);
    in[8] = kind;
    crypto_shorthash(out, in, sizeof(in), caps->key);
    memcpy(&h, out, sizeof(h));
    return h & caps->mask;
}

/* The entry of that key, or the free one where it belongs. */
static uint32_t
find(const struct caps *caps, struct caps_key key)
{
    uint32_t i = home_of(caps, key.net, key.kind);

    while (caps->entries[i].count > 0 &&
           (caps->entries[i].net != key.net || caps->entries[i].kind != key.kind))
        i = (i + 1) & caps->mask;
    return i;
}

bool
caps_take(struct caps *caps, struct caps_key key)
{
    bool taken = false;

    pthread_mutex_lock(&caps->lock);
    if (caps->total < caps->total_max) {
        struct entry *entry = key.kind != 0 ? &caps->entries[find(caps, key)] : NULL;

        if (entry == NULL) {
            taken = true;
        } else if (entry->count < caps->per_address_max) {
            *entry = (struct entry){key.net, entry->count + 1, key.kind};
            taken = true;
        }
        caps->total += taken;
    }
    pthread_mutex_unlock(&caps->lock);
    return taken;
}

/* Closes the gap at i, so that later entries of its chain are still found (Knuth 6.4, algorithm R).
 */
static void
entry_remove(struct caps *caps, uint32_t i)
{
    uint32_t j = i;

    caps->entries[i].count = 0;
    for (;;) {
        uint32_t home;

        j = (j + 1) & caps->mask;
        if (caps->entries[j].count == 0)
            return;
        home = home_of(caps, caps->entries[j].net, caps->entries[j].kind);
        if (((j - home) & caps->mask) < ((j - i) & caps->mask))
            continue; /* its home lies behind the gap */
        caps->entries[i] = caps->entries[j];
        caps->entries[j].count = 0;
        i = j;
    }
}

void
caps_give(struct caps *caps, struct caps_key key)
{
    pthread_mutex_lock(&caps->lock);
    INVARIANT(caps->total > 0);
    caps->total--;
    if (key.kind != 0) {
        uint32_t i = find(caps, key);

        INVARIANT(caps->entries[i].count > 0);
        if (--caps->entries[i].count == 0)
            entry_remove(caps, i);
    }
    pthread_mutex_unlock(&caps->lock);
}
