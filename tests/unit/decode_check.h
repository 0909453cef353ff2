/* For the tests of decode.h: tables of YAML, what comes of it, and what is said about it. */
#ifndef TESTS_DECODE_CHECK_H
#define TESTS_DECODE_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/decode.h"

#include "model_show.h"

/* What comes of a text: each resource on a line; each problem on a line, as "LINE: message" (errors) or "LINE? message"
 * (warnings). */
static inline void assert_decoded(const char *text, const char *expected)
{
    CLEANUP_ARENA struct arena arena = {0};
    CLEANUP_BUF struct buf out = {0};
    struct arena document = {0};
    struct doc_file file = doc_load(&document, str_from_c(text), false);
    assert_int_equal(file.count, 1);
    if (file.entries[0].failed)
        fail_msg("%s", file.entries[0].error.text);
    struct model_decoded decoded = model_decode(&arena, file.entries[0].root);
    /* Nothing of a resource may lie in the document. */
    arena_free(&document);
    for (size_t i = 0; i < decoded.count; i++) {
        show_resource(&out, decoded.resources[i]);
        buf_append_byte(&out, '\n');
        bool broken = false;
        CLEANUP_ARENA struct arena scratch = {0};
        struct str key = model_key_format(&scratch, &decoded.resources[i]->key);
        for (size_t j = 0; j < decoded.problem_count && !broken; j++) {
            const struct model_problem *problem = &decoded.problems[j];
            broken = !problem->warning && str_starts_with(problem->message, key);
            /* `broken` is the first error, without the key. */
            if (broken)
                assert_true(str_ends_with(problem->message, decoded.resources[i]->broken));
        }
        assert_int_equal(broken, decoded.resources[i]->broken.len > 0);
        model_resource_free(decoded.resources[i]);
    }
    for (size_t i = 0; i < decoded.problem_count; i++) {
        const struct model_problem *problem = &decoded.problems[i];
        buf_printf(&out, "%u%c %.*s\n", problem->line, problem->warning ? '?' : ':',
                   STR_ARG(problem->message));
    }
    buf_append_byte(&out, '\0');
    assert_string_equal(out.data, expected);
}

struct example {
    const char *text, *expected;
};

#define ASSERT_ALL(examples)                                                                       \
    for (size_t i = 0; i < sizeof(examples) / sizeof((examples)[0]); i++)                          \
    assert_decoded((examples)[i].text, (examples)[i].expected)

#define CALICO(kind, name)                                                                         \
    "{apiVersion: projectcalico.org/v3, kind: " kind ", metadata: {name: " name "}"
#define NP(rest)   CALICO("NetworkPolicy", "p") ",\n spec: {" rest "}}"
#define GNP(rest)  CALICO("GlobalNetworkPolicy", "p") ",\n spec: {" rest "}}"
#define RULE(rest) GNP("ingress: [{action: Allow,\n" rest "}]")
#define KNP(rest)                                                                                  \
    "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: "      \
    "k},\n "                                                                                       \
    "spec: {" rest "}}"
#define POD(rest) "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: k}, " rest "}"

#endif
