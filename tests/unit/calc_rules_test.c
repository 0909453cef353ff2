/* calc/scope.h, rules.h, ipsets.h, services.h: which endpoints a policy means, what its rules become, and who is in their IP
 * sets. */
#include "base/log.h"

#include "calc_world.h"

/* An ingress rule of a global policy, and of one in namespace bank. */
#define RULE(rest)      GLOBAL("p", "ingress: [{action: Allow, " rest "}]")
#define BANK_RULE(rest) POLICY("p", "ingress: [{action: Allow, " rest "}]")

/* What a flush of one policy, that selects a pod, says of the policy; from `start` on, without it. */
static void check_policy(const char *yaml, const char *start, const char *end, const char *expected)
{
    struct calc_world world;
    open_calc(&world, "node-1", NULL);
    start_with(&world, NAMESPACE("bank", "env: prod") ACCOUNT("sa", "role: a")
                           POD("web", "10.0.0.1", "app: web", ", serviceAccountName: sa"));
    put(&world, yaml);
    flush(&world);
    buf_append_byte(&world.trace, '\0');
    const char *policy = strstr(world.trace.data, "policy ");
    const char *from = policy != NULL ? strstr(policy, start) : NULL;
    if (from == NULL)
        fail_msg("%s: got:\n%s", yaml, world.trace.data);
    from += strlen(start);
    const char *to = strstr(from, end);
    struct str got = str_make(from, to != NULL ? (size_t)(to - from) : strlen(from));
    if (!str_eq(got, str_from_c(expected)))
        fail_msg("%s: got:\n%.*s\nexpected:\n%s", yaml, STR_ARG(got), expected);
    close_calc(&world);
}

/* ---- scope ---- */

#define NS      "projectcalico.org/namespace"
#define SA      "projectcalico.org/serviceaccount"
#define IN_BANK NS " == \"bank\""

