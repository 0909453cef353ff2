"""Sidecars of felix that are slow, dead, or mean harm: they harm only themselves.

Whatever one does behind its own socket, the sidecar of another pod is told what changes meanwhile, and in the end felix
holds no more than before.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time

import grpc
import pytest

import http2_peer as h2
from calculation.resources import merged
from http2_peer import GREETING, PREFACE, Peer, frame, settings
from node_agent import SECONDS, agent
from protos import felix
from server import wait_for
from sync_client import Client, told

SYNC, REPORT = b"/felix.PolicySync/Sync", b"/felix.PolicySync/Report"
WORLD = {
    "Namespace bank": {}, "ServiceAccount bank/web": {},
    "Pod bank/good-0": {"labels": {"app": "good"}, "ip": "10.0.0.1", "account": "web"},
    "Pod bank/bad-0": {"labels": {"app": "bad"}, "ip": "10.0.0.2", "account": "web"},
    "NetworkPolicy bank/p": {"ingress": [{"action": "Allow", "source": {"selector": "app == 'x'"}}]},
}
GOOD, BAD = "bank/good-0", "bank/bad-0"
NO_WINDOW = PREFACE + settings((h2.HEADER_TABLE_SIZE, 0), (h2.INITIAL_WINDOW, 0)) + frame(h2.SETTINGS, h2.ACK)
IN_SYNC = h2.message(felix.ToDataplane(in_sync=felix.InSync()).SerializeToString())
MIB = 1024  # in KiB
# A sanitizer keeps some of what is freed; else its numbers would say nothing.
SANITIZER = {"ASAN_OPTIONS": "quarantine_size_mb=1:malloc_context_size=3"}


class Scene:
    """felix, a good sidecar that is in sync, and the socket of a bad one."""

    def __init__(self, node):
        self.node = node
        self.bad = node.mount("bad", BAD)
        self.good = Client(node.mount("good", GOOD)).expect_in_sync()
        self.world, self._changes = WORLD, 0
        self.begin()

    def begin(self):
        """Something is about to happen."""
        self.memory, self.files = self.node.memory(), self.node.files()

    def peer(self, **options):
        return Peer(self.bad, **options)

    def change(self, changes=None):
        """The world changes, and the good sidecar is told."""
        self._changes += 1
        labels = {"n": str(self._changes)}
        self.world = merged(WORLD, {"Namespace last": {"labels": labels}, **(changes or {})})
        self.node.put_world(self.world)
        self.good.expect(lambda good: good.namespaces.get("last", {}).get("n") == labels["n"], "the last change")

    def grown(self):
        return self.node.memory() - self.memory

    def assert_unharmed(self, more=0):
        """The good one is served, and a new one of the bad pod; but for `more` KiB nothing is kept."""
        self.change()
        self.good.expect_state(told(self.world, GOOD))
        assert self.good.code is None
        assert wait_for(lambda: self.node.files() <= self.files, SECONDS), (self.node.files(), self.files)
        assert self.grown() < more + 16 * MIB
        def is_told():
            with Client(self.bad) as client:
                if wait_for(lambda: client.in_sync or client.code, SECONDS) and client.in_sync:
                    client.expect_state(told(self.world, BAD))
                    return True
            return False
        assert wait_for(is_told, SECONDS)


@contextlib.contextmanager
def _scene():
    with agent(world=WORLD, started=False) as node:
        node.start(environment=SANITIZER)
        made = Scene(node)
        yield made
        made.good.close()


@pytest.fixture
def scene():
    with _scene() as made:
        yield made


@pytest.fixture(scope="module")
def long_scene():
    with _scene() as made:
        yield made


@pytest.fixture
def same_scene(long_scene):
    """That of the test before, which must have left it unharmed."""
    long_scene.begin()
    return long_scene


# ---- those that do not read ---------------------------------------------------------------------


def _namespaces(count, value):
    """Large ones: some 4 KiB each on the wire."""
    return {f"Namespace n{number}": {"labels": {f"k{key}": f"{'v' * 50}{value}" for key in range(60)}}
            for number in range(count)}


def _shared_set(sets, members, offset):
    """So many sets with the same members; an address of each pair is in or out by `offset`."""
    nets = [f"10.{1 + index // 100}.{index % 100}.{offset + 1}" for index in range(members)]
    rules = [{"action": "Allow", "source": {"selector": f"k == 'v' || k == 'w{number}'"}} for number in range(sets)]
    return {"GlobalNetworkSet s": {"labels": {"k": "v"}, "nets": nets},
            "GlobalNetworkPolicy q": {"selector": "app == 'bad'", "ingress": rules}}


@pytest.mark.parametrize("greeting", [GREETING, NO_WINDOW], ids=["deaf", "no window"])
def test_sidecar_that_never_reads(scene, greeting):
    """What changes meanwhile is not kept for it: 36 rounds of 750 KiB."""
    with scene.peer(greeting=greeting, deaf=True) as peer:
        peer.send(h2.call(1, b"", SYNC))
        scene.node.expect_log("Sidecar joined", workload=BAD)
        for value in range(36):
            scene.change(_namespaces(180, value))
        assert scene.grown() < 24 * MIB
        scene.node.expect_log("Sidecar does not read fast enough", workload=BAD)
    scene.assert_unharmed()


def test_sidecar_that_never_reads_with_many_sets(scene):
    """For each of them less is kept than may be; together it would be 70 MiB."""
    with scene.peer(greeting=NO_WINDOW, deaf=True) as peer:
        scene.change(_shared_set(70, 4000, 0))
        peer.send(h2.call(1, b"", SYNC))
        # It gets all of them (changes would not wait for it otherwise), and then reads no more.
        peer.deaf = False
        peer.send(h2.window_update(0, 2**30) + h2.window_update(1, 2**30))
        assert peer.wait_for(lambda: peer.answers[1].body.endswith(IN_SYNC), SECONDS)
        before = scene.node.memory()
        for offset in range(1, 10):
            scene.change(_shared_set(70, 4000, offset % 2))
        assert scene.node.memory() - before < 48 * MIB
    scene.assert_unharmed(more=48 * MIB)


@pytest.mark.parametrize("pause", [0.001, 0.01])
def test_slow_sidecars(scene, pause):
    """They are told the last state in the end, whatever they missed on the way; nobody waits for them."""
    with Client(scene.bad, pause=lambda: time.sleep(pause)) as slow:
        slow.expect_in_sync()
        for value in range(20):
            scene.change({**_namespaces(10, value), **_shared_set(2, 500, value % 2),
                          f"NetworkPolicy bank/p{value % 3}": {"order": value},
                          "Pod bank/x-0": {"labels": {"app": "x"}, "ip": f"10.9.0.{value}"}})
        slow.expect_state(told(scene.world, BAD))
    scene.assert_unharmed()


# A sidecar in a process of its own, which reads a little and waits to be killed.
VICTIM = """
import sys
sys.path.insert(0, sys.argv[1])
import http2_peer as h2
peer = h2.Peer(sys.argv[2])
peer.send(h2.call(1, b"", b"/felix.PolicySync/Sync"))
assert peer.wait_for(lambda: peer.answers[1].body)
print("up", flush=True)
sys.stdin.read()
"""


def test_sidecars_that_are_killed(scene):
    for number in range(5):
        victim = subprocess.Popen([sys.executable, "-c", VICTIM, os.path.dirname(h2.__file__), str(scene.bad)],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert victim.stdout.readline() == "up\n"
        scene.change(_namespaces(50, number))
        victim.send_signal([signal.SIGKILL, signal.SIGSTOP][number % 2])
        scene.change(_namespaces(50, number + 100))
        victim.kill()
        victim.communicate()
    scene.assert_unharmed()


# ---- floods -----------------------------------------------------------------------------------------


def test_streams_that_replace_each_other(scene):
    """None of them reads; what each was to be told, a message of a mebibyte, is dropped with it."""
    nets = [f"10.{index >> 15}.{index >> 7 & 255}.{index << 1 & 255}" for index in range(80000)]
    scene.change({"GlobalNetworkSet s": {"labels": {"app": "x"}, "nets": nets}, "GlobalNetworkPolicy q": {
        "selector": "app == 'bad'", "ingress": [{"action": "Allow", "source": {"selector": "app == 'x'"}}]}})
    before = scene.node.memory()
    with contextlib.ExitStack() as stack:
        first, *others = [stack.enter_context(scene.peer(greeting=NO_WINDOW)) for _ in range(16)]
        first.send(h2.call(1, b"", SYNC))
        assert first.wait_for(lambda: first.answers[1].http_status == 200, SECONDS)
        for peer in others:
            peer.send(b"".join(h2.call(stream, b"", SYNC) for stream in range(1, 33, 2)))
        assert first.answer(1, SECONDS).reset == h2.CANCEL
        scene.change()
        assert scene.node.memory() - before < 16 * MIB
    scene.assert_unharmed(more=24 * MIB)


def test_storm_of_streams(scene):
    """The newest is live; what comes too fast is refused, and the log stays short."""
    size = scene.node.log.stat().st_size
    for _ in range(4):
        with scene.peer() as peer:
            for first in range(1, 12000, 16):
                if not peer.send(b"".join(h2.call(stream, b"", SYNC) + h2.reset(stream)
                                          for stream in range(first, first + 16, 2))):
                    break
    scene.change()
    assert scene.node.log.stat().st_size - size < 64 * 1024
    time.sleep(1)  # then it may begin some again
    scene.assert_unharmed()


def test_storm_of_reports(scene):
    with scene.peer() as peer:
        report = felix.DataplaneStats(src_ip="10.0.0.1").SerializeToString()
        for first in range(1, 8000, 16):
            streams = range(first, first + 16, 2)
            assert peer.send(b"".join(h2.call(stream, report, REPORT) for stream in streams))
            assert all(peer.answer(stream, SECONDS).grpc_status == 0 for stream in streams)
    scene.assert_unharmed()


def _peers(scene, count, content):
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            peer = stack.enter_context(scene.peer(greeting=b""))
            with contextlib.suppress(AssertionError):
                peer.send(content, patience=1.0)
        scene.change()


HALF_OPEN = {
    "nothing": b"", "half a preface": PREFACE[:10], "greeted": GREETING, "a call open": GREETING + h2.headers(1, SYNC),
    "half a message": GREETING + h2.headers(1, SYNC) + h2.data(1, b"\0\0\0\0"),
    "a call without its end": GREETING + h2.headers(1, SYNC) + h2.data(1, h2.message(b"")),
}


@pytest.mark.parametrize("content", HALF_OPEN.values(), ids=HALF_OPEN)
def test_half_open(same_scene, content):
    """Hundreds at once, then as many that come and go."""
    _peers(same_scene, 300, content)
    for _ in range(300):
        with same_scene.peer(greeting=content):
            pass
    same_scene.assert_unharmed()


GARBAGE = {
    "HTTP/1.1": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "random bytes": bytes((number * 7919 + number // 3) % 256 for number in range(100_000)),
    "zeros": bytes(100_000),
    "a message too long": GREETING + h2.headers(1, SYNC) + h2.data(1, h2.message(b"", length=2**32 - 1)),
    "a compressed message": GREETING + h2.headers(1, SYNC) + h2.data(1, h2.message(b"x", flag=1), h2.END_STREAM),
    "two messages": GREETING + h2.headers(1, SYNC) + h2.whole_data(1, h2.message(b"") * 2),
    "no message": GREETING + h2.headers(1, SYNC, flags=h2.END_HEADERS | h2.END_STREAM),
    "a large message": GREETING + h2.headers(1, SYNC) + h2.whole_data(1, h2.message(bytes(3 << 20))),
    "thousands of headers": GREETING + h2.headers(1, SYNC, [(b"x-%d" % number, b"y") for number in range(500)]),
    "endless headers": GREETING + h2.headers(1, SYNC, flags=0) + b"".join(
        frame(h2.CONTINUATION, 0, 1, h2.literal(b"x", b"y" * 8000)) for _ in range(200)),
    "pings": GREETING + frame(h2.PING, 0, 0, bytes(8)) * 20_000,
    "settings": GREETING + settings((h2.INITIAL_WINDOW, 1)) * 20_000,
    "resets": GREETING + b"".join(h2.headers(stream, SYNC) + h2.reset(stream) for stream in range(1, 40_001, 2)),
    "window updates": GREETING + h2.window_update(0, 1) * 20_000,
    "the largest windows": GREETING + h2.window_update(0, 2**31 - 1) * 2,
    "frames of no kind": GREETING + frame(0x42, 0xff, 7, b"x" * 100) * 5_000,
}


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE)
def test_garbage(same_scene, content):
    _peers(same_scene, 3, content)
    same_scene.assert_unharmed()


def test_deadline_of_a_stream(scene):
    """It ends like any call, and makes room."""
    with scene.peer() as peer:
        peer.send(h2.headers(1, SYNC, [(b"grpc-timeout", b"100m")]) + h2.whole_data(1, h2.message(b"")))
        assert peer.answer(1, SECONDS).grpc_status == grpc.StatusCode.DEADLINE_EXCEEDED.value[0]
    scene.node.expect_log("Sidecar left", workload=BAD)
    scene.assert_unharmed()
