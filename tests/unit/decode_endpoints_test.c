/* decode.h: what a node agent reads beside pods: host endpoints, services and where they are, nodes. */
#include "decode_check.h"

#define HEP(rest)   CALICO("HostEndpoint", "h") ",\n spec: {" rest "}}"
#define SLICE(rest) SLICE_OF("kubernetes.io/service-name: web") ",\n " rest "}"
#define SLICE_OF(labels)                                                                           \
    "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: web-x1, namespace: "  \
    "k, labels: {" labels "}}"
#define SLICE_LABEL "labels=kubernetes.io/service-name:web of=web"

static void test_host_endpoints(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"{apiVersion: projectcalico.org/v3, kind: HostEndpoint, metadata: {name: node1.eth0, "
         "labels: {role: edge, pcns.x: q, pcsa.y: q, projectcalico.org/namespace: own}}, spec: "
         "{node: node1, interfaceName: eth0, expectedIPs: [10.0.0.1, 'fd00::1', "
         "'::ffff:10.0.0.2'], profiles: [b, a], ports: [{name: ssh, protocol: TCP, port: 22}, "
         "{name: odd, protocol: 17, port: 65535}]}}",
         "HostEndpoint node1.eth0 live node=node1 if=eth0 "
         "labels=projectcalico.org/namespace:own,role:edge profiles=b,a "
         "nets=10.0.0.1/32,fd00::1/128,10.0.0.2/32 ssh=6:22 odd=17:65535\n"},
        {HEP("node: m, interfaceName: '*'"), "HostEndpoint h live node=m if=*\n"},
        {HEP("node: m, interfaceName: 'A_0.x-y56789012'"),
         "HostEndpoint h live node=m if=A_0.x-y56789012\n"},
        {HEP("node: m, expectedIPs: [10.0.0.1]"), "HostEndpoint h live node=m nets=10.0.0.1/32\n"},
        {HEP("node: m, interfaceName: '', expectedIPs: [10.0.0.1], profiles: [], ports: []"),
         "HostEndpoint h live node=m nets=10.0.0.1/32\n"},
        {"{apiVersion: crd.projectcalico.org/v1, kind: HostEndpoint, metadata: {name: h}, spec: "
         "{node: m, interfaceName: '*'}}",
         "HostEndpoint h live node=m if=*\n"},
        /* Unknown fields are told, and change nothing. */
        {HEP("node: m, interfaceName: e,\n expectedIP: [1],\n ports: [{name: a, protocol: TCP, "
             "port: 1, hostPort: 2}]"),
         "HostEndpoint h live node=m if=e a=6:1\n3? HostEndpoint h: spec.expectedIP: unknown field "
         "(did you mean expectedIPs?)\n4? HostEndpoint h: spec.ports[0].hostPort: unknown field\n"},
        {CALICO("HostEndpoint", "H") ", spec: {node: m, interfaceName: e}}",
         "HostEndpoint H BROKEN none node=m if=e\n1: HostEndpoint H: metadata.name: \"H\" is not a "
         "name for this kind (lower-case letters, digits and -, not at the ends; dots between)\n"},
        {CALICO("HostEndpoint", "h") "}",
         "HostEndpoint h BROKEN none\n1: HostEndpoint h: spec: missing\n"},
        {CALICO("HostEndpoint", "h") ", spec: [a]}",
         "HostEndpoint h BROKEN none\n1: HostEndpoint h: spec: expected a map, found a list\n"},
        {CALICO("HostEndpoint", "h") ", spec: {}}",
         "HostEndpoint h BROKEN none\n1: HostEndpoint h: spec.node: missing\n1: HostEndpoint h: "
         "spec: one of interfaceName and expectedIPs is needed\n"},
    };
    ASSERT_ALL(examples);
}