static void test_policy_scope(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {GLOBAL("p", ""), "all()"},
        {GLOBAL("p", "selector: ' '"), "all()"},
        {GLOBAL("p", "selector: app == 'web'"), "app == \"web\""},
        {GLOBAL("p", "namespaceSelector: env == 'prod'"), "pcns.env == \"prod\""},
        {GLOBAL("p", "namespaceSelector: all()"), "has(" NS ")"},
        {GLOBAL("p", "namespaceSelector: ''"), "all()"},
        {GLOBAL("p", "serviceAccountSelector: role == 'a'"), "pcsa.role == \"a\""},
        {GLOBAL("p", "serviceAccountSelector: all()"), "has(" SA ")"},
        {GLOBAL("p", "selector: app == 'web', serviceAccountSelector: role == 'a', "
                     "namespaceSelector: has(env)"),
         "(app == \"web\" && pcsa.role == \"a\" && has(pcns.env))"},
        {GLOBAL("p", "selector: app == 'web' || has(b), namespaceSelector: '!has(x)'"),
         "((app == \"web\" || has(b)) && !has(pcns.x))"},
        {POLICY("p", ""), IN_BANK},
        {POLICY("p", "selector: all()"), "(all() && " IN_BANK ")"},
        {POLICY("p", "serviceAccountSelector: all()"), "(all() && " IN_BANK ")"},
        {POLICY("p", "selector: app == 'web', serviceAccountSelector: role == 'a'"),
         "(app == \"web\" && pcsa.role == \"a\" && " IN_BANK ")"},
        {"---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, "
         "namespace: bank}, spec: {podSelector: {matchLabels: {app: web}}}}",
         "(projectcalico.org/orchestrator == \"k8s\" && app == \"web\" && " IN_BANK ")"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        check_policy(cases[i][0], " for=<", ">", cases[i][1]);
}

#define FROM(sets) "allow from(" sets ")"

static void test_rule_scope(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {RULE("source: {}"), "allow"},
        {RULE("source: {selector: has(a)}"), FROM("sets{s:has(a)} selector=<has(a)>")},
        {RULE("source: {namespaceSelector: has(a)}"),
         FROM("sets{s:has(pcns.a)} namespaces=<has(a)>")},
        {RULE("source: {namespaceSelector: all()}"),
         FROM("sets{s:has(" NS ")} namespaces=<all()>")},
        {RULE("source: {namespaceSelector: global()}"),
         FROM("sets{s:!has(" NS ")} namespaces=<global()>")},
        {RULE("source: {selector: has(a), namespaceSelector: has(b)}"),
         FROM("sets{s:(has(a) && has(pcns.b))} selector=<has(a)> namespaces=<has(b)>")},
        {RULE("source: {notSelector: has(a)}"), FROM("!sets{s:has(a)} !selector=<has(a)>")},
        {RULE("source: {selector: has(b), notSelector: has(a)}"),
         FROM("sets{s:(has(b) && !has(a))} selector=<has(b)> !selector=<has(a)>")},
        {RULE("source: {serviceAccounts: {names: [b, a, b]}}"),
         FROM("sets{s:" SA " in {\"a\", \"b\"}} accounts{a b b}")},
        {RULE("source: {serviceAccounts: {selector: role == 'a'}}"),
         FROM("sets{s:pcsa.role == \"a\"} accounts=<role == 'a'>")},
        {RULE("source: {serviceAccounts: {selector: all()}}"),
         FROM("sets{s:all()} accounts=<all()>")},
        {RULE("source: {serviceAccounts: {names: [a], selector: has(r)}, selector: has(b)}"),
         FROM("sets{s:(" SA " in {\"a\"} && has(pcsa.r) && has(b))} selector=<has(b)> "
              "accounts=<has(r)> accounts{a}")},
        {BANK_RULE("source: {}"), "allow"},
        {BANK_RULE("source: {nets: [10.0.0.0/8]}"), FROM("nets{10.0.0.0/8}")},
        {BANK_RULE("source: {selector: has(a)}"),
         FROM("sets{s:(has(a) && " IN_BANK ")} selector=<has(a)>")},
        {BANK_RULE("source: {notSelector: has(a)}"),
         FROM("sets{s:(" IN_BANK " && !has(a))} !selector=<has(a)>")},
        {BANK_RULE("source: {serviceAccounts: {names: [a]}}"),
         FROM("sets{s:(" SA " in {\"a\"} && " IN_BANK ")} accounts{a}")},
        {BANK_RULE("source: {selector: has(a), namespaceSelector: all()}"),
         FROM("sets{s:(has(a) && has(" NS "))} selector=<has(a)> namespaces=<all()>")},
        {BANK_RULE("destination: {selector: has(a), notSelector: has(b)}"),
         "allow to(sets{s:(has(a) && " IN_BANK " && !has(b))} selector=<has(a)> "
         "!selector=<has(b)>)"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        check_policy(cases[i][0], "\n  < ", "\n", cases[i][1]);
}

/* ---- rules ---- */

static void test_rules(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {GLOBAL("p", "ingress: [{action: Deny}]"), "deny"},
        {GLOBAL("p", "ingress: [{action: Log}]"), "log"},
        {GLOBAL("p", "ingress: [{action: Pass}]"), "next-tier"},
        {RULE("ipVersion: 6"), "allow v6"},
        {RULE("protocol: TCP"), "allow tcp"},
        {RULE("protocol: 47"), "allow 47"},
        {RULE("protocol: 1"), "allow 1"},
        {RULE("protocol: ICMP"), "allow v4 icmp"},
        {RULE("protocol: ICMPv6"), "allow v6 icmpv6"},
        {RULE("protocol: ICMP, ipVersion: 4, icmp: {type: 8}"), "allow v4 icmp icmp 8"},
        {RULE("protocol: ICMP, icmp: {type: 3, code: 0}, notICMP: {type: 3, code: 1}"),
         "allow v4 icmp icmp 3/0 !icmp 3/1"},
        {RULE("protocol: ICMP, icmp: {}"), "allow v4 icmp"},
        {RULE("notProtocol: UDP"), "allow !udp"},
        {RULE("source: {nets: [10.1.2.3/8, 192.0.2.1/32], notNets: [10.9.0.0/16]}"),
         "allow from(nets{10.0.0.0/8 192.0.2.1/32} !nets{10.9.0.0/16})"},
        {RULE("destination: {nets: ['fd00::1/64']}"), "allow to(nets{fd00::/64})"},
        {RULE("protocol: TCP, destination: {ports: [80, '8000:9000'], notPorts: [8080]}"),
         "allow tcp to(ports=80-80,8000-9000 !ports=8080-8080)"},
        {RULE("protocol: TCP, source: {ports: [http]}"), "allow tcp from(named{n:6:http:all()})"},
        {RULE("protocol: UDP, destination: {ports: [dns, 53]}"),
         "allow udp to(ports=53-53 named{n:17:dns:all()})"},
        {RULE("protocol: TCP, destination: {ports: [http], selector: has(a)}"),
         "allow tcp to(named{n:6:http:has(a)} selector=<has(a)>)"},
        {RULE("protocol: TCP, destination: {ports: [http, 80], selector: has(a)}"),
         "allow tcp to(ports=80-80 sets{s:has(a)} named{n:6:http:has(a)} selector=<has(a)>)"},
        {RULE("protocol: TCP, destination: {notPorts: [http], selector: has(a)}"),
         "allow tcp to(sets{s:has(a)} !named{n:6:http:has(a)} selector=<has(a)>)"},
        {RULE("protocol: TCP, destination: {ports: [http], notSelector: has(a)}"),
         "allow tcp to(!sets{s:has(a)} named{n:6:http:all()} !selector=<has(a)>)"},
        {GLOBAL("p",
                "egress: [{action: Allow, destination: {services: {name: s, namespace: ns}}}]"),
         "allow to(services{svc:ns/s} service=<s> service-namespace=<ns>)"},
        {POLICY("p", "egress: [{action: Allow, destination: {services: {name: s}}}]"),
         "allow to(services{svc:bank/s} service=<s>)"},
        {RULE("source: {services: {name: s, namespace: ns}}"),
         "allow from(sets{svcnoport:ns/s} service=<s> service-namespace=<ns>)"},
        {RULE("http: {methods: [GET, PUT], paths: [{exact: /a}, {prefix: /b}]}"),
         "allow methods{GET PUT} exact=</a> prefix=</b>"},
        {RULE("metadata: {annotations: {k: v}}"), "allow note k=v"},
        {GLOBAL("p", "ingress: [{action: Allow}], order: many"), "malformed"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        bool is_egress = strstr(cases[i][0], "egress") != NULL;
        check_policy(cases[i][0], is_egress ? "\n  > " : "\n  < ", "\n", cases[i][1]);
    }
}

/* ---- sets ---- */

#define WEB(name, ip, labels)                                                                      \
    POD(name, ip, labels,                                                                          \
        ", containers: [{ports: [{name: http, containerPort: 80}, {name: dns, containerPort: 53, " \
        "protocol: UDP}, {name: http, containerPort: 8080, protocol: SCTP}]}]")
#define GLOBAL_SET(name, labels, nets)                                                             \
    CALICO("GlobalNetworkSet", name) ", labels: {" labels "}}, spec: {nets: [" nets "]}}\n"
#define HOST(name, labels, ip)                                                                     \
    CALICO("HostEndpoint", name)                                                                   \
    ", labels: {" labels "}}, spec: {node: node-9, expectedIPs: [" ip                              \
    "], interfaceName: eth0, ports: [{name: http, port: 81, protocol: TCP}]}}\n"

/* Who is in the set of a rule, out of this cluster. */
static void test_members(void **state)
{
    (void)state;
    static const struct {
        const char *rule, *id, *expected;
    } cases[] = {
        {RULE("source: {selector: app == 'web'}"), "s:app == \"web\"",
         "2 {10.0.0.1/32 10.0.0.2/32 172.16.0.0/12 192.0.2.0/24 203.0.113.9/32}"},
        {BANK_RULE("source: {selector: app == 'web'}"), "s:(app == \"web\" && " IN_BANK ")",
         "2 {10.0.0.1/32 10.0.0.2/32 192.0.2.0/24}"},
        {RULE("source: {namespaceSelector: env == 'prod'}"), "s:pcns.env == \"prod\"",
         "2 {10.0.0.1/32 10.0.0.2/32 10.0.0.3/32 192.0.2.0/24}"},
        {RULE("source: {selector: has(pcns.forged)}"), "s:has(pcns.forged)", "2"},
        {RULE("source: {selector: x == '1'}"), "s:x == \"1\"", "2 {10.0.0.7/32}"},
        {RULE("protocol: TCP, source: {ports: [http]}"), "n:6:http:all()",
         "1 {10.0.0.1,tcp:80 10.0.0.2,tcp:80 203.0.113.9,tcp:81}"},
        {RULE("protocol: UDP, source: {ports: [dns], selector: app == 'web'}"),
         "n:17:dns:app == \"web\"", "1 {10.0.0.1,udp:53 10.0.0.2,udp:53}"},
        {RULE("protocol: SCTP, source: {ports: [http], selector: app == 'web'}"),
         "n:132:http:app == \"web\"", "1 {10.0.0.1,sctp:8080 10.0.0.2,sctp:8080}"},
        {RULE("protocol: TCP, source: {ports: [none]}"), "n:6:none:all()", "1"},
        {RULE("source: {services: {name: web, namespace: bank}}"), "svcnoport:bank/web",
         "2 {10.0.0.1/32 10.0.0.2/32 198.51.100.1/32}"},
        {GLOBAL("p", "egress: [{action: Allow, destination: {services: {name: web, namespace: "
                     "bank}}}]"),
         "svc:bank/web",
         "1 {10.0.0.1,tcp:80 10.0.0.1,udp:53 10.0.0.2,tcp:80 10.0.0.2,udp:53 "
         "198.51.100.1,tcp:443}"},
        {RULE("source: {services: {name: web, namespace: shop}}"), "svcnoport:shop/web", "2"},
    };
    struct calc_world world;
    open_calc(&world, "node-1", NULL);
    start_with(
        &world,
        NAMESPACE("bank", "env: prod") NAMESPACE("shop", "env: test")
            WEB("a", "10.0.0.1", "app: web, pcns.forged: x") WEB("b", "10.0.0.2", "app: web") POD(
                "c", "10.0.0.3", "app: db", "") SET("s", "app: web, pcns.forged: x", "192.0.2.0/24")
                GLOBAL_SET("g", "app: web", "172.16.0.0/12, 192.0.2.0/24") HOST("h", "app: web",
                                                                                "203.0.113.9")
                    PROFILE("extra", "labelsToApply: {x: '1', pcns.forged: '1'}")
                        WORKLOAD("vm", "orchestrator: o, workload: vm, endpoint: e, ipNetworks: "
                                       "[10.0.0.7], profiles: [extra]")
                            SLICE("web-1", "web", "10.0.0.1, 10.0.0.2",
                                  "{port: 80}, {port: 53, protocol: UDP}, {name: no-number}")
                                SLICE("web-2", "web", "198.51.100.1", "{port: 443}"));
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP_ARENA struct arena arena = {0};
        CLEANUP_BUF struct buf out = {0};
        struct psync_strings members;
        int type;
        put(&world, cases[i].rule);
        flush(&world);
        if (!calc_set_members(world.calc, str_from_c(cases[i].id), &arena, &type, &members))
            fail_msg("%s: no such set", cases[i].id);
        buf_printf(&out, "%d", type);
        show_names(&out, "", &members);
        check_text(cases[i].id, buf_str(&out), str_from_c(cases[i].expected));
        drop(&world, cases[i].rule);
    }
    close_calc(&world);
}

/* A member stays while any source of it does; what changes is told, and nothing else. */
static void test_changes(void **state)
{
    (void)state;
    struct calc_world world;
    open_calc(&world, "node-9", NULL);
    start_with(
        &world,
        NAMESPACE("bank", "") KUBERNETES(
            "Pod",
            "me") ", namespace: bank}, spec: {nodeName: node-9}, status: {podIP: 10.9.9.9}}\n");
    put(&world, RULE("source: {selector: has(a)}"));
    flush(&world);
    put(&world, POD("a", "10.0.0.1", "a: x", "") SET("s", "a: x", "10.0.0.1/32, 10.0.0.2"));
    check_flush("two sources", &world, "delta s:has(a) +{10.0.0.1/32 10.0.0.2/32}");
    drop(&world, POD("a", "", "", ""));
    check_flush("one is left", &world, "");
    put(&world, SET("s", "a: x", "10.0.0.3"));
    check_flush("another net", &world, "delta s:has(a) +{10.0.0.3/32} -{10.0.0.1/32 10.0.0.2/32}");
    put(&world, NAMESPACE("bank", "z: '1'"));
    check_flush("of no interest", &world, "namespace bank z=1 projectcalico.org/name=bank");
    put(&world, SET("s", "b: x", "10.0.0.3"));
    check_flush("other labels", &world, "delta s:has(a) -{10.0.0.3/32}");
    put(&world, RULE("source: {namespaceSelector: has(z)}"));
    flush(&world);
    put(&world, NAMESPACE("bank", ""));
    check_flush("what it inherits is gone", &world,
                "delta s:has(pcns.z) -{10.0.0.3/32 10.9.9.9/32}\n"
                "namespace bank projectcalico.org/name=bank");
    put(&world, NAMESPACE("bank", "projectcalico.org/name: forged"));
    check_flush("its name is its own", &world, "");
    close_calc(&world);
}

/* Whoever may be a member, nobody knows where: the set is unreadable until that is mended. */
static void test_unreadable(void **state)
{
    (void)state;
    static const struct {
        const char *name, *rule, *broken;
    } cases[] = {
        {"net of a set", RULE("source: {selector: has(a)}"), SET("x", "a: '1'", "10.0.0.0/33")},
        {"address of a pod", RULE("source: {selector: has(a)}"),
         POD("x", "10.0.0.x", "a: '1'", "")},
        {"address of a host", RULE("source: {selector: has(a)}"), HOST("x", "a: '1'", "x")},
        {"named ports of a pod", RULE("protocol: TCP, source: {ports: [http]}"),
         POD("x", "10.0.0.x", "", "")},
        {"slice", RULE("source: {services: {name: web, namespace: bank}}"),
         SLICE("x", "web", "10.0.0.1", "{port: 99999}")},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct calc_world world;
        open_calc(&world, "node-1", NULL);
        start_with(&world, NAMESPACE("bank", "") POD("me", "10.9.9.9", "", ""));
        put(&world, cases[i].rule);
        flush(&world);
        put(&world, cases[i].broken);
        flush(&world);
        CHECK(cases[i].name, str_ends_with(buf_str(&world.trace), STR(" type=255")));
        put(&world, cases[i].broken);
        check_flush(cases[i].name, &world, "");
        drop(&world, cases[i].broken);
        flush(&world);
        CHECK(cases[i].name, str_starts_with(buf_str(&world.trace), STR("set ")));
        CHECK(cases[i].name, strstr(world.trace.data, "255") == NULL);
        close_calc(&world);
    }
    struct calc_world world;
    open_calc(&world, "node-1", NULL);
    start_with(&world, NAMESPACE("bank", "") POD("me", "10.9.9.9", "", ""));
    put(&world, RULE("protocol: TCP, source: {ports: [http]}") SET("x", "", "10.0.0.0/33"));
    flush(&world);
    CHECK("a network set has no ports", strstr(world.trace.data, "255") == NULL);
    close_calc(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policy_scope), cmocka_unit_test(test_rule_scope),
        cmocka_unit_test(test_rules),        cmocka_unit_test(test_members),
        cmocka_unit_test(test_changes),      cmocka_unit_test(test_unreadable),
    };
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
