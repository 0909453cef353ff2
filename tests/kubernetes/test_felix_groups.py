"""The groups that Calico's resources may be in, the names that they are stored under, and the settings of a node."""

import json
from pathlib import Path
from typing import Any, Iterator

import pytest
from agents import NODE, ClusterAgent, agent_of, client_of
from client import Object
from cluster import NATIVE, STORED, Cluster
from listed import VERSIONS, client_state, wipe
from objects import new_object, pod
from proxy import Proxy
from sync_client import Client as SyncClient

NAMESPACE, WEB = "groups", "groups/web"


def policy(group: str, name: str, *methods: str, tier: str = "default") -> Object:
    thing = new_object(VERSIONS[group], "NetworkPolicy", name, NAMESPACE)
    rules = [{"action": "Allow", "http": {"methods": [method]}} for method in methods]
    return {**thing, "spec": {"tier": tier, "selector": "app == 'web'", "ingress": rules}}


@pytest.fixture(scope="module")
def world(cluster: Cluster) -> Iterator[Cluster]:
    """Both groups are installed, with a policy of their own in each."""
    cluster.install_crds(NATIVE)
    cluster.create_namespace(NAMESPACE)
    cluster.admin.create(pod(NAMESPACE, "web", addresses=["10.0.0.2"], labels={"app": "web"}))
    cluster.admin.create(policy(STORED, "default.stored", "GET"))
    cluster.admin.create(policy(NATIVE, "native", "POST"))
    yield cluster
    wipe(cluster, NATIVE)
    wipe(cluster, STORED)
    cluster.remove_crds(NATIVE)


@pytest.fixture
def config(world: Cluster, tmp_path: Path) -> Path:
    return world.kubeconfig(tmp_path / "kubeconfig", world.admin_with_token())


# ---- groups ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given, group",
    [
        ("", STORED),
        ("crd.projectcalico.org/v1", STORED),
        ("projectcalico.org/v3", NATIVE),
        ("ProjectCalico.org/V3", NATIVE),
    ],
)
def test_group_is_found_or_given(world: Cluster, config: Path, given: str, group: str) -> None:
    """If both are there, the one is served from the other, unless we are told that it is not."""
    with agent_of(config, CALICO_API_GROUP=given) as felix, client_of(felix.expect_ready(), WEB) as client:
        client.expect_state(client_state(world.admin, WEB, group))
        felix.expect_words("Reading Calico's resources", VERSIONS[group])


def methods(client: SyncClient, name: str) -> list[str]:
    """What the first rule of a policy lets in; empty: there is no such policy."""
    found = client.policies.get(f"NetworkPolicy {NAMESPACE}/{name}")
    return list(found.inbound_rules[0].http_match.methods) if found else []


def put_aside(thing: Object, **metadata: Any) -> Object:
    """As Calico's API server stores it: what its user wrote is in an annotation."""
    thing["metadata"]["annotations"] = {"projectcalico.org/metadata": json.dumps(metadata)}
    return thing


def test_names_that_were_put_aside(world: Cluster, config: Path) -> None:
    """Who may write one policy takes no other's place by what it says there."""
    kept = put_aside(policy(STORED, "default.kept", "GET"), name="kept")
    forged = put_aside(policy(STORED, "default.forged", "PUT"), name="kept")
    with agent_of(config) as felix, client_of(felix.expect_ready(), WEB) as client:
        world.admin.create(kept)
        client.expect(lambda each: methods(each, "kept") == ["GET"])
        world.admin.create(forged)
        client.expect(lambda each: methods(each, "forged") == ["PUT"])
        assert methods(client, "kept") == ["GET"]
        felix.expect_words("Questionable resource", "default.forged", "kept", "ignored")
        world.admin.delete(kept)
        client.expect(lambda each: not methods(each, "kept"))
        world.admin.delete(forged)
        client.expect_state(client_state(world.admin, WEB))


