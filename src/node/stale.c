#include "node/stale.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "node/mountinfo.h"
#include "node/mounts.h"

struct cleaning {
    const struct volume_homes *homes;
    int pods;            /* kubelet's folder of pods */
    struct arena *arena; /* of what is read while this lasts */
    struct mountinfo info;
    struct stale_count *count;
};

/* ---- names ---- */

static bool is_kubelets_name(struct str name)
{
    enum { DIGITS = 64 };
    const struct str start = STR("csi-");
    if (name.len != start.len + DIGITS || !str_starts_with(name, start))
        return false;
    for (size_t i = start.len; i < name.len; i++) {
        if (memchr("0123456789abcdef", name.ptr[i], 16) == NULL)
            return false;
    }
    return true;
}

/* The volume that a file in P/creds or a folder in P/mount belongs to: NAME, NAME.json, or .NAME.json.new, which a killed writer
 * leaves (see disk.h). False: it is none of ours. */
static bool take_name(struct str file, struct str *name)
{
    const struct str new_end = STR(".json.new"), end = STR(".json");
    if (str_starts_with(file, STR(".")) && str_ends_with(file, new_end))
        file = str_make(file.ptr + 1, file.len - 1 - new_end.len);
    else if (str_ends_with(file, end))
        file.len -= end.len;
    *name = file;
    return is_kubelets_name(file);
}

struct names {
    struct str *items;
    size_t count, capacity;
};

static void add_name(struct names *names, struct arena *arena, struct str name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (str_eq(names->items[i], name))
            return;
    }
    MEM_GROW(names->items, names->count, names->capacity);
    names->items[names->count++] = arena_copy(arena, name);
}

/* A folder that is not there has no names in it. */
static bool list_names(const char *path, struct arena *arena, struct names *names,
                       struct error *err)
{
    struct str name;
    CLEANUP_CLOSE int fd = disk_open_folder(path, false, err);
    if (fd < 0)
        return errno == ENOENT;
    DIR *entries = disk_open_names(fd);
    if (entries == NULL)
        return error_set(err, "cannot read the folder %s: %s", quote(str_from_c(path)).text,
                         strerror(errno));
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        if (take_name(str_from_c(entry->d_name), &name))
            add_name(names, arena, name);
    }
    closedir(entries);
    return true;
}

/* ---- mounts ---- */

/* Whether all that is mounted at a target shows folders that are gone. Then it is of no use to the volume's pod. */
static bool is_dead(const struct cleaning *c, struct str target)
{
    struct volume_mount mount;
    for (size_t i = 0; i < c->info.count; i++) {
        if (volume_take_mount(&c->info.entries[i], &mount) &&
            mounts_is_same(mount.target, target) && !c->info.entries[i].is_deleted)
            return false;
    }
    return true;
}

/* Whether kubelet can still ask for a volume to be taken away; if that cannot be found out, it can. */
static bool is_known_to_kubelet(struct str target)
{
    struct mounts_target place;
    struct error err;
    struct stat info;
    if (!mounts_open(target, &place, &err))
        return true;
    bool known = place.parent < 0 || fstatat(place.parent, "vol_data.json", &info, 0) == 0 ||
                 errno != ENOENT;
    mounts_close(&place);
    return known;
}

static enum disk_result read_credentials(const struct cleaning *c, struct str name,
                                         struct credentials *credentials, struct error *err)
{
    return credentials_read(c->homes->credentials, name, c->arena, credentials, err);
}

static void warn(struct cleaning *c, const char *message, struct str name, const char *problem)
{
    c->count->doubtful++;
    log_event(LOG_WARNING, message, LOG_STR("name", name), LOG_C("problem", problem));
}

