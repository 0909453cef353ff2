"""Policies, tiers and their order; which of them an endpoint has."""

from dataclasses import dataclass

from calculation.stream import canonical
from plain import kubernetes, resources, rules, selectors

KINDS = ["NetworkPolicy", "GlobalNetworkPolicy", "KubernetesNetworkPolicy", "StagedNetworkPolicy",
         "StagedGlobalNetworkPolicy", "StagedKubernetesNetworkPolicy"]
KUBERNETES_KINDS = ["KubernetesNetworkPolicy", "StagedKubernetesNetworkPolicy"]

# name -> (order, default action)
BUILT_IN = {
    "default": (1000000, "Deny"), "kube-admin": (1000, "Pass"), "adminnetworkpolicy": (1000, "Pass"),
    "kube-baseline": (10000000, "Pass"), "baselineadminnetworkpolicy": (10000000, "Pass"),
}
UNREADABLE = "(unreadable)"  # the tier of a policy whose tier cannot be read
INFINITY = float("inf")

# Tiers whose order cannot be known come first: a refusal must not come too late.  Those that are not there come last.
FIRST, ORDERED, UNORDERED, MISSING = range(4)


@dataclass
class Tier:
    name: str
    place: tuple
    default: str
    broken: bool = False


@dataclass
class Policy:
    name: str        # "KIND [NAMESPACE/]NAME"
    kind: str
    namespace: str
    short_name: str
    tier: str
    order: float
    selector: str
    types: list
    for_pods: bool   # false: doNotTrack and preDNAT policies are for hosts alone
    wire: dict       # as plain_policy of calculation/stream.py, with keys of sets


def tiers(world):
    found = {name: Tier(name, (ORDERED, order, name.encode()), default)
             for name, (order, default) in BUILT_IN.items()}
    for _, resource in resources.of_kind(world, "Tier"):
        name, spec = resource["metadata"]["name"], resource.get("spec") or {}
        if name in BUILT_IN:
            continue
        order = spec.get("order")
        place = (UNORDERED, 0, name.encode()) if order is None else (ORDERED, order, name.encode())
        found[name] = Tier(name, place, spec.get("defaultAction") or "Deny")
        if resources.is_broken(resource):
            found[name] = Tier(name, (FIRST, 1, name.encode()), "Deny", broken=True)
    return found


def _tier(name, known):
    if name == UNREADABLE:
        return Tier(name, (FIRST, 0, b""), "Deny")
    return known.get(name) or Tier(name, (MISSING, 0, name.encode()), "Deny")


def _types(spec):
    types = spec.get("types") or []
    if resources.BAD_TYPE in types:
        return ["Ingress", "Egress"]
    if types:
        return types
    if not spec.get("egress"):
        return ["Ingress"]
    return ["Ingress", "Egress"] if spec.get("ingress") else ["Egress"]


def _order(spec):
    order = spec.get("order")
    return INFINITY if order is None else -INFINITY if order == resources.BAD_ORDER else order


def _name_and_tier(kind, resource, spec):
    """The name without the tier that older upstream put before it, and the tier."""
    name, tier = resource["metadata"]["name"], spec.get("tier") or "default"
    if tier == resources.BAD_TIER:
        return name, UNREADABLE
    if tier == "default" and kind not in KUBERNETES_KINDS:
        name = name.removeprefix("default.")
    return name, tier


def _policy(kind, resource, known_tiers):
    """None if it is staged to be deleted."""
    spec, namespace = resource["spec"], resources.namespace(resource)
    if kind in KUBERNETES_KINDS:
        spec = kubernetes.converted(spec)
    if spec.get("stagedAction") == "Delete":
        return None
    name, tier = _name_and_tier(kind, resource, spec)
    if resources.BAD_SELECTOR == spec.get("selector"):
        spec = {**spec, "selector": ""}
    selector = selectors.of_policy(spec, namespace)
    broken = resources.is_broken(resource)
    closed = broken or _tier(tier, known_tiers).broken
    untracked, pre_dnat = bool(spec.get("doNotTrack")), bool(spec.get("preDNAT"))
    wire = {"namespace": namespace, "tier": tier, "untracked": untracked, "pre_dnat": pre_dnat,
            # Of a broken policy it is for information only, and nothing says what it is.
            "original_selector": "" if closed else canonical(selector or "all()"),
            "inbound": rules.of(closed, spec.get("ingress"), namespace),
            "outbound": rules.of(closed, spec.get("egress"), namespace)}
    place = f"{namespace}/" if namespace else ""
    return Policy(f"{kind} {place}{name}", kind, namespace, name, tier, _order(spec), selector, _types(spec),
                  not untracked and not pre_dnat, wire)


def in_order(world):
    """All policies that may be sent, in the order in which they are judged; and the tiers."""
    known = tiers(world)
    found = [_policy(kind, resource, known) for kind, resource in resources.of_kind(world, *KINDS)]
    found = [policy for policy in found if policy]
    found.sort(key=lambda policy: (_tier(policy.tier, known).place, policy.order,
                                   f"{policy.short_name}/{policy.namespace}/{policy.kind}".encode()))
    return found, known


def of_endpoint(labels, found, known):
    """The tiers with the policies that select an endpoint."""
    listed = []
    for policy in found:
        if not policy.for_pods or not selectors.matches(policy.selector, labels):
            continue
        if not listed or listed[-1]["name"] != policy.tier:
            listed.append({"name": policy.tier, "default": _tier(policy.tier, known).default,
                           "ingress": [], "egress": []})
        for kind in policy.types:
            listed[-1][kind.lower()].append(policy.name)
    return listed
