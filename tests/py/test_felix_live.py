"""What changes while felix runs: the prefix, its ports, its log, whether the datastore is ready; and its end."""

import re
import signal
import socket

import pytest

from calculation.resources import merged, resource
from felix_settings import CANNOT_SERVE, SERVING, WEB, WORLD, expect_http, free_port, http, run, settings
from node import Node
from node_agent import NODE, SECONDS, Agent, agent, credentials_of
from server import wait_for
from sync_client import Client, told


@pytest.fixture
def node():
    """Not started, and with nothing on its command line but the directory."""
    with agent(world=WORLD, started=False) as made:
        yield made


# ---- the prefix -----------------------------------------------------------------------------------


def test_prefix_moves_while_it_runs(node):
    """Old sockets and streams go, new ones are there; what is under it at that time counts."""
    second = Agent(prefix=node.folder / "q")
    for each in node, second:
        each.mount("web", WEB)
    run(node).expect_log("Policy Sync API is off")
    node.put("default.yaml", settings(policySyncPathPrefix=str(node.prefix)))
    node.expect_socket("web")
    with Client(node.socket("web")) as client:
        client.expect_in_sync().expect_state(told(WORLD, WEB))
        node.put("default.yaml", settings(policySyncPathPrefix=str(second.prefix)))
        node.expect_no_socket("web")
        client.expect(lambda each: each.code is not None, "the end of the stream")
    assert wait_for(second.socket("web").is_socket, SECONDS)
    with Client(second.socket("web")) as client:
        client.expect_in_sync().expect_state(told(WORLD, WEB))
        node.put("default.yaml", settings(policySyncPathPrefix=""))
        client.expect(lambda each: each.code is not None, "the end of the stream")
    assert wait_for(lambda: not second.socket("web").exists(), SECONDS)
    node.put("default.yaml", settings(policySyncPathPrefix=str(node.prefix)))
    node.expect_socket("web")
    node.put("default.yaml", settings(policySyncPathPrefix=str(node.prefix), logSeverityScreen="Debug"))
    node.put("other.yaml", settings("node.other"))
    assert len(node.lines(SERVING)) == 3
    second.close()


def test_file_in_the_way(node):
    node.prefix.write_text("mine")
    run(node, "--policy-sync-prefix", node.prefix / "deeper")
    node.expect_log(CANNOT_SERVE, str(node.prefix / "deeper"), level="error")
    assert node.prefix.read_text() == "mine"
    node.prefix.unlink()
    node.expect_log(SERVING)
    assert len(node.lines(CANNOT_SERVE)) == 1, "it is said once"


def test_name_too_long_for_the_system(node):
    prefix = node.folder / ("x" * 256)
    run(node, "--policy-sync-prefix", prefix).expect_log(CANNOT_SERVE, "x" * 100)


def test_long_prefix(node):
    """Longer than the address of a socket; whoever sees it under a shorter path can connect."""
    node.prefix = node.folder / ("x" * 200) / ("y" * 200)
    run(node, "--policy-sync-prefix", node.prefix)
    node.mount("web", WEB)
    (node.folder / "short").symlink_to(node.socket("web").parent)
    with Client(node.folder / "short" / "socket") as client:
        client.expect_in_sync().expect_state(told(WORLD, WEB))


@pytest.fixture
def namespace():
    made = Node()
    yield made
    made.close()


def test_read_only_file_system(namespace):
    """Nothing can be made under the prefix: it is said once, and had as soon as it can be."""
    namespace.must("mount", "-o", "remount,ro", "/run/k/agent")
    with agent(node=namespace, prefix="/run/k/agent/p", started=False, world=WORLD) as node:
        node.run("--directory", node.resources, "--node", NODE, "--policy-sync-prefix", node.prefix)
        node.expect_log(CANNOT_SERVE, "/run/k/agent/p", level="error")
        namespace.must("mount", "-o", "remount,rw", "/run/k/agent")
        node.expect_log(SERVING)
        node.path("mount").mkdir()
        namespace.must("mount", "-t", "tmpfs", "-o", "ro", "tmpfs", "/run/k/agent/p/mount")
        node.write_credentials("web", credentials_of(WEB))
        node.expect_log("Cannot serve a workload", "/run/k/agent/p/mount/web", level="error", workload=WEB)
        namespace.must("mount", "-o", "remount,rw", "/run/k/agent/p/mount")
        node.expect_socket("web")
        assert len(node.lines("Cannot serve a workload")) == 1


