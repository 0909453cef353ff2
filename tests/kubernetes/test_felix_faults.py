"""What may befall the API server and the way to it, while verdicts are asked for: none is wrong, what is wrong is said, and
in the end felix knows what the plain model says."""

from pathlib import Path
from typing import Iterator

import pytest
import steady
from client import ApiError
from cluster import Cluster
from listed import client_state, wipe
from objects import new_object, pod
from trouble import ROLE, RULES, Trouble, in_trouble, under_load
from waiting import wait_until

FORBIDDEN = "/apis/networking.k8s.io/v1/networkpolicies"


@pytest.fixture(scope="module")
def running(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trouble]:
    """One felix, which lives through all the tests of this file."""
    with in_trouble(cluster, tmp_path_factory.mktemp("trouble")) as made:
        yield made
    wipe(cluster)


@pytest.fixture
def trouble(running: Trouble) -> Iterator[Trouble]:
    """The same, under load, and well before and after the test."""
    with under_load(running):
        running.expect_well()
        yield running
        running.change()
        running.expect_well()


def test_nothing_is_wrong(trouble: Trouble) -> None:
    for _ in range(3):
        trouble.change()
        trouble.expect_well()
    assert not trouble.felix.lines("Cannot read")


# ---- the server --------------------------------------------------------------------------------


def test_server_is_killed_and_comes_back(trouble: Trouble) -> None:
    def meanwhile() -> None:
        trouble.expect_blind()
        trouble.felix.expect_words("Cannot read from the API server", "/api/v1/pods", "stays in force")

    trouble.cluster.restart(meanwhile)
    trouble.change()
    trouble.expect_well()
    trouble.felix.expect_words("Reading from the API server again", "/api/v1/pods")


def test_server_stops_in_order(trouble: Trouble) -> None:
    trouble.cluster.api_server.ask_to_stop()
    trouble.cluster.restart(trouble.expect_blind)


def test_server_hangs(trouble: Trouble) -> None:
    before = trouble.client.known()
    trouble.cluster.api_server.freeze()
    try:
        assert trouble.felix.readiness()[0] == 200
        trouble.proxy.drop_connections()
        trouble.expect_blind()
        trouble.expect_same(before)
    finally:
        trouble.cluster.api_server.thaw()


def test_watch_is_older_than_what_the_server_remembers(trouble: Trouble) -> None:
    """It is told so by 410, and lists anew; what went meanwhile is gone."""
    trouble.proxy.cut()
    trouble.change()
    trouble.cluster.forget_history()
    asked = len(trouble.cluster.requests(trouble.account))
    trouble.proxy.mend()
    trouble.expect_well()
    lists = [each for each in trouble.cluster.requests(trouble.account)[asked:] if "sendInitialEvents" in each.path]
    assert any("/pods" in each.path for each in lists) and any("networkpolicies" in each.path for each in lists)


def test_store_is_compacted(trouble: Trouble) -> None:
    trouble.change()
    trouble.cluster.compact()
    trouble.proxy.drop_connections()
    trouble.change()
    trouble.cluster.compact()


def test_store_is_restarted(trouble: Trouble) -> None:
    trouble.cluster.restart_etcd()


def test_felix_starts_while_the_server_does(trouble: Trouble, tmp_path: Path) -> None:
    """For some time a server that starts knows no resources but its own, and felix must not take that for the truth."""
    # Whose rights need not be looked up is let in first.
    config = trouble.cluster.kubeconfig(tmp_path / "config", trouble.cluster.admin_with_token())
    for _ in range(2):
        trouble.felix.stop()
        trouble.cluster.api_server.kill()
        trouble.felix.launch(KUBECONFIG=str(config))
        trouble.cluster.api_server.start()
        trouble.felix.expect_ready()
        trouble.reconnect()
        trouble.expect_well()
    assert not trouble.felix.lines("Calico's resources are not installed")
    trouble.felix.stop()
    trouble.felix.launch().expect_ready()
    trouble.reconnect()


def test_objects_are_large(trouble: Trouble) -> None:
    """As large as the server takes them; they go as they came."""
    before = trouble.felix.memory()
    nets = [f"10.{index >> 8}.{index & 255}.0/24" for index in range(256)]
    rules = [{"action": "Allow", "source": {"nets": nets, "notSelector": f"big == 'n{index}'"}} for index in range(250)]
    policy = steady.calico("NetworkPolicy", "default.large", {"selector": "app == 'database'", "ingress": rules})
    notes = {f"note-{index}": "x" * 60_000 for index in range(4)}
    large = pod(steady.NAMESPACE, "large", addresses=["10.3.0.1"], labels={f"l{index}": "x" * 63 for index in range(500)})
    large["metadata"]["annotations"] = notes
    for _ in range(3):
        trouble.cluster.admin.create(policy)
        trouble.cluster.admin.create(large)
        trouble.expect_well()
        trouble.cluster.admin.delete(policy, large)
        trouble.expect_well()
    assert trouble.felix.memory() < before + 64 * 1024


