"""The HTTP filter of a real Envoy: who may send which request."""

import ssl

import pytest

from policies import MEMBERS_ONLY
from mesh.certificates import spiffe_id
from mesh.mesh import PolicySource
from guarded import HTTP_PORT, HTTP_STRICT_PORT, Caller
from world import World, eventually

# Who they are, and whether the policy means them.
CALLERS = {
    "member": True,
    "plain member": True,  # no certificate: judged by its address
    "stranger": False,
    "plain stranger": False,
    "namesake": False,  # the same account name in another namespace
    "thief": False,  # the member's certificate at a stranger's address
    "squatter": False,  # a stranger's certificate at the member's address
    "unnamed": False,  # at the member's address, with a certificate of this mesh that holds no SPIFFE identity
    "unnamed stranger": False,
}

# What they ask, and whether the policy lets those whom it means ask it.
REQUESTS = {
    ("GET", "/public"): True,
    ("GET", "/public/page"): True,
    ("GET", "/public?page=1"): True,
    ("POST", "/orders"): True,
    ("GET", "/publicity"): False,
    ("GET", "/"): False,
    ("GET", "/orders"): False,
    ("HEAD", "/public"): False,
    ("POST", "/public"): False,
    ("POST", "/orders/1"): False,
    ("PATCH", "/orders"): False,
}

DENY_STRANGERS = """\
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata:
  name: all-but-strangers
spec:
  selector: app == 'server'
  types: [Ingress]
  ingress:
    - action: Deny
      source:
        serviceAccounts:
          names: ["other"]
    - action: Allow
"""

TEAM_ONLY = """\
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata:
  name: team-only
spec:
  selector: app == 'server'
  types: [Ingress]
  ingress:
    - action: Allow
      source:
        namespaceSelector: kubernetes.io/metadata.name == 'team'
"""

KUBERNETES_POLICY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: clients-to-one-port
  namespace: default
spec:
  podSelector:
    matchLabels:
      app: server
  policyTypes: [Ingress]
  ingress:
    - from:
        - podSelector:
            matchLabels:
              app: client
      ports:
        - protocol: TCP
          port: 8080
