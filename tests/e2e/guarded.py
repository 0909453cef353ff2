"""A pod that is asked: its application, guarded by its sidecar and dikastes, and the ways to call it.

A caller speaks from a pod's address, with a certificate (mutual TLS spoken by the test itself) or without
(plain text), and writes its request byte by byte: no client library gets a chance to make it decent.
"""

import http.client
import itertools
import socket
import ssl
import subprocess
from dataclasses import dataclass

from application import Application, Arrival
from mesh.access_log import Entry
from mesh.certificates import Certificate
from mesh.envoy_config import InboundPort, MutualTls, Protocol
from mesh.mesh import Mesh, PolicySource
from mesh.network import Namespace
from mesh.resources import PodSpec

HTTP_PORT = 8080
HTTP_UNNORMALIZED_PORT = 8081
HTTP_STRICT_PORT = 8082
TCP_PORT = 9000
TCP_STRICT_PORT = 9001

SERVER_PORTS = (
    InboundPort(HTTP_PORT, mutual_tls=MutualTls.PERMISSIVE),
    InboundPort(HTTP_UNNORMALIZED_PORT, mutual_tls=MutualTls.PERMISSIVE, normalize_path=False),
    InboundPort(HTTP_STRICT_PORT, mutual_tls=MutualTls.STRICT),
    InboundPort(TCP_PORT, Protocol.TCP, MutualTls.PERMISSIVE),
    InboundPort(TCP_STRICT_PORT, Protocol.TCP, MutualTls.STRICT),
)

_SECONDS = 10.0


