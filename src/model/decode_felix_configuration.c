/* FelixConfiguration: the settings of a node agent. Each is checked for its type; those that this project uses are checked for
 * their values too. Empty texts count as absent, as to upstream. */
#include <stdio.h>

#include "model/decode_kinds.h"
#include "model/decode_values.h"

enum setting_type {
    BOOLEAN,
    NUMBER,
    TEXT,
    DURATION, /* "90s" */
    PORT,     /* a number, or a range as text */
    LIST,
    MAP,
    SELECTOR, /* of nodes: no setting, but which nodes the settings are for */
};

struct setting {
    struct str name;
    enum setting_type type;
};

/* All fields of the spec, in the order of their names. Source: the public API (projectcalico.org/v3). */
static const struct setting settings[] = {
    {STR_INIT("allowIPIPPacketsFromWorkloads"), BOOLEAN},
    {STR_INIT("allowVXLANPacketsFromWorkloads"), BOOLEAN},
    {STR_INIT("awsSrcDstCheck"), TEXT},
    {STR_INIT("bpfAttachType"), TEXT},
    {STR_INIT("bpfCTLBLogFilter"), TEXT},
    {STR_INIT("bpfConnectTimeLoadBalancing"), TEXT},
    {STR_INIT("bpfConnectTimeLoadBalancingEnabled"), BOOLEAN},
    {STR_INIT("bpfConntrackLogLevel"), TEXT},
    {STR_INIT("bpfConntrackMode"), TEXT},
    {STR_INIT("bpfConntrackTimeouts"), MAP},
    {STR_INIT("bpfDSROptoutCIDRs"), LIST},
    {STR_INIT("bpfDataIfacePattern"), TEXT},
    {STR_INIT("bpfDisableGROForIfaces"), TEXT},
    {STR_INIT("bpfDisableUnprivileged"), BOOLEAN},
    {STR_INIT("bpfEnabled"), BOOLEAN},
    {STR_INIT("bpfEnforceRPF"), TEXT},
    {STR_INIT("bpfExcludeCIDRsFromNAT"), LIST},
    {STR_INIT("bpfExportBufferSizeMB"), NUMBER},
    {STR_INIT("bpfExtToServiceConnmark"), NUMBER},
    {STR_INIT("bpfExternalServiceMode"), TEXT},
    {STR_INIT("bpfForceTrackPacketsFromIfaces"), LIST},
    {STR_INIT("bpfHostConntrackBypass"), BOOLEAN},
    {STR_INIT("bpfHostNetworkedNATWithoutCTLB"), TEXT},
    {STR_INIT("bpfIPFragTimeout"), DURATION},
    {STR_INIT("bpfIPFragmentReassemblyEnabled"), BOOLEAN},
    {STR_INIT("bpfJITHardening"), TEXT},
    {STR_INIT("bpfKubeProxyHealthzPort"), NUMBER},
    {STR_INIT("bpfKubeProxyIptablesCleanupEnabled"), BOOLEAN},
    {STR_INIT("bpfKubeProxyMinSyncPeriod"), DURATION},
    {STR_INIT("bpfL3IfacePattern"), TEXT},
    {STR_INIT("bpfLogFilters"), MAP},
    {STR_INIT("bpfLogLevel"), TEXT},
    {STR_INIT("bpfMaglevMaxEndpointsPerService"), NUMBER},
    {STR_INIT("bpfMaglevMaxServices"), NUMBER},
    {STR_INIT("bpfMapSizeConntrack"), NUMBER},
    {STR_INIT("bpfMapSizeConntrackCleanupQueue"), NUMBER},
    {STR_INIT("bpfMapSizeConntrackScaling"), TEXT},
    {STR_INIT("bpfMapSizeIPSets"), NUMBER},
    {STR_INIT("bpfMapSizeIfState"), NUMBER},
    {STR_INIT("bpfMapSizeNATAffinity"), NUMBER},
    {STR_INIT("bpfMapSizeNATBackend"), NUMBER},
    {STR_INIT("bpfMapSizeNATFrontend"), NUMBER},
    {STR_INIT("bpfMapSizePerCpuConntrack"), NUMBER},
    {STR_INIT("bpfMapSizeRoute"), NUMBER},
    {STR_INIT("bpfOverlayHostSourceIP"), TEXT},
    {STR_INIT("bpfPSNATPorts"), PORT},
    {STR_INIT("bpfPolicyDebugEnabled"), BOOLEAN},
    {STR_INIT("bpfProfiling"), TEXT},
    {STR_INIT("bpfRedirectToPeer"), TEXT},
    {STR_INIT("cgroupV2Path"), TEXT},
    {STR_INIT("chainInsertMode"), TEXT},
    {STR_INIT("dataplaneDriver"), TEXT},
    {STR_INIT("dataplaneWatchdogTimeout"), DURATION},
    {STR_INIT("debugDisableLogDropping"), BOOLEAN},
    {STR_INIT("debugHost"), TEXT},
    {STR_INIT("debugMemoryProfilePath"), TEXT},
    {STR_INIT("debugPort"), NUMBER},
    {STR_INIT("debugSimulateCalcGraphHangAfter"), DURATION},
    {STR_INIT("debugSimulateDataplaneApplyDelay"), DURATION},
    {STR_INIT("debugSimulateDataplaneHangAfter"), DURATION},
    {STR_INIT("defaultEndpointToHostAction"), TEXT},
    {STR_INIT("deviceRouteProtocol"), NUMBER},
    {STR_INIT("deviceRouteSourceAddress"), TEXT},
    {STR_INIT("deviceRouteSourceAddressIPv6"), TEXT},
    {STR_INIT("disableConntrackInvalidCheck"), BOOLEAN},
    {STR_INIT("endpointReportingDelay"), DURATION},
    {STR_INIT("endpointReportingEnabled"), BOOLEAN},
    {STR_INIT("endpointStatusPathPrefix"), TEXT},
    {STR_INIT("externalNodesList"), LIST},
    {STR_INIT("failsafeInboundHostPorts"), LIST},
    {STR_INIT("failsafeOutboundHostPorts"), LIST},
    {STR_INIT("featureDetectOverride"), TEXT},
    {STR_INIT("featureGates"), TEXT},
    {STR_INIT("floatingIPs"), TEXT},
    {STR_INIT("flowLogsCollectorDebugTrace"), BOOLEAN},
    {STR_INIT("flowLogsFlushInterval"), DURATION},
    {STR_INIT("flowLogsGoldmaneServer"), TEXT},
    {STR_INIT("flowLogsLocalReporter"), TEXT},
    {STR_INIT("flowLogsPolicyEvaluationMode"), TEXT},
    {STR_INIT("genericXDPEnabled"), BOOLEAN},
    {STR_INIT("goGCThreshold"), NUMBER},
    {STR_INIT("goMaxProcs"), NUMBER},
    {STR_INIT("goMemoryLimitMB"), NUMBER},
    {STR_INIT("healthEnabled"), BOOLEAN},
    {STR_INIT("healthHost"), TEXT},
    {STR_INIT("healthPort"), NUMBER},
    {STR_INIT("healthTimeoutOverrides"), LIST},
    {STR_INIT("interfaceExclude"), TEXT},
    {STR_INIT("interfacePrefix"), TEXT},
    {STR_INIT("interfaceRefreshInterval"), DURATION},
    {STR_INIT("ipForwarding"), TEXT},
    {STR_INIT("ipipEnabled"), BOOLEAN},
    {STR_INIT("ipipMTU"), NUMBER},
    {STR_INIT("ipsetsRefreshInterval"), DURATION},
    {STR_INIT("iptablesBackend"), TEXT},
    {STR_INIT("iptablesFilterAllowAction"), TEXT},
    {STR_INIT("iptablesFilterDenyAction"), TEXT},
    {STR_INIT("iptablesLockProbeInterval"), DURATION},
    {STR_INIT("iptablesMangleAllowAction"), TEXT},
    {STR_INIT("iptablesMarkMask"), NUMBER},
    {STR_INIT("iptablesNATOutgoingInterfaceFilter"), TEXT},
    {STR_INIT("iptablesPostWriteCheckInterval"), DURATION},
    {STR_INIT("iptablesRefreshInterval"), DURATION},
    {STR_INIT("ipv4ElevatedRoutePriority"), NUMBER},
    {STR_INIT("ipv4NormalRoutePriority"), NUMBER},
    {STR_INIT("ipv6ElevatedRoutePriority"), NUMBER},
    {STR_INIT("ipv6NormalRoutePriority"), NUMBER},
    {STR_INIT("ipv6Support"), BOOLEAN},
    {STR_INIT("istioAmbientMode"), TEXT},
    {STR_INIT("istioDSCPMark"), PORT},
    {STR_INIT("kubeNodePortRanges"), LIST},
    {STR_INIT("liveMigrationRouteConvergenceTime"), DURATION},
    {STR_INIT("localSubnetL2Reachability"), TEXT},
    {STR_INIT("localSubnetL2ReachabilityRefreshInterval"), DURATION},
    {STR_INIT("logActionRateLimit"), TEXT},
    {STR_INIT("logActionRateLimitBurst"), NUMBER},
    {STR_INIT("logDebugFilenameRegex"), TEXT},
    {STR_INIT("logFilePath"), TEXT},
    {STR_INIT("logPrefix"), TEXT},
    {STR_INIT("logSeverityFile"), TEXT},
    {STR_INIT("logSeverityScreen"), TEXT},
    {STR_INIT("logSeveritySys"), TEXT},
    {STR_INIT("maxIpsetSize"), NUMBER},
    {STR_INIT("metadataAddr"), TEXT},
    {STR_INIT("metadataPort"), NUMBER},
    {STR_INIT("mtuIfacePattern"), TEXT},
    {STR_INIT("natOutgoingAddress"), TEXT},
    {STR_INIT("natOutgoingExclusions"), TEXT},
    {STR_INIT("natPortRange"), PORT},
    {STR_INIT("netlinkTimeout"), DURATION},
    {STR_INIT("nftablesFilterAllowAction"), TEXT},
    {STR_INIT("nftablesFilterDenyAction"), TEXT},
    {STR_INIT("nftablesFlowTableDataIfacePattern"), TEXT},
    {STR_INIT("nftablesFlowTableOffload"), TEXT},
    {STR_INIT("nftablesMangleAllowAction"), TEXT},
    {STR_INIT("nftablesMarkMask"), NUMBER},
    {STR_INIT("nftablesMode"), TEXT},
    {STR_INIT("nftablesRefreshInterval"), DURATION},
    {STR_INIT("nodeSelector"), SELECTOR},
    {STR_INIT("openstackRegion"), TEXT},
    {STR_INIT("policySyncPathPrefix"), TEXT},
    {STR_INIT("programClusterRoutes"), TEXT},
    {STR_INIT("prometheusGoMetricsEnabled"), BOOLEAN},
    {STR_INIT("prometheusMetricsCAFile"), TEXT},
    {STR_INIT("prometheusMetricsCertFile"), TEXT},
    {STR_INIT("prometheusMetricsClientAuth"), TEXT},
    {STR_INIT("prometheusMetricsEnabled"), BOOLEAN},
    {STR_INIT("prometheusMetricsHost"), TEXT},
    {STR_INIT("prometheusMetricsKeyFile"), TEXT},
    {STR_INIT("prometheusMetricsPort"), NUMBER},
    {STR_INIT("prometheusProcessMetricsEnabled"), BOOLEAN},
    {STR_INIT("prometheusWireGuardMetricsEnabled"), BOOLEAN},
    {STR_INIT("removeExternalRoutes"), BOOLEAN},
    {STR_INIT("reportingInterval"), DURATION},
    {STR_INIT("reportingTTL"), DURATION},
    {STR_INIT("requireMTUFile"), BOOLEAN},
    {STR_INIT("routeRefreshInterval"), DURATION},
    {STR_INIT("routeSource"), TEXT},
    {STR_INIT("routeSyncDisabled"), BOOLEAN},
    {STR_INIT("routeTableRange"), MAP},
    {STR_INIT("routeTableRanges"), LIST},
    {STR_INIT("serviceLoopPrevention"), TEXT},
    {STR_INIT("sidecarAccelerationEnabled"), BOOLEAN},
    {STR_INIT("usageReportingEnabled"), BOOLEAN},
    {STR_INIT("usageReportingInitialDelay"), DURATION},
    {STR_INIT("usageReportingInterval"), DURATION},
    {STR_INIT("useInternalDataplaneDriver"), BOOLEAN},
    {STR_INIT("vxlanEnabled"), BOOLEAN},
    {STR_INIT("vxlanMTU"), NUMBER},
    {STR_INIT("vxlanMTUV6"), NUMBER},
    {STR_INIT("vxlanPort"), NUMBER},
    {STR_INIT("vxlanVNI"), NUMBER},
    {STR_INIT("windowsManageFirewallRules"), TEXT},
    {STR_INIT("wireguardEnabled"), BOOLEAN},
    {STR_INIT("wireguardEnabledV6"), BOOLEAN},
    {STR_INIT("wireguardHostEncryptionEnabled"), BOOLEAN},
    {STR_INIT("wireguardInterfaceName"), TEXT},
    {STR_INIT("wireguardInterfaceNameV6"), TEXT},
    {STR_INIT("wireguardKeepAlive"), DURATION},
    {STR_INIT("wireguardListeningPort"), NUMBER},
    {STR_INIT("wireguardListeningPortV6"), NUMBER},
    {STR_INIT("wireguardMTU"), NUMBER},
    {STR_INIT("wireguardMTUV6"), NUMBER},
    {STR_INIT("wireguardRoutingRulePriority"), NUMBER},
    {STR_INIT("wireguardThreadingEnabled"), BOOLEAN},
    {STR_INIT("workloadSourceSpoofing"), TEXT},
    {STR_INIT("xdpEnabled"), BOOLEAN},
    {STR_INIT("xdpRefreshInterval"), DURATION},
};
enum { SETTING_COUNT = sizeof(settings) / sizeof(settings[0]) };

