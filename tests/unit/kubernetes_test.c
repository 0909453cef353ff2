/* datastore/kubernetes.h against a server of the test's own: what is asked for, and when it is in sync. Time skips. */
#include "datastore/kubernetes.h"

#include <stdio.h>
#include <stdlib.h>

#include "api_server.h"
#include "base/log.h"
#include "folder.h"
#include "skipping_clock.h"

/* What the server answers where it does not answer that a kind is empty. */
struct route {
    const char *path; /* without the query, or a whole target */
    struct api_reply reply;
};

struct world {
    struct loop *loop;
    struct api_server server;
    struct kube_config config;
    const struct route *routes; /* the last has no path */
    const char *namespace;      /* of a sidecar, or NULL */
    bool is_down;               /* all is answered with 503 */
    struct kubernetes *kubernetes;
    struct buf asked; /* each target, a line each */
    struct buf trace; /* +RESOURCE, -RESOURCE, "." the end of a batch, "=" in sync */
};

/* ---- the server ---- */

#define EVENT(type, object) "{\"type\":\"" type "\",\"object\":" object "}\n"
#define POLICY(name, version)                                                                      \
    "{\"metadata\":{\"namespace\":\"n\",\"name\":\"" name "\",\"resourceVersion\":\"" version      \
    "\"},\"spec\":{}}"
#define END                                                                                        \
    EVENT("BOOKMARK", "{\"metadata\":{\"resourceVersion\":\"7\",\"annotations\":{"                 \
                      "\"k8s.io/initial-events-end\":\"true\"}}}")
/* How it is asked whether a group is there, and what says so. */
#define ASK_CRD  "/apis/crd.projectcalico.org/v1/globalnetworkpolicies?limit=1"
#define ASK_V3   "/apis/projectcalico.org/v3/globalnetworkpolicies?limit=1"
#define IS_THERE .body = STR_INIT("{\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[]}")

static struct api_reply answer(void *ctx, const struct api_request *request)
{
    struct world *world = ctx;
    struct str path, query;
    str_cut(request->target, '?', &path, &query);
    buf_append_str(&world->asked, request->target);
    buf_append_byte(&world->asked, '\n');
    if (world->is_down)
        return (struct api_reply){.status = 503};
    for (size_t i = 0; world->routes[i].path != NULL; i++) {
        struct str own = str_from_c(world->routes[i].path);
        if (str_eq(path, own) || str_eq(request->target, own))
            return world->routes[i].reply;
    }
    if (str_eq(query, STR("limit=1")))
        return (struct api_reply){.status = 404};
    return (struct api_reply){.ending = API_OPEN, .body = STR(END)};
}

/* ---- the sink ---- */

static void on_update(void *ctx, struct model_resource *resource)
{
    struct world *world = ctx;
    CLEANUP_ARENA struct arena arena = {0};
    struct str key = model_key_format(&arena, &resource->key);
    buf_printf(&world->trace, "+%.*s ", STR_ARG(key));
    model_resource_free(resource);
}

static void on_remove(void *ctx, const struct model_key *key)
{
    struct world *world = ctx;
    CLEANUP_ARENA struct arena arena = {0};
    struct str text = model_key_format(&arena, key);
    buf_printf(&world->trace, "-%.*s ", STR_ARG(text));
}

static void on_batch_end(void *ctx)
{
    buf_append_str(&((struct world *)ctx)->trace, STR(". "));
}

static void on_in_sync(void *ctx)
{
    buf_append_str(&((struct world *)ctx)->trace, STR("= "));
}

static void start(struct world *world, const char *node)
{
    const struct datastore_sink sink = {.update = on_update,
                                        .remove = on_remove,
                                        .batch_end = on_batch_end,
                                        .in_sync = on_in_sync,
                                        .ctx = world};
    const struct kubernetes_options options = {
        .config = &world->config, .node = node, .namespace = world->namespace};
    struct error err;
    CLEANUP_BUF struct buf config = {0};
    world->loop = loop_new(&err);
    api_server_start(&world->server, world->loop, answer, world);
    buf_printf(&config,
               "{current-context: c, contexts: [{name: c, context: {cluster: k}}], clusters: "
               "[{name: k, cluster: {server: 'http://127.0.0.1:%u'}}]}",
               world->server.port);
    folder_write("config", buf_str(&config), 0600);
    if (kubernetes_find(&world->config, "config", &err))
        world->kubernetes = kubernetes_open(world->loop, &options, &sink, &err);
    if (world->kubernetes == NULL)
        fail_msg("%s", err.text);
    check_text("trace", buf_str(&world->trace), STR(""));
}

