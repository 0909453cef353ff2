/* directory.h: what a wrong version of each kind of resource means. */
#include "datastore/directory.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "check.h"

/* A folder with at most two files: what a test is about, and `z.yaml`, which is changed after it to know when it was read. */
static char folder[] = "/tmp/dikast-directory-XXXXXX";

/* What the sink was told of the subject, a letter each: u an update, b one that is broken, r its removal. */
struct world {
    struct loop *loop;
    struct loop_timer too_late;
    enum model_kind subject;
    char trace[8];
    bool late;
};

static void trace(struct world *world, char letter)
{
    size_t used = strlen(world->trace);
    assert_true(used + 1 < sizeof(world->trace));
    world->trace[used] = letter;
}

static void on_update(void *ctx, struct model_resource *resource)
{
    struct world *world = ctx;
    if (str_eq(resource->key.name, STR("marker")))
        loop_stop(world->loop);
    else if (resource->key.kind == world->subject)
        trace(world, resource->broken.len > 0 ? 'b' : 'u');
    model_resource_free(resource);
}

static void on_remove(void *ctx, const struct model_key *key)
{
    struct world *world = ctx;
    if (key->kind == world->subject)
        trace(world, 'r');
}

static void ignore(void *ctx)
{
    (void)ctx;
}

static void give_up(void *ctx)
{
    struct world *world = ctx;
    world->late = true;
    loop_stop(world->loop);
}

/* By rename, so that no half of a file is read. */
static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(".new", "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(".new", name), 0);
}

/* Waits until all that was written before was read. */
static void settle(struct world *world)
{
    static unsigned version;
    char text[160];
    snprintf(
        text, sizeof(text),
        "{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: marker}, spec: {order: "
        "%u}}\n",
        ++version);
    write_file("z.yaml", text);
    loop_arm(world->loop, &world->too_late, 10 * 1000);
    loop_run(world->loop);
    loop_disarm(world->loop, &world->too_late);
    assert_false(world->late);
}

static struct directory *open_folder(struct world *world)
{
    struct error err;
    const struct datastore_sink sink = {on_update, on_remove, ignore, ignore, NULL, world};
    world->loop = loop_new(&err);
    assert_non_null(world->loop);
    world->too_late = (struct loop_timer){.callback = give_up, .ctx = world};
    return directory_open(world->loop, ".", &sink, &err);
}

#define KUBERNETES(kind) "{apiVersion: v1, kind: " kind ", metadata: {name: x, labels: {a: "
#define CALICO(kind)                                                                               \
    "{apiVersion: projectcalico.org/v3, kind: " kind ", metadata: {name: x}, spec: "

/* The sound version and the wrong one; what is told if the wrong one comes first, and if it comes after the sound one. */
static const struct {
    enum model_kind kind;
    const char *sound, *wrong, *at_first, *later;
} cases[] = {
    {MODEL_NAMESPACE, KUBERNETES("Namespace") "b}}}", KUBERNETES("Namespace") "1}}}", "", ""},
    {MODEL_SERVICE_ACCOUNT, KUBERNETES("ServiceAccount") "b}}}",
     KUBERNETES("ServiceAccount") "1}}}", "", ""},
    {MODEL_SERVICE, KUBERNETES("Service") "b}}}", KUBERNETES("Service") "1}}}", "", ""},
    {MODEL_NODE, KUBERNETES("Node") "b}}}", KUBERNETES("Node") "1}}}", "", ""},
    {MODEL_POD, KUBERNETES("Pod") "b}}, spec: {}}", KUBERNETES("Pod") "1}}, spec: {}}", "b", ""},
    {MODEL_KUBERNETES_NETWORK_POLICY,
     "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: x}, spec: {}}",
     "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: x}, spec: []}", "b",
     "b"},
    {MODEL_ENDPOINT_SLICE,
     "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: x}}",
     "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: x}, ports: 1}", "b",
     "b"},
    {MODEL_NETWORK_POLICY, CALICO("NetworkPolicy") "{}}", CALICO("NetworkPolicy") "7}", "b", "b"},
    {MODEL_GLOBAL_NETWORK_POLICY, CALICO("GlobalNetworkPolicy") "{}}",
     CALICO("GlobalNetworkPolicy") "7}", "b", "b"},
    {MODEL_STAGED_NETWORK_POLICY, CALICO("StagedNetworkPolicy") "{}}",
     CALICO("StagedNetworkPolicy") "7}", "b", "b"},
    {MODEL_STAGED_GLOBAL_NETWORK_POLICY, CALICO("StagedGlobalNetworkPolicy") "{}}",
     CALICO("StagedGlobalNetworkPolicy") "7}", "b", "b"},
    {MODEL_STAGED_KUBERNETES_NETWORK_POLICY, CALICO("StagedKubernetesNetworkPolicy") "{}}",
     CALICO("StagedKubernetesNetworkPolicy") "7}", "b", "b"},
    {MODEL_TIER, CALICO("Tier") "{}}", CALICO("Tier") "7}", "b", ""},
    {MODEL_PROFILE, CALICO("Profile") "{}}", CALICO("Profile") "7}", "b", "b"},
    {MODEL_NETWORK_SET, CALICO("NetworkSet") "{}}", CALICO("NetworkSet") "7}", "b", "b"},
    {MODEL_GLOBAL_NETWORK_SET, CALICO("GlobalNetworkSet") "{}}", CALICO("GlobalNetworkSet") "7}",
     "b", "b"},
    {MODEL_WORKLOAD_ENDPOINT,
     CALICO("WorkloadEndpoint") "{orchestrator: o, workload: w, node: m, endpoint: e}}",
     CALICO("WorkloadEndpoint") "7}", "b", ""},
    {MODEL_HOST_ENDPOINT, CALICO("HostEndpoint") "{node: m, interfaceName: e}}",
     CALICO("HostEndpoint") "{node: m}}", "b", ""},
    {MODEL_FELIX_CONFIGURATION, CALICO("FelixConfiguration") "{nodeSelector: all()}}",
     CALICO("FelixConfiguration") "7}", "", ""},
    {MODEL_CLUSTER_INFORMATION, CALICO("ClusterInformation") "{}}",
     CALICO("ClusterInformation") "7}", "", ""},
};