static const struct str port_fields[] = {STR_INIT("protocol"), STR_INIT("port"), STR_INIT("net")};

/* --- the values that are used --- */

/* A folder's path, as the system takes it; or the word by which one turns off what others turn on. */
static bool is_path(struct str text)
{
    return (text.ptr[0] == '/' && text.len < 4096) || str_eq_nocase(text, STR("none"));
}

static bool is_host(struct str text)
{
    return text.len <= 64 && name_is_of(text, ":._+-");
}

static bool is_port(struct str text)
{
    uint64_t port;
    return str_parse_uint(text, 65535, &port);
}

static bool is_prefixes(struct str text)
{
    struct str prefix;
    bool more;
    do {
        more = str_cut(text, ',', &prefix, &text);
        if (prefix.len > 15 || !name_is_of(prefix, "_-"))
            return false;
    } while (more);
    return true;
}

static bool is_severity(struct str text)
{
    static const struct str severities[] = {STR_INIT("Trace"), STR_INIT("Debug"),
                                            STR_INIT("Info"),  STR_INIT("Warning"),
                                            STR_INIT("Error"), STR_INIT("Fatal")};
    for (size_t i = 0; i < sizeof(severities) / sizeof(severities[0]); i++) {
        if (str_eq_nocase(text, severities[i]))
            return true;
    }
    return false;
}

