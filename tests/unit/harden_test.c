/* harden.h: what a hardened process can still do and what not. Each attempt is made by a process of its own; that it ends by
 * itself, with the error that was expected, shows too that it was not killed. */
#include "cmd/harden.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

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

/* Ports of targets; nobody needs to listen there. */
#define PORT       "50051"
#define OTHER_PORT 50052

/* A folder that is the working directory of all tests:
 *
 *     data/policy/a.yaml    data/policy is the directory source
 *     run/                  where the socket is
 *     secret                outside of both
 */
static char root[] = "/tmp/dikast-harden-XXXXXX";

#define DIRECTORY "directory:data/policy"

static void write_file(const char *path)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("kind: List\n", file);
    assert_int_equal(fclose(file), 0);
}

static int make_world(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(root));
    assert_int_equal(chdir(root), 0);
    assert_int_equal(mkdir("data", 0755) | mkdir("data/policy", 0755) | mkdir("run", 0755), 0);
    write_file("data/policy/a.yaml");
    write_file("run/s");
    write_file("secret");
    return 0;
}

static int remove_world(void **state)
{
    (void)state;
    const char *const files[] = {"data/policy/a.yaml",
                                 "data/old/a.yaml",
                                 "data/policy",
                                 "data/old",
                                 "data",
                                 "run/s",
                                 "run",
                                 "secret"};
    for (size_t i = 0; i < COUNT(files); i++)
        remove(files[i]);
    assert_int_equal(chdir("/"), 0);
    return rmdir(root);
}

/* ---- attempts: 0, or the errno of what was tried ---- */

static int outcome(bool ok)
{
    return ok ? 0 : errno;
}

static int open_and_close(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    int result = outcome(fd >= 0);
    if (fd >= 0)
        close(fd);
    return result;
}

static int read_policy(void)
{
    return open_and_close("data/policy/a.yaml", O_RDONLY);
}

static int list_policy(void)
{
    DIR *folder = opendir("data/policy");
    if (folder == NULL)
        return errno;
    errno = 0;
    bool listed = readdir(folder) != NULL;
    int result = outcome(listed);
    closedir(folder);
    return result;
}

static int watch_policy(void)
{
    int fd = inotify_init1(IN_CLOEXEC);
    return outcome(fd >= 0 && inotify_add_watch(fd, "data/policy", IN_MODIFY) >= 0);
}

static int write_policy(void)
{
    return open_and_close("data/policy/a.yaml", O_WRONLY);
}

static int create_file(void)
{
    return open_and_close("run/new", O_RDONLY | O_CREAT);
}

static int read_secret(void)
{
    return open_and_close("secret", O_RDONLY);
}

static int list_root(void)
{
    return open_and_close("/", O_RDONLY | O_DIRECTORY);
}

static int read_hosts(void)
{
    return open_and_close("/etc/hosts", O_RDONLY);
}

static int remove_socket(void)
{
    return outcome(unlink("run/s") == 0);
}

static int remove_secret(void)
{
    return outcome(unlink("secret") == 0);
}

static int make_folder(void)
{
    return outcome(mkdir("run/folder", 0700) == 0);
}

static int change_mode(void)
{
    return outcome(chmod("secret", 0644) == 0);
}

static int rename_file(void)
{
    return outcome(rename("secret", "secret") == 0);
}

static int start_process(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return outcome(pid > 0);
}

/* 0 does not come back: the program that was executed gives it. */
static int start_program(void)
{
    execl("/bin/true", "true", (char *)NULL);
    return errno;
}

static void *nothing(void *ctx)
{
    return ctx;
}

static int start_thread(void)
{
    pthread_t thread;
    int problem = pthread_create(&thread, NULL, nothing, NULL);
    return problem != 0 ? problem : pthread_join(thread, NULL);
}

/* As a call, since the C library does without it. */
static int call_clone3(void)
{
    return outcome(syscall(__NR_clone3, NULL, 0) >= 0);
}

static int call_future(void)
{
    return outcome(syscall(4000) >= 0);
}

static int call_personality(void)
{
    return outcome(personality(0xffffffff) >= 0);
}

static int call_prctl(void)
{
    return outcome(prctl(PR_SET_NAME, "harden") == 0);
}

static int ask_terminal(void)
{
    struct winsize size;
    int result = outcome(ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0);
    return result == ENOTTY ? 0 : result;
}

static int signal_parent(void)
{
    return outcome(kill(getppid(), 0) == 0);
}

static int signal_self(void)
{
    return outcome(raise(SIGURG) == 0);
}

static int signal_thread_of_parent(void)
{
    return outcome(syscall(__NR_tgkill, getppid(), getppid(), 0) == 0);
}

static int map_memory(void)
{
    return outcome(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
                   MAP_FAILED);
}

static int map_program(void)
{
    return outcome(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
                   MAP_FAILED);
}

static int make_program(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return outcome(mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0);
}

