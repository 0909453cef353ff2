/* decode.h: types, metadata, Calico's policies and rules. */
#include "decode_check.h"

static void test_types_and_lists(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"{apiVersion: v1, kind: Namespace, metadata: {name: a, labels: {z: '1', b: x}}, extra: 1}",
         "Namespace a labels=b:x,z:1\n"},
        {"{apiVersion: v1, kind: ServiceAccount, metadata: {name: a}}",
         "ServiceAccount default/a\n"},
        {"apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Namespace, metadata: {name: "
         "a}}\n"
         "- {apiVersion: v1, kind: Namespace, metadata: {name: b}}\n",
         "Namespace a\nNamespace b\n"},
        {"apiVersion: v1\nkind: NamespaceList\nmetadata: {}\nitems:\n- metadata: {name: a}\n- "
         "metadata: {}\n"
         "- 7\n",
         "Namespace a\n6: items[1].metadata.name: missing\n7: items[2]: expected a resource (a map "
         "with "
         "apiVersion, kind and metadata), found the number `7`\n"},
        {"apiVersion: crd.projectcalico.org/v1\nkind: TierList\nitems: [metadata: {name: t}]\n",
         "Tier t deny\n"},
        {"apiVersion: v1\nkind: List\nitems:\n- {metadata: {name: a}}\n",
         "4: items[0].apiVersion: missing\n"},
        {"a: b", "1: apiVersion: missing\n"},
        {"[a]",
         "1: expected a resource (a map with apiVersion, kind and metadata), found a list\n"},
        {"apiVersion: v1\nkind: 7\n",
         "2: kind: expected a name, found the number `7` (quote it to make it a string)\n"},
        {"apiVersion: v1\nkind: Pot\n", "2: kind: unknown kind \"Pot\" (did you mean Pod?)\n"},
        {"apiVersion: extensions/v1beta1\nkind: NetworkPolicy\n",
         "1: apiVersion: \"extensions/v1beta1\" is not an apiVersion of the kind NetworkPolicy "
         "(expected "
         "networking.k8s.io/v1 or projectcalico.org/v3)\n"},
        {"apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap}\n- {apiVersion: "
         "v1, kind: "
         "ConfigMap}\n",
         "4? items[0]: nothing is taken from the kind ConfigMap; skipped\n"},
    };
    ASSERT_ALL(examples);
}

