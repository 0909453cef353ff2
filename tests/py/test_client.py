"""dikastes client against a server that answers whatever a test says."""

import contextlib
import subprocess
from concurrent import futures

import grpc
import pytest

import wire
from server import DIKASTES


def _text(key, value):
    """An entry of a google.protobuf.Struct: a text."""
    return wire.nested(wire.field(1, 2, wire.varint(len(key)) + key)
                       + wire.nested(wire.field(3, 2, wire.varint(len(value)) + value), 2), 1)


@contextlib.contextmanager
def _answering(socket, answer):
    server = grpc.server(futures.ThreadPoolExecutor(1))
    check = grpc.unary_unary_rpc_method_handler(lambda request, context: answer)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(
        "envoy.service.auth.v3.Authorization", {"Check": check})])
    server.add_insecure_port(f"unix:{socket}")
    server.start()
    try:
        yield
    finally:
        server.stop(None).wait()


@pytest.mark.parametrize("reason, shown", [
    (b"denied_by_rule", ", reason denied_by_rule"),
    (b"\x1b[2Jdenied", ""),
    (b"denied by me", ""),
])
def test_a_reason_is_a_word_or_is_not_shown(tmp_path, reason, shown):
    status = wire.nested(wire.field(1, 0, wire.varint(7)), 1)
    socket = tmp_path / "d.sock"
    with _answering(socket, status + wire.nested(_text(b"reason", reason), 4)):
        done = subprocess.run([DIKASTES, "client", "--plain-text", "-d", socket], capture_output=True, timeout=30,
                              check=False)
    assert (done.returncode, done.stdout.decode()) == (3, f"denied: code 7{shown}\n")


@pytest.mark.parametrize("words, culprit", [
    (["", "web"], "NAMESPACE"), (["a/b", "web"], "NAMESPACE"), (["bank", ""], "ACCOUNT"), (["bank", "a/b"], "ACCOUNT"),
    (["bank", "web", "--trust-domain", ""], "--trust-domain"),
    (["bank", "web", "--tcp", "--path", "/a"], "--path"), (["bank", "web", "--method", "PUT", "--tcp"], "--method")])
def test_question_that_would_be_another(tmp_path, words, culprit):
    """About a stranger, who has no SPIFFE name; about a connection without what was asked for."""
    done = subprocess.run([DIKASTES, "client", "-d", tmp_path / "d.sock", *words], capture_output=True, timeout=30, check=False)
    assert done.returncode == 1 and culprit in done.stderr.decode().splitlines()[0]
