/* Fuzzes the way from text to resources. The first byte chooses the language: 'j' is JSON, all else YAML. */
#include "model/decode.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Looks at every document, like the directory's datastore. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    CLEANUP_ARENA struct arena messages = {0};
    struct arena documents = {0};
    struct doc_file file =
        doc_load(&documents, str_make((const char *)data + 1, size - 1), data[0] == 'j');
    for (size_t i = 0; i < file.count; i++) {
        if (file.entries[i].failed)
            continue;
        struct model_decoded decoded = model_decode(&messages, file.entries[i].root);
        for (size_t j = 0; j < decoded.count; j++) {
            struct model_resource *resource = decoded.resources[j];
            bool has_rules = model_kind_is_policy(resource->key.kind) &&
                             resource->policy.ingress.count + resource->policy.egress.count > 0;
            if (resource->key.name.len == 0 || (resource->broken.len > 0 && has_rules))
                abort();
            model_resource_free(resource);
        }
    }
    arena_free(&documents);
    return 0;
}
