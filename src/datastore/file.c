#include "datastore/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "model/decode.h"

bool file_is_data(const char *name)
{
    struct str s = str_from_c(name);
    return name[0] != '.' && (str_ends_with(s, STR(".yaml")) || str_ends_with(s, STR(".yml")) ||
                              str_ends_with(s, STR(".json")));
}

static bool read_all(int fd, struct buf *text, struct error *err)
{
    for (;;) {
        ssize_t n = read(fd, buf_reserve(text, 64 * 1024), 64 * 1024);
        if (n == 0)
            return true;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set(err, "cannot read: %s", strerror(errno));
        text->len += (size_t)n;
        if (text->len > FILE_LIMIT)
            return error_set(err, "larger than 2 GiB");
    }
}

static bool read_text(int directory_fd, const char *name, struct buf *text, bool *gone,
                      struct error *err)
{
    struct stat info;
    /* O_NONBLOCK: opening a FIFO must not wait for a writer. */
    CLEANUP_CLOSE int fd = openat(directory_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        error_set(err, "cannot open: %s", strerror(errno));
        /* A link to nowhere is there, and cannot be read. */
        *gone = errno == ENOENT && fstatat(directory_fd, name, &info, AT_SYMLINK_NOFOLLOW) != 0 &&
                errno == ENOENT;
        return false;
    }
    *gone = false;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        return error_set(err, "not a regular file");
    return read_all(fd, text, err);
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
        report(reading->sink, reading->file, entry->error_line, false,
               str_from_c(entry->error.text));
        contents->is_partial = true;
        model_decoder_drop(reading->decoder);
        return;
    }
    struct model_decoded decoded = model_decoder_finish(reading->decoder, entry->root);
    for (size_t i = 0; i < decoded.problem_count; i++)
        report(reading->sink, reading->file, decoded.problems[i].line, decoded.problems[i].warning,
               decoded.problems[i].message);
    for (size_t i = 0; i < decoded.count; i++) {
        MEM_GROW(contents->resources, contents->count, reading->capacity);
        contents->resources[contents->count++] = decoded.resources[i];
    }
}

bool file_read(int directory_fd, const char *name, const struct datastore_sink *sink,
               struct file_contents *contents, bool *gone, struct error *err)
{
    CLEANUP_BUF struct buf text = {0};
    *contents = (struct file_contents){0};
    if (!read_text(directory_fd, name, &text, gone, err))
        return false;
    struct reading reading = {
        .file = name, .sink = sink, .decoder = model_decoder_new(), .contents = contents};
    const struct doc_taker taker = {take_item, take_document, &reading};
    doc_read(buf_str(&text), str_ends_with(str_from_c(name), STR(".json")), &taker);
    model_decoder_free(reading.decoder);
    return true;
}
