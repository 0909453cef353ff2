"""A felix that is to live through trouble with its API server, and all by which one sees that it does."""

import itertools
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Iterator

import steady
from agents import ClusterAgent, agent_of, sidecar_of
from client import Object
from cluster import STORED, Cluster
from listed import client_state
from node_agent import replace
from objects import pod
from policy_sync_server import Sidecar
from proxy import Proxy
from sync_client import Client as SyncClient

READ = ["get", "list", "watch"]
ROLE = "trouble"
# What felix needs, a rule a kind of right, so that one can be taken away.
RULES: list[Object] = [
    {"apiGroups": [""], "resources": ["namespaces", "serviceaccounts", "pods", "nodes"], "verbs": READ},
    {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": READ},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": READ},
    {"apiGroups": [STORED], "resources": ["*"], "verbs": READ},
]


class Trouble:
    """felix behind a proxy, the sidecar of `steady`, and a foreign client that is told of another pod."""

    def __init__(self, cluster: Cluster, proxy: Proxy, felix: ClusterAgent, sidecar: Sidecar, token: Path) -> None:
        self.cluster = cluster
        self.proxy = proxy
        self.felix = felix
        self.sidecar = sidecar
        self.token = token  # the file
        self.client: SyncClient | None = None
        self._numbers = itertools.count(1)

    @property
    def account(self) -> str:
        """felix' name as a user."""
        return f"system:serviceaccount:{steady.NAMESPACE}:felix"

    def fresh_token(self) -> str:
        """A token that is good."""
        return self.cluster.account_token(steady.NAMESPACE, "felix")

    def show_token(self, token: str) -> None:
        """Put a token into the file, in one step."""
        replace(self.token, token)

    def change(self) -> None:
        """Something new that the foreign client must hear of, and something old that is gone."""
        number = next(self._numbers)
        for thing in (self._policy(number), self._pod(number)):
            self.cluster.admin.create(thing)
        if number > 1:
            self.cluster.admin.delete(self._policy(number - 1), self._pod(number - 1))

    @staticmethod
    def _policy(number: int) -> Object:
        rule = {"action": "Allow", "source": {"selector": f"change == 'n{number}'"}}
        return steady.calico(
            "NetworkPolicy", f"default.change-{number}", {"selector": "app == 'database'", "ingress": [rule]}
        )

    @staticmethod
    def _pod(number: int) -> Object:
        return pod(
            steady.NAMESPACE,
            f"change-{number}",
            addresses=[f"10.2.0.{number}"],
            labels={"change": f"n{number}"},
            node="node-2",
        )

    def reconnect(self) -> None:
        """A new foreign client, in place of the one before."""
        if self.client:
            self.client.close()
        self.client = SyncClient(self.felix.mount("database", steady.DATABASE)).expect_in_sync()

    def expect_blind(self) -> None:
        """No news would reach it now, which its metrics say; it goes on with what it knows."""
        self.felix.expect(lambda: self.felix.metric("felix_kubernetes_watches") == 0, "nothing is watched")
        assert self.felix.readiness()[0] == 200 and self.felix.metric("felix_resync_state") == 3

    def expect_well(self) -> None:
        """It hears of everything, and its client knows what the plain model says."""
        self.felix.expect_watching()
        self.client.expect_state(client_state(self.cluster.admin, steady.DATABASE))

    def expect_same(self, before: int) -> None:
        """The client was told nothing since it knew so much."""
        assert self.client.since(before) == []


@contextmanager
def in_trouble(cluster: Cluster, folder: Path) -> Iterator[Trouble]:
    """All of it, in a world of its own."""
    with ExitStack() as stack:
        steady.build(cluster)
        proxy = stack.enter_context(Proxy(cluster.port))
        token = folder / "token"
        config = cluster.kubeconfig(folder / "config", {"tokenFile": str(token)}, server=proxy.url)
        made = Trouble(cluster, proxy, ClusterAgent(config), Sidecar(""), token)
        made.show_token(made.fresh_token())
        cluster.grant(ROLE, made.account, RULES)
        stack.callback(cluster.withdraw, ROLE)
        made.felix = stack.enter_context(agent_of(config)).expect_ready()
        made.sidecar = stack.enter_context(sidecar_of(made.felix, steady.WEB))
        made.sidecar.wait_for_reason("allowed_by_rule", steady.PROBES[2][0])
        yield made


@contextmanager
def under_load(trouble: Trouble) -> Iterator[Trouble]:
    """While verdicts are asked for all the time, and what they hang on changes all the time: not one is wrong."""
    trouble.felix.forget_log()
    trouble.reconnect()
    try:
        with steady.Load(trouble.sidecar) as load, steady.Flipping(trouble.cluster.admin):
            yield trouble
    finally:
        trouble.client.close()
    load.assert_right()
