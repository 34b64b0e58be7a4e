/* test_upkeep.c: room and readers, on a real store. */
#include "testing.h"

#include <lmdb.h>
#include <sys/wait.h>

#include "store/upkeep.h"
#include "store_fixture.h"

/* A process that is killed in the middle of a slice, as `audit verify` may be. */
static void
read_and_die(const struct state *state)
{
    pid_t pid = fork();
    char path[STATE_PATH_BYTES];
    MDB_env *env;
    MDB_txn *txn;
    int status;

    if (pid == 0) {
        state_path(state, "log", path);
        _exit(mdb_env_create(&env) != 0 ||
              mdb_env_open(env, path, MDB_RDONLY | MDB_NOTLS, 0) != 0 ||
              mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) != 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void
dead_readers_go_within_a_minute(void **state)
{
    static struct fixture f;
    struct upkeep u;

    (void)state;
    fixture_create(&f);
    fixture_append(&f, 3, 100);
    fixture_wait(&f);
    upkeep_init(&u, &f.state, f.log);
    upkeep_look(&u, 1000);
    read_and_die(&f.state);
    upkeep_look(&u, 1000 + READERS_CHECK_S - 1);
    assert_int_equal(u.readers_cleared, 0);
    upkeep_look(&u, 1000 + READERS_CHECK_S);
    assert_int_equal(u.readers_cleared, 1);
    upkeep_look(&u, 1000 + 2 * READERS_CHECK_S);
    assert_int_equal(u.readers_cleared, 0);
    fixture_close(&f);
    fixture_remove(f.dir);
}

/* The map is room like the disk. */
static void
a_small_map_is_low_space(void **state)
{
    static const struct {
        uint64_t map_bytes;
        bool low;
    } cases[] = {{LOW_SPACE_BYTES, true}, {LOW_SPACE_BYTES + (1 << 20), false}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        static struct fixture f;
        struct upkeep u;
        uint64_t disk;

        memset(&f, 0, sizeof(f));
        f.map_bytes = cases[i].map_bytes;
        fixture_create(&f);
        upkeep_init(&u, &f.state, f.log);
        upkeep_look(&u, 0);
        assert_int_equal(state_free_bytes(&f.state, &disk), OK);
        assert_true(u.free_bytes <= disk);
        if (disk > LOW_SPACE_BYTES + (1 << 20)) {
            assert_int_equal(u.low, cases[i].low);
            assert_true(u.free_bytes < cases[i].map_bytes);
        }
        fixture_close(&f);
        fixture_remove(f.dir);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dead_readers_go_within_a_minute),
        cmocka_unit_test(a_small_map_is_low_space),
    };

    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
