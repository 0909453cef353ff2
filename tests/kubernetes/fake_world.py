"""A small world for a fake API server, and what felix must make of it."""

from pathlib import Path

from calculation import resources
from client import Object
from cluster import STORED
from credentials import write_kubeconfig
from fake import VERSION, FakeServer
from listed import CALICO, KUBERNETES, NODE
from objects import new_object, pod
from plain.state import plan, state, told_to

NAMESPACE, WEB = "bank", "bank/web"


def path_of(version: str, kind: str) -> str:
    """Where a kind is listed."""
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    plural = kind.lower()[:-1] + "ies" if kind.endswith("y") else kind.lower() + "s"
    return f"{root}/{plural}"


CALICO_VERSION = f"{STORED}/v1"
SETTINGS = ["FelixConfiguration", "ClusterInformation"]
KINDS = [*KUBERNETES, ("v1", "Node"), *((CALICO_VERSION, kind) for kind in [*CALICO, *SETTINGS])]
PATHS = [path_of(*each) for each in KINDS]
POLICIES = path_of(CALICO_VERSION, "NetworkPolicy")


def policy(name: str, friend: str) -> Object:
    """Lets pods of one application in."""
    thing = new_object(CALICO_VERSION, "NetworkPolicy", name, NAMESPACE)
    thing["metadata"]["resourceVersion"] = VERSION
    rule = {"action": "Allow", "source": {"selector": f"app == '{friend}'"}}
    return {**thing, "spec": {"selector": "app == 'web'", "ingress": [rule]}}


def things() -> dict[str, list[Object]]:
    """By path: a pod that is protected, and what protects it."""
    made = {path: [] for path in PATHS}
    made["/api/v1/namespaces"] = [new_object("v1", "Namespace", NAMESPACE)]
    made["/api/v1/serviceaccounts"] = [new_object("v1", "ServiceAccount", "default", NAMESPACE)]
    made["/api/v1/pods"] = [
        pod(NAMESPACE, "web", addresses=["10.0.0.2"], labels={"app": "web"}),
        pod(NAMESPACE, "friend", addresses=["10.0.0.3"], labels={"app": "friend"}),
    ]
    made[POLICIES] = [policy("default.web", "friend")]
    for path in made:
        for thing in made[path]:
            thing["metadata"]["resourceVersion"] = VERSION
    return made


def expected(objects: dict[str, list[Object]]) -> dict[str, object]:
    """What the pod's client must know of it."""
    world = {}
    for (version, kind), path in zip(KINDS, PATHS):
        for thing in objects[path]:
            whole = {**thing, "apiVersion": resources.CALICO if version == CALICO_VERSION else version, "kind": kind}
            world[resources.name_of(whole)] = whole
    return told_to(state(plan(world, node=NODE)), WEB)


def kubeconfig(server: FakeServer, folder: Path) -> Path:
    """One for the fake server."""
    return write_kubeconfig(folder / "config", server.url, server.root, {"token": "t"})