static void end(struct world *world)
{
    kubernetes_close(world->kubernetes);
    kube_config_free(&world->config);
    api_server_stop(&world->server);
    loop_free(world->loop);
    buf_free(&world->asked);
    buf_free(&world->trace);
}

static void check_trace(const char *name, const struct world *world, const char *expected)
{
    check_text(name, buf_str(&world->trace), str_from_c(expected));
}

static bool has_asked(const struct world *world, const char *part)
{
    return str_contains(buf_str(&world->asked), str_from_c(part));
}

static size_t count_asked(const struct world *world, const char *part)
{
    size_t count = 0;
    struct str rest = buf_str(&world->asked), target;
    while (str_cut(rest, '\n', &target, &rest))
        count += str_contains(target, str_from_c(part));
    return count;
}

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
enum { SIDECAR_KINDS = COUNT(core_targets) + COUNT(calico_resources) };

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
            start(&world, for_agent == 1 ? "node-1" : NULL);
            clock_pass(world.loop, 2000);
            unsetenv("CALICO_API_GROUP");
            check_asked(&world, cases[i].group, for_agent == 1);
            check_trace(cases[i].group, &world, "= . ");
            struct kubernetes_stats stats = kubernetes_stats(world.kubernetes);
            size_t questions = count_asked(&world, "?limit=1");
            check_number("questions", (long long)questions, (long long)cases[i].questions);
            check_number("requests", (long long)count_asked(&world, ""), (long long)stats.requests);
            check_number("requests", (long long)stats.requests,
                         (long long)(stats.kinds + questions));
            check_number("kinds", (long long)stats.kinds, SIDECAR_KINDS + 3 * (int)for_agent);
            check_number("live", (long long)stats.live, SIDECAR_KINDS + 3 * (int)for_agent);
            assert_true(stats.bytes > 0 || questions == 0);
            end(&world);
        }
    }
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
    start(&world, NULL);
    unsetenv("CALICO_API_GROUP");
    clock_pass(world.loop, 2000);
    for (size_t i = 0; i < COUNT(asked); i++)
        CHECK(asked[i], has_asked(&world, asked[i]));
    assert_int_equal(count_asked(&world, "/namespaces/shop/"), 4);
    check_number("kinds", (long long)count_asked(&world, ""), SIDECAR_KINDS);
    check_trace("in sync", &world, "= . ");
    end(&world);
}

/* ---- in sync ---- */

#define WITH_CRDS                                                                                  \
    {                                                                                              \
        ASK_CRD,                                                                                   \
        {                                                                                          \
            IS_THERE                                                                               \
        }                                                                                          \
    }
#define POLICIES "/apis/crd.projectcalico.org/v1/networkpolicies"

static void test_in_sync(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct route routes[3];
        const char *trace;
    } cases[] = {
        {"what is there comes first",
         {WITH_CRDS,
          {POLICIES, {.ending = API_OPEN, .body = STR_INIT(EVENT("ADDED", POLICY("a", "1")) END)}}},
         "+NetworkPolicy n/a "},
        {"a kind that is not there is empty", {WITH_CRDS, {POLICIES, {.status = 404}}}, ""},
        {"no group of Calico", {{0}}, ""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct world world = {.routes = cases[i].routes};
        start(&world, NULL);
        clock_pass(world.loop, 25 * 1000);
        struct str trace = buf_str(&world.trace);
        CHECK(cases[i].name, str_starts_with(trace, str_from_c(cases[i].trace)));
        CHECK(cases[i].name, str_ends_with(trace, STR("= . ")));
        /* Once. */
        CHECK(cases[i].name, str_find(trace, '=') == trace.len - 4);
        end(&world);
    }
}

