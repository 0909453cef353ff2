"""The harness itself: what other tests do to the cluster happens, and is seen by a client as a client would see it."""

import contextlib
import http.client
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Iterator

import pytest
from client import ApiError, Client
from cluster import Cluster
from mesh.processes import StartFailed
from objects import pod
from part import find_program
from proxy import Proxy, Termination
from waiting import process_runs, wait_until

READ_PODS = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "get", "watch"]}]


@pytest.fixture
def reader(cluster: Cluster, namespace: str) -> Iterator[str]:
    """The name, as a user, of the service account `reader`, which may read pods."""
    user = f"system:serviceaccount:{namespace}:reader"
    cluster.grant(f"reader-{namespace}", user, READ_PODS)
    yield user
    cluster.withdraw(f"reader-{namespace}")


def names(client: Client, namespace: str) -> set[str]:
    """The pods of a namespace."""
    return {pod["metadata"]["name"] for pod in client.list_all("v1", "Pod", namespace)["items"]}


def refusal(client: Client, namespace: str) -> tuple[int, str]:
    """How the server refuses a list of pods."""
    with pytest.raises(ApiError) as error:
        client.list_all("v1", "Pod", namespace)
    return error.value.status, error.value.reason


def test_pods_have_addresses_and_a_node(cluster: Cluster, namespace: str) -> None:
    cluster.admin.create(pod(namespace, "both", addresses=["10.0.0.1", "fd00::1"], node="far", labels={"app": "bank"}))
    cluster.admin.create(pod(namespace, "none"))
    both = cluster.admin.get("v1", "Pod", "both", namespace)
    assert both["status"]["podIPs"] == [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]
    assert both["spec"]["nodeName"] == "far" and both["metadata"]["labels"] == {"app": "bank"}
    assert "podIPs" not in cluster.admin.get("v1", "Pod", "none", namespace)["status"]


def test_many_pods_at_once(cluster: Cluster, namespace: str) -> None:
    start = time.monotonic()
    cluster.create_all(pod(namespace, f"pod-{i}", addresses=[f"10.1.{i // 250}.{i % 250 + 1}"]) for i in range(500))
    seconds = time.monotonic() - start
    pods = cluster.admin.list_all("v1", "Pod", namespace)["items"]
    assert len({pod["status"]["podIP"] for pod in pods}) == 500
    # On a machine that does nothing else 10,000 take less than 60 s; this one may be busy.
    assert seconds < 500 / 10000 * 60 * 10


def test_objects_are_changed_and_deleted(cluster: Cluster, namespace: str) -> None:
    thing = pod(namespace, "one", labels={"a": "1", "b": "2"})
    cluster.admin.apply(thing)
    changed = cluster.admin.patch(thing, {"metadata": {"labels": {"a": None, "b": "3"}}})
    assert changed["metadata"]["labels"] == {"b": "3"}
    changed["metadata"]["labels"] = {"c": "4"}
    assert cluster.admin.replace(changed)["metadata"]["labels"] == {"c": "4"}
    with pytest.raises(ApiError) as stale:
        cluster.admin.replace({**changed, "metadata": {**changed["metadata"], "resourceVersion": "1"}})
    assert stale.value.reason == "Conflict"
    cluster.admin.delete(thing)
    cluster.admin.delete(thing)
    assert names(cluster.admin, namespace) == set()


def test_namespace_ends_with_all_that_is_in_it(cluster: Cluster) -> None:
    cluster.create_namespace("ending", {"team": "web"})
    cluster.admin.create(pod("ending", "one", addresses=["10.0.0.1"]))
    version = cluster.admin.list_all("v1", "Namespace")["metadata"]["resourceVersion"]
    cluster.delete_namespace("ending")
    assert names(cluster.admin, "ending") == set()
    events = cluster.admin.watch("v1", "Namespace", version, timeoutSeconds=1)
    phases = [(event["type"], event["object"]["status"]["phase"]) for event in events]
    assert phases[0] == ("MODIFIED", "Terminating") and phases[-1] == ("DELETED", "Terminating")


def test_watch_of_changes(cluster: Cluster, namespace: str) -> None:
    version = cluster.admin.list_all("v1", "Pod", namespace)["metadata"]["resourceVersion"]
    cluster.admin.create(pod(namespace, "one", addresses=["10.0.0.1"]))
    events = [event["type"] for event in cluster.admin.watch("v1", "Pod", version, namespace, timeoutSeconds=1)]
    assert events == ["ADDED", "MODIFIED"]


def test_forgotten_history_is_410_in_a_watch_and_in_a_list(cluster: Cluster, namespace: str) -> None:
    cluster.create_all(pod(namespace, f"pod-{i}") for i in range(3))
    page = cluster.admin.list_all("v1", "Pod", namespace, limit=1)["metadata"]
    cluster.forget_history()
    event = next(cluster.admin.watch("v1", "Pod", page["resourceVersion"], namespace))
    assert event["type"] == "ERROR"
    assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")
    with pytest.raises(ApiError) as refused:
        cluster.admin.request("GET", cluster.admin.path("v1", "Pod", namespace), query={"continue": page["continue"]})
    assert (refused.value.status, refused.value.reason) == (410, "Expired")
    assert len(names(cluster.admin, namespace)) == 3