static bool is_spoofing(struct str text)
{
    return str_eq(text, STR("Disabled")) || str_eq(text, STR("Any"));
}

static const struct {
    struct str name;
    bool (*is_ok)(struct str text); /* of a text that is not empty */
    const char *problem;
} checks[] = {
    {STR_INIT("healthHost"), is_host, "is not the name or address of a host"},
    {STR_INIT("healthPort"), is_port, "is not a port (0 to 65535)"},
    {STR_INIT("interfacePrefix"), is_prefixes,
     "is no list of prefixes (each at most 15 letters, digits, _ and -, commas between them)"},
    {STR_INIT("logSeverityScreen"), is_severity,
     "is none of Trace, Debug, Info, Warning, Error, Fatal"},
    {STR_INIT("policySyncPathPrefix"), is_path, "is not an absolute path of at most 4095 bytes"},
    {STR_INIT("prometheusMetricsHost"), is_host, "is not the name or address of a host"},
    {STR_INIT("prometheusMetricsPort"), is_port, "is not a port (0 to 65535)"},
    {STR_INIT("workloadSourceSpoofing"), is_spoofing, "is none of Disabled, Any"},
};

static bool is_value_ok(struct decoder *d, const struct field *f, struct str text)
{
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        if (!str_eq(checks[i].name, f->name) || checks[i].is_ok(text))
            continue;
        decode_error(d, f, "%s %s", quote(text).text, checks[i].problem);
        return false;
    }
    return true;
}

