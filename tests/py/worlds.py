"""Random worlds, and random changes of them.

A world is {name: resource} as in plain/; a change is {"set": name, "to": resource} or {"remove": name}.  A sequence is
a list of flushes, each a list of changes.  What changes is one aspect of a resource mostly, so that a pod moves,
finishes, or has other labels, and all else about it stays.
"""

import copy
from dataclasses import dataclass

import world_policies as policies
from calculation.resources import resource
from plain import resources
from world_policies import (ACCOUNTS, ADDRESSES, KEYS, NAMES, NAMESPACES, NETS, PORT_NAMES, PORTS, SERVICES, TIERS,
                            VALUES, chance, some)

NODES = ["node-1", "node-2"]
PODS = ["p0", "p1", "p2", "p3"]
PROFILES = ["blue", "red"]


@dataclass
class Options:
    """What may come."""

    broken: bool = True


def _labels(rng, forged=0.1):
    """With a label, at times, that none but profiles may give."""
    labels = {key: rng.choice(VALUES) for key in KEYS if chance(rng, 0.6)}
    if chance(rng, forged):
        labels[rng.choice(["pcns.k", "pcsa.k", "pcns.projectcalico.org/name"])] = rng.choice([*VALUES, "bank"])
    return labels


def _inherited_labels(rng):
    labels = {key: rng.choice(VALUES) for key in KEYS if chance(rng, 0.6)}
    if chance(rng, 0.05):
        labels["projectcalico.org/name"] = "other"
    return labels


# ---- endpoints ---------------------------------------------------------------------


def _container(rng, name):
    return {"name": name, "image": "example/main", "ports": [
        {"containerPort": rng.choice(PORTS),
         **({"name": rng.choice(PORT_NAMES)} if chance(rng, 0.8) else {}),
         **({"protocol": rng.choice(["TCP", "UDP", "SCTP"])} if chance(rng, 0.5) else {})}
        for _ in range(rng.randint(0, 2))]}


def _pod_status(rng):
    ips = rng.sample(ADDRESSES, rng.choice([1, 1, 1, 2]))
    status = {"phase": rng.choice(["Running"] * 8 + ["Pending", "Succeeded", "Failed"])}
    form = rng.random()
    if form < 0.8:
        status.update(podIP=ips[0], podIPs=[{"ip": ip} for ip in ips])
    elif form < 0.9:
        status["podIP"] = ips[0]
    return status


def _pod_metadata(rng):
    metadata = {"labels": _labels(rng)}
    if chance(rng, 0.05):
        metadata["labels"][rng.choice(["projectcalico.org/namespace", "projectcalico.org/serviceaccount"])] = "a"
    if chance(rng, 0.2):
        metadata["annotations"] = {"cni.projectcalico.org/podIP": rng.choice(["", rng.choice(ADDRESSES)])}
    if chance(rng, 0.5 if metadata.get("annotations") else 0.05):
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return metadata


def _pod(rng):
    spec = {"containers": [_container(rng, "main")]}
    if chance(rng, 0.1):
        spec["initContainers"] = [_container(rng, "init")]
    if chance(rng, 0.95):
        spec["nodeName"] = rng.choice(NODES)
    if chance(rng, 0.7):
        spec["serviceAccountName"] = rng.choice(ACCOUNTS)
    if chance(rng, 0.05):
        spec["hostNetwork"] = True
    return {"metadata": _pod_metadata(rng), "spec": spec, "status": _pod_status(rng)}


def _endpoint_ports(rng):
    return [{"name": rng.choice(PORT_NAMES), "protocol": rng.choice(["TCP", "UDP"]), "port": rng.choice(PORTS)}
            for _ in range(rng.randint(0, 2))]


def _profile_names(rng):
    """Several that may give the same label, in any order."""
    of_kubernetes = ["kns.bank", "kns.shop", "ksa.bank.a", "ksa.bank.b"]
    return rng.choice([PROFILES, PROFILES[::-1], some(rng, [*PROFILES, "gone"]), some(rng, of_kubernetes),
                       some(rng, [*PROFILES, *of_kubernetes], 4), []])


def _workload_endpoint(rng):
    """Often one that stands for a pod that is there too, or for the same as another."""
    spec = {"node": rng.choice(NODES), "endpoint": rng.choice(["eth0", "eth0", "eth1"]),
            "ipNetworks": some(rng, ADDRESSES), "profiles": _profile_names(rng), "ports": _endpoint_ports(rng),
            "interfaceName": rng.choice(["tap0", "tap1"])}
    spec.update(rng.choice([{"orchestrator": "k8s", "pod": rng.choice(PODS)},
                            {"orchestrator": "openstack", "workload": rng.choice(["vm0", "vm1"])}]))
    if chance(rng, 0.2):
        spec["serviceAccountName"] = rng.choice(ACCOUNTS)
    return {"metadata": {"labels": _labels(rng)}, "spec": spec}


