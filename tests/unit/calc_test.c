/* calc.h: what a flush sends, in which order, and when it sends nothing. */
#include <malloc.h>

#include "base/log.h"

#include "calc_world.h"

static void test_in_sync(void **state)
{
    (void)state;
    struct calc_world world;
    open_calc(&world, "node-1", NULL);
    world.is_short = true;
    put(&world, POD("web", "10.0.0.1", "", ""));
    check_flush("not in sync", &world, "");
    assert_int_equal(calc_stats(world.calc).flushes, 0);
    calc_set_in_sync(world.calc);
    check_flush("first", &world, "profile kns.bank\nendpoint k8s/bank/web/eth0\nin sync");
    check_flush("once only", &world, "");
    assert_int_equal(calc_stats(world.calc).flushes, 2);
    assert_int_equal(calc_stats(world.calc).messages, 3);
    assert_int_equal(calc_stats(world.calc).updates, 1);
    close_calc(&world);
    open_calc(&world, "node-1", NULL);
    calc_set_in_sync(world.calc);
    check_flush("of nothing", &world, "in sync");
    close_calc(&world);
    calc_free(NULL);
}

/* Everything that is sent, in its order: what is used is there before, and goes after. */
static void test_order(void **state)
{
    (void)state;
    struct calc_world world;
    open_calc(&world, "node-1", NULL);
    world.is_short = true;
    /* Told in an order that has nothing to do with that of the messages. */
    put(&world, POD("b", "10.0.0.2", "", "") POD("a", "10.0.0.1", "", ", serviceAccountName: sa"));
    put(&world, POLICY("p", "ingress: [{action: Allow, source: {selector: z == '1'}},"
                            " {action: Allow, source: {selector: has(a)}}]"));
    put(&world, GLOBAL("g", "egress: [{action: Deny, destination: {selector: all()}}]"));
    put(&world, ACCOUNT("sa", "") NAMESPACE("shop", "") NAMESPACE("bank", ""));
    calc_set_in_sync(world.calc);
    check_flush("all that is new", &world,
                "set s:(has(a) && projectcalico.org/namespace == \"bank\")\n"
                "set s:(z == \"1\" && projectcalico.org/namespace == \"bank\")\n"
                "set s:all()\n"
                "policy NetworkPolicy bank/p\n"
                "policy GlobalNetworkPolicy g\n"
                "profile kns.bank\n"
                "profile ksa.bank.sa\n"
                "endpoint k8s/bank/a/eth0\n"
                "endpoint k8s/bank/b/eth0\n"
                "namespace bank\n"
                "namespace shop\n"
                "account bank/sa\n"
                "in sync");
    drop(&world, NAMESPACE("shop", "") ACCOUNT("sa", ""));
    drop(&world, GLOBAL("g", "") POD("a", "", "", ""));
    put(&world, POLICY("p", "ingress: [{action: Allow, source: {selector: has(c)}}]"));
    put(&world, NAMESPACE("audit", "") NAMESPACE("bank", "x: '1'"));
    check_flush("some come, some go", &world,
                "set s:(has(c) && projectcalico.org/namespace == \"bank\")\n"
                "policy NetworkPolicy bank/p\n"
                "endpoint k8s/bank/b/eth0\n"
                "namespace audit\n"
                "namespace bank\n"
                "-endpoint k8s/bank/a/eth0\n"
                "-profile ksa.bank.sa\n"
                "-policy GlobalNetworkPolicy g\n"
                "-set s:(has(a) && projectcalico.org/namespace == \"bank\")\n"
                "-set s:(z == \"1\" && projectcalico.org/namespace == \"bank\")\n"
                "-set s:all()\n"
                "-namespace shop\n"
                "-account bank/sa");
    close_calc(&world);
}

#define USES "ingress: [{action: Allow, source: {selector: has(x)}}]"

