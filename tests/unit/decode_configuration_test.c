/* decode.h: FelixConfiguration and ClusterInformation. */
#include "decode_check.h"

#define FELIX(rest) CALICO("FelixConfiguration", "default") ",\n spec: {" rest "}}"
#define CREATED(time)                                                                              \
    "{apiVersion: projectcalico.org/v3, kind: FelixConfiguration, metadata: {name: default, "      \
    "creationTimestamp: " time "}, spec: {}}"
#define INFORMATION(rest) CALICO("ClusterInformation", "default") ", spec: {" rest "}}"

static void test_settings(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {FELIX("policySyncPathPrefix: /var/run/nodeagent"),
         "FelixConfiguration default settings=policySyncPathPrefix:/var/run/nodeagent\n"},
        {FELIX(""), "FelixConfiguration default\n"},
        {CALICO("FelixConfiguration", "default") "}", "FelixConfiguration default\n"},
        {FELIX("policySyncPathPrefix: None"),
         "FelixConfiguration default settings=policySyncPathPrefix:None\n"},
        /* Sorted by name; values as they are meant, not as they are written. */
        {FELIX("xdpEnabled: no, healthPort: 0x1f, bpfEnabled: true, allowIPIPPacketsFromWorkloads: "
               "off, nftablesMarkMask: 4294901760, nftablesMode: Auto"),
         "FelixConfiguration default settings=allowIPIPPacketsFromWorkloads:false,bpfEnabled:true,"
         "healthPort:31,nftablesMarkMask:4294901760,nftablesMode:Auto,xdpEnabled:false\n"},
        /* Absent, null and empty are the same. */
        {FELIX("policySyncPathPrefix: '', healthHost: ~, logSeverityScreen: '', "
               "workloadSourceSpoofing: '', interfacePrefix: '', routeRefreshInterval: ''"),
         "FelixConfiguration default\n"},
        {FELIX("logSeverityScreen: wArNiNg, healthHost: '::', healthEnabled: true, "
               "prometheusMetricsEnabled: false, prometheusMetricsHost: my-host_1.example, "
               "prometheusMetricsPort: 65535, interfacePrefix: 'cali,tap-_1'"),
         "FelixConfiguration default settings=healthEnabled:true,healthHost:::,interfacePrefix:"
         "cali,tap-_1,logSeverityScreen:wArNiNg,prometheusMetricsEnabled:false,"
         "prometheusMetricsHost:my-host_1.example,prometheusMetricsPort:65535\n"},
        {FELIX("workloadSourceSpoofing: Any, healthPort: 0"),
         "FelixConfiguration default settings=healthPort:0,workloadSourceSpoofing:Any\n"},
        {FELIX("routeRefreshInterval: 1h30m, netlinkTimeout: 1.5s, xdpRefreshInterval: '0', "
               "bpfIPFragTimeout: 10ms20us3ns"),
         "FelixConfiguration default settings=bpfIPFragTimeout:10ms20us3ns,netlinkTimeout:1.5s,"
         "routeRefreshInterval:1h30m,xdpRefreshInterval:0\n"},
        /* A port may be a number or a range. */
        {FELIX("natPortRange: '1000:2000', bpfPSNATPorts: 7"),
         "FelixConfiguration default settings=bpfPSNATPorts:7,natPortRange:1000:2000\n"},
        /* Lists and maps are no settings. */
        {FELIX("failsafeInboundHostPorts: [{protocol: tcp, port: 22}, {port: 0, protocol: SCTP}, "
               "{port: 53, net: 10.0.0.0/8}, {port: 1, net: ''}], failsafeOutboundHostPorts: [], "
               "bpfLogFilters: {all: x}, kubeNodePortRanges: ['1:2'], externalNodesList: []"),
         "FelixConfiguration default\n"},
        {FELIX("policySyncPathPreffix: /x,\n healthHorst: x"),
         "FelixConfiguration default\n2? FelixConfiguration default: spec.policySyncPathPreffix: "
         "unknown field (did you mean policySyncPathPrefix?)\n3? FelixConfiguration default: "
         "spec.healthHorst: unknown field (did you mean healthHost?)\n"},
    };
    ASSERT_ALL(examples);
}

