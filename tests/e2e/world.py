"""The mesh of the end-to-end tests: one guarded server and several callers."""

import dataclasses
import http.client
import itertools
import time
from pathlib import Path
from typing import Callable

from cryptography import x509

from guarded import Caller, Server
from mesh.certificates import Authority
from mesh.mesh import Mesh
from mesh.network import NODE_ADDRESS
from mesh.node import METRICS_PORT
from mesh.resources import PodSpec, read_pods

CLUSTER = Path(__file__).resolve().parent / "cluster"
_POLICY_FILE = "policies.yaml"
_SECONDS = 10.0

# Stands before the tested policies and lets in one request of the node's alone. When that request gets through,
# the sidecar judges by the policies in the same file.
_MARKER = """\
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata:
  name: marker
spec:
  order: 0
  selector: app == 'server'
  types: [Ingress]
  ingress:
    - action: Allow
      source:
        nets: ["{node}/32"]
      http:
        methods: ["PUT"]
        paths:
          - exact: /marker/{number}
---
"""

_POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: {name}
  namespace: {namespace}
  uid: {uid}
  labels:
    app: {app}
spec:
  nodeName: node
  serviceAccountName: {account}
  containers:
    - name: {name}
      image: test/{name}
status:
  phase: Running
  podIP: {address}
  podIPs:
    - ip: {address}
"""


class World:
    """The running mesh and its callers."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        pods = read_pods(mesh.resources.path)
        mesh.node.start_felix()
        self.server = Server(mesh, pods["server"])
        self.client, self.other, self.namesake, self.meshed = (
            mesh.add_pod(pods[name]) for name in ("client", "other", "team/client", "meshed")
        )
        mesh.start_envoy(self.meshed, [])
        self.callers = self._callers()
        self._generations = itertools.count(1)

    def close(self) -> None:
        """Stop what is tested, which must be able to end well; the mesh stops the rest."""
        self.server.close()
        assert self.server.pod.dikastes.stop() == 0
        assert self.mesh.node.felix.stop() == 0

    @property
    def logs(self) -> list[Path]:
        """The logs in which it stands why a request was refused."""
        return [*self.mesh.node.logs, *(log for pod in self.mesh.pods if pod.dikastes for log in pod.logs)]

    def apply(self, policies: str) -> None:
        """Replace all policies and wait until the server's dikastes judges by them."""
        number = next(self._generations)
        marker = _MARKER.format(node=NODE_ADDRESS, number=number)
        self.mesh.resources.write(_POLICY_FILE, marker + policies)
        node = Caller(self.mesh.node.namespace)
        eventually(
            lambda: self.server.http(node, "PUT", f"/marker/{number}").status == 200,
            "the new policies did not come into force",
        )

    def put_pod(self, spec: PodSpec) -> None:
        """Create or change a Pod in the datastore, in a file of its own."""
        self.mesh.resources.write(_pod_file(spec), _POD.format(**dataclasses.asdict(spec)))

    def delete_pod(self, spec: PodSpec) -> None:
        """Take it out again."""
        self.mesh.resources.remove(_pod_file(spec))

    def felix_metric(self, name: str) -> float:
        """One of felix' metrics."""
        with self.mesh.node.namespace.entered():
            connection = http.client.HTTPConnection("127.0.0.1", METRICS_PORT, timeout=_SECONDS)
            connection.connect()
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))

    def _callers(self) -> dict[str, Caller]:
        """Everybody who asks, by what is right or wrong about them."""
        foreign = Authority(self.mesh.directory / "foreign", "another mesh").issue_workload("default", "client")
        unnamed = self.mesh.authority.issue("unnamed", x509.DNSName("client.default.svc"))
        client, other = self.client, self.other
        return {
            "member": Caller(client.namespace, client.certificate),
            "stranger": Caller(other.namespace, other.certificate),
            "namesake": Caller(self.namesake.namespace, self.namesake.certificate),
            "thief": Caller(other.namespace, client.certificate),
            "squatter": Caller(client.namespace, other.certificate),
            "unnamed": Caller(client.namespace, unnamed),
            "unnamed stranger": Caller(other.namespace, unnamed),
            "foreigner": Caller(client.namespace, foreign),
            "plain member": Caller(client.namespace),
            "plain stranger": Caller(other.namespace),
        }


def _pod_file(spec: PodSpec) -> str:
    """The file that holds a Pod of put_pod."""
    return f"pod-{spec.name}.yaml"


def eventually(holds: Callable[[], bool], otherwise: str) -> None:
    """Poll until something holds."""
    deadline = time.monotonic() + _SECONDS
    while not holds():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.01)

