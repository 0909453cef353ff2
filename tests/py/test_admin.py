"""The HTTP port for operators (DIKASTES_HTTP_BIND_PORT), page 2: metrics, probes, termination.

And staged policies, issue 4: judged beside the enforced ones and counted, the verdict unaffected.
"""

import os
import re
import socket
import subprocess
import urllib.error
import urllib.request

import pytest

import protos
import scenario
import server as servers
from policy_sync_server import IN_SYNC, NodeAgent

STAGED = servers._object("StagedNetworkPolicy", "lock-down", "bank", api="projectcalico.org/v3", spec={
    "order": 1, "selector": "app == 'web'", "types": ["Ingress"],
    "ingress": [{"action": "Deny", "http": {"methods": ["GET"]}}, {"action": "Pass"}]})
STAGED_LABELS = 'tier="default",policy="StagedNetworkPolicy bank/lock-down"'


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class AdminServer(servers.Server):
    def start(self, target=None):
        self.port = free_port()
        source = ["-d", target] if target else \
            ["-d", f"directory:{self.resources}", "--workload", "bank/web-0"]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [str(servers.DIKASTES), "server", "-l", str(self.socket), *source],
                stdin=subprocess.DEVNULL, stderr=log,
                env={**os.environ, "DIKASTES_HTTP_BIND_PORT": str(self.port),
                     "DIKASTES_HTTP_BIND_ADDR": "127.0.0.1"})
        return self

    def http(self, path, method="GET"):
        """(status, body)"""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name):
        """The value of a sample; None if it is not there."""
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.http("/metrics")[1], re.MULTILINE)
        return float(found[1]) if found else None


@pytest.fixture
def prepared():
    server = AdminServer()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def server(prepared):
    return prepared.start().wait_until_ready()


def ask(server, count, **given):
    raw = scenario.request({"from": servers.CUSTOMER, "to": servers.WEB, "path": "/pub/x",
                            "principal": servers.CUSTOMERS_NAME, **given}).SerializeToString()
    request = protos.ext_authz.CheckRequest.FromString(raw)
    with server.channel() as channel:
        stub = protos.ext_authz_grpc.AuthorizationStub(channel)
        return {stub.Check(request, timeout=10).status.code for _ in range(count)}


def test_checks_are_counted_by_verdict_and_reason(server):
    assert ask(server, 40) == {0} and ask(server, 3, method="POST") == {7}
    assert server.metric('dikastes_checks_total{verdict="allow",reason="allowed_by_rule"}') == 40
    assert server.metric('dikastes_checks_total{verdict="deny",reason="denied_by_tier_default"}') == 3
    assert server.metric("dikastes_check_duration_seconds_count") == 3  # one in 16
    assert server.metric('dikastes_check_duration_seconds_bucket{le="+Inf"}') == 3


def test_labels_hold_no_request_data(server):
    ask(server, 1, method="BREW", path="/pub/secret-path", principal="spiffe://x/ns/who/sa/am-i")
    body = server.http("/metrics")[1]
    assert not re.search(r"BREW|secret|am-i|10\.0\.0\.", body)


def test_every_sample_has_help_and_type(server):
    body = server.http("/metrics")[1]
    for line in body.splitlines():
        if line.startswith("#"):
            continue
        assert re.fullmatch(r'[a-z_]+(\{([a-z_]+="[^"\n]*",?)*\})? [0-9.e+-]+', line), line
        name = re.sub(r"_(bucket|sum|count)$", "", re.match(r"[a-z_]+", line)[0])
        assert f"# TYPE {name} " in body and f"# HELP {name} " in body, line


def test_policy_and_process(server):
    assert server.metric("dikastes_policy_in_sync") == server.metric("dikastes_ready") == 1
    first = server.metric("dikastes_policy_version")
    server.write("policy.yaml", [servers.policy(["POST"])])
    assert servers.wait_for(lambda: server.metric("dikastes_policy_version") > first)
    assert server.metric("dikastes_policy_age_seconds") < 60
    assert server.metric("dikastes_snapshot_build_seconds") > 0
    assert server.metric("process_resident_memory_bytes") > 100000