def _host_endpoint(rng):
    return {"metadata": {"labels": _labels(rng)}, "spec": {
        "node": rng.choice(NODES), "interfaceName": "eth0", "expectedIPs": some(rng, ADDRESSES),
        "profiles": _profile_names(rng), "ports": _endpoint_ports(rng)}}


# ---- the rest -------------------------------------------------------------------------


def _namespace(rng):
    return {"metadata": {"labels": _inherited_labels(rng)}}


def _profile(rng):
    # That label is on no endpoint itself, so that it shows which of two profiles gives it.
    labels = {**_labels(rng, forged=0.3), policies.PROFILE_KEY: rng.choice(VALUES)}
    return {"spec": {"labelsToApply": labels,
                     "ingress": policies.rules(rng, "ingress", False),
                     "egress": policies.rules(rng, "egress", False)}}


def _tier(rng):
    spec = {}
    if chance(rng, 0.8):
        spec["order"] = rng.choice([10, 10, 20, 1000000, 2000000.5])
    if chance(rng, 0.6):
        spec["defaultAction"] = rng.choice(["Pass", "Deny"])
    return {"spec": spec}


def _network_set(rng):
    nets = rng.sample([*ADDRESSES, *NETS[4], *NETS[6]], rng.randint(0, 3))
    return {"metadata": {"labels": _labels(rng)}, "spec": {"nets": nets}}


def _slice(rng):
    addresses = [address for address in ADDRESSES if "." in address]
    ports = [{**({"port": rng.choice(PORTS)} if chance(rng, 0.9) else {}),
              **({"protocol": rng.choice(["TCP", "UDP"])} if chance(rng, 0.7) else {})}
             for _ in range(rng.randint(0, 2))]
    labels = {"kubernetes.io/service-name": rng.choice(SERVICES)} if chance(rng, 0.95) else {}
    return {"metadata": {"labels": labels}, "addressType": "IPv4", "ports": ports,
            "endpoints": [{"addresses": some(rng, addresses), "conditions": {"ready": chance(rng, 0.7)}}
                          for _ in range(rng.randint(0, 2))]}


def _policy(kind):
    return lambda rng: {"spec": policies.spec_of(rng, kind)}


# kind -> (its content, where it may be, its names, how likely it is to be chosen)
_IN_NAMESPACE, _GLOBAL = NAMESPACES, [""]
_KINDS = {
    "Pod": (_pod, _IN_NAMESPACE, PODS, 6),
    "Namespace": (_namespace, _GLOBAL, NAMESPACES, 3),
    "ServiceAccount": (_namespace, _IN_NAMESPACE, ACCOUNTS, 2),
    "WorkloadEndpoint": (_workload_endpoint, _IN_NAMESPACE[:2], ["w0", "w1"], 3),
    "HostEndpoint": (_host_endpoint, _GLOBAL, ["h0", "h1"], 1),
    "Profile": (_profile, _GLOBAL, PROFILES, 2),
    "Tier": (_tier, _GLOBAL, TIERS, 2),
    "NetworkSet": (_network_set, _IN_NAMESPACE, ["s0", "s1"], 2),
    "GlobalNetworkSet": (_network_set, _GLOBAL, ["s0", "s1"], 1),
    "EndpointSlice": (_slice, _IN_NAMESPACE[:2], ["e0", "e1", "e2"], 2),
    **{kind: (_policy(kind), _GLOBAL if "Global" in kind else _IN_NAMESPACE, NAMES, weight)
       for kind, weight in [("NetworkPolicy", 4), ("GlobalNetworkPolicy", 6), ("KubernetesNetworkPolicy", 4),
                            ("StagedNetworkPolicy", 1), ("StagedGlobalNetworkPolicy", 1),
                            ("StagedKubernetesNetworkPolicy", 1)]},
}


# ---- what is broken ---------------------------------------------------------------------


