"""A rule as it is on the wire: a dictionary of felix.Rule's fields, with keys of IP sets in place of ids.

The key of an IP set is ("selector", parts), ("port", parts or None, name, protocol or None) or
("service", namespace, name, with ports).
"""

import functools
import ipaddress
import json

from google.protobuf import json_format

from calculation.stream import SET_FIELDS, canonical, plain_rule
from plain import resources, selectors
from protos import felix

ACTIONS = {"Allow": "allow", "Deny": "deny", "Log": "log", "Pass": "next-tier"}
WITH_PORTS = {6: "tcp", 17: "udp", 132: "sctp"}
VERSIONS = {"icmp": 4, "icmpv6": 6}

# What is sent for the rules of a policy or profile that cannot be understood.
MALFORMED = [{"action": "malformed"}]
# What is sent for a profile that is not there.
DENY = [{"action": "deny"}]


def _protocol(given):
    return {"number": given} if isinstance(given, int) else {"name": given.lower()}


def _name(protocol):
    """The protocol of named ports; None: any."""
    return WITH_PORTS.get(protocol) if isinstance(protocol, int) else protocol and protocol.lower()


def _range(port):
    first, _, last = str(port).partition(":")
    return {"first": int(first), "last": int(last or first)}


def _is_number(port):
    return str(port).replace(":", "").isdigit()


def _nets(texts):
    return [str(ipaddress.ip_network(text, strict=False)) for text in texts or []]


def _icmp(prefix, given):
    if "code" in given:
        return {f"{prefix}icmp_type_code": {"type": given["type"], "code": given["code"]}}
    return {f"{prefix}icmp_type": given["type"]} if "type" in given else {}


def _side_sets(side, entity, namespace, protocol):
    """The sets that stand for the selectors and named ports of one side."""
    parts = selectors.of_side(entity, namespace)
    numbers = [port for port in entity.get("ports") or [] if _is_number(port)]
    names = [port for port in entity.get("ports") or [] if not _is_number(port)]
    not_names = [port for port in entity.get("notPorts") or [] if not _is_number(port)]
    sets = {}
    # Named ports alone are filtered by the selector already.
    if parts and (numbers or not names):
        sets[f"{side}_ip_set_ids"] = [("selector", parts)]
    if not parts and entity.get("notSelector"):
        sets[f"not_{side}_ip_set_ids"] = [("selector", selectors.excepted_alone(entity))]
    for field, ports in (("", names), ("not_", not_names)):
        sets[f"{field}{side}_named_port_ip_set_ids"] = [("port", parts, port, _name(protocol)) for port in ports]
    return sets


def _service(side, given, namespace):
    """A services match; without a namespace it speaks of the policy's own."""
    name, place = given["name"], given.get("namespace") or namespace
    field = "dst_ip_port_set_ids" if side == "dst" else "src_ip_set_ids"
    return {field: [("service", place, name, side == "dst")],
            f"original_{side}_service": name, f"original_{side}_service_namespace": given.get("namespace") or ""}


def _side(side, entity, namespace, protocol):
    fields = _side_sets(side, entity, namespace, protocol)
    for prefix, ports in (("", "ports"), ("not_", "notPorts")):
        fields[f"{prefix}{side}_ports"] = [_range(port) for port in entity.get(ports) or [] if _is_number(port)]
    fields[f"{side}_net"], fields[f"not_{side}_net"] = _nets(entity.get("nets")), _nets(entity.get("notNets"))
    fields[f"original_{side}_selector"] = canonical(entity.get("selector", ""))
    fields[f"original_not_{side}_selector"] = canonical(entity.get("notSelector", ""))
    fields[f"original_{side}_namespace_selector"] = canonical(entity.get("namespaceSelector", ""))
    accounts = entity.get("serviceAccounts") or {}
    if accounts.get("names") or accounts.get("selector"):
        fields[f"{side}_service_account_match"] = {
            "names": accounts.get("names") or [], "selector": canonical(accounts.get("selector", ""))}
    if entity.get("services"):
        fields.update(_service(side, entity["services"], namespace))
    return fields


def _fields(rule, namespace):
    protocol = rule.get("protocol")
    fields = {"action": ACTIONS[rule["action"]]}
    if protocol is not None:
        fields["protocol"] = _protocol(protocol)
    if "notProtocol" in rule:
        fields["not_protocol"] = _protocol(rule["notProtocol"])
    fields["ip_version"] = rule.get("ipVersion") or VERSIONS.get(str(protocol).lower(), 0)
    fields.update(_icmp("", rule.get("icmp") or {}))
    fields.update(_icmp("not_", rule.get("notICMP") or {}))
    fields.update(_side("src", rule.get("source") or {}, namespace, protocol))
    fields.update(_side("dst", rule.get("destination") or {}, namespace, protocol))
    if (rule.get("metadata") or {}).get("annotations"):
        fields["metadata"] = {"annotations": rule["metadata"]["annotations"]}
    if "http" in rule:
        fields["http_match"] = {"methods": rule["http"].get("methods") or [],
                                "paths": rule["http"].get("paths") or []}
    return fields


@functools.lru_cache(maxsize=None)
def _wire(rule_text, namespace):
    fields = _fields(json.loads(rule_text), namespace)
    sets = {field: fields.pop(field) for field in SET_FIELDS if fields.get(field)}
    # Through the message, which leaves out what is zero or empty.
    return {**plain_rule(json_format.ParseDict({key: value for key, value in fields.items()
                                                if key not in SET_FIELDS}, felix.Rule())), **sets}


def wire(rules, namespace):
    # The same rules are asked for again and again; their text is the key of the cache.
    return [_wire(json.dumps(rule), namespace) for rule in rules or []]


def of(resource_is_broken, rules, namespace=""):
    return MALFORMED if resource_is_broken else wire(rules, namespace)


def sets_of(rules):
    return {key for rule in rules for field in SET_FIELDS for key in rule.get(field, [])}
