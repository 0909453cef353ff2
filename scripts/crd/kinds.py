"""The kinds, and the two groups that upstream knows each by: `crd.projectcalico.org/v1`, its stored form, and
`projectcalico.org/v3`, what users write, which newer clusters store as it is."""

from dataclasses import dataclass
from typing import Callable, Sequence

from . import felix, policy, resources
from .schema import Schema

_READY = ".status.conditions[?(@.type=='Ready')].reason"


@dataclass(frozen=True)
class Column:
    """A column of what `kubectl get` prints."""

    name: str
    type: str
    path: str


_TIER = Column("Tier", "string", ".spec.tier")
_ORDER = Column("Order", "number", ".spec.order")
_AGE = Column("Age", "date", ".metadata.creationTimestamp")


@dataclass(frozen=True)
class Kind:
    """One kind of resource. Short names, columns and selectable fields are there in the newer group only."""

    name: str
    plural: str
    namespaced: bool
    spec: Callable[[], Schema]
    status: Callable[[], Schema] | None = None
    rules: Callable[[], Sequence[Schema]] = tuple  # on the whole object
    needs_spec: bool = False  # in the older group, too; in the newer one all do
    short_names: Sequence[str] = ()
    columns: Sequence[Column] = ()
    selectable: Sequence[str] = ()  # fields that a list may be narrowed down by


KINDS = [
    Kind(
        "ClusterInformation",
        "clusterinformations",
        False,
        resources.cluster_information,
        short_names=["clusterinfo", "clusterinfos"],
        columns=[
            Column("Version", "string", ".spec.calicoVersion"),
            Column("Ready", "boolean", ".spec.datastoreReady"),
            Column("Types", "string", ".spec.clusterType"),
        ],
    ),
    Kind(
        "FelixConfiguration",
        "felixconfigurations",
        False,
        felix.felix_configuration,
        rules=lambda: [felix.only_some_nodes()],
    ),
    Kind(
        "GlobalNetworkPolicy",
        "globalnetworkpolicies",
        False,
        policy.global_network_policy,
        short_names=["gnp", "cgnp"],
        columns=[_TIER, _ORDER, _AGE],
        selectable=[_TIER.path],
    ),
    Kind(
        "GlobalNetworkSet",
        "globalnetworksets",
        False,
        resources.network_set,
        short_names=["gns"],
        columns=[_AGE],
    ),
    Kind(
        "HostEndpoint",
        "hostendpoints",
        False,
        resources.host_endpoint,
        short_names=["hep", "heps"],
        columns=[Column("Node", "string", ".spec.node"), Column("Interface", "string", ".spec.interfaceName")],
    ),
    Kind(
        "NetworkPolicy",
        "networkpolicies",
        True,
        policy.network_policy,
        short_names=["cnp", "caliconetworkpolicy"],
        columns=[_TIER, _ORDER],
        selectable=[_TIER.path],
    ),
    Kind("NetworkSet", "networksets", True, resources.network_set),
    Kind(
        "StagedGlobalNetworkPolicy",
        "stagedglobalnetworkpolicies",
        False,
        policy.staged_global_network_policy,
        short_names=["sgnp"],
        columns=[_TIER, _ORDER],
        selectable=[_TIER.path],
    ),
    Kind(
        "StagedKubernetesNetworkPolicy",
        "stagedkubernetesnetworkpolicies",
        True,
        resources.staged_kubernetes_network_policy,
        short_names=["sknp"],
    ),
    Kind(
        "StagedNetworkPolicy",
        "stagednetworkpolicies",
        True,
        policy.staged_network_policy,
        short_names=["scnp", "snp"],
        columns=[_TIER, _ORDER],
        selectable=[_TIER.path],
    ),
    Kind(
        "Tier",
        "tiers",
        False,
        resources.tier,
        status=resources.conditions,
        rules=resources.tier_rules,
        needs_spec=True,
        columns=[
            Column("Order", "integer", ".spec.order"),
            Column("DefaultAction", "string", ".spec.defaultAction"),
            Column("Status", "string", _READY),
        ],
    ),
]