/* Each breaks the resource; the other settings are kept. */
static const struct {
    const char *field, *problem;
} bad_settings[] = {
    {"policySyncPathPrefix: var/run",
     "policySyncPathPrefix: \"var/run\" is not an absolute path of at most 4095 bytes"},
    {"policySyncPathPrefix: [/a]", "policySyncPathPrefix: expected a string, found a list"},
    {"logSeverityScreen: Warn",
     "logSeverityScreen: \"Warn\" is none of Trace, Debug, Info, Warning, Error, Fatal"},
    {"logSeverityScreen: none",
     "logSeverityScreen: \"none\" is none of Trace, Debug, Info, Warning, Error, Fatal"},
    {"healthEnabled: 'true'", "healthEnabled: expected true or false, found the string \"true\""},
    {"healthEnabled: 1", "healthEnabled: expected true or false, found the number `1`"},
    {"healthHost: a b", "healthHost: \"a b\" is not the name or address of a host"},
    {"healthHost: a23456789.123456789.123456789.123456789.123456789.123456789.12345",
     "healthHost: \"a23456789.123456789.123456789.123456789.123456789.123456789.12345\" is "
     "not the name or address of a host"},
    {"healthPort: 65536", "healthPort: \"65536\" is not a port (0 to 65535)"},
    {"healthPort: -1", "healthPort: \"-1\" is not a port (0 to 65535)"},
    {"healthPort: '9099'", "healthPort: expected a whole number, found the string \"9099\""},
    {"prometheusMetricsEnabled: 'yes'",
     "prometheusMetricsEnabled: expected true or false, found the string \"yes\""},
    {"prometheusMetricsHost: 'a/b'",
     "prometheusMetricsHost: \"a/b\" is not the name or address of a host"},
    {"prometheusMetricsPort: 100000",
     "prometheusMetricsPort: \"100000\" is not a port (0 to 65535)"},
    {"prometheusMetricsPort: 9091.5",
     "prometheusMetricsPort: expected a whole number, found the number `9091.5`"},
    {"interfacePrefix: 'cali,'",
     "interfacePrefix: \"cali,\" is no list of prefixes (each at most 15 letters, digits, _ "
     "and -, commas between them)"},
    {"interfacePrefix: abcdefghijklmnop",
     "interfacePrefix: \"abcdefghijklmnop\" is no list of prefixes (each at most 15 letters, "
     "digits, _ and -, commas between them)"},
    {"workloadSourceSpoofing: any", "workloadSourceSpoofing: \"any\" is none of Disabled, Any"},
    {"routeRefreshInterval: '90'",
     "routeRefreshInterval: \"90\" is not a duration (expected like 90s or 1m30s)"},
    {"routeRefreshInterval: 90",
     "routeRefreshInterval: expected a string, found the number `90` (quote it to make it a "
     "string)"},
    {"routeRefreshInterval: -5s",
     "routeRefreshInterval: \"-5s\" is not a duration (expected like 90s or 1m30s)"},
    {"nftablesRefreshInterval: 5 s",
     "nftablesRefreshInterval: \"5 s\" is not a duration (expected like 90s or 1m30s)"},
    {"netlinkTimeout: 1.2.3s",
     "netlinkTimeout: \"1.2.3s\" is not a duration (expected like 90s or 1m30s)"},
    {"netlinkTimeout: s", "netlinkTimeout: \"s\" is not a duration (expected like 90s or 1m30s)"},
    {"netlinkTimeout: 5d", "netlinkTimeout: \"5d\" is not a duration (expected like 90s or 1m30s)"},
    {"nftablesMode: true",
     "nftablesMode: expected a string, found the boolean `true` (quote it to make it a "
     "string)"},
    {"natPortRange: 1.5",
     "natPortRange: expected a string, found the number `1.5` (quote it to make it a string)"},
    {"kubeNodePortRanges: 1", "kubeNodePortRanges: expected a list, found the number `1`"},
    {"bpfLogFilters: []", "bpfLogFilters: expected a map, found a list"},
    {"failsafeInboundHostPorts: none",
     "failsafeInboundHostPorts: expected a list, found the string \"none\""},
    {"failsafeInboundHostPorts: [22]",
     "failsafeInboundHostPorts[0]: expected a map, found the number `22`"},
    {"failsafeInboundHostPorts: [{protocol: TCP}]", "failsafeInboundHostPorts[0].port: missing"},
    {"failsafeOutboundHostPorts: [{port: 65536}]",
     "failsafeOutboundHostPorts[0].port: 65536 is not between 0 and 65535"},
    {"failsafeOutboundHostPorts: [{port: 1, protocol: ICMP}]",
     "failsafeOutboundHostPorts[0].protocol: \"ICMP\" is none of TCP, UDP, SCTP"},
    {"failsafeOutboundHostPorts: [{port: 1, net: 10.0.0.0/33}]",
     "failsafeOutboundHostPorts[0].net: \"10.0.0.0/33\" is not a CIDR (expected like "
     "10.0.0.0/8 or 2001:db8::/32)"},
    {"nodeSelector: has(x)",
     "nodeSelector: may not stand here: the name says that it is for all nodes"},
};