"""


class TestIdentityMethodAndPath:
    """Every caller with every request: allowed only if both are meant."""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def policy(cls, world: World, source: PolicySource) -> None:
        """Members only, by felix, and by dikastes alone."""
        world.apply(MEMBERS_ONLY)

    @pytest.mark.parametrize("request_line", REQUESTS, ids=" ".join)
    @pytest.mark.parametrize("name", CALLERS)
    def test_verdict(self, world: World, name: str, request_line: tuple[str, str]) -> None:
        outcome = world.server.http(world.callers[name], *request_line)
        if CALLERS[name] and REQUESTS[request_line]:
            outcome.assert_allowed()
        else:
            outcome.assert_denied()

    def test_access_log_names_the_deciding_rule(self, world: World) -> None:
        entry = world.server.http(world.callers["member"], "POST", "/orders").entry
        assert entry.peer == spiffe_id("default", "client")
        assert entry.policy == "NetworkPolicy default/members-only"
        assert (entry.fields["tier"], int(entry.fields["rule"]), entry.fields["action"]) == ("default", 1, "allow")

    def test_access_log_says_why_a_request_was_refused(self, world: World) -> None:
        entry = world.server.http(world.callers["stranger"], "POST", "/orders").entry
        assert entry.peer == spiffe_id("default", "other")
        assert (entry.fields["tier"], entry.fields["action"]) == ("default", "deny")
        assert entry.reason == "denied_by_tier_default"

    @pytest.mark.parametrize(
        "headers",
        [
            {"x-forwarded-for": "10.65.1.2"},
            {"x-forwarded-client-cert": "By=spiffe://x;URI=" + spiffe_id("default", "client")},
            {"x-envoy-external-address": "10.65.1.2"},
        ],
        ids=lambda headers: next(iter(headers)),
    )
    def test_forged_headers_change_nothing(self, world: World, headers: dict[str, str]) -> None:
        world.server.http(world.callers["plain stranger"], "GET", "/public", headers=headers).assert_denied()

    def test_strict_takes_mutual_tls(self, world: World) -> None:
        world.server.http(world.callers["member"], "GET", "/public", HTTP_STRICT_PORT).assert_allowed()
        world.server.http(world.callers["stranger"], "GET", "/public", HTTP_STRICT_PORT).assert_denied()

    def test_strict_turns_plain_text_away(self, world: World) -> None:
        log, arrived = world.server.pod.access_log, len(world.server.application.arrived())
        seen = len(log.entries())
        with pytest.raises(ConnectionError):
            world.server.http(world.callers["plain member"], "GET", "/public", HTTP_STRICT_PORT)
        assert log.wait_for(lambda entry: entry.turned_away, after=seen)
        assert len(world.server.application.arrived()) == arrived

    def test_certificate_of_another_mesh_is_turned_away(self, world: World) -> None:
        arrived = len(world.server.application.arrived())
        with pytest.raises((ConnectionError, ssl.SSLError)):
            world.server.http(world.callers["foreigner"], "GET", "/public")
        assert len(world.server.application.arrived()) == arrived

    def test_through_the_callers_own_sidecar(self, world: World) -> None:
        """The caller speaks plain HTTP; its sidecar makes mutual TLS of it."""
        with world.server.connect(Caller(world.meshed.namespace), HTTP_STRICT_PORT) as connection:
            connection.sendall(b"GET /public/meshed HTTP/1.1\r\nHost: server\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.1 200"
        entry = world.server.pod.access_log.wait_for(lambda line: line.fields["path"] == "/public/meshed")
        assert entry.source.startswith(f"{world.meshed.address}:")
        assert entry.peer == spiffe_id("default", "client")

    def test_without_dikastes_everything_is_refused(self, world: World) -> None:
        """Envoy fails closed, and says that it was for the lack of a verdict."""
        member = world.callers["member"]
        assert world.server.pod.dikastes.stop() == 0
        try:
            world.server.http(member, "GET", "/public").assert_unanswered()
        finally:
            world.server.start_dikastes()
        eventually(
            lambda: world.server.http(member, "GET", "/public").status == 200, "Envoy did not find dikastes again"
        )


def test_policy_change_reaches_open_connections(world: World) -> None:
    world.apply(MEMBERS_ONLY)
    with world.server.connect(world.callers["member"], HTTP_PORT) as connection:
        world.server.http_on(connection, "GET", "/public").assert_allowed()
        world.apply(TEAM_ONLY)
        world.server.http_on(connection, "GET", "/public").assert_denied()


def test_namespace_selector(world: World) -> None:
    world.apply(TEAM_ONLY)
    world.server.http(world.callers["namesake"], "DELETE", "/anything").assert_allowed()
    world.server.http(world.callers["member"], "DELETE", "/anything").assert_denied()


def test_identity_in_a_deny_rule(world: World) -> None:
    """Who calls from a denied address and cannot be told from the denied account is refused; all others are not."""
    world.apply(DENY_STRANGERS)
    for name in ("member", "namesake", "plain member", "unnamed"):
        world.server.http(world.callers[name], "GET", "/").assert_allowed()
    for name in ("stranger", "plain stranger", "unnamed stranger"):
        world.server.http(world.callers[name], "GET", "/").assert_denied()
    assert world.server.http(world.callers["unnamed stranger"], "GET", "/").entry.reason == "unknown_identity"


def test_kubernetes_network_policy(world: World) -> None:
    world.apply(KUBERNETES_POLICY)
    world.server.http(world.callers["member"], "GET", "/").assert_allowed()
    world.server.http(world.callers["plain member"], "GET", "/").assert_allowed()
    world.server.http(world.callers["stranger"], "GET", "/").assert_denied()
    world.server.http(world.callers["namesake"], "GET", "/").assert_denied()
    world.server.http(world.callers["member"], "GET", "/", HTTP_STRICT_PORT).assert_denied()
