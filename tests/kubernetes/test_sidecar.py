"""A sidecar without an agent: `dikastes --dial kubernetes:` with the rights of deploy/kubernetes/sidecar and no others."""

import os
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

import pytest
import yaml
from client import Object
from cluster import STORED, Cluster
from objects import new_object, pod
from policy_sync_server import DIKASTES, Answer, Sidecar
from waiting import wait_until

RIGHTS = Path(__file__).resolve().parents[2] / "deploy" / "kubernetes" / "sidecar"
SECONDS = 60.0
WEB, FRIEND, STRANGER = "10.2.0.1", "10.2.0.2", "10.2.0.3"
DENIED = Answer("denied_by_tier_default", "", -1)
READS_KUBERNETES = {"namespaces", "serviceaccounts", "pods", "networkpolicies", "endpointslices"}


def allow(selector: str) -> Object:
    """The policy of the pod `web`."""
    spec = {"selector": "app == 'web'", "ingress": [{"action": "Allow", "source": {"selector": selector}}]}
    return {**new_object(f"{STORED}/v1", "NetworkPolicy", "default.web"), "spec": spec}


def request(source: str) -> dict[str, str]:
    return {"from": source, "method": "GET", "principal": ""}


def bind_rights(cluster: Cluster, namespace: str) -> None:
    """Apply the manifests as docs/kubernetes.md says, for the service accounts of this namespace."""
    cluster.kubectl("apply", "-f", str(RIGHTS / "rbac.yaml"))
    binding = (RIGHTS / "binding.yaml").read_text()
    binding = binding.replace("namespace: default", f"namespace: {namespace}")
    binding = binding.replace("serviceaccounts:default", f"serviceaccounts:{namespace}")
    cluster.kubectl("apply", "-f", "-", stdin=binding.replace("cluster-default", f"cluster-{namespace}"))


@pytest.fixture
def bank(cluster: Cluster, namespace: str) -> Iterator[str]:
    """A namespace with a guarded pod and two others; the account `web` may read what a sidecar needs."""
    bind_rights(cluster, namespace)
    cluster.admin.create(new_object("v1", "ServiceAccount", "web", namespace))
    cluster.create_all([
        pod(namespace, "web", addresses=[WEB], labels={"app": "web"}, account="web"),
        pod(namespace, "friend", addresses=[FRIEND], labels={"app": "friend"}),
        pod(namespace, "stranger", addresses=[STRANGER], labels={"app": "stranger"}),
    ])
    cluster.admin.apply(in_namespace(allow("app == 'friend'"), namespace))
    yield namespace
    cluster.admin.delete(new_object("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", f"dikastes-cluster-{namespace}"))


def in_namespace(thing: Object, namespace: str) -> Object:
    return {**thing, "metadata": {**thing["metadata"], "namespace": namespace}}


@contextmanager
def sidecar_of(cluster: Cluster, namespace: str, folder: Path, **how: str) -> Iterator[Sidecar]:
    """A sidecar of the pod `web` that has its policy; `how` are fields of the kubeconfig's user, if not a token."""
    user = how or {"token": cluster.account_token(namespace, "web")}
    config = cluster.kubeconfig(folder / "config", user)
    yield from running(Sidecar(f"kubernetes:{config}", "--workload", f"{namespace}/web"))


def running(sidecar: Sidecar) -> Iterator[Sidecar]:
    try:
        sidecar.start()
        wait_until(sidecar.is_ready, "the sidecar has its policy", SECONDS)
        yield sidecar
    finally:
        sidecar.close()


def expect(sidecar: Sidecar, source: str, answer: Answer) -> None:
    try:
        wait_until(lambda: sidecar.ask(request(source)) == answer, f"{source} gets {answer}", SECONDS)
    except TimeoutError as late:
        raise AssertionError(f"{late}; it got {sidecar.ask(request(source))}; log:\n{sidecar.journal()}") from None


def allowed(namespace: str) -> Answer:
    return Answer("allowed_by_rule", f"NetworkPolicy {namespace}/web", 0)


def test_judges_and_feels_changes(cluster: Cluster, bank: str, tmp_path: Path) -> None:
    with sidecar_of(cluster, bank, tmp_path) as sidecar:
        expect(sidecar, FRIEND, allowed(bank))
        expect(sidecar, STRANGER, DENIED)
        cluster.admin.apply(in_namespace(allow("app == 'stranger'"), bank))
        expect(sidecar, STRANGER, allowed(bank))
        expect(sidecar, FRIEND, DENIED)
        cluster.create_all([pod(bank, "stranger-2", addresses=["10.2.0.4"], labels={"app": "stranger"})])
        expect(sidecar, "10.2.0.4", allowed(bank))


def test_reads_no_more_than_its_rights(cluster: Cluster, bank: str, tmp_path: Path) -> None:
    """Every request was allowed, and every right of the manifests was needed for one."""
    with sidecar_of(cluster, bank, tmp_path) as sidecar:
        expect(sidecar, FRIEND, allowed(bank))
    asked = cluster.requests(f"system:serviceaccount:{bank}:web")
    assert {each.status for each in asked} <= {200, 429}, asked  # the last while definitions are new
    paths = {each.path.split("?")[0] for each in asked if each.path != "/apis"}
    local = {path for path in paths if f"/namespaces/{bank}/" in path}
    assert {kind_of(path) for path in paths - local} == rights("dikastes-cluster")
    assert {kind_of(path) for path in local} == rights("dikastes-namespace")


