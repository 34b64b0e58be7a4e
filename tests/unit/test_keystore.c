/* test_keystore.c: secrets in slots: kept, replaced, overwritten, torn. */
#include "tests/unit/store_fixture.h"

#include <fcntl.h>

#include "tests/unit/testing.h"

#define SLOT KEYSTORE_SLOT_BYTES

struct bag {
    unsigned count;
    struct batch_secret s[4096];
    uint64_t drop_version; /* not kept */
};

static bool
collect(void *arg, const struct batch_secret *s)
{
    struct bag *bag = arg;

    assert_true(bag->count < ROWS(bag->s));
    bag->s[bag->count++] = *s;
    return bag->drop_version == 0 || s->version != bag->drop_version;
}

static struct bag *
all(struct keystore *ks, struct bag *bag)
{
    memset(bag, 0, sizeof(*bag));
    assert_int_equal(keystore_each(ks, collect, bag), OK);
    assert_int_equal(keystore_count(ks), bag->count);
    return bag;
}

static struct batch_secret
secret(enum secret_kind kind, uint8_t id, uint64_t version, const char *text)
{
    struct batch_secret s = {.kind = kind, .id = {{id}}, .version = version, .len = strlen(text)};

    memcpy(s.bytes, text, s.len);
    return s;
}

static bool
has(const struct bag *bag, const struct batch_secret *s)
{
    for (unsigned i = 0; i < bag->count; i++) {
        if (bag->s[i].kind == s->kind && id_equal(&bag->s[i].id, &s->id) &&
            bag->s[i].version == s->version && bag->s[i].len == s->len &&
            memcmp(bag->s[i].bytes, s->bytes, s->len) == 0)
            return true;
    }
    return false;
}

static bool
file_contains(const struct fixture *f, const char *word)
{
    static uint8_t bytes[4 << 20];
    size_t len;

    assert_int_equal(state_file_read(&f->state, "keystore", bytes, sizeof(bytes), &len, NULL), OK);
    return memmem(bytes, len, word, strlen(word)) != NULL;
}

static void
reopen(struct fixture *f)
{
    keystore_close(f->keystore);
    assert_int_equal(keystore_open(&f->state, &f->keystore, &f->why), OK);
}

static void
kept_and_dropped(void **state)
{
    static struct bag bag;
    struct batch_secret s[] = {
        secret(SECRET_PASSWORD, 1, 1, "first password"),
        secret(SECRET_PASSWORD, 1, 2, "second password"),
        secret(SECRET_CODE, 1, 1, "a code of the same id"),
        secret(SECRET_SUBJECT, 9, 0, ""),
    };
    struct fixture f = {0};

    (void)state;
    fixture_create(&f);
    assert_int_equal(keystore_count(f.keystore), 0);
    memset(s[3].bytes, 0xff, sizeof(s[3].bytes)); /* as long as can be */
    s[3].len = sizeof(s[3].bytes);
    assert_int_equal(keystore_apply(f.keystore, s, ROWS(s)), OK);
    for (int round = 0; round < 2; round++) {
        all(f.keystore, &bag);
        assert_int_equal(bag.count, 4);
        for (size_t i = 0; i < ROWS(s); i++)
            assert_true(has(&bag, &s[i]));
        reopen(&f);
    }
    /* the same again is replaced, not doubled */
    assert_int_equal(keystore_apply(f.keystore, s, 1), OK);
    assert_int_equal(all(f.keystore, &bag)->count, 4);
    /* puts are not for drop, drops not for apply */
    s[0].drop = true;
    assert_int_equal(keystore_apply(f.keystore, s, 1), OK);
    assert_int_equal(keystore_drop(f.keystore, &s[1], 1), OK);
    assert_int_equal(all(f.keystore, &bag)->count, 4);
    assert_true(file_contains(&f, "first password"));
    assert_int_equal(keystore_drop(f.keystore, s, 1), OK);
    assert_false(file_contains(&f, "first password"));
    assert_false(has(all(f.keystore, &bag), &s[0]));
    assert_true(has(&bag, &s[1]));
    reopen(&f);
    assert_int_equal(all(f.keystore, &bag)->count, 3);
    assert_int_equal(keystore_drop(f.keystore, s, 1), OK); /* gone already */
    /* version 0: all of an id, of its kind only */
    s[0].drop = false;
    assert_int_equal(keystore_apply(f.keystore, s, 1), OK);
    s[0].drop = true;
    s[0].version = 0;
    assert_int_equal(keystore_drop(f.keystore, s, 1), OK);
    assert_false(file_contains(&f, "password"));
    assert_int_equal(all(f.keystore, &bag)->count, 2);
    assert_true(has(&bag, &s[2]));
    fixture_close(&f);
    fixture_remove(f.dir);
}

