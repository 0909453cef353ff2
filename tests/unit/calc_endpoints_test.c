/* calc/endpoints.h: whose endpoint it is, and what it is told. */
#include "base/log.h"

#include <malloc.h>

#include "calc_world.h"

#define VM(name, orchestrator, workload, endpoint, ip)                                             \
    WORKLOAD(name, "orchestrator: " orchestrator ", workload: " workload ", endpoint: " endpoint   \
                   ", ipNetworks: [" ip "]")

/* One that says that it is the endpoint of pod a. */
#define CLAIM(name, ip)                                                                            \
    WORKLOAD(name, "orchestrator: k8s, pod: a, endpoint: eth0, ipNetworks: [" ip "]")

static void start(struct calc_world *world, const char *node, const char *workload)
{
    open_calc(world, node, workload);
    world->is_short = true;
    start_with(world, NAMESPACE("bank", ""));
}

/* ---- whose ---- */

#define ON(name, node)                                                                             \
    KUBERNETES("Pod", name)                                                                        \
    ", namespace: bank}, spec: {nodeName: " node "}, status: {podIP: 10.0.0.1}}\n"

static void test_scopes(void **state)
{
    (void)state;
    static const struct {
        const char *name, *node, *workload, *expected;
    } cases[] = {
        {"a node's", "node-1", NULL, "endpoint k8s/bank/a/eth0"},
        {"another node's", "node-2", NULL, "endpoint k8s/bank/b/eth0"},
        {"a workload's", NULL, "bank/b", "endpoint k8s/bank/b/eth0"},
        {"all", NULL, NULL, "endpoint k8s/bank/a/eth0\nendpoint k8s/bank/b/eth0"},
        {"nobody's", "node-", NULL, ""},
        {"no workload's", NULL, "bank/", ""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct calc_world world;
        CLEANUP_BUF struct buf expected = {0};
        start(&world, cases[i].node, cases[i].workload);
        put(&world, ON("a", "node-1") ON("b", "node-2"));
        buf_printf(&expected, "%s%s", cases[i].expected[0] != '\0' ? "profile kns.bank\n" : "",
                   cases[i].expected);
        buf_append_byte(&expected, '\0');
        check_flush(cases[i].name, &world, expected.data);
        close_calc(&world);
    }
}

/* A pod that moves to another node, finishes, or loses its address. */
static void test_lives(void **state)
{
    (void)state;
    static const struct {
        const char *name, *gone;
    } cases[] = {
        {"moved", ON("a", "node-2")},
        {"not scheduled",
         KUBERNETES("Pod", "a") ", namespace: bank}, spec: {}, status: {podIP: 10.0.0.1}}"},
        {"finished", KUBERNETES("Pod", "a") ", namespace: bank}, spec: {nodeName: node-1}, status: "
                                            "{phase: Succeeded, podIP: 10.0.0.1}}"},
        {"without address", KUBERNETES("Pod", "a") ", namespace: bank}, spec: {nodeName: node-1}}"},
        {"host-networked", KUBERNETES("Pod", "a") ", namespace: bank}, spec: {nodeName: node-1, "
                                                  "hostNetwork: true}, status: {podIP: 10.0.0.1}}"},
        {"broken",
         KUBERNETES(
             "Pod",
             "a") ", namespace: bank}, spec: {nodeName: node-1}, status: {podIP: 10.0.0.x}}"},
    };
    struct calc_world world;
    start(&world, "node-1", NULL);
    for (size_t i = 0; i < COUNT(cases); i++) {
        put(&world, ON("a", "node-1"));
        check_flush(cases[i].name, &world, "profile kns.bank\nendpoint k8s/bank/a/eth0");
        put(&world, cases[i].gone);
        check_flush(cases[i].name, &world, "-endpoint k8s/bank/a/eth0\n-profile kns.bank");
        check_number(cases[i].name, (long long)calc_stats(world.calc).endpoints, 0);
    }
    close_calc(&world);
}

/* ---- several claims ---- */

static void test_claims(void **state)
{
    (void)state;
    struct calc_world world;
    start(&world, "node-1", NULL);
    put(&world, CLAIM("one", "10.0.0.1"));
    check_flush("one", &world, "endpoint k8s/bank/a/eth0");
    put(&world, CLAIM("two", "10.0.0.2"));
    check_flush("two: nobody knows which", &world, "-endpoint k8s/bank/a/eth0");
    put(&world, ON("a", "node-1"));
    check_flush("a pod goes before both", &world, "profile kns.bank\nendpoint k8s/bank/a/eth0");
    drop(&world, WORKLOAD("one", ""));
    check_flush("whatever becomes of them", &world, "");
    drop(&world, ON("a", ""));
    check_flush("one is left", &world, "endpoint k8s/bank/a/eth0\n-profile kns.bank");
    put(&world, ON("a", "node-1") CLAIM("three", "10.0.0.3"));
    drop(&world, ON("a", ""));
    check_flush("two again", &world, "-endpoint k8s/bank/a/eth0");
    drop(&world, WORKLOAD("two", "") WORKLOAD("three", ""));
    check_flush("none", &world, "");
    put(&world, CLAIM("one", "10.0.0.1") CLAIM("two", "10.0.0.2"));
    drop(&world, WORKLOAD("one", ""));
    check_flush("the other one", &world, "endpoint k8s/bank/a/eth0");
    close_calc(&world);
}

/* A WorkloadEndpoint whose id becomes another. */
static void test_replaced_id(void **state)
{
    (void)state;
    struct calc_world world;
    start(&world, "node-1", NULL);
    put(&world, VM("vm", "o", "w", "e", "10.0.0.1"));
    check_flush("first", &world, "endpoint o/bank/w/e");
    put(&world, VM("vm", "o", "w2", "e", "10.0.0.1"));
    check_flush("another workload", &world, "endpoint o/bank/w2/e\n-endpoint o/bank/w/e");
    put(&world, VM("vm", "o2", "w2", "e", "10.0.0.1"));
    check_flush("another orchestrator", &world, "endpoint o2/bank/w2/e\n-endpoint o/bank/w2/e");
    put(&world, VM("vm", "o2", "w2", "e2", "10.0.0.1"));
    check_flush("another endpoint", &world, "endpoint o2/bank/w2/e2\n-endpoint o2/bank/w2/e");
    put(&world, VM("other", "o", "w", "e", "10.0.0.2"));
    check_flush("another one", &world, "endpoint o/bank/w/e");
    put(&world, VM("vm", "o", "w", "e", "10.0.0.1"));
    check_flush("the id of the other: both are gone", &world,
                "-endpoint o/bank/w/e\n-endpoint o2/bank/w2/e2");
    put(&world, VM("other", "o", "w3", "e", "10.0.0.2"));
    check_flush("the other makes room", &world, "endpoint o/bank/w/e\nendpoint o/bank/w3/e");
    /* They exchange their ids. */
    put(&world, VM("vm", "o", "w3", "e", "10.0.0.2") VM("other", "o", "w", "e", "10.0.0.1"));
    check_flush("exchanged: each id is what it was", &world, "");
    close_calc(&world);
}

/* A single workload may have several endpoints; only one is meant. */
static void test_single_workload(void **state)
{
    (void)state;
    struct calc_world world;
    start(&world, NULL, "bank/vm");
    put(&world, VM("one", "o", "vm", "e", "10.0.0.1"));
    check_flush("one", &world, "endpoint o/bank/vm/e");
    put(&world, VM("one", "o", "vm", "f", "10.0.0.1"));
    check_flush("its id is another", &world, "-endpoint o/bank/vm/e\nendpoint o/bank/vm/f");
    put(&world, VM("two", "o2", "vm", "g", "10.0.0.2"));
    check_flush("two", &world, "-endpoint o/bank/vm/f");
    drop(&world, WORKLOAD("one", ""));
    check_flush("the other", &world, "endpoint o2/bank/vm/g");
    put(&world, VM("two", "o2", "elsewhere", "g", "10.0.0.2"));
    check_flush("another workload's", &world, "-endpoint o2/bank/vm/g");
    close_calc(&world);
}

/* However often its id becomes another, no former one is kept. */
static void test_many_ids(void **state)
{
    (void)state;
    enum { WARM = 100, ROUNDS = 1000, NOISE = 48 * 1024 };
    /* The sanitizers' allocator tells 0. */
    int rounds = mallinfo2().uordblks > 0 ? ROUNDS : WARM;
    size_t used[2] = {0};
    struct calc_world world;
    start(&world, NULL, "bank/vm");
    for (int round = 0; round < rounds; round++) {
        CLEANUP_BUF struct buf text = {0};
        buf_printf(&text, VM("one", "o", "vm", "e%0100d", "10.0.0.1"), round);
        buf_append_byte(&text, '\0');
        put(&world, text.data);
        flush(&world);
        if (round == WARM || round == ROUNDS - 1)
            used[round > WARM] = mallinfo2().uordblks;
    }
    assert_in_range(used[1], 0, used[0] + NOISE);
    close_calc(&world);
}

/* ---- what it is told ---- */

static void test_message(void **state)
{
    (void)state;
    struct calc_world world;
    open_calc(&world, "node-1", NULL);
    start_with(&world, NAMESPACE("bank", "") ACCOUNT("sa", "") TIER("late", "order: 5000000")
                           TIER("early", "order: 1, defaultAction: Pass"));
    put(&world,
        GLOBAL("both", "tier: early, types: [Ingress, Egress]")
            GLOBAL("out", "tier: early, order: 3, egress: [{action: Allow}]")
                POLICY("in", "order: 2, ingress: [{action: Allow}]") POLICY("b", "") POLICY("a", "")
                    GLOBAL("lost", "tier: nowhere, ingress: [{action: Allow}]")
                        GLOBAL("idle", "selector: has(none)")
                            CALICO("StagedGlobalNetworkPolicy",
                                   "staged") "}, spec: {tier: late, egress: [{action: Deny}]}}\n");
    flush(&world);
    put(&world,
        KUBERNETES("Pod", "a") ", namespace: bank}, spec: {nodeName: node-1, serviceAccountName: "
                               "sa}, status: {podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]}}\n");
    world.trace.len = 0;
    flush(&world);
    const char *endpoint = strstr(world.trace.data, "endpoint k8s");
    assert_non_null(endpoint);
    struct str message =
        str_make(endpoint, world.trace.len - (size_t)(endpoint - world.trace.data));
    check_text("endpoint", message,
               STR("endpoint k8s/bank/a/eth0 state=<active> interface=<cali29df2682200>"
                   " v4{10.0.0.1/32} v6{fd00::1/128} profiles=kns.bank,ksa.bank.sa\n"
                   "  tier early Pass in: GlobalNetworkPolicy both out: GlobalNetworkPolicy out,"
                   " GlobalNetworkPolicy both\n"
                   "  tier default Deny in: NetworkPolicy bank/in, NetworkPolicy bank/a,"
                   " NetworkPolicy bank/b\n"
                   "  tier late Deny out: StagedGlobalNetworkPolicy staged\n"
                   "  tier nowhere Deny in: GlobalNetworkPolicy lost"));
    close_calc(&world);
}

static void check_interface(struct calc_world *world, const char *prefix, const char *expected)
{
    calc_set_interface_prefix(world->calc, str_from_c(prefix));
    flush(world);
    CHECK(prefix, (world->trace.len > 0) == (expected[0] != '\0'));
    buf_append_byte(&world->trace, '\0');
    CHECK(prefix, strstr(world->trace.data, expected) != NULL);
}

/* Those of pods; others have a name of their own. */
static void test_interface_prefix(void **state)
{
    (void)state;
    struct calc_world world;
    open_calc(&world, "node-1", NULL);
    start_with(&world, ON("a", "node-1"));
    check_interface(&world, "cali", "");
    check_interface(&world, "eni", "interface=<eni29df2682200>");
    check_interface(&world, "", "interface=<29df2682200>");
    drop(&world, ON("a", ""));
    put(&world, WORKLOAD("vm", "orchestrator: o, workload: w, endpoint: e, ipNetworks: [10.0.0.1], "
                               "interfaceName: tap1"));
    check_interface(&world, "cali", "interface=<tap1>");
    close_calc(&world);
}

/* What changes how policies are evaluated is told to the endpoints that they select, and to nobody else. */
static void test_relisted(void **state)
{
    (void)state;
    static const struct {
        const char *name, *change, *expected;
        bool is_removal;
    } cases[] = {
        {"order", GLOBAL("p", "selector: app == 'web', order: 9, tier: t"),
         "endpoint k8s/bank/web/eth0", false},
        {"the same order", GLOBAL("p", "selector: app == 'web', order: 9.0, tier: t"), "", false},
        {"types", GLOBAL("p", "selector: app == 'web', order: 9, tier: t, types: [Egress]"),
         "endpoint k8s/bank/web/eth0", false},
        {"one type more",
         GLOBAL("p", "selector: app == 'web', order: 9, tier: t, types: [Ingress, Egress]"),
         "endpoint k8s/bank/web/eth0", false},
        {"one type less", GLOBAL("p", "selector: app == 'web', order: 9, tier: t, types: [Egress]"),
         "endpoint k8s/bank/web/eth0", false},
        {"rules",
         GLOBAL("p", "selector: app == 'web', order: 9, tier: t, types: [Egress], egress: "
                     "[{action: Deny}]"),
         "policy GlobalNetworkPolicy p", false},
        {"the tier's order alone", TIER("t", "order: 7"), "", false},
        {"the tier's action", TIER("t", "order: 7, defaultAction: Pass"),
         "endpoint k8s/bank/web/eth0", false},
        {"the tier is broken", TIER("t", "order: x"),
         "policy GlobalNetworkPolicy p\npolicy GlobalNetworkPolicy q\nendpoint k8s/bank/web/eth0",
         false},
        {"the tier is gone", TIER("t", ""),
         "policy GlobalNetworkPolicy p\npolicy GlobalNetworkPolicy q", true},
        {"the tier is back", TIER("t", "order: 7"), "", false},
        {"another tier",
         GLOBAL("p", "selector: app == 'web', order: 9, types: [Egress], egress: [{action: Deny}]"),
         "policy GlobalNetworkPolicy p\nendpoint k8s/bank/web/eth0", false},
        {"do not track",
         GLOBAL("p", "selector: app == 'web', order: 9, doNotTrack: true, applyOnForward: true, "
                     "types: [Egress], egress: [{action: Deny}]"),
         "endpoint k8s/bank/web/eth0\n-policy GlobalNetworkPolicy p", false},
        {"tracked",
         GLOBAL("p", "selector: app == 'web', order: 9, applyOnForward: true, types: [Egress], "
                     "egress: [{action: Deny}]"),
         "policy GlobalNetworkPolicy p\nendpoint k8s/bank/web/eth0", false},
        {"another selector",
         GLOBAL("p", "selector: app == 'db', order: 9, types: [Egress], egress: [{action: Deny}]"),
         "policy GlobalNetworkPolicy p\nendpoint k8s/bank/db/eth0\nendpoint k8s/bank/web/eth0",
         false},
        {"gone", GLOBAL("p", ""), "endpoint k8s/bank/db/eth0\n-policy GlobalNetworkPolicy p", true},
    };
    struct calc_world world;
    start(&world, "node-1", NULL);
    put(&world, TIER("t", "order: 5") POD("web", "10.0.0.1", "app: web", "")
                    POD("db", "10.0.0.2", "app: db", ""));
    put(&world, GLOBAL("p", "selector: app == 'web', order: 3, tier: t")
                    GLOBAL("q", "selector: app == 'web', order: 5, tier: t"));
    flush(&world);
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (cases[i].is_removal)
            drop(&world, cases[i].change);
        else
            put(&world, cases[i].change);
        check_flush(cases[i].name, &world, cases[i].expected);
    }
    close_calc(&world);
}

