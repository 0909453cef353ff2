"""A node agent played by grpcio, a sidecar that dials it, and the two put together.

A test writes its side of each stream by hand: `agent.next_stream()` is the
sidecar's newest call, `stream.send(...)` takes steps of scenario.py or bytes as
they are.  What was sent is in force once a *barrier* sent behind it is: a policy
of its own tier whose only rule allows a method that no test asks for.
"""

import contextlib
import itertools
import os
import pathlib
import queue
import shutil
import subprocess
import tempfile
import threading
from concurrent import futures
from typing import NamedTuple

import grpc

import judges
import scenario
from protos import dikastes, dikastes_grpc, ext_authz, felix
from server import DIKASTES, Server, wait_for

CHECK = "/envoy.service.auth.v3.Authorization/Check"
SECONDS = 30  # how long anything may take before a test gives up; nothing needs it

# Channels and servers of one process would share connections and ports otherwise.
_OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1), ("grpc.so_reuseport", 0)]

IN_SYNC = {"in_sync": {}}
BARRIER = {"kind": "GlobalNetworkPolicy", "name": "barrier"}
BARRIER_TIER = {"name": "barrier", "policies": [BARRIER], "default": "Pass"}


def endpoint(*tiers, profiles=()):
    """The step of an endpoint with these tiers behind that of the barrier."""
    return {"endpoint": {"tiers": [BARRIER_TIER, *tiers], "profiles": list(profiles)}}


def barrier(method="no-barrier-yet"):
    rule = {"action": "allow", "http_match": {"methods": [method]}}
    return {"policy": {**BARRIER, "rules": [rule]}}


def message(step):
    return step if isinstance(step, bytes) else scenario.message(step)


# ---- the agent ------------------------------------------------------------------


class Stream:
    """One call of Sync, seen from the server."""

    _END = object()

    def __init__(self, context):
        self._context = context
        self._outgoing = queue.SimpleQueue()
        self._status = None
        self.over = threading.Event()
        if not context.add_callback(self._on_over):
            self._on_over()

    def _on_over(self):
        self.over.set()
        self._outgoing.put(self._END)  # wakes messages()

    def send(self, *steps):
        for step in steps:
            self._outgoing.put(message(step))

    def end(self, code=None, details=""):
        """Ends the call behind what was sent; with a code, with that status."""
        self._status = code and (code, details)
        self._outgoing.put(self._END)

    def messages(self):
        yield from iter(self._outgoing.get, self._END)
        if self._status and not self.over.is_set():
            self._context.abort(*self._status)


class NodeAgent:
    """felix.PolicySync on an address of grpcio's; may be stopped and started again."""

    def __init__(self, address, **options):
        self.address = address
        self.options = options
        self.opening = []  # steps that every call is told first
        self._streams = queue.SimpleQueue()
        self._server = None

    def start(self):
        self._server = grpc.server(futures.ThreadPoolExecutor(16), options=_OWN_CONNECTION,
                                   **self.options)
        sync = grpc.unary_stream_rpc_method_handler(self._sync)  # bytes in, bytes out
        self._server.add_generic_rpc_handlers([
            grpc.method_handlers_generic_handler("felix.PolicySync", {"Sync": sync})])
        self.port = self._server.add_insecure_port(self.address)
        self._server.start()
        return self

    def _sync(self, request, context):
        felix.SyncRequest.FromString(request)
        stream = Stream(context)
        stream.send(*self.opening)
        self._streams.put(stream)
        yield from stream.messages()

    def next_stream(self):
        """The newest call that is not over; earlier ones were given up by the sidecar."""
        while True:
            stream = self._streams.get(timeout=SECONDS)
            if not stream.over.is_set():
                return stream

    def stop(self):
        """Breaks every connection."""
        if self._server:
            self._server.stop(None).wait()
            self._server = None


# ---- the sidecar ----------------------------------------------------------------


class Answer(NamedTuple):
    reason: str
    policy: str
    rule: int


def answer_of(raw):
    """What a CheckResponse says; the code has to be that of the reason."""
    response = ext_authz.CheckResponse.FromString(raw)
    fields = response.dynamic_metadata.fields
    reason = fields["reason"].string_value
    assert response.status.code == judges.CODES[reason], reason
    rule = int(fields["rule"].number_value) if "rule" in fields else -1
    return Answer(reason, fields["policy"].string_value if "policy" in fields else "", rule)


