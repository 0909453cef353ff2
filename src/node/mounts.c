#include "node/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/mem.h"

/* ---- the path of a target ---- */

/* Takes the next component off a path. False at its end. */
static bool next_component(struct str *path, struct str *component)
{
    size_t start = 0;
    while (start < path->len && path->ptr[start] == '/')
        start++;
    if (start == path->len)
        return false;
    struct str rest = str_make(path->ptr + start, path->len - start);
    *component = str_head(rest, str_find(rest, '/'));
    *path = str_make(rest.ptr + component->len, rest.len - component->len);
    return true;
}

/* What a TARGET's path consists of. */
struct parts {
    struct str pods; /* the path until `pods`, that included */
    struct str uid;
    struct str rest; /* from `volumes` on */
};

/* In …/pods/UID/volumes/DRIVER/NAME the last `pods` that has `volumes` two behind it is kubelet's: behind kubelet's `volumes` there
 * is no room for another such three. */
static bool find_parts(struct str path, struct parts *parts)
{
    struct str rest = path, before = {NULL, 0}, last = {NULL, 0}, component;
    bool found = false;
    for (; next_component(&rest, &component); before = last, last = component) {
        if (!str_eq(before, STR("pods")) || !str_eq(component, STR("volumes")))
            continue;
        parts->pods = str_head(path, (size_t)(before.ptr + before.len - path.ptr));
        parts->uid = last;
        parts->rest = str_from(path, (size_t)(component.ptr - path.ptr));
        found = true;
    }
    return found;
}

static bool check_components(struct str path, struct error *err)
{
    struct str rest = path, component;
    while (next_component(&rest, &component)) {
        if (component.len > NAME_MAX)
            return error_set(err, "%s has a name of more than %d bytes in it", quote(path).text,
                             NAME_MAX);
        if (str_eq(component, STR(".")) || str_eq(component, STR("..")))
            return error_set(err, "%s has %.*s in it", quote(path).text, STR_ARG(component));
    }
    return true;
}

static bool parse_path(struct str path, struct parts *parts, struct error *err)
{
    if (path.len == 0 || path.ptr[0] != '/')
        return error_set(err, "%s is not an absolute path", quote(path).text);
    if (path.len >= PATH_MAX)
        return error_set(err, "%s is longer than %d bytes", quote(path).text, PATH_MAX - 1);
    if (str_find(path, '\0') < path.len)
        return error_set(err, "%s has NUL in it", quote(path).text);
    if (!check_components(path, err))
        return false;
    struct str rest, ignored;
    bool found = find_parts(path, parts);
    rest = parts->rest;
    /* volumes, DRIVER, NAME */
    for (int i = 0; i < 3 && found; i++)
        found = next_component(&rest, &ignored);
    return found ||
           error_set(err, "%s is not the path of a pod's volume (.../pods/UID/volumes/DRIVER/NAME)",
                     quote(path).text);
}

bool mounts_pod_uid(struct str path, struct str *uid, struct error *err)
{
    struct parts parts = {0};
    if (!parse_path(path, &parts, err))
        return false;
    *uid = parts.uid;
    return true;
}

bool mounts_is_same(struct str a, struct str b)
{
    struct parts first = {0}, second = {0};
    struct error ignored;
    if (!parse_path(a, &first, &ignored) || !parse_path(b, &second, &ignored) ||
        !str_eq(first.uid, second.uid))
        return false;
    struct str one, other;
    bool more;
    do {
        more = next_component(&first.rest, &one);
        if (more != next_component(&second.rest, &other) || (more && !str_eq(one, other)))
            return false;
    } while (more);
    return true;
}

/* ---- the parent folder ---- */

static void copy_name(char name[static NAME_MAX + 1], struct str component)
{
    snprintf(name, NAME_MAX + 1, "%.*s", STR_ARG(component));
}