/* A policy is told of while it selects somebody. */
static void test_active(void **state)
{
    (void)state;
    struct calc_world world;
    start(&world, "node-1", NULL);
    put(&world, GLOBAL("p", "selector: app == 'web'"));
    check_flush("nobody", &world, "");
    put(&world, POD("a", "10.0.0.1", "app: web", ""));
    check_flush("the first", &world,
                "policy GlobalNetworkPolicy p\nprofile kns.bank\nendpoint k8s/bank/a/eth0");
    put(&world, POD("b", "10.0.0.2", "app: web", ""));
    check_flush("the second", &world, "endpoint k8s/bank/b/eth0");
    put(&world, POD("a", "10.0.0.1", "app: db", ""));
    check_flush("one is left", &world, "endpoint k8s/bank/a/eth0");
    drop(&world, POD("b", "", "", ""));
    check_flush("none", &world, "-endpoint k8s/bank/b/eth0\n-policy GlobalNetworkPolicy p");
    put(&world, POD("a", "10.0.0.1", "app: web", ""));
    put(&world, POD("a", "10.0.0.1", "app: db", ""));
    check_flush("for a moment", &world, "");
    close_calc(&world);
}

/* Removed and put back otherwise, before the flush. */
static void test_policy_made_anew(void **state)
{
    (void)state;
    struct calc_world world;
    start(&world, "node-1", NULL);
    put(&world, POD("a", "10.0.0.1", "", "") GLOBAL("p", "order: 1") GLOBAL("q", "order: 2"));
    flush(&world);
    drop(&world, GLOBAL("p", ""));
    put(&world, GLOBAL("p", "order: 3"));
    check_flush("behind the other", &world, "endpoint k8s/bank/a/eth0");
    drop(&world, GLOBAL("p", ""));
    put(&world, GLOBAL("p", "order: 3, tier: t"));
    check_flush("in another tier", &world,
                "policy GlobalNetworkPolicy p\nendpoint k8s/bank/a/eth0");
    close_calc(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scopes),           cmocka_unit_test(test_lives),
        cmocka_unit_test(test_claims),           cmocka_unit_test(test_replaced_id),
        cmocka_unit_test(test_single_workload),  cmocka_unit_test(test_many_ids),
        cmocka_unit_test(test_message),          cmocka_unit_test(test_interface_prefix),
        cmocka_unit_test(test_relisted),         cmocka_unit_test(test_active),
        cmocka_unit_test(test_policy_made_anew),
    };
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
