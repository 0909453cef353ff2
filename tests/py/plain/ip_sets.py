"""Who is a member of an IP set."""

import ipaddress
from dataclasses import dataclass

from plain import labels, resources, selectors

IP_AND_PORT, NET = 1, 2
# The type of a set of which a member cannot be read: no client knows it, so rules that need it refuse.
UNREADABLE = 255


@dataclass
class Source:
    """What may give members: an endpoint of any kind, or a network set."""

    labels: dict  # all of them, as bytes
    nets: list
    ports: list | None  # None: of a network set, which has none whatever is wrong with it
    broken: bool


def _set_nets(resource):
    texts = (resource.get("spec") or {}).get("nets") or []
    return [] if resources.BAD_NET in texts else [
        str(ipaddress.ip_network(text, strict=False)) for text in texts]


def _network_sets(world, profiles):
    for _, resource in resources.of_kind(world, "NetworkSet", "GlobalNetworkSet"):
        namespace = resources.namespace(resource)
        own = labels.own(resources.labels(resource), namespace=namespace)
        parents = [f"kns.{namespace}"] if namespace else []
        yield Source(labels.inherited(own, parents, profiles), _set_nets(resource), None,
                     resources.is_broken(resource))


def sources(world, endpoints, profiles):
    return [*(Source(labels.inherited(each.labels, each.profiles, profiles), each.nets, each.ports, each.broken)
              for each in endpoints), *_network_sets(world, profiles)]


def _selected(parts, found):
    text = selectors.of_parts(parts) if parts else ""
    return [source for source in found if selectors.matches(text, source.labels)]


def _of_selector(parts, found):
    selected = _selected(parts, found)
    if any(source.broken for source in selected):
        return UNREADABLE, frozenset()
    return NET, frozenset(net for source in selected for net in source.nets)


def _of_port(parts, name, protocol, found):
    selected = [source for source in _selected(parts, found) if source.ports is not None]
    # What is broken about an endpoint may be its ports, so that nobody knows which it has.
    if any(source.broken for source in selected):
        return UNREADABLE, frozenset()
    return IP_AND_PORT, frozenset(
        f"{net.partition('/')[0]},{port_protocol}:{number}"
        for source in selected for port_name, port_protocol, number in source.ports
        if port_name == name and protocol in (None, port_protocol) for net in source.nets)


def _is_address(text):
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def _of_service(namespace, name, with_ports, world):
    """Readiness does not matter, nor is the Service itself needed; a port without a number is none."""
    members = set()
    for _, resource in resources.of_kind(world, "EndpointSlice"):
        if (resources.namespace(resource), resources.labels(resource).get("kubernetes.io/service-name")) != (
                namespace, name):
            continue
        addresses = [address for each in resource.get("endpoints") or [] for address in each["addresses"]
                     if _is_address(address)]
        if not with_ports:
            members |= {str(ipaddress.ip_network(address)) for address in addresses}
            continue
        members |= {f"{address},{port.get('protocol', 'TCP').lower()}:{port['port']}"
                    for address in addresses for port in resource.get("ports") or [] if port.get("port")}
    return (IP_AND_PORT if with_ports else NET), frozenset(members)


def content(key, world, found):
    """(type, members) of the set with this key, see rules.py."""
    if key[0] == "selector":
        return _of_selector(key[1], found)
    if key[0] == "port":
        return _of_port(*key[1:], found)
    return _of_service(*key[1:], world)