static const struct example metadata[] = {
    {"apiVersion: v1\nkind: Pod\n", "1: metadata: missing\n"},
    {"apiVersion: v1\nkind: Namespace\nmetadata: {name: 12}\n",
     "3: metadata.name: expected a name, found the number `12` (quote it to make it a "
     "string)\n"},
    {"apiVersion: v1\nkind: Namespace\nmetadata: {name: 'a/b'}\n",
     "Namespace \"a/b\" BROKEN\n3: Namespace \"a/b\": metadata.name: \"a/b\" is not a name for "
     "this kind "
     "(lower-case letters, digits and -, not at the ends, at most 63 bytes)\n"},
    {"apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a, namespace: B}\n",
     "ServiceAccount B/a BROKEN\n3: ServiceAccount B/a: metadata.namespace: \"B\" is not the "
     "name of a "
     "namespace\n"},
    {"apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a, namespace: [x]}\n",
     "3: metadata.namespace: expected a name, found a list\n"},
    {"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  labels: {v: 1.10, on1: on, ok: "
     "yes1, "
     "'a b': x, s: '-'}\n",
     "Namespace a BROKEN labels=a b:x,ok:yes1,on1:on,s:-,v:1.10\n"
     "5: Namespace a: metadata.labels.v: expected a string, found the number `1.10` (quote it "
     "to make it "
     "a string)\n"
     "5: Namespace a: metadata.labels.on1: expected a string, found the boolean `on` (quote it "
     "to make it "
     "a string)\n"
     "5: Namespace a: metadata.labels[\"a b\"]: \"a b\" is not a label key ([PREFIX/]NAME, "
     "like app or "
     "example.com/app)\n"
     "5: Namespace a: metadata.labels.s: \"-\" is not a label value (at most 63 letters, "
     "digits, -, _ and "
     "., beginning and ending with a letter or digit)\n"},
    {"apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: a, namespace: b, lables: "
     "{}}\nspce: "
     "{}\n",
     "Tier a deny\n3? Tier a: metadata.namespace: this kind has no namespace\n3? Tier a: "
     "metadata.lables: "
     "unknown field (did you mean labels?)\n4? Tier a: spce: unknown field (did you mean "
     "spec?)\n"},
    {"apiVersion: crd.projectcalico.org/v1\nkind: GlobalNetworkSet\nmetadata:\n  name: a\n  "
     "labels: {x: "
     "'1'}\n  annotations:\n    projectcalico.org/metadata: "
     "'{\"name\":\"b\",\"labels\":{\"k\":\"v\",\"x\":"
     "\"2\"}}'\n",
     "GlobalNetworkSet a labels=k:v,x:2\n"},
    {"apiVersion: crd.projectcalico.org/v1\nkind: GlobalNetworkSet\nmetadata:\n  name: a\n  "
     "annotations: "
     "{projectcalico.org/metadata: '{'}\n",
     "GlobalNetworkSet a BROKEN\n3: GlobalNetworkSet a: metadata: the annotation "
     "projectcalico.org/metadata is not the JSON of a map\n"},
    /* Annotations are checked, and not kept; those of Kubernetes' own objects are not even looked at. */
    {"apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: a, annotations: "
     "{Example.com/Note: x, e: '', z: ~}}\n",
     "Tier a deny\n"},
    {"apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: a, annotations: {'a b': "
     "x,\n c: 1}}\n",
     "Tier a BROKEN deny\n3: Tier a: metadata.annotations[\"a b\"]: \"a b\" is not an "
     "annotation key ([PREFIX/]NAME)\n4: Tier a: metadata.annotations.c: expected a string, "
     "found the number `1` (quote it to make it a string)\n"},
    {"apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: a, annotations: [x]}\n",
     "Tier a BROKEN deny\n3: Tier a: metadata.annotations: expected a map, found a list\n"},
    {"apiVersion: v1\nkind: Namespace\nmetadata: {name: a, annotations: {'a b': 1}}\n",
     "Namespace a\n"},
};

static void test_metadata(void **state)
{
    (void)state;
    ASSERT_ALL(metadata);
    for (int excess = 0; excess < 2; excess++) {
        CLEANUP_BUF struct buf text = {0};
        buf_printf(&text,
                   "{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: a, "
                   "annotations: {b: '%0*d'}}}%c",
                   256 * 1024 - 1 + excess, 0, 0);
        assert_decoded(text.data, excess == 0
                                      ? "Tier a deny\n"
                                      : "Tier a BROKEN deny\n1: Tier a: metadata.annotations: "
                                        "holds 262145 bytes, more than 262144\n");
    }
}

/* More than an object in a cluster can have, and than fits into a message. */
static void test_too_many_labels(void **state)
{
    (void)state;
    enum { ONE = 64, MOST = 2 * 1024 * 1024 / ONE };
    CLEANUP_BUF struct buf text = {0};
    buf_printf(&text, "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  labels:\n");
    for (int i = 0; i <= MOST; i++)
        buf_printf(&text, "    k%09d: v%053d\n", i, i);
    buf_append_byte(&text, '\0');
    assert_decoded(text.data, "Namespace a BROKEN\n5: Namespace a: metadata.labels: holds 2097216 "
                              "bytes, more than 2097152\n");
}

#define CRD_POLICY(name, put_aside, spec)                                                          \
    "{apiVersion: crd.projectcalico.org/v1, kind: NetworkPolicy, metadata: {name: " name           \
    ", annotations: {projectcalico.org/metadata: '{\"name\": \"" put_aside "\"}'}}, spec: {" spec  \
    "}}"
#define OTHER_NAME(name, put_aside)                                                                \
    "1? NetworkPolicy default/" name ": metadata: the name \"" put_aside                           \
    "\" in the annotation projectcalico.org/metadata is not that of the object; ignored\n"

