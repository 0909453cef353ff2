"""The fields of FelixConfiguration.

Upstream's node agent has many, and they are all named here, grouped by type, so that a configuration made for it is
kept whole. Those that this product reads are explained.
"""

from .schema import (
    Schema,
    any_case,
    flag,
    integer,
    integer_or_text,
    mapping,
    record,
    rule,
    sequence,
    text,
)

_FLAGS = """
allowIPIPPacketsFromWorkloads allowVXLANPacketsFromWorkloads bpfConnectTimeLoadBalancingEnabled bpfDisableUnprivileged
bpfEnabled bpfHostConntrackBypass bpfIPFragmentReassemblyEnabled bpfKubeProxyIptablesCleanupEnabled
bpfPolicyDebugEnabled debugDisableLogDropping disableConntrackInvalidCheck endpointReportingEnabled
flowLogsCollectorDebugTrace genericXDPEnabled ipipEnabled ipv6Support prometheusGoMetricsEnabled
prometheusProcessMetricsEnabled prometheusWireGuardMetricsEnabled removeExternalRoutes requireMTUFile
routeSyncDisabled sidecarAccelerationEnabled usageReportingEnabled useInternalDataplaneDriver vxlanEnabled
wireguardEnabled wireguardEnabledV6 wireguardHostEncryptionEnabled wireguardThreadingEnabled xdpEnabled
"""

_INTEGERS = """
bpfExportBufferSizeMB bpfExtToServiceConnmark bpfKubeProxyHealthzPort bpfMaglevMaxEndpointsPerService
bpfMaglevMaxServices bpfMapSizeConntrack bpfMapSizeIPSets bpfMapSizeIfState bpfMapSizeNATAffinity bpfMapSizeNATBackend
bpfMapSizeNATFrontend bpfMapSizePerCpuConntrack bpfMapSizeRoute debugPort deviceRouteProtocol goGCThreshold goMaxProcs
goMemoryLimitMB ipipMTU ipv4ElevatedRoutePriority ipv4NormalRoutePriority ipv6ElevatedRoutePriority
ipv6NormalRoutePriority maxIpsetSize metadataPort vxlanMTU vxlanMTUV6 vxlanPort vxlanVNI wireguardListeningPort
wireguardListeningPortV6 wireguardMTU wireguardMTUV6 wireguardRoutingRulePriority
"""

_TEXTS = """
bpfCTLBLogFilter bpfDataIfacePattern bpfDisableGROForIfaces bpfL3IfacePattern cgroupV2Path dataplaneDriver
dataplaneWatchdogTimeout debugHost debugMemoryProfilePath endpointStatusPathPrefix flowLogsGoldmaneServer
interfaceExclude iptablesNATOutgoingInterfaceFilter localSubnetL2ReachabilityRefreshInterval logDebugFilenameRegex
logFilePath metadataAddr mtuIfacePattern nftablesFlowTableDataIfacePattern nftablesRefreshInterval openstackRegion
prometheusMetricsCAFile prometheusMetricsCertFile prometheusMetricsKeyFile wireguardInterfaceName
wireguardInterfaceNameV6
"""

_LISTS = "bpfDSROptoutCIDRs bpfExcludeCIDRsFromNAT bpfForceTrackPacketsFromIfaces externalNodesList"

_DURATIONS = """
bpfIPFragTimeout bpfKubeProxyMinSyncPeriod debugSimulateCalcGraphHangAfter debugSimulateDataplaneApplyDelay
debugSimulateDataplaneHangAfter endpointReportingDelay flowLogsFlushInterval interfaceRefreshInterval
ipsetsRefreshInterval iptablesLockProbeInterval iptablesPostWriteCheckInterval iptablesRefreshInterval netlinkTimeout
reportingInterval reportingTTL routeRefreshInterval usageReportingInitialDelay usageReportingInterval
wireguardKeepAlive xdpRefreshInterval
"""
# Whole numbers: upstream's pattern means to let a fraction pass, but escapes the dot once too often.
_DURATION = "^([0-9]+(ms|s|m|h))*$"

_CLIENT_AUTH = "RequireAndVerifyClientCert RequireAnyClientCert VerifyClientCertIfGiven NoClientCert"