static void test_not_in_sync(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct route routes[3];
    } cases[] = {
        {"a right is missing", {WITH_CRDS, {"/api/v1/pods", {.status = 403}}}},
        {"a right is missing, of Calico's", {WITH_CRDS, {POLICIES, {.status = 403}}}},
        {"a list has no end", {WITH_CRDS, {POLICIES, {.ending = API_OPEN, .body = STR_INIT("")}}}},
        {"a list is none", {WITH_CRDS, {POLICIES, {.body = STR_INIT("{}")}}}},
        {"no answer", {WITH_CRDS, {POLICIES, {.ending = API_NOTHING}}}},
        {"no right to one group, and no other", {{ASK_CRD, {.status = 403}}}},
        {"no right to the other group", {{ASK_V3, {.status = 403}}}},
        {"no right to either", {{ASK_CRD, {.status = 403}}, {ASK_V3, {.status = 403}}}},
        {"who one is is not known", {{ASK_CRD, {.status = 401}}}},
        {"the question fails", {{ASK_CRD, {.status = 500}}}},
        {"the other question fails", {{ASK_V3, {.status = 500}}}},
        {"the question is not understood", {{ASK_CRD, {.status = 400}}}},
        {"the answer is empty", {{ASK_CRD, {.body = STR_INIT("")}}}},
        {"the answer is no JSON", {{ASK_CRD, {.body = STR_INIT("<html>")}}}},
        {"the answer is no list", {{ASK_CRD, {.body = STR_INIT("{}")}}}},
        {"the answer is a status", {{ASK_CRD, {.body = STR_INIT("{\"kind\":\"Status\"}")}}}},
        {"the answer breaks off",
         {{ASK_CRD, {.body = STR_INIT("{\"items\":["), .ending = API_UNTIL_CLOSE}}}},
        {"the answer has no end",
         {{ASK_CRD, {.ending = API_OPEN, .body = STR_INIT("{\"items\":[")}}}},
        {"silence", {{ASK_CRD, {.ending = API_NOTHING}}}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct world world = {.routes = cases[i].routes};
        start(&world, NULL);
        clock_pass(world.loop, 45 * 1000);
        check_trace(cases[i].name, &world, "");
        end(&world);
    }
}

/* What was in the way goes away: it is in sync soon. */
static void test_in_sync_later(void **state)
{
    (void)state;
    static const struct route with_crds[] = {WITH_CRDS, {0}};
    static const struct route before[][2] = {
        {{ASK_CRD, {.status = 500}}},
        {{ASK_CRD, {.status = 403}}},
        {{ASK_CRD, {.body = STR_INIT("{}")}}},
        {{ASK_CRD, {.ending = API_HANG_UP}}},
    };
    for (size_t i = 0; i < COUNT(before); i++) {
        struct world world = {.routes = before[i]};
        start(&world, NULL);
        clock_pass(world.loop, 10 * 1000);
        check_trace("before", &world, "");
        world.routes = with_crds;
        clock_pass(world.loop, 3000);
        check_trace("later", &world, "= . ");
        end(&world);
    }
}

/* Calico's resources are installed while it runs. */
static void test_group_comes_later(void **state)
{
    (void)state;
    static const struct route before[] = {{0}};
    static const struct route later[] = {
        WITH_CRDS,
        {POLICIES, {.ending = API_OPEN, .body = STR_INIT(EVENT("ADDED", POLICY("a", "1")) END)}},
        {0}};
    struct world world = {.routes = before};
    start(&world, NULL);
    clock_pass(world.loop, 60 * 1000);
    check_trace("before", &world, "= . ");
    assert_int_equal(kubernetes_stats(world.kubernetes).kinds, COUNT(core_targets));
    assert_int_equal(kubernetes_stats(world.kubernetes).objects, 0);
    world.routes = later;
    clock_pass(world.loop, 22 * 1000);
    check_trace("later", &world, "= . +NetworkPolicy n/a . ");
    assert_int_equal(kubernetes_stats(world.kubernetes).kinds, SIDECAR_KINDS);
    assert_int_equal(kubernetes_stats(world.kubernetes).objects, 1);
    end(&world);
}

/* ---- changes ---- */

