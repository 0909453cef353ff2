#include "node/volume.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/log.h"
#include "node/mounts.h"

/* ---- the workload's folder ---- */

static bool fail(const char *what, const char *home, const char *name, struct error *err)
{
    int error = errno;
    CLEANUP_ARENA struct arena arena = {0};
    struct str path = arena_printf(&arena, "%s/%s", home, name);
    return error_set(err, "cannot %s the folder %s: %s", what, quote(path).text, strerror(error));
}

/* Returns it open, or -1. */
static int make_workload_folder(const char *home, const char *name, struct error *err)
{
    CLEANUP_CLOSE int parent = disk_open_folder(home, true, err);
    if (parent < 0)
        return -1;
    if (mkdirat(parent, name, 0711) != 0 && errno != EEXIST) {
        fail("make", home, name, err);
        return -1;
    }
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    /* The umask may have left less. */
    if (fd >= 0 && fchmod(fd, 0711) == 0)
        return fd;
    fail("prepare", home, name, err);
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Sockets that the node agent left, or made while its credentials were being taken away. */
static void remove_sockets(int folder)
{
    struct stat info;
    DIR *entries = disk_open_names(folder);
    if (entries == NULL)
        return;
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        if (fstatat(folder, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISSOCK(info.st_mode))
            unlinkat(folder, entry->d_name, 0);
    }
    closedir(entries);
}

static bool remove_if_empty(int parent, const char *home, const char *name, struct error *err)
{
    if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return true;
    if (errno != ENOTEMPTY && errno != EEXIST)
        return fail("remove", home, name, err);
    log_event(LOG_WARNING, "A workload's folder is not empty and stays", LOG_C("folder", home),
              LOG_C("name", name));
    return true;
}

static bool remove_workload_folder(const char *home, const char *name, struct error *err)
{
    CLEANUP_CLOSE int parent = disk_open_folder(home, false, err);
    if (parent < 0)
        return errno == ENOENT;
    CLEANUP_CLOSE int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || fail("open", home, name, err);
    remove_sockets(fd);
    return remove_if_empty(parent, home, name, err);
}

/* ---- looking ---- */

struct str volume_name_of(const struct mountinfo_entry *entry)
{
    size_t start = entry->root.len;
    while (start > 0 && entry->root.ptr[start - 1] != '/')
        start--;
    return str_from(entry->root, start);
}

bool volume_take_mount(const struct mountinfo_entry *entry, struct volume_mount *mount)
{
    const struct str end = STR("/nodeagent");
    if (!str_ends_with(entry->point, end))
        return false;
    mount->name = volume_name_of(entry);
    mount->target = str_head(entry->point, entry->point.len - end.len);
    return mounts_is_same(mount->target, mount->target);
}

bool volume_find(struct arena *arena, struct str target, struct str name,
                 struct volume_sight *sight, struct error *err)
{
    struct mountinfo info;
    struct volume_mount mount;
    *sight = (struct volume_sight){0};
    if (!mountinfo_read(arena, &info, err))
        return false;
    for (size_t i = 0; i < info.count; i++) {
        if (!volume_take_mount(&info.entries[i], &mount))
            continue;
        bool is_it = str_eq(mount.name, name);
        if (!mounts_is_same(mount.target, target))
            sight->is_elsewhere |= is_it;
        else if (is_it)
            sight->is_here = true;
        else
            sight->instead = mount.name;
    }
    return true;
}

/* ---- the whole ---- */

/* The container runtime labels what is in a volume only then, and cannot in a read-only one. */
static bool has_selinux(void)
{
    struct statfs info;
    return statfs("/sys/fs/selinux", &info) == 0 && info.f_type == SELINUX_MAGIC;
}

/* Those that cannot be read just now may be good. */
static bool has_credentials(const struct volume_homes *homes, struct str name)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct credentials credentials;
    struct error ignored;
    enum disk_result result =
        credentials_read(homes->credentials, name, &arena, &credentials, &ignored);
    return result == DISK_READ || result == DISK_BUSY;
}

static bool add(const struct volume_homes *homes, struct mounts_target *target, struct str name,
                const struct credentials *credentials, bool read_only, struct error *err)
{
    CLEANUP_FREE char *text = mem_strndup(name);
    struct error ignored;
    /* They may also belong to the pod's other volume, which shares the folder. */
    bool was_there = has_credentials(homes, name);
    bool made = false, mounted = false;
    int folder = make_workload_folder(homes->workloads, text, err);
    if (folder >= 0) {
        mounted = mounts_make(target, folder, !read_only && has_selinux(), &made, err);
        close(folder);
    }
    if (mounted && credentials_write(homes->credentials, name, credentials, err))
        return true;
    if (mounted && (made || !was_there))
        mounts_undo(target);
    if (!was_there)
        remove_workload_folder(homes->workloads, text, &ignored);
    return false;
}

bool volume_add(const struct volume_homes *homes, struct str target, struct str name,
                const struct credentials *credentials, const struct credentials_keys *keys,
                bool read_only, struct error *err)
{
    struct mounts_target place;
    if (!credentials_check_name("the volume's name", name, err) ||
        !credentials_check(credentials, keys, err) || !mounts_open(target, &place, err))
        return false;
    bool added = add(homes, &place, name, credentials, read_only, err);
    mounts_close(&place);
    return added;
}

bool volume_detach(struct str target, struct error *err)
{
    struct mounts_target place;
    if (!mounts_open(target, &place, err))
        return false;
    bool unmounted = mounts_remove(&place, err);
    mounts_close(&place);
    return unmounted;
}

bool volume_forget(const struct volume_homes *homes, struct str name, struct error *err)
{
    if (!credentials_check_name("the volume's name", name, err))
        return false;
    CLEANUP_FREE char *text = mem_strndup(name);
    struct error ignored;
    bool forgotten = credentials_remove(homes->credentials, name, err);
    bool removed = remove_workload_folder(homes->workloads, text, forgotten ? err : &ignored);
    return forgotten && removed;
}

bool volume_remove(const struct volume_homes *homes, struct str target, struct str name,
                   struct error *err)
{
    struct mounts_target place;
    struct error ignored;
    if (!credentials_check_name("the volume's name", name, err) ||
        !mounts_open(target, &place, err))
        return false;
    CLEANUP_FREE char *text = mem_strndup(name);
    bool forgotten = credentials_remove(homes->credentials, name, err);
    bool unmounted = mounts_remove(&place, forgotten ? err : &ignored);
    bool removed =
        remove_workload_folder(homes->workloads, text, forgotten && unmounted ? err : &ignored);
    mounts_close(&place);
    return forgotten && unmounted && removed;
}
