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

#include "base/ip.h"
#include "base/log.h"
#include "base/mem.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SANITIZER true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_SANITIZER true
#endif
#endif
#ifndef HAS_SANITIZER
#define HAS_SANITIZER false
#endif

/* ---- what there is need of ---- */

enum need {
    ALWAYS,
    AGENT,     /* a node agent is connected to */
    TCP,       /* over TCP */
    NAMES,     /* by the name of a host, which is resolved afresh each time */
    SANITIZER, /* in a build with one; the leak check traces the process from one that it clones */
};

struct needs {
    bool of[SANITIZER + 1];
    const char *folder; /* the directory that policy comes from, or NULL */
    uint64_t port;      /* with TCP */
};

/* HOST:PORT or [HOST]:PORT; what is neither was refused before. */
static void find_tcp_needs(struct needs *needs, struct str target)
{
    struct ip_addr address;
    size_t colon = target.len;
    while (colon > 0 && target.ptr[colon - 1] != ':')
        colon--;
    struct str host = str_head(target, colon > 0 ? colon - 1 : 0);
    if (host.len > 2 && host.ptr[0] == '[')
        host = str_make(host.ptr + 1, host.len - 2);
    needs->of[TCP] = str_parse_uint(str_from(target, colon), UINT16_MAX, &needs->port);
    needs->of[NAMES] = !ip_parse_addr(host, &address);
}

/* The forms of a target are those of policy_source.h and grpc/client.h. */
static struct needs find_needs(const char *dial)
{
    static const struct str directory = STR_INIT("directory:");
    struct str target = str_from_c(dial);
    struct needs needs = {.of = {[ALWAYS] = true, [SANITIZER] = HAS_SANITIZER}};
    if (str_starts_with(target, directory)) {
        needs.folder = dial + directory.len;
        return needs;
    }
    needs.of[AGENT] = true;
    if (!str_starts_with(target, STR("unix:")) && str_find(target, '/') == target.len)
        find_tcp_needs(&needs, target);
    return needs;
}

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
    {__NR_epoll_wait, ALWAYS},
#endif
    {__NR_epoll_pwait, ALWAYS},
    {__NR_recvfrom, ALWAYS},
    {__NR_sendto, ALWAYS},
    {__NR_read, ALWAYS},
    {__NR_write, ALWAYS},
    {__NR_recvmsg, ALWAYS},
    {__NR_sendmsg, ALWAYS},
    {__NR_readv, ALWAYS},
    {__NR_writev, ALWAYS},
    {__NR_epoll_ctl, ALWAYS},
    {__NR_futex, ALWAYS},
    /* Where the vDSO does not tell the time, as on some virtual machines. */
    {__NR_clock_gettime, ALWAYS},
    {__NR_gettimeofday, ALWAYS},
    /* Connections and the loop. */
    {__NR_accept4, ALWAYS},
    {__NR_close, ALWAYS},
    {__NR_shutdown, ALWAYS},
    {__NR_getsockopt, ALWAYS},
    {__NR_setsockopt, ALWAYS},
    {__NR_getsockname, ALWAYS},
    {__NR_getpeername, ALWAYS},
    {__NR_fcntl, ALWAYS},
    {__NR_epoll_create1, ALWAYS},
    {__NR_eventfd2, ALWAYS},
    {__NR_timerfd_create, ALWAYS},
    {__NR_timerfd_settime, ALWAYS},
    {__NR_signalfd4, ALWAYS},
    {__NR_getrandom, ALWAYS},
    /* Memory; sysinfo: qsort asks how much there is. */
    {__NR_brk, ALWAYS},
    {__NR_munmap, ALWAYS},
    {__NR_mremap, ALWAYS},
    {__NR_madvise, ALWAYS},
    {__NR_sysinfo, ALWAYS},
    {__NR_getrusage, ALWAYS},
    /* The directory, and the socket's end. */
    {__NR_fstat, ALWAYS},
    {__NR_newfstatat, ALWAYS},
    {__NR_statx, ALWAYS},
#ifdef __NR_stat
    {__NR_stat, ALWAYS},
    {__NR_lstat, ALWAYS},
    {__NR_unlink, ALWAYS},
#endif
    {__NR_unlinkat, ALWAYS},
    {__NR_faccessat, ALWAYS},
    {__NR_faccessat2, ALWAYS},
    {__NR_lseek, ALWAYS},
    {__NR_pread64, ALWAYS},
    {__NR_getdents64, ALWAYS},
    {__NR_inotify_init1, ALWAYS},
    {__NR_inotify_add_watch, ALWAYS},
    {__NR_inotify_rm_watch, ALWAYS},
    /* Threads and signals. */
    {__NR_set_robust_list, ALWAYS},
    {__NR_rseq, ALWAYS},
    {__NR_sched_yield, ALWAYS},
    {__NR_sched_getaffinity, ALWAYS},
    {__NR_getpid, ALWAYS},
    {__NR_gettid, ALWAYS},
    {__NR_rt_sigprocmask, ALWAYS},
    {__NR_rt_sigaction, ALWAYS},
    {__NR_rt_sigreturn, ALWAYS},
    {__NR_restart_syscall, ALWAYS},
    {__NR_nanosleep, ALWAYS},
    {__NR_clock_nanosleep, ALWAYS},
    {__NR_exit, ALWAYS},
    {__NR_exit_group, ALWAYS},
    /* The node agent; for a name, DNS and the choice between its addresses. */
    {__NR_connect, AGENT},
    {__NR_bind, NAMES}, /* netlink; TCP is Landlock's */
    {__NR_uname, NAMES},