/* A set that one policy gives up and another takes in the same flush stays; one that nobody takes goes once. */
static void test_set_changes_hands(void **state)
{
    (void)state;
    struct calc_world world;
    open_calc(&world, "node-1", NULL);
    world.is_short = true;
    start_with(&world, NAMESPACE("bank", "") POD("web", "10.0.0.1", "", ""));
    for (char giver = 'a'; giver <= 'c'; giver = (char)(giver + 2)) { /* before and behind it */
        put(&world, giver == 'a' ? GLOBAL("a", USES) : GLOBAL("c", USES));
        flush(&world);
        put(&world, GLOBAL("b", USES));
        put(&world, giver == 'a' ? GLOBAL("a", "") : GLOBAL("c", ""));
        check_flush("changes hands", &world,
                    giver == 'a' ? "policy GlobalNetworkPolicy a\npolicy GlobalNetworkPolicy b\n"
                                   "endpoint k8s/bank/web/eth0"
                                 : "policy GlobalNetworkPolicy b\npolicy GlobalNetworkPolicy c\n"
                                   "endpoint k8s/bank/web/eth0");
        put(&world, GLOBAL("b", ""));
        check_flush("nobody's", &world, "policy GlobalNetworkPolicy b\n-set s:has(x)");
        drop(&world, GLOBAL("b", ""));
        flush(&world);
    }
    close_calc(&world);
}

/* ---- nothing to say ---- */

#define CLUSTER                                                                                    \
    NAMESPACE("bank", "env: prod")                                                                 \
    ACCOUNT("sa", "role: a")                                                                       \
    POD("web", "10.0.0.1", "app: web",                                                             \
        ", serviceAccountName: sa, containers: [{ports: [{name: http, containerPort: 80}]}]")      \
    POD("db", "10.0.0.2", "app: db", "")                                                           \
    SET("s", "app: ext", "192.0.2.1, 192.0.2.0/24")                                                \
    TIER("t", "order: 5")                                                                          \
    SLICE("web-1", "web", "10.0.0.1, 10.0.0.9", "{name: p, port: 80}")                             \
    PROFILE("extra", "labelsToApply: {x: '1'}, ingress: [{action: Allow}]")                        \
    WORKLOAD("vm", "orchestrator: o, workload: vm, endpoint: e, ipNetworks: [10.0.0.3],"           \
                   " profiles: [extra]")                                                           \
    POLICY("p",                                                                                    \
           "tier: t, order: 1, selector: app == 'web', ingress: [{action: Allow, protocol: "       \
           "TCP, source: {selector: \"app in {'db', 'ext'}\"}, destination: {ports: [http]}}],"    \
           " egress: [{action: Allow, destination: {services: {name: web, namespace: "             \
           "bank}}}]")                                                                             \
    GLOBAL("idle", "selector: app == 'none', ingress: [{action: Deny}]")