static void test_policy_names(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {CALICO("NetworkPolicy", "default.x") ", spec: {}}",
         "NetworkPolicy default/x tier=default in\n"},
        {CALICO("NetworkPolicy", "default.x") ", spec: {tier: default}}",
         "NetworkPolicy default/x tier=default in\n"},
        {CALICO("StagedNetworkPolicy", "default.x") ", spec: {}}",
         "StagedNetworkPolicy default/x tier=default in set\n"},
        /* In another tier the name stays: two tiers may have a policy "x" each. */
        {CALICO("GlobalNetworkPolicy", "t.x") ", spec: {tier: t}}",
         "GlobalNetworkPolicy t.x tier=t in\n"},
        {CALICO("GlobalNetworkPolicy", "default.x") ", spec: {tier: t}}",
         "GlobalNetworkPolicy default.x tier=t in\n"},
        /* An empty tier is none, as in upstream's programs; its definitions of the kinds allow it. */
        {CALICO("GlobalNetworkPolicy", "default.x") ", spec: {tier: ''}}",
         "GlobalNetworkPolicy x tier=default in\n"},
        {CALICO("NetworkPolicy", "knp.default.a.b") ", spec: {}}",
         "NetworkPolicy default/knp.default.a.b tier=default in\n"},
        {CALICO("GlobalNetworkPolicy", "a.b.c") ", spec: {}}",
         "GlobalNetworkPolicy a.b.c BROKEN tier=default in\n1: GlobalNetworkPolicy a.b.c: "
         "metadata.name: "
         "\"a.b.c\" is not a name for this kind (lower-case letters, digits and -, not at the "
         "ends, and one "
         "dot at most)\n"},
        {"{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: default.x.y}, "
         "spec: {}}",
         "KubernetesNetworkPolicy default/default.x.y tier=default order=1000 in "
         "sel=<projectcalico.org/orchestrator == \"k8s\">\n"},
        {"{apiVersion: crd.projectcalico.org/v1, kind: NetworkPolicy, metadata: {name: default.y, "
         "annotations: "
         "{projectcalico.org/metadata: '{\"name\": \"y\"}'}}, spec: {}}",
         "NetworkPolicy default/y tier=default in\n"},
        /* A name that was put aside and is not the object's. */
        {CRD_POLICY("default.web", "default.web", ""),
         "NetworkPolicy default/web tier=default in\n"},
        {CRD_POLICY("web", "default.web", ""), "NetworkPolicy default/web tier=default in\n"},
        {CRD_POLICY("t.web", "t.web", "tier: t"), "NetworkPolicy default/t.web tier=t in\n"},
        {CRD_POLICY("web", "", ""), "NetworkPolicy default/web tier=default in\n"},
        {CRD_POLICY("z", "web", ""),
         "NetworkPolicy default/z tier=default in\n" OTHER_NAME("z", "web")},
        {CRD_POLICY("default.z", "web", ""),
         "NetworkPolicy default/z tier=default in\n" OTHER_NAME("z", "web")},
        {CRD_POLICY("t.web", "web", ""),
         "NetworkPolicy default/t.web tier=default in\n" OTHER_NAME("t.web", "web")},
        /* In its own tier too: `web` is the name of another's, of the default tier. */
        {CRD_POLICY("t.web", "web", "tier: t"),
         "NetworkPolicy default/t.web tier=t in\n" OTHER_NAME("t.web", "web")},
        {CRD_POLICY("t.web", "default.web", "tier: t"),
         "NetworkPolicy default/t.web tier=t in\n" OTHER_NAME("t.web", "default.web")},
    };
    ASSERT_ALL(examples);
}

