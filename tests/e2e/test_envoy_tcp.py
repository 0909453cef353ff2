"""The TCP filter of a real Envoy: who may send bytes, when nobody looks into them."""

import pytest

from policies import MEMBERS_ONLY
from mesh.certificates import spiffe_id
from mesh.mesh import PolicySource
from guarded import TCP_PORT, TCP_STRICT_PORT, Caller
from world import World, eventually

CALLERS = {
    "member": True,
    "plain member": True,
    "stranger": False,
    "plain stranger": False,
    "namesake": False,
    "thief": False,
    "squatter": False,
    "unnamed": False,
    "unnamed stranger": False,
}

# In a call of the TCP filter there is no method and no path, so nobody knows whether these rules match.
_HTTP_RULE = """\
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata:
  name: http-rule
spec:
  selector: app == 'server'
  types: [Ingress]
  ingress:
    - action: {action}
      http:
        methods: ["{method}"]
"""
ALLOW_GET = _HTTP_RULE.format(action="Allow", method="GET")
DENY_DELETE_ALLOW_REST = _HTTP_RULE.format(action="Deny", method="DELETE") + "    - action: Allow\n"


class TestIdentity:
    """Every caller on the TCP ports."""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def policy(cls, world: World, source: PolicySource) -> None:
        """Members only, by felix, and by dikastes alone."""
        world.apply(MEMBERS_ONLY)

    @pytest.mark.parametrize("name", CALLERS)
    def test_verdict(self, world: World, name: str) -> None:
        outcome = world.server.tcp(world.callers[name])
        if CALLERS[name]:
            outcome.assert_allowed()
        else:
            outcome.assert_denied()

    def test_access_log_names_the_deciding_rule(self, world: World) -> None:
        entry = world.server.tcp(world.callers["member"]).entry
        assert entry.policy == "NetworkPolicy default/members-only"
        assert (entry.fields["tier"], int(entry.fields["rule"]), entry.fields["action"]) == ("default", 2, "allow")

    def test_access_log_says_why_a_connection_was_refused(self, world: World) -> None:
        entry = world.server.tcp(world.callers["stranger"]).entry
        assert (entry.fields["tier"], entry.fields["action"]) == ("default", "deny")
        assert entry.reason == "denied_by_tier_default"

    def test_strict_takes_mutual_tls(self, world: World) -> None:
        world.server.tcp(world.callers["member"], TCP_STRICT_PORT).assert_allowed()
        world.server.tcp(world.callers["stranger"], TCP_STRICT_PORT).assert_denied()

    def test_strict_turns_plain_text_away(self, world: World) -> None:
        outcome = world.server.tcp(world.callers["plain member"], TCP_STRICT_PORT)
        assert outcome.entry.turned_away and not outcome.reply and not outcome.arrivals

    def test_through_the_callers_own_sidecar(self, world: World) -> None:
        """The caller sends plain bytes; its sidecar makes mutual TLS of them."""
        with world.server.connect(Caller(world.meshed.namespace), TCP_STRICT_PORT) as connection:
            connection.sendall(b"meshed\n")
            assert connection.recv(7) == b"meshed\n"
        entry = world.server.pod.access_log.wait_for(
            lambda line: line.source.startswith(f"{world.meshed.address}:") and not line.fields["method"]
        )
        assert entry.peer == spiffe_id("default", "client")

    def test_without_dikastes_everything_is_refused(self, world: World) -> None:
        member = world.callers["member"]
        assert world.server.pod.dikastes.stop() == 0
        try:
            world.server.tcp(member).assert_unanswered()
        finally:
            world.server.start_dikastes()
        eventually(lambda: bool(world.server.tcp(member).reply), "Envoy did not find dikastes again")


@pytest.mark.parametrize(
    ("policy", "reason"),
    [(ALLOW_GET, "denied_by_tier_default"), (DENY_DELETE_ALLOW_REST, "no_http")],
    ids=["allow GET", "deny DELETE, allow the rest"],
)
def test_rules_on_http_let_no_raw_bytes_in(world: World, policy: str, reason: str) -> None:
    world.apply(policy)
    for caller in (world.callers["member"], world.callers["plain member"]):
        world.server.http(caller, "GET", "/").assert_allowed()
        outcome = world.server.tcp(caller, TCP_PORT)
        outcome.assert_denied()
        assert outcome.entry.reason == reason