# ---- what else changes while it runs ----------------------------------------------------------------


def test_log_severity(node):
    run(node, "--policy-sync-prefix", node.prefix)
    node.put("default.yaml", settings(logSeverityScreen="Debug"))

    def connects():
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(node.socket("web")))
        return node.lines("Peer connected", level="debug")

    node.mount("web", WEB)
    assert wait_for(connects, SECONDS)
    node.put("default.yaml", settings(logSeverityScreen="Error"))
    node.put("bad.yaml", "{")
    node.expect_log("Bad resource", file="bad.yaml")
    node.mount("other", WEB)
    node.put("bad.yaml", "[")
    node.expect_log("Bad resource", file="bad.yaml", count=2)
    assert not node.lines("Serving a workload", volume="other")


def test_ports(node):
    """Opened, moved and closed; a taken one is reported, and had when it is free."""
    ports = [free_port() for _ in range(4)]
    run(node, "--policy-sync-prefix", node.prefix)
    node.put("default.yaml", settings(healthEnabled=True, healthPort=ports[0], prometheusMetricsEnabled=True,
                                      prometheusMetricsPort=ports[1]))
    assert expect_http(ports[0], "/liveness", 200) == "ok\n"
    expect_http(ports[0], "/readiness", 200)
    expect_http(ports[0], "/metrics", 404)
    expect_http(ports[1], "/liveness", 404)
    body = expect_http(ports[1], "/metrics", 200)
    for line in body.splitlines():
        assert line.startswith("#") or re.fullmatch(r'[a-z_]+(\{([a-z_]+="[^"\n]*",?)*\})? [0-9.e+-]+', line), line
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", ports[2]))
        holder.listen()
        node.put("default.yaml", settings(healthEnabled=True, healthPort=ports[2], prometheusMetricsEnabled=True,
                                          prometheusMetricsPort=ports[3]))
        expect_http(ports[3], "/metrics", 200)
        node.expect_log("Cannot open an HTTP port", str(ports[2]), level="error")
        assert http(ports[0], "/liveness") is None and http(ports[1], "/metrics") is None
    expect_http(ports[2], "/liveness", 200)
    node.put("default.yaml", settings(healthEnabled=False, prometheusMetricsEnabled=True,
                                      prometheusMetricsPort=ports[3]))
    expect_http(ports[2], "/liveness", None)
    node.remove("default.yaml")
    expect_http(ports[3], "/metrics", None)


def test_wrong_settings_leave_the_last_good_ones(node):
    port = free_port()
    run(node)
    node.put("default.yaml", settings(healthEnabled=True, healthPort=port, policySyncPathPrefix=str(node.prefix)))
    expect_http(port, "/readiness", 200)
    for number, (field, value) in enumerate([
            ("healthPort", 70000), ("policySyncPathPrefix", "relative"), ("healthHost", "a b"),
            ("logSeverityScreen", "loud"), ("healthEnabled", "maybe")], 1):
        node.put("default.yaml", settings(**{"healthEnabled": True, "healthPort": port + 1, field: value}))
        node.expect_log("Bad resource", f"spec.{field}", file="default.yaml", count=number)
        expect_http(port, "/readiness", 200)


def test_readiness_tells_what_is_missing(node):
    port = free_port()
    node.prefix.write_text("in the way")
    run(node, "--policy-sync-prefix", node.prefix, FELIX_HEALTHENABLED="true", FELIX_HEALTHPORT=str(port))
    assert "cannot be served" in expect_http(port, "/readiness", 503)
    expect_http(port, "/liveness", 200)
    node.prefix.unlink()
    expect_http(port, "/readiness", 200)


def _cluster(ready, name="default"):
    return resource(f"ClusterInformation {name}", {"clusterGUID": "a", "datastoreReady": ready})