def test_account_tokens_work_and_end(cluster: Cluster, namespace: str, reader: str) -> None:
    cluster.admin.create(pod(namespace, "one"))
    assert names(cluster.client(token=cluster.account_token(namespace, "reader")), namespace) == {"one"}
    assert names(cluster.client(token=cluster.short_token(namespace, "reader", 60)), namespace) == {"one"}
    assert refusal(cluster.client(token=cluster.short_token(namespace, "reader", -1)), namespace) == (
        401,
        "Unauthorized",
    )
    assert refusal(cluster.client(token="nonsense"), namespace) == (401, "Unauthorized")
    assert refusal(cluster.client(), namespace) == (403, "Forbidden")


def test_token_ends_while_it_is_in_use(cluster: Cluster, namespace: str, reader: str) -> None:
    client = cluster.client(token=cluster.short_token(namespace, "reader", 2))
    assert names(client, namespace) == set()

    def ended() -> bool:
        try:
            names(client, namespace)
        except ApiError as error:
            return error.status == 401
        return False

    wait_until(ended, "the token is refused", 15)


def test_withdrawn_rights_are_403(cluster: Cluster, namespace: str) -> None:
    client = cluster.client(token=cluster.account_token(namespace, "guest"))
    assert refusal(client, namespace) == (403, "Forbidden")
    cluster.grant("guests", f"system:serviceaccount:{namespace}:guest", READ_PODS)
    assert names(client, namespace) == set()
    cluster.withdraw("guests")
    assert refusal(client, namespace) == (403, "Forbidden")


def test_requests_of_a_user_are_counted(cluster: Cluster, namespace: str, reader: str) -> None:
    client = cluster.client(token=cluster.account_token(namespace, "reader"))
    names(client, namespace)
    version = client.list_all("v1", "Pod", limit=5)["metadata"]["resourceVersion"]
    list(client.watch("v1", "Pod", version, timeoutSeconds=1))
    with pytest.raises(ApiError):
        client.list_all("v1", "Secret", namespace)
    seen = [(request.verb, request.status) for request in cluster.requests(reader) if "/api/v1/" in request.path]
    assert seen == [("list", 200), ("list", 200), ("watch", 200), ("list", 403)]
    assert "limit=5" in cluster.requests(reader)[2].path


@pytest.mark.parametrize("embed", [False, True])
def test_kubeconfigs(cluster: Cluster, namespace: str, reader: str, tmp_path: Path, embed: bool) -> None:
    cluster.admin.create(pod(namespace, "one"))
    token_file = tmp_path / "token"
    token_file.write_text(cluster.account_token(namespace, "reader"))
    users = [cluster.admin_with_token(), cluster.user_with_certificate(), {"tokenFile": str(token_file)}]
    for user in users:
        config = cluster.kubeconfig(tmp_path / "config", user, embed=embed)
        assert cluster.kubectl("get", "pods", "-n", namespace, "-o", "name", config=config) == "pod/one\n"
    assert ("certificate-authority-data" in config.read_text()) == embed
    with pytest.raises(RuntimeError, match="Forbidden"):
        cluster.kubectl("get", "secrets", "-n", namespace, config=config)


def test_what_a_pod_finds_mounted(cluster: Cluster, namespace: str, reader: str, tmp_path: Path) -> None:
    folder = cluster.mount_account(tmp_path / "account", namespace, "reader")
    assert (folder / "namespace").read_text() == namespace
    client = Client(cluster.port, folder / "ca.crt", token=(folder / "token").read_text())
    assert names(client, namespace) == set()


def test_static_token_is_known_after_a_restart(cluster: Cluster, namespace: str) -> None:
    client = cluster.client(token=cluster.credentials.add_token("late"))
    assert refusal(client, namespace) == (401, "Unauthorized")
    cluster.restart()
    assert refusal(client, namespace) == (403, "Forbidden")


def test_restart_on_the_same_port_with_all_objects(cluster: Cluster, namespace: str) -> None:
    cluster.admin.create(pod(namespace, "one"))
    pid, down = cluster.api_server.pid, []
    cluster.restart(lambda: down.append(refuses_connections(cluster)))
    assert down == [True] and cluster.api_server.pid != pid
    assert names(cluster.admin, namespace) == {"one"}
    cluster.restart_etcd()
    assert names(cluster.admin, namespace) == {"one"}


