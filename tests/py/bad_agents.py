"""Peers that are no good node agent: connections that break, or were never gRPC."""

import contextlib
import pathlib
import socket
import threading


class Listener:
    """Answers every connection to a unix socket by calling serve(connection) in a thread."""

    def __init__(self, path, serve):
        self.path = pathlib.Path(path)
        self.accepted = threading.Semaphore(0)  # one up for each connection
        self._serve = serve
        self._connections = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                self.accepted.release()
                threading.Thread(target=self._run, args=[connection], daemon=True).start()

    def _run(self, connection):
        with contextlib.suppress(OSError):
            self._serve(connection)

    def close(self):
        """No more connections, and the open ones are cut; the path is free for another."""
        if self._listener.fileno() < 0:
            return
        self.path.unlink()
        for each in [self._listener, *self._connections]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def say_nothing(connection):
    while connection.recv(4096):
        pass


class SayInTurn:
    """Says something else to each who comes, and hangs up; in the end it says nothing."""

    def __init__(self, replies):
        self._replies = iter(replies)

    def __call__(self, connection):
        connection.recv(4096)
        reply = next(self._replies, None)
        if reply is None:
            say_nothing(connection)
            return
        connection.sendall(reply)
        connection.shutdown(socket.SHUT_RDWR)


def _hang_up(*connections):
    for each in connections:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


class Relay:
    """Passes a conversation with the agent at a path on: in small pieces, or only its beginning."""

    def __init__(self, path, piece=65536):
        self.path = path
        self.piece = piece
        self.limits = []  # of each next connection: so many bytes of the agent's, then it is cut

    def __call__(self, connection):
        with socket.socket(socket.AF_UNIX) as agent:
            agent.connect(str(self.path))
            threading.Thread(target=self._ask, args=[connection, agent], daemon=True).start()
            try:
                self._answer(agent, connection)
            finally:
                _hang_up(agent, connection)

    def _ask(self, connection, agent):
        with contextlib.suppress(OSError):
            while said := connection.recv(65536):
                agent.sendall(said)
        _hang_up(agent)

    def _answer(self, agent, connection):
        left = self.limits.pop(0) if self.limits else None
        while left != 0:
            said = agent.recv(self.piece if left is None else min(left, self.piece))
            if not said:
                return
            connection.sendall(said)
            left = left and left - len(said)
