"""felix on a cluster: started with a kubeconfig, asked at its ports, with sidecars on its sockets.

What a log line, a metric or /readiness says is asked for since forget_log(), or now; nothing here measures time.
"""

import http.client
import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator

import node_agent
from policy_sync_server import Sidecar
from servers import free_port
from sync_client import Client as SyncClient
from waiting import wait_until

NODE = node_agent.NODE
SECONDS = 60.0  # a guard: how long anything may take that needs no waiting of felix's own


IS_SANITIZED = b"__asan_init" in node_agent.FELIX.read_bytes() if node_agent.FELIX.exists() else False
# What was freed is kept for a while to be watched, which is not to count as memory in use.
_SANITIZER = {"ASAN_OPTIONS": "quarantine_size_mb=1:malloc_context_size=3"}


class ClusterAgent(node_agent.Agent):
    """One felix that reads a cluster, with its folder for logs and sockets."""

    def __init__(self, kubeconfig: Path | None, *, name: str = NODE, node: Any = None) -> None:
        super().__init__(node)
        self.kubeconfig = kubeconfig
        self.name = name  # of the node
        self.health_port, self.metrics_port = free_port(), free_port()
        self._seen = 0

    def launch(self, *arguments: str, **environment: str) -> "ClusterAgent":
        """Start it; variables of the environment are given beside those that it needs."""
        ours = _SANITIZER | {
            "KUBECONFIG": str(self.kubeconfig or ""),
            "HOME": str(self.folder),
            "FELIX_HEALTHENABLED": "true",
            "FELIX_HEALTHHOST": "127.0.0.1",
            "FELIX_HEALTHPORT": str(self.health_port),
            "FELIX_PROMETHEUSMETRICSENABLED": "true",
            "FELIX_PROMETHEUSMETRICSHOST": "127.0.0.1",
            "FELIX_PROMETHEUSMETRICSPORT": str(self.metrics_port),
        }
        command = ["--datastore", "kubernetes", "--node", self.name, "--policy-sync-prefix", str(self.prefix)]
        self.run(*command, *arguments, environment=ours | environment)
        return self

    # What it says of itself

    def forget_log(self) -> None:
        """Lines that were written so far do not count any more."""
        self._seen = self.log.stat().st_size

    def lines(self, message: str = "", **wanted: Any) -> list[dict[str, str]]:
        """The log's lines since forget_log() whose message begins so, and which have these fields."""
        return self._lines_after(self._seen, message, **wanted)

    def _lines_after(self, offset: int, message: str = "", **wanted: Any) -> list[dict[str, str]]:
        whole = self.log
        with open(whole, "rb") as file:
            file.seek(offset)
            recent = self.folder / "recent"
            recent.write_bytes(file.read())
        self.log = recent
        try:
            return super().lines(message, **wanted)
        finally:
            self.log = whole

    def expect_words(self, *parts: str, seconds: float = SECONDS) -> dict[str, str]:
        """Wait for a line of the log, since forget_log(), in which all the parts stand; return it."""
        found: list[dict[str, str]] = []

        def is_there() -> bool:
            found[:] = [line for line in self.lines() if all(part in str(line) for part in parts)]
            return bool(found) and self.is_running()

        try:
            wait_until(is_there, f"the log says {parts}", seconds)
        except TimeoutError as late:
            raise AssertionError(f"{late}; it says:\n{self.journal()}") from None
        return found[-1]

    def most_memory(self) -> int:
        """The most that it ever had in memory, in KiB."""
        return self._status("VmHWM")

    def readiness(self) -> tuple[int, str]:
        """Status and text; (0, why) if the port is not open."""
        return _get(self.health_port, "/readiness")

    def metric(self, name: str) -> float:
        """A metric's value."""
        status, text = _get(self.metrics_port, "/metrics")
        assert status == 200, text
        values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return float(values[name])

    def kinds_and_watches(self) -> tuple[float, float]:
        """How many kinds it reads, and of how many it would hear news."""
        return self.metric("felix_kubernetes_kinds"), self.metric("felix_kubernetes_watches")

    def expect_ready(self, seconds: float = SECONDS) -> "ClusterAgent":
        """Wait until it has read everything and serves."""
        self.expect(lambda: self.readiness()[0] == 200, "felix is ready", seconds)
        return self

    def expect_watching(self, seconds: float = SECONDS) -> None:
        """Wait until it hears of every kind again, and has done so for long enough to say so."""
        self.expect(lambda: len(set(self.kinds_and_watches())) == 1, "every kind is watched", seconds)
        self.expect(lambda: not self.blind_spots(), "it says so", seconds)

    def blind_spots(self) -> dict[str, str]:
        """The kinds that it said it cannot read, and has not said since that it reads them again; and why."""
        spots: dict[str, str] = {}
        for line in self._lines_after(0):
            if line["msg"].startswith("Cannot read from the API server"):
                spots[line["resource"]] = line["problem"]
            elif line["msg"].startswith("Reading from the API server again"):
                spots.pop(line["resource"], None)
        return spots

    def expect(self, holds: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
        """Wait until something holds while it runs."""
        try:
            wait_until(lambda: self.is_running() and holds(), what, seconds)
        except TimeoutError as late:
            raise AssertionError(f"{late}; felix is {self.readiness()}; its log:\n{self.journal()}") from None

    def expect_failure(self, *parts: str) -> None:
        """It ends with an error in which all the parts stand, and is not merely killed."""
        assert self.process.wait(SECONDS) in (1, 2), self.journal()
        for part in parts:
            assert part in self.journal(), f"no {part!r} in\n{self.journal()}"
        self.process = None  # there is nothing to stop


def _get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    except (OSError, http.client.HTTPException) as problem:
        return 0, str(problem)
    finally:
        connection.close()


@contextmanager
def agent_of(kubeconfig: Path | None, *arguments: str, node: Any = None, **environment: str) -> Iterator[ClusterAgent]:
    """A felix that runs, and is stopped at the end; it must have found nothing wrong with itself."""
    made = ClusterAgent(kubeconfig, node=node)
    try:
        yield made.launch(*arguments, **environment)
    except BaseException:
        if made.process and made.process.poll() is None:
            made.process.kill()
            made.process.wait()
        print(made.journal())
        shutil.rmtree(made.folder, ignore_errors=True)
        raise
    made.close()


@contextmanager
def sidecar_of(agent: ClusterAgent, workload: str) -> Iterator[Sidecar]:
    """A dikastes that is fed by felix for a pod, as if in its volume."""
    sidecar = Sidecar(str(agent.mount(workload.replace("/", "."), workload)))
    try:
        yield sidecar.start()
    finally:
        sidecar.close()


@contextmanager
def client_of(agent: ClusterAgent, workload: str, pause: Callable[[], None] | None = None) -> Iterator[SyncClient]:
    """A foreign client in a pod's place, which minds at every message that nothing is amiss; `pause` slows it down."""
    with SyncClient(agent.mount(workload.replace("/", "."), workload), pause) as client:
        yield client


def resident_kib(process: subprocess.Popen[bytes]) -> int:
    """What a process has in memory now."""
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024