/* What is read of each is node m and, if it is not the interface that is wrong, interface e; none is live. */
static void test_bad_host_endpoints(void **state)
{
    (void)state;
    static const struct {
        const char *field, *problem;
    } examples[] = {
        {"expectedIPs: [10.0.0.1/32]", "expectedIPs[0]: \"10.0.0.1/32\" is not an IP address"},
        {"expectedIPs: [10.0.0.1, 10.0.0.256]",
         "expectedIPs[1]: \"10.0.0.256\" is not an IP address"},
        {"expectedIPs: ['fe80::1%eth0']", "expectedIPs[0]: \"fe80::1%eth0\" is not an IP address"},
        {"expectedIPs: ['']", "expectedIPs[0]: \"\" is not an IP address"},
        {"expectedIPs: [~]", "expectedIPs[0]: expected a string, found nothing"},
        {"expectedIPs: [10]",
         "expectedIPs[0]: expected a string, found the number `10` (quote it to make it a "
         "string)"},
        {"expectedIPs: 10.0.0.1", "expectedIPs: expected a list, found the string \"10.0.0.1\""},
        {"profiles: [A]",
         "profiles[0]: \"A\" is not a name (lower-case letters, digits, - and ., beginning and "
         "ending with a letter or digit, at most 253 bytes)"},
        {"profiles: {}", "profiles: expected a list, found a map"},
        {"ports: [{protocol: TCP, port: 1}]", "ports[0].name: missing"},
        {"ports: [{protocol: TCP, port: 1, name: ''}]", "ports[0].name: missing"},
        {"ports: [{name: a, port: 1}]", "ports[0].protocol: missing"},
        {"ports: [{name: a, protocol: TCP}]", "ports[0].port: missing"},
        {"ports: [{name: 'a b', protocol: TCP, port: 1}]",
         "ports[0].name: \"a b\" is not the name of a port"},
        {"ports: [{name: a, protocol: ICMP, port: 1}]",
         "ports[0].protocol: this protocol has no ports"},
        {"ports: [{name: a, protocol: TPC, port: 1}]",
         "ports[0].protocol: \"TPC\" is none of TCP, UDP, SCTP, ICMP, ICMPv6, UDPLite (did you "
         "mean TCP?)"},
        {"ports: [{name: a, protocol: TCP, port: 0}]", "ports[0].port: 0 is not between 1 and "
                                                       "65535"},
        {"ports: [{name: a, protocol: TCP, port: '80'}]",
         "ports[0].port: expected a whole number, found the string \"80\""},
        {"ports: [7]", "ports[0]: expected a map, found the number `7`"},
    };
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        CLEANUP_BUF struct buf text = {0}, expected = {0};
        buf_printf(&text, HEP("node: m, interfaceName: e,\n%s") "%c", examples[i].field, 0);
        buf_printf(&expected,
                   "HostEndpoint h BROKEN none node=m if=e%s\n3: HostEndpoint h: spec.%s\n%c",
                   strstr(examples[i].problem, "this protocol") != NULL ? " a=1:1" : "",
                   examples[i].problem, 0);
        assert_decoded(text.data, expected.data);
    }
}

static void test_bad_host_endpoint_names(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {HEP("interfaceName: e"),
         "HostEndpoint h BROKEN none if=e\n2: HostEndpoint h: spec.node: missing\n"},
        {HEP("interfaceName: e, node: 'a b'"),
         "HostEndpoint h BROKEN none node=a b if=e\n2: HostEndpoint h: spec.node: \"a b\" is not a "
         "name (lower-case letters, digits, - and ., beginning and ending with a letter or digit, "
         "at most 253 bytes)\n"},
        {HEP("interfaceName: e, node: ''"),
         "HostEndpoint h BROKEN none if=e\n2: HostEndpoint h: spec.node: \"\" is not a name "
         "(lower-case letters, digits, - and ., beginning and ending with a letter or digit, at "
         "most 253 bytes)\n"},
        {HEP("node: m, interfaceName: abcdefghijklmnop"),
         "HostEndpoint h BROKEN none node=m if=abcdefghijklmnop\n2: HostEndpoint h: "
         "spec.interfaceName: \"abcdefghijklmnop\" is not the name of an interface (at most 15 "
         "letters, digits, _, . and -)\n"},
        {HEP("node: m, interfaceName: 'eth*'"),
         "HostEndpoint h BROKEN none node=m if=eth*\n2: HostEndpoint h: spec.interfaceName: "
         "\"eth*\" is not the name of an interface (at most 15 letters, digits, _, . and -)\n"},
        {HEP("node: m, interfaceName: 7"),
         "HostEndpoint h BROKEN none node=m\n2: HostEndpoint h: spec.interfaceName: expected a "
         "string, found the number `7` (quote it to make it a string)\n"},
        {HEP("node: m, interfaceName: ''"),
         "HostEndpoint h BROKEN none node=m\n2: HostEndpoint h: spec: one of interfaceName and "
         "expectedIPs is needed\n"},
        {HEP("node: m, expectedIPs: []"),
         "HostEndpoint h BROKEN none node=m\n2: HostEndpoint h: spec: one of interfaceName and "
         "expectedIPs is needed\n"},
    };
    ASSERT_ALL(examples);
}

