/* Fuzzes the way from text to resources. The first byte chooses the language: 'j' is JSON, all else YAML. */
#include "model/decode.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What came of a text, as far as it can be compared. */
struct outcome {
    size_t failed, problems;
    struct buf resources; /* of each: kind, line, digest, whether it is broken */
};

static void take_decoded(struct outcome *outcome, const struct model_decoded *decoded)
{
    outcome->problems += decoded->problem_count;
    for (size_t i = 0; i < decoded->count; i++) {
        struct model_resource *resource = decoded->resources[i];
        bool has_rules = model_kind_is_policy(resource->key.kind) &&
                         resource->policy.ingress.count + resource->policy.egress.count > 0;
        if (resource->key.name.len == 0 || (resource->broken.len > 0 && has_rules))
            abort();
        buf_printf(&outcome->resources, "%d %u %llx %d\n", resource->key.kind, resource->line,
                   (unsigned long long)resource->digest, resource->broken.len > 0);
        model_resource_free(resource);
    }
}

/* In parts, like the directory's datastore. */

struct reading {
    struct model_decoder *decoder;
    struct outcome outcome;
};

static bool take_item(void *ctx, const struct doc_node *document, const struct doc_node *item,
                      size_t index)
{
    return model_decoder_take(((struct reading *)ctx)->decoder, document, item, index);
}

static void take_document(void *ctx, const struct doc_entry *entry)
{
    struct reading *reading = ctx;
    reading->outcome.failed += entry->failed;
    if (entry->failed) {
        model_decoder_drop(reading->decoder);
        return;
    }
    struct model_decoded decoded = model_decoder_finish(reading->decoder, entry->root);
    take_decoded(&reading->outcome, &decoded);
}

/* And whole: the same must come of it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct str text = str_make((const char *)data + 1, size - 1);
    bool json = data[0] == 'j';
    struct reading reading = {.decoder = model_decoder_new()};
    const struct doc_taker taker = {take_item, take_document, &reading};
    doc_read(text, json, &taker);
    model_decoder_free(reading.decoder);

    CLEANUP_ARENA struct arena arena = {0};
    struct outcome whole = {0};
    struct doc_file file = doc_load(&arena, text, json);
    for (size_t i = 0; i < file.count; i++) {
        whole.failed += file.entries[i].failed;
        if (file.entries[i].failed)
            continue;
        struct model_decoded decoded = model_decode(&arena, file.entries[i].root);
        take_decoded(&whole, &decoded);
    }
    if (whole.failed != reading.outcome.failed || whole.problems != reading.outcome.problems ||
        !str_eq(buf_str(&whole.resources), buf_str(&reading.outcome.resources)))
        abort();
    buf_free(&whole.resources);
    buf_free(&reading.outcome.resources);
    return 0;
}
