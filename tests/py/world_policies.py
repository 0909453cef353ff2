"""Random selectors, rules and policies of all kinds, for worlds.py.

The alphabets are tiny, so that selectors match often and sets overlap.  All that comes out is valid, unless a policy is
to be broken; then it has one of the marks of plain/resources.py.
"""

from calculation import clusters
from plain import resources

NAMESPACES = ["bank", "shop", "audit"]
ACCOUNTS = ["a", "b"]
KEYS, VALUES = clusters.KEYS, clusters.VALUES
PROFILE_KEY = "colour"
PORT_NAMES = clusters.PORT_NAMES
PORTS = clusters.PORTS
ADDRESSES = [f"10.0.{half}.{index}" for half in (0, 1) for index in (1, 2, 3, 4)] + ["fd00::1", "fd00::2"]
NETS = {4: ["10.0.0.0/24", "10.0.0.0/30", "10.0.1.2/32", "10.0.0.3/31", "10.0.0.0/8", "0.0.0.0/0"],
        6: ["fd00::/16", "fd00::1/128", "fd00::/127", "::/0"]}
SERVICES = ["front", "back"]
TIERS = ["t0", "t1", "t2"]
BUILT_IN_TIERS = ["default", "kube-admin", "kube-baseline"]
NAMES = ["n0", "n1", "n2"]
ORDERS = [-1, 0, 1, 1, 1.5, 1000]

CALICO_KINDS = ["NetworkPolicy", "GlobalNetworkPolicy", "StagedNetworkPolicy", "StagedGlobalNetworkPolicy"]
KUBERNETES_KINDS = ["KubernetesNetworkPolicy", "StagedKubernetesNetworkPolicy"]


def some(rng, items, most=2):
    return rng.sample(items, rng.randint(1, min(most, len(items))))


def chance(rng, probability):
    return rng.random() < probability


# ---- selectors ------------------------------------------------------------------


def _values(rng):
    return "{" + ", ".join(f"'{value}'" for value in some(rng, [*VALUES, "x"])) + "}"


def _term(rng, keys, with_all=True):
    key, value = rng.choice(keys), rng.choice(VALUES)
    return rng.choice([
        f"{key} == '{value}'", f"{key} == '{value}'", f'{key} != "{value}"', f"has({key})", f"!has({key})",
        f"{key} in {_values(rng)}", f"{key} not in {_values(rng)}", f"{key} contains '{value}'",
        f"{key} starts with '{value}'", f"{key} ends with '{value}'", *(["all()"] if with_all else [])])


def _combined(rng, term):
    """One term, or a few of them."""
    form = rng.random()
    if form < 0.6:
        return term()
    if form < 0.75:
        return f"{term()} && {term()}"
    if form < 0.9:
        return f"{term()} || {term()}"
    return rng.choice([f"!({term()})", f"{term()} && ({term()} || {term()})", f"({term()}) && !({term()} && {term()})"])


def pod_selector(rng):
    """Over all labels that an endpoint or a network set may have."""
    def term():
        if chance(rng, 0.7):
            return _term(rng, KEYS)
        return rng.choice([
            f"projectcalico.org/namespace == '{rng.choice(NAMESPACES)}'", "has(projectcalico.org/namespace)",
            "projectcalico.org/orchestrator == 'k8s'", f"projectcalico.org/serviceaccount == '{rng.choice(ACCOUNTS)}'",
            _term(rng, ["pcns." + key for key in KEYS]), _term(rng, ["pcsa." + key for key in KEYS]),
            f"pcns.projectcalico.org/name == '{rng.choice(NAMESPACES)}'", _term(rng, [PROFILE_KEY])])
    return _combined(rng, term)


def name_selector(rng, names, with_all=True):
    """Over the labels of namespaces or accounts."""
    def term():
        return (f"projectcalico.org/name == '{rng.choice(names)}'" if chance(rng, 0.25)
                else _term(rng, KEYS, with_all))
    return _combined(rng, term)


# ---- rules ----------------------------------------------------------------------


def _accounts(rng):
    match = {}
    if chance(rng, 0.6):
        match["names"] = some(rng, ACCOUNTS)
    if chance(rng, 0.5) or not match:
        match["selector"] = name_selector(rng, ACCOUNTS)
    return match


def _port(rng, named_only):
    if named_only or chance(rng, 0.5):
        return rng.choice(PORT_NAMES)
    return rng.choice([rng.choice(PORTS), f"{PORTS[0]}:{PORTS[1]}"])


def _entity(rng, family, protocol):
    """One side of a rule.  Numbers of ports need a protocol, names do not."""
    entity = {}
    if chance(rng, 0.5):
        entity["selector"] = pod_selector(rng)
    if chance(rng, 0.15):
        entity["notSelector"] = pod_selector(rng)
    if chance(rng, 0.25):
        entity["namespaceSelector"] = rng.choice(["global()", *[name_selector(rng, NAMESPACES)] * 5])
    if chance(rng, 0.15):
        entity["serviceAccounts"] = _accounts(rng)
    if chance(rng, 0.2):
        entity["nets"] = some(rng, NETS[family])
    if chance(rng, 0.1):
        entity["notNets"] = some(rng, NETS[family][:-1])
    if protocol in (None, "TCP", "UDP", "SCTP", 6):
        for key, probability in (("ports", 0.25), ("notPorts", 0.1)):
            if chance(rng, probability):
                entity[key] = list(dict.fromkeys(_port(rng, protocol is None) for _ in range(rng.randint(1, 3))))
    return entity


