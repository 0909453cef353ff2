"""Objects to create."""

from typing import Mapping, Sequence

from client import Object


def new_object(
    api_version: str, kind: str, name: str, namespace: str | None = None, labels: Mapping[str, str] | None = None
) -> Object:
    """An object with nothing in it yet."""
    metadata: Object = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    if labels:
        metadata["labels"] = dict(labels)
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def pod(
    namespace: str,
    name: str,
    *,
    addresses: Sequence[str] = (),
    node: str = "node-1",
    labels: Mapping[str, str] | None = None,
    account: str = "default",
    ports: Sequence[Object] = (),
) -> Object:
    """A running pod; without addresses one that has none yet."""
    container = {"name": "main", "image": "none", "ports": list(ports)}
    thing = new_object("v1", "Pod", name, namespace, labels)
    thing["spec"] = {"nodeName": node, "serviceAccountName": account, "containers": [container]}
    if addresses:
        ips = [{"ip": address} for address in addresses]
        thing["status"] = {"phase": "Running", "podIP": addresses[0], "podIPs": ips}
    return thing
