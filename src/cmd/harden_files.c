/* What files and ports may be had: Landlock. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "cmd/harden_fences.h"

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

bool harden_files(const struct harden_paths *paths, const struct needs *needs, struct error *err)
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
