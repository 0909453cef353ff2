"""Profiles, and the labels that an endpoint or a network set ends up with."""

from dataclasses import dataclass, field

from plain import resources

NAMESPACE = "projectcalico.org/namespace"
ORCHESTRATOR = "projectcalico.org/orchestrator"
ACCOUNT = "projectcalico.org/serviceaccount"
NAME = "projectcalico.org/name"

OF_NAMESPACE, OF_ACCOUNT = "pcns.", "pcsa."


@dataclass
class Profile:
    labels: dict
    ingress: list = field(default_factory=list)
    egress: list = field(default_factory=list)
    broken: bool = False


def with_name(resource):
    """The labels of a namespace or an account as clients see them."""
    return {**resources.labels(resource), NAME: resource["metadata"]["name"]}


def _prefixed(labels, prefix):
    return {prefix + key: value for key, value in labels.items()}


def profiles(world):
    """All profiles by name.  Those of Kubernetes' objects win over a Profile that has such a name."""
    found = {}
    for _, resource in resources.of_kind(world, "Profile"):
        spec = resource.get("spec", {})
        found[resource["metadata"]["name"]] = Profile(
            # Upstream lets a Profile pass on labels with the prefixes of Kubernetes' objects, which would forge theirs.
            own(spec.get("labelsToApply") or {}), spec.get("ingress") or [], spec.get("egress") or [],
            resources.is_broken(resource))
    for kind, resource in resources.of_kind(world, "Namespace", "ServiceAccount"):
        name = resource["metadata"]["name"]
        if kind == "Namespace":
            allow = [{"action": "Allow"}]
            found[f"kns.{name}"] = Profile(_prefixed(with_name(resource), OF_NAMESPACE), allow, allow)
        else:
            found[f"ksa.{resources.namespace(resource)}.{name}"] = Profile(
                _prefixed(with_name(resource), OF_ACCOUNT))
    return found


def own(given, **forced):
    """Labels of an endpoint or set itself: without those that only profiles may give, and with what is known better."""
    kept = {key: value for key, value in given.items() if not key.startswith((OF_NAMESPACE, OF_ACCOUNT))}
    known = {"namespace": NAMESPACE, "orchestrator": ORCHESTRATOR, "account": ACCOUNT}
    return {**kept, **{known[key]: value for key, value in forced.items() if value}}


def inherited(labels, names, known_profiles):
    """All labels, as bytes.  An endpoint's own win, then those of its first profile that has them (as upstream)."""
    everything = {}
    for name in reversed(names):
        if name in known_profiles:
            everything.update(known_profiles[name].labels)
    everything.update(labels)
    return {key.encode(): value.encode() for key, value in everything.items()}
