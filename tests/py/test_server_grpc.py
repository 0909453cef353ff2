"""A foreign gRPC client (Python's grpcio) against the real server."""

import concurrent.futures
import os
import signal
import stat
import subprocess

import grpc
import pytest

import protos
import scenario
from protos import dikastes, ext_authz, grpc_health
from server import CUSTOMER, CUSTOMERS_NAME, DIKASTES, WEB, Server, policy, wait_for

SERVICES = {"v3": protos.ext_authz_grpc, "v2": protos.ext_authz_v2_grpc,
            "v2alpha": protos.ext_authz_v2alpha_grpc}
CHECK = "/envoy.service.auth.v3.Authorization/Check"
PERMISSION_DENIED = 7
MOST = 4 * 1024 * 1024

SECONDS = 10


@pytest.fixture(scope="module")
def server():
    running = Server()
    try:
        yield running.start().wait_until_ready()
    finally:
        running.close()


@pytest.fixture
def own_server():
    """A server that a test may change or stop."""
    running = Server()
    try:
        yield running.start().wait_until_ready()
    finally:
        running.close()


@pytest.fixture
def channel(server):
    with server.channel() as channel:
        yield channel


def request(**given):
    """The customer asks the web pod for /pub/x, but for what is given."""
    raw = scenario.request({"from": CUSTOMER, "to": WEB, "principal": CUSTOMERS_NAME,
                            "path": "/pub/x", **given}).SerializeToString()
    return ext_authz.CheckRequest.FromString(raw)


def check(channel, service=protos.ext_authz_grpc, **given):
    return service.AuthorizationStub(channel).Check(request(**given), timeout=SECONDS)


def call(channel, method, message):
    """A unary call of bytes, answered by bytes."""
    return channel.unary_unary(method)(message, timeout=SECONDS)


def code_of(action, *arguments, **given):
    """The gRPC status that a call ends with."""
    try:
        action(*arguments, **given)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


# ---- verdicts -------------------------------------------------------------------


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_check_in_all_versions(channel, service):
    assert check(channel, service).status.code == 0
    assert check(channel, service, method="POST").status.code == PERMISSION_DENIED


REFUSED = {
    "method": {"method": "POST"},
    "path": {"path": "/admin"},
    "longer name": {"path": "/public"},
    "way out": {"path": "/pub/../admin"},
    "encoded way out": {"path": "/pub/%2e%2e%2fadmin"},
    "doubly encoded way out": {"path": "/pub/%252e%252e/admin"},
    "way out behind parameters": {"path": "/pub/..;x/admin"},
    "way out with backslashes": {"path": "/pub\\..\\admin"},
    "NUL": {"path": "/pub\0/../../admin"},
    "wrong identity": {"principal": "spiffe://cluster.local/ns/bank/sa/web"},
    "wrong namespace": {"principal": "spiffe://cluster.local/ns/shop/sa/customer"},
    "odd identity": {"principal": "CN=customer"},
    "stolen certificate": {"from": "10.0.0.66"},
    "no source": {"from": None},
    "plain text from elsewhere": {"principal": "", "from": "10.0.0.66"},
    "raw TCP": {"http": False},
}


@pytest.mark.parametrize("given", REFUSED.values(), ids=REFUSED)
def test_refused(channel, given):
    answer = check(channel, **given)
    assert answer.status.code == PERMISSION_DENIED


ALLOWED = {
    "itself": {},
    "prefix itself": {"path": "/pub"},
    "another spelling": {"path": "//x/..//%70ub;a/x?q=1#f"},
    "mapped source": {"from": "::ffff:10.0.0.1"},
    "plain text by address": {"principal": ""},
}


@pytest.mark.parametrize("given", ALLOWED.values(), ids=ALLOWED)
def test_allowed(channel, given):
    assert check(channel, **given).status.code == 0


def test_path_without_slash_is_an_invalid_argument(channel):
    assert check(channel, path="pub/x").status.code == 3


def test_empty_request_is_refused_inside_the_answer(channel):
    answer = ext_authz.CheckResponse.FromString(call(channel, CHECK, b""))
    assert answer.status.code == PERMISSION_DENIED


def test_bytes_that_are_not_utf8(channel):
    message = scenario.request({"from": CUSTOMER, "to": WEB, "principal": CUSTOMERS_NAME})
    message.attributes.request.http.path = b"/pub/\xff\xfe"
    answer = ext_authz.CheckResponse.FromString(call(channel, CHECK, message.SerializeToString()))
    assert answer.status.code == 0


# ---- why ------------------------------------------------------------------------


def _why(answer):
    fields = answer.dynamic_metadata.fields
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in fields.items()}


def test_metadata_of_an_allowed_request(channel):
    why = _why(check(channel))
    assert {"tier", "policy", "rule", "action", "reason"} <= set(why)
    assert why["tier"] == "default"
    assert "bank/web" in why["policy"]
    assert "NetworkPolicy" in why["policy"] + str(why.get("kind"))
    assert int(why["rule"]) == 0
    assert why["action"].lower() == "allow"
    assert why["reason"] == "allowed_by_rule"


