"""The fields of policies and of their rules."""

from .schema import (
    Schema,
    equals,
    flag,
    integer,
    integer_or_text,
    is_empty,
    is_off,
    mapping,
    number,
    record,
    rule,
    sequence,
    text,
    texts,
)

_MOST_RULES = 1024
_MOST_NETS = 256
_MOST_PORTS = 50
_MOST_HTTP = 20
_SELECTOR = 1024  # bytes
_NAME = 253  # bytes

_ONLY_NAMESPACES = "global() may stand only in the namespaceSelector of a rule"


def _selector(about: str) -> Schema:
    return text(about, most=_SELECTOR)


def _no_global(field: str) -> Schema:
    return rule(f"!(has(self.{field}) && self.{field}.contains('global('))", _ONLY_NAMESPACES)


def _nets(about: str) -> Schema:
    return texts(about, most=_MOST_NETS)


def _ports(about: str) -> Schema:
    return sequence(integer_or_text(), about, most=_MOST_PORTS)


def _side() -> Schema:
    """One end of the traffic, source or destination."""
    services = record(
        {
            "name": text("The service's name.", most=_NAME),
            "namespace": text("Its namespace; the policy's own if left out.", most=_NAME),
        },
        "Endpoints of a Kubernetes service, and its ports.",
    )
    accounts = record(
        {"names": texts("Any of these names."), "selector": text("Accounts whose labels this selects.")},
        "Pods that run under one of these service accounts.",
    )
    with_services = "!has(self.services) || "
    alone = [
        rule(with_services + "!has(self.serviceAccounts)", "services exclude serviceAccounts", forbidden=True),
        rule(with_services + is_empty("namespaceSelector"), "services exclude namespaceSelector", forbidden=True),
        rule(
            with_services + f"({is_empty('selector')} && {is_empty('notSelector')})",
            "services exclude selector and notSelector",
            forbidden=True,
        ),
        rule(
            with_services + f"({is_empty('nets')} && {is_empty('notNets')})",
            "services exclude nets and notNets",
            forbidden=True,
        ),
    ]
    named = rule(
        with_services + "(has(self.services.name) && size(self.services.name) > 0)",
        "services need a name",
        missing=True,
    )
    return record(
        {
            "namespaceSelector": _selector("Namespaces that the selectors look into; global() is outside of all."),
            "nets": _nets("Addresses in any of these networks."),
            "notNets": _nets("Addresses in none of these networks."),
            "notPorts": _ports("None of these ports."),
            "notSelector": _selector("Endpoints that this does not select."),
            "ports": _ports("Any of these: a number, a range FIRST:LAST, or the name of a port."),
            "selector": _selector("Endpoints that this selects."),
            "serviceAccounts": accounts,
            "services": services,
        },
        rules=[_no_global("selector"), named, *alone],
    )


def _http() -> Schema:
    path = record({"exact": text("This path.", most=1024), "prefix": text("Paths that begin so.", most=1024)})
    return record(
        {
            "methods": sequence(text(), "Any of these methods.", most=_MOST_HTTP),
            "paths": sequence(path, "Any of these paths.", most=_MOST_HTTP),
        },
        "What the HTTP request must be like.",
    )


def _icmp() -> Schema:
    return record(
        {"code": integer(least=0, most=255), "type": integer(least=0, most=254)},
        rules=[rule("!has(self.code) || has(self.type)", "an ICMP code needs a type")],
    )


def _ip_version_rules() -> list[Schema]:
    """ICMP is of IPv4 and ICMPv6 of IPv6, by name and by number."""
    return [
        rule(
            f"!{equals(field, name, protocol)} || !has(self.ipVersion) || self.ipVersion == {version}",
            f"{field} {name} goes with ipVersion {version}",
        )
        for field in ("protocol", "notProtocol")
        for name, protocol, version in (("ICMP", 1, 4), ("ICMPv6", 58, 6))
    ]