static void clean_mount(struct cleaning *c, const struct volume_mount *mount)
{
    struct credentials credentials;
    struct error err;
    bool is_useless = is_dead(c, mount->target);
    if (!is_useless && is_known_to_kubelet(mount->target))
        return;
    if (!is_useless && read_credentials(c, mount->name, &credentials, &err) != DISK_GONE) {
        warn(c, "A volume stays that kubelet does not know, since its pod may still run",
             mount->name, "no vol_data.json beside it");
        return;
    }
    if (!volume_detach(mount->target, &err)) {
        warn(c, "Cannot take away a stale mount", mount->name, err.text);
        return;
    }
    c->count->mounts++;
    log_event(LOG_INFO, "Took away a stale mount", LOG_STR("name", mount->name),
              LOG_STR("target", mount->target));
}

static void clean_mounts(struct cleaning *c)
{
    struct volume_mount mount;
    for (size_t i = 0; i < c->info.count; i++) {
        if (volume_take_mount(&c->info.entries[i], &mount) && is_kubelets_name(mount.name))
            clean_mount(c, &mount);
    }
}

/* ---- credentials and workloads' folders ---- */

/* Whatever shows the folder, be it at a target or not, keeps it. */
static bool is_mounted(const struct cleaning *c, struct str name)
{
    for (size_t i = 0; i < c->info.count; i++) {
        if (str_eq(volume_name_of(&c->info.entries[i]), name))
            return true;
    }
    return false;
}

static bool has_pod(const struct cleaning *c, struct str uid)
{
    CLEANUP_FREE char *text = mem_strndup(uid);
    struct stat info;
    return fstatat(c->pods, text, &info, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

static void clean_volume(struct cleaning *c, struct str name)
{
    struct credentials credentials = {.uid = STR("")};
    struct error err;
    if (is_mounted(c, name))
        return;
    enum disk_result result = read_credentials(c, name, &credentials, &err);
    if (result == DISK_READ && has_pod(c, credentials.uid))
        return;
    if ((result != DISK_READ && result != DISK_GONE) || !volume_forget(c->homes, name, &err)) {
        warn(c, "Cannot take away what may be a stale volume", name, err.text);
        return;
    }
    c->count->volumes++;
    log_event(LOG_INFO, "Took away a stale volume", LOG_STR("name", name),
              LOG_STR("uid", credentials.uid));
}

/* ---- the whole ---- */

static bool has_entries(int folder)
{
    DIR *entries = disk_open_names(folder);
    if (entries == NULL)
        return false;
    const struct dirent *entry;
    do {
        entry = readdir(entries);
    } while (entry != NULL && entry->d_name[0] == '.');
    closedir(entries);
    return entry != NULL;
}

static int open_pods(const char *kubelet, struct error *err)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct str path = arena_printf(&arena, "%s/pods", kubelet);
    int fd = disk_open_folder(path.ptr, false, err);
    if (fd < 0 || has_entries(fd))
        return fd;
    error_set(err, "there is nothing in %s, so it is not kubelet's", quote(path).text);
    close(fd);
    return -1;
}

/* Names come first, then mounts, then pods: what is new meanwhile is found by the later looks, and stays. */
static bool clean(struct cleaning *c, struct names *names, const char *kubelet, struct error *err)
{
    if (!list_names(c->homes->credentials, c->arena, names, err) ||
        !list_names(c->homes->workloads, c->arena, names, err) ||
        !mountinfo_read(c->arena, &c->info, err))
        return false;
    c->pods = open_pods(kubelet, err);
    if (c->pods < 0)
        return false;
    clean_mounts(c);
    /* Without the mounts that went just now. */
    if (!mountinfo_read(c->arena, &c->info, err))
        return false;
    for (size_t i = 0; i < names->count; i++)
        clean_volume(c, names->items[i]);
    return true;
}

bool stale_clean(const struct volume_homes *homes, const char *kubelet, struct stale_count *count,
                 struct error *err)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct names names = {0};
    struct cleaning c = {.homes = homes, .pods = -1, .arena = &arena, .count = count};
    *count = (struct stale_count){0};
    bool ok = clean(&c, &names, kubelet, err);
    free(names.items);
    if (c.pods >= 0)
        close(c.pods);
    return ok;
}