# ---- the network ---------------------------------------------------------------------------------


def test_network_is_cut(trouble: Trouble) -> None:
    trouble.proxy.cut()
    trouble.expect_blind()
    line = trouble.felix.expect_words("Cannot read", "networkpolicies", f"127.0.0.1 port {trouble.proxy.port}")
    before = trouble.client.known()
    trouble.change()
    # The milliseconds that libcurl names differ from try to try, which is no news.
    trouble.felix.expect(lambda: trouble.felix.metric("felix_kubernetes_requests_total") > 60, "it tries again")
    assert len(trouble.felix.lines("Cannot read", resource=line["resource"])) <= 2
    trouble.expect_same(before)
    trouble.proxy.mend()


def test_network_stalls(trouble: Trouble) -> None:
    before = trouble.client.known()
    trouble.proxy.stall()
    trouble.change()
    trouble.expect_same(before)
    trouble.proxy.mend()
    trouble.expect_well()
    assert not trouble.felix.lines("Cannot read")


def test_connections_are_reset_again_and_again(trouble: Trouble) -> None:
    for _ in range(4):
        trouble.proxy.drop_connections()
        trouble.change()
        trouble.expect_well()


def test_network_is_slow(trouble: Trouble) -> None:
    trouble.proxy.delay_seconds = 0.2
    trouble.change()
    trouble.expect_well()
    trouble.proxy.drop_connections()
    trouble.change()
    trouble.expect_well()
    trouble.proxy.mend()


def test_answers_break_off(trouble: Trouble) -> None:
    for size in (2000, 20_000):
        trouble.proxy.truncate_after = size
        trouble.proxy.drop_connections()
        trouble.expect_blind()
    trouble.felix.expect_words("Cannot read")
    trouble.change()
    trouble.proxy.mend()
    trouble.proxy.drop_connections()


# ---- rights ------------------------------------------------------------------------------------------


def test_token_is_refused_and_replaced(trouble: Trouble) -> None:
    held = trouble.token.read_text()
    # Its tokens end with the account; the server remembers for ten seconds that it took one.
    trouble.cluster.admin.delete(new_object("v1", "ServiceAccount", "felix", steady.NAMESPACE))
    wait_until(lambda: is_refused(trouble.cluster, held), "the token is refused", 30)
    trouble.proxy.drop_connections()
    trouble.expect_blind()
    trouble.felix.expect_words("Cannot read", "/api/v1/pods", "HTTP status 401", "Unauthorized")
    trouble.token.unlink()
    trouble.felix.expect_words("Cannot read", "token file", "cannot open", trouble.token.name)
    trouble.show_token(trouble.fresh_token())


def is_refused(cluster: Cluster, token: str) -> bool:
    """Whether the server does not take a token."""
    try:
        cluster.client(token=token).list_all("v1", "Node")
    except ApiError as error:
        return error.status == 401
    return False


def test_rights_are_withdrawn_and_given_back(trouble: Trouble) -> None:
    trouble.cluster.withdraw(ROLE)
    trouble.proxy.drop_connections()
    trouble.expect_blind()
    words = trouble.felix.expect_words("Cannot read", "/networkpolicies", "HTTP status 403", "cannot")
    assert trouble.account in words["problem"]
    trouble.change()
    trouble.cluster.grant(ROLE, trouble.account, RULES)


def test_right_to_one_kind_is_withdrawn(trouble: Trouble) -> None:
    """The others go on; what was read of that kind stays in force."""
    some = [rule for rule in RULES if rule["apiGroups"] != ["networking.k8s.io"]]
    trouble.cluster.grant(ROLE, trouble.account, some)
    trouble.proxy.drop_connections()
    trouble.felix.expect_words("Cannot read", "networking.k8s.io", "HTTP status 403")
    trouble.change()
    trouble.felix.expect(lambda: set(trouble.felix.blind_spots()) == {FORBIDDEN}, "all others are watched")
    kinds, watches = trouble.felix.kinds_and_watches()
    assert watches == kinds - 1
    trouble.client.expect_state(client_state(trouble.cluster.admin, steady.DATABASE))
    trouble.cluster.grant(ROLE, trouble.account, RULES)