def test_two_objects_of_one_name(world: Cluster, config: Path) -> None:
    """`x` and `default.x` are the same policy: the later counts; when that goes, the other does."""
    plain, prefixed = policy(STORED, "x", "GET"), policy(STORED, "default.x", "PUT")
    with agent_of(config) as felix, client_of(felix.expect_ready(), WEB) as client:
        for first, second in (((plain, "GET"), (prefixed, "PUT")), ((prefixed, "PUT"), (plain, "GET"))):
            for change, (thing, _), then in (
                (world.admin.create, first, [first[1]]),
                (world.admin.create, second, [second[1]]),
                (world.admin.delete, second, [first[1]]),
                (world.admin.delete, first, []),
            ):
                change(thing)
                client.expect(lambda each, wanted=then: methods(each, "x") == wanted)
        client.expect_state(client_state(world.admin, WEB))


def test_one_of_two_goes_while_nobody_looks(world: Cluster, tmp_path: Path) -> None:
    plain, prefixed = policy(STORED, "y", "GET"), policy(STORED, "default.y", "PUT")
    with Proxy(world.port) as proxy:
        config = world.kubeconfig(tmp_path / "config", world.admin_with_token(), server=proxy.url)
        with agent_of(config) as felix, client_of(felix.expect_ready(), WEB) as client:
            world.admin.create(plain)
            world.admin.create(prefixed)
            client.expect(lambda each: methods(each, "y") == ["PUT"])
            proxy.cut()
            world.admin.delete(prefixed)
            world.forget_history()
            proxy.mend()
            client.expect(lambda each: methods(each, "y") == ["GET"])
            world.admin.delete(plain)
            client.expect_state(client_state(world.admin, WEB))


def test_policy_moves_to_another_tier(world: Cluster, config: Path) -> None:
    """By which its name changes: `default.z` is z in the default tier, and itself in another."""
    with agent_of(config) as felix, client_of(felix.expect_ready(), WEB) as client:
        for tier in ("default", "other", "default"):
            moved = policy(STORED, "default.z", "GET", tier=tier)
            world.admin.apply(moved)
            client.expect_state(client_state(world.admin, WEB))
        world.admin.delete(moved)
        client.expect_state(client_state(world.admin, WEB))


def settings(name: str, **spec: Any) -> Object:
    return {**new_object(VERSIONS[STORED], "FelixConfiguration", name), "spec": spec}


def test_settings_of_the_node(world: Cluster, config: Path, tmp_path: Path) -> None:
    """FelixConfigurations and the Node count, as they come; what is of another node does not."""
    folder = tmp_path / "sync"
    default = settings("default", policySyncPathPrefix=str(folder / "default"))
    some = settings("some", nodeSelector="kind == 'edge'", policySyncPathPrefix=str(folder / "some"))
    other = settings("node.other", policySyncPathPrefix=str(folder / "other"))
    node = new_object("v1", "Node", NODE, labels={"kind": "edge"})
    felix = ClusterAgent(config)
    try:
        felix.run("--datastore", "kubernetes", "--node", NODE, environment={"KUBECONFIG": str(config)})
        felix.expect_words("Policy Sync API is off")
        for thing in (default, some, other):
            world.admin.create(thing)
        felix.expect_words("Serving the Policy Sync API", str(folder / "default"))
        world.admin.create(node)
        felix.expect_words("Serving the Policy Sync API", str(folder / "some"))
        felix.forget_log()
        world.admin.delete(some)
        felix.expect_words("Serving the Policy Sync API", str(folder / "default"))
        world.admin.delete(default, other, node)
        felix.expect_words("Policy Sync API is off")
        assert not felix.lines("Serving the Policy Sync API", prefix=str(folder / "other"))
    finally:
        felix.close()


def test_cluster_that_says_that_it_is_not_ready(world: Cluster, config: Path) -> None:
    information = new_object(VERSIONS[STORED], "ClusterInformation", "default")
    with agent_of(config) as felix, client_of(felix.expect_ready(), WEB) as client:
        world.admin.create({**information, "spec": {"datastoreReady": False}})
        felix.expect_words("ClusterInformation says that the datastore is not ready")
        before = client.known()
        world.admin.create(policy(STORED, "held", "GET"))
        felix.expect(lambda: felix.readiness()[0] == 503, "it says so")
        world.admin.patch(information, {"spec": {"datastoreReady": True}})
        client.expect(lambda each: methods(each, "held") == ["GET"])
        assert client.since(before).count("active_policy_update") == 1
        world.admin.delete(information, policy(STORED, "held"))
        client.expect_state(client_state(world.admin, WEB))
