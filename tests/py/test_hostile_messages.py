"""Hostile messages for `dikastes server`: gRPC's framing, and what a CheckRequest may be full of.

As in test_hostile_http2.py the server is unharmed after each test.
"""

import pytest

import http2_peer as h2
import victim
import wire
from http2_peer import END_STREAM, data, headers, message, number
from protos import ext_authz
from victim import ALLOWED, BAD, GOOD, MALFORMED, MIB, REFUSED

INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL = 3, 8, 12, 13
LONGEST = 4 * 1024 * 1024


@pytest.fixture(scope="module")
def server():
    with victim.running() as running:
        yield running


@pytest.fixture
def attacked(server):
    """The server; after the test it must be as before."""
    server.begin()
    yield server
    server.assert_unharmed()


@pytest.fixture
def peer(attacked):
    with attacked.peer() as peer:
        yield peer


# ---- framing ----------------------------------------------------------------------------------

FRAMING = {
    "nothing": (b"", INVALID_ARGUMENT),
    "half a prefix": (b"\0\0\0", INTERNAL),
    "prefix alone": (b"\0\0\0\0\5", INTERNAL),
    "message cut": (message(GOOD)[:-1], INTERNAL),
    "a byte behind": (message(GOOD) + b"\0", INTERNAL),
    "second message": (message(GOOD) + message(BAD), INTERNAL),
    "length too small": (message(GOOD, length=len(GOOD) - 1), INTERNAL),
    "length over the limit": (message(b"", length=LONGEST + 1), RESOURCE_EXHAUSTED),
    "length 2^32 - 1": (message(GOOD, length=2**32 - 1), RESOURCE_EXHAUSTED),
    "compressed": (message(GOOD, flag=1), UNIMPLEMENTED),
    "compressed and too long": (message(b"", flag=1, length=2**32 - 1), RESOURCE_EXHAUSTED),
    "compressed nothing": (message(b"", flag=1), UNIMPLEMENTED),
    "flag 2": (message(GOOD, flag=2), INTERNAL),
    "flag 128, as of trailers": (message(GOOD, flag=128), INTERNAL),
    "flag 255": (message(GOOD, flag=255), INTERNAL),
}


@pytest.mark.parametrize("body, status", FRAMING.values(), ids=FRAMING)
@pytest.mark.parametrize("split", [False, True], ids=["whole", "byte by byte"])
def test_framing(peer, body, status, split):
    pieces = [body[at:at + 1] for at in range(len(body))] if split else [body]
    peer.send(headers(1) + b"".join(data(1, piece) for piece in pieces) + data(1, b"", END_STREAM))
    answer = peer.answer(1)
    assert (answer.grpc_status, answer.body) == (status, b"")
    peer.send(h2.call(3, GOOD))
    assert victim.verdict(peer.answer(3)) == ALLOWED


def test_lengths_announced_and_never_sent(attacked, peer):
    """Memory goes by what comes, not by what is promised."""
    streams = range(1, 20001, 2)
    peer.send(b"".join(headers(stream) + data(stream, message(b"x", length=LONGEST)) for stream in streams))
    attacked.assert_serving()
    attacked.assert_memory_below(24 * MIB)


def test_lengths_too_long_are_refused_at_once(attacked, peer):
    """The calls are not ended by the peer, which could go on sending."""
    streams = range(1, 4001, 2)
    peer.send(b"".join(headers(stream) + data(stream, b"\0" + number(2**31)) for stream in streams))
    assert {peer.answer(stream).grpc_status for stream in streams} == {RESOURCE_EXHAUSTED}
    attacked.assert_memory_below(8 * MIB)


