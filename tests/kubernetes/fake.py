"""An API server that may answer with any nonsense: a small HTTPS server, with objects of its own.

    with FakeServer(folder) as server:
        server.objects["/api/v1/pods"] = [...]
        server.nonsense["/api/v1/pods"] = lambda request: Answer(b"no JSON")

What is asked for without nonsense it answers as a real one would, but that nothing ever changes: lists, and watches that
begin with a list, are told whole; then there is silence.
"""

import json
import socket
import ssl
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator
from urllib.parse import parse_qs, urlsplit

from client import Object
from cryptography import x509
from mesh.certificates import Authority, Certificate
from servers import free_port

VERSION = "7"


@dataclass(frozen=True)
class Request:
    """What was asked for."""

    path: str
    query: dict[str, str]
    number: int  # of requests for this path so far, from 1 on

    @property
    def is_watch(self) -> bool:
        """Whether it is a watch; one that begins with a list is both."""
        return "watch" in self.query


@dataclass(frozen=True)
class Answer:
    """Status, body and headers. A body of pieces is sent in chunks, as they come; `raw` is all that is sent."""

    body: bytes | Iterable[bytes] = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None


Nonsense = Callable[[Request], Answer]


def event(kind: str, thing: Any) -> bytes:
    """One line of a watch."""
    return json.dumps({"type": kind, "object": thing}).encode() + b"\n"


def list_end() -> bytes:
    """What ends the list that a watch begins with."""
    annotations = {"k8s.io/initial-events-end": "true"}
    return event("BOOKMARK", {"metadata": {"resourceVersion": VERSION, "annotations": annotations}})


def listed(things: list[Object], **metadata: str) -> Object:
    """A list of objects."""
    return {"kind": "List", "metadata": {"resourceVersion": VERSION, **metadata}, "items": things}


def listed_bytes(things: list[Object], **metadata: str) -> bytes:
    """The same, as it is sent."""
    return json.dumps(listed(things, **metadata)).encode()


class FakeServer:
    """The server; enter it to start it."""

    def __init__(self, folder: Path) -> None:
        self.objects: dict[str, list[Object]] = {}  # of each path that there is; all others are 404
        self.nonsense: dict[str, Nonsense] = {}
        self.requests: Counter[str] = Counter()
        self.port = free_port()
        address = x509.IPAddress(ip_address("127.0.0.1"))
        self._files = Authority(folder, "fake").issue("server", address)
        self._over = threading.Event()
        self._connections: set[socket.socket] = set()
        self._server = self._make_server()
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> "FakeServer":
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._over.set()
        self._server.shutdown()
        self.drop_connections()
        self._server.server_close()

    @property
    def url(self) -> str:
        """What a kubeconfig calls it."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def root(self) -> Path:
        """The certificate to check it by."""
        return self._files.authority

    def drop_connections(self) -> None:
        """Break every connection."""
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def show(self, files: Certificate) -> None:
        """The certificate of connections from now on."""
        self._server.socket.context.load_cert_chain(files.certificate, files.key)  # type: ignore[attr-defined]

    def answer(self, request: Request) -> Answer:
        """What it says."""
        return self.nonsense.get(request.path, self.sense)(request)

    def sense(self, request: Request) -> Answer:
        """What it would say without nonsense."""
        if request.path not in self.objects:
            return Answer(b"404 page not found\n", 404, {"Content-Type": "text/plain"})
        things = self.objects[request.path]
        if not request.is_watch:
            return Answer(listed_bytes(things))
        return Answer(self._watch(things if "sendInitialEvents" in request.query else None))

    def _watch(self, things: list[Object] | None) -> Iterator[bytes]:
        for thing in things or []:
            yield event("ADDED", thing)
        if things is not None:
            yield list_end()
        self._over.wait()

    def _make_server(self) -> ThreadingHTTPServer:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            """Each connection has a thread of its own."""

            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                fake._connections.add(self.request)
                super().setup()

            def finish(self) -> None:
                fake._connections.discard(self.request)
                with suppress(OSError):
                    super().finish()

            def handle(self) -> None:
                with suppress(OSError):
                    super().handle()

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                fake.requests[parts.path] += 1
                query = {key: values[0] for key, values in parse_qs(parts.query).items()}
                self._send(fake.answer(Request(parts.path, query, fake.requests[parts.path])))

            def _send(self, answer: Answer) -> None:
                if answer.raw is not None:
                    self.wfile.write(answer.raw)
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                whole = isinstance(answer.body, bytes)
                length = {"Content-Length": str(len(answer.body))} if whole else {"Transfer-Encoding": "chunked"}
                for name, value in (length | answer.headers).items():
                    self.send_header(name, value)
                self.end_headers()
                if whole:
                    self.wfile.write(answer.body)
                    return
                for piece in answer.body:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                self.wfile.write(b"0\r\n\r\n")

            def log_message(self, *_arguments: Any) -> None:
                pass

        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(self._files.certificate, self._files.key)
        server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        server.daemon_threads = True
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        return server
