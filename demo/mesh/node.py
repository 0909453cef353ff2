"""The node, as its pods' sidecars know it: felix, and kubelet, which gives each pod the volume with felix's socket.

    on the node     /var/run/nodeagent/creds/UID.json          the driver tells felix whose volume it is
                    /var/run/nodeagent/mount/UID/socket        felix listens
                    DIRECTORY/pods/UID/volumes/nodeagent~uds/felix-sync/nodeagent/socket
    in the pod      /var/run/felix/nodeagent/socket            the pod's dikastes calls

These are the paths of a Kubernetes node, and still nobody else on the machine sees them: the node has a mount
namespace of its own, with a /run of its own. It hears of what the machine mounts and unmounts, the machine
never hears of it, and it ends with the last program that is in it. So nothing has to be unmounted at the
end, not even if we are killed without a chance to clean up.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Sequence

from .network import Namespace, as_user
from .probes import http_lacks
from .processes import Process, StartFailed
from .requirements import RUN, Programs
from .resources import PodSpec

FELIX_SOCKET = "/var/run/felix/nodeagent/socket"  # in a pod, whichever pod it is
METRICS_PORT = 9091

_HEALTH_PORT = 9099

# As on a node: its mounts reach the containers, a container's reach nobody.
_NODE = """
mount --make-rshared /
mount -t tmpfs -o mode=0755 tmpfs "$0"
mkdir "$0/felix"
exec sleep infinity
"""
_CONTAINER = 'mount --rbind "$0" /var/run/felix && exec "$@"'


class Node:
    """The node's mounts, its volumes and its felix; all of that in the node's network namespace."""

    def __init__(self, namespace: Namespace, programs: Programs, resources: Path, directory: Path) -> None:
        directory.mkdir()
        directory.chmod(0o755)
        self.namespace = namespace
        self.felix: Process | None = None
        self._programs = programs
        self._resources = resources
        self._directory = directory
        self._pause: Process | None = None  # nothing but the process by which the mount namespace is found

    @property
    def processes(self) -> list[Process]:
        """What runs, in the order in which it is to be stopped."""
        return [process for process in (self.felix, self._pause) if process is not None]

    @property
    def logs(self) -> list[Path]:
        """Every log of the node that there is."""
        return [process.log for process in self.processes]

    @property
    def pid(self) -> int:
        """The process whose mount namespace is the node's."""
        return self._pause.pid

    def start(self) -> None:
        """Make the node's mount namespace."""
        argv = ["unshare", "--mount", "--propagation", "slave", "--", "sh", "-ec", _NODE, str(RUN)]
        self._pause = Process("the node", self.namespace.command(as_user(0, argv)), self._directory / "node.log")
        self._pause.wait_until_ready(lambda: _pause_lacks(self.pid))

    @property
    def agent(self) -> Path:
        """The folder that felix shares with the driver, as it is found from outside."""
        return Path(f"/proc/{self.pid}/root{RUN}/nodeagent")

    def start_felix(self) -> None:
        """Start felix, fed by the directory of resources, which also says where it serves sidecars."""
        argv = [str(self._programs.felix), "--directory", str(self._resources)]
        argv += ["--node", "node", "--dataplane", "none"]
        environment = os.environ | {"FELIX_HEALTHENABLED": "true"}  # as in Calico's DaemonSet
        command = self._command(self.namespace, as_user(0, argv))
        self.felix = Process("felix", command, self._directory / "felix.log", environment)
        self.felix.wait_until_ready(lambda: http_lacks(self.namespace, _HEALTH_PORT, "/readiness"))

    def mount_volume(self, pod: PodSpec) -> None:
        """What kubelet does before it starts a pod's containers."""
        options = {
            "kubernetes.io/fsType": "",
            "kubernetes.io/pod.name": pod.name,
            "kubernetes.io/pod.namespace": pod.namespace,
            "kubernetes.io/pod.uid": pod.uid,
            "kubernetes.io/pvOrVolumeName": "felix-sync",
            "kubernetes.io/readwrite": "rw",
            "kubernetes.io/serviceAccount.name": pod.account,
        }
        volume = self._volume(pod)
        volume.mkdir(parents=True, exist_ok=True)
        self._call_driver("mount", str(volume), json.dumps(options))

    def unmount_volume(self, pod: PodSpec) -> None:
        """What kubelet does after a pod's containers have ended."""
        self._call_driver("unmount", str(self._volume(pod)))

    def container_command(self, pod: PodSpec, namespace: Namespace, argv: Sequence[str]) -> list[str]:
        """The command line that runs argv in the pod, with the pod's volume at its place."""
        container = ["unshare", "--mount", "--propagation", "slave", "--", "sh", "-c", _CONTAINER]
        return self._command(namespace, [*container, str(self._volume(pod)), *argv])

    def _command(self, namespace: Namespace, argv: Sequence[str]) -> list[str]:
        return namespace.command(argv, mounts=Path(f"/proc/{self.pid}/ns/mnt"))

    def _volume(self, pod: PodSpec) -> Path:
        return self._directory / "pods" / pod.uid / "volumes" / "nodeagent~uds" / "felix-sync"

    def _call_driver(self, *words: str) -> None:
        """The driver answers with one JSON object, and kubelet reads its standard error as part of it."""
        command = self._command(self.namespace, [str(self._programs.uds), *words])
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            raise StartFailed(f"uds {words[0]} failed for {words[1]}: {done.stdout.strip()}")


def _pause_lacks(pid: int) -> str | None:
    command = Path(f"/proc/{pid}/comm").read_text().strip()
    return None if command == "sleep" else f"still at {command}"
