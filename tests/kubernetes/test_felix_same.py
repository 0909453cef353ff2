"""A cluster and a directory with the same resources come to the same: random changes of both at once, until all clients
know what the plain model says. DIKAST_SEED repeats a run, DIKAST_PROPERTY_SCALE asks for more or fewer sequences."""

import os
import random
from contextlib import ExitStack
from pathlib import Path
from typing import Iterator

import node_agent
import pytest
import worlds
from agents import ClusterAgent, agent_of
from cluster import Cluster
from listed import node_state, wipe
from mirror import Change, Mirror
from plain.resources import is_broken
from plain.state import told_to
from proxy import Proxy
from sync_client import Client as SyncClient

SCALE = float(os.environ.get("DIKAST_PROPERTY_SCALE", "1"))
WORKLOADS = ["bank/p0", "bank/p1", "bank/p2", "shop/p0", "shop/p1", "audit/p0", "nowhere/nobody"]
SEQUENCES, FLUSHES = 4, 24
CUT, MENDED, LOOKS = 10, 16, [5, 16, 20]  # numbers of flushes


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Random numbers that a seed repeats."""
    seed = os.environ.get("DIKAST_SEED") or str(random.SystemRandom().randrange(10**9))
    print(f"DIKAST_SEED={seed}")
    return random.Random(f"{seed} {request.node.name}")


class Side:
    """One felix with a client for each workload, which comes back when its stream has ended."""

    def __init__(self, felix: node_agent.Agent) -> None:
        self._felix = felix
        self._clients: dict[str, SyncClient] = {}

    def expect(self, workload: str, wanted: dict[str, object]) -> None:
        """Wait until the client of a workload knows just that."""
        client = self._clients.get(workload)
        if client is None or client.code is not None:
            self._leave(workload)
            client = SyncClient(self._felix.mount(workload.replace("/", "."), workload))
            self._clients[workload] = client
        client.expect(lambda each: each.in_sync or each.code is not None)
        try:
            client.expect_state(wanted)
        except AssertionError:
            if client.code is None:
                raise
            self.expect(workload, wanted)  # it was told that its endpoint is gone, as we looked

    def _leave(self, workload: str) -> None:
        if workload in self._clients:
            self._clients.pop(workload).close()

    def close(self) -> None:
        """All clients leave, and tell of what was amiss."""
        for workload in list(self._clients):
            self._leave(workload)


class Both:
    """A felix on a cluster, one on a directory, and what changes both."""

    def __init__(self, cluster: Cluster, stack: ExitStack, folder: Path) -> None:
        self.cluster = cluster
        self.proxy = stack.enter_context(Proxy(cluster.port))
        config = cluster.kubeconfig(folder / "config", cluster.admin_with_token(), server=self.proxy.url)
        directory = stack.enter_context(node_agent.agent(started=False))
        self.mirror = Mirror(cluster, directory)
        self.mirror.adopt()
        directory.start()
        self.felix: ClusterAgent = stack.enter_context(agent_of(config)).expect_ready()
        self._sides = [Side(self.felix), Side(directory)]
        for side in self._sides:
            stack.callback(side.close)

    def compare(self, workloads: list[str]) -> None:
        """What the clients know on both sides is what they should."""
        whole = node_state(self.cluster.admin)
        for workload in workloads:
            for side in self._sides:
                side.expect(workload, told_to(whole, workload))


@pytest.fixture(scope="module")
def both(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    with ExitStack() as stack:
        yield Both(cluster, stack, tmp_path_factory.mktemp("same"))
    wipe(cluster)


def _clears(change: Change) -> bool:
    """Whether a whole namespace goes, which leaves little to look at."""
    return change.get("remove", "").startswith("Namespace ")


def _keeps_old(change: Change) -> bool:
    """Whether it breaks what stays in force as it was before, of which the model knows nothing."""
    kind = (change.get("set") or "").partition(" ")[0]
    return kind in ("Pod", "HostEndpoint", "Tier") and is_broken(change["to"])


def _one_sequence(both: Both, rng: random.Random, forgets: bool) -> None:
    """For a while felix is cut off from the cluster; `forgets`: so long that it must list all anew."""
    for number, flush in enumerate(worlds.sequence(rng, FLUSHES, worlds.Options())):
        if number == CUT:
            both.proxy.cut()
        for change in flush:
            if not _keeps_old(change) and (not _clears(change) or rng.random() < 0.2):
                both.mirror.change(change)
        if number == MENDED:
            if forgets:
                both.cluster.forget_history()
            both.proxy.mend()
        if number in LOOKS:
            both.compare(rng.sample(WORKLOADS, 3))
    both.compare(WORKLOADS)
    both.mirror.clear()


def test_cluster_and_directory_come_to_the_same(both: Both, rng: random.Random) -> None:
    for number in range(max(1, round(SEQUENCES * SCALE))):
        _one_sequence(both, rng, forgets=number % SEQUENCES == 1)
    both.compare(WORKLOADS)
    # The API server takes most of it, and what comes of it is worth a look.
    assert both.mirror.taken > 2 * both.mirror.refused > 0
