/* files.c: Landlock. The C library has no wrappers; the kernel's numbers and structs are used as
 * its header has them. Rights are those of ABI 3 and less, whatever the kernel offers beyond: what
 * is handled and granted nowhere is denied. */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tools/process/process.h"

/* Newer than Debian 12's header. */
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

#define RIGHTS_ABI_1 ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)
#define ON_FILES                                                                                   \
    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)
#define READS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITES                                                                                     \
    (READS | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                       \
        LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |                             \
        LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REFER |    \
        LANDLOCK_ACCESS_FS_TRUNCATE)

static int
make_ruleset(const struct landlock_ruleset_attr *attr, size_t len, uint32_t flags)
{
    return (int)syscall(SYS_landlock_create_ruleset, attr, len, flags);
}

static uint64_t
rights_of_kernel(void)
{
    int abi = make_ruleset(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    uint64_t rights = RIGHTS_ABI_1;

    if (abi < 1)
        return 0;
    if (abi >= 2)
        rights |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= 3)
        rights |= LANDLOCK_ACCESS_FS_TRUNCATE;
    return rights;
}

static enum err
allow(int ruleset, uint64_t handled, const struct process_path *path)
{
    struct landlock_path_beneath_attr rule = {
        .allowed_access = handled & (path->reach == PROCESS_WRITES ? WRITES : READS)};
    enum err err = ERR_IO;
    struct stat st;

    rule.parent_fd = open(path->path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0)
        return errno == ENOENT || errno == EACCES ? OK : ERR_IO;
    if (fstat(rule.parent_fd, &st) == 0) {
        if (!S_ISDIR(st.st_mode))
            rule.allowed_access &= ON_FILES;
        if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0)
            err = OK;
    }
    close(rule.parent_fd);
    return err;
}

enum err
process_files(const struct process_path *paths, size_t count)
{
    struct landlock_ruleset_attr attr = {.handled_access_fs = rights_of_kernel()};
    enum err err = OK;
    int ruleset;

    if (attr.handled_access_fs == 0)
        return ERR_CLOSED;
    if ((ruleset = make_ruleset(&attr, sizeof(attr), 0)) < 0)
        return ERR_IO;
    for (size_t i = 0; i < count && err == OK; i++)
        err = allow(ruleset, attr.handled_access_fs, &paths[i]);
    if (err == OK && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        err = ERR_IO;
    close(ruleset);
    return err;
}
