"""The static build in an empty root: one file serves, asks, probes, and finds its node agent."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

import grpc
import pytest

import server
from csi_driver import Driver, Volume
from node import Node
from policy_sync_server import IN_SYNC, NodeAgent
from protos import csi, csi_grpc
from server import CLUSTER, policy, wait_for

ROOT = pathlib.Path(__file__).parents[2]
BIN = ROOT / os.environ.get("DIKAST_STATIC", "build-static") / "bin"
STATIC = BIN / "dikastes"
LIMIT = 1.5 * 2**20  # bytes; page 9 of the specification says 1.5 MB
RESOLVER = "127.9.9.9"  # nobody else's port 53


class Image:
    """An empty folder but for the program, its second name and a folder for sockets; a root for processes."""

    def __init__(self):
        if not os.access(STATIC, os.X_OK):
            raise FileNotFoundError(f"{STATIC} is not there: make static")
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="dikast-"))
        shutil.copy(STATIC, self.path / "dikastes")
        (self.path / "healthz").symlink_to("dikastes")
        (self.path / "run").mkdir()
        self.log = self.path / "log"

    def enter(self):
        os.chroot(self.path)
        os.chdir("/")

    def run(self, *args):
        return subprocess.run(args, check=False, capture_output=True, text=True, timeout=30,
                              env={}, preexec_fn=self.enter)

    @contextlib.contextmanager
    def serve(self, *options):
        with open(self.log, "ab") as log:
            process = subprocess.Popen(["/dikastes", "server", "--debug", "-l", "/run/d", *options],
                                       stdin=subprocess.DEVNULL, stderr=log, env={},
                                       preexec_fn=self.enter)
        try:
            assert wait_for(lambda: self.health("liveness") == 0), self.log.read_text()
            yield
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=10) == 0, self.log.read_text()
            assert not (self.path / "run" / "d").exists()
        finally:
            process.kill()
            process.wait()

    def health(self, what):
        return self.run("/healthz", what, "-d", "/run/d").returncode

    def write(self, name, text):
        path = self.path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.fixture
def image():
    made = Image()
    yield made
    shutil.rmtree(made.path)


def test_is_one_small_file(image):
    assert STATIC.stat().st_size < LIMIT
    assert b"/lib64/ld-linux" not in STATIC.read_bytes()
    assert image.run("/dikastes", "--version").stdout.startswith("dikastes ")


def test_uds(image):
    """What `uds install` puts on a node runs there, whatever libraries that has."""
    shutil.copy(BIN / "uds", image.path / "uds")
    assert (BIN / "uds").stat().st_size < LIMIT
    assert '"status":"Success"' in image.run("/uds", "init").stdout
    assert '"status":"Failure"' in image.run("/uds", "mount", "/x", "{}").stdout


def test_csi_driver(image):
    shutil.copy(BIN / "csi-driver", image.path / "csi-driver")
    assert (BIN / "csi-driver").stat().st_size < LIMIT
    words = ["/csi-driver", "--endpoint", "/run/csi.sock", "--nodeid", "node-1"]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, env={}, preexec_fn=image.enter)
    try:
        assert wait_for((image.path / "run/csi.sock").exists)
        with grpc.insecure_channel(f"unix:{image.path}/run/csi.sock") as channel:
            answer = csi_grpc.NodeStub(channel).NodeGetInfo(csi.NodeGetInfoRequest(), timeout=10)
        assert answer.node_id == "node-1"
    finally:
        process.terminate()
        assert process.wait(timeout=10) == 0


# Makes what deploy/kubernetes/csi-driver.yaml gives the container; "$0" is the program, "$1" one that is not needed here.
CONTAINER = """
root=/run/k/root; mkdir -p $root /run/k/plugin; mount -t tmpfs -o mode=0755 tmpfs $root
cp "$0" /run/k/config $root; mkdir -p $root/proc; mount -t proc proc $root/proc; mkdir -p $root/run/k
mv $root/config $root/run/k
for folder in kubelet/pods agent plugin; do mkdir -p $root/run/k/$folder; done
mount --rbind /run/k/kubelet/pods $root/run/k/kubelet/pods
mount --bind --make-private /run/k/agent $root/run/k/agent
mount --bind --make-private /run/k/plugin $root/run/k/plugin
mount -o remount,ro $root
shift; exec chroot $root /csi-driver "$@"
"""


def test_csi_driver_in_its_container():
    """Nothing is there but the program and the node's three folders, and it cannot write elsewhere."""
    node = Node()
    try:
        node.path("kubelet/pods/own").mkdir()
        driver = Driver(node, inside=["unshare", "-m", "--propagation", "unchanged", "sh", "-e", "-c", CONTAINER,
                                      BIN / "csi-driver"])
        driver.socket = "/run/k/plugin/csi.sock"
        volume = Volume(driver)
        for _ in range(2):
            with driver:
                volume.published()
                driver.stop()
        with driver:
            volume.unpublished()
            volume.published()
            volume.unpublished()
            driver.stop()
    finally:
        node.close()


