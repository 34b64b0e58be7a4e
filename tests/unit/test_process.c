/* test_process.c: what a process has given up it cannot do any more (B43, B61). Each case runs in a
 * child of its own: the product has no switch that would take the protection back. */
#include "tests/unit/testing.h"

#include "tools/process/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef GATEHOUSE_SANITIZED
#define SANITIZED true
#else
#define SANITIZED false
#endif

static char dir[64];

/* Runs in a child; its exit status is the number of the check that failed. */
static void
in_child(int (*body)(void))
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(body());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status))
        fail_msg("ended by signal %d", WTERMSIG(status));
    if (WEXITSTATUS(status) != 0)
        fail_msg("check %d", WEXITSTATUS(status));
}

static bool
refused(long result)
{
    return result == -1 && errno == EPERM;
}

static long
try_exec(void)
{
    char *const argv[] = {"true", NULL}, *const envp[] = {NULL};

    return execve("/bin/true", argv, envp);
}

static long
try_execveat(void)
{
    char *const argv[] = {"true", NULL}, *const envp[] = {NULL};

    return syscall(SYS_execveat, AT_FDCWD, "/bin/true", argv, envp, 0);
}

static long
try_read_parent(void)
{
    char byte;
    struct iovec here = {&byte, 1}, there = {&byte, 1};

    return process_vm_readv(getppid(), &here, 1, &there, 1, 0);
}

static long
try_kill(void)
{
    return kill(getppid(), 0);
}

static long
try_tgkill(void)
{
    return syscall(SYS_tgkill, getppid(), getppid(), 0);
}

static long
try_bpf(void)
{
    union bpf_attr attr = {0};

    return syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
}

static long
try_uring(void)
{
    return syscall(SYS_io_uring_setup, 1, NULL);
}

static long
try_keyctl(void)
{
    return syscall(SYS_keyctl, 0, -3, 0);
}

static long
try_mount(void)
{
    return syscall(SYS_mount, "none", "/nonexistent", "tmpfs", 0, NULL);
}

static long
try_unshare(void)
{
    return syscall(SYS_unshare, CLONE_NEWUSER);
}

static long
try_setuid(void)
{
    return syscall(SYS_setuid, getuid());
}

static long
try_raw_socket(void)
{
    return socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, 1);
}

static long
try_packet_socket(void)
{
    return socket(AF_PACKET, SOCK_DGRAM, 0);
}

static long
try_netlink_socket(void)
{
    return socket(AF_NETLINK, SOCK_DGRAM, 0);
}

static long
try_ax25_socket(void)
{
    return socket(AF_AX25, SOCK_DGRAM, 0);
}

static long
try_ptrace(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static long
try_fork(void)
{
    long pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);

    if (pid == 0)
        _exit(99);
    return pid;
}

static long
try_code(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
               0) == MAP_FAILED
               ? -1
               : 0;
}

static long
try_turn_into_code(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

static long
try_dumpable(void)
{
    return prctl(PR_SET_DUMPABLE, 1);
}

static const struct {
    const char *name;
    long (*try)(void);
    bool sanitizers_need_it;
} attempts[] = {
    {"execve", try_exec, false},
    {"execveat", try_execveat, false},
    {"process_vm_readv", try_read_parent, false},
    {"kill", try_kill, false},
    {"tgkill", try_tgkill, false},
    {"bpf", try_bpf, false},
    {"io_uring", try_uring, false},
    {"keyctl", try_keyctl, false},
    {"mount", try_mount, false},
    {"unshare", try_unshare, false},
    {"setuid", try_setuid, false},
    {"raw socket", try_raw_socket, false},
    {"packet socket", try_packet_socket, false},
    {"netlink socket", try_netlink_socket, false},
    {"ax25 socket", try_ax25_socket, false},
    {"ptrace", try_ptrace, true},
    {"fork", try_fork, true},
    {"pages of code", try_code, true},
    {"pages turned into code", try_turn_into_code, true},
    {"dumpable again", try_dumpable, true},
};

static int
nothing_works(void)
{
    process_harden();
    if (process_syscalls() != OK)
        return 100;
    for (size_t i = 0; i < ROWS(attempts); i++)
        if (!(SANITIZED && attempts[i].sanitizers_need_it) && !refused(attempts[i].try())) {
            fprintf(stderr, "%s: %s\n", attempts[i].name, strerror(errno));
            return (int)i + 1;
        }
    return 0;
}

static void
denied_calls_fail(void **state)
{
    (void)state;
    in_child(nothing_works);
}

static void *
thread(void *arg)
{
    return arg;
}

/* What the server lives from goes on. */
static int
work_goes_on(void)
{
    int sockets[2], fd;
    pthread_t t;
    char path[128];

    process_harden();
    if (process_syscalls() != OK)
        return 100;
    if (pthread_create(&t, NULL, thread, NULL) != 0 || pthread_join(t, NULL) != 0)
        return 1;
    if ((fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0 || close(fd) != 0)
        return 2;
    if ((fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0)) >= 0)
        close(fd); /* a machine may have no IPv6 */
    else if (errno == EPERM)
        return 3;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) != 0)
        return 4;
    snprintf(path, sizeof(path), "%s/file", dir);
    if ((fd = open(path, O_RDWR | O_CREAT, 0600)) < 0 || write(fd, "x", 1) != 1 || fsync(fd) != 0)
        return 5;
    if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED)
        return 6;
    if (unlink(path) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0)
        return 7;
    (void)signal(SIGUSR1, SIG_IGN);
    return raise(SIGUSR1) == 0 ? 0 : 8; /* as abort() does */
}

