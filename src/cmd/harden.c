#include "cmd/harden.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "cmd/harden_needs.h"

/* ---- system calls ---- */

#if defined(__x86_64__) && defined(__LP64__)
#define FILTER_MACHINE AUDIT_ARCH_X86_64
#elif defined(__aarch64__) && defined(__AARCH64EL__)
#define FILTER_MACHINE AUDIT_ARCH_AARCH64
#endif

#ifdef FILTER_MACHINE

/* The newest call when this list was made (Linux 6.1). A C library tries newer ones and does without them only on ENOSYS. */
enum { NEWEST_CALL = 450 };

struct call {
    unsigned number;
    enum need need;
};

/* The frequent ones first: kernels before 5.11 walk the list for each call. Those in #ifdef are not on aarch64. */
static const struct call calls[] = {
#ifdef __NR_epoll_wait
    {__NR_epoll_wait, NEED_ALWAYS},
#endif
    {__NR_epoll_pwait, NEED_ALWAYS},
    {__NR_recvfrom, NEED_ALWAYS},
    {__NR_sendto, NEED_ALWAYS},
    {__NR_read, NEED_ALWAYS},
    {__NR_write, NEED_ALWAYS},
    {__NR_recvmsg, NEED_ALWAYS},
    {__NR_sendmsg, NEED_ALWAYS},
    {__NR_readv, NEED_ALWAYS},
    {__NR_writev, NEED_ALWAYS},
    {__NR_epoll_ctl, NEED_ALWAYS},
    {__NR_futex, NEED_ALWAYS},
    /* Where the vDSO does not tell the time, as on some virtual machines. */
    {__NR_clock_gettime, NEED_ALWAYS},
    {__NR_gettimeofday, NEED_ALWAYS},
    /* Connections and the loop. */
    {__NR_accept4, NEED_ALWAYS},
    {__NR_close, NEED_ALWAYS},
    {__NR_shutdown, NEED_ALWAYS},
    {__NR_getsockopt, NEED_ALWAYS},
    {__NR_setsockopt, NEED_ALWAYS},
    {__NR_getsockname, NEED_ALWAYS},
    {__NR_getpeername, NEED_ALWAYS},
    {__NR_fcntl, NEED_ALWAYS},
    {__NR_epoll_create1, NEED_ALWAYS},
    {__NR_eventfd2, NEED_ALWAYS},
    {__NR_timerfd_create, NEED_ALWAYS},
    {__NR_timerfd_settime, NEED_ALWAYS},
    {__NR_signalfd4, NEED_ALWAYS},
    {__NR_getrandom, NEED_ALWAYS},
    /* Memory; sysinfo: qsort asks how much there is. */
    {__NR_brk, NEED_ALWAYS},
    {__NR_munmap, NEED_ALWAYS},
    {__NR_mremap, NEED_ALWAYS},
    {__NR_madvise, NEED_ALWAYS},
    {__NR_sysinfo, NEED_ALWAYS},
    {__NR_getrusage, NEED_ALWAYS},
    /* The directory, and the socket's end. */
    {__NR_fstat, NEED_ALWAYS},
    {__NR_newfstatat, NEED_ALWAYS},
    {__NR_statx, NEED_ALWAYS},
#ifdef __NR_stat
    {__NR_stat, NEED_ALWAYS},
    {__NR_lstat, NEED_ALWAYS},
    {__NR_unlink, NEED_ALWAYS},
#endif
    {__NR_unlinkat, NEED_ALWAYS},
    {__NR_faccessat, NEED_ALWAYS},
    {__NR_faccessat2, NEED_ALWAYS},
    {__NR_lseek, NEED_ALWAYS},
    {__NR_pread64, NEED_ALWAYS},
    {__NR_getdents64, NEED_ALWAYS},
    {__NR_inotify_init1, NEED_ALWAYS},
    {__NR_inotify_add_watch, NEED_ALWAYS},
    {__NR_inotify_rm_watch, NEED_ALWAYS},
    /* Threads and signals. */
    {__NR_set_robust_list, NEED_ALWAYS},
    {__NR_rseq, NEED_ALWAYS},
    {__NR_sched_yield, NEED_ALWAYS},
    {__NR_sched_getaffinity, NEED_ALWAYS},
    {__NR_getpid, NEED_ALWAYS},
    {__NR_gettid, NEED_ALWAYS},
    {__NR_rt_sigprocmask, NEED_ALWAYS},
    {__NR_rt_sigaction, NEED_ALWAYS},
    {__NR_rt_sigreturn, NEED_ALWAYS},
    {__NR_restart_syscall, NEED_ALWAYS},
    {__NR_nanosleep, NEED_ALWAYS},
    {__NR_clock_nanosleep, NEED_ALWAYS},
    {__NR_exit, NEED_ALWAYS},
    {__NR_exit_group, NEED_ALWAYS},
    /* The node agent; for a name, DNS and the choice between its addresses. */
    {__NR_connect, NEED_AGENT},
    {__NR_bind, NEED_NAMES}, /* netlink; TCP is Landlock's */
    {__NR_uname, NEED_NAMES},
#ifdef __NR_poll
    {__NR_poll, NEED_ALWAYS},
#endif
    {__NR_ppoll, NEED_ALWAYS},
    {__NR_sendmmsg, NEED_NAMES},
    /* libcurl: what wakes it up, and whether a file that was named is there. */
    {__NR_socketpair, NEED_CLUSTER},
    /* The leak check, and the symbols of a report. */
    {__NR_clone, NEED_SANITIZER},
    {__NR_execve, NEED_SANITIZER},
#ifdef __NR_fork
    {__NR_readlink, NEED_SANITIZER},
    {__NR_pipe, NEED_SANITIZER},
    {__NR_fork, NEED_SANITIZER},
    {__NR_getdents, NEED_SANITIZER},
    {__NR_dup2, NEED_SANITIZER},
#endif
    {__NR_pipe2, NEED_SANITIZER},
    {__NR_dup3, NEED_SANITIZER},
    {__NR_readlinkat, NEED_SANITIZER},
    {__NR_prctl, NEED_SANITIZER},
    {__NR_prlimit64, NEED_SANITIZER},
    {__NR_getppid, NEED_SANITIZER},
    {__NR_ptrace, NEED_SANITIZER},
    {__NR_sigaltstack, NEED_SANITIZER},
    {__NR_wait4, NEED_SANITIZER},
};

