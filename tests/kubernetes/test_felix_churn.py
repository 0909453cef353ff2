"""Pods, namespaces and services come, change and go in a burst, while twenty sidecars read: in the end each knows what the
plain model says, and felix is no larger than before."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Callable, Iterator

import pytest
from agents import IS_SANITIZED, NODE, ClusterAgent, agent_of, client_of
from client import Object
from cluster import STORED, Cluster
from listed import node_state, wipe
from objects import new_object, pod
from plain.state import told_to
from sync_client import Client as SyncClient

HOME, AWAY, DOOMED = "churn-home", "churn-away", "churn-doomed"
APPS, TEAMS = ["web", "api", "batch"], ["red", "blue"]
SIDECARS, PODS, ROUNDS, THREADS = 20, 240, 2, 6
GROWTH_KIB = 4 * 1024


def calico(kind: str, name: str, spec: Object, namespace: str | None = None, **labels: str) -> Object:
    return {**new_object(f"{STORED}/v1", kind, name, namespace, labels), "spec": spec}


def policies() -> list[Object]:
    """Ones that hang on all that changes: labels of pods and namespaces, named ports, services, accounts, sets."""
    from_web = {"action": "Allow", "protocol": "TCP", "source": {"selector": "app == 'web'"}}
    named = {"action": "Allow", "protocol": "TCP", "destination": {"ports": ["http"], "selector": "app == 'api'"}}
    red = {"action": "Deny", "source": {"namespaceSelector": "team == 'red'", "notSelector": "app == 'batch'"}}
    service = {"action": "Allow", "protocol": "TCP", "destination": {"services": {"name": "front", "namespace": HOME}}}
    account = {"action": "Allow", "source": {"serviceAccounts": {"names": ["worker"]}}}
    return [
        calico("NetworkPolicy", "default.a", {"selector": "local == 'yes'", "ingress": [from_web, account]}, HOME),
        calico("GlobalNetworkPolicy", "default.b", {"order": 5, "ingress": [red], "egress": [named, service]}),
        calico("GlobalNetworkPolicy", "default.c", {"selector": "app == 'api'", "namespaceSelector": "has(team)"}),
        {
            **new_object("networking.k8s.io/v1", "NetworkPolicy", "d", HOME),
            "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{"from": [{"namespaceSelector": {}}]}]},
        },
    ]


class Burst:
    """Changes of many objects over several connections; each pod's come in their order."""

    def __init__(self, cluster: Cluster, rng: random.Random) -> None:
        self._admin = cluster.admin
        self._cluster = cluster
        self._rng = rng

    def run(self) -> None:
        """All of it at once."""
        lives = [self._life(number, random.Random(self._rng.random())) for number in range(PODS)]
        self._rng.shuffle(lives)
        with ThreadPoolExecutor(THREADS) as pool:
            done = [pool.submit(life) for life in [*lives[: PODS // 2], self._namespaces, self._services, *lives[PODS // 2 :]]]
            for each in done:
                each.result()
        self._cluster.delete_namespace(DOOMED)

    def _pod(self, number: int, rng: random.Random, node: str) -> Object:
        address = f"10.{rng.randrange(1, 200)}.{number >> 8}.{number & 255}"
        made = pod(
            [HOME, AWAY, DOOMED][number % 3],
            f"pod-{number}",
            addresses=[address],
            node=node,
            labels={"app": rng.choice(APPS)},
            account=rng.choice(["default", "worker"]),
        )
        made["spec"]["containers"][0]["ports"] = [{"name": "http", "containerPort": rng.choice([80, 8080])}]
        return made

    def _life(self, number: int, rng: random.Random) -> Callable[[], None]:
        """A pod is made; some things happen to it; then it may go."""

        def relabel(thing: Object) -> None:
            self._admin.patch(thing, {"metadata": {"labels": {"app": rng.choice(APPS)}}})

        def readdress(thing: Object) -> None:
            address = f"10.{rng.randrange(200, 250)}.{number >> 8}.{number & 255}"
            self._admin.patch_status(thing, {"podIP": address, "podIPs": [{"ip": address}]})

        def finish(thing: Object) -> None:
            self._admin.patch_status(thing, {"phase": rng.choice(["Succeeded", "Failed"])})

        def move(thing: Object) -> None:
            self._admin.delete(thing)
            self._admin.create(self._pod(number, rng, rng.choice([NODE, "node-2"])))

        def live() -> None:
            thing = self._pod(number, rng, rng.choice([NODE, "node-2", "node-3"]))
            self._admin.create(thing)
            for change in rng.choices([relabel, readdress, move, finish], [4, 3, 2, 1], k=3):
                change(thing)
            if rng.random() < 0.6:
                self._admin.delete(thing)

        return live

    def _namespaces(self) -> None:
        for number in range(20):
            namespace = new_object("v1", "Namespace", self._rng.choice([HOME, AWAY]))
            self._admin.patch(namespace, {"metadata": {"labels": {"team": TEAMS[number % 2]}}})

    def _services(self) -> None:
        for number in range(20):
            thing = new_object("discovery.k8s.io/v1", "EndpointSlice", f"front-{number % 3}", HOME)
            thing["metadata"]["labels"] = {"kubernetes.io/service-name": "front"}
            address = f"10.251.0.{number}"
            whole = {"addressType": "IPv4", "endpoints": [{"addresses": [address]}], "ports": [{"port": 80 + number % 2}]}
            self._admin.delete(thing)
            if number % 5:
                self._admin.create({**thing, **whole})


@pytest.fixture(scope="module")
def world(cluster: Cluster) -> Iterator[Cluster]:
    for namespace in (HOME, AWAY):
        cluster.create_namespace(namespace, {"team": "red"})
        cluster.admin.create(new_object("v1", "ServiceAccount", "worker", namespace))
    cluster.create_all(policies())
    cluster.create_all(
        pod(HOME, f"steady-{number}", addresses=[f"10.0.0.{number}"], labels={"app": APPS[number % 3], "local": "yes"})
        for number in range(SIDECARS)
    )
    yield cluster
    wipe(cluster)


@pytest.fixture
def felix(world: Cluster, tmp_path: Path) -> Iterator[ClusterAgent]:
    with agent_of(world.kubeconfig(tmp_path / "config", world.admin_with_token())) as made:
        yield made.expect_ready()


def expect_all(world: Cluster, clients: dict[str, SyncClient]) -> None:
    """Each knows what it should."""
    whole = node_state(world.admin)
    for workload, client in clients.items():
        client.expect_state(told_to(whole, workload))


def test_churn(world: Cluster, felix: ClusterAgent) -> None:
    seed = random.SystemRandom().randrange(10**9)
    print(f"seed {seed}")
    rng = random.Random(seed)
    with ExitStack() as stack:
        workloads = [f"{HOME}/steady-{number}" for number in range(SIDECARS)]
        # Some are slow to read.
        pauses = [None, None, None, lambda: time.sleep(0.01)]
        clients = {
            workload: stack.enter_context(client_of(felix, workload, pauses[index % 4]))
            for index, workload in enumerate(workloads)
        }
        sizes = []
        for _ in range(ROUNDS):
            world.create_namespace(DOOMED, {"team": "blue"})
            Burst(world, rng).run()
            expect_all(world, clients)
            sizes.append(felix.memory())
            world.admin.delete(*(each for each in world.admin.list_all("v1", "Pod")["items"] if _is_churned(each)))
            expect_all(world, clients)
        assert not felix.lines("Cannot read") and not felix.lines("Bad resource")
        assert min(len(client.kinds) for client in clients.values()) > 20 * ROUNDS  # they were told of it
        assert sizes[-1] < sizes[0] + GROWTH_KIB * (4 if IS_SANITIZED else 1), sizes


def _is_churned(thing: Object) -> bool:
    thing.update(apiVersion="v1", kind="Pod")
    return thing["metadata"]["name"].startswith("pod-")
