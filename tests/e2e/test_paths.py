"""Spellings of a path: none of them carries a request past the policy, and the decent ones are not refused.

Every target is written to the wire as it stands here. Both ways a policy can guard a path are tried (only
/public is allowed; all but /admin is allowed), with Envoy's path normalisation as Istio sets it and without.
"""

import pytest

from guarded import HTTP_PORT, HTTP_UNNORMALIZED_PORT
from world import World

ONLY_PUBLIC = """\
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata:
  name: only-public
spec:
  selector: app == 'server'
  types: [Ingress]
  ingress:
    - action: Allow
      http:
        methods: ["GET"]
        paths:
          - prefix: /public
"""

ALL_BUT_ADMIN = """\
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata:
  name: all-but-admin
spec:
  selector: app == 'server'
  types: [Ingress]
  ingress:
    - action: Deny
      http:
        paths:
          - prefix: /admin
    - action: Allow
"""

# /admin to some server or other, or nothing that a path can be told from.
ADMIN = (
    # plain
    "/admin",
    "/admin/",
    "/admin/users",
    # query and fragment
    "/admin?",
    "/admin?x=/public",
    "/admin?/../public",
    "/admin#/public",
    "/admin/#/../../public",
    "/public/../admin?x",
    "/public/../admin#x",
    "?/public",
    "#/public",
    # slashes
    "//admin",
    "///admin//users",
    "/public/..//admin",
    # dot segments
    "/./admin",
    "/../admin",
    "/public/../admin",
    "/public/../../admin",
    "/public/./.././admin",
    "/public/page/../../admin",
    "/public/../admin/.",
    "/admin/../admin",
    # parameters
    "/admin;v=1",
    "/admin;v=1/users",
    "/admin;/../admin",
    "/public;v=1/../admin",
    "/public/..;/admin",
    "/public/..;v=1/admin",
    "/..;/admin",
    "/;v=1/admin",
    # percent-encoding
    "/%61dmin",
    "/adm%69n/users",
    "/%2fadmin",
    "/%2Fadmin",
    "/public/%2e%2e/admin",
    "/public/%2E%2e/admin",
    "/public/.%2e/admin",
    "/public/%2e./admin",
    "/public/..%2fadmin",
    "/public%2f..%2fadmin",
    "/public%2F%2e%2E%2Fadmin",
    "/public/..%3b/admin",
    "/admin%3bv=1",
    # percent-encoding twice, or broken, or of what no path contains
    "/public/%252e%252e/admin",
    "/public/..%252fadmin",
    "/public%252f..%252fadmin",
    "/public/..%255cadmin",
    "/%252e/admin",
    "/public/%2e%252e/admin",
    "/admin%",
    "/admin%2",
    "/admin%zz",
    "/public/%u002e%u002e/admin",
    "/admin%00",
    "/admin%00/users",
    "/public%00/../admin",
    # backslashes
    "\\admin",
    "/\\admin",
    "\\\\admin",
    "/public\\..\\admin",
    "/public/..\\admin",
    "/public/..%5cadmin",
    "/public%5C..%5Cadmin",
    "/admin\\users",
    "/public\\../admin",
    # absolute form
    "http://server/admin",
    "http://server//admin",
    "http://server/public/../admin",
    "http://server/public/%2e%2e/admin",
    "http://server/..;/admin",
    "HTTP://server/admin",
    "https://server/admin",
    "http://public/admin",
    "http://server/admin?/public",
    # not a path at all
    "*",
    "admin",
    "public/../admin",
    "%2fadmin",
    ";/admin",
    # bytes that are no text
    "/\xff/../admin",
    "/admin?\xc3\x28",
)

# HTTP/2 carries the same text in a header; a few spellings of every kind.
ADMIN_BY_HTTP2 = (
    "/admin",
    "/admin?/public",
    "//admin",
    "/public/../admin",
    "/public/..;/admin",
    "/public/%2e%2e/admin",
    "/public/%252e%252e/admin",
    "/public\\..\\admin",
    "/public/..%5cadmin",
    "/%61dmin",
    "http://server/admin",
    "admin",
)

# /public to everybody, however it is spelt.
PUBLIC = (
    "/public",
    "/public/",
    "/public/page",
    "/public//page",
    "//public",
    "/public/./page",
    "/public/page/../other",
    "/admin/../public",
    "/p%75blic/%70age",
    "/public/a%20b",
    "/public;v=1",
    "/public/page;v=1/x",
    "/public?next=/admin",
    "/public?/../admin",
    "/public/page?x=%2e%2e%2fadmin",
    "http://server/public",
)

PORTS = pytest.mark.parametrize(
    "port", [HTTP_PORT, HTTP_UNNORMALIZED_PORT], ids=["Istio's normalisation", "no normalisation"]
)
CALLERS = pytest.mark.parametrize("caller", ["member", "plain member"])


@pytest.mark.parametrize("policy", [ONLY_PUBLIC, ALL_BUT_ADMIN], ids=["only /public", "all but /admin"], scope="class")
class TestSpellings:
    """Both policies, every spelling."""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def applied(cls, world: World, policy: str) -> None:
        """The policy of this round."""
        world.apply(policy)

    @PORTS
    @CALLERS
    @pytest.mark.parametrize("target", ADMIN)
    def test_admin_is_not_reached(self, world: World, caller: str, port: int, target: str) -> None:
        world.server.http(world.callers[caller], "GET", target, port).assert_refused()

    @PORTS
    @CALLERS
    @pytest.mark.parametrize("target", PUBLIC)
    def test_public_is_reached(self, world: World, caller: str, port: int, target: str) -> None:
        world.server.http(world.callers[caller], "GET", target, port).assert_allowed()

    @PORTS
    @CALLERS
    @pytest.mark.parametrize("target", ADMIN_BY_HTTP2)
    def test_admin_is_not_reached_by_http2(self, world: World, caller: str, port: int, target: str) -> None:
        world.server.http2(world.callers[caller], target, port).assert_refused()

    @PORTS
    @CALLERS
    def test_public_is_reached_by_http2(self, world: World, caller: str, port: int) -> None:
        world.server.http2(world.callers[caller], "/public//page;v=1/../%70age?x", port).assert_allowed()

    def test_what_envoy_rewrites_is_judged_as_rewritten(self, world: World) -> None:
        """Envoy lets `..` take back an empty segment, dikastes drops empty segments first."""
        caller, target = world.callers["member"], "/public//..//admin"
        rewritten = world.server.http(caller, "GET", target, HTTP_PORT)
        rewritten.assert_allowed()
        assert rewritten.arrivals[0].first_line == "GET /public//admin HTTP/1.1"
        world.server.http(caller, "GET", target, HTTP_UNNORMALIZED_PORT).assert_denied()

    @PORTS
    @pytest.mark.parametrize("target", ["*", "/admin", "//admin", "http://server/admin"])
    def test_options(self, world: World, port: int, target: str) -> None:
        world.server.http(world.callers["member"], "OPTIONS", target, port).assert_refused()

    @PORTS
    @pytest.mark.parametrize("method", ["get", "Get", "GETS", "CONNECT"])
    def test_methods_that_look_like_another(self, world: World, port: int, method: str) -> None:
        world.server.http(world.callers["member"], method, "/admin", port).assert_refused()


def test_path_that_cannot_be_told_is_named_as_the_reason(world: World) -> None:
    world.apply(ALL_BUT_ADMIN)
    outcome = world.server.http(world.callers["member"], "GET", "/public/%252e%252e/admin")
    outcome.assert_denied()
    assert outcome.entry.reason == "path_not_normalisable"