/* A resource of the cluster, said again in other words; nothing of what follows from it is another. */
static const struct {
    const char *name, *yaml;
} restated[] = {
    {"all of it", CLUSTER},
    {"a pod's status", KUBERNETES("Pod", "web") ", namespace: bank, resourceVersion: '7', "
                                                "annotations: {note: x}, labels: {app: web}},"
                                                " spec: {nodeName: node-1, serviceAccountName: sa, "
                                                "containers: [{image: other, ports: "
                                                "[{name: http, containerPort: 80}]}]}, status: "
                                                "{phase: Running, podIP: 10.0.0.1, conditions: "
                                                "[{type: Ready, status: 'False'}]}}"},
    {"a policy's metadata",
     CALICO(
         "NetworkPolicy",
         "p") ", namespace: bank, labels: {a: b}, annotations: {note: x}, uid: u, resourceVersion: "
              "'9'},"
              " spec: {tier: t, order: 1, selector: \"app  == \\\"web\\\"\", ingress: [{action: "
              "Allow, "
              "protocol: TCP, source: {selector: \"app in {'db', 'ext'}\"}, destination: {ports: "
              "[http]}}], types: [Egress, Ingress], egress: [{action: Allow, destination: "
              "{services: "
              "{name: web, namespace: bank}}}]}}"},
    {"an idle policy's rules",
     GLOBAL("idle", "selector: app == 'none', ingress: [{action: Allow}], order: 7")},
    {"an idle policy's selector", GLOBAL("idle", "selector: app == 'nobody'")},
    {"a namespace's annotations",
     KUBERNETES("Namespace", "bank") ", annotations: {a: b}, labels: {env: prod}}}"},
    {"an account's annotations",
     KUBERNETES("ServiceAccount",
                "sa") ", namespace: bank, annotations: {a: b}, labels: {role: a}}}"},
    {"a set's order", SET("s", "app: ext", "192.0.2.0/24, 192.0.2.1/32, 192.0.2.1")},
    {"a slice's order", SLICE("web-1", "web", "10.0.0.9, 10.0.0.1", "{name: q, port: 80}")},
    {"another slice with the same", SLICE("web-2", "web", "10.0.0.9", "{name: q, port: 80}")},
    {"a tier's metadata",
     CALICO("Tier", "t") ", annotations: {a: b}}, spec: {order: 5.0, defaultAction: Deny}}"},
    {"a tier of nobody", TIER("other", "order: 1")},
    {"a profile's metadata", CALICO("Profile", "extra") ", labels: {a: b}}, spec: {labelsToApply: "
                                                        "{x: '1'}, ingress: [{action: Allow}]}}"},
    {"a pod of another node",
     KUBERNETES("Pod",
                "far") ", namespace: bank}, spec: {nodeName: node-2}, status: {podIP: 10.0.0.8}}"},
    {"a pod without address",
     KUBERNETES("Pod", "new") ", namespace: bank}, spec: {nodeName: node-1}}"},
    {"a set that no rule asks for", SET("none", "app: none", "1.1.1.1")},
    {"a slice that no rule asks for", SLICE("none", "none", "1.1.1.1", "{port: 1}")},
    {"kinds that are nothing to it",
     CALICO("FelixConfiguration", "default") "}, spec: {}}\n" KUBERNETES(
         "Node",
         "node-1") "}}\n" KUBERNETES("Service",
                                     "web") ", namespace: bank}, spec: {clusterIP: 10.1.1.1}}"},
};

static void test_restated(void **state)
{
    (void)state;
    struct calc_world world;
    open_calc(&world, "node-1", NULL);
    start_with(&world, CLUSTER);
    for (size_t i = 0; i < COUNT(restated); i++) {
        put(&world, restated[i].yaml);
        check_flush(restated[i].name, &world, "");
    }
    close_calc(&world);
}