def _rule() -> Schema:
    ports = f"({is_empty('destination.ports')} && {is_empty('destination.notPorts')})"
    return record(
        {
            "action": text("What happens to traffic that matches.", values=["Allow", "Deny", "Log", "Pass"]),
            "destination": _side(),
            "http": _http(),
            "icmp": _icmp(),
            "ipVersion": integer(values=[4, 6]),
            "metadata": record({"annotations": mapping(text())}, "Notes that change nothing."),
            "notICMP": _icmp(),
            "notProtocol": integer_or_text("Any protocol but this one."),
            "protocol": integer_or_text("TCP, UDP, ICMP, ICMPv6, SCTP, UDPLite, or a number."),
            "source": _side(),
        },
        required=["action"],
        rules=[
            rule("!has(self.http) || self.action == 'Allow'", "only Allow rules may look at http", forbidden=True),
            rule(
                f"!has(self.http) || !has(self.protocol) || {equals('protocol', 'TCP', 6)}",
                "http goes with protocol TCP",
            ),
            rule(
                f"!has(self.icmp) || {equals('protocol', 'ICMP', 'ICMPv6', 1, 58)}",
                "icmp needs protocol ICMP or ICMPv6",
            ),
            rule(
                f"!has(self.destination) || !has(self.destination.services) || {ports}",
                "services exclude ports and notPorts",
                forbidden=True,
            ),
            *_ip_version_rules(),
        ],
    )


def _policy(about: str, *, everywhere: bool, staged: bool) -> Schema:
    """A policy's spec: of all namespaces or of one, in force or only tried out."""
    fields = {
        "egress": sequence(_rule(), "Rules for traffic out of the endpoints, first match first.", most=_MOST_RULES),
        "ingress": sequence(_rule(), "Rules for traffic to the endpoints, first match first.", most=_MOST_RULES),
        "order": number("Policies of lower order come first in their tier; those without one come last."),
        "performanceHints": sequence(text(values=["AssumeNeededOnEveryNode"]), "Change speed only.", kind="set"),
        "selector": _selector("The endpoints that the policy is for."),
        "serviceAccountSelector": _selector("Of those, the pods whose service account has these labels."),
        "tier": text("The tier that the policy belongs to.", default="default"),
        "types": sequence(
            text(values=["Ingress", "Egress"]),
            "Directions that the policy decides on; those that it has rules for if left out, or else Ingress.",
            kind="set",
            least=1,
            most=2,
        ),
    }
    rules = [_no_global("selector"), _no_global("serviceAccountSelector")]
    if everywhere:
        fields |= {
            "applyOnForward": flag("Of a host endpoint, forwarded traffic, too."),
            "doNotTrack": flag("Before connections are tracked."),
            "namespaceSelector": _selector("Of the endpoints, the pods in these namespaces."),
            "preDNAT": flag("Before destinations are rewritten."),
        }
        rules += [_no_global("namespaceSelector"), *_untracked_rules()]
    if staged:
        fields["stagedAction"] = staged_action()
    return record(fields, about, rules=rules)


def _untracked_rules() -> list[Schema]:
    no_dnat = is_off("preDNAT") + " || "
    forward = f"(has(self.applyOnForward) && self.applyOnForward) || ({is_off('preDNAT')} && {is_off('doNotTrack')})"
    return [
        rule(no_dnat + is_off("doNotTrack"), "preDNAT and doNotTrack exclude each other", forbidden=True),
        rule(no_dnat + is_empty("egress"), "preDNAT excludes egress rules", forbidden=True),
        rule(no_dnat + "!has(self.types) || !('Egress' in self.types)", "preDNAT excludes type Egress", forbidden=True),
        rule(forward, "preDNAT and doNotTrack need applyOnForward"),
    ]


def staged_action() -> Schema:
    """What a staged policy stands for."""
    return text(
        "What enforcing it would do with the policy of the same name.",
        values=["Set", "Delete", "Learn", "Ignore"],
        default="Set",
    )


def network_policy() -> Schema:
    """spec of NetworkPolicy."""
    return _policy("Who may talk to whom, in one namespace.", everywhere=False, staged=False)


def global_network_policy() -> Schema:
    """spec of GlobalNetworkPolicy."""
    return _policy("Who may talk to whom, anywhere.", everywhere=True, staged=False)


def staged_network_policy() -> Schema:
    """spec of StagedNetworkPolicy."""
    return _policy("A NetworkPolicy that is tried out: judged, not enforced.", everywhere=False, staged=True)


def staged_global_network_policy() -> Schema:
    """spec of StagedGlobalNetworkPolicy."""
    return _policy("A GlobalNetworkPolicy that is tried out: judged, not enforced.", everywhere=True, staged=True)