static void
other_calls_work(void **state)
{
    (void)state;
    in_child(work_goes_on);
}

static int
attributes(void)
{
    struct rlimit core;

    process_harden();
    if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_cur != 0 || core.rlim_max != 0)
        return 1;
    if (prctl(PR_GET_DUMPABLE) != 0)
        return 2;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return 3;
    if (process_syscalls() != OK || prctl(PR_GET_SECCOMP) != 2)
        return 4;
    return 0;
}

static void
no_dumps_and_no_new_privileges(void **state)
{
    (void)state;
    in_child(attributes);
}

static bool
opens(const char *folder, const char *name, int flags)
{
    char path[256];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    if ((fd = open(path, flags | O_CLOEXEC, 0600)) < 0)
        return false;
    close(fd);
    return true;
}

static int
only_what_is_named(void)
{
    char ours[128], theirs[128], read_only[128], from[256], to[256];
    struct process_path paths[3] = {
        {ours, PROCESS_WRITES}, {read_only, PROCESS_READS}, {"/nonexistent", PROCESS_READS}};
    char *const argv[] = {"true", NULL}, *const envp[] = {NULL};

    snprintf(ours, sizeof(ours), "%s/ours", dir);
    snprintf(theirs, sizeof(theirs), "%s/theirs", dir);
    snprintf(read_only, sizeof(read_only), "%s/readable", dir);
    if (mkdir(ours, 0700) != 0 || mkdir(theirs, 0700) != 0 ||
        !opens(theirs, "x", O_CREAT | O_RDWR) || !opens(dir, "readable", O_CREAT | O_RDWR))
        return 1;
    process_harden();
    switch (process_files(paths, ROWS(paths))) {
    case OK: break;
    case ERR_CLOSED: fprintf(stderr, "this kernel has no Landlock\n"); return 0;
    default: return 2;
    }
    if (!opens(ours, "a", O_CREAT | O_RDWR | O_TRUNC) || !opens(ours, "a", O_RDONLY))
        return 3;
    snprintf(from, sizeof(from), "%s/a", ours);
    snprintf(to, sizeof(to), "%s/b", ours);
    if (rename(from, to) != 0 || unlink(to) != 0)
        return 4;
    if (opens(theirs, "x", O_RDONLY) || opens(theirs, "y", O_CREAT | O_RDWR) || errno != EACCES)
        return 5;
    snprintf(to, sizeof(to), "%s/x", theirs);
    if (unlink(to) == 0 || symlink("/etc", from) == 0)
        return 6;
    if (!opens(dir, "readable", O_RDONLY) || opens(dir, "readable", O_WRONLY))
        return 7;
    if (opens("/etc", "passwd", O_RDONLY) || execve("/bin/true", argv, envp) == 0 ||
        errno != EACCES)
        return 8;
    return 0;
}

static void
only_named_folders_can_be_reached(void **state)
{
    (void)state;
    in_child(only_what_is_named);
}

static int
setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/gatehouse-test-XXXXXX");
    return mkdtemp(dir) == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
    static const char *const names[] = {"ours/a", "ours/b", "theirs/x", "theirs/y", "readable"};
    char path[128];

    (void)state;
    for (size_t i = 0; i < ROWS(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        unlink(path);
    }
    snprintf(path, sizeof(path), "%s/ours", dir);
    rmdir(path);
    snprintf(path, sizeof(path), "%s/theirs", dir);
    rmdir(path);
    return rmdir(dir);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(denied_calls_fail, setup, teardown),
        cmocka_unit_test_setup_teardown(other_calls_work, setup, teardown),
        cmocka_unit_test_setup_teardown(no_dumps_and_no_new_privileges, setup, teardown),
        cmocka_unit_test_setup_teardown(only_named_folders_can_be_reached, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
