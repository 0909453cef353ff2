"""Who asks the API server, and where it is: certificates, tokens, programs that give them; proxies, and what a pod finds."""

import json
import shutil
import stat
from pathlib import Path
from typing import Any, Iterator

import pytest
import yaml
from agents import ClusterAgent, agent_of, client_of
from cluster import STORED, Cluster
from connect_proxy import ConnectProxy
from cryptography import x509
from listed import client_state, wipe
from mesh.certificates import Authority
from node import Node
from objects import new_object, pod
from proxy import Proxy
from test_felix_start import config_of, expect_nothing
from waiting import process_runs, wait_until

NAMESPACE, WEB = "asking", "asking/web"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:felix"
EVERYTHING = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}]
EXEC = "client.authentication.k8s.io/v1"


@pytest.fixture(scope="module")
def world(cluster: Cluster) -> Iterator[Cluster]:
    """A pod of the node, and a policy of its own."""
    cluster.create_namespace(NAMESPACE)
    cluster.admin.create(pod(NAMESPACE, "web", addresses=["10.0.0.2"], labels={"app": "web"}))
    policy = new_object(f"{STORED}/v1", "NetworkPolicy", "default.web", NAMESPACE)
    cluster.admin.create({**policy, "spec": {"selector": "app == 'web'", "ingress": [{"action": "Allow"}]}})
    yield cluster
    wipe(cluster)


# ---- who asks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("embed", [False, True])
def test_client_certificate(world: Cluster, tmp_path: Path, embed: bool) -> None:
    with agent_of(world.kubeconfig(tmp_path / "config", world.user_with_certificate(), embed=embed)) as felix:
        expect_all_of(world, felix)


def test_certificate_of_a_stranger(world: Cluster, tmp_path: Path) -> None:
    files = Authority(tmp_path / "other", "other").issue("admin", x509.DNSName("admin"))
    user = {"client-certificate": str(files.certificate), "client-key": str(files.key)}
    with agent_of(world.kubeconfig(tmp_path / "config", user)) as felix:
        expect_nothing(felix, "/api/v1/pods", "HTTP status 401")


def test_files_beside_the_kubeconfig(world: Cluster, tmp_path: Path) -> None:
    """Paths in it are relative to its folder; of several files the first that says something counts."""
    (tmp_path / "ca").write_bytes(world.credentials.root.read_bytes())
    (tmp_path / "token").write_text(world.credentials.admin_token)
    whole = config_of({"server": world.url, "certificate-authority": "ca"}, {"tokenFile": "token"})
    (tmp_path / "first").write_text(yaml.safe_dump({"current-context": "x"}))
    (tmp_path / "second").write_text(yaml.safe_dump({**whole, "current-context": "y"}))
    paths = ":".join(str(tmp_path / name) for name in ("first", "none", "second"))
    with agent_of(Path(paths)) as felix:
        expect_all_of(world, felix)


def test_replaced_token_is_used(world: Cluster, tmp_path: Path) -> None:
    """When the one before is refused it is read at once."""
    token = tmp_path / "token"
    token.write_text(world.short_token(NAMESPACE, "felix", -1))
    with agent_of(world.kubeconfig(tmp_path / "config", {"tokenFile": str(token)})) as felix:
        expect_nothing(felix, "/api/v1/pods", "HTTP status 401")
        token.write_text(world.credentials.admin_token)
        expect_all_of(world, felix)


def expect_all_of(cluster: Cluster, felix: ClusterAgent) -> None:
    """It is ready and knows what it should."""
    with client_of(felix.expect_ready(), WEB) as client:
        client.expect_state(client_state(cluster.admin, WEB))


# ---- a program that gives credentials ------------------------------------------------------------------------------


