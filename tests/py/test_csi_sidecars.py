"""The CSI driver with what is on both sides of it: felix and dikastes, and Go programs of any age."""

import contextlib
import os
import subprocess

import pytest
import yaml

import http2_peer
from csi_driver import driver, node, volume  # noqa: F401 (fixtures)
from server import CLUSTER, CUSTOMER, DIKASTES, policy, wait_for

FELIX = DIKASTES.parent / "felix"


@contextlib.contextmanager
def running(node, *words):
    """A program on the node that ends when it is told to."""
    process = subprocess.Popen(node.command(*words), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        assert process.wait(timeout=20) == 0


def felix(node):
    """The node agent, for the pods of a small cluster."""
    node.path("cluster").mkdir()
    node.write("cluster/cluster.yaml", yaml.safe_dump_all([*CLUSTER, policy(["GET"])]))
    return running(node, FELIX, "--directory", "/run/k/cluster", "--node", "node-1", "--policy-sync-prefix",
                   "/run/k/agent")


@pytest.mark.parametrize("restart", ["stop", "kill"])
def test_sidecar_gets_its_policy(node, driver, volume, restart):
    """From kubelet's call to a verdict: felix on the node, dikastes in the pod, both as they are deployed."""
    volume.published()
    node.must("install", "-d", "-o", "999", "/run/k/pod")
    node.must("mkdir", "/run/felix")
    node.must("mount", "--rbind", volume.dir, "/run/felix")
    ask = [DIKASTES, "client", "bank", "customer", "-d", "/run/k/pod/d.sock", "--path", "/pub", "--from-ip", CUSTOMER]

    def is_ready():
        return node.run(DIKASTES, "health", "readiness", "-d", "/run/k/pod/d.sock").returncode == 0

    with felix(node), running(
            node, "setpriv", "--reuid=999", "--regid=999", "--clear-groups", "--bounding-set=-all", DIKASTES,
            "server", "-l", "/run/k/pod/d.sock", "-d", "/var/run/felix/nodeagent/socket"):
        assert wait_for(is_ready)
        assert node.must(*ask).startswith("allowed")
        assert node.run(*ask, "--method", "PUT").returncode == 3
        (driver.stop if restart == "stop" else driver.kill)()
        driver.start()
        volume.published()
        node.write("cluster/cluster.yaml", yaml.safe_dump_all([*CLUSTER, policy(["PUT"])]))
        assert wait_for(lambda: node.run(*ask, "--method", "PUT").returncode == 0)
        assert volume.unpublish() == ("OK", "")
        assert wait_for(lambda: not is_ready())
        assert wait_for(lambda: not volume.folder.exists())


# What Go's clients put into :authority: before, as it is; now, escaped; by scheme. A strict server refuses the first.
AUTHORITIES = [b"/var/run/felix/nodeagent/socket", b"%2Fcsi%2Fcsi.sock", b"localhost", b""]


def ask_by_hand(peer, path, authority):
    fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":authority", authority), (b":path", path),
              *http2_peer.GRPC]
    block = b"".join(http2_peer.literal(*field) for field in fields)
    peer.send(http2_peer.frame(http2_peer.HEADERS, http2_peer.END_HEADERS, 1, block)
              + http2_peer.whole_data(1, http2_peer.message(b"")))


@pytest.mark.parametrize("authority", AUTHORITIES)
def test_authority_of_kubelets(driver, authority):
    with http2_peer.Peer(driver.node.path(driver.socket)) as peer:
        ask_by_hand(peer, b"/csi.v1.Identity/Probe", authority)
        assert peer.answer(1).grpc_status == 0
    with http2_peer.Peer(driver.node.path(driver.socket)) as peer:
        ask_by_hand(peer, b"csi.v1.Identity/Probe", authority)
        assert peer.answer(1).grpc_status == 12


@pytest.mark.parametrize("authority", AUTHORITIES)
def test_authority_of_sidecars(node, volume, authority):
    volume.published()
    folder = os.open(volume.folder, os.O_PATH)
    with felix(node):
        assert wait_for((volume.folder / "socket").exists)
        with http2_peer.Peer(f"/proc/self/fd/{folder}/socket") as peer:
            ask_by_hand(peer, b"/felix.PolicySync/Sync", authority)
            assert peer.wait_for(lambda: peer.answers[1].body)
    os.close(folder)
    volume.unpublished()
