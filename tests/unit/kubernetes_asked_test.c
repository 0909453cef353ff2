/* datastore/kubernetes.h: what is asked for, and what cannot be. */
#include "kubernetes_world.h"

/* ---- what is asked for ---- */

#define RUNNING                                                                                    \
    "?fieldSelector=spec.nodeName%21%3D%2Cstatus.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed&"

static const char *const core_targets[] = {
    "/api/v1/namespaces?watch=1",
    "/api/v1/serviceaccounts?watch=1",
    "/api/v1/pods" RUNNING "watch=1",
    "/apis/networking.k8s.io/v1/networkpolicies?watch=1",
    "/apis/discovery.k8s.io/v1/endpointslices?labelSelector=kubernetes.io%2Fservice-name&watch=1",
};
static const char *const calico_resources[] = {
    "tiers",
    "networkpolicies",
    "globalnetworkpolicies",
    "stagednetworkpolicies",
    "stagedglobalnetworkpolicies",
    "stagedkubernetesnetworkpolicies",
    "networksets",
    "globalnetworksets",
    "hostendpoints",
};
static const char *const agent_resources[] = {"felixconfigurations", "clusterinformations"};
_Static_assert(COUNT(core_targets) == CORE_KINDS, "all are looked for");
_Static_assert(COUNT(calico_resources) == SIDECAR_KINDS - CORE_KINDS, "all are looked for");

static void check_calico_asked(const struct world *world, const char *group, const char *resource,
                               bool expected)
{
    char target[128];
    snprintf(target, sizeof(target), "/apis/%s/%s?watch=1&", group, resource);
    CHECK(target, has_asked(world, target) == expected);
}

static void check_asked(const struct world *world, const char *group, bool for_agent)
{
    for (size_t i = 0; i < COUNT(core_targets); i++)
        CHECK(core_targets[i], has_asked(world, core_targets[i]));
    for (size_t i = 0; i < COUNT(calico_resources); i++)
        check_calico_asked(world, group, calico_resources[i], true);
    for (size_t i = 0; i < COUNT(agent_resources); i++)
        check_calico_asked(world, group, agent_resources[i], for_agent);
    CHECK("node", has_asked(world, "/api/v1/nodes?fieldSelector=metadata.name%3Dnode-1&watch=1&") ==
                      for_agent);
    CHECK("nodes", has_asked(world, "/api/v1/nodes") == for_agent);
}

static void test_groups(void **state)
{
    (void)state;
    static const struct {
        const char *given;
        struct route routes[3];
        const char *group;
        size_t questions; /* until it was found */
    } cases[] = {
        {NULL, {{ASK_CRD, {IS_THERE}}}, "crd.projectcalico.org/v1", 1},
        {NULL, {{ASK_V3, {IS_THERE}}}, "projectcalico.org/v3", 2},
        {NULL, {{ASK_CRD, {IS_THERE}}, {ASK_V3, {IS_THERE}}}, "crd.projectcalico.org/v1", 1},
        {NULL, {{ASK_CRD, {.status = 403}}, {ASK_V3, {IS_THERE}}}, "projectcalico.org/v3", 2},
        {"", {{ASK_V3, {IS_THERE}}}, "projectcalico.org/v3", 2},
        {"projectcalico.org/v3", {{ASK_CRD, {IS_THERE}}}, "projectcalico.org/v3", 0},
        {"ProjectCalico.org/V3", {{ASK_CRD, {IS_THERE}}}, "projectcalico.org/v3", 0},
        {"crd.projectcalico.org/v1", {{ASK_V3, {IS_THERE}}}, "crd.projectcalico.org/v1", 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (unsigned for_agent = 0; for_agent < 2; for_agent++) {
            struct world world = {.routes = cases[i].routes};
            if (cases[i].given != NULL)
                setenv("CALICO_API_GROUP", cases[i].given, 1);
            world_start(&world, for_agent == 1 ? "node-1" : NULL);
            clock_pass(world.loop, 2000);
            unsetenv("CALICO_API_GROUP");
            check_asked(&world, cases[i].group, for_agent == 1);
            check_world_trace(cases[i].group, &world, "= . ");
            struct kubernetes_stats stats = kubernetes_stats(world.kubernetes);
            size_t questions = count_asked(&world, "?limit=1");
            check_number("questions", (long long)questions, (long long)cases[i].questions);
            check_number("requests", (long long)count_asked(&world, ""), (long long)stats.requests);
            check_number("requests", (long long)stats.requests,
                         (long long)(stats.kinds + questions));
            check_number("kinds", (long long)stats.kinds, SIDECAR_KINDS + 3 * (int)for_agent);
            check_number("live", (long long)stats.live, SIDECAR_KINDS + 3 * (int)for_agent);
            assert_true(stats.bytes > 0 || questions == 0);
            world_end(&world);
        }
    }
}

/* How often it is asked for the groups in so many seconds: less and less often, and not before the server wishes. */
static void test_patience(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct route routes[3];
        uint64_t seconds;
        size_t least, most; /* questions */
    } cases[] = {
        /* Pauses of 0.5, 1, 2, … 30 s, or half of that, or half as much again. */
        {"503", {{ASK_CRD, {.status = 503}}}, 300, 11, 25},
        {"403", {{ASK_CRD, {.status = 403}}, {ASK_V3, {.status = 403}}}, 300, 22, 50},
        {"429", {{ASK_CRD, {.status = 429, .headers = "Retry-After: 100\r\n"}}}, 300, 3, 3},
        /* 20, 40, … 200 s. */
        {"not installed", {{0}}, 1200, 2 * 7, 2 * 16},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct world world = {.routes = cases[i].routes};
        world_start(&world, NULL);
        clock_pass(world.loop, cases[i].seconds * 1000);
        size_t questions = count_asked(&world, "?limit=1");
        if (questions < cases[i].least || questions > cases[i].most)
            fail_msg("%s: %zu questions", cases[i].name, questions);
        world_end(&world);
    }
}

