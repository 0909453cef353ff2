"""Network namespaces as node and pods, wired as Calico wires them.

Each pod has one address, a /32, and a link-local gateway that is no machine at all: a static neighbour entry
points it at the node's end of the veth. (Proxy ARP, which Calico uses, answers only where the node has a
default route, and a namespace that must not touch the outside has none.) The veth pair is created inside the
node's namespace, so the namespaces the machine itself runs in never see an interface, address or route.
"""

import ctypes
import hashlib
import os
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Sequence

from .requirements import Missing

ENVOY_UID = 1337  # Istio's, known to every mesh tool
INBOUND_PORT = 15006
OUTBOUND_PORT = 15001

NODE_ADDRESS = "10.65.0.1"
_GATEWAY = "169.254.1.1"
_GATEWAY_MAC = "ee:ee:ee:ee:ee:ee"
_NAMED_NAMESPACES = Path("/run/netns")
_CLONE_NEWNET = 0x40000000

_REDIRECT = f"""
table ip sidecar {{
    chain inbound {{
        type nat hook prerouting priority dstnat
        iifname "lo" return comment "the sidecar handing a connection on to the application"
        meta l4proto tcp redirect to :{INBOUND_PORT}
    }}
    chain outbound {{
        type nat hook output priority -100
        meta skuid {ENVOY_UID} return comment "the sidecar's own connections"
        oifname "lo" return
        meta l4proto tcp redirect to :{OUTBOUND_PORT}
    }}
}}
"""


def as_user(uid: int, argv: Sequence[str]) -> list[str]:
    """The command line that runs argv as another user, or as root (0).

    The program is also told to die with us: should we be killed without a chance to clean up, none is left running.
    """
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--pdeathsig=KILL", "--", *argv]


def interface_name(namespace: str, pod: str) -> str:
    """The node's end of a pod's veth, as Calico names it."""
    return "cali" + hashlib.sha1(f"{namespace}.{pod}".encode()).hexdigest()[:11]


class Namespace:
    """One named network namespace, ours from creation to removal."""

    def __init__(self, name: str) -> None:
        self.name = name

    def create(self) -> None:
        """Make the namespace and bring its loopback up."""
        _run(["ip", "netns", "add", self.name])
        self.ip("link set lo up")

    def remove(self) -> None:
        """Remove the namespace if it is there; its interfaces and routes go with it."""
        if (_NAMED_NAMESPACES / self.name).exists():
            subprocess.run(["ip", "netns", "delete", self.name], check=False)

    def ip(self, *commands: str) -> None:
        """Run commands of the program `ip` inside."""
        _run(["ip", "-n", self.name, "-batch", "-"], stdin="\n".join(commands) + "\n")

    def command(self, argv: Sequence[str], mounts: Path | None = None) -> list[str]:
        """The command line that runs argv inside, as root, and among other mounts if a mount namespace is given."""
        enter = ["nsenter", f"--net={_NAMED_NAMESPACES / self.name}"]
        if mounts is not None:
            enter.append(f"--mount={mounts}")
        return [*enter, "--", *argv]

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Put the calling thread inside for a moment: a socket made here stays in this namespace for good."""
        with open("/proc/thread-self/ns/net", "rb") as home, open(_NAMED_NAMESPACES / self.name, "rb") as there:
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(home.fileno())

    def redirect_into_sidecar(self) -> None:
        """Send every TCP connection in and out of the pod through Envoy, except Envoy's own."""
        _run(self.command(["nft", "-f", "-"]), stdin=_REDIRECT)


class Network:
    """The node and its pods; `prefix` keeps several runs on one machine apart."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._created: list[Namespace] = []
        self.node = self._namespace("node")

    def start(self) -> None:
        """Make the node."""
        self.node.create()
        self.node.ip(f"address add {NODE_ADDRESS}/32 dev lo")
        with self.node.entered():
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")  # of the namespace that was entered

    def add_pod(self, namespace: str, name: str, address: str) -> Namespace:
        """Make a pod's namespace and wire it to the node."""
        pod = self._namespace(name if namespace == "default" else f"{name}.{namespace}")
        pod.create()
        veth = interface_name(namespace, name)
        self.node.ip(
            f"link add {veth} address {_GATEWAY_MAC} type veth peer name eth0 netns {pod.name}",
            f"link set {veth} up",
            f"route add {address}/32 dev {veth}",
        )
        pod.ip(
            f"address add {address}/32 dev eth0",
            "link set eth0 up",
            f"route add {_GATEWAY} dev eth0 scope link",
            f"route add default via {_GATEWAY}",
            f"neighbour add {_GATEWAY} lladdr {_GATEWAY_MAC} dev eth0 nud permanent",
        )
        return pod

    def stop(self) -> None:
        """Remove every namespace, the node's last."""
        for namespace in reversed(self._created):
            namespace.remove()

    def _namespace(self, name: str) -> Namespace:
        # Written down before it is made: an interruption in between must not leave it behind.
        namespace = Namespace(f"{self._prefix}-{name}")
        self._created.append(namespace)
        return namespace


_libc = ctypes.CDLL(None, use_errno=True)


def _enter(fd: int) -> None:
    if _libc.setns(fd, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns: " + os.strerror(ctypes.get_errno()))


def _run(argv: list[str], stdin: str | None = None) -> None:
    """Run a tool that sets up the network. That it cannot is a fact about the machine, so it is told as one."""
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Missing(
            f"this machine did not let us set up a network namespace: '{' '.join(argv)}' said:"
            f" {done.stderr.strip() or 'nothing'}. Needed: root with CAP_NET_ADMIN and CAP_SYS_ADMIN,"
            " and a kernel with network namespaces, veth and nftables"
        )
