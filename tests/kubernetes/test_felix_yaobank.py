"""Yao Bank as its user has it: `kubectl apply` of the demo's objects, and sidecars that decide by them.

The cluster stores Calico's resources in the newer group alone, which is the one that users write.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Iterator

import pytest
import yaml
from agents import ClusterAgent, agent_of, sidecar_of
from cluster import NATIVE, STORED, Cluster
from listed import wipe
from policy_sync_server import Answer, Sidecar
from waiting import wait_until

DEMO = Path(__file__).resolve().parents[2] / "demo"
POLICIES = DEMO / "policies"
ADDRESSES = {"customer": "10.65.0.11", "summary": "10.65.0.12", "database": "10.65.0.13", "attack": "10.65.0.14"}
OUTSIDE = "192.0.2.7"
GUARDED = ["customer", "summary", "database"]  # pods with a sidecar

Bank = dict[str, Sidecar]


@pytest.fixture(scope="module")
def native(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster with Calico's resources in the newer group, and nowhere else."""
    cluster.remove_crds(STORED)
    cluster.install_crds(NATIVE)
    yield cluster
    cluster.kubectl("delete", "--ignore-not-found", "--force", "--grace-period=0", "-f", str(DEMO / "cluster" / "pods.yaml"))
    cluster.kubectl("delete", "--ignore-not-found", "-f", str(DEMO / "cluster" / "serviceaccounts.yaml"))
    wipe(cluster, NATIVE)
    cluster.remove_crds(NATIVE)
    cluster.install_crds(STORED)


@pytest.fixture(scope="module")
def felix(native: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterAgent]:
    """The bank's objects are applied, and felix runs on its node."""
    for folder in ("cluster", "policies"):
        native.kubectl("apply", "-f", str(DEMO / folder))
    for pod in yaml.safe_load_all((DEMO / "cluster" / "pods.yaml").read_text()):
        if pod:
            native.admin.patch_status(pod, pod["status"])  # which kubelet would do
    config = native.kubeconfig(tmp_path_factory.mktemp("bank") / "config", native.user_with_certificate())
    with agent_of(config, "--node", "node") as agent:
        yield agent.expect_ready()


@pytest.fixture(scope="module")
def bank(felix: ClusterAgent) -> Iterator[Bank]:
    """A sidecar for each service, which knows its policy."""
    with ExitStack() as stack:
        sidecars = {name: stack.enter_context(sidecar_of(felix, f"default/{name}")) for name in GUARDED}
        for sidecar in sidecars.values():
            wait_until(sidecar.is_ready, "the sidecar has its policy")
        yield sidecars


def request(source: str, method: str = "GET", *, named: str | None = None, **more: Any) -> dict[str, Any]:
    """A request from a pod's address; `named`: whose certificate is shown, if any."""
    principal = f"spiffe://cluster.local/ns/default/sa/{named}" if named else ""
    return {"from": ADDRESSES.get(source, OUTSIDE), "method": method, "principal": principal, **more}


def allowed(name: str) -> Answer:
    return Answer("allowed_by_rule", f"GlobalNetworkPolicy {name}", 0)


DENIED = Answer("denied_by_tier_default", "", -1)

DECISIONS = [
    # The page works: browser → customer → summary → database.
    ("customer", request("outside"), allowed("customer")),
    ("summary", request("customer", named="customer"), allowed("summary")),
    ("database", request("summary", named="summary"), allowed("database")),
    # A POST to the page is refused.
    ("customer", request("outside", "POST"), DENIED),
    # From a shell in customer the database refuses: wrong identity.
    ("database", request("customer", named="customer"), DENIED),
    ("summary", request("database", named="database"), DENIED),
    # With summary's stolen certificate too: wrong address. From summary's own address it is let in.
    ("database", request("attack", named="summary"), DENIED),
    ("database", request("summary", "POST", named="summary"), allowed("database")),
    # The same policy guards a protocol that is not HTTP.
    ("database", request("summary", named="summary", http=False), allowed("database")),
    ("database", request("customer", named="customer", http=False), DENIED),
    # Plain text is judged by address alone.
    ("database", request("summary"), allowed("database")),
    ("database", request("attack"), DENIED),
    ("database", request("outside"), DENIED),
    ("summary", request("attack"), DENIED),
]