static void test_bad_settings(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad_settings) / sizeof(bad_settings[0]); i++) {
        CLEANUP_BUF struct buf text = {0}, expected = {0};
        buf_printf(&text, FELIX("ipForwarding: Enabled,\n%s") "%c", bad_settings[i].field, 0);
        buf_printf(&expected,
                   "FelixConfiguration default BROKEN settings=ipForwarding:Enabled\n3: "
                   "FelixConfiguration default: spec.%s\n%c",
                   bad_settings[i].problem, 0);
        assert_decoded(text.data, expected.data);
    }
    CLEANUP_BUF struct buf text = {0};
    buf_printf(&text, FELIX("policySyncPathPrefix: /%04095d") "%c", 0, 0);
    CLEANUP_BUF struct buf expected = {0};
    buf_printf(&expected,
               "FelixConfiguration default BROKEN\n2: FelixConfiguration default: "
               "spec.policySyncPathPrefix: \"/%0150d...\" is not an absolute path of at most 4095 "
               "bytes\n%c",
               0, 0);
    assert_decoded(text.data, expected.data);
}

static void test_which_nodes(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {CALICO("FelixConfiguration", "node.m.example") ", spec: {healthPort: 1}}",
         "FelixConfiguration node.m.example settings=healthPort:1\n"},
        {CALICO("FelixConfiguration", "node.m") ", spec: {nodeSelector: ''}}",
         "FelixConfiguration node.m BROKEN\n1: FelixConfiguration node.m: spec.nodeSelector: may "
         "not stand here: the name says that it is for one node\n"},
        {CALICO("FelixConfiguration", "edge") ", spec: {nodeSelector: role == 'edge', healthPort: "
                                              "1}}",
         "FelixConfiguration edge settings=healthPort:1 for=<role == \"edge\">\n"},
        {CALICO("FelixConfiguration", "edge") ", spec: {nodeSelector: role ==}}",
         "FelixConfiguration edge BROKEN for=NULL\n1: FelixConfiguration edge: spec.nodeSelector: "
         "bad selector \"role ==\": expected a string in quotes at position 7, found the end\n"},
        {CALICO("FelixConfiguration", "edge") ", spec: {nodeSelector: global()}}",
         "FelixConfiguration edge BROKEN for=NULL\n1: FelixConfiguration edge: spec.nodeSelector: "
         "\"global()\": global() can stand only in the namespaceSelector of a rule, and only "
         "alone\n"},
        {CALICO("FelixConfiguration", "edge") ", spec: {}}",
         "FelixConfiguration edge\n1? FelixConfiguration edge: spec.nodeSelector: missing; without "
         "it these settings are for no node\n"},
        {CALICO("FelixConfiguration", "Node.m") ", spec: {nodeSelector: all()}}",
         "FelixConfiguration Node.m BROKEN for=<all()>\n1: FelixConfiguration Node.m: "
         "metadata.name: \"Node.m\" is not a name for this kind (lower-case letters, digits and -, "
         "not at the ends; dots between)\n"},
    };
    ASSERT_ALL(examples);
}