def test_orderly_end_leaves_watches_open(cluster: Cluster, namespace: str) -> None:
    version = cluster.admin.list_all("v1", "Pod", namespace)["metadata"]["resourceVersion"]
    cluster.admin.create(pod(namespace, "one"))
    events = cluster.admin.watch("v1", "Pod", version, namespace)
    assert next(events)["type"] == "ADDED"
    ended = threading.Event()

    def watch() -> None:
        with contextlib.suppress(http.client.HTTPException, ConnectionError):
            next(events, None)
        ended.set()

    watching = threading.Thread(target=watch)
    watching.start()
    cluster.api_server.ask_to_stop()
    wait_until(lambda: refuses_connections(cluster), "the port is closed")
    assert not ended.wait(1)
    cluster.restart()
    assert ended.wait(5)
    watching.join()


def refuses_connections(cluster: Cluster) -> bool:
    """Whether nothing listens on the server's port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", cluster.port)) != 0


def test_frozen_server_answers_when_it_is_thawed(cluster: Cluster, namespace: str) -> None:
    answered: list[set[str]] = []
    asking = threading.Thread(target=lambda: answered.append(names(cluster.admin, namespace)))
    cluster.api_server.freeze()
    try:
        asking.start()
        asking.join(0.3)
        assert not answered
    finally:
        cluster.api_server.thaw()
    asking.join(10)
    assert answered == [set()]


def test_proxy_carries_counts_and_fails(cluster: Cluster, namespace: str) -> None:
    cluster.admin.create(pod(namespace, "one"))
    with Proxy(cluster.port) as proxy:
        client = Client(proxy.port, cluster.credentials.root, token=cluster.credentials.admin_token)
        assert names(client, namespace) == names(client, namespace) == {"one"}
        assert proxy.counts.connections == 1
        assert proxy.counts.to_server > 500 and proxy.counts.to_client > 500
        proxy.drop_connections()
        assert names(client, namespace) == {"one"}
        assert proxy.counts.connections == 2
        proxy.cut()
        with pytest.raises(ConnectionError):
            names(client, namespace)
        proxy.mend()
        assert names(client, namespace) == {"one"}


def test_proxy_stalls_and_delays(cluster: Cluster, namespace: str) -> None:
    with Proxy(cluster.port) as proxy:
        client = Client(proxy.port, cluster.credentials.root, token=cluster.credentials.admin_token)
        answered: list[set[str]] = []
        asking = threading.Thread(target=lambda: answered.append(names(client, namespace)))
        proxy.stall()
        asking.start()
        asking.join(0.3)
        assert not answered and proxy.counts.connections == 1
        proxy.mend()
        asking.join(10)
        assert answered == [set()]
        proxy.delay_seconds = 0.2
        start = time.monotonic()
        names(client, namespace)
        assert time.monotonic() - start >= 0.4


def test_proxy_that_ends_tls_truncates_and_rewrites(cluster: Cluster, namespace: str) -> None:
    cluster.admin.create(pod(namespace, "one"))
    files = cluster.credentials.server
    with Proxy(cluster.port, Termination(files.certificate, files.key, files.authority)) as proxy:
        client = Client(proxy.port, cluster.credentials.root, token=cluster.credentials.admin_token)
        assert names(client, namespace) == {"one"}
        proxy.rewrite = lambda piece: piece.replace(b'"name":"one"', b'"name":"eno"')
        assert names(client, namespace) == {"eno"}
        proxy.mend()
        proxy.truncate_after = 700
        with pytest.raises(Exception, match="IncompleteRead"):
            names(client, namespace)
        proxy.mend()
        assert names(client, namespace) == {"one"}


_HOLD = """
import sys, time
sys.path[:0] = sys.argv[1:]
from cluster import Cluster
with Cluster() as cluster:
    print(cluster.folder, cluster.etcd.pid, cluster.api_server.pid, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("number, folder_stays", [(signal.SIGINT, False), (signal.SIGKILL, True)])
def test_nothing_runs_on_after_an_end_from_outside(number: int, folder_stays: bool) -> None:
    here = Path(__file__).resolve().parent
    argv = [sys.executable, "-c", _HOLD, str(here), str(here.parents[1] / "demo")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as holder:
        assert holder.stdout is not None
        folder, *pids = holder.stdout.readline().split()
        holder.send_signal(number)
        holder.wait(20)
    wait_until(lambda: not any(process_runs(int(pid)) for pid in pids), "the servers have ended")
    assert Path(folder).exists() == folder_stays
    if folder_stays:
        shutil.rmtree(folder)


# Part, option, and whether what it prints names the version that it was built from.
PROGRAMS = [
    ("kube-apiserver", "--version", True),
    ("etcd", "--version", True),
    ("csi-sanity", "--version", False),
    ("csc", "--help", False),
]


@pytest.mark.parametrize("name, option, names_version", PROGRAMS)
def test_programs_run(name: str, option: str, names_version: bool) -> None:
    program = find_program(name)
    done = subprocess.run([program, option], capture_output=True, text=True, check=True)
    assert done.stdout and (not names_version or program.parent.name.removeprefix("v") in done.stdout)


def test_server_that_cannot_start_says_why() -> None:
    with pytest.raises(StartFailed, match="kube-apiserver ended with status 1:\n(.*\n)*.*unknown flag: --nonsense"):
        with Cluster(["--nonsense"]):
            pass
