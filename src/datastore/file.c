#include "datastore/file.h"

#include "model/decode.h"

bool file_is_data(const char *name)
{
    struct str s = str_from_c(name);
    return name[0] != '.' && (str_ends_with(s, STR(".yaml")) || str_ends_with(s, STR(".yml")) ||
                              str_ends_with(s, STR(".json")));
}

struct reading {
    const char *file;
    const struct datastore_sink *sink;
    struct model_decoder *decoder;
    struct file_contents *contents;
    size_t capacity; /* of its array */
};

static bool take_item(void *ctx, const struct doc_node *document, const struct doc_node *item,
                      size_t index)
{
    return model_decoder_take(((struct reading *)ctx)->decoder, document, item, index);
}

static void take_document(void *ctx, const struct doc_entry *entry)
{
    struct reading *reading = ctx;
    struct file_contents *contents = reading->contents;
    if (entry->failed) {
        datastore_report_resource(reading->sink, reading->file, entry->error_line, false,
                                  str_from_c(entry->error.text));
        contents->is_partial = true;
        model_decoder_drop(reading->decoder);
        return;
    }
    struct model_decoded decoded = model_decoder_finish(reading->decoder, entry->root);
    contents->is_partial = contents->is_partial || decoded.is_partial;
    for (size_t i = 0; i < decoded.problem_count; i++)
        datastore_report_resource(reading->sink, reading->file, decoded.problems[i].line,
                                  decoded.problems[i].warning, decoded.problems[i].message);
    for (size_t i = 0; i < decoded.count; i++) {
        MEM_GROW(contents->resources, contents->count, reading->capacity);
        contents->resources[contents->count++] = decoded.resources[i];
    }
}

enum disk_result file_read(int directory_fd, const char *name, const struct datastore_sink *sink,
                           struct file_contents *contents, struct error *err)
{
    CLEANUP_BUF struct buf text = {0};
    *contents = (struct file_contents){0};
    enum disk_result result = disk_read(directory_fd, name, true, FILE_LIMIT, &text, err);
    if (result != DISK_READ)
        return result;
    struct reading reading = {
        .file = name, .sink = sink, .decoder = model_decoder_new(), .contents = contents};
    const struct doc_taker taker = {take_item, take_document, &reading};
    doc_read(buf_str(&text), str_ends_with(str_from_c(name), STR(".json")), &taker);
    model_decoder_free(reading.decoder);
    return DISK_READ;
}