def kind_of(path: str) -> tuple[str, str]:
    """Group and resource of a request's path."""
    parts = path.strip("/").split("/")
    return ("" if parts[0] == "api" else parts[1]), parts[-1]


def rights(role: str) -> set[tuple[str, str]]:
    """Those of a role, in the group that this cluster stores Calico's resources in."""
    for document in yaml.safe_load_all((RIGHTS / "rbac.yaml").read_text()):
        if document["metadata"]["name"] == role:
            return {(group, resource) for rule in document["rules"] for group in rule["apiGroups"]
                    for resource in rule["resources"] if group != "projectcalico.org"}
    raise KeyError(role)


def test_goes_on_while_the_server_is_away(cluster: Cluster, bank: str, tmp_path: Path) -> None:
    with sidecar_of(cluster, bank, tmp_path) as sidecar:
        expect(sidecar, FRIEND, allowed(bank))

        def while_it_is_down() -> None:
            for _ in range(50):
                assert sidecar.ask(request(FRIEND)) == allowed(bank)
                assert sidecar.ask(request(STRANGER)) == DENIED
            wait_until(lambda: "stays in force" in sidecar.journal(), "the log says so", SECONDS)
            assert sidecar.is_ready()

        cluster.restart(while_it_is_down)
        cluster.admin.apply(in_namespace(allow("app == 'stranger'"), bank))
        expect(sidecar, STRANGER, allowed(bank))


def test_a_token_that_is_replaced(cluster: Cluster, bank: str, tmp_path: Path) -> None:
    """Fenced in, the sidecar still reads the new file; and the certificates' folder, for a connection that is made anew."""
    token = tmp_path / "token"
    token.write_text(cluster.short_token(bank, "web", 8))
    ended = time.monotonic() + 9
    with sidecar_of(cluster, bank, tmp_path, tokenFile=str(token)) as sidecar:
        expect(sidecar, FRIEND, allowed(bank))
        # What is connected has to show its token again, to a server that does not remember it.
        cluster.restart(lambda: time.sleep(max(0.0, ended - time.monotonic())))
        wait_until(lambda: "401" in sidecar.journal(), "the token is refused", SECONDS)
        assert sidecar.ask(request(STRANGER)) == DENIED
        new = tmp_path / "new"
        new.write_text(cluster.account_token(bank, "web"))
        os.replace(new, token)
        cluster.admin.apply(in_namespace(allow("app == 'stranger'"), bank))
        expect(sidecar, STRANGER, allowed(bank))


SETUP = """
mount -t tmpfs tmpfs /run
mkdir -p /run/secrets/kubernetes.io/serviceaccount
cp "$0"/* /run/secrets/kubernetes.io/serviceaccount/
exec env KUBERNETES_SERVICE_HOST=127.0.0.1 KUBERNETES_SERVICE_PORT="$1" "${@:2}"
"""


def test_in_a_pod(cluster: Cluster, bank: str, tmp_path: Path) -> None:
    """With what Kubernetes gives a pod, and nothing said but `kubernetes:`."""
    account = cluster.mount_account(tmp_path / "account", bank, "web")
    wrapper = ["unshare", "-m", "bash", "-e", "-c", SETUP, str(account), str(cluster.port)]
    for sidecar in running(Sidecar("kubernetes:", "--workload", f"{bank}/web", wrapper=wrapper)):
        expect(sidecar, FRIEND, allowed(bank))
        expect(sidecar, STRANGER, DENIED)


def test_without_a_right(cluster: Cluster, bank: str, tmp_path: Path) -> None:
    """It is not ready, refuses, and says which right is missing; given it, it is ready."""
    cluster.kubectl("delete", "rolebinding", "-n", bank, "dikastes-namespace")
    config = cluster.kubeconfig(tmp_path / "config", {"token": cluster.account_token(bank, "web")})
    sidecar = Sidecar(f"kubernetes:{config}", "--workload", f"{bank}/web")
    try:
        sidecar.start()
        wait_until(lambda: "networkpolicies" in sidecar.journal() and "403" in sidecar.journal(), "it is said", SECONDS)
        assert not sidecar.is_ready()
        assert sidecar.ask(request(FRIEND)).reason == "not_in_sync"
        bind_rights(cluster, bank)
        wait_until(sidecar.is_ready, "the sidecar has its policy", SECONDS)
        expect(sidecar, FRIEND, allowed(bank))
    finally:
        sidecar.close()


@pytest.mark.parametrize("arguments, words", [
    (["-d", "kubernetes:/nowhere", "--workload", "bank/web"], ["/nowhere", "No such file"]),
    (["-d", "kubernetes:"], ["--workload NAMESPACE/POD"]),
    (["-d", "kubernetes:", "--workload", "bank"], ["--workload", "NAMESPACE/POD"]),
    (["-d", "kubernetes:", "--workload", "../x/web"], ["--workload", "../x/web"]),
    (["-d", "kubernetes:{exec}", "--workload", "bank/web"], ["get-token", "token file"]),
])
def test_what_cannot_be(cluster: Cluster, tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    """An error at the start, which names the culprit."""
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "get-token", "interactiveMode": "Never"}
    config = cluster.kubeconfig(tmp_path / "exec", {"exec": plugin})  # type: ignore[dict-item]
    given = [argument.replace("{exec}", str(config)) for argument in arguments]
    environment = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
    done = subprocess.run([str(DIKASTES), "server", "-l", str(tmp_path / "s"), *given], capture_output=True, text=True,
                          timeout=SECONDS, check=False, env={**environment, "HOME": str(tmp_path)})
    assert done.returncode == 1
    for word in words:
        assert word in done.stderr
