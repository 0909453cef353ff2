"""What keeps felix from starting, and what it says of it: a wrong kubeconfig, a server that is not the right one, or that
does not answer. It is not ready before it has read everything."""

from pathlib import Path
from typing import Any, Iterator

import pytest
import yaml
from agents import ClusterAgent, agent_of, client_of
from cluster import STORED, Cluster
from listed import client_state, wipe
from mesh.certificates import Authority
from objects import new_object, pod
from proxy import Proxy, Termination
from servers import free_port
from trouble import RULES

NAMESPACE, WEB = "start", "start/web"
USER = f"system:serviceaccount:{NAMESPACE}:felix"
NOT_READ = "not read completely yet"


@pytest.fixture(scope="module")
def world(cluster: Cluster) -> Iterator[Cluster]:
    """A pod of the node, and a policy of its own."""
    cluster.create_namespace(NAMESPACE)
    cluster.admin.create(pod(NAMESPACE, "web", addresses=["10.0.0.2"], labels={"app": "web"}))
    policy = new_object(f"{STORED}/v1", "NetworkPolicy", "default.web", NAMESPACE)
    cluster.admin.create({**policy, "spec": {"selector": "app == 'web'", "ingress": [{"action": "Allow"}]}})
    yield cluster
    wipe(cluster)


def expect_all(cluster: Cluster, felix: ClusterAgent) -> None:
    """It is ready, and knows what it should."""
    felix.expect_ready()
    with client_of(felix, WEB) as client:
        client.expect_state(client_state(cluster.admin, WEB))


def expect_nothing(felix: ClusterAgent, *words: str) -> None:
    """It says what is wrong, and is not ready."""
    felix.expect_words(*words)
    felix.expect(lambda: felix.readiness()[0] == 503, "the port is open")
    assert NOT_READ in felix.readiness()[1]
    assert "cannot be served" not in felix.readiness()[1]  # nobody tried
    felix.expect(lambda: felix.metric("felix_kubernetes_watches") == 0, "nothing is watched")
    assert felix.metric("felix_resync_state") == 1
    assert not felix.path("creds").exists()


# ---- kubeconfigs ---------------------------------------------------------------------------------------