#define WEP(rest)                                                                                  \
    CALICO("WorkloadEndpoint", "w")                                                                \
    ", spec: {orchestrator: vm, workload: v, node: m, endpoint: e, ipNetworks: "                   \
    "[10.0.0.1],\n " rest "}}"
#define WEP_END                                                                                    \
    "node=m id=vm,default/v,e labels=projectcalico.org/namespace:default,"                         \
    "projectcalico.org/orchestrator:vm"

/* The fields of a WorkloadEndpoint of which no use is made. */
static void test_workload_endpoint_details(void **state)
{
    (void)state;
    static const char *const good[] = {
        "containerID: A-b0, mac: '', ipv4Gateway: '', ipv6Gateway: 'fe80::1'",
        "ipv4Gateway: 169.254.1.1, allowSpoofedSourcePrefixes: [10.0.0.0/8, '::1'], qosControls: "
        "{ingressBandwidth: 5}",
        "mac: AA-bb-0c-dd-ee-ff",
        "mac: 'aabb.ccdd.ee0f'",
        "mac: '02:00:5e:10:00:00:00:01'",
        "ipNATs: [{internalIP: 10.0.0.1, externalIP: 192.0.2.1}]",
    };
    static const struct {
        const char *field, *problem;
    } bad[] = {
        {"containerID: -a", "containerID: \"-a\" is not the id of a container"},
        {"containerID: a_b", "containerID: \"a_b\" is not the id of a container"},
        {"mac: aa:bb:cc:dd:ee", "mac: \"aa:bb:cc:dd:ee\" is not a MAC address"},
        {"mac: aa:bb:cc:dd:ee-ff", "mac: \"aa:bb:cc:dd:ee-ff\" is not a MAC address"},
        {"mac: aa:bb:cc:dd:ee:fg", "mac: \"aa:bb:cc:dd:ee:fg\" is not a MAC address"},
        {"mac: aa:bb:cc:dd:ee:f", "mac: \"aa:bb:cc:dd:ee:f\" is not a MAC address"},
        {"mac: 'aabbccddeeff'", "mac: \"aabbccddeeff\" is not a MAC address"},
        {"ipv4Gateway: 'fe80::1'", "ipv4Gateway: \"fe80::1\" is not an IPv4 address"},
        {"ipv6Gateway: 10.0.0.1", "ipv6Gateway: \"10.0.0.1\" is not an IPv6 address"},
        {"ipv6Gateway: x", "ipv6Gateway: \"x\" is not an IP address"},
        {"allowSpoofedSourcePrefixes: [10.0.0.0/33]",
         "allowSpoofedSourcePrefixes[0]: \"10.0.0.0/33\" is not a CIDR (expected like 10.0.0.0/8 "
         "or 2001:db8::/32)"},
        {"qosControls: []", "qosControls: expected a map, found a list"},
        {"ipNATs: [{internalIP: 10.0.0.2, externalIP: 192.0.2.1}]",
         "ipNATs[0].internalIP: is none of the endpoint's ipNetworks"},
        {"ipNATs: [{internalIP: 10.0.0.1, externalIP: '::1'}]",
         "ipNATs[0].externalIP: is of another IP version than internalIP"},
        {"ipNATs: [{externalIP: 192.0.2.1}]", "ipNATs[0].internalIP: missing"},
        {"ports: [{name: a, protocol: TCP, port: 1, hostPort: 2, hostIP: x}]",
         "ports[0].hostIP: \"x\" is not an IP address"},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        CLEANUP_BUF struct buf text = {0};
        buf_printf(&text, WEP("%s") "%c", good[i], 0);
        assert_decoded(text.data, "WorkloadEndpoint default/w live " WEP_END " nets=10.0.0.1/32\n");
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CLEANUP_BUF struct buf text = {0}, expected = {0};
        bool has_port = strstr(bad[i].field, "ports") != NULL;
        buf_printf(&text, WEP("%s") "%c", bad[i].field, 0);
        buf_printf(&expected,
                   "WorkloadEndpoint default/w BROKEN none " WEP_END
                   "%s\n2: WorkloadEndpoint default/w: spec.%s\n%c",
                   has_port ? " a=6:1" : "", bad[i].problem, 0);
        assert_decoded(text.data, expected.data);
    }
    assert_decoded(WEP("interfaceName: 'a/b'"),
                   "WorkloadEndpoint default/w BROKEN none node=m id=vm,default/v,e if=a/b "
                   "labels=projectcalico.org/namespace:default,projectcalico.org/orchestrator:vm\n"
                   "2: WorkloadEndpoint default/w: spec.interfaceName: \"a/b\" is not the name of "
                   "an interface (at most 15 letters, digits, _, . and -)\n");
}

