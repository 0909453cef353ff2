"""Objects that the API server takes, and whose JSON is odd: whoever may write one holds up nobody but himself."""

from pathlib import Path
from typing import Any, Iterator

import pytest
from agents import agent_of, client_of
from client import Object
from cluster import STORED, Cluster
from listed import VERSIONS, wipe
from objects import new_object, pod

OURS, ODD = "ours", "odd"


def policy(namespace: str, name: str, **spec: Any) -> Object:
    return {**new_object(VERSIONS[STORED], "NetworkPolicy", f"default.{name}", namespace), "spec": spec}


@pytest.fixture
def world(cluster: Cluster) -> Iterator[Cluster]:
    """Two namespaces with a pod each."""
    for namespace in (OURS, ODD):
        cluster.create_namespace(namespace)
        cluster.admin.create(pod(namespace, "web", addresses=["10.0.0.2"]))
    yield cluster
    wipe(cluster)


def test_order_that_is_a_large_integer(world: Cluster, tmp_path: Path) -> None:
    """Such as no integer of 64 bits is; the API server writes numbers without a fraction as integers."""
    world.admin.create(policy(ODD, "late", selector="all()", order=10**20))
    world.admin.create(policy(OURS, "plain", selector="all()"))
    with agent_of(world.kubeconfig(tmp_path / "config", world.admin_with_token())) as felix:
        with client_of(felix.expect_ready(), f"{ODD}/web") as client:
            client.expect(lambda each: f"NetworkPolicy {ODD}/late" in each.policies)
        assert not felix.lines("Bad resource") and not felix.blind_spots()


@pytest.mark.parametrize("is_late", [False, True])
def test_names_that_are_one_but_for_a_nul(world: Cluster, tmp_path: Path, is_late: bool) -> None:
    """That policy refuses, and all others are read; so it is in a list, and in a watch."""
    names = {"annotations": {"a\0": "x", "a\ufffd": "y"}}
    odd = policy(ODD, "twins", selector="all()", ingress=[{"action": "Allow", "metadata": names}])
    ours = policy(OURS, "plain", selector="all()")
    if not is_late:
        world.admin.create(odd)
    with agent_of(world.kubeconfig(tmp_path / "config", world.admin_with_token())) as felix:
        felix.expect_ready()
        if is_late:
            world.admin.create(odd)
        world.admin.create(ours)
        with client_of(felix, f"{OURS}/web") as client:
            client.expect(lambda each: f"NetworkPolicy {OURS}/plain" in each.policies)
        told = felix.expect_words("Bad resource", "duplicate object key")
        assert told["object"] == f"NetworkPolicy {ODD}/default.twins"
        with client_of(felix, f"{ODD}/web") as client:
            client.expect(lambda each: f"NetworkPolicy {ODD}/twins" in each.policies)
            assert client.policies[f"NetworkPolicy {ODD}/twins"].inbound_rules[0].action not in ("allow", "log")
        assert not felix.blind_spots()
