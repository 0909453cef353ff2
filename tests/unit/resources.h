/* For tests: resources out of YAML. */
#ifndef TESTS_RESOURCES_H
#define TESTS_RESOURCES_H

#include "model/decode.h"

#include "check.h"

/* All resources of a text, in order; `act` takes each over. */
static inline void for_each_resource(const char *yaml,
                                     void (*act)(void *ctx, struct model_resource *resource),
                                     void *ctx)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct doc_file file = doc_load(&arena, str_from_c(yaml), false);
    for (size_t i = 0; i < file.count; i++) {
        if (file.entries[i].failed)
            fail_msg("%s\n%s", file.entries[i].error.text, yaml);
        struct model_decoded decoded = model_decode(&arena, file.entries[i].root);
        if (decoded.count == 0)
            fail_msg("%s: no resource", yaml);
        for (size_t j = 0; j < decoded.count; j++)
            act(ctx, decoded.resources[j]);
    }
}

#endif
