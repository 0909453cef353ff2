"""The application behind the tested sidecar: it answers everything and remembers what reached it.

It runs in the test's own process, on sockets made inside the pod's namespace, so a test can simply look at
what arrived. Requests are taken as they come off the wire: nothing here may tidy a path up.
"""

import socket
import threading
from dataclasses import dataclass

from mesh.network import Namespace


@dataclass(frozen=True)
class Arrival:
    """A request (or, on a TCP port, a line) that got past the sidecar."""

    port: int
    first_line: str
    headers: tuple[str, ...] = ()


class Application:
    """Listens on the ports of one pod until closed."""

    def __init__(self, namespace: Namespace, http_ports: list[int], tcp_ports: list[int]) -> None:
        self._arrivals: list[Arrival] = []
        self._listeners: list[socket.socket] = []
        for serve, ports in ((self._serve_http, http_ports), (self._serve_lines, tcp_ports)):
            for port in ports:
                with namespace.entered():
                    listener = socket.create_server(("0.0.0.0", port), backlog=128)
                self._listeners.append(listener)
                threading.Thread(target=self._accept, args=(listener, port, serve), daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        for listener in self._listeners:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def arrived(self) -> list[Arrival]:
        """Everything that reached the application so far."""
        return list(self._arrivals)

    def _accept(self, listener: socket.socket, port: int, serve) -> None:
        while True:
            try:
                connection, _peer = listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._handle, args=(connection, port, serve), daemon=True).start()

    @staticmethod
    def _handle(connection: socket.socket, port: int, serve) -> None:
        with connection:
            try:
                serve(connection, port)
            except ConnectionError:
                pass  # the sidecar hung up

    def _serve_http(self, connection: socket.socket, port: int) -> None:
        stream = connection.makefile("rb")
        while line := stream.readline():
            headers = []
            while header := stream.readline().rstrip(b"\r\n"):
                headers.append(header.decode("latin-1"))
            self._arrivals.append(Arrival(port, line.rstrip(b"\r\n").decode("latin-1"), tuple(headers)))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nreached\n")

    def _serve_lines(self, connection: socket.socket, port: int) -> None:
        for line in connection.makefile("rb"):
            self._arrivals.append(Arrival(port, line.rstrip(b"\n").decode("latin-1")))
            connection.sendall(line)