/* An answer that does not end is not read for ever: a list of one policy is no longer than that. */
static void test_endless_answer(void **state)
{
    (void)state;
    enum { LONGER = 5 * 1024 * 1024 };
    CLEANUP_BUF struct buf body = {0};
    buf_append_str(&body, STR("{\"metadata\":{\"resourceVersion\":\"7\"},\"items\":["));
    while (body.len < LONGER)
        buf_append_str(&body,
                       STR("                                                               "));
    buf_append_str(&body, STR("]}"));
    const struct route routes[] = {{ASK_CRD, {.body = buf_str(&body)}}, {0}};
    struct world world = {.routes = routes};
    world_start(&world, NULL);
    clock_pass(world.loop, 5000);
    check_number("kinds", (long long)kubernetes_stats(world.kubernetes).kinds, CORE_KINDS);
    check_world_trace("not in sync", &world, "");
    assert_true(count_asked(&world, ASK_CRD) > 1);
    world_end(&world);
}

/* Of policies only those of its own namespace; of all else, all. */
static void test_namespace(void **state)
{
    (void)state;
    static const struct route routes[] = {{0}};
    static const char *const asked[] = {
        "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies?watch=1",
        "/apis/projectcalico.org/v3/namespaces/shop/networkpolicies?watch=1",
        "/apis/projectcalico.org/v3/namespaces/shop/stagednetworkpolicies?watch=1",
        "/apis/projectcalico.org/v3/namespaces/shop/stagedkubernetesnetworkpolicies?watch=1",
        "/apis/projectcalico.org/v3/globalnetworkpolicies?watch=1",
        "/apis/projectcalico.org/v3/networksets?watch=1",
        "/api/v1/pods" RUNNING "watch=1",
    };
    struct world world = {.routes = routes, .namespace = "shop"};
    setenv("CALICO_API_GROUP", "projectcalico.org/v3", 1);
    world_start(&world, NULL);
    unsetenv("CALICO_API_GROUP");
    clock_pass(world.loop, 2000);
    for (size_t i = 0; i < COUNT(asked); i++)
        CHECK(asked[i], has_asked(&world, asked[i]));
    assert_int_equal(count_asked(&world, "/namespaces/shop/"), 4);
    check_number("kinds", (long long)count_asked(&world, ""), SIDECAR_KINDS);
    check_world_trace("in sync", &world, "= . ");
    world_end(&world);
}

static void test_cannot_be_opened(void **state)
{
    (void)state;
    const struct datastore_sink sink = {0};
    struct kube_config config = {0}, given = {.server = "http://127.0.0.1:1"};
    const struct kubernetes_options options = {.config = &given};
    struct error err;
    struct loop *loop = loop_new(&err);
    assert_false(kubernetes_find(&config, "none", &err));
    assert_non_null(strstr(err.text, "cannot open kubeconfig \"none\""));
    kube_config_free(&config);
    setenv("CALICO_API_GROUP", "nonsense\n", 1);
    assert_null(kubernetes_open(loop, &options, &sink, &err));
    unsetenv("CALICO_API_GROUP");
    assert_non_null(strstr(err.text, "CALICO_API_GROUP: \"nonsense\\x0a\" is neither "));
    loop_free(loop);
    kubernetes_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_groups),           cmocka_unit_test(test_patience),
        cmocka_unit_test(test_endless_answer),   cmocka_unit_test(test_namespace),
        cmocka_unit_test(test_cannot_be_opened),
    };
    unsetenv("CALICO_API_GROUP");
    clock_patience = 5;
    log_set_level(LOG_ERROR + 1);
    return cmocka_run_group_tests(tests, folder_enter, folder_leave);
}