/* One of the ports that stay open whatever policy says. */
static void check_failsafe_port(struct decoder *d, const struct field *f)
{
    if (!field_map_of(d, f, FIELD_NAMES(port_fields)))
        return;
    struct field protocol = field_get(f, STR("protocol"));
    struct field port = field_get(f, STR("port"));
    struct field net = field_get(f, STR("net"));
    struct str text;
    struct ip_net ignored;
    int64_t number;
    if (field_text(d, &protocol, &text) && !str_eq_nocase(text, STR("tcp")) &&
        !str_eq_nocase(text, STR("udp")) && !str_eq_nocase(text, STR("sctp")))
        decode_error(d, &protocol, "%s is none of TCP, UDP, SCTP", quote(text).text);
    if (field_require(d, &port))
        field_int(d, &port, 0, 65535, &number);
    if (field_text(d, &net, &text) && text.len > 0 && !ip_parse_net_or_addr(text, &ignored))
        decode_error(d, &net, "%s is not a CIDR (expected like 10.0.0.0/8 or 2001:db8::/32)",
                     quote(text).text);
}

static void check_list(struct decoder *d, const struct field *f)
{
    bool is_failsafe = str_starts_with(f->name, STR("failsafe"));
    size_t count = field_list(d, f);
    for (size_t i = 0; i < count && is_failsafe; i++) {
        struct field item = field_item(f, i);
        check_failsafe_port(d, &item);
    }
}

