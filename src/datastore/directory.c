#include "datastore/directory.h"

#include <stdlib.h>

#include "base/folder_watch.h"
#include "base/log.h"
#include "datastore/claims.h"
#include "datastore/file.h"

struct directory {
    struct datastore_sink sink;
    struct folder_watch *watch;
    struct claims claims;
    size_t busy; /* files that could not be read for a reason that passes */
    bool told_in_sync;
    bool changed; /* the sink was told something since the last batch_end */
};

/* ---- one file ---- */

static void tell_update(struct directory *d, struct model_resource *resource)
{
    d->changed = true;
    d->sink.update(d->sink.ctx, resource);
}

static void tell_removal(struct directory *d, struct claim_key *key)
{
    if (!key->is_told)
        return;
    key->is_told = false;
    d->changed = true;
    d->sink.remove(d->sink.ctx, &key->key);
}

/* Takes the resource. */
static void take_resource(struct directory *d, struct claims_file *file,
                          struct model_resource *resource, const struct datastore_sink *problems)
{
    struct claim *claim = claims_make(&d->claims, file, &resource->key);
    struct claim_key *key = claim->key;
    if (claim->seen)
        datastore_report(problems,
                         &(struct datastore_problem){
                             .what = "Resource stands twice in a file; the later one counts",
                             .place = file->name,
                             .line = resource->line,
                             .is_warning = true,
                             .message = resource->key.name});
    bool is_restored = key->is_orphan && claims_newest(key) == claim;
    bool is_new = claim->is_void || claim->digest != resource->digest || is_restored;
    claim->seen = true;
    if (!is_new || !datastore_is_used(resource, key->is_sound)) {
        model_resource_free(resource);
        return;
    }
    claims_assert(&d->claims, claim, resource->digest, resource->broken.len == 0);
    tell_update(d, resource);
}

static void drop_claim(struct directory *d, struct claim *claim)
{
    if (claim->key->claims == claim && claim->next_of_key == NULL)
        tell_removal(d, claim->key);
    claims_drop(&d->claims, claim);
}

/* Drops the claims that the last reading did not make again. */
static void drop_unseen(struct directory *d, struct claims_file *file)
{
    struct claim *next;
    for (struct claim *claim = file->claims; claim != NULL; claim = next) {
        next = claim->next_of_file;
        if (!claim->seen)
            drop_claim(d, claim);
    }
}

static void report_unread(const struct claims_file *file, const struct datastore_sink *problems,
                          const struct error *err)
{
    const char *what = file->claims != NULL
                           ? "File cannot be read; what it said before stays in force"
                           : "File cannot be read; nothing of it is in force";
    datastore_report(problems, &(struct datastore_problem){.what = what,
                                                           .place = file->name,
                                                           .message = str_from_c(err->text)});
}

static void take_contents(struct directory *d, struct claims_file *file,
                          struct file_contents *contents, const struct datastore_sink *problems)
{
    for (size_t i = 0; i < contents->count; i++)
        take_resource(d, file, contents->resources[i], problems);
    free(contents->resources);
    if (!contents->is_partial)
        drop_unseen(d, file);
}

/* `problems` is told what is wrong in it; `is_again`: but not once more that it cannot be read. */
static void load_file(struct directory *d, const char *name, const struct datastore_sink *problems,
                      bool is_again)
{
    struct file_contents contents;
    struct error err;
    struct claims_file *file = claims_file(&d->claims, name);
    enum disk_result result = file_read(folder_watch_fd(d->watch), name, problems, &contents, &err);
    file->read = ++d->claims.clock;
    d->busy -= file->is_busy;
    file->is_busy = result == DISK_BUSY;
    d->busy += file->is_busy;
    if (result == DISK_FAILED || (result == DISK_BUSY && !is_again))
        report_unread(file, problems, &err);
    if (result == DISK_BUSY)
        folder_watch_retry(d->watch, name);
    if (result == DISK_FAILED || result == DISK_BUSY)
        return;
    for (struct claim *claim = file->claims; claim != NULL; claim = claim->next_of_file)
        claim->seen = false;
    if (result == DISK_READ) {
        take_contents(d, file, &contents, problems);
    } else {
        drop_unseen(d, file);
        claims_forget_file(&d->claims, file);
    }
}

