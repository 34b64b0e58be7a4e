/* tags.c: tags for addresses and account names. Pure; any thread. */
#include "core/tags.h"

#include <sodium.h>

enum { TAG_KIND_ADDRESS = 1, TAG_KIND_ACCOUNT = 2 };

static bool
is_mapped_v4(const uint8_t address[16])
{
    static const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

    return memcmp(address, prefix, sizeof(prefix)) == 0;
}

static struct tag
tag_prefix(const uint8_t key[32], const uint8_t address[16], unsigned bits)
{
    uint8_t message[18] = {TAG_KIND_ADDRESS, (uint8_t)bits};
    struct tag tag;

    for (unsigned i = 0; i < bits / 8; i++)
        message[2 + i] = address[i];
    crypto_generichash(tag.b, TAG_BYTES, message, sizeof(message), key, 32);
    return tag;
}

void
tags_address(const uint8_t key[32], const uint8_t address[16], struct tags *out)
{
    bool v4 = is_mapped_v4(address);

    out->addr = tag_prefix(key, address, 128);
    out->net = tag_prefix(key, address, v4 ? 128 : 64);
    out->wide = tag_prefix(key, address, v4 ? 96 + 24 : 48);
}

struct tag
tag_account(const uint8_t key[32], struct span name)
{
    crypto_generichash_state st;
    uint8_t kind = TAG_KIND_ACCOUNT;
    struct tag tag;

    crypto_generichash_init(&st, key, 32, TAG_BYTES);
    crypto_generichash_update(&st, &kind, 1);
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];

        if (c >= 'A' && c <= 'Z')
            c = (uint8_t)(c - 'A' + 'a');
        crypto_generichash_update(&st, &c, 1);
    }
    crypto_generichash_final(&st, tag.b, TAG_BYTES);
    return tag;
}