def test_staged_policies_are_counted_and_not_enforced(server):
    server.write("staged.yaml", [STAGED])
    denied = f'dikastes_staged_verdicts_total{{{STAGED_LABELS},action="deny"}}'
    assert servers.wait_for(lambda: server.metric(denied) == 0)
    assert ask(server, 5) == {0} and ask(server, 2, method="POST") == {7}
    assert server.metric(denied) == 5
    assert servers.wait_for(lambda: "Staged policy would deny" in server.log.read_text())


def test_probes(prepared):
    """Live as soon as it serves; ready only with a policy."""
    prepared.start("/nowhere/agent")
    assert servers.wait_for(prepared.socket.exists)
    assert prepared.http("/healthz")[0] == 200
    assert prepared.http("/readyz") == (503, "no policy in sync\n")
    assert prepared.metric("dikastes_ready") == 0


def test_not_ready_with_a_policy_in_force(prepared):
    """The agent went away: the probe's answer does not say that there is no policy."""
    agent = NodeAgent("127.0.0.1:0")
    agent.opening = [IN_SYNC]
    agent.start()
    prepared.start(f"127.0.0.1:{agent.port}")
    assert servers.wait_for(lambda: prepared.socket.exists() and prepared.http("/readyz") == (200, "ok\n"))
    agent.stop()
    assert servers.wait_for(
        lambda: prepared.http("/readyz") == (503, "a policy is in force, but news of it would not come\n"))


def test_ready(server):
    assert server.http("/readyz") == (200, "ok\n")
    assert server.http("/healthz?x=1")[0] == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_terminate(server, method):
    assert server.http("/terminate", method)[0] == 200
    assert server.process.wait(10) == 0
    assert not server.socket.exists()


def test_looking_at_terminate_does_not(server):
    assert server.http("/terminate", "HEAD")[0] == 405
    assert server.http("/healthz")[0] == 200


@pytest.mark.parametrize("raw", [
    b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/2\r\n\r\n", b"\0" * 20000, b"GET " + b"/a" * 10000 + b" HTTP/1.1\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\n", b"DELETE /metrics HTTP/1.1\r\n\r\n", b"GET /nothing HTTP/1.1\r\n\r\n"])
def test_bad_requests(server, raw):
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as peer:
        peer.sendall(raw)
        try:
            status = peer.recv(64)
        except ConnectionResetError:
            status = b""
    assert status == b"" or re.match(rb"HTTP/1\.1 4\d\d ", status)
    assert server.http("/healthz")[0] == 200


def test_idle_connections_do_not_keep_others_out(server):
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(31)]
    try:
        assert server.http("/healthz")[0] == 200
    finally:
        for each in idle:
            each.close()


@pytest.mark.parametrize("port, address, named", [
    ("abc", "", "abc"), ("0", "", "0"), ("65536", "", "65536"), ("-1", "", "-1"), ("8080", "localhost", "localhost"),
    ("8080", "1.2.3", "1.2.3")])
def test_bad_port_or_address(prepared, port, address, named):
    done = subprocess.run(
        [str(servers.DIKASTES), "server", "-l", str(prepared.socket), "-d",
         f"directory:{prepared.resources}", "--workload", "bank/web-0"],
        capture_output=True, text=True, timeout=20,
        env={**os.environ, "DIKASTES_HTTP_BIND_PORT": port, "DIKASTES_HTTP_BIND_ADDR": address})
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1 and named in done.stderr


def test_log_of_refusals_is_rate_limited(server):
    """A flood of refusals writes few lines, and one that counts what was left out."""
    assert ask(server, 400, method="POST") == {7}

    def counted():
        log = server.log.read_text()
        left_out = re.findall(r'msg="Left out lines about requests" count=(\d+)', log)
        return log.count('msg="Denied request"'), sum(map(int, left_out))

    assert servers.wait_for(lambda: sum(counted()) == 400), counted()
    assert counted()[1] > 0