/* What is removed and back before the flush, or changed and changed back, was never gone. */
static void test_undone(void **state)
{
    (void)state;
    static const struct {
        const char *name, *was, *between; /* NULL: removed */
    } cases[] = {
        {"pod", POD("db", "10.0.0.2", "app: db", ""), NULL},
        {"pod's labels", POD("db", "10.0.0.2", "app: db", ""), POD("db", "10.0.0.2", "", "")},
        {"pod's address", POD("db", "10.0.0.2", "app: db", ""), POD("db", "10.0.0.7", "", "")},
        {"namespace", NAMESPACE("bank", "env: prod"), NULL},
        {"namespace's labels", NAMESPACE("bank", "env: prod"), NAMESPACE("bank", "")},
        {"account", ACCOUNT("sa", "role: a"), NULL},
        {"network set", SET("s", "app: ext", "192.0.2.1, 192.0.2.0/24"), NULL},
        {"broken network set", SET("s", "app: ext", "192.0.2.1, 192.0.2.0/24"),
         SET("s", "app: ext", "x")},
        {"tier", TIER("t", "order: 5"), NULL},
        {"tier's action", TIER("t", "order: 5"), TIER("t", "order: 5, defaultAction: Pass")},
        {"broken tier", TIER("t", "order: 5"), TIER("t", "order: x")},
        {"slice", SLICE("web-1", "web", "10.0.0.1, 10.0.0.9", "{name: p, port: 80}"), NULL},
        {"slice of another service",
         SLICE("web-1", "web", "10.0.0.1, 10.0.0.9", "{name: p, port: 80}"),
         SLICE("web-1", "other", "10.0.0.1", "{name: p, port: 80}")},
        {"profile", PROFILE("extra", "labelsToApply: {x: '1'}, ingress: [{action: Allow}]"), NULL},
        {"idle policy", GLOBAL("idle", "selector: app == 'none', ingress: [{action: Deny}]"), NULL},
        {"policy that was idle",
         GLOBAL("idle", "selector: app == 'none', ingress: [{action: Deny}]"),
         GLOBAL("idle", "ingress: [{action: Deny, source: {selector: has(x)}}]")},
    };
    struct calc_world world;
    open_calc(&world, "node-1", NULL);
    start_with(&world, CLUSTER);
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (cases[i].between != NULL)
            put(&world, cases[i].between);
        else
            drop(&world, cases[i].was);
        put(&world, cases[i].was);
        check_flush(cases[i].name, &world, "");
    }
    put(&world, GLOBAL("new", "") POD("new", "10.1.1.1", "app: db", ""));
    drop(&world, GLOBAL("new", "") POD("new", "10.1.1.1", "app: db", ""));
    check_flush("came and went", &world, "");
    drop(&world, GLOBAL("never", "") POD("never", "1.1.1.1", "", "") NAMESPACE("never", "")
                     TIER("never", "") SET("never", "", "") SLICE("never", "never", "", "")
                         CALICO("FelixConfiguration", "never") "}}\n");
    check_flush("never there", &world, "");
    close_calc(&world);
}

/* All gone: nothing is kept but the built-in. */
static void test_nothing_is_left(void **state)
{
    (void)state;
    struct calc_world world;
    open_calc(&world, "node-1", NULL);
    start_with(&world, CLUSTER);
    struct calc_stats stats = calc_stats(world.calc);
    assert_int_equal(stats.endpoints, 3);
    assert_int_equal(stats.policies.policies, 2);
    assert_int_equal(stats.policies.active, 1);
    assert_int_equal(stats.policies.tiers, 2); /* t, default */
    assert_int_equal(stats.profiles.profiles, 3);
    assert_int_equal(stats.profiles.namespaces, 1);
    assert_int_equal(stats.profiles.active, 3);
    assert_int_equal(stats.ipsets.sets, 3);
    assert_int_equal(stats.ipsets.peers, 4);
    drop(&world, CLUSTER);
    flush(&world);
    stats = calc_stats(world.calc);
    assert_int_equal(stats.endpoints, 0);
    assert_int_equal(stats.policies.policies, 0);
    assert_int_equal(stats.policies.tiers, 0);
    assert_int_equal(stats.profiles.profiles, 0);
    assert_int_equal(stats.profiles.active, 0);
    assert_int_equal(stats.ipsets.sets, 0);
    assert_int_equal(stats.ipsets.members, 0);
    assert_int_equal(stats.ipsets.peers, 0);
    assert_int_equal(stats.ipsets.labels.groups, 0);
    assert_int_equal(stats.ipsets.labels.selectors, 0);
    assert_int_equal(stats.ipsets.labels.parents, 0);
    close_calc(&world);
}

