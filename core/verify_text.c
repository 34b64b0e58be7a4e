/* verify_text.c: the texts that root and rotating keys sign, and the one that names the key to
 * check with. Pure; any thread. */
#include "core/ascii.h"
#include "core/verify.h"

const char *
key_role_name(enum key_role role)
{
    return role == KEY_LOG ? "log" : role == KEY_EVENT ? "event" : "";
}

static size_t
text_end(struct ascii *a)
{
    size_t len = 0;

    INVARIANT(ascii_end(a, &len) == OK);
    return len;
}

size_t
verify_keys_text(const char *origin, const uint8_t log_pk[32], const uint8_t event_pk[32],
    uint8_t out[VERIFY_TEXT_MAX])
{
    struct ascii a;

    ascii_init(&a, (char *)out, VERIFY_TEXT_MAX);
    ascii_str(&a, "gatehouse-keys-v1\n");
    ascii_str(&a, origin);
    ascii_str(&a, "\n");
    ascii_put(&a, span_of(log_pk, 32));
    ascii_put(&a, span_of(event_pk, 32));
    return text_end(&a);
}

size_t
verify_rotate_text(const char *origin, enum key_role role, uint32_t epoch, const uint8_t pk[32],
    uint8_t out[VERIFY_TEXT_MAX])
{
    struct ascii a;

    ascii_init(&a, (char *)out, VERIFY_TEXT_MAX);
    ascii_str(&a, "gatehouse-rotate-v1\n");
    ascii_str(&a, origin);
    ascii_str(&a, "\n");
    ascii_str(&a, key_role_name(role));
    ascii_str(&a, "\n");
    ascii_u64(&a, epoch);
    ascii_str(&a, "\n");
    ascii_put(&a, span_of(pk, 32));
    return text_end(&a);
}

enum err
verify_trust_key(struct span vkey, struct verify_trust *out, char origin[ORIGIN_BYTES_MAX + 1])
{
    static const char suffix[] = "/root";
    struct note_key key;
    size_t len;
    enum err err = note_vkey_parse(vkey, &key);

    *out = (struct verify_trust){0};
    if (err != OK)
        return err == ERR_MISMATCH ? err : ERR_MALFORMED;
    len = strlen(key.name);
    out->has_root = len >= strlen(suffix) && strcmp(key.name + len - strlen(suffix), suffix) == 0;
    if (out->has_root)
        len -= strlen(suffix);
    if (len == 0 || len > ORIGIN_BYTES_MAX)
        return ERR_LIMIT;
    memcpy(origin, key.name, len);
    origin[len] = '\0';
    if (out->has_root)
        memcpy(out->root_pk, key.public_key, sizeof(out->root_pk));
    else
        out->log = key;
    out->has_log = out->fast = !out->has_root;
    return OK;
}