def _broken(rng, kind, whole):
    """The same, with a mark of plain/resources.py; None where nothing is known to break."""
    broken = copy.deepcopy(whole)
    spec = broken.setdefault("spec", {})
    if kind == "Pod":
        # Of one that runs; a pod that is no endpoint anyway may be broken and nobody cares.
        broken["status"] = {"phase": "Running", "podIP": resources.BAD_ADDRESS,
                            "podIPs": [{"ip": resources.BAD_ADDRESS}]}
        spec.update(nodeName=rng.choice(NODES), hostNetwork=False)
        broken["metadata"].pop("deletionTimestamp", None)
    elif kind == "WorkloadEndpoint":
        spec["ipNetworks"] = [resources.BAD_ADDRESS]
    elif kind == "HostEndpoint":
        spec["expectedIPs"] = [resources.BAD_ADDRESS]
    elif kind in ("NetworkSet", "GlobalNetworkSet"):
        spec["nets"] = [*spec.get("nets", []), resources.BAD_NET]
    elif kind == "Tier":
        spec["order"] = resources.BAD_ORDER
    elif kind == "Profile":
        spec["ingress"] = [{"action": resources.BAD_ACTION}]
    elif "Policy" in kind and spec.get("stagedAction") != "Delete":
        broken["spec"] = policies.broken_spec(rng, kind, spec)
    else:
        return None
    return broken


# ---- changes -------------------------------------------------------------------------------


def _named(name, content):
    """A whole resource of random content, under its name."""
    whole = resource(name, {})
    return {**whole, **content, "metadata": {**whole["metadata"], **content.get("metadata", {})}}


def _mixed(rng, kind, old, new):
    """The old resource with one aspect of a new one."""
    mixed = copy.deepcopy(old)
    places = [(top, key) for top in ("metadata", "spec")
              for key in {**old.get(top, {}), **new.get(top, {})} if key not in ("name", "namespace")]
    places += [(key, None) for key in new if key not in ("metadata", "spec", "apiVersion", "kind")]
    top, key = rng.choice(places) if places else ("metadata", "labels")
    if key is None:
        mixed[top] = new[top]
    elif key in new.get(top, {}):
        mixed.setdefault(top, {})[key] = new[top][key]
    else:
        mixed[top].pop(key, None)
    return _fitting(kind, mixed, new)


def _is_sound_endpoint(spec):
    named_by = "pod" if spec.get("orchestrator") == "k8s" else "workload"
    return {"node", "endpoint", "orchestrator", named_by} <= set(spec) and not {"pod", "workload"} <= set(spec)


def _fitting(kind, mixed, new):
    """`new` instead, where the aspects of `mixed` contradict each other."""
    spec = mixed.get("spec", {})
    if spec.get("stagedAction") == "Delete" or kind == "WorkloadEndpoint" and not _is_sound_endpoint(spec):
        return new
    if kind in policies.CALICO_KINDS:
        mixed["spec"] = policies.sound(spec)
    return mixed


def _change(rng, world, options):
    kind, = rng.choices(list(_KINDS), [row[3] for row in _KINDS.values()])
    content, namespaces, names, _ = _KINDS[kind]
    namespace = rng.choice(namespaces)
    name = f"{kind} {namespace + '/' if namespace else ''}{rng.choice(names)}"
    old, new = world.get(name), _named(name, content(rng))
    form = rng.random()
    if old is not None and form < 0.2:
        return {"remove": name}
    if old is not None and form < 0.25:
        return {"set": name, "to": copy.deepcopy(old)}  # says nothing new
    if old is not None and form < 0.8 and not resources.is_broken(old):
        new = _mixed(rng, kind, old, new)
    if options.broken and chance(rng, 0.3 if kind == "Tier" else 0.08):
        new = _broken(rng, kind, new) or new
    return {"set": name, "to": new}


def _absent(rng, world, options):
    """Now and then the removal of what is not there."""
    name = f"Pod {rng.choice(NAMESPACES)}/nobody"
    return {"remove": name} if chance(rng, 0.03) else _change(rng, world, options)


def apply(world, flush):
    """The world after a flush of changes."""
    after = dict(world)
    for change in flush:
        if "set" in change:
            after[change["set"]] = change["to"]
        else:
            after.pop(change["remove"], None)
    return after


def first(rng, options):
    """The flush that makes a world of nothing."""
    flush, world = [], {}
    for namespace in NAMESPACES:
        if chance(rng, 0.9):
            name = f"Namespace {namespace}"
            flush.append({"set": name, "to": _named(name, _namespace(rng))})
    for _ in range(rng.randint(10, 60)):
        change = _change(rng, world, options)
        if "set" in change:  # of what was set in the same flush already, too
            flush.append(change)
            world = apply(world, [change])
    return flush


def sequence(rng, flushes, options):
    """A world and its changes."""
    made = [first(rng, options)]
    world = apply({}, made[0])
    for _ in range(flushes):
        flush, changed = [], set()
        for _ in range(rng.randint(1, 5)):
            change = _absent(rng, world, options)
            name = change.get("set") or change["remove"]
            # Nothing says whether removals come before what is set in one flush.
            if name not in changed:
                changed.add(name)
                flush.append(change)
                world = apply(world, [change])
        made.append(flush)
    return made