class Program:
    """A program for `exec`, which prints what a file has, and counts its runs."""

    def __init__(self, folder: Path) -> None:
        self.runs, self.output, self.path = folder / "runs", folder / "output", folder / "program"
        self.write("")

    def write(self, tail: str) -> None:
        """`tail`: what it does after it has printed."""
        lines = ["#!/bin/sh", f'echo "$KUBERNETES_EXEC_INFO" >>{self.runs}', f"cat {self.output}", tail, ""]
        self.path.write_text("\n".join(lines))
        self.path.chmod(self.path.stat().st_mode | stat.S_IXUSR)

    def gives(self, **status: str) -> None:
        """What it prints."""
        self.output.write_text(json.dumps({"apiVersion": EXEC, "kind": "ExecCredential", "status": status}))

    def count(self) -> int:
        """How often it was run."""
        return len(self.runs.read_text().splitlines()) if self.runs.exists() else 0

    def kubeconfig(self, cluster: Cluster, folder: Path, **more: Any) -> Path:
        """One that names it."""
        section: Any = {"command": str(self.path), "apiVersion": EXEC, "interactiveMode": "Never", **more}
        return cluster.kubeconfig(folder / "config", {"exec": section})


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


def test_program_gives_a_token(world: Cluster, program: Program, tmp_path: Path) -> None:
    program.gives(token=world.credentials.admin_token)
    with agent_of(program.kubeconfig(world, tmp_path, provideClusterInfo=True)) as felix:
        expect_all_of(world, felix)
        assert program.count() == 1
        told = json.loads(program.runs.read_text())
        assert told["spec"]["cluster"]["server"] == world.url and told["spec"]["interactive"] is False


def test_program_gives_a_certificate(world: Cluster, program: Program, tmp_path: Path) -> None:
    files = world.credentials.client_certificate("admin")
    program.gives(clientCertificateData=files.certificate.read_text(), clientKeyData=files.key.read_text())
    with agent_of(program.kubeconfig(world, tmp_path)) as felix:
        expect_all_of(world, felix)


def test_what_it_gives_expires(world: Cluster, program: Program, tmp_path: Path) -> None:
    """It is asked again before the next request, not before, and not without a pause; what it gives is used all the same,
    since it may be our clock that is wrong."""
    program.gives(token=world.credentials.admin_token, expirationTimestamp="2020-01-01T00:00:00Z")
    with Proxy(world.port) as proxy:
        config = program.kubeconfig(world, tmp_path)
        config.write_text(config.read_text().replace(world.url, proxy.url))
        with agent_of(config) as felix:
            expect_all_of(world, felix)
            assert program.count() == 1
            felix.expect_words("credentials that have expired", str(program.path))
            program.gives(token=world.credentials.admin_token, expirationTimestamp="2100-01-01T00:00:00Z")

            def is_asked_again() -> bool:
                proxy.drop_connections()
                return program.count() == 2

            felix.expect(is_asked_again, "it is asked again")
            proxy.drop_connections()
            felix.expect_watching()
            assert program.count() == 2
            assert "waiting for" not in felix.journal()


def credential(version: str = EXEC, **status: str) -> str:
    return json.dumps({"kind": "ExecCredential", "apiVersion": version, "status": status})


BAD_OUTPUT = {
    "no JSON": ("nonsense", "printed no JSON"),
    "another kind": (json.dumps({"kind": "Status", "apiVersion": EXEC}), "no ExecCredential"),
    "another version": (credential(f"{EXEC}beta1", token="t"), "no ExecCredential"),
    "nothing in it": (credential(), "neither a token nor a certificate"),
    "half of it": (credential(clientKeyData="k"), "without the other"),
    "two lines": (credential(token="a\nX: y"), "strange character"),
    "no time": (credential(token="t", expirationTimestamp="soon"), "is no time"),
}


@pytest.mark.parametrize("output, words", BAD_OUTPUT.values(), ids=BAD_OUTPUT)
def test_program_prints_nonsense(world: Cluster, program: Program, tmp_path: Path, output: str, words: str) -> None:
    program.output.write_text(output)
    with agent_of(program.kubeconfig(world, tmp_path)) as felix:
        expect_nothing(felix, "No credentials for the API server", str(program.path), words)
        assert program.count() <= 2  # it is not run without a pause


def test_program_fails_and_recovers(world: Cluster, program: Program, tmp_path: Path) -> None:
    program.gives(token=world.credentials.admin_token)
    program.write("exit 3")
    with agent_of(program.kubeconfig(world, tmp_path, installHint="ask your administrator")) as felix:
        expect_nothing(felix, "No credentials", "failed", "ask your administrator")
        program.write("")
        expect_all_of(world, felix)