/* --- the types --- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool cut_number(struct str *text)
{
    size_t digits = 0, length = 0;
    bool dot = false;
    for (; length < text->len; length++) {
        bool is_dot = text->ptr[length] == '.' && !dot;
        if (!is_dot && !is_digit(text->ptr[length]))
            break;
        dot = dot || is_dot;
        digits += !is_dot;
    }
    *text = str_from(*text, length);
    return digits > 0;
}

static bool cut_unit(struct str *text)
{
    /* "ms" before "m". */
    static const struct str units[] = {STR_INIT("ns"), STR_INIT("us"), STR_INIT("\xc2\xb5s"),
                                       STR_INIT("ms"), STR_INIT("s"),  STR_INIT("m"),
                                       STR_INIT("h")};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (str_starts_with(*text, units[i])) {
            *text = str_from(*text, units[i].len);
            return true;
        }
    }
    return false;
}

/* Once or more a number and its unit; or 0 alone. */
static bool is_duration(struct str text)
{
    if (str_eq(text, STR("0")))
        return true;
    do {
        if (!cut_number(&text) || !cut_unit(&text))
            return false;
    } while (text.len > 0);
    return true;
}

static void set(struct decoder *d, const struct field *f, struct str name, struct str text)
{
    struct labels *out = &d->resource->felix_configuration.settings;
    if (text.len > 0 && is_value_ok(d, f, text))
        out->items[out->count++] = (struct label){name, arena_copy(&d->resource->arena, text)};
}

