"""The fields of the kinds that are neither policies nor the node agent's configuration."""

from .policy import staged_action
from .schema import (
    Schema,
    equals,
    flag,
    integer,
    integer_or_text,
    mapping,
    number,
    record,
    rule,
    sequence,
    text,
    texts,
)

# Tiers that upstream makes by itself: what they do with what no rule decides, and where they stand.
_BUILT_IN_TIERS = {
    "default": ("Deny", 1_000_000.0),
    "kube-admin": ("Pass", 1_000.0),
    "kube-baseline": ("Pass", 10_000_000.0),
}

_LONGEST_INTERFACE = 15  # bytes, as the kernel has it
_MOST_PORT = 65535


def tier() -> Schema:
    """spec of Tier."""
    return record(
        {
            "defaultAction": text(
                "What happens to traffic that policies of the tier select, but no rule decides.",
                values=["Pass", "Deny"],
                default="Deny",
            ),
            "order": number("Tiers of lower order come first; those without one come last."),
        },
        "A group of policies and its place among the groups.",
    )


def tier_rules() -> list[Schema]:
    """Rules on a whole Tier: the built-in ones are as they are."""
    rules = []
    for name, (action, order) in _BUILT_IN_TIERS.items():
        other = f"self.metadata.name != '{name}' || "
        rules += [
            rule(other + equals("spec.defaultAction", action), f"tier {name} has defaultAction {action}"),
            rule(other + f"(has(self.spec.order) && self.spec.order == {order})", f"tier {name} has order {order:.0f}"),
        ]
    return rules


def conditions() -> Schema:
    """status of Tier: conditions as all of Kubernetes has them."""
    word = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
    condition = record(
        {
            "lastTransitionTime": text("Since when it is so.", form="date-time"),
            "message": text("Why, for a person.", most=32768),
            "observedGeneration": integer("The generation of the object that this is about.", least=0, form="int64"),
            "reason": {
                **text("Why, as one word.", most=1024, pattern="^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"),
                "minLength": 1,
            },
            "status": text("Whether it is so.", values=["True", "False", "Unknown"]),
            "type": text(
                "What is so.", most=316, pattern=rf"^({word}(\.{word})*/)?([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$"
            ),
        },
        required=["lastTransitionTime", "message", "reason", "status", "type"],
    )
    listed = {**sequence(condition, kind="map"), "x-kubernetes-list-map-keys": ["type"]}
    return record({"conditions": listed}, "How the tier is.")


def network_set() -> Schema:
    """spec of NetworkSet and GlobalNetworkSet."""
    return record({"nets": texts("The networks.")}, "Networks under one name; its labels are what selectors look at.")


def host_endpoint() -> Schema:
    """spec of HostEndpoint."""
    port = record(
        {
            "name": text("The name that rules use."),
            "port": integer(least=1, most=_MOST_PORT),
            "protocol": integer_or_text("TCP, UDP or SCTP."),
        },
        required=["name", "port", "protocol"],
    )
    placed = (
        "(has(self.interfaceName) && self.interfaceName != '') || (has(self.expectedIPs) && size(self.expectedIPs) > 0)"
    )
    return record(
        {
            "expectedIPs": texts("The node's addresses; they also find the interface if none is named."),
            "interfaceName": text("The interface, or * for all of the node's.", most=_LONGEST_INTERFACE),
            "node": text("The node.", most=253),
            "ports": sequence(port, "Names of ports."),
            "profiles": texts("Profiles that apply where no policy does."),
        },
        "An interface of a node itself.",
        rules=[
            rule("has(self.node) && self.node != ''", "a host endpoint needs a node"),
            rule(placed, "a host endpoint needs interfaceName or expectedIPs"),
        ],
    )


def cluster_information() -> Schema:
    """spec of ClusterInformation."""
    return record(
        {
            "calicoVersion": text("The version of the programs that last set the cluster up."),
            "clusterGUID": text("A name for the cluster that no other has."),
            "clusterType": text("What the cluster is made of, with commas between."),
            "datastoreReady": flag("False while the datastore must not be used."),
            "variant": text("Which product set the cluster up."),
        },
        "What is true of the whole cluster.",
    )


def staged_kubernetes_network_policy() -> Schema:
    """spec of StagedKubernetesNetworkPolicy: Kubernetes' own NetworkPolicy, tried out."""
    peers = sequence(_peer(), "Any of these; all if left out.")
    ports = sequence(_kubernetes_port(), "Any of these; all if left out.")
    return record(
        {
            "egress": sequence(record({"ports": ports, "to": peers}), "What the pods may reach."),
            "ingress": sequence(record({"from": peers, "ports": ports}), "What may reach the pods."),
            "podSelector": _label_selector("The pods that the policy is for; all of the namespace if empty."),
            "policyTypes": sequence(
                text(), "Ingress, Egress or both; by the rules that there are if left out.", kind="set", least=1, most=2
            ),
            "stagedAction": staged_action(),
        },
        "A Kubernetes NetworkPolicy that is tried out: judged, not enforced.",
    )


def _peer() -> Schema:
    block = record({"cidr": text(), "except": sequence(text())}, "Addresses in a network.", required=["cidr"])
    return record(
        {
            "ipBlock": block,
            "namespaceSelector": _label_selector("Pods of these namespaces."),
            "podSelector": _label_selector("Pods with these labels."),
        }
    )


def _kubernetes_port() -> Schema:
    return record({"endPort": integer("Up to this one.", form="int32"), "port": integer_or_text(), "protocol": text()})


def _label_selector(about: str) -> Schema:
    expression = record(
        {"key": text(), "operator": text("In, NotIn, Exists or DoesNotExist."), "values": sequence(text())},
        required=["key", "operator"],
    )
    return record({"matchExpressions": sequence(expression), "matchLabels": mapping(text())}, about, atomic=True)