def _service(rng, namespaced):
    service = {"name": rng.choice(SERVICES)}
    if not namespaced or chance(rng, 0.5):
        service["namespace"] = rng.choice(NAMESPACES)
    return {"services": service}


def _http(rng):
    http = {}
    if chance(rng, 0.6):
        http["methods"] = some(rng, ["GET", "PUT", "HEAD"])
    if chance(rng, 0.6) or not http:
        http["paths"] = [{rng.choice(["exact", "prefix"]): rng.choice(["/", "/a", "/a/b"])}
                         for _ in range(rng.randint(1, 2))]
    return http


def _icmp(rng):
    match = {"type": rng.choice([0, 3, 8])}
    if chance(rng, 0.4):
        match["code"] = rng.choice([0, 1])
    return match


def _rule(rng, direction, namespaced):
    family = rng.choice([4, 4, 6])
    protocol = rng.choice([None, None, "TCP", "TCP", "UDP", "SCTP", 6, 47, "ICMP" if family == 4 else "ICMPv6"])
    rule = {"action": rng.choice(["Allow", "Allow", "Allow", "Deny", "Pass", "Log"])}
    if protocol is not None:
        rule["protocol"] = protocol
    if chance(rng, 0.1):
        rule["ipVersion"] = family
    if chance(rng, 0.1):
        rule["notProtocol"] = rng.choice(["UDP", 17])
    if str(protocol).startswith("ICMP") and chance(rng, 0.7):
        rule[rng.choice(["icmp", "notICMP"])] = _icmp(rng)
    rule["source"], rule["destination"] = _entity(rng, family, protocol), _entity(rng, family, protocol)
    if chance(rng, 0.15):
        rule["source" if direction == "ingress" else "destination"] = _service(rng, namespaced)
    if direction == "ingress" and protocol in (None, "TCP", 6) and chance(rng, 0.15):
        rule["http"] = _http(rng)
    if chance(rng, 0.03):
        rule["metadata"] = {"annotations": {"note": rng.choice(VALUES)}}
    return {key: value for key, value in rule.items() if value != {}}


def rules(rng, direction, namespaced):
    return [_rule(rng, direction, namespaced) for _ in range(rng.randint(0, 2))]


# ---- policies ---------------------------------------------------------------------


def calico_spec(rng, kind):
    """The aspects of a Calico policy; `sound` makes them fit each other."""
    is_global = "Global" in kind
    spec = {"tier": rng.choice([*TIERS, *BUILT_IN_TIERS, "gone", *["default"] * 4]), "order": rng.choice(ORDERS),
            "selector": rng.choice(["", "all()", *[pod_selector(rng) for _ in range(4)]]),
            # What all() means there in a namespaced policy is not said.
            "serviceAccountSelector": name_selector(rng, ACCOUNTS, with_all=is_global),
            "ingress": rules(rng, "ingress", not is_global),
            "egress": rules(rng, "egress", not is_global),
            "types": rng.choice([["Ingress"], ["Egress"], ["Ingress", "Egress"], ["Egress", "Ingress"], []]),
            "performanceHints": ["AssumeNeededOnEveryNode"]}
    if is_global:
        spec["namespaceSelector"] = name_selector(rng, NAMESPACES)
        spec["doNotTrack"], spec["preDNAT"], spec["applyOnForward"] = rng.choice(
            [(True, False, True), (False, True, True), (False, False, True), *[(False, False, False)] * 6])
    if kind.startswith("Staged"):
        spec["stagedAction"] = rng.choice(["Set", "Set", "Set", "Learn", "Ignore"])
    kept = {"tier": 0.6, "order": 0.7, "selector": 0.85, "serviceAccountSelector": 0.15, "ingress": 0.85,
            "egress": 0.5, "types": 0.5, "performanceHints": 0.1, "namespaceSelector": 0.25}
    return sound({key: value for key, value in spec.items() if chance(rng, kept.get(key, 1))})


def sound(spec):
    """A Calico policy's spec without what contradicts the rest of it."""
    spec = dict(spec)
    if spec.get("preDNAT"):
        spec.update(types=["Ingress"], doNotTrack=False)
        spec.pop("egress", None)
    if spec.get("preDNAT") or spec.get("doNotTrack"):
        spec["applyOnForward"] = True
    return spec


def deleted(kind, rng):
    """A staged policy that stands for a deletion."""
    spec = {"stagedAction": "Delete"}
    return {**spec, "tier": rng.choice(TIERS)} if kind not in KUBERNETES_KINDS and chance(rng, 0.5) else spec


def spec_of(rng, kind):
    if kind.startswith("Staged") and chance(rng, 0.1):
        return deleted(kind, rng)
    if kind in KUBERNETES_KINDS:
        return clusters.policy_spec(rng)
    return calico_spec(rng, kind)


def broken_spec(rng, kind, spec):
    """The same with one thing in it that nobody can read."""
    bad_rule = {"action": resources.BAD_ACTION}
    if kind in KUBERNETES_KINDS:
        bad_block = {"from": [{"ipBlock": {"cidr": resources.BAD_NET}}]}
        return rng.choice([{**spec, "ingress": [*spec.get("ingress", []), bad_block]},
                           {**spec, "policyTypes": [resources.BAD_TYPE]}])
    mark = rng.choice([
        {"order": resources.BAD_ORDER}, {"tier": resources.BAD_TIER}, {"selector": resources.BAD_SELECTOR},
        {"ingress": [*spec.get("ingress", []), bad_rule]}, {"ingress": [bad_rule]}])
    if not spec.get("preDNAT"):
        mark = rng.choice([mark, mark, {"types": [resources.BAD_TYPE]}])
    return {**spec, **mark}
