"""A TCP proxy between a client and the API server, and what can go wrong on a network.

    with Proxy(cluster.port) as proxy:
        config = cluster.kubeconfig(path, user, server=proxy.url)
        proxy.cut()

It carries bytes, so the client's TLS ends at the server. Given the server's certificate it ends TLS itself, and what
`rewrite` and `truncate_after` get to see is HTTP; only clients with tokens work then.
"""

import asyncio
import ssl
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Coroutine

from servers import free_port

_CHUNK = 65536
_TIMEOUT_SECONDS = 10.0
_GOODBYE_SECONDS = 0.05


@dataclass
class Counts:
    """What went through since the proxy was made."""

    connections: int = 0
    to_server: int = 0  # bytes
    to_client: int = 0  # bytes


@dataclass(frozen=True)
class Termination:
    """Files to end TLS with: the server's certificate and key for clients, the root to check the server by."""

    certificate: Path
    key: Path
    root: Path
    protocol: str = "http/1.1"  # or h2: what both sides speak


class Proxy:
    """Listens on a loopback port and carries connections to another. Its methods may be called from any thread."""

    def __init__(self, target_port: int, termination: Termination | None = None) -> None:
        self.counts = Counts()
        self.port = free_port()
        self._target_port = target_port
        self._termination = termination
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._dead = 0  # connections up to this number carry nothing any more
        # What is wrong at present; read for every piece that comes.
        self.delay_seconds = 0.0
        self.truncate_after: int | None = None  # bytes to the client, then its connection is closed; counts down
        self.rewrite: Callable[[bytes], bytes] | None = None  # of each piece to the client

    def __enter__(self) -> "Proxy":
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(self, *_exception: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        """What a kubeconfig calls the server."""
        return f"https://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Close every connection and refuse new ones, until mend()."""
        self._call(self._close())

    def drop_connections(self) -> None:
        """Close every connection; new ones are carried."""
        self._call(self._drop())

    def stall(self) -> None:
        """Carry nothing, in either direction, but keep connections open and take new ones, until mend()."""
        self._call(self._stall())

    def stall_present(self) -> None:
        """The same for the connections that there are; new ones are carried. Nothing mends them."""
        self._dead = self.counts.connections

    def mend(self) -> None:
        """All is well again; a stalled connection goes on with what it held back."""
        self.delay_seconds, self.truncate_after, self.rewrite = 0.0, None, None
        self._call(self._mend())

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        future: Future[None] = asyncio.run_coroutine_threadsafe(work, self._loop)
        future.result(_TIMEOUT_SECONDS)

    async def _listen(self) -> None:
        tls = None
        if self._termination:
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.load_cert_chain(self._termination.certificate, self._termination.key)
            tls.set_alpn_protocols([self._termination.protocol])
        # As other servers do, it says goodbye and goes, whatever the client says to that.
        patience = _GOODBYE_SECONDS if tls else None
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, ssl=tls, ssl_shutdown_timeout=patience
        )

    async def _mend(self) -> None:
        self._flowing.set()
        if self._server is None:
            await self._listen()

    async def _stall(self) -> None:
        self._flowing.clear()

    async def _close(self) -> None:
        if self._server:
            self._server.close()
            self._server = None
        await self._drop()

    async def _drop(self) -> None:
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its start to its end."""
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self.counts.connections += 1
        try:
            await self._connect(self.counts.connections, reader, writer)
        except (OSError, asyncio.CancelledError):
            # Not an orderly end: TLS would still send its goodbye.
            writer.transport.abort()
        finally:
            writer.close()
            self._connections.discard(task)

    async def _connect(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tls = None
        if self._termination:
            tls = ssl.create_default_context(cafile=str(self._termination.root))
            tls.set_alpn_protocols([self._termination.protocol])
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target_port, ssl=tls)
        carrying = [
            asyncio.create_task(self._carry(number, reader, server_writer, self._to_server)),
            asyncio.create_task(self._carry(number, server_reader, writer, self._to_client)),
        ]
        try:
            await asyncio.wait(carrying, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in carrying:
                task.cancel()
            server_writer.close()

    async def _carry(
        self,
        number: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        pass_on: Callable[[bytes], tuple[bytes, bool]],
    ) -> None:
        """Carry one direction until its end, or until `pass_on` says that this was the last."""
        try:
            goes_on = True
            while goes_on and (piece := await reader.read(_CHUNK)):
                if self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds)
                await self._flowing.wait()
                if number <= self._dead:
                    await asyncio.Event().wait()
                piece, goes_on = pass_on(piece)
                writer.write(piece)
                await writer.drain()
        except OSError:
            pass  # the other end is gone, which ends this one

    def _to_server(self, piece: bytes) -> tuple[bytes, bool]:
        self.counts.to_server += len(piece)
        return piece, True

    def _to_client(self, piece: bytes) -> tuple[bytes, bool]:
        if self.rewrite:
            piece = self.rewrite(piece)
        if self.truncate_after is not None:
            piece = piece[: self.truncate_after]
            self.truncate_after -= len(piece)
        self.counts.to_client += len(piece)
        return piece, self.truncate_after != 0
