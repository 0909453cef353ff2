"""felix and two sidecars on one node, over the Policy Sync API: what changes while requests run, and what must not.

Two pods are asked: `server`, whose policy lets its members GET, and `second`, whose policy lets them POST. So the
methods that get through say whose policy a sidecar judges by.
"""

import os
import signal
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Iterator

import pytest

from guarded import Caller, Server, exchange
from mesh.mesh import PolicySource
from mesh.resources import PodSpec
from mesh.stream import Stream, wait_for_all
from world import World, eventually

SECOND = PodSpec("default", "second", "e0000000-0000-4000-8000-000000000011", "server", "second", "10.65.1.11")
LATE = PodSpec("default", "late", "e0000000-0000-4000-8000-000000000012", "server", "server", "10.65.1.12")

_MEMBERS_MAY = """\
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata:
  name: members-may-{app}
spec:
  selector: app == '{app}'
  types: [Ingress]
  ingress:
    - action: Allow
      source:
        serviceAccounts:
          names: ["client"]
      http:
        methods: ["{method}"]
---
"""
POLICIES = _MEMBERS_MAY.format(app="server", method="GET") + _MEMBERS_MAY.format(app="second", method="POST")
POLICIES_EDITED = _MEMBERS_MAY.format(app="server", method="DELETE") + _MEMBERS_MAY.format(app="second", method="POST")
METHODS = ("GET", "POST", "DELETE")

# Allows nothing that is asked for here, but its IP sets are so large that no sidecar gets its policy in one piece.
_CROWDS = range(8)
_LARGE_POLICY = """\
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata:
  name: crowds
spec:
  selector: app in {'server', 'second'}
  types: [Ingress]
  ingress:
"""
_CROWD_RULE = """\
    - action: Allow
      source:
        selector: crowd == '{crowd}'
"""
_CROWD = """\
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata:
  name: crowd-{crowd}
  labels:
    crowd: '{crowd}'
spec:
  nets: [{nets}]
"""
LARGE = "".join(
    [
        _LARGE_POLICY,
        *(_CROWD_RULE.format(crowd=crowd) for crowd in _CROWDS),
        *(
            _CROWD.format(crowd=crowd, nets=", ".join(f"10.{200 + crowd}.{n >> 8}.{n & 255}/32" for n in range(5000)))
            for crowd in _CROWDS
        ),
    ]
)

FROM_RED_NAMESPACES = """\
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata:
  name: from-red-namespaces
spec:
  selector: app == 'server'
  types: [Ingress]
  ingress:
    - action: Allow
      source:
        namespaceSelector: colour == 'red'
"""
INTO_RED_NAMESPACES = """\
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata:
  name: into-red-namespaces
spec:
  namespaceSelector: colour == 'red'
  types: [Ingress]
  ingress:
    - action: Allow
"""
NAMESPACE = """\
apiVersion: v1
kind: Namespace
metadata:
  name: {name}
  labels:
    kubernetes.io/metadata.name: {name}
    colour: {colour}
"""

# Requests, before a stream of them has shown something.
SOME = 20


@pytest.fixture(scope="module")
def second(world: World) -> Iterator[Server]:
    """A pod that is added, and taken away, while everything runs."""
    world.put_pod(SECOND)
    server = Server(world.mesh, SECOND)
    yield server
    server.close()
    world.mesh.remove_pod(server.pod)
    world.delete_pod(SECOND)


@pytest.fixture(autouse=True)
def policies(world: World) -> None:
    """Both policies, in force at the server."""
    world.apply(POLICIES)


def methods_allowed(server: Server, caller: Caller) -> set[str]:
    """What a caller may do. Whatever is refused is refused by a verdict."""
    outcomes = {method: server.http(caller, method, "/") for method in METHODS}
    for outcome in outcomes.values():
        if outcome.status != 200:
            outcome.assert_denied()
    return {method for method, outcome in outcomes.items() if outcome.status == 200}


def wait_for_methods(server: Server, caller: Caller, methods: set[str]) -> None:
    eventually(lambda: methods_allowed(server, caller) == methods, f"{server.pod.spec.name} did not allow {methods}")


def wait_for_sidecars(world: World) -> None:
    """Wait until felix has a stream to each sidecar."""
    sidecars = sum(pod.dikastes is not None for pod in world.mesh.pods)
    eventually(lambda: world.felix_metric("felix_policy_sync_streams") == sidecars, "not all sidecars joined felix")