/* An outage changes nothing; what went meanwhile is gone after it. */
static void test_outage(void **state)
{
    (void)state;
    static const struct route before[] = {
        WITH_CRDS,
        {POLICIES,
         {.ending = API_OPEN,
          .body = STR_INIT(EVENT("ADDED", POLICY("a", "1")) EVENT("ADDED", POLICY("b", "2")) END)}},
        {0}};
    static const struct route during[] = {{POLICIES, {.status = 503}}, {0}};
    static const struct route gone[] = {
        {POLICIES, {.body = STR_INIT("{\"type\":\"ERROR\",\"object\":{\"code\":410}}")}}, {0}};
    static const struct route after[] = {
        {POLICIES, {.ending = API_OPEN, .body = STR_INIT(EVENT("ADDED", POLICY("b", "2")) END)}},
        {0}};
    struct world world = {.routes = before};
    start(&world, NULL);
    clock_pass(world.loop, 2000);
    struct str trace = buf_str(&world.trace);
    CHECK("in sync", str_ends_with(trace, STR("= . ")));
    size_t told = trace.len;
    world.routes = during;
    api_server_hang_up(&world.server);
    clock_pass(world.loop, 60 * 1000);
    check_number("during", (long long)world.trace.len, (long long)told);
    world.routes = gone;
    clock_pass(world.loop, 60 * 1000);
    check_number("gone", (long long)world.trace.len, (long long)told);
    world.routes = after;
    clock_pass(world.loop, 60 * 1000);
    check_text("after", str_from(buf_str(&world.trace), told), STR("-NetworkPolicy n/a . "));
    end(&world);
}

/* When one kind can be read again, the others do not wait for their own pauses, which are long by then. */
static void test_all_come_back_together(void **state)
{
    (void)state;
    static const struct route routes[] = {{0}};
    struct world world = {.routes = routes, .is_down = true};
    setenv("CALICO_API_GROUP", "projectcalico.org/v3", 1);
    start(&world, NULL);
    unsetenv("CALICO_API_GROUP");
    clock_pass(world.loop, 300 * 1000);
    check_trace("before", &world, "");
    world.is_down = false;
    for (int i = 0; i < 100 && kubernetes_stats(world.kubernetes).live == 0; i++)
        clock_pass(world.loop, 500);
    clock_pass(world.loop, 3500);
    check_number("live", (long long)kubernetes_stats(world.kubernetes).live, SIDECAR_KINDS);
    check_trace("afterwards", &world, "= . ");
    end(&world);
}

/* Two objects mean the same: when one goes, the other is told again, and the list is asked for once. */
static void test_twins(void **state)
{
    (void)state;
    static const struct route before[] = {WITH_CRDS,
                                          {POLICIES,
                                           {.ending = API_OPEN,
                                            .body = STR_INIT(EVENT("ADDED", POLICY("a", "1")) EVENT(
                                                "ADDED", POLICY("default.a", "2")) END)}},
                                          {0}};
    static const struct route after[] = {
        {POLICIES, {.ending = API_OPEN, .body = STR_INIT(EVENT("ADDED", POLICY("a", "1")) END)}},
        {0}};
    struct world world = {.routes = before};
    start(&world, NULL);
    clock_pass(world.loop, 2000);
    size_t told = world.trace.len, asked = world.asked.len;
    world.routes = after;
    api_server_send(&world.server, STR(EVENT("DELETED", POLICY("default.a", "8"))));
    clock_pass(world.loop, 20 * 1000);
    check_text("told", str_from(buf_str(&world.trace), told), STR("+NetworkPolicy n/a . "));
    struct str targets = str_from(buf_str(&world.asked), asked);
    CHECK("asked once", str_starts_with(targets, STR(POLICIES "?")) &&
                            str_find(targets, '\n') == targets.len - 1);
    end(&world);
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

/* Before anything was asked for, and at any time thereafter. */
static void test_close(void **state)
{
    (void)state;
    static const struct route routes[] = {
        WITH_CRDS, {"/api/v1/pods", {.ending = API_NOTHING}}, {0}};
    for (uint64_t after = 0; after < 700; after += 70) {
        struct world world = {.routes = routes};
        start(&world, "node-1");
        if (after > 0)
            clock_pass(world.loop, after);
        end(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_groups),        cmocka_unit_test(test_namespace),
        cmocka_unit_test(test_in_sync),       cmocka_unit_test(test_not_in_sync),
        cmocka_unit_test(test_in_sync_later), cmocka_unit_test(test_group_comes_later),
        cmocka_unit_test(test_outage),        cmocka_unit_test(test_all_come_back_together),
        cmocka_unit_test(test_twins),         cmocka_unit_test(test_cannot_be_opened),
        cmocka_unit_test(test_close),
    };
    unsetenv("CALICO_API_GROUP");
    clock_patience = 5;
    log_set_level(LOG_ERROR + 1);
    return cmocka_run_group_tests(tests, folder_enter, folder_leave);
}
