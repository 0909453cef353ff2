/* For the tests of calc.h: a calculation that is fed with YAML, and whose messages are written down as lines. */
#ifndef TESTS_CALC_WORLD_H
#define TESTS_CALC_WORLD_H

#include "calc/calc.h"

#include "check.h"
#include "message_show.h"
#include "resources.h"

struct calc_world {
    struct calc *calc;
    bool is_short; /* messages are told by their subjects alone */
    struct buf trace;
    size_t batches;
};

static inline void on_calc_message(void *ctx, const struct psync_message *message)
{
    struct calc_world *world = ctx;
    if (world->trace.len > 0)
        buf_append_byte(&world->trace, '\n');
    if (world->is_short)
        show_subject(&world->trace, message);
    else
        show_message(&world->trace, message);
}

static inline void on_calc_batch_end(void *ctx)
{
    ((struct calc_world *)ctx)->batches++;
}

/* `node` and `workload`: NULL or the scope. */
static inline void open_calc(struct calc_world *world, const char *node, const char *workload)
{
    const struct endpoints_scope scope = {str_from_c(node), str_from_c(workload)};
    *world = (struct calc_world){.calc = calc_new(&scope)};
}

static inline void close_calc(struct calc_world *world)
{
    calc_free(world->calc);
    buf_free(&world->trace);
}

static inline void put_resource(void *ctx, struct model_resource *resource)
{
    calc_update(((struct calc_world *)ctx)->calc, resource);
}

static inline void drop_resource(void *ctx, struct model_resource *resource)
{
    calc_remove(((struct calc_world *)ctx)->calc, &resource->key);
    model_resource_free(resource);
}

static inline void put(struct calc_world *world, const char *yaml)
{
    for_each_resource(yaml, put_resource, world);
}

/* Removes the resources of these keys. */
static inline void drop(struct calc_world *world, const char *yaml)
{
    for_each_resource(yaml, drop_resource, world);
}

static inline void flush(struct calc_world *world)
{
    const struct psync_sink sink = {on_calc_message, on_calc_batch_end, world};
    world->trace.len = 0;
    world->batches = 0;
    calc_flush(world->calc, &sink);
}

/* The next flush sends these lines; and ends a batch if there are any. */
static inline void check_flush(const char *name, struct calc_world *world, const char *expected)
{
    flush(world);
    if (!str_eq(buf_str(&world->trace), str_from_c(expected)))
        fail_msg("%s: got:\n%.*s\nexpected:\n%s", name, STR_ARG(buf_str(&world->trace)), expected);
    check_number(name, (long long)world->batches, expected[0] != '\0');
}

/* What is there before a test begins: InSync was told. */
static inline void start_with(struct calc_world *world, const char *yaml)
{
    put(world, yaml);
    calc_set_in_sync(world->calc);
    flush(world);
}

/* Resources on a line each. */
#define KUBERNETES(kind, name) "---\n{apiVersion: v1, kind: " kind ", metadata: {name: " name
#define CALICO(kind, name)                                                                         \
    "---\n{apiVersion: projectcalico.org/v3, kind: " kind ", metadata: {name: " name
#define NAMESPACE(name, labels) KUBERNETES("Namespace", name) ", labels: {" labels "}}}\n"
#define ACCOUNT(name, labels)                                                                      \
    KUBERNETES("ServiceAccount", name) ", namespace: bank, labels: {" labels "}}}\n"
/* On node-1, in namespace bank; `rest`: of the spec. */
#define POD(name, ip, labels, rest)                                                                \
    KUBERNETES("Pod", name)                                                                        \
    ", namespace: bank, labels: {" labels "}}, spec: {nodeName: node-1" rest                       \
    "}, status: {podIP: " ip "}}\n"
#define POLICY(name, spec) CALICO("NetworkPolicy", name) ", namespace: bank}, spec: {" spec "}}\n"
#define GLOBAL(name, spec) CALICO("GlobalNetworkPolicy", name) "}, spec: {" spec "}}\n"
#define TIER(name, spec)   CALICO("Tier", name) "}, spec: {" spec "}}\n"
#define SET(name, labels, nets)                                                                    \
    CALICO("NetworkSet", name)                                                                     \
    ", namespace: bank, labels: {" labels "}}, spec: {nets: [" nets "]}}\n"
#define SLICE(name, service, addresses, ports)                                                     \
    "---\n{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: " name           \
    ", namespace: bank, labels: {kubernetes.io/service-name: " service                             \
    "}}, addressType: IPv4, endpoints: [{addresses: [" addresses "]}], ports: [" ports "]}\n"
#define WORKLOAD(name, spec)                                                                       \
    CALICO("WorkloadEndpoint", name) ", namespace: bank}, spec: {node: node-1, " spec "}}\n"
#define PROFILE(name, spec) CALICO("Profile", name) "}, spec: {" spec "}}\n"

#endif