def config_of(cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None, **top: Any) -> dict[str, Any]:
    """A kubeconfig with parts of our own."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster or {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": user or {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
        **top,
    }


OLD = "client.authentication.k8s.io/v1alpha1"
WRONG = {
    "no YAML": ("a: [", "config"),
    "no map": ("- a", "not a map"),
    "nothing": ("", "nothing in kubeconfig"),
    "no context": (config_of(**{"current-context": ""}), "no current-context"),
    "unknown context": (config_of(**{"current-context": "y"}), 'no context \\"y\\"'),
    "unknown cluster": (config_of(clusters=[]), 'cluster \\"c\\"'),
    "unknown user": (config_of(users=[]), 'user \\"u\\"'),
    "no server": (config_of({"tls-server-name": "a"}), "cluster c has no server"),
    "not a URL": (config_of({"server": "127.0.0.1:6443"}), "not an http(s) URL"),
    "impersonation": (config_of(user={"as": "root"}), "user u: as is not supported"),
    "old plug-in": (config_of(user={"auth-provider": {"name": "gcp"}}), "auth-provider is not supported"),
    "not base64": (config_of({"server": "https://a", "certificate-authority-data": "?"}), "is not base64"),
    "two lines of token": (config_of(user={"token": "a\nX-Remote-User: root"}), "token has a blank"),
    "program without version": (config_of(user={"exec": {"command": "a"}}), "exec needs command and apiVersion"),
    "old program": (config_of(user={"exec": {"command": "a", "apiVersion": OLD}}), "is not supported"),
}


@pytest.mark.parametrize("content, words", WRONG.values(), ids=WRONG)
def test_kubeconfig_is_wrong(tmp_path: Path, content: Any, words: str) -> None:
    config = tmp_path / "config"
    config.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    with agent_of(config) as felix:
        felix.expect_failure(words)


def test_kubeconfig_is_not_there(tmp_path: Path) -> None:
    with agent_of(tmp_path / "none") as felix:
        felix.expect_failure("cannot open kubeconfig", "none")


def test_there_is_no_kubeconfig() -> None:
    with agent_of(None) as felix:
        felix.expect_failure("no Kubernetes cluster is known")


def test_group_is_unknown(world: Cluster, tmp_path: Path) -> None:
    config = world.kubeconfig(tmp_path / "config", world.admin_with_token())
    with agent_of(config, CALICO_API_GROUP="projectcalico.org/v4") as felix:
        felix.expect_failure('CALICO_API_GROUP: \\"projectcalico.org/v4\\"')


# ---- the wrong server ------------------------------------------------------------------------------------


def test_server_has_a_certificate_of_another_authority(world: Cluster, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other", "other").issue("x").authority
    with Proxy(world.port) as proxy:
        config = tmp_path / "config"
        user = world.admin_with_token()
        config.write_text(yaml.safe_dump(config_of({"server": proxy.url, "certificate-authority": str(other)}, user)))
        with agent_of(config) as felix:
            expect_nothing(felix, "certificate", proxy.url)
            felix.expect_words("Cannot read", "/api/v1/pods", "certificate")
            assert proxy.counts.to_server < 8000 * proxy.counts.connections  # a handshake, and no request


def test_server_has_another_name(world: Cluster, tmp_path: Path) -> None:
    cluster = {"server": world.url, "certificate-authority": str(world.credentials.root)}
    config = tmp_path / "config"
    for name, is_right in (("other.example", False), ("localhost", True)):
        config.write_text(yaml.safe_dump(config_of({**cluster, "tls-server-name": name}, world.admin_with_token())))
        with agent_of(config) as felix:
            if is_right:
                expect_all(world, felix)
            else:
                expect_nothing(felix, "other.example", "certificate")


def test_certificate_is_not_checked_if_told_so(world: Cluster, tmp_path: Path) -> None:
    cluster = {"server": world.url, "insecure-skip-tls-verify": True}
    config = tmp_path / "config"
    config.write_text(yaml.safe_dump(config_of(cluster, world.admin_with_token())))
    with agent_of(config) as felix:
        expect_all(world, felix)


@pytest.mark.parametrize(
    "server, words",
    [
        ("https://no-such-host.invalid:6443", "no-such-host.invalid"),
        ("https://127.0.0.1:{port}", "127.0.0.1 port {port}"),
    ],
)
def test_there_is_no_server(world: Cluster, tmp_path: Path, server: str, words: str) -> None:
    port = free_port()
    config = world.kubeconfig(tmp_path / "config", world.admin_with_token(), server=server.format(port=port))
    with agent_of(config) as felix:
        expect_nothing(felix, "Cannot read", "/api/v1/pods", words.format(port=port))


# ---- the right server, which does not let felix in ------------------------------------------------------------


def test_token_is_wrong_at_first(world: Cluster, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("nonsense")
    config = world.kubeconfig(tmp_path / "config", {"tokenFile": str(token)})
    with agent_of(config) as felix:
        expect_nothing(felix, "/api/v1/namespaces", "HTTP status 401")
        token.write_text("")
        felix.expect_words("/api/v1/namespaces", "is empty")
        token.write_text(world.credentials.admin_token + "\n")
        expect_all(world, felix)


def test_rights_come_one_by_one(world: Cluster, tmp_path: Path) -> None:
    """As long as one kind is missing it is not ready; which, it says."""
    config = world.kubeconfig(tmp_path / "config", {"token": world.account_token(NAMESPACE, "felix")})
    *of_kubernetes, of_calico = RULES
    with agent_of(config) as felix:
        expect_nothing(felix, "/api/v1/pods", "HTTP status 403", USER)
        felix.expect_words("globalnetworkpolicies", "HTTP status 403", world.url)
        # The last that is missing decides whether there are resources of Calico's at all.
        some = [kind for kind in KINDS if kind != "globalnetworkpolicies"]
        world.grant("start", USER, [*of_kubernetes, {**of_calico, "resources": some}])
        count = sum(len(rule["resources"]) for rule in of_kubernetes)
        felix.expect(lambda: felix.kinds_and_watches() == (count, count), "Kubernetes' own kinds are read")
        assert felix.readiness()[0] == 503
        world.grant("start", USER, RULES)
        expect_all(world, felix)
    world.withdraw("start")


KINDS = [path.stem for path in (Path(__file__).resolve().parents[2] / "deploy/kubernetes/crds" / STORED).glob("*.yaml")]


# ---- answers that do not come, or not whole ---------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["http/1.1", "h2"])
def test_lists_break_off(world: Cluster, tmp_path: Path, protocol: str) -> None:
    """Half a list is none."""
    files = world.credentials.server
    termination = Termination(files.certificate, files.key, files.authority, protocol)
    with Proxy(world.port, termination) as proxy:
        config = world.kubeconfig(tmp_path / "config", world.admin_with_token(), server=proxy.url)
        proxy.truncate_after = 4000
        with agent_of(config) as felix:
            felix.expect_words("Cannot read", "/apis/")
            proxy.drop_connections()  # those over which a short list came whole, too
            expect_nothing(felix, "Cannot read", "/api/v1/pods")
            proxy.mend()
            proxy.drop_connections()
            expect_all(world, felix)


def test_server_is_slow(world: Cluster, tmp_path: Path) -> None:
    with Proxy(world.port) as proxy:
        proxy.delay_seconds = 0.3
        config = world.kubeconfig(tmp_path / "config", world.admin_with_token(), server=proxy.url)
        with agent_of(config) as felix:
            expect_all(world, felix)