class Sidecar(Server):
    """dikastes on a target; its folder has room for the agent's socket too."""

    def __init__(self, target, *arguments, wrapper=()):
        """`wrapper`: words of a command that runs the one behind it, in another namespace say."""
        # Not the parent's: there are no resources here.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="dikast-"))
        self.socket = self.folder / "s"
        self.log = self.folder / "log"
        self.target = target
        self.arguments = arguments
        self.wrapper = wrapper
        self.process = None

    def start(self):
        if not os.access(DIKASTES, os.X_OK):
            raise FileNotFoundError(f"{DIKASTES} is not there: build it first")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*self.wrapper, str(DIKASTES), "server", "-l", str(self.socket), "-d", self.target,
                 *self.arguments],
                stdin=subprocess.DEVNULL, stderr=log)
        assert wait_for(lambda: self._is_running() and self.socket.exists(), SECONDS)
        self._channel = self.channel()
        self._check = self._channel.unary_unary(CHECK)
        self._health = dikastes_grpc.HealthzStub(self._channel)
        return self

    def _is_running(self):
        status = self.process.poll()
        assert status is None, f"the sidecar ended with {status}; its log:\n{self.journal()}"
        return True

    def ask(self, request):
        """The Answer to a request in the form of scenario.py."""
        raw = scenario.request(request).SerializeToString()
        return answer_of(self._check(raw, timeout=SECONDS))

    def reason(self, request=()):
        return self.ask(dict(request)).reason

    def is_alive(self):
        return self._health.CheckLiveness(dikastes.HealthCheckRequest(), timeout=SECONDS).healthy

    def is_ready(self):
        return self._health.CheckReadiness(dikastes.HealthCheckRequest(), timeout=SECONDS).healthy

    def wait_for_reason(self, reason, request=(), seconds=SECONDS):
        wait_for(lambda: self.reason(request) == reason, seconds)
        assert self.reason(request) == reason, self.journal()

    def journal(self):
        """Its log but for what it says of single requests."""
        return "".join(line for line in self.log.read_text().splitlines(keepends=True)
                       if "Denied request" not in line)

    def resident(self):
        """Bytes of memory that are in use now."""
        pages = pathlib.Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGESIZE")

    def close(self):
        """Stops it; what a sanitizer found comes out here at the latest."""
        try:
            if self.process:
                self._is_running()
                self._channel.close()
                assert self.stop(seconds=SECONDS) == 0, self.journal()
                assert "runtime error" not in self.journal(), self.journal()
        finally:
            super().close()


# ---- both -----------------------------------------------------------------------


BEHIND_BARRIER = Answer("allowed_by_rule", "GlobalNetworkPolicy barrier", 0)


class Pair:
    """A sidecar and the agent that it dials."""

    _numbers = itertools.count()

    def __init__(self, sidecar, agent):
        self.sidecar = sidecar
        self.agent = agent
        self.stream = None

    def next_stream(self):
        self.stream = self.agent.next_stream()
        return self.stream

    def sync(self, *steps):
        """A new stream with this snapshot, which is in force on return."""
        self.next_stream().send(barrier(), *steps, IN_SYNC)
        self.settle()

    def send(self, *steps):
        """Changes on the stream, which are in force on return."""
        self.stream.send(*steps)
        self.settle()

    def settle(self):
        """Waits until all that was sent so far is in force; needs an endpoint()."""
        method = f"barrier-{next(self._numbers)}"
        self.stream.send(barrier(method))
        request = {"method": method}
        assert wait_for(lambda: self.sidecar.ask(request) == BEHIND_BARRIER, SECONDS), (
            self.sidecar.ask(request), self.sidecar.journal())

    def reasons(self, *requests):
        return [self.sidecar.reason(request) for request in requests]


@contextlib.contextmanager
def pair(target="{folder}/agent", listen="unix:{folder}/agent", started=True, **options):
    """A sidecar on a target with an agent that listens there; {port} is the agent's."""
    with contextlib.ExitStack() as stack:
        sidecar = Sidecar(target)
        stack.callback(shutil.rmtree, sidecar.folder, ignore_errors=True)
        agent = NodeAgent(listen.format(folder=sidecar.folder), **options)
        stack.callback(agent.stop)
        if started:
            agent.start()
        port = agent.port if started else None
        sidecar.target = target.format(folder=sidecar.folder, port=port)
        stack.callback(sidecar.close)
        sidecar.start()
        yield Pair(sidecar, agent)