static const struct example policies[] = {
    {NP("tier: t, order: 10.5, selector: 'a == \"b\"', types: [Egress], "
        "serviceAccountSelector: has(x), "
        "performanceHints: [AssumeNeededOnEveryNode]"),
     "NetworkPolicy default/p tier=t order=10.5 out sel=<a == \"b\"> sa=<has(x)>\n"},
    {GNP("namespaceSelector: all(), doNotTrack: true, applyOnForward: true, selector: ' '"),
     "GlobalNetworkPolicy p tier=default in sel=NULL ns=<all()> untracked forward\n"},
    {GNP("preDNAT: true, applyOnForward: true, types: [Ingress]"),
     "GlobalNetworkPolicy p tier=default in prednat forward\n"},
    {NP("ingress: [{action: Log}], egress: [{action: Pass}]"),
     "NetworkPolicy default/p tier=default inout\n  < log\n  > pass\n"},
    {NP("egress: [{action: Deny}], ingress: []"),
     "NetworkPolicy default/p tier=default out\n  > deny\n"},
    {CALICO("StagedGlobalNetworkPolicy", "p") ", spec: {stagedAction: Learn, order: 1}}",
     "StagedGlobalNetworkPolicy p tier=default order=1 in learn\n"},
    {CALICO("StagedNetworkPolicy", "p") ", spec: {stagedAction: Delete, tier: t}}",
     "StagedNetworkPolicy default/p tier=t in delete\n"},
    {CALICO("StagedNetworkPolicy", "p") ", spec: {stagedAction: Delete, order: 2}}",
     "StagedNetworkPolicy default/p BROKEN tier=default order=2 in delete\n1: "
     "StagedNetworkPolicy "
     "default/p: spec.order: may not stand next to stagedAction Delete\n"},
    {CALICO("StagedNetworkPolicy", "p") ", spec: {stagedAction: set}}",
     "StagedNetworkPolicy default/p BROKEN tier=default in set\n1: StagedNetworkPolicy "
     "default/p: "
     "spec.stagedAction: \"set\" is none of Set, Delete, Learn, Ignore (did you mean Set?)\n"},
    /* What is broken keeps what could be read, and has no rules. */
    {CALICO("NetworkPolicy", "p") "}",
     "NetworkPolicy default/p BROKEN tier=(unreadable) order=-inf inout\n1: "
     "NetworkPolicy default/p: spec: missing\n"},
    {CALICO("GlobalNetworkPolicy", "p") ", spec: }",
     "GlobalNetworkPolicy p BROKEN tier=(unreadable) order=-inf inout\n1: "
     "GlobalNetworkPolicy p: spec: missing\n"},
    {CALICO("StagedGlobalNetworkPolicy", "p") ", spec: [{tier: default, order: 1}]}",
     "StagedGlobalNetworkPolicy p BROKEN tier=(unreadable) order=-inf inout set\n1: "
     "StagedGlobalNetworkPolicy p: spec: expected a map, found a list\n"},
    {NP("tier: t, order: 1, selector: 'a ==', types: [Ingress], ingress: [{action: Allow}]"),
     "NetworkPolicy default/p BROKEN tier=t order=1 in sel=NULL\n2: NetworkPolicy default/p: "
     "spec.selector: bad selector \"a ==\": expected a string in quotes at position 4, found "
     "the end\n"},
    {NP("selector: a == 'b', types: [Ingres], ingress: [{action: Allow}, {action: allow}]"),
     "NetworkPolicy default/p BROKEN tier=default inout sel=<a == \"b\">\n2: NetworkPolicy "
     "default/p: "
     "spec.types[0]: \"Ingres\" is none of Ingress, Egress (did you mean Ingress?)\n2: "
     "NetworkPolicy "
     "default/p: spec.ingress[1].action: \"allow\" is none of Allow, Deny, Log, Pass (did you "
     "mean "
     "Allow?)\n"},
    {NP("types: Ingress"),
     "NetworkPolicy default/p BROKEN tier=default inout\n2: NetworkPolicy default/p: "
     "spec.types: expected a list, found the string \"Ingress\"\n"},
    {NP("types: [Egress, Egress]"),
     "NetworkPolicy default/p BROKEN tier=default out\n2: NetworkPolicy "
     "default/p: spec.types[1]: Egress is listed twice\n"},
    {NP("order: '10',\n tier: 5"),
     "NetworkPolicy default/p BROKEN tier=(unreadable) order=-inf in\n2: "
     "NetworkPolicy default/p: spec.order: expected a "
     "number, found the string \"10\"\n3: NetworkPolicy "
     "default/p: spec.tier: expected a string, found the "
     "number `5` (quote it to make it a string)\n"},
    {NP("order: .inf"),
     "NetworkPolicy default/p BROKEN tier=default order=-inf in\n2: NetworkPolicy default/p: "
     "spec.order: expected a number, found `.inf`\n"},
    {NP("doNotTrack: true, ingres: []"),
     "NetworkPolicy default/p tier=default in\n2? NetworkPolicy default/p: spec.doNotTrack: "
     "unknown "
     "field\n2? NetworkPolicy default/p: spec.ingres: unknown field (did you mean ingress?)\n"},
    {GNP("doNotTrack: 'yes'"),
     "GlobalNetworkPolicy p BROKEN tier=default in\n2: GlobalNetworkPolicy p: "
     "spec.doNotTrack: expected true or false, found the string \"yes\"\n"},
    {GNP("doNotTrack: true"),
     "GlobalNetworkPolicy p BROKEN tier=default in untracked\n2: "
     "GlobalNetworkPolicy p: spec.applyOnForward: must be true when doNotTrack or "
     "preDNAT is\n"},
    {GNP("preDNAT: true, applyOnForward: true, types: [Egress]"),
     "GlobalNetworkPolicy p BROKEN tier=default out prednat forward\n2: GlobalNetworkPolicy p: "
     "spec.preDNAT: cannot apply to egress\n"},
    {NP("selector: a == 'x' || global()"),
     "NetworkPolicy default/p BROKEN tier=default in sel=NULL\n2: NetworkPolicy default/p: "
     "spec.selector: "
     "\"a == 'x' || global()\": global() can stand only in the namespaceSelector of a rule, "
     "and only "
     "alone\n"},
    {NP("performanceHints: [Fast]"), "NetworkPolicy default/p BROKEN tier=default in\n2: "
                                     "NetworkPolicy default/p: spec.performanceHints[0]: "
                                     "\"Fast\" is none of AssumeNeededOnEveryNode\n"},
    {NP("egress: {action: Allow}"), "NetworkPolicy default/p BROKEN tier=default out\n2: "
                                    "NetworkPolicy default/p: spec.egress: expected a "
                                    "list, found a map\n"},
};