def test_directory(image):
    image.write("policy/cluster.yaml", server.yaml.safe_dump_all([*CLUSTER, policy(["GET"])]))
    ask = ["/dikastes", "client", "bank", "customer", "-d", "/run/d", "--path", "/pub",
           "--from-ip", server.CUSTOMER]
    with image.serve("-d", "directory:/policy", "--workload", "bank/web-0"):
        assert image.health("readiness") == 0
        assert image.run(*ask).stdout.startswith("allowed")
        assert image.run(*ask, "--method", "PUT").returncode == 3
        image.write("policy/new.yaml", server.yaml.safe_dump(policy(["PUT"])))
        assert wait_for(lambda: image.run(*ask, "--method", "PUT").returncode == 0)


def finds_agent(image, address, target, restarts=1):
    """The sidecar comes to be ready, and again after each restart of the agent."""
    agent = NodeAgent(address)
    agent.opening = [IN_SYNC]
    try:
        port = agent.start().port
        agent.address = address.replace(":0", f":{port}")
        with image.serve("-d", target.format(port=port)):
            for _ in range(restarts + 1):
                assert wait_for(lambda: image.health("readiness") == 0), image.log.read_text()
                agent.stop()
                assert wait_for(lambda: image.health("readiness") == 3)
                agent.start()
    finally:
        agent.stop()


@pytest.mark.parametrize("target", ["/run/agent", "unix:/run/agent"])
def test_agent_on_a_unix_socket(image, target):
    finds_agent(image, f"unix:{image.path}/run/agent", target)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_agent_at_an_address(image, host):
    finds_agent(image, f"{host}:0", host + ":{port}")


def test_agent_at_localhost(image):
    """The program's default target; it needs no file that says what localhost is."""
    finds_agent(image, "127.0.0.1:0", "localhost:{port}")


@contextlib.contextmanager
def resolver(address):
    """A DNS server whose only answer is this IPv4 address, to every question for one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind((RESOLVER, 53))

        def answer():
            while (received := udp.recvfrom(512)) and len(received[0]) > 12:
                query, peer = received
                question = query[12:query.index(b"\0", 12) + 5]
                found = question[-4:] == b"\0\1\0\1"
                record = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + socket.inet_aton(address)
                udp.sendto(query[:2] + b"\x81\x80\0\1" + bytes([0, found]) + b"\0\0\0\0" + question
                           + record * found, peer)

        thread = threading.Thread(target=answer)
        thread.start()
        yield
        udp.sendto(b"", (RESOLVER, 53))  # ends the thread
        thread.join()


def test_agent_at_a_name(image):
    image.write("etc/resolv.conf", f"nameserver {RESOLVER}\n")
    with resolver("127.0.0.1"):
        finds_agent(image, "127.0.0.1:0", "node-agent.example:{port}")


def test_name_that_nobody_knows(image):
    """No hosts, no resolver: it says so and goes on."""
    with image.serve("-d", "node-agent.example:9"):
        assert image.health("readiness") == 3
        assert "cannot resolve the host" in image.log.read_text()