/* Names that come and go leave no memory behind. */
static void test_churn(void **state)
{
    (void)state;
    enum { WARM = 100, ROUNDS = 2000, NOISE = 48 * 1024 };
    /* The sanitizers' allocator tells 0; they look for leaks themselves. */
    int rounds = mallinfo2().uordblks > 0 ? ROUNDS : WARM;
    size_t used[2] = {0};
    struct calc_world world;
    open_calc(&world, NULL, NULL);
    start_with(&world, CLUSTER);
    for (int round = 0; round < rounds; round++) {
        CLEANUP_BUF struct buf text = {0};
        for (const char *at = CLUSTER; *at != '\0'; at++) {
            buf_append_byte(&text, *at);
            /* Each name begins with the number of the round. */
            if (str_ends_with(buf_str(&text), STR("name: ")) ||
                str_ends_with(buf_str(&text), STR("namespace: ")) ||
                str_ends_with(buf_str(&text), STR("tier: ")) ||
                str_ends_with(buf_str(&text), STR("workload: ")) ||
                str_ends_with(buf_str(&text), STR("profiles: [")))
                buf_printf(&text, "r%d-", round);
        }
        buf_append_byte(&text, '\0');
        put(&world, text.data);
        flush(&world);
        drop(&world, text.data);
        flush(&world);
        if (round == WARM || round == ROUNDS - 1)
            used[round > WARM] = mallinfo2().uordblks;
    }
    assert_in_range(used[1], 0, used[0] + NOISE);
    close_calc(&world);
}

/* ---- looking in ---- */

static void check_members(const char *name, struct calc_world *world, const char *id,
                          const char *expected)
{
    CLEANUP_ARENA struct arena arena = {0};
    CLEANUP_BUF struct buf out = {0};
    struct psync_strings members = {NULL, 0};
    int type = -1;
    if (!calc_set_members(world->calc, str_from_c(id), &arena, &type, &members)) {
        check_text(name, STR("none"), str_from_c(expected));
        return;
    }
    buf_printf(&out, "%d", type);
    show_names(&out, "", &members);
    check_text(name, buf_str(&out), str_from_c(expected));
}

/* A receiver that asks for a set between two flushes is told what the others know, so that the next changes fit. */
static void test_set_members(void **state)
{
    (void)state;
    static const char *const id = "s:app == \"db\"";
    struct calc_world world;
    open_calc(&world, "node-1", NULL);
    put(&world, POD("db", "10.0.0.2", "app: db", "") POD("old", "10.0.0.3", "app: db", ""));
    put(&world, GLOBAL("g", "ingress: [{action: Allow, source: {selector: app == 'db'}}]"));
    check_members("before the first flush", &world, id, "none");
    calc_set_in_sync(world.calc);
    flush(&world);
    check_members("flushed", &world, id, "2 {10.0.0.2/32 10.0.0.3/32}");
    check_members("another", &world, "s:app == \"web\"", "none");

    put(&world, POD("new", "10.0.0.4", "app: db", ""));
    drop(&world, POD("old", "", "", ""));
    check_members("not told yet", &world, id, "2 {10.0.0.2/32 10.0.0.3/32}");
    drop(&world, POD("new", "", "", ""));
    put(&world, POD("old", "10.0.0.3", "app: db", ""));
    check_members("undone", &world, id, "2 {10.0.0.2/32 10.0.0.3/32}");

    put(&world, SET("bad", "app: db", "x"));
    check_members("unreadable, but not told yet", &world, id, "2 {10.0.0.2/32 10.0.0.3/32}");
    flush(&world);
    check_members("unreadable", &world, id, "255");
    drop(&world, SET("bad", "", ""));
    check_members("readable, but not told yet", &world, id, "255");
    flush(&world);
    check_members("readable", &world, id, "2 {10.0.0.2/32 10.0.0.3/32}");

    drop(&world, GLOBAL("g", ""));
    check_members("about to go", &world, id, "2 {10.0.0.2/32 10.0.0.3/32}");
    flush(&world);
    check_members("gone", &world, id, "none");
    close_calc(&world);
}

int main(void)
{
    log_set_level(LOG_ERROR); /* profiles that deny are warned of */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_sync),           cmocka_unit_test(test_order),
        cmocka_unit_test(test_restated),          cmocka_unit_test(test_undone),
        cmocka_unit_test(test_nothing_is_left),   cmocka_unit_test(test_churn),
        cmocka_unit_test(test_set_changes_hands), cmocka_unit_test(test_set_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
