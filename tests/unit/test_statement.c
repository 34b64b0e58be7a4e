/* test_statement.c: the bytes that agents sign, held by golden bytes made with other tools
 * (Python's msgpack and libsodium), and all the ways in which a body may lie. */
#include "core/pack.h"
#include "core/statement.h"

#include "tests/unit/testing.h"

#include <sodium.h>
#include <stdio.h>

#define ORIGIN "gatehouse.example"

static const struct golden {
    enum purpose purpose;
    const char *body;
    const char *sig;
} goldens[] = {
    {PURPOSE_HELLO,
        "8c01c42003a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b802c420222222"
        "222222222222222222222222222222222222222222222222222222222203c42033333333333333333333"
        "3333333333333333333333333333333333333333333304c4104444444444444444444444444444444407"
        "92a57368656c6ca77463703a73736809a5302e312e300aa94c696e757820362e310b010c0313c4203c11"
        "1e2521e2c2c5c85aa26ca6db5f4eff1aab31e8082f131d2cacc97e2faba814cd04d215c4202121212121"
        "212121212121212121212121212121212121212121212121212121",
        "e2124175dcdcc80b5213da690883d7c404a62a1712d705d7a0db6385d058586f53421c34795346037233"
        "dfcc7727aff6afcf28efe89149e42359450b4906ec0e"},
    {PURPOSE_CONSENT,
        "8702c420222222222222222222222222222222222222222222222222222222222222222203c420333333"
        "333333333333333333333333333333333333333333333333333333333304c41044444444444444444444"
        "44444444444405c410555555555555555555555555555555550d010e0213c4203c111e2521e2c2c5c85a"
        "a26ca6db5f4eff1aab31e8082f131d2cacc97e2faba8",
        "b10dc5c70685151bd7991d5f8940f008b755af113859e260fa564095843051d3e2413c919816256b464b"
        "0904f3b07ed97a266b5f3c3155f7571d440f0ee6c70d"},
    {PURPOSE_CHANNEL,
        "8602c420222222222222222222222222222222222222222222222222222222222222222203c420333333"
        "333333333333333333333333333333333333333333333333333333333304c41044444444444444444444"
        "44444444444405c4105555555555555555555555555555555506c4106666666666666666666666666666"
        "666608a77463703a737368",
        "858cf1898920945ec3834fee8ee7eb1da38a873e12327ea779008b679118d9eac39a2e0306d0c983c716"
        "5857a90d6c249c0ecae59cd91033529bde682fd04500"},
    {PURPOSE_CLOSE,
        "8902c420222222222222222222222222222222222222222222222222222222222222222203c420333333"
        "333333333333333333333333333333333333333333333333333333333304c41044444444444444444444"
        "44444444444405c4105555555555555555555555555555555506c4106666666666666666666666666666"
        "66660f0010cf0000000100000000110112a6657869746564",
        "8ee7d329acfc925fc6d7821bb14d3770d8b4a913c597f9bcaecf04d7d1f039f665a7987b212f460eaace"
        "666a1cccb76439061b18b6cd91943e316626344ee10a"},
};

static size_t
unhex(const char *hex, uint8_t *out, size_t cap)
{
    size_t n;

    assert_int_equal(sodium_hex2bin(out, cap, hex, strlen(hex), " ", &n, NULL), 0);
    return n;
}

static void
keys(uint8_t pk[32], uint8_t sk[64])
{
    uint8_t seed[32];

    for (size_t i = 0; i < sizeof(seed); i++)
        seed[i] = (uint8_t)i;
    crypto_sign_seed_keypair(pk, sk, seed);
}

/* The statements whose bytes are above. */
static void
example(enum purpose purpose, struct statement *st)
{
    static const uint8_t services[] = "\x92\xa5shell\xa7tcp:ssh";
    static const uint8_t salt[16] = {0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99,
        0x99, 0x99, 0x99, 0x99, 0x99, 0x99};
    uint8_t map[64], sk[64];

    *st = (struct statement){.purpose = purpose};
    keys(st->device_key, sk);
    memset(st->server_nonce, 0x22, 32);
    memset(st->agent_nonce, 0x33, 32);
    memset(&st->machine, 0x44, ID_BYTES);
    memset(&st->session, 0x55, ID_BYTES);
    memset(&st->channel, 0x66, ID_BYTES);
    st->services = span_of(services, sizeof(services) - 1);
    st->service = span_str("tcp:ssh");
    st->version = span_str("0.1.0");
    st->os = span_str("Linux 6.1");
    st->protocol = STATEMENT_PROTOCOL;
    st->credential = 3;
    st->answer = 1;
    st->mode = 2;
    st->to_technician_bytes = (uint64_t)1 << 32;
    st->exit_status = 1;
    st->why = span_str("exited");
    st->head_size = 1234;
    memset(&st->head_root, 0x21, HASH_BYTES);
    statement_personal(salt,
        span_of(
            map, unhex("8301a47765623102ac686f73742e6578616d706c6503a4726f6f74", map, sizeof(map))),
        &st->personal);
}