static void read_boolean(struct decoder *d, const struct field *f, struct str name)
{
    bool value;
    if (field_bool(d, f, &value))
        set(d, f, name, value ? STR("true") : STR("false"));
}

static void read_number(struct decoder *d, const struct field *f, struct str name)
{
    char text[24];
    int64_t value;
    if (!field_int(d, f, INT64_MIN, INT64_MAX, &value))
        return;
    snprintf(text, sizeof(text), "%lld", (long long)value);
    set(d, f, name, str_from_c(text));
}

static void read_text(struct decoder *d, const struct field *f, const struct setting *setting)
{
    struct str text;
    if (!field_text(d, f, &text))
        return;
    if (setting->type == DURATION && text.len > 0 && !is_duration(text))
        decode_error(d, f, "%s is not a duration (expected like 90s or 1m30s)", quote(text).text);
    else
        set(d, f, setting->name, text);
}

/* Which nodes the settings are for is said by the name, or else by a selector. */
static void read_node_selector(struct decoder *d, const struct field *spec)
{
    struct model_selector *selector = &d->resource->felix_configuration.node_selector;
    struct str name = d->resource->key.name;
    struct field f = field_get(spec, STR("nodeSelector"));
    bool is_for_all = str_eq(name, STR("default"));
    size_t errors = d->errors;
    if (is_for_all || str_starts_with(name, STR("node."))) {
        if (field_is_set(&f))
            decode_error(d, &f, "may not stand here: the name says that it is for %s",
                         is_for_all ? "all nodes" : "one node");
        return;
    }
    value_selector(d, &f, false, selector);
    if (selector->parsed == NULL && d->errors == errors)
        decode_warning(d, &f, "missing; without it these settings are for no node");
}

static void read_setting(struct decoder *d, const struct field *f, const struct setting *setting)
{
    switch (setting->type) {
    case BOOLEAN:
        read_boolean(d, f, setting->name);
        return;
    case PORT:
        if (f->node->type != DOC_INT) {
            read_text(d, f, setting);
            return;
        }
        /* fall through */
    case NUMBER:
        read_number(d, f, setting->name);
        return;
    case TEXT:
    case DURATION:
        read_text(d, f, setting);
        return;
    case LIST:
        check_list(d, f);
        return;
    case MAP:
        field_map(d, f);
        return;
    case SELECTOR:
        return; /* see read_node_selector */
    }
}

void decode_felix_configuration(struct decoder *d, const struct field *root)
{
    struct model_felix_configuration *configuration = &d->resource->felix_configuration;
    struct str names[SETTING_COUNT];
    struct field metadata = field_get(root, STR("metadata"));
    struct field created = field_get(&metadata, STR("creationTimestamp"));
    struct field spec = field_get(root, STR("spec"));
    value_time(d, &created, &configuration->created);
    for (size_t i = 0; i < SETTING_COUNT; i++)
        names[i] = settings[i].name;
    if (!field_map_of(d, &spec, FIELD_NAMES(names)))
        return;
    read_node_selector(d, &spec);
    configuration->settings.items =
        arena_array(&d->resource->arena, spec.node->count, sizeof(*configuration->settings.items));
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        struct field f = field_get(&spec, names[i]);
        if (field_is_set(&f))
            read_setting(d, &f, &settings[i]);
    }
}