@dataclass(frozen=True)
class Caller:
    """Where a call comes from, and the certificate it shows (none: plain text)."""

    namespace: Namespace
    certificate: Certificate | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a call.

    The status is HTTP's, or 0 if the call ended without one, as TCP calls always do; the entry is Envoy's line
    about the call, the arrivals are what of it got through to the application.
    """

    status: int
    reply: bytes
    entry: Entry
    arrivals: tuple[Arrival, ...]

    def assert_allowed(self) -> None:
        """The call reached the application, once, and was answered."""
        assert self.status in (0, 200) and self.reply, self
        assert len(self.arrivals) == 1, self

    def assert_refused(self) -> None:
        """The call was refused, by dikastes or by Envoy itself, and the application saw nothing of it."""
        assert self.status in (400, 403, 404) or not (self.status or self.reply), self
        assert not self.entry.unanswered, self
        assert not self.arrivals, self

    def assert_denied(self) -> None:
        """The call was refused by a verdict, not for the lack of one."""
        self.assert_refused()
        assert self.entry.denied, self

    def assert_unanswered(self) -> None:
        """The call was refused because nobody gave a verdict on it."""
        assert self.status == 403 or not (self.status or self.reply), self
        assert self.entry.unanswered, self
        assert not self.arrivals, self


class Server:
    """The pod, with everything in it running."""

    # No two calls have the same, whichever server they are for: a caller's sidecar has one port for all of them.
    _cases = itertools.count(1)
    _source_ports = itertools.count(10000)

    def __init__(self, mesh: Mesh, spec: PodSpec) -> None:
        self._mesh = mesh
        self._source = PolicySource.FELIX
        self.pod = mesh.add_pod(spec)
        http_ports = [port.number for port in SERVER_PORTS if port.protocol is Protocol.HTTP]
        tcp_ports = [port.number for port in SERVER_PORTS if port.protocol is Protocol.TCP]
        self.application = Application(self.pod.namespace, http_ports, tcp_ports)
        self.start_dikastes()
        mesh.start_envoy(self.pod, SERVER_PORTS)

    def close(self) -> None:
        """Stop what runs in this process; the mesh stops the rest."""
        self.application.close()

    def start_dikastes(self) -> None:
        """Start dikastes, after it was stopped."""
        self._mesh.start_dikastes(self.pod, self._source)

    def feed_from(self, source: PolicySource) -> None:
        """Have the policy from elsewhere from now on."""
        if source is not self._source:
            self.pod.dikastes.stop()
            self._source = source
            self.start_dikastes()

    def connect(self, caller: Caller, port: int = HTTP_PORT) -> socket.socket:
        """Open a connection to the server, from a port that no other connection of this world has.

        By that port its line is found in the log. A port that is in use towards another of the server's ports
        would not do: the redirect leads both to one port of the sidecar, and the kernel would tell them apart
        by giving one another source port.
        """
        source = ("", next(self._source_ports))
        with caller.namespace.entered():
            connection = socket.create_connection((self.pod.address, port), _SECONDS, source)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if caller.certificate is None:
            return connection
        context = ssl.create_default_context(cafile=str(self.pod.certificate.authority))
        context.check_hostname = False  # the server's name is a SPIFFE identity, too
        context.load_cert_chain(caller.certificate.certificate, caller.certificate.key)
        return context.wrap_socket(connection)

    def http(
        self, caller: Caller, method: str, target: str, port: int = HTTP_PORT, headers: dict[str, str] | None = None
    ) -> Outcome:
        """Send one request on a connection of its own. The target goes out as it is, a character a byte."""
        with self.connect(caller, port) as connection:
            return self.http_on(connection, method, target, headers)

    def http_on(
        self, connection: socket.socket, method: str, target: str, headers: dict[str, str] | None = None
    ) -> Outcome:
        """Send one request on an open connection."""
        case = self._new_case()
        source, seen = _source_of(connection), len(self.pod.access_log.entries())
        status, reply = exchange(connection, method, target, {"x-case": case} | (headers or {}))
        return Outcome(
            status=status,
            reply=reply,
            entry=self.pod.access_log.wait_for(lambda entry: entry.source == source, after=seen),
            arrivals=self._arrivals_of(case),
        )

    def http2(self, caller: Caller, target: str, port: int = HTTP_PORT) -> Outcome:
        """Send one GET by HTTP/2; curl speaks it, and is told to leave the target alone."""
        case, source_port = self._new_case(), next(self._source_ports)
        argv = ["curl", "--silent", "--max-time", str(_SECONDS), "--local-port", str(source_port)]
        argv += ["--header", f"x-case: {case}", "--write-out", "\n%{http_version} %{http_code}"]
        if caller.certificate is None:
            argv += ["--http2-prior-knowledge", self.pod.url(port)]
        else:
            argv += ["--http2", "--insecure", self.pod.url(port, scheme="https")]
            argv += ["--cert", str(caller.certificate.certificate), "--key", str(caller.certificate.key)]
        argv += ["--request-target", target]
        said = subprocess.run(caller.namespace.command(argv), capture_output=True, check=False).stdout
        reply, _, told = said.rpartition(b"\n")
        version, status = told.split()
        assert (version, status) == (b"0", b"000") or version == b"2", said
        return Outcome(
            status=int(status),
            reply=reply,
            entry=self.pod.access_log.wait_for(lambda entry: entry.source.endswith(f":{source_port}")),
            arrivals=self._arrivals_of(case),
        )

    def tcp(self, caller: Caller, port: int = TCP_PORT) -> Outcome:
        """Send one line to a TCP port and wait for its echo."""
        line = self._new_case()
        with self.connect(caller, port) as connection:
            source = _source_of(connection)
            connection.sendall(line.encode() + b"\n")
            try:
                reply = connection.makefile("rb").readline()
            except ConnectionError:
                reply = b""
        return Outcome(
            status=0,
            reply=reply,
            entry=self.pod.access_log.wait_for(lambda entry: entry.source == source),
            arrivals=self._arrivals_of(line),
        )

    def _new_case(self) -> str:
        return f"case-{next(self._cases)}"

    def _arrivals_of(self, case: str) -> tuple[Arrival, ...]:
        """What reached the application of a call: a request says its case in a header, a TCP line is its case."""
        header = f"x-case: {case}"
        return tuple(seen for seen in self.application.arrived() if case == seen.first_line or header in seen.headers)


def exchange(
    connection: socket.socket, method: str, target: str, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """Send one request and read its answer: the status and the body."""
    sent = {"Host": "server", "Content-Length": "0"} | (headers or {})
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items()), "", ""]
    connection.sendall("\r\n".join(lines).encode("latin-1"))
    response = http.client.HTTPResponse(connection, method=method)
    response.begin()
    return response.status, response.read()


def _source_of(connection: socket.socket) -> str:
    address, port = connection.getsockname()
    return f"{address}:{port}"
