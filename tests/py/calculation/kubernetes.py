"""What Kubernetes says of its NetworkPolicy, for ingress, in plain Python.

A cluster is {"namespaces": {name: labels}, "pods": [Pod], "policies": [(namespace, spec)]}.
Peers are known by their address alone.
"""

import ipaddress
from dataclasses import dataclass, field


@dataclass
class Pod:
    namespace: str
    name: str
    address: str
    labels: dict
    ports: list = field(default_factory=list)  # as in a container: name, containerPort, protocol
    running: bool = True                       # false: finished, its address is nobody's


def selects(selector, labels):
    """Does a LabelSelector hold over labels?"""
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for term in selector.get("matchExpressions", []):
        key, operator, values = term["key"], term["operator"], term.get("values")
        holds = {"In": lambda: key in labels and labels[key] in values,
                 "NotIn": lambda: key not in labels or labels[key] not in values,
                 "Exists": lambda: key in labels,
                 "DoesNotExist": lambda: key not in labels}[operator]()
        if not holds:
            return False
    return True


def isolates(spec):
    """Ingress is always among the types that are not given."""
    return "Ingress" in (spec.get("policyTypes") or ["Ingress"])


def _in_block(address, net):
    return ipaddress.ip_address(address) in ipaddress.ip_network(net)


def peer_matches(cluster, policy_namespace, peer, source):
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        return _in_block(source, block["cidr"]) and not any(
            _in_block(source, net) for net in block.get("except", []))
    for pod in cluster["pods"]:
        if not pod.running or pod.address != source:
            continue
        if "namespaceSelector" in peer:
            in_namespace = selects(peer["namespaceSelector"], cluster["namespaces"][pod.namespace])
        else:
            in_namespace = pod.namespace == policy_namespace
        if in_namespace and selects(peer.get("podSelector", {}), pod.labels):
            return True
    return False


def port_matches(target, entry, protocol, port):
    wanted_protocol, wanted = entry.get("protocol", "TCP"), entry.get("port")
    if protocol != wanted_protocol:
        return False
    if wanted is None:
        return True
    if isinstance(wanted, str):
        return any(each.get("name") == wanted and each["containerPort"] == port
                   and each.get("protocol", "TCP") == protocol for each in target.ports)
    return wanted <= port <= entry.get("endPort", wanted)


def allowed(cluster, target, source, protocol, port):
    """May the address `source` reach this port of the pod `target`?"""
    policies = [(namespace, spec) for namespace, spec in cluster["policies"]
                if namespace == target.namespace and isolates(spec)
                and selects(spec["podSelector"], target.labels)]
    if not policies:
        return True
    return any(
        (not rule.get("from") or any(peer_matches(cluster, namespace, peer, source)
                                     for peer in rule["from"]))
        and (not rule.get("ports") or any(port_matches(target, entry, protocol, port)
                                          for entry in rule["ports"]))
        for namespace, spec in policies for rule in spec.get("ingress") or [])
