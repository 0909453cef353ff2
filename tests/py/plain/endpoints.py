"""Pods, WorkloadEndpoints and HostEndpoints as one form; which of them are local."""

import hashlib
import ipaddress
from dataclasses import dataclass

from plain import labels, resources

ANNOTATIONS = ["cni.projectcalico.org/podIPs", "cni.projectcalico.org/podIP"]


@dataclass
class Endpoint:
    kind: str
    id: str          # ORCHESTRATOR/NAMESPACE/WORKLOAD/ENDPOINT; empty: of a host
    workload: str    # NAMESPACE/WORKLOAD
    node: str
    interface: str
    labels: dict     # its own
    profiles: list
    nets: list       # as texts with a prefix
    ports: list      # (name, lower-case protocol, number)
    broken: bool     # its addresses cannot be read, so it is no endpoint itself


def _nets(texts):
    return [] if resources.BAD_ADDRESS in texts else [
        str(ipaddress.ip_network(text, strict=False)) for text in texts]


def _pod_addresses(resource):
    status = resource.get("status") or {}
    annotations = resource["metadata"].get("annotations") or {}
    listed = [each["ip"] for each in status.get("podIPs") or []]
    if listed:
        return listed
    if status.get("podIP"):
        return [status["podIP"]]
    for key in ANNOTATIONS:
        if annotations.get(key):
            return annotations[key].split(",")
    return []


def _is_finished(resource):
    metadata = resource["metadata"]
    if (resource.get("status") or {}).get("phase") in ("Succeeded", "Failed", "Completed"):
        return True
    # A pod being deleted counts until its address was taken back, which the annotation tells.
    annotations = metadata.get("annotations") or {}
    return bool(metadata.get("deletionTimestamp")) and annotations.get(ANNOTATIONS[1]) == ""


def _container_ports(spec):
    return [(port["name"], port.get("protocol", "TCP").lower(), port["containerPort"])
            for container in (spec.get("containers") or []) + (spec.get("initContainers") or [])
            for port in container.get("ports") or [] if port.get("name")]


def _pod(resource):
    """None if it is no endpoint at all."""
    spec, namespace, name = resource["spec"], resources.namespace(resource), resource["metadata"]["name"]
    addresses, account = _pod_addresses(resource), spec.get("serviceAccountName")
    if spec.get("hostNetwork") or not spec.get("nodeName") or not addresses or _is_finished(resource):
        return None
    given = {key: value for key, value in resources.labels(resource).items()
             # A pod that names no account cannot claim one by a label.
             if key != labels.ACCOUNT}
    return Endpoint(
        "Pod", f"k8s/{namespace}/{name}/eth0", f"{namespace}/{name}", spec["nodeName"],
        "cali" + hashlib.sha1(f"{namespace}.{name}".encode()).hexdigest()[:11],
        labels.own(given, namespace=namespace, orchestrator="k8s", account=account),
        [f"kns.{namespace}"] + ([f"ksa.{namespace}.{account}"] if account else []),
        _nets(addresses), _container_ports(spec), resources.BAD_ADDRESS in addresses)


def _endpoint_ports(spec):
    return [(port["name"], port["protocol"].lower(), port["port"]) for port in spec.get("ports") or []
            if port.get("name")]


def _workload_endpoint(resource):
    spec, namespace = resource["spec"], resources.namespace(resource)
    orchestrator = spec["orchestrator"]
    workload = f"{namespace}/{spec['pod' if orchestrator == 'k8s' else 'workload']}"
    networks = spec.get("ipNetworks") or []
    if not networks:
        return None
    return Endpoint(
        "WorkloadEndpoint", f"{orchestrator}/{workload}/{spec['endpoint']}", workload, spec["node"],
        spec.get("interfaceName", ""),
        labels.own(resources.labels(resource), namespace=namespace, orchestrator=orchestrator,
                   account=spec.get("serviceAccountName")),
        spec.get("profiles") or [], _nets(networks), _endpoint_ports(spec), resources.BAD_ADDRESS in networks)


def _host_endpoint(resource):
    spec = resource["spec"]
    addresses = spec.get("expectedIPs") or []
    return Endpoint("HostEndpoint", "", "", spec["node"], "", labels.own(resources.labels(resource)),
                    spec.get("profiles") or [], _nets(addresses), _endpoint_ports(spec),
                    resources.BAD_ADDRESS in addresses)


_FORMS = {"Pod": _pod, "WorkloadEndpoint": _workload_endpoint, "HostEndpoint": _host_endpoint}


def endpoints(world):
    found = [_FORMS[kind](resource) for kind, resource in resources.of_kind(world, *_FORMS)]
    return [each for each in found if each]


def _the_one(candidates):
    """Which of several endpoints of one name is meant: a Pod; of WorkloadEndpoints nobody can know."""
    pods = [each for each in candidates if each.kind == "Pod"]
    return pods[:1] or (candidates if len(candidates) == 1 else [])


def local(found, node=None, workload=None):
    """The endpoints of a node, or the one of a workload (NAMESPACE/NAME), wherever it is."""
    named = {}
    for each in found:
        if not each.id or each.broken:
            continue
        if workload is None and each.node == node:
            named.setdefault(each.id, []).append(each)
        elif workload is not None and each.workload == workload:
            named.setdefault(workload, []).append(each)
    return [each for candidates in named.values() for each in _the_one(candidates)]