# Words in one case only.
_WORDS = {
    "awsSrcDstCheck": "DoNothing Enable Disable",
    "bpfAttachType": "TC TCX Netkit",
    "bpfConnectTimeLoadBalancing": "TCP Enabled Disabled",
    "bpfConntrackLogLevel": "Off Debug",
    "bpfConntrackMode": "Auto Userspace BPFProgram",
    "bpfHostNetworkedNATWithoutCTLB": "Enabled Disabled",
    "bpfJITHardening": "Auto Strict",
    "bpfOverlayHostSourceIP": "TunnelAddress HostAddress",
    "bpfProfiling": "Enabled Disabled",
    "bpfRedirectToPeer": "Enabled Disabled",
    "floatingIPs": "Enabled Disabled",
    "flowLogsLocalReporter": "Disabled Enabled",
    "flowLogsPolicyEvaluationMode": "None Continuous",
    "ipForwarding": "Enabled Disabled",
    "iptablesBackend": "Legacy NFT Auto",
    "istioAmbientMode": "Enabled Disabled",
    "localSubnetL2Reachability": "Disabled PodsAndLoadBalancers",
    "natOutgoingExclusions": "IPPoolsOnly IPPoolsAndHostIPs",
    "programClusterRoutes": "Enabled Disabled EnabledIPIPOnly EnabledNoEncapOnly",
    "prometheusMetricsClientAuth": _CLIENT_AUTH,
    "windowsManageFirewallRules": "Enabled Disabled",
}

_SEVERITIES = "Trace Debug Info Warning Error Fatal"

# Words in any case, or nothing.
_ANY_CASE = {
    "bpfEnforceRPF": "Disabled Strict Loose",
    "bpfExternalServiceMode": "Tunnel DSR",
    "bpfLogLevel": "Off Info Debug",
    "bpfMapSizeConntrackScaling": "Disabled DoubleIfFull",
    "chainInsertMode": "Insert Append",
    "defaultEndpointToHostAction": "Drop Accept Return",
    "iptablesFilterAllowAction": "Accept Return",
    "iptablesFilterDenyAction": "Drop Reject",
    "iptablesMangleAllowAction": "Accept Return",
    "logSeverityFile": _SEVERITIES,
    "logSeveritySys": _SEVERITIES,
    "nftablesFilterAllowAction": "Accept Return",
    "nftablesFilterDenyAction": "Drop Reject",
    "nftablesMangleAllowAction": "Accept Return",
    "routeSource": "WorkloadIPs CalicoIPAM",
    "serviceLoopPrevention": "Drop Reject Disabled",
}

_CONNTRACK_TIMEOUTS = """
creationGracePeriod genericTimeout icmpTimeout tcpEstablished tcpFinsSeen tcpResetSeen tcpSynSent udpTimeout
"""
_CONNTRACK_TIMEOUT = r"^(([0-9]*(\.[0-9]*)?(ms|s|h|m|us)+)+|Auto)$"

_MOST_MARK = 0xFFFFFFFF
_LONGEST_ADDRESS = 45  # bytes


def _port_list(about: str) -> Schema:
    port = record({"net": text(), "port": integer(), "protocol": text()}, required=["port"])
    return sequence(port, about, kind=None)


def _range(*rules: Schema) -> Schema:
    return record({"max": integer(), "min": integer()}, required=["max", "min"], rules=rules)


def _read_here() -> dict[str, Schema]:
    """The fields that this product reads."""
    return {
        "failsafeInboundHostPorts": _port_list("Ports of a host endpoint that stay open whatever policy says."),
        "failsafeOutboundHostPorts": _port_list("What a host endpoint may reach whatever policy says."),
        "healthEnabled": flag("Answer probes."),
        "healthHost": text("The address that probes are answered on."),
        "healthPort": integer("The port that probes are answered on."),
        "interfacePrefix": text(
            "What the names of the host's ends of pods' interfaces begin with; several, with commas between."
        ),
        "logSeverityScreen": any_case(*_SEVERITIES.split(), about="The least severity that is logged."),
        "nodeSelector": text("The nodes that this configuration is for.", most=1024),
        "policySyncPathPrefix": text(
            "The folder of the sockets that sidecars learn policy from; empty: there are none."
        ),
        "prometheusMetricsEnabled": flag("Serve metrics."),
        "prometheusMetricsHost": text("The address that metrics are served on."),
        "prometheusMetricsPort": integer("The port that metrics are served on."),
        "workloadSourceSpoofing": any_case(
            "Disabled", "Any", about="Whether pods may be allowed to send from other addresses."
        ),
    }