static void test_creation_times(void **state)
{
    (void)state;
    static const struct {
        const char *time;
        long long seconds; /* -1: not a time */
    } examples[] = {
        {"1970-01-01T00:00:01Z", 1},
        {"2024-02-29T23:59:59Z", 1709251199},
        {"2024-01-31T12:00:00.987654321Z", 1706702400},
        {"2024-01-31T12:00:00+02:00", 1706695200},
        {"2024-01-31T12:00:00-05:30", 1706722200},
        {"9999-12-31T23:59:59Z", 253402300799},
        {"2023-02-29T00:00:00Z", -1},
        {"2024-13-01T00:00:00Z", -1},
        {"2024-00-01T00:00:00Z", -1},
        {"2024-01-00T00:00:00Z", -1},
        {"2024-01-31T24:00:00Z", -1},
        {"2024-01-31T12:60:00Z", -1},
        {"2024-01-31T12:00:60Z", -1},
        {"2024-01-31T12:00:00", -1},
        {"2024-01-31T12:00:00.Z", -1},
        {"2024-01-31T12:00:00+24:00", -1},
        {"2024-01-31T12:00:00+02:60", -1},
        {"2024-01-31T12:00:00+0200", -1},
        {"2024-01-31t12:00:00Z", -1},
        {"2024-01-31", -1},
        {"yesterday", -1},
    };
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        CLEANUP_BUF struct buf text = {0}, expected = {0};
        buf_printf(&text, CREATED("'%s'") "%c", examples[i].time, 0);
        if (examples[i].seconds >= 0)
            buf_printf(&expected, "FelixConfiguration default created=%lld\n%c",
                       examples[i].seconds, 0);
        else
            buf_printf(&expected,
                       "FelixConfiguration default BROKEN\n1: FelixConfiguration default: "
                       "metadata.creationTimestamp: \"%s\" is not a time (expected like "
                       "2024-01-31T12:00:00Z)\n%c",
                       examples[i].time, 0);
        assert_decoded(text.data, expected.data);
    }
    assert_decoded(CREATED("~"), "FelixConfiguration default\n");
    /* Without quotes it is a string all the same. */
    assert_decoded(CREATED("2024-01-31T12:00:00Z"),
                   "FelixConfiguration default created=1706702400\n");
    assert_decoded(CREATED("7"), "FelixConfiguration default BROKEN\n1: FelixConfiguration "
                                 "default: metadata.creationTimestamp: expected a string, found "
                                 "the number `7` (quote it to make it a string)\n");
}

static void test_cluster_information(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {INFORMATION("clusterGUID: x, clusterType: 'k8s,bgp', calicoVersion: v3.30.0, "
                     "datastoreReady: true, variant: Calico"),
         "ClusterInformation default ready\n"},
        {INFORMATION("datastoreReady: false"), "ClusterInformation default wait\n"},
        {INFORMATION(""), "ClusterInformation default ready\n"},
        {CALICO("ClusterInformation", "default") "}", "ClusterInformation default ready\n"},
        {INFORMATION("datastoreReady: 'false'"),
         "ClusterInformation default BROKEN ready\n1: ClusterInformation default: "
         "spec.datastoreReady: expected true or false, found the string \"false\"\n"},
        {INFORMATION("clusterGUID: 1, clusterType: [], calicoVersion: 3.30, variant: {}"),
         "ClusterInformation default BROKEN ready\n1: ClusterInformation default: "
         "spec.clusterGUID: expected a string, found the number `1` (quote it to make it a "
         "string)\n1: ClusterInformation default: spec.clusterType: expected a string, found a "
         "list\n1: ClusterInformation default: spec.calicoVersion: expected a string, found the "
         "number `3.30` (quote it to make it a string)\n1: ClusterInformation default: "
         "spec.variant: expected a string, found a map\n"},
        {INFORMATION("datastoreReddy: false"),
         "ClusterInformation default ready\n1? ClusterInformation default: spec.datastoreReddy: "
         "unknown field (did you mean datastoreReady?)\n"},
    };
    ASSERT_ALL(examples);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_bad_settings),
        cmocka_unit_test(test_which_nodes),
        cmocka_unit_test(test_creation_times),
        cmocka_unit_test(test_cluster_information),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
