/* felix_settings.h: which FelixConfigurations count on this node. */
#include "cmd/felix_settings.h"

#include "check.h"
#include "resources.h"

struct world {
    struct felix_settings settings;
    struct felix_config *config;
};

static void open_world(struct world *world)
{
    *world = (struct world){.settings = {.node = STR("node-1")}, .config = felix_config_new()};
}

static void close_world(struct world *world)
{
    felix_settings_free(&world->settings);
    felix_config_free(world->config);
}

static void put_resource(void *ctx, struct model_resource *resource)
{
    felix_settings_put(&((struct world *)ctx)->settings, resource);
}

static void drop_resource(void *ctx, struct model_resource *resource)
{
    felix_settings_remove(&((struct world *)ctx)->settings, &resource->key);
    model_resource_free(resource);
}

static void put(struct world *world, const char *yaml)
{
    for_each_resource(yaml, put_resource, world);
}

static void drop(struct world *world, const char *yaml)
{
    for_each_resource(yaml, drop_resource, world);
}

#define CONFIGURATION(name, rest)                                                                  \
    "---\n{apiVersion: projectcalico.org/v3, kind: FelixConfiguration, metadata: {name: " name     \
    "}, spec: {" rest "}}\n"
#define CREATED(name, time, rest)                                                                  \
    "---\n{apiVersion: projectcalico.org/v3, kind: FelixConfiguration, metadata: {name: " name     \
    ", creationTimestamp: '" time "'}, spec: {" rest "}}\n"
#define NODE(name, labels)                                                                         \
    "---\n{apiVersion: v1, kind: Node, metadata: {name: " name ", labels: {" labels "}}}\n"
#define PREFIX(value) "policySyncPathPrefix: " value
#define FOR_A(value)  "nodeSelector: has(a), " PREFIX(value)

/* What is in force then, and whether that is news. */
static void check_applied(const char *name, struct world *world, bool changed, const char *prefix)
{
    check_number(name, felix_settings_apply(&world->settings, world->config), changed);
    check_text(name, felix_config_get(world->config, FELIX_POLICY_SYNC_PATH_PREFIX),
               str_from_c(prefix));
}

static void test_default(void **state)
{
    (void)state;
    struct world world;
    open_world(&world);
    check_applied("nothing", &world, false, "");
    put(&world, CONFIGURATION("default", PREFIX("/default")));
    check_applied("default", &world, true, "/default");
    check_applied("once", &world, false, "/default");
    put(&world, CONFIGURATION("default", PREFIX("/default") ", bpfEnabled: true"));
    check_applied("of no interest", &world, false, "/default");
    put(&world, CONFIGURATION("default", PREFIX("/other")));
    check_applied("changed", &world, true, "/other");
    drop(&world, CONFIGURATION("default", ""));
    check_applied("removed", &world, true, "");
    drop(&world, CONFIGURATION("default", ""));
    check_applied("removed again", &world, false, "");
    close_world(&world);
}

static void test_node(void **state)
{
    (void)state;
    struct world world;
    open_world(&world);
    put(&world, CONFIGURATION("node.node-1", PREFIX("/node")));
    put(&world, CONFIGURATION("default", PREFIX("/default") ", healthPort: 1234"));
    put(&world, CONFIGURATION("node.node-2", PREFIX("/another")));
    put(&world, CONFIGURATION("node-1", PREFIX("/nobody")));
    check_applied("its own", &world, true, "/node");
    check_text("what it does not say", felix_config_get(world.config, FELIX_HEALTH_PORT),
               STR("1234"));
    put(&world, CONFIGURATION("node.node-2", PREFIX("/still-another")));
    check_applied("another node's", &world, false, "/node");
    drop(&world, CONFIGURATION("node.node-1", ""));
    check_applied("removed", &world, true, "/default");
    close_world(&world);
}

