/* id.c: identifiers as people and programs see them. Pure; any thread. */
#include "core/id.h"

static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

static const char *const prefixes[] = {
    [ID_USER] = "usr_",
    [ID_MACHINE] = "mch_",
    [ID_SESSION] = "ses_",
    [ID_CODE] = "cod_",
    [ID_KEY] = "key_",
    [ID_FAMILY] = "tok_",
    [ID_CHANNEL] = "chn_",
    [ID_EVENT] = "evt_",
    [ID_INVITE] = "inv_",
    [ID_DEVICE] = "dev_",
    [ID_BOOT] = "bot_",
    [ID_RULE] = "rul_",
};

/* 26 characters hold 130 bits: the first carries the top 3 bits only. */
void
id_text(enum id_kind kind, const struct id *id, char out[ID_TEXT_BYTES])
{
    unsigned acc = 0, bits = 2; /* two leading zero bits */
    char *p = out + 4;

    memcpy(out, prefixes[kind], 4);
    for (size_t i = 0; i < ID_BYTES; i++) {
        acc = (acc << 8) | id->b[i];
        bits += 8;
        while (bits >= 5) {
            bits -= 5;
            *p++ = alphabet[(acc >> bits) & 31];
        }
    }
    *p = '\0';
}

static int
digit_of(uint8_t c)
{
    const char *at;

    if (c >= 'A' && c <= 'Z')
        c = (uint8_t)(c - 'A' + 'a');
    at = c == '\0' ? NULL : strchr(alphabet, c);
    return at == NULL ? -1 : (int)(at - alphabet);
}

enum err
id_parse(enum id_kind kind, struct span text, struct id *out)
{
    unsigned acc = 0, bits = 0;
    size_t n = 0;

    if (text.len != 30 || memcmp(text.ptr, prefixes[kind], 4) != 0)
        return ERR_MALFORMED;
    for (size_t i = 4; i < text.len; i++) {
        int digit = digit_of(text.ptr[i]);

        if (digit < 0 || (i == 4 && digit > 7))
            return ERR_MALFORMED;
        acc = ((acc << 5) | (unsigned)digit) & 0xffff;
        bits += i == 4 ? 3 : 5;
        if (bits >= 8) {
            bits -= 8;
            out->b[n++] = (uint8_t)(acc >> bits);
        }
    }
    return n == ID_BYTES && bits == 0 ? OK : ERR_MALFORMED;
}