static void test_policies(void **state)
{
    (void)state;
    ASSERT_ALL(policies);
}

static void test_good_rules(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {RULE("protocol: TCP, source: {nets: [10.0.0.0/8, 10.1.2.3/16], notNets: [10.2.0.0/16], "
              "selector: a == "
              "'b', notSelector: has(c), namespaceSelector: global(), ports: [1, '2:3', http], "
              "serviceAccounts: "
              "{names: [x, y.z], selector: has(d)}}, destination: {ports: ['80'], notPorts: "
              "[65535]}"),
         "GlobalNetworkPolicy p tier=default in\n  < allow proto=tcp/6 src{ "
         "nets=10.0.0.0/8,10.1.0.0/16 "
         "!nets=10.2.0.0/16 sel=<a == \"b\"> !sel=<has(c)> ns=<global()> ports=1,2-3,http sa=x,y.z "
         "sasel=<has(d)> } dst{ ports=80 !ports=65535 }\n3? GlobalNetworkPolicy p: "
         "spec.ingress[0].source.nets[1]: \"10.1.2.3/16\" has bits set behind its prefix; taken as "
         "10.1.0.0/16\n"},
        {RULE("ipVersion: 6, protocol: ICMPv6, icmp: {type: 128, code: 0}, notProtocol: 47, "
              "notICMP: {type: 1}"),
         "GlobalNetworkPolicy p tier=default in\n  < allow v6 proto=icmpv6/58 !proto=47 icmp=128,0 "
         "!icmp=1,-1\n"},
        {RULE("protocol: '6', http: {methods: [GET, PUT], paths: [{exact: /a}, {prefix: /b/}]}, "
              "metadata: "
              "{annotations: {who: 'me & you'}}"),
         "GlobalNetworkPolicy p tier=default in\n  < allow proto=6 methods=GET,PUT exact=/a "
         "prefix=/b/ "
         "notes=who:me & you\n"},
        {RULE("source: {services: {name: s, namespace: k}}"),
         "GlobalNetworkPolicy p tier=default in\n  < allow src{ svc=k/s }\n"},
        {NP("egress: [{action: Deny, destination: {services: {name: s}}}]"),
         "NetworkPolicy default/p tier=default out\n  > deny dst{ svc=/s }\n"},
        {NP("egress: [{action: Deny, destination: {services: {name: s, namespace: ''}}}]"),
         "NetworkPolicy default/p tier=default out\n  > deny dst{ svc=/s }\n"},
        {RULE("destination: {ports: [http]}"),
         "GlobalNetworkPolicy p tier=default in\n  < allow dst{ ports=http }\n"},
        {GNP("ingress: [{action: Deny, http: {methods: [GET]}}]"),
         "GlobalNetworkPolicy p tier=default in\n  < deny methods=GET\n2? GlobalNetworkPolicy p: "
         "spec.ingress[0].http: on a rule that does not Allow; Calico's own API refuses this\n"},
        {RULE("http: {methods: [get, M-SEARCH]}"),
         "GlobalNetworkPolicy p tier=default in\n  < allow methods=get,M-SEARCH\n3? "
         "GlobalNetworkPolicy "
         "p: spec.ingress[0].http.methods[0]: \"get\" is not the method that requests have: those "
         "of "
         "HTTP are in capital letters\n"},
        {RULE("sorce: {}"),
         "GlobalNetworkPolicy p tier=default in\n  < allow\n3? GlobalNetworkPolicy p: "
         "spec.ingress[0].sorce: unknown field (did you mean source?)\n"},
    };
    ASSERT_ALL(examples);
}

