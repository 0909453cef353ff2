"""What a program inside a namespace still lacks to be ready, in words; None if nothing."""

import socket

from .network import Namespace

_SECONDS = 1.0


def port_lacks(namespace: Namespace, port: int) -> str | None:
    """Whether something listens on a port."""
    try:
        with namespace.entered():
            socket.create_connection(("127.0.0.1", port), _SECONDS).close()
        return None
    except OSError as error:
        return f"port {port}: {error}"


def http_lacks(namespace: Namespace, port: int, path: str) -> str | None:
    """Whether a port answers 200 to a GET of this path."""
    try:
        with namespace.entered():
            connection = socket.create_connection(("127.0.0.1", port), _SECONDS)
        with connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: probe\r\n\r\n".encode())
            status_line = connection.recv(64).partition(b"\r\n")[0]
    except OSError as error:
        return f"{path}: {error}"
    return None if b" 200 " in status_line else f"{path}: {status_line.decode()}"
