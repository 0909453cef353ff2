"""Yao Bank on a mesh: its pods running, and the ways in which people and attackers call them."""

import http.client
import itertools
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

from mesh.envoy_config import InboundPort, MutualTls, Protocol
from mesh.mesh import Mesh, Pod
from mesh.network import ENVOY_UID, Namespace, as_user
from mesh.requirements import Programs
from mesh.resources import read_pods
from mesh.stream import Stream

HERE = Path(__file__).resolve().parent
HTTP_PORT = 8080
SQL_PORT = 5432

_CURL_SECONDS = "8"
_EFFECT_SECONDS = 10.0


@dataclass(frozen=True)
class Answer:
    """What a caller got: an HTTP status and text, or status 0 and what the program said instead.

    By the identifier, an x-request-id, the request is found in the logs of every pod that it passed.
    """

    status: int
    text: str
    identifier: str

    def __str__(self) -> str:
        return f"{self.status} {self.text or '(empty)'}" if self.status else f"no answer: {self.text}"


class Bank:
    """The running bank."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.outside = mesh.network.node
        pods = read_pods(mesh.resources.path)
        self.customer, self.summary, self.database, self.attack = (
            mesh.add_pod(pods[name]) for name in ("customer", "summary", "database", "attack")
        )
        self._identifiers = (f"yaobank-{number}" for number in itertools.count(1))

    @property
    def logs(self) -> list[Path]:
        """Every log of the node and of every pod."""
        return [*self.mesh.node.logs, *(log for pod in self.mesh.pods for log in pod.logs)]

    def open(self) -> None:
        """Start felix, and the services, each with its sidecar and dikastes. The attacker has neither."""
        self.mesh.node.start_felix()
        services = {
            self.customer: ["customer", "--summary", self.summary.address],
            self.summary: ["summary", "--database", self.database.address],
            self.database: ["database"],
        }
        for pod, arguments in services.items():
            self.mesh.start_application(pod, HERE / "services.py", arguments, HTTP_PORT)
            self.mesh.start_dikastes(pod)
        # The page is for people outside of the mesh, who have no certificate.
        self.mesh.start_envoy(self.customer, [InboundPort(HTTP_PORT, mutual_tls=MutualTls.PERMISSIVE)])
        self.mesh.start_envoy(self.summary, [InboundPort(HTTP_PORT)])
        self.mesh.start_envoy(self.database, _database_ports(MutualTls.STRICT))

    def set_database_mutual_tls(self, mode: MutualTls) -> None:
        """What a PeerAuthentication does: the database's sidecar asks for certificates or takes plain text too."""
        self.mesh.restart_envoy(self.database, _database_ports(mode))

    def curl(self, where: str, arguments: Sequence[str], past_sidecar: bool) -> Answer:
        """Run curl in a pod, or outside.

        Past its sidecar means as the sidecar's own user, whom the redirect leaves alone.
        """
        identifier = next(self._identifiers)
        argv = [
            *("curl", "--silent", "--show-error", "--max-time", _CURL_SECONDS),
            *("--header", f"x-request-id: {identifier}", "--write-out", "\n%{http_code}"),
            *arguments,
        ]
        namespace = {"outside": self.outside} | {pod.spec.name: pod.namespace for pod in self.mesh.pods}
        command = namespace[where].command(as_user(ENVOY_UID, argv) if past_sidecar else argv)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        body, _, status = done.stdout.rpartition("\n")
        return Answer(int(status or 0), (body or done.stderr).strip(), identifier)

    def sql(self, where: Namespace, line: str) -> str:
        """Say one line to the database's TCP port; empty if it closes without a word."""
        try:
            with where.entered():
                connection = socket.create_connection((self.database.address, SQL_PORT), timeout=5)
            with connection:
                connection.sendall(line.encode() + b"\n")
                return connection.makefile(encoding="utf-8").readline().strip()
        except ConnectionError:
            return ""

    def post_until(self, pod: Pod, status: int, began: float) -> float:
        """Repeat a POST to a pod from outside until its status is this; the milliseconds since `began`."""
        while (passed := time.monotonic() - began) < _EFFECT_SECONDS:
            if _ask(self.outside, "POST", pod.address) == status:
                return (time.monotonic() - began) * 1000
        raise TimeoutError(f"{pod.spec.name} did not answer {status} within {passed:.0f} s")

    def ask_again_and_again(self, pod: Pod, method: str) -> Stream[int]:
        """A stream of requests to a pod from outside; their statuses are its answers."""
        return Stream(lambda: _ask(self.outside, method, pod.address))


def open_bank(programs: Programs) -> Mesh:
    """The mesh for the bank, with its cluster's objects and its policies in place."""
    return Mesh("yaobank", programs, [HERE / "cluster", HERE / "policies"])


def _database_ports(mode: MutualTls) -> list[InboundPort]:
    return [InboundPort(HTTP_PORT, mutual_tls=mode), InboundPort(SQL_PORT, Protocol.TCP, mode)]


def _ask(where: Namespace, method: str, address: str) -> int:
    with where.entered():
        connection = http.client.HTTPConnection(address, HTTP_PORT, timeout=5)
        connection.connect()
    try:
        connection.request(method, "/")
        return connection.getresponse().status
    finally:
        connection.close()
