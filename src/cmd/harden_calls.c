/* The filter of system calls: seccomp. */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "cmd/harden_fences.h"

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

void harden_calls(const struct needs *needs)
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

void harden_calls(const struct needs *needs)
{
    (void)needs;
    log_event(LOG_WARNING, "System calls are not restricted",
              LOG_C("problem", "there is no filter for this machine"));
}

#endif