def test_datastore_that_is_not_ready_holds_everything(node):
    port = free_port()
    run(node, "--policy-sync-prefix", node.prefix, FELIX_HEALTHENABLED="true", FELIX_HEALTHPORT=str(port))
    with Client(node.mount("web", WEB)) as client:
        client.expect_in_sync()
        node.put("another.yaml", _cluster(False, "another"))  # nobody writes one; it counts for nothing
        node.put_world(merged(WORLD, {"Namespace before": {}}))
        client.expect_state(told(merged(WORLD, {"Namespace before": {}}), WEB))
        node.put_world(WORLD)
        client.expect_state(told(WORLD, WEB))
        node.put("cluster.yaml", _cluster(False))
        assert "not ready" in expect_http(port, "/readiness", 503)
        known = client.known()
        changed = merged(WORLD, {"GlobalNetworkPolicy p": {"ingress": [{"action": "Deny"}]}, "Namespace new": {}})
        node.put_world(changed)
        with Client(node.mount("late", "bank/late-0")) as late:  # who comes meanwhile is told what is in force
            late.expect_state(told(WORLD, "bank/late-0"))
        assert client.known() == known and client.code is None
        node.put("cluster.yaml", _cluster(True))
        client.expect_state(told(changed, WEB))
        expect_http(port, "/readiness", 200)


def test_datastore_that_is_not_ready_holds_the_settings(node):
    """It may lack its FelixConfigurations as well as anything else."""
    node.put("default.yaml", settings(policySyncPathPrefix=str(node.prefix)))
    run(node)
    with Client(node.mount("web", WEB)) as client:
        client.expect_in_sync()
        node.put("cluster.yaml", _cluster(False))
        node.expect_log("ClusterInformation says that the datastore is not ready")
        node.remove("default.yaml")
        node.put("bad.yaml", "[")  # what was put before it has been read when it is told of
        node.expect_log("Bad resource", file="bad.yaml")
        assert node.socket("web").exists() and client.code is None
        node.put("cluster.yaml", _cluster(True))
        node.expect_no_socket("web")
        client.expect(lambda each: each.code is not None, "the end of the stream")


def test_settings_of_a_datastore_that_is_not_ready_at_the_start(node):
    """Sidecars can wait where their agent is to be."""
    node.put("default.yaml", settings(policySyncPathPrefix=str(node.prefix)))
    node.put("cluster.yaml", _cluster(False))
    run(node)
    with Client(node.mount("web", WEB)) as client:
        node.mount("other", WEB)
        assert not client.kinds
        node.put("cluster.yaml", _cluster(True))
        client.expect_in_sync().expect_state(told(WORLD, WEB))


def test_datastore_that_is_not_ready_at_the_start(node):
    """Nothing is in sync, so sidecars keep what they have."""
    node.put("cluster.yaml", _cluster(False))
    run(node, "--policy-sync-prefix", node.prefix)
    with Client(node.mount("web", WEB)) as client:
        node.put_world(merged(WORLD, {"Namespace new": {}}))
        node.mount("other", WEB)
        assert not client.kinds
        node.remove("cluster.yaml")
        client.expect_state(told(merged(WORLD, {"Namespace new": {}}), WEB))


# ---- the end --------------------------------------------------------------------------------------


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT], [signal.SIGTERM] * 2,
                                     [signal.SIGTERM, signal.SIGINT, signal.SIGTERM]])
def test_stop(node, signals):
    """Status 0, streams ended, sockets gone; impatience changes nothing."""
    run(node, "--policy-sync-prefix", node.prefix)
    with Client(node.mount("web", WEB)) as client:
        client.expect_in_sync()
        for each in signals:
            node.process.send_signal(each)
        assert node.process.wait(SECONDS) == 0
        client.expect(lambda each: each.code is not None, "the end of the stream")
    assert not node.socket("web").exists()
    assert node.lines("Stopping")


# ---- what it wonders at ----------------------------------------------------------------------------


def test_tier_that_is_not_there(node):
    """Perhaps another was meant: told once, and once more when it was there and is gone."""
    policy = {"tier": "nosuch", "ingress": [{"action": "Pass"}]}
    world = {**WORLD, "GlobalNetworkPolicy a": policy}
    node.put_world(world)
    node.mount("web", WEB)
    run(node, "--policy-sync-prefix", node.prefix).expect_log("There is no such tier", tier="nosuch", level="warning")
    with Client(node.socket("web")) as client:
        for changes in {"GlobalNetworkPolicy b": policy}, {"Tier nosuch": {"order": 1}}, {"Tier nosuch": None}:
            world = merged(world, changes)
            node.put_world(world)
            client.expect_in_sync().expect_state(told(world, WEB))
    assert len(node.lines("There is no such tier")) == 2