def test_metadata_of_a_refused_request(channel):
    why = _why(check(channel, method="POST"))
    assert why["tier"] == "default"
    assert why["reason"] == "denied_by_tier_default"
    assert why["action"].lower() == "deny"


def test_callers_learn_nothing_of_the_policy(channel):
    answer = check(channel, method="POST")
    for told in [answer.denied_response.body,
                 *(f"{option.header.key} {option.header.value}"
                   for option in answer.denied_response.headers)]:
        for word in ("web", "bank", "default", "tier", "policy", "customer"):
            assert word not in told.lower()


def test_log_tells_why_but_no_secrets(own_server):
    message = request(method="POST", path="/x/../admin?password=hunter2")
    message.attributes.request.http.headers["authorization"] = "Bearer hunter2"
    message.attributes.request.http.body = "hunter2"
    with own_server.channel() as channel:
        stub = protos.ext_authz_grpc.AuthorizationStub(channel)
        assert stub.Check(message, timeout=SECONDS).status.code == PERMISSION_DENIED
        assert wait_for(lambda: "denied_by_tier_default" in own_server.log.read_text())
    line, = [line for line in own_server.log.read_text().splitlines()
             if "denied_by_tier_default" in line]
    assert "/admin" in line and "POST" in line and CUSTOMER in line
    assert "hunter2" not in own_server.log.read_text()


def test_log_stays_one_line_an_event(own_server):
    """Line ends and escapes from a request do not get into the log as they are."""
    with own_server.channel() as channel:
        check(channel, path="/admin\r\nlevel=info msg=forged\x1b[2J", principal="a\nb\x1b")
        assert wait_for(lambda: "/admin" in own_server.log.read_text())
    log = own_server.log.read_bytes()
    assert b"\x1b" not in log and b"\r" not in log
    assert not any(line.startswith((b"level=info msg=forged", b"b")) for line in log.splitlines())


# ---- health -----------------------------------------------------------------------


def test_healthz(channel):
    stub = protos.dikastes_grpc.HealthzStub(channel)
    assert stub.CheckLiveness(dikastes.HealthCheckRequest(), timeout=SECONDS).healthy
    assert stub.CheckReadiness(dikastes.HealthCheckRequest(), timeout=SECONDS).healthy


def test_grpc_health_check(channel):
    stub = protos.grpc_health_grpc.HealthStub(channel)
    answer = stub.Check(grpc_health.HealthCheckRequest(), timeout=SECONDS)
    assert answer.status == grpc_health.HealthCheckResponse.SERVING
    assert code_of(stub.Check, grpc_health.HealthCheckRequest(service="no.such.Service"),
                   timeout=SECONDS) == grpc.StatusCode.NOT_FOUND


def test_grpc_health_watch(channel):
    """The state comes at once and the stream stays, until its deadline."""
    stream = protos.grpc_health_grpc.HealthStub(channel).Watch(
        grpc_health.HealthCheckRequest(), timeout=1)
    assert next(stream).status == grpc_health.HealthCheckResponse.SERVING
    assert code_of(next, stream) == grpc.StatusCode.DEADLINE_EXCEEDED
    assert check(channel).status.code == 0


def test_grpc_health_watch_of_an_unknown_service(channel):
    stream = protos.grpc_health_grpc.HealthStub(channel).Watch(
        grpc_health.HealthCheckRequest(service="no.such.Service"), timeout=SECONDS)
    assert next(stream).status == grpc_health.HealthCheckResponse.SERVICE_UNKNOWN
    stream.cancel()


def test_cancelled_watches_do_no_harm(channel):
    stub = protos.grpc_health_grpc.HealthStub(channel)
    for _ in range(200):
        stream = stub.Watch(grpc_health.HealthCheckRequest(), timeout=SECONDS)
        next(stream)
        stream.cancel()
    assert check(channel).status.code == 0


# ---- calls that cannot be answered; the connection outlives each of them -----------


@pytest.mark.parametrize("method", [
    "/envoy.service.auth.v3.Authorization/Nothing", "/envoy.service.auth.v3.Authorization/check",
    "/envoy.service.auth.v3.Authorization/Check/", "/envoy.service.auth.v3.Authorization/",
    "/envoy.service.auth.v4.Authorization/Check", "/no.such.Service/Check", "/Check", "/",
    "//envoy.service.auth.v3.Authorization/Check", "/felix.PolicySync/Sync",
])
def test_unknown_methods(channel, method):
    message = request().SerializeToString()
    assert code_of(call, channel, method, message) == grpc.StatusCode.UNIMPLEMENTED
    assert check(channel).status.code == 0


@pytest.mark.parametrize("garbage", [b"\xff", b"\x0a\x05abc", b"\x00", b"GET / HTTP/1.1\r\n\r\n"],
                         ids=repr)
def test_garbage(channel, garbage):
    assert code_of(call, channel, CHECK, garbage) == grpc.StatusCode.INVALID_ARGUMENT
    assert check(channel).status.code == 0


def _padded_request(size):
    """A message of just this size that is allowed."""
    message = request()
    message.attributes.request.http.body = "x" * size
    message.attributes.request.http.body = "x" * (2 * size - message.ByteSize())
    assert message.ByteSize() == size
    return message.SerializeToString()