static void
bytes_are_golden(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(goldens); i++) {
        uint8_t want[512], got[STATEMENT_BYTES_MAX], sig[64], want_sig[64], pk[32], sk[64];
        struct statement st, back;
        size_t want_len = unhex(goldens[i].body, want, sizeof(want)), len;

        example(goldens[i].purpose, &st);
        assert_int_equal(statement_encode(&st, got, sizeof(got), &len), OK);
        assert_int_equal(len, want_len);
        assert_memory_equal(got, want, len);
        keys(pk, sk);
        unhex(goldens[i].sig, want_sig, sizeof(want_sig));
        statement_sign(st.purpose, ORIGIN, span_of(got, len), sk, sig);
        assert_memory_equal(sig, want_sig, sizeof(sig));
        assert_int_equal(statement_decode(st.purpose, span_of(got, len), &back), OK);
        assert_int_equal(statement_encode(&back, want, sizeof(want), &want_len), OK);
        assert_int_equal(want_len, len);
        assert_memory_equal(got, want, len);
        assert_int_equal(statement_encode(&st, got, len - 1, &len), ERR_LIMIT);
    }
}

static void
a_signature_counts_for_its_purpose_origin_and_bytes_only(void **state)
{
    uint8_t body[512], sig[64], pk[32], sk[64];
    size_t len = unhex(goldens[1].body, body, sizeof(body));
    struct span b = span_of(body, len), s = span_of(sig, 64);

    (void)state;
    keys(pk, sk);
    statement_sign(PURPOSE_CONSENT, ORIGIN, b, sk, sig);
    assert_int_equal(statement_verify(PURPOSE_CONSENT, ORIGIN, b, s, pk), OK);
    assert_int_equal(statement_verify(PURPOSE_CHANNEL, ORIGIN, b, s, pk), ERR_MISMATCH);
    assert_int_equal(statement_verify(PURPOSE_CONSENT, "gatehouse.other", b, s, pk), ERR_MISMATCH);
    assert_int_equal(
        statement_verify(PURPOSE_CONSENT, ORIGIN, b, span_of(sig, 63), pk), ERR_MALFORMED);
    body[len - 1] ^= 1;
    assert_int_equal(statement_verify(PURPOSE_CONSENT, ORIGIN, b, s, pk), ERR_MISMATCH);
    body[len - 1] ^= 1;
    pk[0] ^= 1;
    assert_int_equal(statement_verify(PURPOSE_CONSENT, ORIGIN, b, s, pk), ERR_MISMATCH);
    memset(pk, 0, sizeof(pk)); /* a small-order key signs anything: libsodium refuses it */
    assert_int_equal(statement_verify(PURPOSE_CONSENT, ORIGIN, b, s, pk), ERR_MISMATCH);
}

/* Bodies made from a good one by one change of the struct; all must be refused by the encoder. */
static void
spoil(struct statement *st, int how)
{
    static const uint8_t unsorted[] = "\x91\xa5shel!";

    switch (how) {
    case 0: st->credential = 4; return;
    case 1: st->credential = 1; return; /* names a machine that a code does not know */
    case 2: memset(&st->machine, 0, ID_BYTES); return;
    case 3: st->head_size = 0; return;
    case 4: memset(&st->head_root, 0, HASH_BYTES); return;
    case 5: st->services = span_of(unsorted, sizeof(unsorted) - 1); return;
    case 6: st->services = span_of(NULL, 0); return;
    case 7: st->version = span_of(NULL, 0); return;
    case 8: st->os = span_str("a\nb"); return;
    default: st->protocol = 0; return;
    }
}

static void
inconsistent_hellos_are_not_made(void **state)
{
    (void)state;
    for (int how = 0; how < 10; how++) {
        struct statement st;
        uint8_t out[STATEMENT_BYTES_MAX];
        size_t len;

        example(PURPOSE_HELLO, &st);
        spoil(&st, how);
        assert_int_equal(statement_encode(&st, out, sizeof(out), &len), ERR_MALFORMED);
    }
}

/* Each truncation, each single appended byte and each body under another purpose is refused. */
static void
bodies_are_whole_and_of_their_purpose(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(goldens); i++) {
        uint8_t body[STATEMENT_BYTES_MAX + 1];
        struct statement st;
        size_t len = unhex(goldens[i].body, body, sizeof(body));

        for (size_t cut = 0; cut < len; cut++)
            assert_int_not_equal(statement_decode(goldens[i].purpose, span_of(body, cut), &st), OK);
        body[len] = 0;
        assert_int_not_equal(statement_decode(goldens[i].purpose, span_of(body, len + 1), &st), OK);
        for (size_t k = 0; k < ROWS(goldens); k++)
            if (k != i)
                assert_int_not_equal(
                    statement_decode(goldens[k].purpose, span_of(body, len), &st), OK);
        assert_int_equal(
            statement_decode(goldens[i].purpose, span_of(body, sizeof(body)), &st), ERR_LIMIT);
    }
}