@pytest.mark.parametrize("pod, asked, answer", DECISIONS)
def test_decisions_of_the_demo(bank: Bank, pod: str, asked: dict[str, Any], answer: Answer) -> None:
    told = bank[pod].ask(asked)
    assert told._replace(policy=told.policy if answer.policy else "") == answer


def expect(bank: Bank, pod: str, asked: dict[str, Any], reason: str) -> None:
    """Wait until a request is answered for this reason."""
    bank[pod].wait_for_reason(reason, asked)


def test_policy_is_edited_with_kubectl(native: Cluster, bank: Bank) -> None:
    policy = yaml.safe_load((POLICIES / "customer.yaml").read_text())
    post = request("outside", "POST")
    for methods, reason in ((["GET", "POST"], "allowed_by_rule"), (["GET"], "denied_by_tier_default")):
        policy["spec"]["ingress"][0]["http"]["methods"] = methods
        native.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(policy))
        expect(bank, "customer", post, reason)


def test_policy_is_deleted_and_applied_again(native: Cluster, bank: Bank) -> None:
    stranger = request("attack")
    native.kubectl("delete", "globalnetworkpolicies.projectcalico.org", "database")
    # No policy, so no protection: as with every network policy in Kubernetes.
    expect(bank, "database", stranger, "allowed_by_profile")
    native.kubectl("apply", "-f", str(POLICIES / "database.yaml"))
    expect(bank, "database", stranger, "denied_by_tier_default")


def test_policy_of_kubernetes_joins_in(native: Cluster, bank: Bank) -> None:
    """Orders say which comes first: Calico's without one comes behind those of Kubernetes."""
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "shared", "namespace": "default"},
        "spec": {
            "podSelector": {"matchLabels": {"app": "database"}},
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "attack"}}}]}],
        },
    }
    native.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(policy))
    expect(bank, "database", request("attack"), "allowed_by_rule")
    native.kubectl("delete", "networkpolicies.networking.k8s.io", "-n", "default", "shared")
    expect(bank, "database", request("attack"), "denied_by_tier_default")


def test_pod_moves_to_another_address(native: Cluster, bank: Bank) -> None:
    """What the attacker may do follows from its label and its account, whatever its address."""
    native.kubectl("label", "pod", "-n", "default", "attack", "app=summary", "--overwrite")
    expect(bank, "database", request("attack"), "denied_by_tier_default")  # by account, not by label
    summary = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "summary", "namespace": "default"}}
    for address in ("10.65.0.99", ADDRESSES["summary"]):
        native.admin.patch_status(summary, {"podIP": address, "podIPs": [{"ip": address}]})
        expect(bank, "database", request("nobody", **{"from": address}), "allowed_by_rule")
    expect(bank, "database", request("nobody", **{"from": "10.65.0.99"}), "denied_by_tier_default")


def test_pod_that_is_gone_is_known_no_more(native: Cluster, bank: Bank) -> None:
    expect(bank, "summary", request("customer", named="customer"), "allowed_by_rule")
    native.kubectl("delete", "pod", "-n", "default", "--force", "--grace-period=0", "customer")
    expect(bank, "summary", request("customer"), "denied_by_tier_default")
    expect(bank, "customer", request("outside"), "no_endpoint")


def test_what_felix_says_of_it(felix: ClusterAgent) -> None:
    felix.expect_words("Reading Calico's resources", "projectcalico.org/v3")
    assert not felix.lines("Bad resource") and not felix.lines("Cannot read")
    kinds, watches = felix.kinds_and_watches()
    assert kinds == watches > 10
