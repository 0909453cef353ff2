"""Kubernetes NetworkPolicies: who may reach a pod, by table and against a plain model.

Every question is put three ways: in plain text, with the peer's own certificate (the
same answer), and with somebody else's (never a better one).  DIKAST_SEED repeats the
random clusters, DIKAST_CLUSTERS asks for more of them.
"""

import collections
import os

import pytest
import yaml

import vectors
from calculation import clusters, kubernetes
from calculation.reachability import Judge, check_case, expected, from_directory, principal, request

TABLE = vectors.load("kubernetes_policy.yaml")

CLUSTERS = int(os.environ.get("DIKAST_CLUSTERS", "150"))
REQUESTS = 12


# ---- the table ----------------------------------------------------------------------


def _world(case):
    policies = {}
    for index, spec in enumerate(case["policies"]):
        rest = {key: value for key, value in spec.items() if key != "in"}
        policies[f"KubernetesNetworkPolicy {spec.get('in', 'bank')}/policy-{index}"] = rest
    return {**TABLE["cluster"], **policies}


@pytest.mark.parametrize("case", **vectors.by_name(TABLE["cases"]))
def test_table(probe, tmp_path, case):
    assert set(case) - {"allowed", "reaches"} == {"name", "policies"}
    messages = from_directory(probe, tmp_path)(_world(case), "bank/web")
    check_case(probe, TABLE, messages, case)
    if "allowed" in case:
        judge, wanted = Judge(probe, messages), expected(TABLE, case["allowed"])
        for stolen in ["bank/customer", "shop/customer"]:
            assert judge.allowed(TABLE, lambda _: stolen) <= wanted


def test_model_agrees_with_table():
    """The plain model, which judges the random clusters, on the same table."""
    pods = []
    for name, content in TABLE["cluster"].items():
        kind, _, full_name = name.partition(" ")
        if kind == "Pod":
            for address in content.get("ips", [content.get("ip")]):
                pods.append(kubernetes.Pod(*full_name.split("/"), address, content.get("labels", {}),
                                           content.get("ports", []), "status" not in content))
    namespaces = {name.partition(" ")[2]: content["labels"]
                  for name, content in TABLE["cluster"].items() if name.startswith("Namespace ")}
    for case in TABLE["cases"]:
        if case["name"] == "block not masked" or "allowed" not in case:
            continue  # Python's nets are strict about the one; the model knows only ingress
        cluster = {"namespaces": namespaces, "pods": pods, "policies": [
            (spec.get("in", "bank"), spec) for spec in case["policies"]]}
        allowed = set()
        for source in TABLE["sources"]:
            for port in TABLE["ports"]:
                given = request(TABLE, source, port)
                if kubernetes.allowed(cluster, pods[0], given["from"], given["protocol"],
                                      given["to_port"]):
                    allowed.add((source, port))
        assert allowed == expected(TABLE, case["allowed"]), case["name"]


# ---- random clusters ------------------------------------------------------------------


def _owner(cluster, address):
    """The account of the running pod with this address."""
    for pod in cluster["pods"]:
        if pod.running and pod.address == address:
            return f"{pod.namespace}/{pod.name}"
    return None


def test_random_clusters(probe, tmp_path, rng):
    met = collections.Counter()
    for _ in range(CLUSTERS):
        cluster = clusters.cluster(rng)
        target = cluster["pods"][0]
        judge = Judge(probe, from_directory(probe, tmp_path)(
            clusters.world(cluster), f"{target.namespace}/{target.name}"))
        for source, protocol, port in clusters.requests(cluster, rng, REQUESTS):
            wanted = kubernetes.allowed(cluster, target, source, protocol, port)
            asked = {"from": source, "to": target.address, "to_port": port, "protocol": protocol}
            another = rng.choice(cluster["pods"])
            stolen = principal(f"{another.namespace}/{another.name}")
            answers = (judge.is_allowed(**asked),
                       judge.is_allowed(**asked, principal=principal(_owner(cluster, source))),
                       judge.is_allowed(**asked, principal=stolen) and not wanted)
            assert answers == (wanted, wanted, False), yaml.safe_dump(
                {"world": clusters.world(cluster), "request": asked, "stolen": stolen,
                 "expected": wanted, "plain text, own certificate, too much": list(answers)},
                sort_keys=False)
            met[wanted] += 1
    # The clusters are worth something only if both answers are common.
    print(dict(met))
    assert min(met[True], met[False]) > 0.2 * met.total()
