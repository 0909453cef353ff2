"""etcd and kube-apiserver as processes: on loopback, on ports that they keep through every restart."""

import os
import random
import signal
import socket
from pathlib import Path
from typing import Callable, Sequence

from mesh.certificates import Certificate
from mesh.processes import Process
from part import find_program
from waiting import wait_until

_READY_SECONDS = 60.0
# Below the ports that the kernel gives to outgoing connections: none of those takes a port while its server is down.
_PORTS = range(20000, 32000)


class Server:
    """A program that can be stopped, started again as it was, frozen and thawed."""

    def __init__(self, name: str, argv: Sequence[str], log: Path, lacks: Callable[[], str | None]) -> None:
        self.name = name
        self.argv = list(argv)
        self.log = log
        self._lacks = lacks  # what it lacks to be ready
        self._process: Process | None = None

    @property
    def pid(self) -> int:
        """Its process id; only while it runs."""
        assert self._process is not None, f"{self.name} does not run"
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it is ready. The calling thread must live as long as the program is to."""
        # If this process is killed, the kernel kills the program: nothing is left behind.
        argv = ["setpriv", "--pdeathsig", "KILL", "--", *self.argv]
        self._process = Process(self.name, argv, self.log)
        self._process.wait_until_ready(self._lacks, _READY_SECONDS)

    def ask_to_stop(self) -> None:
        """Begin an orderly end, for kill() to complete: an API server closes its port, but goes on with watches."""
        os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, as a crash would; nothing happens if it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def freeze(self) -> None:
        """It hangs, until thaw(): connections stay open, new ones are accepted by the kernel, nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)
        # The signal is under way to threads that run; until it comes they may still answer.
        tasks = Path(f"/proc/{self.pid}/task")
        wait_until(lambda: all(_is_stopped(task) for task in tasks.iterdir()), f"{self.name} is frozen")

    def thaw(self) -> None:
        """It goes on where it was frozen."""
        os.kill(self.pid, signal.SIGCONT)


def _is_stopped(task: Path) -> bool:
    try:
        return (task / "stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return True  # the thread has ended meanwhile


def free_port() -> int:
    """A port that nothing listens on; a server that is given it keeps it."""
    for port in random.sample(_PORTS, 100):
        with socket.socket() as probe:
            # Without this a port whose last connections are not forgotten yet counts as taken.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("none of a hundred ports of the loopback interface is free")


def etcd(folder: Path, port: int, lacks: Callable[[], str | None]) -> Server:
    """The store behind the API server."""
    client, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{free_port()}"
    argv = [
        str(find_program("etcd")),
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        # What is kept for a test only need not survive a loss of power.
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]
    return Server("etcd", argv, folder / "etcd.log", lacks)


# Plugins that want controllers, or objects that only controllers make.
_WITHOUT_PLUGINS = [
    "DefaultIngressClass",
    "DefaultStorageClass",
    "LimitRanger",
    "PodSecurity",
    "Priority",
    "ResourceQuota",
    "RuntimeClass",
    "ServiceAccount",
    "StorageObjectInUseProtection",
    "TaintNodesByCondition",
]


def api_server(
    folder: Path, port: int, etcd_port: int, certificate: Certificate, lacks: Callable[[], str | None]
) -> Server:
    """The API server; credentials.py and audit.py say what the files are that it reads in the folder."""
    argv = [
        str(find_program("kube-apiserver")),
        f"--etcd-servers=http://127.0.0.1:{etcd_port}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={port}",
        "--endpoint-reconciler-type=none",
        f"--tls-cert-file={certificate.certificate}",
        f"--tls-private-key-file={certificate.key}",
        f"--client-ca-file={certificate.authority}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={folder / 'accounts.pub'}",
        f"--service-account-signing-key-file={folder / 'accounts.key'}",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--allow-privileged=true",
        "--enable-priority-and-fairness=false",
        "--profiling=false",
        f"--disable-admission-plugins={','.join(_WITHOUT_PLUGINS)}",
        f"--audit-policy-file={folder / 'audit.yaml'}",
        f"--audit-log-path={folder / 'audit.log'}",
        # A list of changes that is compacted at its own time would make tests of old versions a matter of luck.
        "--etcd-compaction-interval=0",
    ]
    return Server("kube-apiserver", argv, folder / "kube-apiserver.log", lacks)
