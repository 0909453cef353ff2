"""A running mesh: pods with their applications, sidecars and dikastes, and the end of all of them."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Iterable, Sequence

import yaml

from . import signals
from .access_log import AccessLog
from .certificates import Authority, Certificate
from .envoy_config import ADMIN_PORT, InboundPort, Sidecar, bootstrap
from .network import ENVOY_UID, Namespace, Network
from .processes import Process, stop_all
from .requirements import Programs
from .resources import PodSpec, ResourceDirectory

APPLICATION_UID = 1000
DIKASTES_UID = 999

_LOG_FLUSH_MILLISECONDS = "5"


class Pod:
    """One pod: its namespace, its identity and what runs in it."""

    def __init__(self, spec: PodSpec, namespace: Namespace, certificate: Certificate, directory: Path) -> None:
        directory.mkdir()
        directory.chmod(0o755)
        self.spec = spec
        self.namespace = namespace
        self.certificate = certificate
        self.directory = directory
        self.socket = _directory_of(DIKASTES_UID, directory / "dikastes") / "dikastes.sock"
        self.access_log = AccessLog(_directory_of(ENVOY_UID, directory / "envoy") / "access.log")
        self.application: Process | None = None
        self.dikastes: Process | None = None
        self.envoy: Process | None = None

    @property
    def address(self) -> str:
        """The pod's IP address."""
        return self.spec.address

    @property
    def processes(self) -> list[Process]:
        """What runs, in the order in which it is to be stopped: nothing may get past a sidecar that is gone."""
        return [process for process in (self.envoy, self.application, self.dikastes) if process is not None]

    @property
    def logs(self) -> list[Path]:
        """Every log of the pod that there is."""
        return [*(process.log for process in self.processes), self.access_log.path]

    def url(self, port: int, path: str = "/", scheme: str = "http") -> str:
        """Where a caller finds the pod's application."""
        return f"{scheme}://{self.address}:{port}{path}"


class Mesh:
    """The node, the pods and one directory for everything of this run. Use as a context manager."""

    def __init__(self, name: str, programs: Programs, resources: Iterable[Path]) -> None:
        run = f"{name}-{os.getpid()}"
        with signals.deferred():  # once it is made, it removes itself
            self._temporary = tempfile.TemporaryDirectory(prefix=f"{run}-")
        self.directory = Path(self._temporary.name)
        self.directory.chmod(0o755)
        self.network = Network(run)
        self.pods: list[Pod] = []
        self._programs = _staged(programs, self.directory / "bin")
        self.authority = Authority(self.directory / "certificates")
        self.resources = ResourceDirectory(self.directory / "resources", resources)

    def __enter__(self) -> "Mesh":
        try:
            self.network.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop every program, remove every namespace and the directory."""
        with signals.deferred():
            stop_all(process for pod in self.pods for process in pod.processes)
            self.network.stop()
            self._temporary.cleanup()

    def add_pod(self, spec: PodSpec) -> Pod:
        """Make a pod in which nothing runs yet."""
        namespace = self.network.add_pod(spec.namespace, spec.name, spec.address)
        certificate = self.authority.issue_workload(spec.namespace, spec.account, owner=ENVOY_UID)
        pod = Pod(spec, namespace, certificate, self.directory / f"{spec.namespace}.{spec.name}")
        self.pods.append(pod)
        return pod

    def start_application(self, pod: Pod, script: Path, arguments: Sequence[str], port: int) -> None:
        """Start a Python script as the pod's application; it is ready when it listens on the port."""
        copy = Path(shutil.copy(script, pod.directory))
        argv = [_python(), str(copy), *arguments]
        pod.application = self._start(pod, "application", argv, APPLICATION_UID)
        pod.application.wait_until_ready(lambda: _application_lacks(pod, port))

    def start_dikastes(self, pod: Pod) -> None:
        """Start the pod's dikastes, fed by the directory of resources."""
        argv = [
            *(str(self._programs.dikastes), "server"),
            *("--listen", str(pod.socket)),
            *("--dial", f"directory:{self.resources.path}"),
            *("--workload", pod.spec.workload),
        ]
        pod.dikastes = self._start(pod, "dikastes", argv, DIKASTES_UID)
        pod.dikastes.wait_until_ready(lambda: self._dikastes_lacks(pod))

    def start_envoy(self, pod: Pod, ports: Sequence[InboundPort]) -> None:
        """Start the pod's sidecar and send the pod's connections through it."""
        sidecar = Sidecar(tuple(ports), pod.certificate, pod.socket, pod.access_log.path)
        config = pod.directory / "envoy.yaml"
        config.write_text(yaml.safe_dump(bootstrap(sidecar), sort_keys=False))
        argv = [
            *(str(self._programs.envoy), "--config-path", str(config)),
            *("--concurrency", "1", "--log-level", "warning"),
            *("--disable-hot-restart", "--file-flush-interval-msec", _LOG_FLUSH_MILLISECONDS),
        ]
        first = pod.envoy is None
        pod.envoy = self._start(pod, "envoy", argv, ENVOY_UID)
        pod.envoy.wait_until_ready(lambda: _envoy_lacks(pod))
        if first:
            pod.namespace.redirect_into_sidecar()

    def restart_envoy(self, pod: Pod, ports: Sequence[InboundPort]) -> None:
        """Give the sidecar a new configuration. The pod is closed meanwhile: the redirect leads nowhere."""
        pod.envoy.stop()
        self.start_envoy(pod, ports)

    def _start(self, pod: Pod, name: str, argv: Sequence[str], uid: int) -> Process:
        title = f"{name} of {pod.spec.workload}"
        return Process(title, pod.namespace.command(argv, uid), pod.directory / f"{name}.log")

    def _dikastes_lacks(self, pod: Pod) -> str | None:
        ask = [str(self._programs.dikastes), "health", "readiness", "--dial-path", str(pod.socket)]
        done = subprocess.run(ask, capture_output=True, text=True, check=False)
        return None if done.returncode == 0 else f"health readiness: {done.returncode}, {done.stderr.strip()}"


def _staged(programs: Programs, directory: Path) -> Programs:
    """The programs where every user may run them: a checkout may well lie in root's home."""
    directory.mkdir()
    directory.chmod(0o755)
    return Programs(**{name: _link_or_copy(path, directory / name) for name, path in vars(programs).items()})


def _link_or_copy(source: Path, target: Path) -> Path:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy(source, target)
    return target


def _directory_of(uid: int, path: Path) -> Path:
    path.mkdir()
    path.chmod(0o755)
    os.chown(path, uid, uid)
    return path


def _python() -> str:
    """An interpreter for programs that use the standard library only: the one behind a virtual environment,
    which any user may run, wherever the environment itself lies."""
    return os.path.realpath(sys.executable)


def _envoy_lacks(pod: Pod) -> str | None:
    try:
        with pod.namespace.entered():
            connection = socket.create_connection(("127.0.0.1", ADMIN_PORT), timeout=1)
        with connection:
            connection.sendall(b"GET /ready HTTP/1.1\r\nHost: envoy\r\n\r\n")
            status_line = connection.recv(64).partition(b"\r\n")[0]
            return None if b" 200 " in status_line else f"/ready: {status_line.decode()}"
    except OSError as error:
        return f"/ready: {error}"


def _application_lacks(pod: Pod, port: int) -> str | None:
    try:
        with pod.namespace.entered():
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return None
    except OSError as error:
        return f"port {port}: {error}"
