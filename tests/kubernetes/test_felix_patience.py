"""What felix finds out only after a while, by looking again: kinds that come and go, and a connection that is dead without
a word. The waits are felix' own, of half a minute and more; so they are waited for side by side."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Iterator

import pytest
from agents import ClusterAgent, agent_of, client_of
from client import Object
from cluster import STORED, Cluster
from listed import client_state, wipe
from objects import new_object, pod
from proxy import Proxy
from sync_client import Client as SyncClient

NAMESPACE, WEB = "patience", "patience/web"
POLICY = f"NetworkPolicy {NAMESPACE}/web"
LONG_SECONDS = 200.0  # three looks for what is not installed


def policy(method: str) -> Object:
    thing = new_object(f"{STORED}/v1", "NetworkPolicy", "default.web", NAMESPACE)
    rule = {"action": "Allow", "http": {"methods": [method]}}
    return {**thing, "spec": {"selector": "app == 'web'", "ingress": [rule]}}


def methods(client: SyncClient) -> list[str]:
    """What the policy lets in; empty: there is none."""
    return list(client.policies[POLICY].inbound_rules[0].http_match.methods) if POLICY in client.policies else []


@pytest.fixture(scope="module")
def world(cluster: Cluster) -> Iterator[Cluster]:
    """A pod of the node, with a policy of Calico's and one of Kubernetes'."""
    cluster.create_namespace(NAMESPACE)
    cluster.admin.create(pod(NAMESPACE, "web", addresses=["10.0.0.2"], labels={"app": "web"}))
    cluster.admin.create(policy("GET"))
    cluster.admin.create(
        {
            **new_object("networking.k8s.io/v1", "NetworkPolicy", "web", NAMESPACE),
            "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
        }
    )
    yield cluster
    cluster.install_crds()
    wipe(cluster)


class Agents:
    """Felixes that meet the same in different ways, each with its client."""

    def __init__(self, cluster: Cluster, folder: Path, stack: ExitStack) -> None:
        self._cluster, self._folder, self._stack = cluster, folder, stack

    def start(self, proxy: Proxy | None = None) -> ClusterAgent:
        """A new one, behind a proxy if there is one; it is not ready yet."""
        path = self._folder / f"config-{proxy.port if proxy else 0}"
        server = proxy.url if proxy else None
        config = self._cluster.kubeconfig(path, self._cluster.admin_with_token(), server=server)
        return self._stack.enter_context(agent_of(config))

    def proxy(self) -> Proxy:
        return self._stack.enter_context(Proxy(self._cluster.port))

    def client(self, felix: ClusterAgent) -> SyncClient:
        """Its client, in sync."""
        return self._stack.enter_context(client_of(felix.expect_ready(), WEB)).expect_in_sync()


@pytest.fixture(scope="module")
def agents(world: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agents]:
    with ExitStack() as stack:
        yield Agents(world, tmp_path_factory.mktemp("agents"), stack)


@pytest.fixture(scope="module")
def stalled(agents: Agents) -> ClusterAgent:
    """One whose first connection goes dead as soon as it is up."""
    proxy = agents.proxy()
    felix = agents.start(proxy)
    felix.expect_words("Reading Calico's resources")
    proxy.stall_present()
    return felix


def test_kinds_come_and_go(world: Cluster, agents: Agents, stalled: ClusterAgent) -> None:
    """They are there first, or not; they go before our eyes, or behind our back; they come back."""
    proxy = agents.proxy()
    watching, absent = agents.start(), agents.start(proxy)
    clients = {each: agents.client(each) for each in (watching, absent)}
    for client in clients.values():
        client.expect(lambda each: methods(each) == ["GET"])
    proxy.cut()
    world.remove_crds()
    clients[watching].expect_state(client_state(world.admin, WEB))
    assert methods(clients[watching]) == []
    watching.expect_words("networksets", "no such kind")

    # Who did not see it go takes no answer for an answer that there is nothing.
    proxy.mend()
    absent.expect_words("crd.projectcalico.org/v1/networkpolicies", "no such kind")
    assert methods(clients[absent]) == ["GET"]

    late = agents.start()
    late.expect_words("Calico's resources are not installed")
    clients[late] = agents.client(late)
    clients[late].expect_state(client_state(world.admin, WEB))
    assert set(clients[late].policies) == {f"KubernetesNetworkPolicy {NAMESPACE}/web"}

    world.install_crds()
    world.admin.create(policy("PUT"))
    wanted: dict[str, Any] = client_state(world.admin, WEB)
    for felix, client in clients.items():
        felix.expect(lambda each=client: methods(each) == ["PUT"], "the new policy is known", LONG_SECONDS)
        felix.expect(lambda each=felix: each.metric("felix_kubernetes_kinds") > 15, "all is looked for", LONG_SECONDS)
        felix.expect_watching(LONG_SECONDS)
        client.expect_state(wanted)


def test_connection_is_dead_without_a_word(world: Cluster, agents: Agents, stalled: ClusterAgent) -> None:
    """It would be tried for ever: the server's end of it is up."""
    stalled.expect_words("gone silent")
    agents.client(stalled).expect_state(client_state(world.admin, WEB))
