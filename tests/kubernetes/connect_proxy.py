"""A proxy that clients ask by CONNECT to be put through, as kubeconfigs name one by proxy-url."""

import socket
import socketserver
import threading
from contextlib import suppress

from servers import free_port


class ConnectProxy:
    """Puts through whoever asks; enter it to start it."""

    def __init__(self) -> None:
        self.asked_for: set[str] = set()  # HOST:PORT
        self.port = free_port()
        proxy = self

        class Handler(socketserver.StreamRequestHandler):
            """One connection."""

            def handle(self) -> None:
                words = self.rfile.readline().decode().split()
                while self.rfile.readline().strip():
                    pass
                proxy.asked_for.add(words[1])
                host, _, port = words[1].rpartition(":")
                with socket.create_connection((host, int(port))) as server:
                    self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    back = threading.Thread(target=_carry, args=(server, self.request), daemon=True)
                    back.start()
                    _carry(self.request, server)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> "ConnectProxy":
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """What a kubeconfig calls it."""
        return f"http://127.0.0.1:{self.port}"


def _carry(source: socket.socket, target: socket.socket) -> None:
    """One direction, until either end is gone."""
    with suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