def test_big_message(channel):
    answer = ext_authz.CheckResponse.FromString(call(channel, CHECK, _padded_request(MOST - 1024)))
    assert answer.status.code == 0


def test_too_big_message(channel):
    for size in (MOST + 1, 3 * MOST):
        assert code_of(call, channel, CHECK, b"\0" * size) == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert check(channel).status.code == 0


def test_compressed_message(server):
    message = _padded_request(20000)
    with server.channel(compression=grpc.Compression.Gzip) as channel:
        assert code_of(call, channel, CHECK, message) == grpc.StatusCode.UNIMPLEMENTED
        # What does not shrink is sent as it is, so this goes over the same connection without the flag.
        dense = request().SerializeToString() + b"\xfa\x3f\xd0\x0f" + os.urandom(2000)
        plain = channel.unary_unary(CHECK)(dense, timeout=SECONDS)
        assert ext_authz.CheckResponse.FromString(plain).status.code == 0


def test_deadline(channel):
    stub = protos.ext_authz_grpc.AuthorizationStub(channel)
    for timeout in (0.2, 60, 100000):
        assert stub.Check(request(), timeout=timeout).status.code == 0


def test_many_streams_at_once(channel):
    """Every answer belongs to its own request."""
    stub = protos.ext_authz_grpc.AuthorizationStub(channel)
    methods = ["GET" if number % 3 else "POST" for number in range(2000)]
    futures = [stub.Check.future(request(method=method), timeout=60) for method in methods]
    for method, future in zip(methods, futures):
        assert (future.result().status.code == 0) == (method == "GET")


def test_many_connections(server):
    def one(number):
        with server.channel() as channel:
            return [check(channel, method=method).status.code == 0
                    for method in ("GET", "POST") * 5]

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        assert all(answers == [True, False] * 5 for answers in pool.map(one, range(60)))


# ---- the server over time ------------------------------------------------------------


def test_policy_edited_while_it_runs(own_server):
    with own_server.channel() as channel:
        def allowed(method):
            return check(channel, method=method).status.code == 0

        assert allowed("GET") and not allowed("POST")
        own_server.write("policy.yaml", [policy(["POST"])])
        assert wait_for(lambda: allowed("POST"))
        assert not allowed("GET")

        # In place, as an editor may do it.
        file = own_server.resources / "policy.yaml"
        file.write_text(file.read_text().replace("POST", "GET"))
        assert wait_for(lambda: allowed("GET"))
        assert wait_for(lambda: not allowed("POST"))

        # No policy selects the pod any more: its profile allows all.
        file.unlink()
        assert wait_for(lambda: allowed("DELETE"))

        own_server.write("policy.yaml", [policy(["GET"])])
        assert wait_for(lambda: not allowed("DELETE"))


def test_policy_that_cannot_be_understood_refuses(own_server):
    with own_server.channel() as channel:
        bad = policy(["GET"])
        bad["spec"]["ingress"][0]["source"]["selector"] = "app = 'x'"
        own_server.write("policy.yaml", [bad])
        assert wait_for(lambda: check(channel).status.code == 13)
        assert check(channel, method="POST").status.code == 13
        own_server.write("policy.yaml", [policy(["GET"])])
        assert wait_for(lambda: check(channel).status.code == 0)


def test_socket_is_open_to_other_users(server):
    mode = server.socket.stat().st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o777


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_in_good_order(own_server, number):
    with own_server.channel() as channel:
        stream = protos.grpc_health_grpc.HealthStub(channel).Watch(
            grpc_health.HealthCheckRequest(), timeout=60)
        next(stream)  # a call that would go on for ever does not hold it up
        assert check(channel).status.code == 0
        assert own_server.stop(number) == 0
    assert not own_server.socket.exists()


def test_old_socket_is_replaced(own_server):
    own_server.process.kill()
    own_server.process.wait()
    assert own_server.socket.exists(), "a killed server leaves its socket"
    own_server.start().wait_until_ready()
    with own_server.channel() as channel:
        assert check(channel).status.code == 0


def test_file_in_the_place_of_the_socket_is_kept(own_server):
    assert own_server.stop() == 0
    own_server.socket.write_text("precious")
    own_server.start()
    assert own_server.process.wait(timeout=SECONDS) != 0
    assert own_server.socket.read_text() == "precious"
    assert str(own_server.socket) in own_server.log.read_text()


def test_peers_are_known_by_the_kernel_s_word():
    """At level debug each connection's process and user are logged (SO_PEERCRED)."""
    server = Server()
    try:
        with open(server.log, "ab") as log:
            server.process = subprocess.Popen(
                [str(DIKASTES), "server", "-l", str(server.socket), "-d",
                 f"directory:{server.resources}", "--workload", "bank/web-0", "--debug"],
                stdin=subprocess.DEVNULL, stderr=log)
        server.wait_until_ready()
        assert f"pid={os.getpid()} uid={os.getuid()} gid={os.getgid()}" in server.log.read_text()
    finally:
        server.close()