def _others() -> dict[str, Schema]:
    """The fields that have a type of their own."""
    timeout = record({"name": text(), "timeout": text()}, required=["name", "timeout"])
    ordered = [rule("self.min >= 1", "min is 1 at least"), rule("self.min <= self.max", "min is not above max")]
    table = rule(
        "self.min >= 1 && self.max >= self.min && self.max <= 250", "route tables are 1 to 250, min not above max"
    )
    conntrack = text(pattern=_CONNTRACK_TIMEOUT)
    return {
        "bpfConntrackTimeouts": record({name: conntrack for name in _CONNTRACK_TIMEOUTS.split()}),
        "bpfLogFilters": mapping(text()),
        "bpfMapSizeConntrackCleanupQueue": integer(least=1),
        "bpfPSNATPorts": integer_or_text(),
        "deviceRouteSourceAddress": text(most=_LONGEST_ADDRESS),
        "deviceRouteSourceAddressIPv6": text(most=_LONGEST_ADDRESS),
        "featureDetectOverride": text(pattern=r"^([\w-]+=(true|false)?,)*([\w-]+=(true|false)?)?$"),
        "featureGates": text(pattern=r"^([\w-]+=[^=]+,)*([\w-]+=[^=]+)?$"),
        "healthTimeoutOverrides": sequence(timeout),
        "iptablesMarkMask": integer(least=0, most=_MOST_MARK, form="int64"),
        "istioDSCPMark": integer_or_text(),
        "kubeNodePortRanges": sequence(integer_or_text(), kind=None, most=7),
        "liveMigrationRouteConvergenceTime": text(pattern=r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))*$"),
        "logActionRateLimit": text(pattern=r"^[1-9]\d{0,3}/(second|minute|hour|day)$"),
        "logActionRateLimitBurst": integer(least=0, most=9999),
        "logPrefix": text(pattern="^[a-zA-Z0-9%: /_-]*$"),
        "natOutgoingAddress": text(most=_LONGEST_ADDRESS),
        "natPortRange": integer_or_text(),
        "nftablesFlowTableOffload": text(values=["All", "Disabled"], default="Disabled"),
        "nftablesMarkMask": integer(least=0, most=_MOST_MARK, form="int64"),
        "nftablesMode": text(values=["Disabled", "Enabled", "Auto"], default="Auto"),
        "routeTableRange": _range(table),
        "routeTableRanges": sequence(_range(*ordered), kind=None),
    }


def _address_rule(field: str, family: int) -> Schema:
    fits = f"(isIP(self.{field}) && ip(self.{field}).family() == {family})"
    return rule(f"!has(self.{field}) || self.{field} == '' || {fits}", f"{field} is an IPv{family} address")


def felix_configuration() -> Schema:
    """spec of FelixConfiguration."""
    fields = {
        **{name: flag() for name in _FLAGS.split()},
        **{name: integer() for name in _INTEGERS.split()},
        **{name: text() for name in _TEXTS.split()},
        **{name: sequence(text(), kind=None) for name in _LISTS.split()},
        **{name: text(pattern=_DURATION) for name in _DURATIONS.split()},
        **{name: text(values=words.split()) for name, words in _WORDS.items()},
        **{name: any_case(*words.split()) for name, words in _ANY_CASE.items()},
        **_read_here(),
        **_others(),
    }
    rules = [
        rule(
            "!has(self.routeTableRange) || !has(self.routeTableRanges)",
            "routeTableRange and routeTableRanges exclude each other",
            forbidden=True,
        ),
        _address_rule("natOutgoingAddress", 4),
        _address_rule("deviceRouteSourceAddress", 4),
        _address_rule("deviceRouteSourceAddressIPv6", 6),
    ]
    return record(fields, "Settings of the node agent.", rules=rules)


def only_some_nodes() -> Schema:
    """A rule on the whole resource: settings of all nodes, or of one named node, select no nodes."""
    return rule(
        "!(self.metadata.name == 'default' || self.metadata.name.startsWith('node.')) || !has(self.spec.nodeSelector)",
        "nodeSelector may not stand in 'default' nor in 'node.NAME'",
        forbidden=True,
    )
