"""A running mesh: a node, pods with their applications, sidecars and dikastes, and the end of all of them."""

import os
import shutil
import subprocess
import sys
import tempfile
from enum import Enum
from pathlib import Path
from typing import Iterable, Sequence

import yaml

from . import signals
from .access_log import AccessLog
from .certificates import Authority, Certificate
from .envoy_config import ADMIN_PORT, InboundPort, Sidecar, bootstrap
from .network import ENVOY_UID, Namespace, Network, as_user
from .node import FELIX_SOCKET, Node
from .probes import http_lacks, port_lacks
from .processes import Process, stop_all
from .requirements import Programs
from .resources import PodSpec, ResourceDirectory

APPLICATION_UID = 1000
DIKASTES_UID = 999

_LOG_FLUSH_MILLISECONDS = "5"


class PolicySource(Enum):
    """Where a dikastes has its policy from."""

    FELIX = "felix"  # the node agent, over the Policy Sync API
    DIRECTORY = "directory"  # itself, from the directory of resources


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
        self.programs = _staged(programs, self.directory / "bin")
        self.authority = Authority(self.directory / "certificates")
        self.resources = ResourceDirectory(self.directory / "resources", resources)
        self.node = Node(self.network.node, self.programs, self.resources.path, self.directory / "node")

    def __enter__(self) -> "Mesh":
        try:
            self.network.start()
            self.node.start()
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
            stop_all(self.node.processes)
            self.network.stop()
            self._temporary.cleanup()

    def add_pod(self, spec: PodSpec) -> Pod:
        """Make a pod in which nothing runs yet."""
        namespace = self.network.add_pod(spec.namespace, spec.name, spec.address)
        certificate = self.authority.issue_workload(spec.namespace, spec.account, owner=ENVOY_UID)
        pod = Pod(spec, namespace, certificate, self.directory / f"{spec.namespace}.{spec.name}")
        self.pods.append(pod)
        return pod

    def remove_pod(self, pod: Pod) -> None:
        """Take a pod away, as kubelet does: first what runs in it, then its volume, then its network."""
        with signals.deferred():
            stop_all(pod.processes)
            self.pods.remove(pod)
            self.node.unmount_volume(pod.spec)
            pod.namespace.remove()

    def start_application(self, pod: Pod, script: Path, arguments: Sequence[str], port: int) -> None:
        """Start a Python script as the pod's application; it is ready when it listens on the port."""
        copy = Path(shutil.copy(script, pod.directory))
        argv = [_python(), str(copy), *arguments]
        command = pod.namespace.command(as_user(APPLICATION_UID, argv))
        pod.application = self._start(pod, "application", command)
        pod.application.wait_until_ready(lambda: port_lacks(pod.namespace, port))

    def start_dikastes(self, pod: Pod, source: PolicySource = PolicySource.FELIX) -> None:
        """Start the pod's dikastes and wait until it has policy."""
        self.launch_dikastes(pod, source)
        pod.dikastes.wait_until_ready(lambda: self.dikastes_lacks(pod))

    def launch_dikastes(self, pod: Pod, source: PolicySource = PolicySource.FELIX) -> None:
        """Start the pod's dikastes, as the Istio manifests do it if felix feeds it."""
        argv = [str(self.programs.dikastes), "server", "-l", str(pod.socket), "-d"]
        if source is PolicySource.FELIX:
            self.node.mount_volume(pod.spec)
            command = as_user(DIKASTES_UID, [*argv, FELIX_SOCKET])
            command = self.node.container_command(pod.spec, pod.namespace, command)
        else:
            argv += [f"directory:{self.resources.path}", "--workload", pod.spec.workload]
            command = pod.namespace.command(as_user(DIKASTES_UID, argv))
        pod.dikastes = self._start(pod, "dikastes", command)

    def dikastes_lacks(self, pod: Pod) -> str | None:
        """What keeps the pod's dikastes from being ready."""
        ask = [str(self.programs.dikastes), "health", "readiness", "--dial-path", str(pod.socket)]
        done = subprocess.run(ask, capture_output=True, text=True, check=False)
        return None if done.returncode == 0 else f"health readiness: {done.returncode}, {done.stderr.strip()}"

    def start_envoy(self, pod: Pod, ports: Sequence[InboundPort]) -> None:
        """Start the pod's sidecar and send the pod's connections through it."""
        sidecar = Sidecar(tuple(ports), pod.certificate, pod.socket, pod.access_log.path)
        config = pod.directory / "envoy.yaml"
        config.write_text(yaml.safe_dump(bootstrap(sidecar), sort_keys=False))
        argv = [
            *(str(self.programs.envoy), "--config-path", str(config)),
            *("--concurrency", "1", "--log-level", "warning"),
            *("--disable-hot-restart", "--file-flush-interval-msec", _LOG_FLUSH_MILLISECONDS),
        ]
        first = pod.envoy is None
        pod.envoy = self._start(pod, "envoy", pod.namespace.command(as_user(ENVOY_UID, argv)))
        pod.envoy.wait_until_ready(lambda: http_lacks(pod.namespace, ADMIN_PORT, "/ready"))
        if first:
            pod.namespace.redirect_into_sidecar()

    def restart_envoy(self, pod: Pod, ports: Sequence[InboundPort]) -> None:
        """Give the sidecar a new configuration. The pod is closed meanwhile: the redirect leads nowhere."""
        pod.envoy.stop()
        self.start_envoy(pod, ports)

    @staticmethod
    def _start(pod: Pod, name: str, command: Sequence[str]) -> Process:
        return Process(f"{name} of {pod.spec.workload}", command, pod.directory / f"{name}.log")


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

