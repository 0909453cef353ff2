"""What a cluster holds, as the API server lists it, and what the plain model makes of it.

The model is told what the server stores, not what was sent to it: with its defaults, and without what it refused.
"""

from typing import Any

from agents import NODE
from calculation import resources
from client import ApiError, Client, Object, UnknownKind
from cluster import NATIVE, STORED
from plain.state import plan, state, told_to

VERSIONS = {STORED: f"{STORED}/v1", NATIVE: f"{NATIVE}/v3"}
KUBERNETES = [
    ("v1", "Namespace"),
    ("v1", "ServiceAccount"),
    ("v1", "Pod"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("discovery.k8s.io/v1", "EndpointSlice"),
]
CALICO = [
    "Tier",
    "NetworkPolicy",
    "GlobalNetworkPolicy",
    "StagedNetworkPolicy",
    "StagedGlobalNetworkPolicy",
    "StagedKubernetesNetworkPolicy",
    "NetworkSet",
    "GlobalNetworkSet",
    "HostEndpoint",
]


def world_of(admin: Client, group: str = STORED) -> dict[str, Object]:
    """All resources, as tests/py/plain has them; a group that is not installed has none."""
    world = {}
    for version, kind in KUBERNETES:
        for thing in admin.list_all(version, kind)["items"]:
            whole = {**thing, "apiVersion": version, "kind": kind}
            world[resources.name_of(whole)] = whole
    for kind in CALICO:
        for thing in _items(admin, VERSIONS[group], kind):
            whole = {"spec": {}, **thing, "apiVersion": resources.CALICO, "kind": kind}
            world[resources.name_of(whole)] = whole
    return world


def _items(admin: Client, version: str, kind: str) -> list[Object]:
    try:
        return admin.list_all(version, kind)["items"]
    except (ApiError, UnknownKind) as error:
        if isinstance(error, ApiError) and error.status != 404:
            raise
        return []


def node_state(admin: Client, group: str = STORED, node: str = NODE) -> dict[str, Any]:
    """All that the clients of a node must know between them."""
    return state(plan(world_of(admin, group), node=node))


def client_state(admin: Client, workload: str, group: str = STORED) -> dict[str, Any]:
    """What the client of one workload must know."""
    return told_to(node_state(admin, group), workload)


def wipe(cluster: Any, group: str = STORED) -> None:
    """Remove all that tests made: Calico's resources of the group, and every namespace but those of the server."""
    for kind in [*CALICO, "FelixConfiguration", "ClusterInformation"]:
        for thing in _items(cluster.admin, VERSIONS[group], kind):
            cluster.admin.delete({**thing, "apiVersion": VERSIONS[group], "kind": kind})
    for namespace in cluster.admin.list_all("v1", "Namespace")["items"]:
        name = namespace["metadata"]["name"]
        if name != "default" and not name.startswith("kube-"):
            cluster.delete_namespace(name)
