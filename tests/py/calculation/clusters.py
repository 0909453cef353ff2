"""Small random clusters with random Kubernetes policies.

The alphabets are tiny, so that selectors, blocks and ports hit often; a policy has
many chances to be about the pod that is asked.
"""

from calculation.kubernetes import Pod

NAMESPACES = ["bank", "shop", "audit"]
KEYS, VALUES = ["k", "l"], ["v", "w"]
OUTSIDE = ["192.0.2.1", "192.0.2.130", "10.0.9.9", "2001:db8::1"]
BLOCKS = {"0.0.0.0/0": ["10.0.0.0/8", "192.0.2.128/25"], "10.0.0.0/8": ["10.0.0.0/24", "10.0.1.1/32"],
          "192.0.2.0/24": ["192.0.2.0/25"], "10.0.0.0/30": ["10.0.0.2/32"],
          "::/0": ["2001:db8::/32"], "2001:db8::1/128": []}
PORTS = [80, 81, 90]
PORT_NAMES = ["p", "q"]
PROTOCOLS = ["TCP", "UDP"]


def _labels(rng):
    return {key: rng.choice(VALUES) for key in KEYS if rng.random() < 0.6}


def _container_ports(rng):
    return [{"name": name, "containerPort": rng.choice(PORTS), "protocol": rng.choice(PROTOCOLS)}
            for name in PORT_NAMES if rng.random() < 0.6]


def _expression(rng):
    operator = rng.choice(["In", "NotIn", "Exists", "DoesNotExist"])
    term = {"key": rng.choice(KEYS), "operator": operator}
    if operator in ("In", "NotIn"):
        term["values"] = rng.sample(VALUES, rng.randint(1, 2))
    return term


def _selector(rng):
    selector = {}
    if rng.random() < 0.4:
        selector["matchLabels"] = {rng.choice(KEYS): rng.choice(VALUES)}
    if rng.random() < 0.4:
        selector["matchExpressions"] = [_expression(rng) for _ in range(rng.randint(1, 2))]
    return selector


def _peer(rng):
    form = rng.choice(["pods", "namespaces", "both", "block"])
    if form == "block":
        cidr = rng.choice(list(BLOCKS))
        block = {"cidr": cidr}
        if BLOCKS[cidr] and rng.random() < 0.5:
            block["except"] = rng.sample(BLOCKS[cidr], rng.randint(1, len(BLOCKS[cidr])))
        return {"ipBlock": block}
    peer = {}
    if form != "namespaces":
        peer["podSelector"] = _selector(rng)
    if form != "pods":
        peer["namespaceSelector"] = _selector(rng)
    return peer


def _port(rng):
    entry = {}
    if rng.random() < 0.6:
        entry["protocol"] = rng.choice(PROTOCOLS + ["SCTP"])
    form = rng.random()
    if form < 0.4:
        entry["port"] = rng.choice(PORTS)
    elif form < 0.6:
        entry["port"] = rng.choice(PORT_NAMES)
    elif form < 0.9:
        entry["port"], entry["endPort"] = sorted(rng.choices(PORTS, k=2))
    return entry


def _rule(rng, peers="from"):
    rule = {}
    if rng.random() < 0.85:
        rule[peers] = [_peer(rng) for _ in range(rng.randint(0 if rng.random() < 0.2 else 1, 3))]
    if rng.random() < 0.5:
        rule["ports"] = [_port(rng) for _ in range(rng.randint(0 if rng.random() < 0.2 else 1, 3))]
    return rule


def policy_spec(rng):
    spec = {"podSelector": _selector(rng) if rng.random() < 0.5 else {}}
    if rng.random() < 0.8:
        spec["ingress"] = [_rule(rng) for _ in range(rng.randint(0, 3))]
    if rng.random() < 0.2:
        spec["egress"] = [_rule(rng, "to") for _ in range(rng.randint(0, 2))]
    if rng.random() < 0.3:
        spec["policyTypes"] = rng.sample(["Ingress", "Egress"], rng.randint(0, 2))
    return spec


def cluster(rng):
    """The first pod is the one to ask; it runs."""
    pods = [Pod(rng.choice(NAMESPACES), f"pod-{index}", f"10.0.{index % 2}.{index}", _labels(rng),
                _container_ports(rng), running=index == 0 or rng.random() < 0.85)
            for index in range(rng.randint(2, 7))]
    pods[0].namespace, pods[0].name = "bank", "web-0"
    return {"namespaces": {name: _labels(rng) for name in NAMESPACES}, "pods": pods,
            "policies": [(rng.choice(NAMESPACES[:2]), policy_spec(rng))
                         for _ in range(rng.randint(1, 5))]}


def requests(cluster_, rng, count):
    """(source address, protocol, port), mostly from pods."""
    sources = [pod.address for pod in cluster_["pods"]] + OUTSIDE
    return [(rng.choice(sources), rng.choice(PROTOCOLS), rng.choice(PORTS)) for _ in range(count)]


def world(cluster_):
    """The cluster in the short form of resources.py."""
    resources = {f"Namespace {name}": {"labels": labels}
                 for name, labels in cluster_["namespaces"].items()}
    for pod in cluster_["pods"]:
        resources[f"ServiceAccount {pod.namespace}/{pod.name}"] = {}
        resources[f"Pod {pod.namespace}/{pod.name}"] = {
            "ip": pod.address, "labels": pod.labels, "account": pod.name, "ports": pod.ports,
            "status": {} if pod.running else {"phase": "Succeeded"}}
    for index, (namespace, spec) in enumerate(cluster_["policies"]):
        resources[f"KubernetesNetworkPolicy {namespace}/policy-{index}"] = spec
    return resources
