/* seal.c: personal fields under a data subject's key. Pure; any thread. */
#include "core/seal.h"

#include <sodium.h>

static size_t
seal_ad(const char *origin, const struct id *event_id, uint8_t out[128])
{
    static const char domain[] = "gatehouse-sealed-v1\n";
    size_t origin_len = strlen(origin), len = sizeof(domain) - 1;

    INVARIANT(origin_len <= ORIGIN_BYTES_MAX);
    memcpy(out, domain, len);
    memcpy(out + len, origin, origin_len);
    len += origin_len;
    out[len++] = '\n';
    memcpy(out + len, event_id->b, ID_BYTES);
    return len + ID_BYTES;
}

void
seal_close(const char *origin, const struct id *event_id, const uint8_t key[32],
    const uint8_t nonce[24], struct span plaintext, uint8_t *out)
{
    uint8_t ad[128];
    size_t ad_len = seal_ad(origin, event_id, ad);

    crypto_aead_xchacha20poly1305_ietf_encrypt(
        out, NULL, plaintext.ptr, plaintext.len, ad, ad_len, NULL, nonce, key);
}

enum err
seal_open(const char *origin, const struct id *event_id, const uint8_t key[32], struct span nonce,
    struct span ciphertext, uint8_t *out, size_t cap, size_t *len)
{
    unsigned long long n;
    uint8_t ad[128];
    size_t ad_len = seal_ad(origin, event_id, ad);

    if (nonce.len != SEAL_NONCE_BYTES || ciphertext.len < SEAL_TAG_BYTES)
        return ERR_MALFORMED;
    if (ciphertext.len - SEAL_TAG_BYTES > cap)
        return ERR_LIMIT;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(
            out, &n, NULL, ciphertext.ptr, ciphertext.len, ad, ad_len, nonce.ptr, key) != 0)
        return ERR_MISMATCH;
    *len = (size_t)n;
    return OK;
}

/* Days since 1970 to year and month: the proleptic Gregorian calendar, without a time zone or
 * locale. */
static void
month_of(int64_t eff_us, int64_t *year, unsigned *month)
{
    int64_t days = eff_us / (86400 * INT64_C(1000000));
    int64_t y = 1970;
    static const unsigned lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    for (;;) {
        bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
        int64_t year_days = leap ? 366 : 365;

        if (days < year_days) {
            for (*month = 0; *month < 11; (*month)++) {
                int64_t n = lengths[*month] + (*month == 1 && leap);

                if (days < n)
                    break;
                days -= n;
            }
            break;
        }
        days -= year_days;
        y++;
    }
    *year = y;
    *month += 1;
}

struct id
seal_month_id(const char *origin, int64_t eff_us)
{
    char text[ORIGIN_BYTES_MAX + 64];
    int64_t year;
    unsigned month;
    struct id id;
    int n;

    INVARIANT(eff_us >= 0);
    month_of(eff_us, &year, &month);
    n = snprintf(
        text, sizeof(text), "gatehouse-month-v1\n%s\n%04lld-%02u", origin, (long long)year, month);
    crypto_generichash(id.b, ID_BYTES, (const uint8_t *)text, (unsigned long long)n, NULL, 0);
    return id;
}