/* Calls that are allowed if an argument's low 32 bits are right: all that the kernel itself looks at. */
struct argument_rule {
    unsigned number, argument;
    uint32_t mask, value; /* (argument & mask) == value */
    enum need need;
};

enum { WRITING = O_ACCMODE | O_CREAT | O_TRUNC };

static const struct argument_rule argument_rules[] = {
    {__NR_mmap, 2, PROT_EXEC, 0, NEED_ALWAYS},
    {__NR_mprotect, 2, PROT_EXEC, 0, NEED_ALWAYS},
    {__NR_openat, 2, WRITING, O_RDONLY, NEED_ALWAYS},
#ifdef __NR_open
    {__NR_open, 1, WRITING, O_RDONLY, NEED_ALWAYS},
#endif
    {__NR_clone, 0, CLONE_THREAD, CLONE_THREAD, NEED_ALWAYS},
    {__NR_socket, 0, UINT32_MAX, AF_UNIX, NEED_AGENT},
    {__NR_socket, 0, UINT32_MAX, AF_INET, NEED_TCP},
    {__NR_socket, 0, UINT32_MAX, AF_INET6, NEED_TCP},
    {__NR_socket, 0, UINT32_MAX, AF_NETLINK, NEED_NAMES},
    {__NR_ioctl, 1, UINT32_MAX, FIONREAD, NEED_NAMES},
};

static void add(struct buf *program, uint32_t code, uint32_t k, uint8_t if_true, uint8_t if_false)
{
    struct sock_filter instruction = {(uint16_t)code, if_true, if_false, k};
    buf_append(program, &instruction, sizeof(instruction));
}