static int open_socket(int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int result = outcome(fd >= 0);
    if (fd >= 0)
        close(fd);
    return result;
}

static int open_unix(void)
{
    return open_socket(AF_UNIX);
}

static int open_tcp(void)
{
    return open_socket(AF_INET);
}

static int open_tcp6(void)
{
    return open_socket(AF_INET6);
}

static int open_netlink(void)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
    return outcome(fd >= 0);
}

static int connect_unix(void)
{
    const struct sockaddr_un address = {AF_UNIX, "run/nobody"};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    connect(fd, (const struct sockaddr *)&address, sizeof(address));
    return errno == ENOENT ? 0 : errno;
}

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

/* That nobody listens there is as good as a connection. */
static int connect_tcp(int port)
{
    const struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd < 0 ? errno : 0;
    return errno == ECONNREFUSED ? 0 : errno;
}

static int connect_target(void)
{
    return connect_tcp(atoi(PORT));
}

static int connect_other(void)
{
    return connect_tcp(OTHER_PORT);
}

static int listen_tcp(void)
{
    const struct sockaddr_in address = loopback(0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return outcome(fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
}

static int resolve(void)
{
    struct addrinfo *addresses = NULL;
    int result = getaddrinfo("localhost", PORT, NULL, &addresses);
    if (addresses != NULL)
        freeaddrinfo(addresses);
    return result == 0 ? 0 : EHOSTUNREACH;
}

#ifdef __x86_64__
/* getpid of the 32-bit interface. */
static int call_of_other_machine(void)
{
    int result = 20;
    __asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
    return result < 0 ? -result : 0;
}
#endif

/* ---- the child that tries ---- */

enum { DIED = -1, NOT_HARDENED = 255 };

static pid_t child;

/* In a new process, hardened for `dial` (NULL: not at all). `meanwhile`, if given, is done outside of it after hardening. */
static int try_it(int (*attempt)(void), const char *dial, void (*meanwhile)(void))
{
    int ready[2], status;
    char byte = 0;
    struct error err;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ready), 0);
    fflush(NULL);
    child = fork();
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        if (dial != NULL && !harden_process(&(struct harden_paths){"run/s", dial, NULL}, &err))
            _exit(NOT_HARDENED);
        bool told = write(ready[1], &byte, 1) == 1 && read(ready[1], &byte, 1) == 1;
        _exit(told ? attempt() : NOT_HARDENED);
    }
    close(ready[1]);
    if (read(ready[0], &byte, 1) == 1) {
        if (meanwhile != NULL)
            meanwhile();
        assert_int_equal(write(ready[0], &byte, 1), 1);
    }
    close(ready[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : DIED;
}

static bool has_landlock(long version)
{
    enum { LANDLOCK_CREATE = 444, GET_VERSION = 1 };
    return !HAS_SANITIZER && syscall(LANDLOCK_CREATE, NULL, 0, GET_VERSION) >= version;
}

#define AGENT_PATH "run/agent"
#define AGENT_IP   "127.0.0.1:" PORT
#define AGENT_NAME "localhost:" PORT

static void test_allowed(void **state)
{
    (void)state;
    static const struct {
        const char *name, *dial;
        int (*attempt)(void);
    } cases[] = {
        {"read a policy", DIRECTORY, read_policy},
        {"list the directory", DIRECTORY, list_policy},
        {"watch the directory", DIRECTORY, watch_policy},
        {"memory", DIRECTORY, map_memory},
        {"a thread", DIRECTORY, start_thread},
        {"a signal to itself", DIRECTORY, signal_self},
        {"connect to a socket", AGENT_PATH, connect_unix},
        {"connect to unix:", "unix:run/agent", connect_unix},
        {"connect to an address", AGENT_IP, connect_target},
        {"IPv6", "[::1]:" PORT, open_tcp6},
        {"connect to a name's address", AGENT_NAME, connect_target},
        {"resolve a name", AGENT_NAME, resolve},
        {"read hosts for a name", AGENT_NAME, read_hosts},
        {"netlink for a name", AGENT_NAME, open_netlink},
        {"remove the socket", DIRECTORY, remove_socket},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        check_number(cases[i].name, try_it(cases[i].attempt, cases[i].dial, NULL), 0);
    write_file("run/s");
}

struct forbidden {
    const char *name, *dial;
    int (*attempt)(void);
    int error;
};

/* Without hardening it works, so that it is hardening what forbids it. */
static void check_forbidden(const struct forbidden *c)
{
    if (try_it(c->attempt, NULL, NULL) != 0)
        print_message("# %s: not possible here anyway\n", c->name);
    else
        check_number(c->name, try_it(c->attempt, c->dial, NULL), c->error);
}

static void test_forbidden_calls(void **state)
{
    (void)state;
    static const struct forbidden cases[] = {
        {"write a policy", DIRECTORY, write_policy, EPERM},
        {"create a file", DIRECTORY, create_file, EPERM},
        {"make a folder", DIRECTORY, make_folder, EPERM},
        {"change a mode", DIRECTORY, change_mode, EPERM},
        {"rename", DIRECTORY, rename_file, EPERM},
        {"a signal to another", DIRECTORY, signal_parent, EPERM},
        {"a signal to another's thread", DIRECTORY, signal_thread_of_parent, EPERM},
        {"ioctl", AGENT_NAME, ask_terminal, EPERM},
        {"personality", DIRECTORY, call_personality, EPERM},
        {"unix socket beside a directory", DIRECTORY, open_unix, EPERM},
        {"TCP socket beside a directory", DIRECTORY, open_tcp, EPERM},
        {"TCP socket beside a unix one", AGENT_PATH, open_tcp, EPERM},
        {"netlink for an address", AGENT_IP, open_netlink, EPERM},
        {"listen, with an address", AGENT_IP, listen_tcp, EPERM},
#ifdef __x86_64__
        {"32-bit call", DIRECTORY, call_of_other_machine, EPERM},
#endif
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        check_forbidden(&cases[i]);
        remove("run/new");
        remove("run/folder");
    }
}

/* What the sanitizers need is not forbidden to them. */
static void test_forbidden_programs(void **state)
{
    (void)state;
    static const struct forbidden cases[] = {
        {"a process", DIRECTORY, start_process, EPERM},
        {"a program", DIRECTORY, start_program, EPERM},
        {"map code", DIRECTORY, map_program, EPERM},
        {"make code", DIRECTORY, make_program, EPERM},
        {"prctl", DIRECTORY, call_prctl, EPERM},
    };
    for (size_t i = 0; !HAS_SANITIZER && i < COUNT(cases); i++)
        check_forbidden(&cases[i]);
}

static void test_forbidden_files(void **state)
{
    (void)state;
    static const struct forbidden cases[] = {
        {"read elsewhere", DIRECTORY, read_secret, EACCES},
        {"list the root", DIRECTORY, list_root, EACCES},
        {"read hosts beside a directory", DIRECTORY, read_hosts, EACCES},
        {"read hosts for an address", AGENT_IP, read_hosts, EACCES},
        {"read the policy beside an agent", AGENT_PATH, read_policy, EACCES},
        {"read elsewhere, with a name", AGENT_NAME, read_secret, EACCES},
    };
    for (size_t i = 0; has_landlock(1) && i < COUNT(cases); i++)
        check_forbidden(&cases[i]);
    if (has_landlock(1))
        check_number("remove elsewhere", try_it(remove_secret, DIRECTORY, NULL), EACCES);
}

static void test_forbidden_ports(void **state)
{
    (void)state;
    static const struct forbidden cases[] = {
        {"another port", AGENT_IP, connect_other, EACCES},
        {"another port, with a name", AGENT_NAME, connect_other, EACCES},
        {"listen, with a name", AGENT_NAME, listen_tcp, EACCES},
    };
    for (size_t i = 0; has_landlock(4) && i < COUNT(cases); i++)
        check_forbidden(&cases[i]);
}

/* A C library goes on without these, if it is told that they are not there. */
static void test_absent(void **state)
{
    (void)state;
    check_number("clone3", try_it(call_clone3, DIRECTORY, NULL), ENOSYS);
    check_number("a call to come", try_it(call_future, DIRECTORY, NULL), ENOSYS);
}

static void replace_policy(void)
{
    assert_int_equal(rename("data/policy", "data/old"), 0);
    assert_int_equal(mkdir("data/policy", 0755), 0);
    write_file("data/policy/a.yaml");
}

static void test_directory_made_anew(void **state)
{
    (void)state;
    check_number("policy", try_it(read_policy, DIRECTORY, replace_policy), 0);
}

static void look_at_privileges(void)
{
    char path[64], text[4096] = "";
    snprintf(path, sizeof(path), "/proc/%d/status", (int)child);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
    fclose(file);
    assert_non_null(strstr(text, "NoNewPrivs:\t1\n"));
}

static void test_no_new_privileges(void **state)
{
    (void)state;
    check_number("alive", try_it(map_memory, DIRECTORY, look_at_privileges), 0);
}

static void test_folder_missing(void **state)
{
    (void)state;
    if (has_landlock(1))
        check_number("folder", try_it(read_policy, "directory:data/none", NULL), NOT_HARDENED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allowed),
        cmocka_unit_test(test_forbidden_calls),
        cmocka_unit_test(test_forbidden_programs),
        cmocka_unit_test(test_forbidden_files),
        cmocka_unit_test(test_forbidden_ports),
        cmocka_unit_test(test_absent),
        cmocka_unit_test(test_no_new_privileges),
        cmocka_unit_test(test_directory_made_anew),
        cmocka_unit_test(test_folder_missing),
    };
    return cmocka_run_group_tests(tests, make_world, remove_world);
}
