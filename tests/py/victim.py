"""The server while hostile peers are at it: is it unharmed?"""

import contextlib
import pathlib
import subprocess
import time

import http2_peer as h2
import scenario
from http2_peer import Peer
from protos import ext_authz
from server import CUSTOMER, CUSTOMERS_NAME, DIKASTES, WEB, Server, wait_for

ALLOWED, MALFORMED, REFUSED = 0, 3, 7

PATIENCE = 2.0  # seconds in which it must be itself again; with some to spare for a busy machine
WORK = 0.7      # seconds that it may compute for others before it comes to a request
MIB = 1024      # in KiB
MEMORY = 8 * 1024


def request(**given):
    """The bytes of a CheckRequest: the customer asks the web pod for /pub/x, but for what is given."""
    return scenario.request({"from": CUSTOMER, "to": WEB, "principal": CUSTOMERS_NAME,
                             "path": "/pub/x", **given}).SerializeToString()


GOOD = request()
BAD = request(method="POST")


def verdict(answer):
    """The code in an answer that carries a CheckResponse."""
    assert answer.grpc_status == 0, vars(answer)
    return ext_authz.CheckResponse.FromString(answer.message).status.code


class Victim(Server):
    """A server, its memory, and whether it still does what it is for."""

    def __init__(self, *arguments):
        super().__init__()
        self.arguments = arguments
        self.memory_before = None

    def start(self):
        """With the further arguments; else as any Server."""
        if not self.arguments:
            return super().start()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [str(DIKASTES), "server", "-l", str(self.socket), "-d", f"directory:{self.resources}",
                 "--workload", "bank/web-0", *self.arguments], stdin=subprocess.DEVNULL, stderr=log)
        return self

    def start_ready(self):
        self.start().wait_until_ready()
        self.assert_serving()
        self.begin()
        return self

    def begin(self):
        """An attack is about to begin."""
        self.assert_alive()
        self.memory_before = self.memory()

    def peer(self, **options):
        return Peer(self.socket, **options)

    def ask(self, *requests, seconds=10.0):
        """The verdicts on requests (bytes), on a new connection."""
        with self.peer() as peer:
            streams = range(1, 2 * len(requests), 2)
            peer.send(b"".join(h2.call(*each) for each in zip(streams, requests)))
            return [verdict(peer.answer(stream, seconds)) for stream in streams]

    def _status(self, name):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1])
        raise AssertionError(f"no {name}: the server is gone")

    def memory(self):
        """Resident, in KiB; 0 in a sanitizer build, which keeps what is freed."""
        return 0 if IS_SANITIZED else self._status("VmRSS")

    def cpu_time(self):
        """Seconds that it has computed."""
        text = pathlib.Path(f"/proc/{self.process.pid}/schedstat").read_text()
        return int(text.split()[0]) / 1e9

    def assert_serving(self):
        """A right yes and a right no on a new connection, soon."""
        began, worked = time.monotonic(), self.cpu_time()
        assert self.ask(GOOD, BAD) == [ALLOWED, REFUSED]
        took, worked = time.monotonic() - began, self.cpu_time() - worked
        assert took < PATIENCE or IS_SANITIZED, f"the answer took {took:.1f} s"
        assert worked < WORK or IS_SANITIZED, f"it computed for {worked:.1f} s first"

    def assert_alive(self):
        status = self.process.poll()
        assert status is None, f"it ended with {status}; its log:\n{self.log.read_text()[-4000:]}"

    def assert_memory_below(self, more):
        """Holds no more than so many KiB above what it held before the attack."""
        grown = self.memory() - self.memory_before
        assert grown < more, f"it holds {grown} KiB more than before"

    def assert_memory_is_back(self, left=MEMORY):
        """So many KiB may stay behind; it has a moment to give the others back."""
        wait_for(lambda: self.memory() - self.memory_before < left, seconds=PATIENCE)
        kept = self.memory() - self.memory_before
        assert kept < left, f"it keeps {kept} KiB more than it held before"

    def assert_unharmed(self):
        self.assert_alive()
        self.assert_serving()
        self.assert_memory_is_back()


def _is_sanitized():
    return DIKASTES.exists() and b"__asan_init" in DIKASTES.read_bytes()


IS_SANITIZED = _is_sanitized()


@contextlib.contextmanager
def running(*arguments):
    """In the end it stops in good order; a sanitizer has its say then."""
    victim = Victim(*arguments)
    try:
        yield victim.start_ready()
        if victim.process.poll() is None:
            status = victim.stop()
            assert status == 0, f"it ended with {status}; its log:\n{victim.log.read_text()[-4000:]}"
    finally:
        victim.close()