/* Each breaks the policy with one error. */
static const struct {
    const char *rule, *problem;
} bad_rules[] = {
    {"source: {nets: [10.0.0.0/8, 10.0.0.0/33]}",
     "source.nets[1]: \"10.0.0.0/33\" is not a CIDR (expected like 10.0.0.0/8 or "
     "2001:db8::/32)"},
    {"source: {nets: [10.0.0.1]}",
     "source.nets[0]: \"10.0.0.1\" is not a CIDR (expected like 10.0.0.0/8 or 2001:db8::/32)"},
    {"source: {nets: [~]}", "source.nets[0]: expected a string, found nothing"},
    {"source: {nets: [10.0.0.0/8, '::/1']}",
     "source.nets: \"::/1\" is of another IP version than other nets of the rule"},
    {"source: {nets: [10.0.0.0/8]}, destination: {notNets: ['fe80::/10']}",
     "destination.notNets: \"fe80::/10\" is of another IP version than other nets of the rule"},
    {"ipVersion: 6, source: {nets: [10.0.0.0/8]}",
     "source.nets: \"10.0.0.0/8\" is of another IP version than the rule's ipVersion"},
    {"source: {notNets: [0.0.0.0/0]}",
     "source.notNets: \"0.0.0.0/0\" leaves nothing that could match"},
    {"ipVersion: 5", "ipVersion: 5 is neither 4 nor 6"},
    {"ipVersion: '4'", "ipVersion: expected a whole number, found the string \"4\""},
    {"protocol: tcp",
     "protocol: \"tcp\" is none of TCP, UDP, SCTP, ICMP, ICMPv6, UDPLite (did you mean "
     "TCP?)"},
    {"protocol: 256", "protocol: 256 is not between 1 and 255"},
    {"protocol: 0", "protocol: 0 is not between 1 and 255"},
    {"protocol: 1.5",
     "protocol: expected a string, found the number `1.5` (quote it to make it a string)"},
    {"destination: {ports: [80]}",
     "destination.ports: needs protocol TCP, UDP or SCTP in the same rule"},
    {"source: {notPorts: ['1:2', http]}",
     "source.notPorts: needs protocol TCP, UDP or SCTP in the same rule"},
    {"protocol: UDPLite, destination: {ports: [http]}",
     "destination.ports: needs protocol TCP, UDP or SCTP in the same rule"},
    {"protocol: TCP, source: {ports: [0]}", "source.ports[0]: 0 is not between 1 and 65535"},
    {"protocol: TCP, source: {ports: ['90:80']}",
     "source.ports[0]: \"90:80\" is not a port (a number from 1 to 65535, a range like "
     "\"8000:8080\" or a "
     "name of at most 15 lower-case letters, digits and single -)"},
    {"protocol: TCP, source: {ports: 80}", "source.ports: expected a list, found the number `80`"},
    {"icmp: {type: 8}", "icmp: needs protocol ICMP or ICMPv6 in the same rule"},
    {"protocol: ICMP, icmp: {code: 8}", "icmp.code: a code needs a type next to it"},
    {"protocol: ICMP, icmp: {type: 255}", "icmp.type: 255 is not between 0 and 254"},
    {"protocol: ICMP, icmp: {type: 1, code: 256}", "icmp.code: 256 is not between 0 and 255"},
    {"protocol: ICMP, ipVersion: 6", "ipVersion: protocol ICMP needs ipVersion 4"},
    {"notProtocol: 58, ipVersion: 4", "ipVersion: protocol ICMPv6 needs ipVersion 6"},
    {"source: {selector: global()}",
     "source.selector: \"global()\": global() can stand only in the "
     "namespaceSelector of a rule, and only alone"},
    {"source: {namespaceSelector: 'global() || a == \"b\"'}",
     "source.namespaceSelector: \"global() || a == \\\"b\\\"\": global() can stand only in the "
     "namespaceSelector of a rule, and only alone"},
    {"source: {serviceAccounts: {names: [A]}}",
     "source.serviceAccounts.names[0]: \"A\" is not a name (lower-case letters, digits, - and "
     "., beginning "
     "and ending with a letter or digit, at most 253 bytes)"},
    {"source: {serviceAccounts: {names: a}}",
     "source.serviceAccounts.names: expected a list, found the string \"a\""},
    {"source: {services: {name: s}}",
     "source.services.namespace: missing; only a namespaced policy has one of its own"},
    {"source: {services: {namespace: k}}", "source.services.name: missing"},
    {"source: {services: {name: s, namespace: k}, selector: has(a)}",
     "source.selector: may not stand next to services"},
    {"source: {services: {name: s, namespace: k}, serviceAccounts: {}}",
     "source.serviceAccounts: may not stand next to services"},
    {"destination: {services: {name: s, namespace: k}}",
     "destination.services: stands on the wrong side: ingress rules match services as source, "
     "egress rules "
     "as destination"},
    {"protocol: UDP, http: {methods: [GET]}", "http: needs protocol TCP, or none"},
    {"http: {methods: [GET, PUT, GET]}", "http.methods[2]: \"GET\" is listed twice"},
    {"http: {methods: ['GET /']}", "http.methods[0]: \"GET /\" is not an HTTP method"},
    {"http: {paths: [{exact: /a, prefix: /b}]}",
     "http.paths[0]: expected one of exact and prefix, found both"},
    {"http: {paths: [{exact: ''}]}", "http.paths[0]: expected one of exact and prefix, found none"},
    {"http: {paths: [{exact: a}]}",
     "http.paths[0].exact: \"a\" is not a path (it begins with / and has no ?, # or blank)"},
    {"http: {paths: [{prefix: '/a?b'}]}", "http.paths[0].prefix: \"/a?b\" is not a path (it "
                                          "begins with / and has no ?, # or blank)"},
    {"http: {paths: [/a]}", "http.paths[0]: expected a map, found the string \"/a\""},
    {"metadata: {annotations: {a: 1}}",
     "metadata.annotations.a: expected a string, found the number `1` "
     "(quote it to make it a string)"},
};

