"""The real csi-driver on a node (see node.py), and a client that calls it as kubelet does."""

import hashlib
import os
import re
import signal
import subprocess

import grpc
import pytest

from node import Node, Pod
from probe import BUILD
from protos import csi, csi_grpc
from server import wait_for

CSI_DRIVER = BUILD / "bin" / "csi-driver"

UID = "20154c76-bf4e-11e7-8a7e-080027631ab3"
KEYS = {"uid": "pod.uid", "name": "pod.name", "namespace": "pod.namespace",
        "account": "serviceAccount.name", "ephemeral": "ephemeral"}
CAP_SYS_ADMIN = 21

Capability = csi.VolumeCapability


def capability(mode=Capability.AccessMode.SINGLE_NODE_WRITER, **access):
    """By default a mount without more, as kubelet asks for."""
    return Capability(access_mode=Capability.AccessMode(mode=mode),
                      **(access or {"mount": Capability.MountVolume()}))


class Driver:
    """The driver's process, one after the other; it is started and ends with its `with`."""

    def __init__(self, node, *options, inside=(), number=""):
        self.node = node
        self.socket = f"{node.home}/csi{number}.sock"
        self.log = node.path(f"log{number}")
        self.inside = inside  # a command that runs it
        self.options = options
        self.process = self.channel = None

    def words(self):
        home = self.node.home
        return [*self.inside, CSI_DRIVER, "--endpoint", self.socket, "--nodeid", "node-1",
                "--config", f"{home}/config", "--kubelet-dir", f"{home}/kubelet", *self.options]

    def connect(self):
        self.channel = grpc.insecure_channel(f"unix:{self.node.path(self.socket)}")
        self.identity = csi_grpc.IdentityStub(self.channel)
        self.node_service = csi_grpc.NodeStub(self.channel)

    def answers(self):
        """Whether it is ready; over a new connection each time, since channels wait before they try again."""
        self.connect()
        try:
            return self.identity.Probe(csi.ProbeRequest(), timeout=5).ready.value
        except grpc.RpcError:
            self.channel.close()
            return False

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.node.command(*self.words()), stdin=subprocess.DEVNULL,
                                            stderr=log, env=UNTRACED if self.inside else None)
        assert wait_for(lambda: self.process.poll() is not None or self.answers(), 30), self.text()
        assert self.process.poll() is None, self.text()
        return self

    def end(self, number, status):
        self.process.send_signal(number)
        assert self.process.wait(timeout=20) == status, self.text()
        self.channel.close()

    def stop(self):
        self.end(signal.SIGTERM, 0)

    def kill(self):
        self.end(signal.SIGKILL, -signal.SIGKILL)

    def restart(self):
        self.stop()
        self.start()

    def text(self):
        """The log so far."""
        return self.log.read_text(encoding="utf-8")

    def call(self, method, request):
        """(name of the code, details) of a call of the service Node."""
        try:
            getattr(self.node_service, method)(request, timeout=60)
            return "OK", ""
        except grpc.RpcError as error:
            return error.code().name, error.details()

    def raw(self, path, content):
        """The same of any method, with any bytes."""
        try:
            self.channel.unary_unary(path)(content, timeout=60)
            return "OK", ""
        except grpc.RpcError as error:
            return error.code().name, error.details()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.channel.close()


# LeakSanitizer cannot work beside another tracer.
UNTRACED = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}


def handle(uid, volume):
    """The id that kubelet gives to an ephemeral volume."""
    return "csi-" + hashlib.sha256((uid + volume).encode()).hexdigest()


class Volume(Pod):
    """One volume of a pod; `driver` is who is asked for it."""

    def __init__(self, driver, uid=UID, root="kubelet", volume="felix-sync", **fields):
        node = driver.node
        self.driver = driver
        self.node = node
        self.uid = uid
        self.name = handle(uid, volume)
        self.parent = f"{node.home}/{root}/pods/{uid}/volumes/kubernetes.io~csi/{volume}"
        self.dir = f"{self.parent}/mount"
        self.fields = {"uid": uid, "name": "web-0", "namespace": "bank", "account": "web", **fields}
        self.prepare()

    def prepare(self):
        """What kubelet does first."""
        self.node.path(self.parent).mkdir(parents=True, exist_ok=True)
        self.node.path(f"{self.parent}/vol_data.json").touch()

    def context(self, **changes):
        """volume_context; None leaves a key out."""
        values = {**self.fields, "ephemeral": "true", **changes}
        return {f"csi.storage.k8s.io/{KEYS[k]}": v for k, v in values.items() if v is not None}

    def request(self, context=None, **changes):
        fields = {"volume_id": self.name, "target_path": self.dir, "volume_capability": capability(),
                  "volume_context": self.context(**(context or {})), **changes}
        return csi.NodePublishVolumeRequest(**{k: v for k, v in fields.items() if v is not None})

    def publish(self, context=None, **changes):
        return self.driver.call("NodePublishVolume", self.request(context, **changes))

    def unpublish(self, **changes):
        fields = {"volume_id": self.name, "target_path": self.dir, **changes}
        return self.driver.call("NodeUnpublishVolume", csi.NodeUnpublishVolumeRequest(**fields))

    def published(self):
        assert self.publish() == ("OK", ""), self.driver.text()
        self.assert_whole()

    def unpublished(self):
        assert self.unpublish() == ("OK", ""), self.driver.text()
        self.assert_gone()
        assert not self.node.path(self.dir).exists()

    def forget(self):
        """What kubelet does last: with its last volume the pod's folder goes."""
        self.node.path(f"{self.parent}/vol_data.json").unlink()
        self.node.path(self.parent).rmdir()


def bind(listener, folder, name="socket"):
    """Binds a socket in a folder whose path would be too long for its address."""
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        listener.bind(f"/proc/self/fd/{fd}/{name}")
    finally:
        os.close(fd)


def status_of(process):
    """/proc/PID/status as a dictionary."""
    with open(f"/proc/{process.pid}/status", encoding="utf-8") as file:
        return dict(re.findall(r"^(\w+):\s*(.*)$", file.read(), re.MULTILINE))


# ---- for tests, which import these by name


@pytest.fixture(params=["shared"])
def node(request):
    made = Node(request.param)
    made.path("kubelet/pods/own").mkdir()  # of the driver's pod
    yield made
    made.close()


@pytest.fixture
def driver(node):
    with Driver(node) as running:
        yield running
        if running.process.poll() is None:
            running.stop()


@pytest.fixture
def volume(driver):
    return Volume(driver)


def refused(answer, code, *parts):
    assert answer[0] == code, answer
    for part in parts:
        assert part in answer[1], answer