@contextmanager
def no_felix(world: World) -> Iterator[None]:
    """Without felix for a while; it crashes, and is back at the end whatever happens."""
    world.mesh.node.felix.kill()
    try:
        yield
    finally:
        world.mesh.node.start_felix()
        wait_for_sidecars(world)


# ---- whose policy


def test_two_sidecars_see_different_policies(world: World, second: Server) -> None:
    member, stranger = world.callers["member"], world.callers["stranger"]
    wait_for_methods(second, member, {"POST"})
    assert methods_allowed(world.server, member) == {"GET"}
    assert methods_allowed(world.server, stranger) == methods_allowed(second, stranger) == set()


def test_labels_move_a_pod_between_policies(world: World, second: Server) -> None:
    member = world.callers["member"]
    wait_for_methods(second, member, {"POST"})
    world.put_pod(replace(SECOND, app="server"))
    try:
        wait_for_methods(second, member, {"GET"})
        world.put_pod(replace(SECOND, app="nobody"))
        wait_for_methods(second, member, set(METHODS))  # no policy selects it: its namespace's profile allows
    finally:
        world.put_pod(SECOND)
    wait_for_methods(second, member, {"POST"})
    assert methods_allowed(world.server, member) == {"GET"}


@pytest.mark.parametrize(
    ("policy", "namespace"),
    [(FROM_RED_NAMESPACES, "team"), (INTO_RED_NAMESPACES, "default")],
    ids=["in a rule", "of a policy"],
)
def test_labels_of_a_namespace(world: World, policy: str, namespace: str) -> None:
    """By default the other policies refuse the namesake, which is of namespace team."""
    namesake, file = world.callers["namesake"], "namespace.yaml"
    world.apply(POLICIES.replace('"client"', '"nobody"') + policy)
    assert methods_allowed(world.server, namesake) == set()
    try:
        for colour, methods in (("red", set(METHODS)), ("blue", set()), ("red", set(METHODS))):
            world.mesh.resources.write(file, NAMESPACE.format(name=namespace, colour=colour))
            wait_for_methods(world.server, namesake, methods)
    finally:
        world.mesh.resources.remove(file)
    wait_for_methods(world.server, namesake, set())


# ---- volumes come and go


def test_life_of_a_pod(world: World) -> None:
    member = world.callers["member"]
    folder = world.mesh.node.agent / "mount" / LATE.uid
    sockets = world.felix_metric("felix_policy_sync_sockets")
    late = Server(world.mesh, LATE)
    try:
        assert (folder / "socket").is_socket()
        refused = late.http(member, "GET", "/")
        refused.assert_denied()
        assert refused.entry.reason == "no_endpoint"  # the volume came before the news of the pod
        world.put_pod(LATE)
        wait_for_methods(late, member, {"GET"})
        assert world.felix_metric("felix_policy_sync_sockets") == sockets + 1
        world.delete_pod(LATE)
        wait_for_methods(late, member, set())
    finally:
        late.close()
        world.mesh.remove_pod(late.pod)
    eventually(lambda: world.felix_metric("felix_policy_sync_sockets") == sockets, "felix still serves the pod")
    assert not folder.exists()
    assert not _credentials(world, LATE).exists()


def test_without_credentials_there_is_no_socket(world: World, second: Server) -> None:
    """The sidecar keeps its last policy, and has a new one as soon as it has its socket back."""
    member, credentials = world.callers["member"], _credentials(world, SECOND)
    socket = world.mesh.node.agent / "mount" / SECOND.uid / "socket"
    wait_for_methods(second, member, {"POST"})
    content = credentials.read_bytes()
    credentials.unlink()
    try:
        eventually(lambda: not socket.exists(), "felix still listens")
        world.apply(_MEMBERS_MAY.format(app="second", method="DELETE") + POLICIES.partition("---\n")[0])
        assert methods_allowed(world.server, member) == {"GET"}
        assert methods_allowed(second, member) == {"POST"}
    finally:
        _replace(credentials, content)
    wait_for_methods(second, member, {"DELETE"})


def test_credentials_swapped(world: World, second: Server) -> None:
    """Whose policy comes out of a socket is said by its credentials file alone."""
    member = world.callers["member"]
    wait_for_methods(second, member, {"POST"})
    files = [_credentials(world, spec) for spec in (world.server.pod.spec, SECOND)]
    contents = [file.read_bytes() for file in files]
    try:
        for file, content in zip(files, reversed(contents)):
            _replace(file, content)
        wait_for_methods(world.server, member, {"POST"})
        wait_for_methods(second, member, {"GET"})
    finally:
        for file, content in zip(files, contents):
            _replace(file, content)
    wait_for_methods(world.server, member, {"GET"})
    wait_for_methods(second, member, {"POST"})