static void test_bad_rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad_rules) / sizeof(bad_rules[0]); i++) {
        CLEANUP_BUF struct buf text = {0}, expected = {0};
        buf_printf(
            &text,
            CALICO("GlobalNetworkPolicy", "p") ",\n spec: {selector: has(x), ingress: [{action: "
                                               "Allow}, {action: Allow,\n%s}]}}%c",
            bad_rules[i].rule, 0);
        buf_printf(&expected,
                   "GlobalNetworkPolicy p BROKEN tier=default in sel=<has(x)>\n3: "
                   "GlobalNetworkPolicy p: spec.ingress[1].%s\n%c",
                   bad_rules[i].problem, 0);
        assert_decoded(text.data, expected.data);
    }
    assert_decoded(NP("egress: [{action: Allow, http: {methods: [GET]}}]"),
                   "NetworkPolicy default/p BROKEN tier=default out\n2: NetworkPolicy default/p: "
                   "spec.egress[0].http: only ingress rules can look at HTTP\n");
    assert_decoded(
        NP("ingress: [{}, 7]"),
        "NetworkPolicy default/p BROKEN tier=default in\n2: NetworkPolicy default/p: "
        "spec.ingress[0].action: missing\n2: NetworkPolicy default/p: spec.ingress[1]: expected a "
        "map, found the number `7`\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types_and_lists), cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_too_many_labels), cmocka_unit_test(test_policy_names),
        cmocka_unit_test(test_policies),        cmocka_unit_test(test_good_rules),
        cmocka_unit_test(test_bad_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