static void test_endpoint_slices(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {SLICE("addressType: IPv4, extra: 1, endpoints: [{addresses: [10.0.0.1, 10.0.0.2], "
               "conditions: {ready: false}, targetRef: {}}, {addresses: [10.0.0.3]}, {}], ports: "
               "[{name: http, port: 80, protocol: TCP}, {port: 53, protocol: UDP}, {port: 7, "
               "protocol: SCTP}, {name: '', port: 81}]"),
         "EndpointSlice k/web-x1 " SLICE_LABEL
         " addresses=10.0.0.1,10.0.0.2,10.0.0.3 ports=6:80,17:53,132:7,6:81\n"},
        {SLICE("addressType: IPv6, endpoints: [{addresses: ['fd00::1']}], ports: [{port: 65535}]"),
         "EndpointSlice k/web-x1 " SLICE_LABEL " addresses=fd00::1 ports=6:65535\n"},
        /* What is no address, or has no number, is left out; so are all addresses of a slice of names. */
        {SLICE("endpoints: [{addresses: [a.example, 10.0.0.1, 10.0.0.1/32, '']}], ports: [{name: "
               "x}, {port: ~, protocol: UDP}]"),
         "EndpointSlice k/web-x1 " SLICE_LABEL " addresses=10.0.0.1\n"},
        {SLICE("addressType: FQDN, endpoints: [{addresses: [a.example, 10.0.0.1]}], ports: [{port: "
               "80}]"),
         "EndpointSlice k/web-x1 " SLICE_LABEL " ports=6:80\n"},
        {SLICE("addressType: IPv4, endpoints: ~, ports: ~"),
         "EndpointSlice k/web-x1 " SLICE_LABEL "\n"},
        {SLICE_OF("app: b") ", endpoints: []}", "EndpointSlice k/web-x1 labels=app:b\n"},
        {"apiVersion: discovery.k8s.io/v1\nkind: EndpointSliceList\nitems: [{metadata: {name: "
         "s}}]\n",
         "EndpointSlice default/s\n"},
        {"apiVersion: discovery.k8s.io/v1beta1\nkind: EndpointSlice\nmetadata: {name: s}\n",
         "1: apiVersion: \"discovery.k8s.io/v1beta1\" is not an apiVersion of the kind "
         "EndpointSlice (expected discovery.k8s.io/v1)\n"},
    };
    ASSERT_ALL(examples);
}

