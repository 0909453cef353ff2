"""A pod whose policy changes all the time, and requests whose verdict never does.

As in tests/py/flips.py: each policy flips between two states by one change of one object, and each request is judged
alike in both. So a verdict that is not expected shows that something was torn, forgotten, or opened. What flips.py tells
a sidecar by messages comes here from the API server, through felix.
"""

import http.client
import itertools
import threading
from contextlib import suppress
from typing import Any

import flips
from client import ApiError, Client, Object
from cluster import STORED, Cluster
from objects import new_object, pod
from policy_sync_server import Answer, Sidecar

NAMESPACE = "steady"
WEB, DATABASE = f"{NAMESPACE}/web", f"{NAMESPACE}/database"  # the pod that is asked, and one with a foreign client
X, Y, S1, S2 = "10.1.0.1", "10.1.0.2", "10.1.0.11", "10.1.0.12"
_VERSION = f"{STORED}/v1"
_FLIP_PAUSE_SECONDS = 0.1


def calico(kind: str, name: str, spec: Object, labels: dict[str, str] | None = None) -> Object:
    """A resource of Calico's as it is stored."""
    namespace = None if kind.startswith("Global") or kind == "Tier" else NAMESPACE
    return {**new_object(_VERSION, kind, name, namespace, labels), "spec": spec}


def _rule(action: str, method: str | None = None, path: str | None = None, **sides: Object) -> Object:
    http: Object = {"methods": [method]} if method else {}
    if path:
        http["paths"] = [{"prefix": path}]
    return {"action": action, **({"http": http} if http else {}), **sides}


def _policy(name: str, order: int, *rules: Object) -> Object:
    spec = {"order": order, "selector": "app == 'web'", "types": ["Ingress"], "ingress": list(rules)}
    return calico("NetworkPolicy", f"default.{name}", spec)


def _set(name: str, *addresses: str) -> Object:
    nets = [f"{address}/32" for address in addresses]
    return calico("NetworkSet", name, {"nets": nets}, {"set": name})


def _in(name: str) -> Object:
    return {"selector": f"set == '{name}'"}


def _parts(method: str, path: str) -> Object:
    return _policy("parts", 40, _rule("Allow", method, path), _rule("Allow", "PARTS"))


def _handover(name: str) -> Object:
    return _policy("handover", 50, _rule("Allow", "HAND", source=_in(name)))


# The two states of each object that flips. Rules that deny cannot look at HTTP, so they look at addresses.
_OPEN = [_rule("Allow", "GET", "/open/1"), _rule("Allow", "POST", "/open/2")]
_SHUT = [_rule("Deny", source={"nets": [f"{address}/32"]}) for address in (S1, S2)]
_ALL_ELSE = _rule("Allow", "SHUT")
FLIPS = [
    (_set("swap", X), _set("swap", Y)),
    (_policy("open", 20, *_OPEN), _policy("open", 20, *_OPEN[::-1])),
    (_policy("shut", 30, *_SHUT, _ALL_ELSE), _policy("shut", 30, *_SHUT[::-1], _ALL_ELSE)),
    (_parts("GET", "/parts/1"), _parts("POST", "/parts/2")),
    (_handover("a"), _handover("b")),
]
# What stays: with both members in the set the first rule refuses, with none no rule lets anything in.
_STILL = [
    _policy(
        "swap",
        10,
        _rule("Deny", source=_in("swap"), destination=_in("swap")),
        _rule("Allow", "SWAP", source=_in("swap")),
        _rule("Allow", "SWAP", destination=_in("swap")),
    ),
    _set("a", X),
    _set("b", X),
]


def _answers(name: str, reason: str, *rules: int) -> list[Answer]:
    return [Answer(reason, f"NetworkPolicy {NAMESPACE}/{name}", rule) for rule in rules]


_REFUSED = [Answer("denied_by_tier_default", "", -1)]
PROBES = [
    ({"method": "SWAP", "from": X, "to": Y}, _answers("swap", "allowed_by_rule", 1, 2)),
    ({"method": "SWAP", "from": Y, "to": X}, _answers("swap", "allowed_by_rule", 1, 2)),
    ({"method": "GET", "path": "/open/1"}, _answers("open", "allowed_by_rule", 0, 1)),
    ({"method": "POST", "path": "/open/2"}, _answers("open", "allowed_by_rule", 0, 1)),
    ({"method": "SHUT", "from": S1}, _answers("shut", "denied_by_rule", 0, 1)),
    ({"method": "SHUT", "from": S2}, _answers("shut", "denied_by_rule", 0, 1)),
    ({"method": "GET", "path": "/parts/2"}, _REFUSED),
    ({"method": "POST", "path": "/parts/1"}, _REFUSED),
    ({"method": "HAND", "from": X}, _answers("handover", "allowed_by_rule", 0)),
    ({"method": "HAND", "from": Y}, _REFUSED),
    ({"method": "NOBODY"}, _REFUSED),
]


def build(cluster: Cluster) -> None:
    """Make the world in its first state."""
    cluster.create_namespace(NAMESPACE, {"team": "steady"})
    cluster.admin.create(pod(NAMESPACE, "web", addresses=["10.0.0.2"], labels={"app": "web"}))
    cluster.admin.create(pod(NAMESPACE, "database", addresses=["10.0.0.3"], labels={"app": "database"}))
    cluster.create_all([*_STILL, *(first for first, _ in FLIPS)])


class Flipping:
    """Flips one object after the other while it is open, as far as the API server lets it."""

    def __init__(self, admin: Client) -> None:
        self._admin = admin
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._flip)

    def __enter__(self) -> "Flipping":
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._over.set()
        self._thread.join()

    def _flip(self) -> None:
        there, back = zip(*FLIPS)
        for thing in itertools.cycle(there + back):
            if self._over.wait(_FLIP_PAUSE_SECONDS):
                return
            # A server that is away, or that does not know the kind for the moment, is what tests are about.
            with suppress(OSError, http.client.HTTPException, ApiError):
                self._admin.patch(thing, {"spec": thing["spec"]})


class Load(flips.Load):
    """Asks the probes over and over, but leaves the machine to others too."""

    CLIENTS = 1
    IN_FLIGHT = 2 * len(PROBES)
    PAUSE = 0.05

    def __init__(self, sidecar: Sidecar) -> None:
        super().__init__(sidecar, PROBES)

    def assert_right(self) -> None:
        """Every verdict was one that some whole state gives; and each was asked for."""
        answers: dict[tuple[int, Any], int] = self.answers()
        wrong = {key: count for key, count in answers.items() if key not in flips.possible(PROBES)}
        assert not wrong, [(PROBES[number][0], answer, count) for (number, answer), count in wrong.items()]
        assert {number for number, _ in answers} == set(range(len(PROBES)))