def _credentials(world: World, spec: PodSpec) -> Path:
    return world.mesh.node.agent / "creds" / f"{spec.uid}.json"


def _replace(file: Path, content: bytes) -> None:
    """In one step, as the driver does it."""
    aside = file.with_name(f".{file.name}.test")
    aside.write_bytes(content)
    os.rename(aside, file)


# ---- felix comes and goes


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_restarts_give_no_wrong_answer(world: World, second: Server, number: signal.Signals) -> None:
    """Requests run all the time, on open connections and on new ones, and every answer is what policy says."""
    node, member = world.mesh.node, world.callers["member"]
    world.apply(POLICIES + LARGE)
    wait_for_methods(second, member, {"POST"})
    seen = {server: len(server.pod.access_log.entries()) for server in (world.server, second)}
    with ExitStack() as stack:
        streams = {
            stack.enter_context(stream): status
            for stream, status in (
                (_requests(stack, world.server, member, "GET"), 200),
                (_requests(stack, world.server, member, "POST"), 403),
                (_requests(stack, second, member, "GET"), 403),
                (_requests(stack, second, member, "POST"), 200),
                (_connections(world.server, world.callers["stranger"], "GET"), 403),
                (_connections(second, member, "POST"), 200),
            )
        }
        for _round in range(2):
            wait_for_all([*streams], SOME)
            if number == signal.SIGKILL:
                node.felix.kill()
            else:
                assert node.felix.stop() == 0
            wait_for_all([*streams], SOME)
            node.start_felix()
            wait_for_sidecars(world)
        wait_for_all([*streams], SOME)
    for stream, status in streams.items():
        assert {*stream.after(0)} == {status}
    for server, entries in seen.items():
        for entry in server.pod.access_log.entries()[entries:]:
            assert not entry.unanswered and not entry.turned_away, entry


def _requests(stack: ExitStack, server: Server, caller: Caller, method: str) -> Stream[int]:
    """A stream of requests on one connection; its answers are their statuses."""
    connection = stack.enter_context(server.connect(caller))
    return Stream(lambda: exchange(connection, method, "/")[0])


def _connections(server: Server, caller: Caller, method: str) -> Stream[int]:
    """A stream of requests, each on a connection of its own."""

    def ask() -> int:
        with server.connect(caller) as connection:
            return exchange(connection, method, "/")[0]

    return Stream(ask)


def test_edit_while_felix_is_down(world: World) -> None:
    """It is in force as soon as felix is back, not before."""
    member = world.callers["member"]
    with no_felix(world):
        world.mesh.resources.write("policies.yaml", POLICIES_EDITED)
        with Stream(lambda: methods_allowed(world.server, member)) as answers:
            wait_for_all([answers], SOME)
            assert all(methods == {"GET"} for methods in answers.after(0))
    wait_for_methods(world.server, member, {"DELETE"})


def test_sidecar_that_starts_before_felix(world: World) -> None:
    """It knows no policy, so it refuses, and says so; and it is not ready."""
    member, pod = world.callers["member"], world.server.pod
    pod.dikastes.stop()
    with no_felix(world):
        world.mesh.launch_dikastes(pod, PolicySource.FELIX)
        eventually(lambda: world.server.http(member, "GET", "/").entry.denied, "dikastes does not answer")
        assert world.server.http(member, "GET", "/").entry.reason == "not_in_sync"
        assert world.mesh.dikastes_lacks(pod)
    wait_for_methods(world.server, member, {"GET"})
    assert not world.mesh.dikastes_lacks(pod)


def test_policy_sync_is_turned_off_and_on(world: World) -> None:
    """By the FelixConfiguration, while felix runs. The sidecar keeps what it has."""
    member, resources = world.callers["member"], world.mesh.resources
    socket = world.mesh.node.agent / "mount" / world.server.pod.spec.uid / "socket"
    configuration = resources.read("felix.yaml")
    resources.write("felix.yaml", configuration.replace("/var/run/nodeagent", '""'))
    try:
        eventually(lambda: not socket.exists(), "felix still listens")
        resources.write("policies.yaml", POLICIES_EDITED)
        assert methods_allowed(world.server, member) == {"GET"}
        assert world.mesh.dikastes_lacks(world.server.pod)
    finally:
        resources.write("felix.yaml", configuration)
    wait_for_methods(world.server, member, {"DELETE"})
    wait_for_sidecars(world)