/* ---- resources that have left the file that counted ---- */

static void ignore_problem(void *ctx, const struct datastore_problem *problem)
{
    (void)ctx;
    (void)problem;
}

/* The file that is to say what counts now says nothing that can be read or used. What the other file said must not stay. */
static void close_orphan(struct directory *d, struct claim_key *key)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct claim *claim = claims_newest(key);
    struct model_resource *resource = model_resource_new_unreadable(
        &key->key, STR("what is said of it cannot be read, and was not in force before"));
    claim->is_void = true;
    claims_settle(&d->claims, key);
    bool is_used = datastore_is_used(resource, false);
    datastore_report(&d->sink,
                     &(struct datastore_problem){
                         .what = is_used ? "Resource has left another file, and what this one says "
                                           "of it cannot be read; it refuses"
                                         : "Resource has left another file, and what this one says "
                                           "of it cannot be read; it is gone",
                         .place = claim->file->name,
                         .message = model_key_format(&arena, &key->key)});
    if (is_used) {
        key->is_told = true;
        tell_update(d, resource);
    } else {
        tell_removal(d, key);
        model_resource_free(resource);
    }
}

/* Reads the files that say of orphans what counts now, each once for all of them. */
static void restore_orphans(struct directory *d)
{
    /* What is wrong in such a file was reported when it changed. */
    const struct datastore_sink problems = {.problem = ignore_problem};
    struct list waiting = {0};
    struct claim_key *key;
    while ((key = d->claims.orphans) != NULL) {
        struct claims_file *file = claims_newest(key)->file;
        if (file->is_busy) {
            /* It is being retried. Nothing takes its claims away meanwhile, so the key stays. */
            claims_settle(&d->claims, key);
            list_add(&waiting, key);
        } else if (file->read < key->orphaned) {
            load_file(d, file->name, &problems, false);
        } else {
            close_orphan(d, key);
        }
    }
    for (uint32_t i = 0; i < waiting.count; i++)
        claims_make_orphan(&d->claims, waiting.items[i]);
    list_free(&waiting);
}

/* ---- the folder ---- */

static enum folder_interest interest(const char *name)
{
    /* Kubernetes mounts ConfigMaps as links through this one, and changes them by swapping it. */
    if (strcmp(name, "..data") == 0)
        return FOLDER_MARKER;
    return file_is_data(name) ? FOLDER_FILE : FOLDER_IGNORED;
}

static void list_known(void *ctx, struct list *names)
{
    struct directory *d = ctx;
    size_t position = 0;
    struct map_entry *entry;
    while ((entry = map_next(&d->claims.files, &position)) != NULL)
        list_add(names, ((struct claims_file *)entry->value)->name);
}

static void look_at(void *ctx, const char *name, bool is_again)
{
    struct directory *d = ctx;
    load_file(d, name, &d->sink, is_again);
}

static void end_turn(void *ctx)
{
    struct directory *d = ctx;
    restore_orphans(d);
    /* What a busy file says, nobody knows yet: it may be what denies. */
    if (!d->told_in_sync && d->busy == 0) {
        d->told_in_sync = d->changed = true;
        d->sink.in_sync(d->sink.ctx);
    }
    if (d->changed)
        d->sink.batch_end(d->sink.ctx);
    d->changed = false;
}

struct directory *directory_open(struct loop *loop, const char *path,
                                 const struct datastore_sink *sink, struct error *err)
{
    struct directory *d = mem_zalloc(sizeof(*d));
    const struct folder_watch_user user = {.title = "Directory",
                                           .interest = interest,
                                           .list_known = list_known,
                                           .look = look_at,
                                           .turn_end = end_turn,
                                           .ctx = d};
    d->sink = *sink;
    d->watch = folder_watch_open(loop, path, &user, err);
    if (d->watch == NULL || !folder_watch_read_all(d->watch, err)) {
        directory_close(d);
        return NULL;
    }
    if (d->claims.files.count == 0)
        log_event(LOG_WARNING, "Directory holds no .yaml, .yml or .json files",
                  LOG_C("directory", path));
    end_turn(d);
    return d;
}

void directory_close(struct directory *d)
{
    if (d == NULL)
        return;
    folder_watch_close(d->watch);
    claims_free(&d->claims);
    free(d);
}
