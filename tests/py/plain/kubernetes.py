"""A Kubernetes NetworkPolicy as a policy of the default tier."""

ORDER = 1000
PODS = "projectcalico.org/orchestrator == 'k8s'"


def _term(term):
    key, values = term["key"], ", ".join(f"'{value}'" for value in term.get("values") or [])
    return {"In": f"{key} in {{{values}}}", "NotIn": f"{key} not in {{{values}}}",
            "Exists": f"has({key})", "DoesNotExist": f"!has({key})"}[term["operator"]]


def _selector(given, first=()):
    terms = [*first, *(f"{key} == '{value}'" for key, value in (given.get("matchLabels") or {}).items()),
             *(_term(term) for term in given.get("matchExpressions") or [])]
    return " && ".join(terms) or "all()"


def _pods(given):
    return _selector(given, [PODS])


def _entity(peer):
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        return {"nets": [block["cidr"]], "notNets": block.get("except") or []}
    entity = {"selector": _pods(peer.get("podSelector") or {})}
    if peer.get("namespaceSelector") is not None:
        entity["namespaceSelector"] = _selector(peer["namespaceSelector"])
    return entity


def _merged(ports):
    """Port entries of one protocol: the names, and the numbers as ranges that do not touch."""
    numbers = set()
    for port in ports:
        if isinstance(port["port"], int):
            numbers.update(range(port["port"], port.get("endPort", port["port"]) + 1))
    ranges = []
    for number in sorted(numbers):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return [port["port"] for port in ports if isinstance(port["port"], str)] + [
        f"{first}:{last}" for first, last in ranges]


def _protocols(ports):
    """[(protocol or None, ports or None for all)], in the order of the rules that come of it."""
    if not ports:
        return [(None, None)]
    found = {}
    for port in ports:
        found.setdefault(port.get("protocol", "TCP"), []).append(port)
    return [(protocol, _merged(entries) if all("port" in entry for entry in entries) else None)
            for protocol, entries in sorted(found.items())]


def _rules(rule, side):
    """One rule for each protocol and peer."""
    rules = []
    for protocol, ports in _protocols(rule.get("ports")):
        for peer in rule.get("from" if side == "source" else "to") or [None]:
            made = {"action": "Allow", "source": {}, "destination": {}}
            if peer is not None:
                made[side].update(_entity(peer))
            if protocol:
                made["protocol"] = protocol
            if ports is not None:
                made["destination"]["ports"] = ports
            rules.append(made)
    return rules


def converted(spec):
    """The spec of the Calico policy."""
    ingress = [made for rule in spec.get("ingress") or [] for made in _rules(rule, "source")]
    egress = [made for rule in spec.get("egress") or [] for made in _rules(rule, "destination")]
    types = spec.get("policyTypes") or ["Ingress"] + (["Egress"] if spec.get("egress") else [])
    return {"order": ORDER, "selector": _pods(spec.get("podSelector") or {}), "types": types,
            "ingress": ingress, "egress": egress, "stagedAction": spec.get("stagedAction", "Set")}