static void test_selected(void **state)
{
    (void)state;
    struct world world;
    open_world(&world);
    put(&world, CONFIGURATION("default", PREFIX("/default")));
    put(&world, CONFIGURATION("pool", "nodeSelector: a == '1' && !has(b), " PREFIX("/pool")));
    check_applied("the node is not known", &world, true, "/default");
    put(&world, NODE("node-2", "a: '1'"));
    check_applied("another node", &world, false, "/default");
    put(&world, NODE("node-1", "a: '1'"));
    check_applied("selected", &world, true, "/pool");
    put(&world, NODE("node-1", "a: '1', c: x"));
    check_applied("still selected", &world, false, "/pool");
    put(&world, NODE("node-1", "a: '1', b: x"));
    check_applied("its labels changed", &world, true, "/default");
    put(&world, CONFIGURATION("pool", "nodeSelector: has(b), " PREFIX("/pool")));
    check_applied("the selector changed", &world, true, "/pool");
    put(&world, CONFIGURATION("node.node-1", PREFIX("/node")));
    check_applied("its own is stronger", &world, true, "/node");
    drop(&world, CONFIGURATION("node.node-1", ""));
    drop(&world, NODE("node-2", ""));
    check_applied("its own is gone", &world, true, "/pool");
    drop(&world, NODE("node-1", ""));
    check_applied("the node is gone", &world, true, "/default");
    close_world(&world);
}

/* Selectors of the two that have their place by name count for nothing. */
static void test_selector_of_others(void **state)
{
    (void)state;
    struct world world;
    open_world(&world);
    put(&world, NODE("node-1", "a: x"));
    put(&world, CONFIGURATION("node.node-2", FOR_A("/another")));
    check_applied("another node's", &world, false, "");
    put(&world, CONFIGURATION("default", "nodeSelector: has(b), " PREFIX("/default")));
    check_applied("default", &world, true, "/default");
    put(&world, CONFIGURATION("none", PREFIX("/none")));
    check_applied("without a selector", &world, false, "/default");
    put(&world, CONFIGURATION("empty", "nodeSelector: '', " PREFIX("/empty")));
    check_applied("with an empty one", &world, false, "/default");
    close_world(&world);
}

/* Of several the oldest, then the first by name; in whatever order they come. */
static void test_oldest(void **state)
{
    (void)state;
    static const char *const all[] = {
        CREATED("a", "2026-01-02T00:00:01Z", FOR_A("/a")),
        CREATED("b", "2026-01-02T00:00:00Z", FOR_A("/b")),
        CREATED("c", "2026-01-02T00:00:00Z", FOR_A("/c")),
        CREATED("d", "2020-01-01T00:00:00Z", "nodeSelector: has(b), " PREFIX("/d")),
    };
    for (size_t first = 0; first < COUNT(all); first++) {
        struct world world;
        open_world(&world);
        put(&world, NODE("node-1", "a: x"));
        for (size_t i = 0; i < COUNT(all); i++)
            put(&world, all[(first + i) % COUNT(all)]);
        check_applied("the oldest", &world, true, "/b");
        drop(&world, all[1]);
        check_applied("the next by name", &world, true, "/c");
        drop(&world, all[2]);
        check_applied("a younger one", &world, true, "/a");
        put(&world, NODE("node-1", "a: x, b: x"));
        check_applied("an older one", &world, true, "/d");
        close_world(&world);
    }
}

/* A broken one has its good settings. */
static void test_broken(void **state)
{
    (void)state;
    struct world world;
    open_world(&world);
    put(&world, CONFIGURATION("default", PREFIX("/default") ", healthPort: many"));
    check_applied("good", &world, true, "/default");
    check_text("bad", felix_config_get(world.config, FELIX_HEALTH_PORT), STR("9099"));
    close_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default),  cmocka_unit_test(test_node),
        cmocka_unit_test(test_selected), cmocka_unit_test(test_selector_of_others),
        cmocka_unit_test(test_oldest),   cmocka_unit_test(test_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