static const struct malformed {
    const char *what;
    enum purpose purpose;
    const char *hex; /* after two nonces and machine: see prefix below */
    enum err want;
} bodies[] = {
    {"a whole consent", PURPOSE_CONSENT,
        "87 N 05c41055555555555555555555555555555555 0d01 0e02 13 H", OK},
    {"answer 0", PURPOSE_CONSENT, "87 N 05c41055555555555555555555555555555555 0d00 0e02 13 H",
        ERR_MALFORMED},
    {"answer 3", PURPOSE_CONSENT, "87 N 05c41055555555555555555555555555555555 0d03 0e02 13 H",
        ERR_MALFORMED},
    {"mode missing", PURPOSE_CONSENT, "86 N 05c41055555555555555555555555555555555 0d01 13 H",
        ERR_MALFORMED},
    {"nil session", PURPOSE_CONSENT, "87 N 05c41000000000000000000000000000000000 0d01 0e02 13 H",
        ERR_MALFORMED},
    {"session of 15 bytes", PURPOSE_CONSENT,
        "87 N 05c40f555555555555555555555555555555 0d01 0e02 13 H", ERR_MALFORMED},
    {"a member too many", PURPOSE_CONSENT,
        "88 N 05c41055555555555555555555555555555555 0d01 0e02 13 H 1401", ERR_MALFORMED},
    {"a member of a later version", PURPOSE_CONSENT,
        "88 N 05c41055555555555555555555555555555555 0d01 0e02 13 H cc8001", ERR_MALFORMED},
    {"answer as text", PURPOSE_CONSENT,
        "87 N 05c41055555555555555555555555555555555 0da179 0e02 13 H", ERR_MALFORMED},
    {"answer not in its shortest form", PURPOSE_CONSENT,
        "87 N 05c41055555555555555555555555555555555 0dcc01 0e02 13 H", ERR_MALFORMED},
    {"members out of order", PURPOSE_CONSENT,
        "87 N 0d01 05c41055555555555555555555555555555555 0e02 13 H", ERR_MALFORMED},
    {"a service that is none", PURPOSE_CHANNEL,
        "86 N 05c41055555555555555555555555555555555 06c41066666666666666666666666666666666"
        "08a3667470",
        ERR_MALFORMED},
    {"tcp without a name", PURPOSE_CHANNEL,
        "86 N 05c41055555555555555555555555555555555 06c41066666666666666666666666666666666"
        "08a47463703a",
        ERR_MALFORMED},
    {"an exit status of 256", PURPOSE_CLOSE,
        "89 N 05c41055555555555555555555555555555555 06c41066666666666666666666666666666666"
        "0f00 1000 11cd0101 12a178",
        ERR_MALFORMED},
    {"an exit status that is there but absent", PURPOSE_CLOSE,
        "89 N 05c41055555555555555555555555555555555 06c41066666666666666666666666666666666"
        "0f00 1000 1100 12a178",
        ERR_MALFORMED},
    {"no exit status", PURPOSE_CLOSE,
        "88 N 05c41055555555555555555555555555555555 06c41066666666666666666666666666666666"
        "0f00 1000 12a178",
        OK},
    {"an array", PURPOSE_CLOSE, "90", ERR_MALFORMED},
    {"an empty map", PURPOSE_CLOSE, "80", ERR_MALFORMED},
    {"nothing", PURPOSE_CLOSE, "", ERR_SHORT},
    {"a map bomb", PURPOSE_CLOSE, "dfffffffff", ERR_SHORT},
};

static size_t
build(const char *text, uint8_t *out, size_t cap)
{
    static const char n[] = "02c4202222222222222222222222222222222222222222222222222222222222222222"
                            "03c4203333333333333333333333333333333333333333333333333333333333333333"
                            "04c41044444444444444444444444444444444";
    static const char h[] = "c4202121212121212121212121212121212121212121212121212121212121212121";
    char hex[2048] = "";

    for (; *text != '\0'; text++) {
        size_t at = strlen(hex);

        if (*text == 'N' || *text == 'H')
            snprintf(hex + at, sizeof(hex) - at, "%s", *text == 'N' ? n : h);
        else if (*text != ' ')
            snprintf(hex + at, sizeof(hex) - at, "%c", *text);
    }
    return unhex(hex, out, cap);
}

static void
malformed_bodies_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(bodies); i++) {
        uint8_t body[1024];
        struct statement st;
        size_t len = build(bodies[i].hex, body, sizeof(body));
        enum err got = statement_decode(bodies[i].purpose, span_of(body, len), &st);

        if (got != bodies[i].want)
            fail_msg("%s: %s", bodies[i].what, err_name(got));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_golden),
        cmocka_unit_test(a_signature_counts_for_its_purpose_origin_and_bytes_only),
        cmocka_unit_test(inconsistent_hellos_are_not_made),
        cmocka_unit_test(bodies_are_whole_and_of_their_purpose),
        cmocka_unit_test(malformed_bodies_are_refused),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
