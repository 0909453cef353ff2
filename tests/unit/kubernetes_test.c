/* datastore/kubernetes.h: when it is in sync, and what it tells when things change. */
#include "kubernetes_world.h"

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
        {"a kind that is not there is empty", {WITH_CRDS, {POLICIES, {IS_MISSING}}}, ""},
        {"no group of Calico", {{0}}, ""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct world world = {.routes = cases[i].routes};
        world_start(&world, NULL);
        clock_pass(world.loop, 25 * 1000);
        struct str trace = buf_str(&world.trace);
        CHECK(cases[i].name, str_starts_with(trace, str_from_c(cases[i].trace)));
        CHECK(cases[i].name, str_ends_with(trace, STR("= . ")));
        /* Once. */
        CHECK(cases[i].name, str_find(trace, '=') == trace.len - 4);
        world_end(&world);
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
        {"somebody else's 404, of a kind", {WITH_CRDS, {POLICIES, {.status = 404}}}},
        {"somebody else's 404, of a group",
         {{ASK_CRD, {.status = 404, .body = STR_INIT("<html>404 page not found</html>")}}}},
        {"somebody else's 404, of the other group", {{ASK_V3, {.status = 404}}}},
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
        world_start(&world, NULL);
        clock_pass(world.loop, 45 * 1000);
        check_world_trace(cases[i].name, &world, "");
        world_end(&world);
    }
}

/* Kinds that are not installed are neither missing nor there; what is not readable is missing. */
static void test_stats(void **state)
{
    (void)state;
    static const struct route routes[] = {WITH_CRDS,
                                          {POLICIES, {IS_MISSING}},
                                          {"/apis/crd.projectcalico.org/v1/tiers", {.status = 403}},
                                          {0}};
    struct world world = {.routes = routes};
    world_start(&world, NULL);
    clock_pass(world.loop, 5000);
    check_number("kinds", (long long)kubernetes_stats(world.kubernetes).kinds, SIDECAR_KINDS - 1);
    check_number("live", (long long)kubernetes_stats(world.kubernetes).live, SIDECAR_KINDS - 2);
    world_end(&world);
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
        world_start(&world, NULL);
        clock_pass(world.loop, 10 * 1000);
        check_world_trace("before", &world, "");
        world.routes = with_crds;
        clock_pass(world.loop, 30 * 1000);
        check_world_trace("later", &world, "= . ");
        world_end(&world);
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
    world_start(&world, NULL);
    clock_pass(world.loop, 60 * 1000);
    check_world_trace("before", &world, "= . ");
    assert_int_equal(kubernetes_stats(world.kubernetes).kinds, CORE_KINDS);
    assert_int_equal(kubernetes_stats(world.kubernetes).objects, 0);
    world.routes = later;
    clock_pass(world.loop, 125 * 1000);
    check_world_trace("later", &world, "= . +NetworkPolicy n/a . ");
    assert_int_equal(kubernetes_stats(world.kubernetes).kinds, SIDECAR_KINDS);
    assert_int_equal(kubernetes_stats(world.kubernetes).objects, 1);
    world_end(&world);
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
    world_start(&world, NULL);
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
    world_end(&world);
}

/* When one kind can be read again, neither the others nor the question for the group wait for their own pauses, which are long by
 * then. */
static void test_all_come_back_together(void **state)
{
    (void)state;
    static const struct route routes[] = {WITH_CRDS, {0}};
    for (unsigned i = 0; i < 6; i++) {
        struct world world = {.routes = routes, .is_down = true};
        if (i == 0)
            setenv("CALICO_API_GROUP", "projectcalico.org/v3", 1);
        world_start(&world, NULL);
        unsetenv("CALICO_API_GROUP");
        clock_pass(world.loop, 300 * 1000);
        check_world_trace("before", &world, "");
        world.is_down = false;
        for (int j = 0; j < 100 && kubernetes_stats(world.kubernetes).live == 0; j++)
            clock_pass(world.loop, 500);
        clock_pass(world.loop,
                   12 * 1000); /* settling, the spread, and what the question brings: 7.5 s */
        check_number("live", (long long)kubernetes_stats(world.kubernetes).live, SIDECAR_KINDS);
        check_world_trace("afterwards", &world, "= . ");
        world_end(&world);
    }
}

/* It is news for the kinds, too, that the question for the group was answered: whatever is in their way, they look within 5 s. */
static void test_group_comes_back_first(void **state)
{
    (void)state;
    static const char *const kinds[] = {
        "/api/v1/namespaces", "/api/v1/serviceaccounts", "/api/v1/pods",
        "/apis/networking.k8s.io/v1/networkpolicies", "/apis/discovery.k8s.io/v1/endpointslices"};
    static const struct route routes[] = {
        WITH_CRDS,
        {"/api/v1/namespaces", {.status = 503}},
        {"/api/v1/serviceaccounts", {.status = 503}},
        {"/api/v1/pods", {.status = 503}},
        {"/apis/networking.k8s.io/v1/networkpolicies", {.status = 503}},
        {"/apis/discovery.k8s.io/v1/endpointslices", {.status = 503}},
        {0}};
    struct world world = {.routes = routes, .is_down = true};
    world_start(&world, NULL);
    clock_pass(world.loop, 300 * 1000);
    world.is_down = false;
    world.asked.len = 0;
    for (int i = 0; i < 1000 && !has_asked(&world, ASK_CRD); i++)
        clock_pass(world.loop, 100);
    clock_pass(world.loop, 6000);
    struct str later = buf_str(&world.asked);
    while (!str_starts_with(later, STR(ASK_CRD)))
        later = str_from(later, 1);
    for (size_t i = 0; i < COUNT(kinds); i++)
        CHECK(kinds[i], str_contains(later, str_from_c(kinds[i])));
    world_end(&world);
}

/* Before anything was asked for, and at any time thereafter. */
static void test_close(void **state)
{
    (void)state;
    static const struct route routes[] = {
        WITH_CRDS, {"/api/v1/pods", {.ending = API_NOTHING}}, {0}};
    for (uint64_t after = 0; after < 700; after += 70) {
        struct world world = {.routes = routes};
        world_start(&world, "node-1");
        if (after > 0)
            clock_pass(world.loop, after);
        world_end(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_sync),
        cmocka_unit_test(test_not_in_sync),
        cmocka_unit_test(test_stats),
        cmocka_unit_test(test_in_sync_later),
        cmocka_unit_test(test_group_comes_later),
        cmocka_unit_test(test_outage),
        cmocka_unit_test(test_all_come_back_together),
        cmocka_unit_test(test_group_comes_back_first),
        cmocka_unit_test(test_close),
    };
    unsetenv("CALICO_API_GROUP");
    clock_patience = 5;
    log_set_level(LOG_ERROR + 1);
    return cmocka_run_group_tests(tests, folder_enter, folder_leave);
}