static void add_load(struct buf *program, size_t offset)
{
    add(program, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void add_return(struct buf *program, uint32_t action)
{
    add(program, BPF_RET | BPF_K, action, 0, 0);
}

/* With the call's number loaded: this one ends so. */
static void add_call(struct buf *program, unsigned number, uint32_t action)
{
    add(program, BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1);
    add_return(program, action);
}

/* Loads anew what it compares, so that these can follow each other in any order. */
static void add_argument_rule(struct buf *program, const struct argument_rule *rule)
{
    add_load(program, offsetof(struct seccomp_data, nr));
    add(program, BPF_JMP | BPF_JEQ | BPF_K, rule->number, 0, 4);
    /* Both machines are little-endian: the low half comes first. */
    add_load(program, offsetof(struct seccomp_data, args) + rule->argument * sizeof(uint64_t));
    add(program, BPF_ALU | BPF_AND | BPF_K, rule->mask, 0, 0);
    add(program, BPF_JMP | BPF_JEQ | BPF_K, rule->value, 0, 1);
    add_return(program, SECCOMP_RET_ALLOW);
}

static void write_filter(struct buf *program, const struct needs *needs)
{
    const struct argument_rule abort_rule = {__NR_tgkill, 0, UINT32_MAX, (uint32_t)getpid(),
                                             NEED_ALWAYS};
    add_load(program, offsetof(struct seccomp_data, arch));
    add(program, BPF_JMP | BPF_JEQ | BPF_K, FILTER_MACHINE, 1, 0);
    add_return(program, SECCOMP_RET_ERRNO | EPERM);
    add_load(program, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        if (needs->of[calls[i].need])
            add_call(program, calls[i].number, SECCOMP_RET_ALLOW);
    }
    /* Its flags cannot be seen; on ENOSYS threads are made by clone, whose flags can. */
    add_call(program, __NR_clone3, SECCOMP_RET_ERRNO | ENOSYS);
    add(program, BPF_JMP | BPF_JGT | BPF_K, NEWEST_CALL, 0, 1);
    add_return(program, SECCOMP_RET_ERRNO | ENOSYS);
    for (size_t i = 0; i < sizeof(argument_rules) / sizeof(argument_rules[0]); i++) {
        if (needs->of[argument_rules[i].need])
            add_argument_rule(program, &argument_rules[i]);
    }
    add_argument_rule(program, &abort_rule);
    add_return(program, SECCOMP_RET_ERRNO | EPERM);
}

static void restrict_calls(const struct needs *needs)
{
    CLEANUP_BUF struct buf text = {0};
    write_filter(&text, needs);
    struct sock_fprog program = {(unsigned short)(text.len / sizeof(struct sock_filter)),
                                 (struct sock_filter *)(void *)text.data};
    /* SPEC_ALLOW: kernels before 5.16 would slow a filtered process down to keep it from speculating past its own checks, which
     * matters to those that run foreign code. */
    long result = syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER,
                          SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program);
    if (result == 0)
        log_message(LOG_DEBUG, "System calls are restricted");
    else
        log_event(LOG_WARNING, "System calls are not restricted",
                  LOG_C("problem", result < 0 ? strerror(errno) : "a thread has another filter"));
}

#else

static void restrict_calls(const struct needs *needs)
{
    (void)needs;
    log_event(LOG_WARNING, "System calls are not restricted",
              LOG_C("problem", "there is no filter for this machine"));
}

#endif

/* ---- files and ports: Landlock ---- */

/* As in linux/landlock.h, of which many systems have none or an old one. The calls' numbers are the same on all machines. */
enum { LANDLOCK_CREATE = 444, LANDLOCK_ADD = 445, LANDLOCK_RESTRICT = 446 };
enum { LANDLOCK_GET_VERSION = 1 };
enum { RULE_PATH = 1, RULE_PORT = 2 };
enum { READ_FILE = 1 << 2, READ_FOLDER = 1 << 3, REMOVE_FILE = 1 << 5 };
enum { BIND_TCP = 1 << 0, CONNECT_TCP = 1 << 1 };
enum { ABSTRACT_SOCKETS = 1 << 0, SIGNALS = 1 << 1 };

struct ruleset {
    uint64_t files, ports, scopes; /* what is forbidden where no rule allows it */
};

struct path_rule {
    uint64_t allowed;
    int32_t folder;
} __attribute__((packed));

struct port_rule {
    uint64_t allowed, port;
};

static int make_ruleset(long version, const struct needs *needs)
{
    /* Of files all rights that the version knows: 13 at first, REFER, TRUNCATE and IOCTL_DEV came with 2, 3 and 5. */
    int rights = version >= 5 ? 16 : version >= 3 ? 15 : version >= 2 ? 14 : 13;
    const struct ruleset ruleset = {(UINT64_C(1) << rights) - 1,
                                    needs->any_port ? BIND_TCP : BIND_TCP | CONNECT_TCP,
                                    ABSTRACT_SOCKETS | SIGNALS};
    size_t size = version >= 6   ? sizeof(ruleset)
                  : version >= 4 ? offsetof(struct ruleset, scopes)
                                 : offsetof(struct ruleset, ports);
    return (int)syscall(LANDLOCK_CREATE, &ruleset, size, 0);
}

static bool allow_folder(int ruleset, int folder, uint64_t rights, const char *path,
                         struct error *err)
{
    const struct path_rule rule = {rights, folder};
    if (folder < 0)
        return error_set(err, "cannot open directory %s: %s", quote(str_from_c(path)).text,
                         strerror(errno));
    return syscall(LANDLOCK_ADD, ruleset, RULE_PATH, &rule, 0) == 0 ||
           error_set(err, "cannot limit file access to %s: %s", quote(str_from_c(path)).text,
                     strerror(errno));
}

static int open_folder(int where, const char *path)
{
    return openat(where, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static bool is_root(int folder)
{
    struct stat info, root;
    return fstat(folder, &info) == 0 && stat("/", &root) == 0 && info.st_dev == root.st_dev &&
           info.st_ino == root.st_ino;
}

static bool allow_policy(int ruleset, const char *path, struct error *err)
{
    CLEANUP_CLOSE int folder = open_folder(AT_FDCWD, path);
    CLEANUP_CLOSE int parent = folder >= 0 ? open_folder(folder, "..") : -1;
    return allow_folder(ruleset, parent >= 0 && !is_root(parent) ? parent : folder,
                        READ_FILE | READ_FOLDER, path, err);
}

/* The folder of a file; freed with free(). */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return mem_strndup(STR("."));
    return mem_strndup(str_make(path, slash > path ? (size_t)(slash - path) : 1));
}

static bool allow_removal(int ruleset, const char *path, struct error *err)
{
    CLEANUP_FREE char *name = folder_of(path);
    CLEANUP_CLOSE int folder = open_folder(AT_FDCWD, name);
    return allow_folder(ruleset, folder, REMOVE_FILE, name, err);
}

/* A folder that need not be there: an image may be empty but for the program. */
static bool allow_reading_if_any(int ruleset, const char *path, struct error *err)
{
    CLEANUP_CLOSE int folder = open_folder(AT_FDCWD, path);
    return folder < 0 || allow_folder(ruleset, folder, READ_FILE | READ_FOLDER, path, err);
}

/* The folders of files that are read again and again. */
static bool allow_files(int ruleset, const struct needs *needs, struct error *err)
{
    for (size_t i = 0; i < needs->file_count; i++) {
        CLEANUP_FREE char *folder = folder_of(needs->files[i]);
        if (!allow_reading_if_any(ruleset, folder, err))
            return false;
    }
    return true;
}

/* /etc/resolv.conf is a link on many systems, and what it leads to is replaced now and then: so its folder. */
static bool allow_names(int ruleset, struct error *err)
{
    CLEANUP_FREE char *servers = realpath("/etc/resolv.conf", NULL);
    CLEANUP_FREE char *folder = folder_of(servers != NULL ? servers : "/etc/resolv.conf");
    return allow_reading_if_any(ruleset, "/etc", err) && allow_reading_if_any(ruleset, folder, err);
}

static bool allow_port(int ruleset, uint64_t port, struct error *err)
{
    const struct port_rule rule = {CONNECT_TCP, port};
    return syscall(LANDLOCK_ADD, ruleset, RULE_PORT, &rule, 0) == 0 ||
           error_set(err, "cannot limit connections to port %u: %s", (unsigned)port,
                     strerror(errno));
}

static bool allow_connections(int ruleset, const struct needs *needs, struct error *err)
{
    enum { DNS = 53 }; /* over TCP where an answer is too long for UDP */
    if (needs->any_port)
        return true;
    return (!needs->of[NEED_TCP] || allow_port(ruleset, needs->port, err)) &&
           (!needs->of[NEED_NAMES] || allow_port(ruleset, DNS, err));
}

static bool restrict_files(const struct harden_paths *paths, const struct needs *needs,
                           struct error *err)
{
    /* Sanitizers read /proc, libraries and, for the symbols of a report, programs. */
    if (needs->of[NEED_SANITIZER])
        return true;
    long version = syscall(LANDLOCK_CREATE, NULL, 0, LANDLOCK_GET_VERSION);
    if (version < 1) {
        log_event(LOG_DEBUG, "Files are not restricted: no Landlock",
                  LOG_C("problem", strerror(errno)));
        return true;
    }
    CLEANUP_CLOSE int ruleset = make_ruleset(version, needs);
    if (ruleset < 0)
        return error_set(err, "cannot make a Landlock ruleset: %s", strerror(errno));
    if (!allow_removal(ruleset, paths->listen, err) ||
        (needs->folder != NULL && !allow_policy(ruleset, needs->folder, err)) ||
        (needs->of[NEED_NAMES] && !allow_names(ruleset, err)) ||
        !allow_files(ruleset, needs, err) ||
        (version >= 4 && !allow_connections(ruleset, needs, err)))
        return false;
    if (syscall(LANDLOCK_RESTRICT, ruleset, 0) != 0)
        return error_set(err, "cannot enforce a Landlock ruleset: %s", strerror(errno));
    log_event(LOG_DEBUG, "Files are restricted", LOG_INT("landlock", version));
    return true;
}

bool harden_process(const struct harden_paths *paths, struct error *err)
{
    const struct needs needs = needs_of(paths);
    /* Whoever may gain privileges must be root to put up the other two. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return error_set(err, "cannot set no_new_privs: %s", strerror(errno));
    /* Landlock first: its own calls are not on the list. */
    if (!restrict_files(paths, &needs, err))
        return false;
    restrict_calls(&needs);
    return true;
}