/* Each breaks the slice, of which the sound parts are kept. */
static void test_bad_endpoint_slices(void **state)
{
    (void)state;
    static const struct {
        const char *field, *kept, *problem;
    } examples[] = {
        {"addressType: IPv5", "",
         "addressType: \"IPv5\" is none of IPv4, IPv6, FQDN (did you mean IPv4?)"},
        {"addressType: 4", "",
         "addressType: expected a string, found the number `4` (quote it to make it a string)"},
        {"endpoints: {addresses: [10.0.0.1]}", "", "endpoints: expected a list, found a map"},
        {"endpoints: [10.0.0.1]", "",
         "endpoints[0]: expected a map, found the string \"10.0.0.1\""},
        {"endpoints: [{addresses: [10.0.0.1]}, ~]", " addresses=10.0.0.1",
         "endpoints[1]: expected a map, found nothing"},
        {"endpoints: [{addresses: 10.0.0.1}]", "",
         "endpoints[0].addresses: expected a list, found the string \"10.0.0.1\""},
        {"endpoints: [{addresses: {a: b}}]", "",
         "endpoints[0].addresses: expected a list, found a map"},
        {"endpoints: [{addresses: [10.0.0.1, 5, 10.0.0.2]}]", " addresses=10.0.0.1,10.0.0.2",
         "endpoints[0].addresses[1]: expected a string, found the number `5` (quote it to make it "
         "a string)"},
        {"ports: {port: 80}", "", "ports: expected a list, found a map"},
        {"ports: [80]", "", "ports[0]: expected a map, found the number `80`"},
        {"ports: [{port: 80}, {port: http}]", " ports=6:80",
         "ports[1].port: expected a whole number, found the string \"http\""},
        {"ports: [{port: 0}]", "", "ports[0].port: 0 is not between 1 and 65535"},
        {"ports: [{port: 65536}]", "", "ports[0].port: 65536 is not between 1 and 65535"},
        {"ports: [{port: 80, protocol: tcp}]", "",
         "ports[0].protocol: \"tcp\" is none of TCP, UDP, SCTP (did you mean TCP?)"},
        {"ports: [{port: 80, protocol: 6}]", "",
         "ports[0].protocol: expected a string, found the number `6` (quote it to make it a "
         "string)"},
    };
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        CLEANUP_BUF struct buf text = {0}, expected = {0};
        buf_printf(&text, SLICE("%s") "%c", examples[i].field, 0);
        buf_printf(&expected,
                   "EndpointSlice k/web-x1 BROKEN " SLICE_LABEL
                   "%s\n2: EndpointSlice k/web-x1: %s\n%c",
                   examples[i].kept, examples[i].problem, 0);
        assert_decoded(text.data, expected.data);
    }
}

/* Of these the name and the labels count. */
static void test_services_and_nodes(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"{apiVersion: v1, kind: Service, metadata: {name: web, namespace: k, labels: {a: b}}, "
         "spec: {ports: 7}}",
         "Service k/web labels=a:b\n"},
        {"{apiVersion: v1, kind: Service, metadata: {name: web}}", "Service default/web\n"},
        {"{apiVersion: v1, kind: Node, metadata: {name: m.example, labels: "
         "{kubernetes.io/hostname: m}}, status: 7}",
         "Node m.example labels=kubernetes.io/hostname:m\n"},
        {"apiVersion: v1\nkind: NodeList\nitems: [{metadata: {name: a}}, {metadata: {name: b, "
         "labels: {x: 1}}}]\n",
         "Node a\nNode b BROKEN labels=x:1\n3: Node b: metadata.labels.x: expected a string, found "
         "the number "
         "`1` (quote it to make it a string)\n"},
        {"{apiVersion: serving.knative.dev/v1, kind: Service, metadata: {name: web}}",
         "1: apiVersion: \"serving.knative.dev/v1\" is not an apiVersion of the kind Service "
         "(expected v1)\n"},
    };
    ASSERT_ALL(examples);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host_endpoints),
        cmocka_unit_test(test_bad_host_endpoints),
        cmocka_unit_test(test_bad_host_endpoint_names),
        cmocka_unit_test(test_workload_endpoint_details),
        cmocka_unit_test(test_endpoint_slices),
        cmocka_unit_test(test_bad_endpoint_slices),
        cmocka_unit_test(test_services_and_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
