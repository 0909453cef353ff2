"""From a change of a file to its being in force: felix and a real dikastes, which is asked without a pause until it answers otherwise."""

import pathlib
import statistics
import subprocess
import tempfile
import time

import grpc

import fixtures

LIMIT = 60  # seconds; whoever takes longer is broken
CHECK = "/envoy.service.auth.v3.Authorization/Check"
REFUSED = b"\x08" + bytes([fixtures.DENIED])  # a google.rpc.Status whose code is that


def _verdict(answer):
    """Of a CheckResponse, which begins with its status."""
    status = answer[2:2 + answer[1]] if answer[:1] == b"\x0a" else b""
    return fixtures.DENIED if status.startswith(REFUSED) else None if status.startswith(b"\x08") else fixtures.ALLOWED


def _ask_until(check, verdict):
    """Nanoseconds at the first answer that is the right one."""
    request = fixtures.check_request("GET", "/", ("bank", "customer", "10.9.9.9"), ("namespace-0", "web", "10.0.0.0"))
    end = time.monotonic() + LIMIT
    while _verdict(check(request, timeout=LIMIT)) != verdict:
        if time.monotonic() > end:
            raise RuntimeError("the sidecar does not answer as the policy says")
    return time.monotonic_ns()


def measure(dikastes, agent_socket, write_policy, count):
    """`write_policy(action)` puts a policy of the socket's pod that does this to every request. Milliseconds."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        socket = pathlib.Path(folder) / "s"
        write_policy("Allow")
        process = subprocess.Popen([dikastes, "server", "-l", socket, "-d", agent_socket, "--log-level", "error"],
                                   stdin=subprocess.DEVNULL)
        try:
            with grpc.insecure_channel(f"unix:{socket}") as channel:
                grpc.channel_ready_future(channel).result(LIMIT)
                check = channel.unary_unary(CHECK)
                _ask_until(check, fixtures.ALLOWED)
                latencies = []
                for number in range(count):
                    action, verdict = (("Deny", fixtures.DENIED), ("Allow", fixtures.ALLOWED))[number % 2]
                    began = time.monotonic_ns()
                    write_policy(action)
                    latencies.append((_ask_until(check, verdict) - began) / 1e6)
        finally:
            process.terminate()
            process.wait()
    return {"median_ms": statistics.median(latencies), "worst_ms": max(latencies)}