def test_program_prints_without_end(world: Cluster, program: Program, tmp_path: Path) -> None:
    program.gives()
    program.write("exec yes")
    with agent_of(program.kubeconfig(world, tmp_path)) as felix:
        expect_nothing(felix, "No credentials", "more than 1 MiB")
        assert children_of(felix) == []


def test_program_is_not_there(world: Cluster, program: Program, tmp_path: Path) -> None:
    program.path.unlink()
    with agent_of(program.kubeconfig(world, tmp_path)) as felix:
        expect_nothing(felix, "Cannot read", "/api/v1/pods", "cannot run", "program")


def test_program_hangs(world: Cluster, program: Program, tmp_path: Path) -> None:
    """felix waits for it, is asked meanwhile, and takes it along when it ends."""
    program.gives()
    program.write("sleep 600")
    with agent_of(program.kubeconfig(world, tmp_path)) as felix:
        felix.expect(lambda: len(children_of(felix)) == 1, "it runs")
        expect_nothing(felix, "Asking a program", str(program.path))
        family = descendants_of(felix)
        assert program.count() == 1 and len(family) == 2
    wait_until(lambda: not any(process_runs(each) for each in family), "they have ended")


def children_of(felix: ClusterAgent) -> list[int]:
    return _children(felix.process.pid)


def descendants_of(felix: ClusterAgent) -> list[int]:
    found = children_of(felix)
    for each in found:
        found += _children(each)
    return found


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


# ---- where the server is ------------------------------------------------------------------------------------------------


def test_through_a_proxy(world: Cluster, tmp_path: Path) -> None:
    """proxy-url of the kubeconfig, which gets to see nothing but bytes."""
    with ConnectProxy() as proxy:
        server = {"server": world.url, "certificate-authority": str(world.credentials.root), "proxy-url": proxy.url}
        config = config_of(server, world.admin_with_token())
        (tmp_path / "config").write_text(yaml.safe_dump(config))
        with agent_of(tmp_path / "config") as felix:
            expect_all_of(world, felix)
        assert proxy.asked_for == {f"127.0.0.1:{world.port}"}


@pytest.fixture
def elsewhere() -> Iterator[Node]:
    """A mount namespace, for what lies in places of the system."""
    made = Node()
    yield made
    made.close()


def test_in_a_pod(world: Cluster, elsewhere: Node) -> None:
    """Address from the environment, token and authority from the folder that every pod has."""
    folder = elsewhere.path("/run/secrets/kubernetes.io/serviceaccount")
    world.grant("asking", ACCOUNT, EVERYTHING)
    world.mount_account(folder, NAMESPACE, "felix")
    where = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(world.port)}
    with agent_of(None, node=elsewhere, **where) as felix:
        expect_all_of(world, felix)
        felix.expect_words("Reading from the API server", world.url, "in-cluster")
    (folder / "token").unlink()
    with agent_of(None, node=elsewhere, **where) as felix:
        felix.expect_failure("/serviceaccount/token", "automountServiceAccountToken")
    world.withdraw("asking")


def test_authorities_of_the_system_count_only_if_none_is_named(world: Cluster, elsewhere: Node, tmp_path: Path) -> None:
    """They trust the cluster's here; who names another trusts that alone."""
    elsewhere.must("mount", "-t", "tmpfs", "tmpfs", "/etc/ssl/certs")
    root = elsewhere.path("/etc/ssl/certs/root.pem")
    shutil.copyfile(world.credentials.root, root)
    elsewhere.must("openssl", "rehash", "/etc/ssl/certs")
    shutil.copyfile(root, root.with_name("ca-certificates.crt"))
    config = tmp_path / "config"
    config.write_text(yaml.safe_dump(config_of({"server": world.url}, world.admin_with_token())))
    with agent_of(config, node=elsewhere) as felix:
        expect_all_of(world, felix)
    other = Authority(tmp_path / "other", "other").issue("x").authority
    server = {"server": world.url, "certificate-authority": str(other)}
    config.write_text(yaml.safe_dump(config_of(server, world.admin_with_token())))
    with agent_of(config, node=elsewhere) as felix:
        expect_nothing(felix, "/api/v1/pods", "certificate")