static int open_pods(struct str path)
{
    CLEANUP_FREE char *text = mem_strndup(path);
    return open(text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Goes one folder down, never through a link. The folder that *fd was is closed. */
static void descend(int *fd, struct str component)
{
    char name[NAME_MAX + 1];
    copy_name(name, component);
    int next = openat(*fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int error = errno;
    close(*fd);
    *fd = next;
    errno = error;
}

/* Opens all but the last component, which goes to `name`. -1, with errno, if that fails. */
static int open_parent(const struct parts *parts, char name[static NAME_MAX + 1])
{
    int fd = open_pods(parts->pods);
    struct str component = parts->uid, rest = parts->rest, next;
    while (next_component(&rest, &next)) {
        if (fd >= 0)
            descend(&fd, component);
        component = next;
    }
    copy_name(name, component);
    return fd;
}

bool mounts_open(struct str path, struct mounts_target *target, struct error *err)
{
    struct parts parts = {0};
    *target = (struct mounts_target){.path = path, .parent = -1};
    if (!parse_path(path, &parts, err))
        return false;
    target->parent = open_parent(&parts, target->name);
    if (target->parent < 0)
        return errno == ENOENT || error_set(err, "cannot open the folder of %s: %s",
                                            quote(path).text, strerror(errno));
    int locked;
    do {
        locked = flock(target->parent, LOCK_EX);
    } while (locked != 0 && errno == EINTR);
    if (locked == 0)
        return true;
    error_set(err, "cannot lock the folder of %s: %s", quote(path).text, strerror(errno));
    mounts_close(target);
    return false;
}

void mounts_close(struct mounts_target *target)
{
    if (target->parent >= 0)
        close(target->parent);
    target->parent = -1;
}

/* ---- looking ---- */

/* Opens a folder, or what is mounted on it, without taking a link for one. */
static int open_folder(int parent, const char *name)
{
    return openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* The id of the mount that an open file is on; -1, with errno: unknown. */
static long mount_id(int fd)
{
    char path[64], text[512];
    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
    CLEANUP_CLOSE int info = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = info >= 0 ? read(info, text, sizeof(text) - 1) : -1;
    if (len < 0)
        return -1;
    text[len] = '\0';
    const char *place = strstr(text, "mnt_id:");
    errno = ENOTSUP; /* before Linux 3.15 */
    return place != NULL ? strtol(place + strlen("mnt_id:"), NULL, 10) : -1;
}

enum state { NOT_MOUNTED, MOUNTED, UNKNOWN };

/* Whether something is mounted on the folder that is open as `fd`, in the folder `parent`. */
static enum state look(int parent, int fd)
{
    long above = mount_id(parent), here = mount_id(fd);
    if (above < 0 || here < 0)
        return UNKNOWN;
    return above == here ? NOT_MOUNTED : MOUNTED;
}

static bool is_tmpfs(int fd)
{
    struct statfs info;
    return fstatfs(fd, &info) == 0 && info.f_type == TMPFS_MAGIC;
}

static bool is_restricted(int fd, bool writable)
{
    const unsigned long safe = ST_NOSUID | ST_NODEV | ST_NOEXEC;
    struct statvfs info;
    return fstatvfs(fd, &info) == 0 &&
           (info.f_flag & (safe | ST_RDONLY)) == (safe | (writable ? 0 : ST_RDONLY));
}

static bool is_same_folder(int a, int b)
{
    struct stat first, second;
    return fstat(a, &first) == 0 && fstat(b, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

/* Whether the tmpfs that is open as `root` has all in it that it should have. */
static bool is_complete(int root, int folder, bool writable)
{
    CLEANUP_CLOSE int inner = open_folder(root, "nodeagent");
    return inner >= 0 && look(root, inner) == MOUNTED && is_same_folder(inner, folder) &&
           is_restricted(inner, writable) && is_restricted(root, writable);
}

/* ---- mounting ---- */

enum { SAFE = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC };

/* A tmpfs that is not mounted anywhere yet. -1, with errno: ENOSYS if the kernel cannot. */
static int new_tmpfs(void)
{
    static const char *const settings[][2] = {
        {"source", "tmpfs"}, {"size", "8k"}, {"mode", "0755"}};
    CLEANUP_CLOSE int context = fsopen("tmpfs", FSOPEN_CLOEXEC);
    if (context < 0)
        return -1;
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        if (fsconfig(context, FSCONFIG_SET_STRING, settings[i][0], settings[i][1], 0) != 0)
            return -1;
    }
    if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0)
        return -1;
    return fsmount(context, FSMOUNT_CLOEXEC, SAFE);
}

static bool restrict_mount(int mount, bool writable)
{
    struct mount_attr attributes = {.attr_set = SAFE | (writable ? 0 : MOUNT_ATTR_RDONLY)};
    return mount_setattr(mount, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) == 0;
}

static bool attach(int mount, int folder, const char *name)
{
    CLEANUP_CLOSE int on = open_folder(folder, name);
    return on >= 0 &&
           move_mount(mount, "", on, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0;
}

/* All of it, on a folder on which nothing is mounted. Each mount has its restrictions before anybody sees it, and so
 * have its copies in other mount namespaces: a driver in a container mounts for the node. False with errno; ENOSYS: nothing was
 * done, and the kernel is too old for this. */
static bool mount_all(const struct mounts_target *target, int folder, bool writable)
{
    CLEANUP_CLOSE int root = new_tmpfs();
    CLEANUP_CLOSE int inner =
        root >= 0 ? open_tree(folder, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH) : -1;
    return inner >= 0 && mkdirat(root, "nodeagent", 0755) == 0 && restrict_mount(root, writable) &&
           restrict_mount(inner, writable) && attach(root, target->parent, target->name) &&
           attach(inner, root, "nodeagent");
}

/* ---- mounting before Linux 5.12 ---- */

/* The path by which mount(2) takes a folder that is open. */
struct fd_path {
    char text[32];
};

static struct fd_path fd_path(int fd)
{
    struct fd_path path;
    snprintf(path.text, sizeof(path.text), "/proc/self/fd/%d", fd);
    return path;
}

enum { OLD_SAFE = MS_NOSUID | MS_NODEV | MS_NOEXEC };

static bool old_mount_tmpfs(int on)
{
    return mount("tmpfs", fd_path(on).text, "tmpfs", OLD_SAFE, "size=8k,mode=0755") == 0;
}

static bool old_bind_folder(int folder, int on)
{
    return mount(fd_path(folder).text, fd_path(on).text, NULL, MS_BIND, NULL) == 0;
}

static bool old_restrict_mount(int root, bool writable)
{
    unsigned long access = writable ? 0 : MS_RDONLY;
    return mount(NULL, fd_path(root).text, NULL, MS_REMOUNT | MS_BIND | OLD_SAFE | access, NULL) ==
           0;
}

/* The same as mount_all, but that copies in other mount namespaces are not restricted. A folder has to be opened again
 * to be seen with what was mounted on it. */
static bool old_mount_all(const struct mounts_target *target, int folder, bool writable)
{
    CLEANUP_CLOSE int on = open_folder(target->parent, target->name);
    if (on < 0 || !old_mount_tmpfs(on))
        return false;
    CLEANUP_CLOSE int root = open_folder(target->parent, target->name);
    if (root < 0 || mkdirat(root, "nodeagent", 0755) != 0)
        return false;
    CLEANUP_CLOSE int inner_on = open_folder(root, "nodeagent");
    if (inner_on < 0 || !old_bind_folder(folder, inner_on))
        return false;
    CLEANUP_CLOSE int inner = open_folder(root, "nodeagent");
    return inner >= 0 && old_restrict_mount(inner, writable) && old_restrict_mount(root, writable);
}

/* ---- unmounting ---- */

/* Far more than anybody stacks on purpose. */
enum { STACK_LIMIT = 100 };

/* Unmounts until nothing is mounted there. Lazily, so that nobody who looks into the volume at that moment can keep it; that
 * takes what is mounted below with it. False with errno. */
static bool unmount_all(const struct mounts_target *target)
{
    char path[sizeof(struct fd_path) + NAME_MAX + 1];
    snprintf(path, sizeof(path), "%s/%s", fd_path(target->parent).text, target->name);
    for (int i = 0; i < STACK_LIMIT; i++) {
        CLEANUP_CLOSE int fd = open_folder(target->parent, target->name);
        if (fd < 0)
            return errno == ENOENT;
        enum state state = look(target->parent, fd);
        if (state == NOT_MOUNTED)
            return true;
        if (state == UNKNOWN || umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) != 0)
            return false;
    }
    errno = EBUSY;
    return false;
}

static void remove_made_folder(struct mounts_target *target)
{
    if (target->made_folder)
        unlinkat(target->parent, target->name, AT_REMOVEDIR);
    target->made_folder = false;
}

void mounts_undo(struct mounts_target *target)
{
    unmount_all(target);
    remove_made_folder(target);
}

static bool fail(const struct mounts_target *target, const char *what, struct error *err)
{
    return error_set(err, "cannot %s %s: %s", what, quote(target->path).text, strerror(errno));
}

/* Finds out what to do. *fd is TARGET, open. */
static bool prepare(struct mounts_target *target, int *fd, enum state *state, struct error *err)
{
    if (target->parent < 0) {
        errno = ENOENT;
        return fail(target, "open the folder of", err);
    }
    target->made_folder = mkdirat(target->parent, target->name, 0750) == 0;
    if (!target->made_folder && errno != EEXIST)
        return fail(target, "make the folder", err);
    *fd = open_folder(target->parent, target->name);
    if (*fd < 0)
        return fail(target, "open the folder", err);
    *state = look(target->parent, *fd);
    if (*state == UNKNOWN)
        return fail(target, "find out in /proc what is mounted at", err);
    return *state == NOT_MOUNTED || is_tmpfs(*fd) ||
           error_set(err, "something else is mounted at %s", quote(target->path).text);
}

bool mounts_make(struct mounts_target *target, int folder, bool writable, bool *made,
                 struct error *err)
{
    CLEANUP_CLOSE int fd = -1;
    enum state state = UNKNOWN;
    *made = false;
    if (!prepare(target, &fd, &state, err)) {
        remove_made_folder(target);
        return false;
    }
    if (state == MOUNTED && is_complete(fd, folder, writable))
        return true;
    if (!unmount_all(target))
        return fail(target, "unmount what is left at", err);
    *made = mount_all(target, folder, writable) ||
            (errno == ENOSYS && old_mount_all(target, folder, writable));
    if (*made)
        return true;
    fail(target, "mount", err);
    mounts_undo(target);
    return false;
}

bool mounts_remove(struct mounts_target *target, struct error *err)
{
    if (target->parent < 0)
        return true;
    if (!unmount_all(target))
        return fail(target, "unmount", err);
    return unlinkat(target->parent, target->name, AT_REMOVEDIR) == 0 || errno == ENOENT ||
           fail(target, "remove the folder", err);
}
