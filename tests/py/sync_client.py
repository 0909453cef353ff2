"""A foreign client of the Policy Sync API: grpcio, which shares nothing with our gRPC; fold.py minds every message.

It reads in a thread of its own, as fast as `pause` lets it.
"""

import threading

import grpc

import fold
from calculation import resources
from calculation.stream import PHASES
from node_agent import NODE, SECONDS
from plain.state import plan, state, told_to
from protos import felix
from sequences import differences
from server import wait_for

SYNC, REPORT = "/felix.PolicySync/Sync", "/felix.PolicySync/Report"
LARGEST = 4 * 1024 * 1024


def told(world, workload, whole=None):
    """What the sidecar of a workload must know; `world` in the short form of calculation/resources.py."""
    return told_to(whole or state_of(world), workload)


def state_of(world):
    return state(plan({name: resources.resource(name, content) for name, content in world.items()}, node=NODE))


def open_channel(socket, *options):
    return grpc.insecure_channel(f"unix:{socket}", options=[
        # Channels of one process would share a connection otherwise.
        ("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", LARGEST), *options])


class Client(fold.Client):
    """One call of Sync.  What went and came back while it did not look may be told again as it was."""

    def __init__(self, socket, pause=None):
        super().__init__(tolerate_unchanged=True)
        self.messages, self.kinds = [], []
        self.code = self.problem = None
        self._lock = threading.Lock()
        self._pause = pause
        self._channel = open_channel(socket)
        self._call = self._channel.unary_stream(SYNC)(felix.SyncRequest().SerializeToString(), wait_for_ready=True)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _read(self):
        try:
            for raw in self._call:
                self._take(raw)
                if self._pause:
                    self._pause()
            self.code = self._call.code()
        except grpc.RpcError as error:
            self.code = error.code()
        except AssertionError as problem:
            self.problem = problem
            self._call.cancel()

    def _take(self, raw):
        with self._lock:
            self._check(len(raw) < LARGEST, "a message of 4 MiB or more")
            self.messages.append(raw)
            self.kinds.append(self.apply(raw))
            if self.kinds[-1] == "in_sync":
                self._check_joining()

    def _check(self, holds, problem):
        super()._check(holds or problem.endswith("again, unchanged"), problem)

    def _check_joining(self):
        phases = [PHASES.get(kind) for kind in self.kinds]
        self._check(None not in phases and phases == sorted(phases), f"not the order of joining: {self.kinds}")
        self._check_nothing_idle()

    def close(self):
        """Ends the call, if it has not ended, and tells of what was amiss."""
        self._call.cancel()
        self._channel.close()
        self._thread.join(SECONDS)
        self.assert_sound()

    def assert_sound(self):
        if self.problem:
            raise self.problem

    def expect(self, condition, what=""):
        """Waits until the condition holds of this client."""
        def holds():
            self.assert_sound()
            with self._lock:
                return condition(self)
        assert wait_for(holds, SECONDS), (what, self.kinds[-20:], self.code)
        return self

    def expect_in_sync(self):
        return self.expect(lambda _: self.in_sync, "InSync")

    def expect_end(self, code=grpc.StatusCode.OK):
        self.expect(lambda _: self.code is not None, "the end of the stream")
        assert self.code == code
        return self

    def expect_state(self, wanted):
        """Waits until it knows just that."""
        def is_as_wanted():
            self.assert_sound()
            with self._lock:
                return self.in_sync and self.state() == wanted and self._is_nothing_idle()
        if not wait_for(is_as_wanted, SECONDS):
            with self._lock:
                raise AssertionError("\n".join([str(self.kinds[-20:]), *differences(self.state(), wanted)]))
        return self

    def _is_nothing_idle(self):
        try:
            self._check_nothing_idle()
        except fold.Finding:
            return False
        return True

    def known(self):
        """How many messages it had so far; see `since`."""
        with self._lock:
            return len(self.kinds)

    def since(self, known):
        """The kinds of those that came after."""
        with self._lock:
            return self.kinds[known:]
