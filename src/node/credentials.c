#include "node/credentials.h"

#include <errno.h>

#include "model/name.h"
#include "node/object.h"

const struct credentials_keys credentials_file_keys = {"UID", "Workload", "Namespace",
                                                       "ServiceAccount"};

/* ---- checking ---- */

static bool is_plain_name(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] <= ' ' || name.ptr[i] >= 0x7f || memchr("/\\\"", name.ptr[i], 3) != NULL)
            return false;
    }
    return name.len > 0 && name.ptr[0] != '.' && !str_contains(name, STR(".."));
}

bool credentials_check_name(const char *what, struct str name, struct error *err)
{
    if (!is_plain_name(name))
        return error_set(err, "%s %s is not a plain file name", what, quote(name).text);
    if (name.len > CREDENTIALS_NAME_LIMIT)
        return error_set(err, "%s %s is longer than %d bytes", what, quote(name).text,
                         CREDENTIALS_NAME_LIMIT);
    return true;
}

static bool check_value(const char *key, struct str value, bool good, const char *kind,
                        struct error *err)
{
    return good || error_set(err, "%s %s is not %s", key, quote(value).text, kind);
}

bool credentials_check(const struct credentials *c, const struct credentials_keys *keys,
                       struct error *err)
{
    bool good_account = c->account.len == 0 || name_is_subdomain(c->account);
    return credentials_check_name(keys->uid, c->uid, err) &&
           check_value(keys->workload, c->workload, name_is_subdomain(c->workload),
                       "a pod's name (a DNS subdomain)", err) &&
           check_value(keys->namespace, c->namespace, name_is_label(c->namespace),
                       "a namespace's name (a DNS label)", err) &&
           check_value(keys->account, c->account, good_account,
                       "a service account's name (a DNS subdomain)", err);
}

bool credentials_eq(const struct credentials *a, const struct credentials *b)
{
    return str_eq(a->uid, b->uid) && str_eq(a->workload, b->workload) &&
           str_eq(a->namespace, b->namespace) && str_eq(a->account, b->account);
}

/* ---- JSON ---- */

bool credentials_parse(struct arena *arena, struct str text, const struct credentials_keys *keys,
                       struct credentials *c, struct error *err)
{
    const struct doc_node *object = object_load(arena, text, err);
    return object != NULL && object_string(arena, object, keys->uid, &c->uid, err) &&
           object_string(arena, object, keys->workload, &c->workload, err) &&
           object_string(arena, object, keys->namespace, &c->namespace, err) &&
           object_string(arena, object, keys->account, &c->account, err) &&
           credentials_check(c, keys, err);
}

void credentials_format(struct buf *out, const struct credentials *c)
{
    const struct credentials_keys *keys = &credentials_file_keys;
    /* No value that passed the check holds what JSON would want escaped. */
    buf_printf(out, "{\"%s\":\"%.*s\",\"%s\":\"%.*s\",\"%s\":\"%.*s\",\"%s\":\"%.*s\"}\n",
               keys->uid, STR_ARG(c->uid), keys->workload, STR_ARG(c->workload), keys->namespace,
               STR_ARG(c->namespace), keys->account, STR_ARG(c->account));
}

/* ---- files ---- */

struct file_name {
    char text[CREDENTIALS_NAME_LIMIT + sizeof(".json")];
};

/* The name was checked. */
static struct file_name name_file(struct str name)
{
    struct file_name file;
    memcpy(file.text, name.ptr, name.len);
    memcpy(file.text + name.len, ".json", sizeof(".json"));
    return file;
}

enum disk_result credentials_read_at(int folder, struct str name, struct arena *arena,
                                     struct credentials *c, struct error *err)
{
    CLEANUP_BUF struct buf text = {0};
    if (!credentials_check_name("the name of the credentials file", name, err))
        return DISK_FAILED;
    struct file_name file = name_file(name);
    enum disk_result result =
        disk_read(folder, file.text, false, CREDENTIALS_FILE_LIMIT, &text, err);
    if (result != DISK_READ ||
        credentials_parse(arena, buf_str(&text), &credentials_file_keys, c, err))
        return result;
    error_prefix(err, "%s", quote(str_from_c(file.text)).text);
    return DISK_FAILED;
}

enum disk_result credentials_read(const char *folder, struct str name, struct arena *arena,
                                  struct credentials *c, struct error *err)
{
    if (!credentials_check_name("the name of the credentials file", name, err))
        return DISK_FAILED;
    CLEANUP_CLOSE int fd = disk_open_folder(folder, false, err);
    if (fd < 0)
        return errno == ENOENT ? DISK_GONE : disk_meaning(errno);
    enum disk_result result = credentials_read_at(fd, name, arena, c, err);
    if (result != DISK_READ)
        error_prefix(err, "credentials in %s", quote(str_from_c(folder)).text);
    return result;
}

bool credentials_write(const char *folder, struct str name, const struct credentials *c,
                       struct error *err)
{
    CLEANUP_BUF struct buf text = {0};
    if (!credentials_check_name("the name of the credentials file", name, err) ||
        !credentials_check(c, &credentials_file_keys, err))
        return false;
    CLEANUP_CLOSE int fd = disk_open_folder(folder, true, err);
    if (fd < 0)
        return false;
    credentials_format(&text, c);
    return disk_write(fd, name_file(name).text, 0644, buf_str(&text), err) ||
           error_prefix(err, "credentials in %s", quote(str_from_c(folder)).text);
}

bool credentials_remove(const char *folder, struct str name, struct error *err)
{
    if (!credentials_check_name("the name of the credentials file", name, err))
        return false;
    CLEANUP_CLOSE int fd = disk_open_folder(folder, false, err);
    if (fd < 0)
        return errno == ENOENT;
    return disk_remove(fd, name_file(name).text, err) ||
           error_prefix(err, "credentials in %s", quote(str_from_c(folder)).text);
}
