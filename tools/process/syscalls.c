/* syscalls.c: the only user of libseccomp. What is listed fails with EPERM; everything else is the
 * server's own work. A list of what is denied, not of what is allowed: the C library and OpenSSL
 * change their calls with every release, and a server that dies of an update protects nobody. Calls
 * by another ABI (int 0x80, x32) end the process. */
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/process/process.h"

#ifdef GATEHOUSE_SANITIZED
#define SANITIZED true
#else
#define SANITIZED false
#endif

/* With any arguments. */
static const char *const denied[] = {
    /* other programs */
    "execve", "execveat", "fork", "vfork", "uselib",
    /* other processes: their memory, their descriptors, their end */
    "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease", "kcmp",
    "pidfd_open", "pidfd_getfd", "pidfd_send_signal", "kill", "tkill", "rt_sigqueueinfo",
    "rt_tgsigqueueinfo",
    /* doors into the kernel that the server has no use for */
    "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter",
    "io_uring_register", "add_key", "request_key", "keyctl", "init_module", "finit_module",
    "delete_module", "kexec_load", "kexec_file_load", "lookup_dcookie", "nfsservctl", "_sysctl",
    "sysfs", "ustat", "modify_ldt", "iopl", "ioperm", "vmsplice", "fanotify_init",
    /* the machine */
    "reboot", "swapon", "swapoff", "acct", "quotactl", "quotactl_fd", "syslog", "vhangup",
    "sethostname", "setdomainname", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex",
    /* other views of the file system, and ways around paths */
    "mount", "umount", "umount2", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount",
    "fspick", "mount_setattr", "pivot_root", "chroot", "setns", "unshare", "open_by_handle_at",
    "name_to_handle_at", "mknod", "mknodat",
    /* another identity */
    "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups", "setfsuid",
    "setfsgid", "capset"};

/* Only where no sanitizer works. */
static const char *const denied_unless_sanitized[] = {"ptrace", "personality"};

#define ANY_ARGS 0u

static enum err
deny(scmp_filter_ctx filter, const char *name, uint32_t error, unsigned count,
    const struct scmp_arg_cmp *args)
{
    int number = seccomp_syscall_resolve_name(name);

    if (number == __NR_SCMP_ERROR)
        return OK; /* no such call here */
    return seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(error), number, count, args) == 0 ? OK
                                                                                           : ERR_IO;
}

static enum err
deny_all(scmp_filter_ctx filter, const char *const *names, size_t count)
{
    enum err err = OK;

    for (size_t i = 0; i < count && err == OK; i++)
        err = deny(filter, names[i], EPERM, ANY_ARGS, NULL);
    return err;
}

/* A clone that is no thread is a process. clone3 keeps its flags where no filter can look, so it is
 * said not to exist: the C library then takes clone. */
static enum err
deny_processes(scmp_filter_ctx filter)
{
    const struct scmp_arg_cmp no_thread = SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0);
    enum err err = deny(filter, "clone", EPERM, 1, &no_thread);

    return err == OK ? deny(filter, "clone3", ENOSYS, ANY_ARGS, NULL) : err;
}

/* Signals to others; abort() and pthread_kill() are ours to ourselves. */
static enum err
deny_signals(scmp_filter_ctx filter)
{
    const struct scmp_arg_cmp other = SCMP_A0(SCMP_CMP_NE, (scmp_datum_t)getpid());

    return deny(filter, "tgkill", EPERM, 1, &other);
}

/* Pages that hold code, made after the start; and being dumped and traced again. */
static enum err
deny_undoing(scmp_filter_ctx filter)
{
    static const char *const calls[] = {"mmap", "mprotect", "pkey_mprotect"};
    const struct scmp_arg_cmp code = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC);
    const struct scmp_arg_cmp dumpable[] = {
        SCMP_A0(SCMP_CMP_EQ, PR_SET_DUMPABLE), SCMP_A1(SCMP_CMP_NE, 0)};
    enum err err = deny(filter, "prctl", EPERM, 2, dumpable);

    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]) && err == OK; i++)
        err = deny(filter, calls[i], EPERM, 1, &code);
    return err;
}

/* Sockets: local and IP, and nothing raw. */
static enum err
deny_sockets(scmp_filter_ctx filter)
{
    const struct scmp_arg_cmp raw = SCMP_A1(SCMP_CMP_MASKED_EQ, 0xF, SOCK_RAW);
    const struct scmp_arg_cmp beyond = SCMP_A0(SCMP_CMP_GT, AF_INET6);
    enum err err = deny(filter, "socket", EPERM, 1, &raw);

    if (err == OK)
        err = deny(filter, "socket", EPERM, 1, &beyond);
    for (scmp_datum_t family = AF_INET + 1; family < AF_INET6 && err == OK; family++) {
        const struct scmp_arg_cmp other = SCMP_A0(SCMP_CMP_EQ, family);

        err = deny(filter, "socket", EPERM, 1, &other);
    }
    return err;
}

static enum err
fill(scmp_filter_ctx filter)
{
    enum err err = deny_all(filter, denied, sizeof(denied) / sizeof(denied[0]));

    if (err != OK || (err = deny_signals(filter)) != OK || (err = deny_sockets(filter)) != OK ||
        SANITIZED)
        return err;
    err = deny_all(filter, denied_unless_sanitized,
        sizeof(denied_unless_sanitized) / sizeof(denied_unless_sanitized[0]));
    if (err == OK)
        err = deny_processes(filter);
    return err == OK ? deny_undoing(filter) : err;
}

enum err
process_syscalls(void)
{
    scmp_filter_ctx filter;
    enum err err;

    if (prctl(PR_GET_SECCOMP) < 0)
        return ERR_CLOSED;
    if ((filter = seccomp_init(SCMP_ACT_ALLOW)) == NULL)
        return ERR_MEMORY;
    err = fill(filter);
    if (err == OK && seccomp_load(filter) != 0)
        err = ERR_IO;
    seccomp_release(filter);
    return err;
}
