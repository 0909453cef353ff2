#include "datastore/file.h"

#include "model/decode.h"

bool file_is_data(const char *name)
{
    struct str s = str_from_c(name);
    return name[0] != '.' && (str_ends_with(s, STR(".yaml")) || str_ends_with(s, STR(".yml")) ||
                              str_ends_with(s, STR(".json")));
}

static void report(const struct datastore_sink *sink, const char *file, unsigned line,
                   bool is_warning, struct str message)
{
    const struct datastore_problem problem = {
        .what = is_warning ? "Questionable resource" : "Bad resource",
        .place = file,
        .line = line,
        .is_warning = is_warning,
        .message = message,
    };
    datastore_report(sink, &problem);
}

static void take_document(struct arena *arena, const struct doc_entry *entry, const char *file,
                          const struct datastore_sink *sink, struct file_contents *contents,
                          size_t *capacity)
{
    if (entry->failed) {
        report(sink, file, entry->error_line, false, str_from_c(entry->error.text));
        contents->is_partial = true;
        return;
    }
    struct model_decoded decoded = model_decode(arena, entry->root);
    for (size_t i = 0; i < decoded.problem_count; i++)
        report(sink, file, decoded.problems[i].line, decoded.problems[i].warning,
               decoded.problems[i].message);
    for (size_t i = 0; i < decoded.count; i++) {
        MEM_GROW(contents->resources, contents->count, *capacity);
        contents->resources[contents->count++] = decoded.resources[i];
    }
}

enum disk_result file_read(int directory_fd, const char *name, const struct datastore_sink *sink,
                           struct file_contents *contents, struct error *err)
{
    CLEANUP_BUF struct buf text = {0};
    CLEANUP_ARENA struct arena arena = {0};
    size_t capacity = 0;
    *contents = (struct file_contents){0};
    enum disk_result result = disk_read(directory_fd, name, true, FILE_LIMIT, &text, err);
    if (result != DISK_READ)
        return result;
    struct doc_file documents =
        doc_load(&arena, buf_str(&text), str_ends_with(str_from_c(name), STR(".json")));
    for (size_t i = 0; i < documents.count; i++)
        take_document(&arena, &documents.entries[i], name, sink, contents, &capacity);
    return DISK_READ;
}
