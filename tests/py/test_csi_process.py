"""The CSI driver as a process: its socket, its rights, its end, its command line."""

import os
import re
import signal
import subprocess
import time

import grpc
import pytest

import http2_peer
from csi_driver import CAP_SYS_ADMIN, CSI_DRIVER, Driver, Volume, refused, status_of
from csi_driver import driver, node, volume  # noqa: F401 (fixtures)
from protos import csi, csi_grpc
from server import wait_for
from test_uds import CONNECT


# ---- the process


def test_least_privilege(driver, volume):
    status = status_of(driver.process)
    for kind in "CapInh", "CapPrm", "CapEff", "CapAmb":
        assert int(status[kind], 16) & ~(1 << CAP_SYS_ADMIN) == 0, kind
    assert int(status["CapEff"], 16) == 1 << CAP_SYS_ADMIN
    assert status["NoNewPrivs"] == "1"
    volume.published()
    volume.unpublished()


def test_without_the_capability(node):
    with Driver(node, inside=["setpriv", "--bounding-set=-all"]) as driver:
        volume = Volume(driver)
        refused(volume.publish(), "INTERNAL", "cannot mount", "Operation not permitted")
        volume.assert_gone()


def test_socket_is_root_s(node, driver):
    path = node.path(driver.socket)
    assert path.stat().st_mode & 0o7777 == 0o700
    done = node.run("setpriv", "--reuid=999", "--clear-groups", "/usr/bin/python3", "-c", CONNECT, driver.socket)
    assert done.returncode != 0 and "PermissionError" in done.stderr
    driver.stop()
    assert not path.exists()


@pytest.mark.parametrize("umask", ["000", "777"])
def test_whatever_the_umask(node, umask):
    with Driver(node, inside=["sh", "-c", f'umask {umask}; exec "$0" "$@"']) as driver:
        assert node.path(driver.socket).stat().st_mode & 0o7777 == 0o700
        volume = Volume(driver)
        volume.published()
        volume.unpublished()


def test_old_socket_is_replaced(node):
    driver = Driver(node)
    with driver:
        driver.kill()
        assert node.path(driver.socket).is_socket()
    with driver:
        driver.stop()


def test_socket_of_a_successor_stays(node, driver):
    with Driver(node) as second:
        assert wait_for(lambda: driver.text().count("msg=Serving") == 2)
        driver.stop()
        second.connect()
        Volume(second).published()


def test_something_else_at_the_endpoint(node):
    node.write("csi.sock", "precious")
    done = node.run(*Driver(node).words())
    assert done.returncode == 1 and "not a socket" in done.stderr
    assert node.path("csi.sock").read_text() == "precious"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_end(driver, number):
    driver.end(number, 0)
    assert "msg=Stopping" in driver.text()


def test_end_lets_calls_end(driver):
    """One that has begun is answered; no more are taken."""
    with http2_peer.Peer(driver.node.path(driver.socket)) as peer:
        peer.send(http2_peer.headers(1, b"/csi.v1.Identity/Probe"))
        assert driver.identity.Probe(csi.ProbeRequest()).ready.value
        driver.process.send_signal(signal.SIGTERM)
        assert wait_for(lambda: "msg=Stopping" in driver.text())
        peer.send(http2_peer.whole_data(1, http2_peer.message(b"")))
        assert peer.answer(1).grpc_status == 0
        assert driver.process.wait(timeout=20) == 0


def test_end_with_a_peer_that_stays(driver):
    """Who holds a half call gets some seconds, no more."""
    with http2_peer.Peer(driver.node.path(driver.socket)) as peer:
        peer.send(http2_peer.headers(1, b"/csi.v1.Identity/Probe"))
        assert driver.identity.Probe(csi.ProbeRequest()).ready.value
        start = time.monotonic()
        driver.stop()
        assert time.monotonic() - start < 8


# ---- the command line


def run_driver(node, *words):
    return node.run(CSI_DRIVER, *words)


@pytest.mark.parametrize("words, problem", [
    (["--nonsense"], "nonsense"),
    (["--endpoint"], "endpoint"),
    (["serve"], 'unexpected word "serve"'),
    (["--loglevel", "loud"], '--loglevel: "loud"'),
    (["--nodeid", "a b"], '--nodeid: "a b" is not a node\'s id'),
    (["--nodeid", "x" * 257], "is not a node's id"),
    (["--config", "/run/k/none"], "/run/k/none"),
])
def test_bad_command_lines(node, words, problem):
    done = run_driver(node, *words)
    assert done.returncode == 2 and problem in done.stderr and "--help" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("endpoint, problem", [
    ("/run/k/none/csi.sock", "No such file"), ("/run/k/", "is a folder"), ("unix://", "is empty"),
    ("/run/k/" + "x" * 200, "too long"), ("unix:/run/k/none/s", "No such file"),
])
def test_bad_endpoints(node, endpoint, problem):
    done = run_driver(node, "--endpoint", endpoint)
    assert done.returncode == 1 and problem in done.stderr


@pytest.mark.parametrize("config, problem", [("{", "not JSON"), ('{"endpoint": 1}', "endpoint is the number"),
                                             ('{"node_id": "a b"}', "is not a node's id"),
                                             ('{"log_level": "x"}', "log_level")])
def test_bad_configuration(node, config, problem):
    node.write("config", config)
    done = run_driver(node, "--config", "/run/k/config", "--endpoint", "/run/k/csi.sock")
    assert done.returncode == 2 and problem in done.stderr


def test_version_and_help(node):
    assert re.fullmatch(r"csi-driver \d+\.\d+\.\d+\n", node.must(CSI_DRIVER, "--version"))
    assert "csi: {driver: csi.tigera.io}" in node.must(CSI_DRIVER, "--help")


def served(node, *words):
    """The node's id that a driver with this command line tells, at /run/k/other.sock."""
    process = subprocess.Popen(node.command(CSI_DRIVER, *words), stderr=subprocess.PIPE, text=True)
    try:
        with grpc.insecure_channel(f"unix:{node.path('other.sock')}") as channel:
            assert wait_for(node.path("other.sock").exists), process.stderr.read()
            return csi_grpc.NodeStub(channel).NodeGetInfo(csi.NodeGetInfoRequest(), timeout=10).node_id
    finally:
        process.terminate()
        assert process.wait(timeout=20) == 0
        process.stderr.close()


def test_configuration_and_command_line(node):
    """The command line, as upstream's is typed, is stronger; what neither says is the machine's name."""
    node.write("config", '{"endpoint": "/run/k/other.sock", "node_id": "from-the-file"}')
    assert served(node, "-config=/run/k/config") == "from-the-file"
    assert served(node, "-config", "/run/k/config", "-nodeid=typed", "-loglevel", "info") == "typed"
    node.write("config", '{"endpoint": "/run/k/csi.sock"}')
    assert served(node, "--config=/run/k/config", "--endpoint=unix:///run/k/other.sock") == os.uname().nodename


def test_default_log_level(node):
    """Nothing is said in everyday life."""
    node.write("config", '{"nodeagent_management_home": "/run/k/agent"}')
    with Driver(node) as driver:
        Volume(driver).published()
        driver.stop()
        assert driver.text() == ""