static void
not_kept_at_start(void **state)
{
    static struct bag bag;
    struct batch_secret s[] = {
        secret(SECRET_PASSWORD, 1, 1, "named"), secret(SECRET_PASSWORD, 1, 7, "no event names me")};
    struct fixture f = {0};

    (void)state;
    fixture_create(&f);
    assert_int_equal(keystore_apply(f.keystore, s, 2), OK);
    bag = (struct bag){.drop_version = 7};
    assert_int_equal(keystore_each(f.keystore, collect, &bag), OK);
    assert_int_equal(bag.count, 2);
    assert_false(file_contains(&f, "no event names me"));
    reopen(&f);
    assert_int_equal(all(f.keystore, &bag)->count, 1);
    assert_true(has(&bag, &s[0]));
    fixture_close(&f);
    fixture_remove(f.dir);
}

static void
grows_and_reuses(void **state)
{
    static struct bag bag;
    struct fixture f = {0};
    struct stat before, after;
    char path[STATE_PATH_BYTES];

    (void)state;
    fixture_create(&f);
    for (uint64_t v = 1; v <= 1000; v++) {
        struct batch_secret s = secret(SECRET_CODE, (uint8_t)v, v, "digits");

        assert_int_equal(keystore_apply(f.keystore, &s, 1), OK);
    }
    assert_int_equal(all(f.keystore, &bag)->count, 1000);
    state_path(&f.state, "keystore", path);
    assert_int_equal(stat(path, &before), 0);
    for (uint64_t v = 1; v <= 1000; v++) {
        struct batch_secret s = secret(SECRET_CODE, (uint8_t)v, v, "digits");
        struct batch_secret next = secret(SECRET_CODE, (uint8_t)v, v + 1000, "digits");

        s.drop = true;
        assert_int_equal(keystore_drop(f.keystore, &s, 1), OK);
        assert_int_equal(keystore_apply(f.keystore, &next, 1), OK);
    }
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_size, after.st_size);
    reopen(&f);
    assert_int_equal(all(f.keystore, &bag)->count, 1000);
    for (unsigned i = 0; i < bag.count; i++)
        assert_true(bag.s[i].version > 1000);
    fixture_close(&f);
    fixture_remove(f.dir);
}

/* Any torn slot counts as empty and is cleared; the others stay. */
static void
torn_slots(void **state)
{
    static struct bag bag;
    struct fixture f = {0};
    struct batch_secret s[] = {secret(SECRET_PASSWORD, 1, 1, "left neighbour"),
        secret(SECRET_PASSWORD, 2, 1, "the torn one"),
        secret(SECRET_PASSWORD, 3, 1, "right neighbour")};
    uint8_t slot[SLOT];
    char path[STATE_PATH_BYTES];

    (void)state;
    fixture_create(&f);
    state_path(&f.state, "keystore", path);
    for (unsigned at = 0; at < SLOT; at += 13) {
        unsigned where = SLOT;
        int fd;

        assert_int_equal(keystore_apply(f.keystore, s, ROWS(s)), OK);
        keystore_close(f.keystore);
        fd = open(path, O_RDWR);
        for (unsigned n = 0; n < 3; n++) { /* find its slot: places are not promised */
            assert_int_equal(pread(fd, slot, SLOT, n * SLOT), SLOT);
            if (slot[16] == 2)
                where = n * SLOT;
        }
        assert_int_equal(pread(fd, slot, SLOT, where), SLOT);
        slot[at] ^= 0x40;
        assert_int_equal(pwrite(fd, slot, SLOT, where), SLOT);
        close(fd);
        assert_int_equal(keystore_open(&f.state, &f.keystore, &f.why), OK);
        assert_int_equal(keystore_damaged(f.keystore), 1);
        all(f.keystore, &bag);
        assert_int_equal(bag.count, 2);
        assert_true(has(&bag, &s[0]) && has(&bag, &s[2]));
        assert_false(file_contains(&f, "the torn one"));
        reopen(&f);
        assert_int_equal(keystore_damaged(f.keystore), 0);
    }
    /* a file cut inside a slot: the last growth did not finish */
    keystore_close(f.keystore);
    assert_int_equal(truncate(path, 2 * SLOT + 100), 0);
    assert_int_equal(keystore_open(&f.state, &f.keystore, &f.why), OK);
    assert_true(all(f.keystore, &bag)->count <= 2);
    assert_int_equal(keystore_apply(f.keystore, s, ROWS(s)), OK);
    assert_int_equal(all(f.keystore, &bag)->count, 3);
    fixture_close(&f);
    fixture_remove(f.dir);
}

static void
others_may_not_read_it(void **state)
{
    char path[STATE_PATH_BYTES];
    struct keystore *ks;
    struct fixture f = {0};
    struct stat sb;

    (void)state;
    fixture_create(&f);
    state_path(&f.state, "keystore", path);
    assert_int_equal(stat(path, &sb), 0);
    assert_int_equal(sb.st_mode & 07777, 0600);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(keystore_open(&f.state, &ks, &f.why), ERR_DENIED);
    assert_non_null(strstr(f.why.text, "chmod 0600"));
    fixture_close(&f);
    fixture_remove(f.dir);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_and_dropped),
        cmocka_unit_test(not_kept_at_start),
        cmocka_unit_test(grows_and_reuses),
        cmocka_unit_test(torn_slots),
        cmocka_unit_test(others_may_not_read_it),
    };

    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