def test_many_long_messages_that_never_end(attacked, peer):
    """What one connection holds is bounded: of 64 MiB most are refused."""
    streams = range(1, 129, 2)
    for stream in streams:
        peer.send(headers(stream) + data(stream, message(b"", length=LONGEST)))
    for _ in range(64):
        for stream in streams:
            peer.send(data(stream, bytes(16384)))
    assert peer.wait_for(lambda: sum(answer.ended for answer in peer.answers.values()) >= len(streams) // 2)
    assert {answer.grpc_status for answer in peer.answers.values()} == {RESOURCE_EXHAUSTED}
    attacked.assert_serving()
    attacked.assert_memory_below(40 * MIB)


# ---- CheckRequests -------------------------------------------------------------------------------


def http(content):
    """Fields of the HttpRequest, as bytes that can be put behind any CheckRequest."""
    return wire.nested(content, 2, 4, 1)


def source(content):
    return wire.nested(content, 1, 1)


def attributes(content):
    return wire.nested(content, 1)


def pairs(count, field):
    """Entries of a map from text to text."""
    return b"".join(wire.nested(wire.nested(b"x-%d" % each, 1) + wire.nested(b"v", 2), field)
                    for each in range(count))


def deep(levels):
    """A google.protobuf.Struct in a Struct in a Struct..., as Envoy's metadata."""
    content = b""
    for _ in range(levels):
        # Struct.fields -> entry.value -> Value.struct_value
        content = wire.nested(content, 5, 2, 1)
    return attributes(wire.nested(wire.nested(b"x", 1) + wire.nested(content, 2), 1, 11))


START, END = 3, 4  # wire types of groups


def groups(depth, number_of=100):
    return wire.field(number_of, START, b"") * depth + wire.field(number_of, END, b"") * depth


OVERLONG = b"\x81" + b"\x80" * 8 + b"\x00"  # 1, in as many bytes as allowed
AS_BEFORE, UNDECODABLE = "as before", "undecodable"

# Put behind a request: how it is judged then.
BOMBS = {
    "10,000 headers": (http(pairs(10000, 3)), AS_BEFORE),
    "one header, 10,000 times": (http(wire.nested(wire.nested(b"x", 1), 3) * 10000), AS_BEFORE),
    "header of 3 MB": (http(wire.nested(wire.nested(b"x" * 3000000, 2), 3)), AS_BEFORE),
    "map of 100,000": (attributes(pairs(100000, 10)), AS_BEFORE),
    "struct in a struct, 3,000 deep": (deep(3000), AS_BEFORE),
    "1,000,000 empty messages": (source(b"") * 200000 + attributes(wire.nested(b"", 1)) * 200000, AS_BEFORE),
    "100,000 labels": (source(pairs(100000, 3)), MALFORMED),
    "1,024 labels": (source(pairs(1024, 3)), AS_BEFORE),
    "1,025 labels": (source(pairs(1025, 3)), MALFORMED),
    "100,000 other paths before": (http(wire.nested(b"/x", 4) * 100000 + wire.nested(b"/pub/x", 4)), AS_BEFORE),
    "500,000 unknown fields": (wire.field(1000, 0, b"\1") * 500000, AS_BEFORE),
    "unknown field of 3 MB": (wire.nested(bytes(3000000), 1000), AS_BEFORE),
    "groups 20 deep": (groups(20), AS_BEFORE),
    "100,000 groups": (groups(1) * 100000, AS_BEFORE),
    "overlong number": (source(wire.nested(wire.field(3, 0, OVERLONG), 1, 1)), AS_BEFORE),
    "groups without an end": (wire.field(100, START, b"") * 100000, UNDECODABLE),
    "ends without a group": (wire.field(100, END, b""), UNDECODABLE),
    "end of another group": (wire.field(100, START, b"") + wire.field(101, END, b""), UNDECODABLE),
    "group that spans a message": (attributes(wire.field(100, START, b"")) + wire.field(100, END, b""),
                                   UNDECODABLE),
    "number of 11 bytes": (b"\x78" + b"\x80" * 10 + b"\x01", UNDECODABLE),
    "number without an end": (b"\x78" + b"\xff" * 100000, UNDECODABLE),
    "field 0": (b"\x00\x00", UNDECODABLE),
    "field over the largest": (wire.varint(2**32 << 3) + b"\0", UNDECODABLE),
    "wire type 6": (wire.field(100, 6, b""), UNDECODABLE),
    "wire type 7": (wire.field(100, 7, b""), UNDECODABLE),
    "length beyond the end": (wire.field(1, 2, wire.varint(100) + b"short"), UNDECODABLE),
    "length 2^31": (wire.field(1, 2, wire.varint(2**31)), UNDECODABLE),
    "length 2^32": (wire.field(1, 2, wire.varint(2**32)), UNDECODABLE),
    "length 2^63": (wire.field(1, 2, wire.varint(2**63)), UNDECODABLE),
    "length 2^64 - 1": (wire.field(1, 2, wire.varint(2**64 - 1)), UNDECODABLE),
    "length beyond its message": (attributes(wire.field(1, 2, b"\x05abc")) + b"\x0a\x00" * 9, UNDECODABLE),
    "path beyond its message": (http(wire.field(4, 2, b"\x7f/pub")) + bytes(200), UNDECODABLE),
}


@pytest.mark.parametrize("behind, outcome", BOMBS.values(), ids=BOMBS)
def test_bomb(attacked, peer, behind, outcome):
    for stream, (content, verdict) in zip((1, 3), ((GOOD, ALLOWED), (BAD, REFUSED))):
        assert len(content + behind) <= LONGEST
        peer.send(h2.call(stream, content + behind))
        answer = peer.answer(stream)
        if outcome == UNDECODABLE:
            assert (answer.grpc_status, answer.body) == (INVALID_ARGUMENT, b"")
        else:
            assert victim.verdict(answer) == (verdict if outcome == AS_BEFORE else outcome)
    attacked.assert_memory_below(12 * MIB)


def test_malformed_requests_on_many_streams(attacked, peer):
    """Each refused by itself, and nothing of one gets into the next."""
    kinds = [(GOOD, ALLOWED), (b"\xff", None), (BAD, REFUSED), (BOMBS["groups without an end"][0][:1000], None)]
    streams = range(1, 8001, 2)
    for stream in streams:
        peer.send(h2.call(stream, kinds[stream // 2 % 4][0]))
    for stream in streams:
        wanted, answer = kinds[stream // 2 % 4][1], peer.answer(stream)
        if wanted is None:
            assert answer.grpc_status == INVALID_ARGUMENT
        else:
            assert victim.verdict(answer) == wanted


# ---- work in proportion ------------------------------------------------------------------------------

# What n of something puts behind a request.
GROWING = {
    "headers": lambda n: http(pairs(n, 3)),
    "map": lambda n: attributes(pairs(n, 10)),
    "messages merged": lambda n: source(b"") * n,
    "paths": lambda n: http(wire.nested(b"/a", 4) * n),
    "groups": lambda n: groups(1) * n,
    "segments of the path": lambda n: http(wire.nested(b"/a/b/.." * n, 4)),
    "steps up at the end of the path": lambda n: http(wire.nested(b"/a" * n + b"/.." * n, 4)),
    "parameters of the path": lambda n: http(wire.nested(b"/a" + b";x" * n, 4)),
    "letters of the principal": lambda n: source(wire.nested(b"spiffe://td/" + b"/ns" * n, 4)),
}


def _cost(attacked, content, times=20):
    """Computing time of the server for a request, in seconds; the least of some tries."""
    costs = []
    with attacked.peer() as peer:
        for stream in range(1, 8 * times, 8):
            before = attacked.cpu_time()
            peer.send(b"".join(h2.call(stream + 2 * each, content) for each in range(4)))
            peer.answer(stream + 6)
            costs.append(attacked.cpu_time() - before)
    return min(costs)


@pytest.mark.parametrize("grown", GROWING.values(), ids=GROWING)
def test_ten_times_as_much_costs_about_ten_times_as_much(attacked, grown):
    """Were it the square, it would be a hundred times."""
    less, more = (_cost(attacked, GOOD + grown(count)) for count in (2000, 20000))
    assert more < 40 * less, (less, more)


def test_fields_that_nobody_asks_for(attacked):
    """All of what Envoy can tell, filled to the brim; the verdict is by the few fields that count."""
    for raw, wanted in ((GOOD, ALLOWED), (BAD, REFUSED)):
        check = ext_authz.CheckRequest.FromString(raw)
        request = check.attributes.request.http
        request.id = request.host = request.scheme = request.protocol = "x" * 100000
        request.fragment = request.query = "/../../pub/x"
        request.size = -2**63
        request.body, request.raw_body = "GET" * 1000, b"\xff" * 100000
        check.attributes.source.service = "bank/customer"
        check.attributes.source.certificate = "-----BEGIN CERTIFICATE-----"
        check.attributes.destination.principal = "spiffe://cluster.local/ns/bank/sa/customer"
        assert attacked.ask(check.SerializeToString()) == [wanted]