#ifdef __NR_poll
    {__NR_poll, ALWAYS},
#endif
    {__NR_ppoll, ALWAYS},
    {__NR_sendmmsg, NAMES},
    /* The leak check, and the symbols of a report. */
    {__NR_clone, SANITIZER},
    {__NR_execve, SANITIZER},
#ifdef __NR_fork
    {__NR_readlink, SANITIZER},
    {__NR_pipe, SANITIZER},
    {__NR_fork, SANITIZER},
    {__NR_getdents, SANITIZER},
    {__NR_dup2, SANITIZER},
#endif
    {__NR_pipe2, SANITIZER},
    {__NR_dup3, SANITIZER},
    {__NR_readlinkat, SANITIZER},
    {__NR_prctl, SANITIZER},
    {__NR_prlimit64, SANITIZER},
    {__NR_getppid, SANITIZER},
    {__NR_ptrace, SANITIZER},
    {__NR_sigaltstack, SANITIZER},
    {__NR_wait4, SANITIZER},
};

/* Calls that are allowed if an argument's low 32 bits are right: all that the kernel itself looks at. */
struct argument_rule {
    unsigned number, argument;
    uint32_t mask, value; /* (argument & mask) == value */
    enum need need;
};

enum { WRITING = O_ACCMODE | O_CREAT | O_TRUNC };

static const struct argument_rule argument_rules[] = {
    {__NR_mmap, 2, PROT_EXEC, 0, ALWAYS},
    {__NR_mprotect, 2, PROT_EXEC, 0, ALWAYS},
    {__NR_openat, 2, WRITING, O_RDONLY, ALWAYS},
#ifdef __NR_open
    {__NR_open, 1, WRITING, O_RDONLY, ALWAYS},
#endif
    {__NR_clone, 0, CLONE_THREAD, CLONE_THREAD, ALWAYS},
    {__NR_socket, 0, UINT32_MAX, AF_UNIX, AGENT},
    {__NR_socket, 0, UINT32_MAX, AF_INET, TCP},
    {__NR_socket, 0, UINT32_MAX, AF_INET6, TCP},
    {__NR_socket, 0, UINT32_MAX, AF_NETLINK, NAMES},
    {__NR_ioctl, 1, UINT32_MAX, FIONREAD, NAMES},
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
                                             ALWAYS};
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

static int make_ruleset(long version)
{
    /* Of files all rights that the version knows: 13 at first, REFER, TRUNCATE and IOCTL_DEV came with 2, 3 and 5. */
    int rights = version >= 5 ? 16 : version >= 3 ? 15 : version >= 2 ? 14 : 13;
    const struct ruleset ruleset = {(UINT64_C(1) << rights) - 1, BIND_TCP | CONNECT_TCP,
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
    return (!needs->of[TCP] || allow_port(ruleset, needs->port, err)) &&
           (!needs->of[NAMES] || allow_port(ruleset, DNS, err));
}

static bool restrict_files(const struct harden_paths *paths, const struct needs *needs,
                           struct error *err)
{
    /* Sanitizers read /proc, libraries and, for the symbols of a report, programs. */
    if (HAS_SANITIZER)
        return true;
    long version = syscall(LANDLOCK_CREATE, NULL, 0, LANDLOCK_GET_VERSION);
    if (version < 1) {
        log_event(LOG_DEBUG, "Files are not restricted: no Landlock",
                  LOG_C("problem", strerror(errno)));
        return true;
    }
    CLEANUP_CLOSE int ruleset = make_ruleset(version);
    if (ruleset < 0)
        return error_set(err, "cannot make a Landlock ruleset: %s", strerror(errno));
    if (!allow_removal(ruleset, paths->listen, err) ||
        (needs->folder != NULL && !allow_policy(ruleset, needs->folder, err)) ||
        (needs->of[NAMES] && !allow_names(ruleset, err)) ||
        (version >= 4 && !allow_connections(ruleset, needs, err)))
        return false;
    if (syscall(LANDLOCK_RESTRICT, ruleset, 0) != 0)
        return error_set(err, "cannot enforce a Landlock ruleset: %s", strerror(errno));
    log_event(LOG_DEBUG, "Files are restricted", LOG_INT("landlock", version));
    return true;
}

bool harden_process(const struct harden_paths *paths, struct error *err)
{
    const struct needs needs = find_needs(paths->dial);
    /* Whoever may gain privileges must be root to put up the other two. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return error_set(err, "cannot set no_new_privs: %s", strerror(errno));
    /* Landlock first: its own calls are not on the list. */
    if (!restrict_files(paths, &needs, err))
        return false;
    restrict_calls(&needs);
    return true;
}
