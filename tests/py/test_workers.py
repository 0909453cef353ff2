"""Several workers on one socket: right answers while the policy changes, and no data race.

`make test` builds dikastes with ThreadSanitizer for this file (DIKAST_BUILD=build-tsan), which then writes what it
finds to the server's log.
"""

import concurrent.futures
import subprocess
import threading
import time

import grpc
import pytest

import protos
import scenario
import server as servers

WORKERS = 4
SECONDS = 4


class ManyWorkers(servers.Server):
    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [str(servers.DIKASTES), "server", "-l", str(self.socket), "-d",
                 f"directory:{self.resources}", "--workload", "bank/web-0",
                 "--workers", str(WORKERS), "--log-level", "warning"],
                stdin=subprocess.DEVNULL, stderr=log)
        return self


@pytest.fixture
def server():
    instance = ManyWorkers().start().wait_until_ready()
    yield instance
    if instance.process.poll() is None:
        instance.stop()
    report = instance.log.read_text(errors="replace")
    assert "ThreadSanitizer" not in report, report


def ask(server, stop):
    """Asks on a connection of its own until told to stop; returns the verdicts of GET and of POST."""
    gets, posts = set(), set()
    with server.channel() as channel:
        stub = protos.ext_authz_grpc.AuthorizationStub(channel)
        while not stop.is_set():
            gets.add(stub.Check(make("GET"), timeout=20).status.code)
            posts.add(stub.Check(make("POST"), timeout=20).status.code)
    return gets, posts


def make(method):
    raw = scenario.request({"from": servers.CUSTOMER, "to": servers.WEB, "method": method,
                            "principal": servers.CUSTOMERS_NAME, "path": "/pub/x"})
    return protos.ext_authz.CheckRequest.FromString(raw.SerializeToString())


def test_policy_changes_under_load(server):
    """GET is allowed by both versions of the policy, so no moment in between may refuse it."""
    stop = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        callers = [pool.submit(ask, server, stop) for _ in range(8)]
        end = time.monotonic() + SECONDS
        changes = 0
        while time.monotonic() < end:
            changes += 1
            server.write("policy.yaml", [servers.policy(["GET", "POST"] if changes % 2 else ["GET"])])
            time.sleep(0.01)
        stop.set()
        verdicts = [caller.result() for caller in callers]
    assert changes > 50
    assert {code for gets, _ in verdicts for code in gets} == {0}
    assert {code for _, posts in verdicts for code in posts} == {0, 7}


def test_last_version_is_in_force_everywhere(server):
    """After the last change every worker comes to the same verdict."""
    server.write("policy.yaml", [servers.policy(["POST"])])

    def all_agree():
        codes = []
        for _ in range(4 * WORKERS):
            with server.channel() as channel:
                stub = protos.ext_authz_grpc.AuthorizationStub(channel)
                codes.append((stub.Check(make("GET"), timeout=20).status.code,
                              stub.Check(make("POST"), timeout=20).status.code))
        return set(codes) == {(7, 0)}

    assert servers.wait_for(all_agree, 20)


def test_stops_with_calls_and_watches_open(server):
    with server.channel() as channel:
        stream = protos.grpc_health_grpc.HealthStub(channel).Watch(
            protos.grpc_health.HealthCheckRequest(), timeout=30)
        next(iter(stream))
        assert server.stop() == 0
        with pytest.raises(grpc.RpcError):
            next(iter(stream))
    assert not server.socket.exists()