static void test_wrong_at_first(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *name = model_kind_name(cases[i].kind).ptr;
        struct world world = {.subject = cases[i].kind};
        write_file("a.yaml", cases[i].wrong);
        struct directory *directory = open_folder(&world);
        assert_non_null(directory);
        check_text(name, str_from_c(world.trace), str_from_c(cases[i].at_first));
        world.trace[0] = '\0';
        write_file("a.yaml", cases[i].sound);
        settle(&world);
        check_text(name, str_from_c(world.trace), STR("u"));
        directory_close(directory);
        loop_free(world.loop);
    }
}

static void test_wrong_later(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *name = model_kind_name(cases[i].kind).ptr;
        struct world world = {.subject = cases[i].kind};
        write_file("a.yaml", cases[i].sound);
        struct directory *directory = open_folder(&world);
        assert_non_null(directory);
        check_text(name, str_from_c(world.trace), STR("u"));
        world.trace[0] = '\0';
        write_file("a.yaml", cases[i].wrong);
        settle(&world);
        check_text(name, str_from_c(world.trace), str_from_c(cases[i].later));
        world.trace[0] = '\0';
        assert_int_equal(remove("a.yaml"), 0);
        settle(&world);
        check_text(name, str_from_c(world.trace), STR("r"));
        directory_close(directory);
        loop_free(world.loop);
    }
}

/* A cluster's dump: more values than one document may have, but not one of its items. */
static void test_large_list(void **state)
{
    (void)state;
    struct world world = {.subject = MODEL_NAMESPACE};
    CLEANUP_BUF struct buf text = {0};
    buf_append_str(&text, STR("apiVersion: v1\nitems:\n"));
    for (size_t i = 0; i < 3; i++) {
        buf_append_str(&text, STR("- {apiVersion: v1, kind: ConfigMap, data: [0"));
        for (size_t j = 0; j < 400 * 1000; j++)
            buf_append_str(&text, STR(",0"));
        buf_append_str(&text, STR("]}\n"));
    }
    buf_append_str(&text,
                   STR("- {apiVersion: v1, kind: Namespace, metadata: {name: x}}\nkind: List\n"));
    buf_append_byte(&text, '\0');
    write_file("a.yaml", text.data);
    struct directory *directory = open_folder(&world);
    assert_non_null(directory);
    check_text("it is read", str_from_c(world.trace), STR("u"));
    directory_close(directory);
    loop_free(world.loop);
}

static void test_every_kind_has_a_case(void **state)
{
    (void)state;
    bool seen[MODEL_KIND_COUNT] = {false};
    for (size_t i = 0; i < COUNT(cases); i++)
        seen[cases[i].kind] = true;
    for (size_t kind = 0; kind < MODEL_KIND_COUNT; kind++)
        CHECK(model_kind_name((enum model_kind)kind).ptr, seen[kind]);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL || chdir(folder) != 0;
}

static int remove_folder(void **state)
{
    (void)state;
    remove("a.yaml");
    remove("z.yaml");
    return chdir("/") != 0 || rmdir(folder) != 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_at_first),
        cmocka_unit_test(test_wrong_later),
        cmocka_unit_test(test_large_list),
        cmocka_unit_test(test_every_kind_has_a_case),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
