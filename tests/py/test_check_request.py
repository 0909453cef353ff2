"""The decoder of CheckRequest against Python's protobuf, on random and broken bytes.

A decoder need not look inside what it does not use (headers, metadata), and texts
need not be UTF-8.  So three readings by protobuf are compared:

  raw      all of the message, texts as bytes: what it takes must be taken, alike
  shallow  the same without looking into what a check does not use: what it
           refuses must be refused

A declared field of another wire type is an unknown field for protobuf.  A strict
decoder may refuse it instead; if it takes the message, it must read it alike.
"""

import re
import string

import pytest
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

import wire
from probe import unb64
from protos import ext_authz, ext_authz_raw, ext_authz_shallow

BYTES = ["", "", "a", "GET", "/a/b", "10.0.0.1", "::1", "spiffe://td/ns/bank/sa/web", "é", "a\0b", "\0",
         "x" * 300]


# ---- making messages --------------------------------------------------------------


def _text(rng):
    return rng.choice(BYTES)


def _fill_peer(rng, peer):
    choice = rng.random()
    if choice < 0.7:
        socket = peer.address.socket_address
        socket.SetInParent()
        socket.protocol = rng.choice([0, 0, 1, 1, 7])
        socket.address = _text(rng)
        if rng.random() < 0.8:
            socket.port_value = rng.choice([0, 80, 65535, 65536, 2**32 - 1])
        elif rng.random() < 0.5:
            socket.named_port = _text(rng)
    elif choice < 0.8:
        peer.address.pipe.path = "/run/x"
        peer.address.pipe.mode = 0o600
    if rng.random() < 0.7:
        peer.principal = _text(rng)
    for _ in range(rng.choice([0, 0, 1, 4])):
        peer.labels[rng.choice("abc") + _text(rng)] = _text(rng)
    peer.service = _text(rng)
    if rng.random() < 0.2:
        peer.certificate = "-----BEGIN CERTIFICATE-----" * 50


def _fill_http(rng, http):
    http.SetInParent()
    http.id = _text(rng)
    http.method = _text(rng)
    http.path = _text(rng)
    http.host = _text(rng)
    http.scheme = "https"
    http.query = _text(rng)
    http.size = rng.choice([0, -1, 2**62])
    http.protocol = "HTTP/1.1"
    for _ in range(rng.choice([0, 1, 5])):
        http.headers[_text(rng)] = _text(rng)
    if rng.random() < 0.2:
        http.body = "b" * 2000
        http.raw_body = b"\xff" * 100


def _random_request(rng):
    check = ext_authz.CheckRequest()
    attributes = check.attributes
    if rng.random() < 0.9:
        _fill_peer(rng, attributes.source)
    if rng.random() < 0.9:
        _fill_peer(rng, attributes.destination)
    if rng.random() < 0.8:
        attributes.request.time.seconds = rng.choice([0, 1700000000, -1])
        if rng.random() < 0.9:
            _fill_http(rng, attributes.request.http)
    for _ in range(rng.choice([0, 0, 2])):
        attributes.context_extensions[_text(rng)] = _text(rng)
    if rng.random() < 0.3:
        attributes.metadata_context.filter_metadata["envoy.lb"].update(
            {"a": {"b": [1, True, None, "x"]}})
    return check


def _wrapped(rng, inner, numbers):
    """The submessage, perhaps after an empty one, and with unknown fields about."""
    for number in numbers:
        empty = wire.nested(b"", number) if rng.random() < 0.1 else b""
        inner = empty + wire.nested(inner, number)
        if rng.random() < 0.3:
            inner = rng.choice([wire.unknown_field(rng) + inner, inner + wire.unknown_field(rng)])
    return inner


# Where fields can be put: the numbers that lead there, the innermost first, and
# what may be put there a second time.
PLACES = [
    ((), lambda rng: _random_request(rng).SerializeToString()),
    ((1,), lambda rng: _random_request(rng).attributes.SerializeToString()),
    ((1, 1), lambda rng: _random_request(rng).attributes.source.SerializeToString()),
    ((2, 1), lambda rng: _random_request(rng).attributes.destination.SerializeToString()),
    ((1, 1, 1), lambda rng: _random_request(rng).attributes.source.address.SerializeToString()),
    ((1, 1, 1, 1), lambda rng: _random_request(rng).attributes.source.address.socket_address
     .SerializeToString()),
    ((1, 2, 1), lambda rng: _random_request(rng).attributes.destination.address.SerializeToString()),
    ((4, 1), lambda rng: _random_request(rng).attributes.request.SerializeToString()),
    ((2, 4, 1), lambda rng: _random_request(rng).attributes.request.http.SerializeToString()),
    # An entry of the labels: key, value, both twice, or neither.
    ((3, 1, 1), lambda rng: b"".join(
        wire.field(rng.choice([1, 2, 3]), 2, wire.varint(1) + rng.choice([b"a", b"b"]))
        for _ in range(rng.randint(0, 4)))),
]


def _extended(rng, raw):
    """Valid bytes with more valid bytes behind or before: merged, or unknown."""
    for _ in range(rng.randint(1, 4)):
        path, content = rng.choice(PLACES)
        inner = wire.unknown_field(rng) if rng.random() < 0.3 else content(rng)
        piece = _wrapped(rng, inner, path)
        raw = rng.choice([raw + piece, piece + raw])
    return raw


# ---- comparing ------------------------------------------------------------------------


def _has_mistyped_field(message):
    """Whether a declared field number came with another wire type, anywhere inside."""
    declared = {field.number for field in message.DESCRIPTOR.fields}
    if any(field.field_number in declared for field in UnknownFieldSet(message)):
        return True
    inner = [item for field, value in message.ListFields()
             for item in (value if field.is_repeated else [value]) if isinstance(item, Message)]
    return any(_has_mistyped_field(item) for item in inner)


def _peer_view(name, peer):
    socket = peer.address.socket_address
    return {
        f"{name}_address": socket.address,
        f"{name}_port": socket.port_value,
        f"{name}_principal": peer.principal,
        f"{name}_labels": {pair.key: pair.value for pair in peer.labels},
    }


def _protobufs_view(raw):
    """What the decoder should say, by protobuf's reading; None when it refuses."""
    try:
        check = ext_authz_raw.CheckRequest.FromString(raw)
    except DecodeError:
        return None
    attributes = check.attributes
    http = attributes.request.http
    return {
        **_peer_view("source", attributes.source),
        **_peer_view("destination", attributes.destination),
        "destination_protocol": attributes.destination.address.socket_address.protocol,
        "has_http": attributes.request.HasField("http"),
        "method": http.method, "path": http.path, "host": http.host,
    }


def _probes_view(probe, raw):
    answer = probe.decode(raw)
    if not answer.pop("ok"):
        return None
    return {**_protobufs_view(b""),  # an empty text may be left out of the answer
            **{key: unb64(value) if isinstance(value, str) else value
               for key, value in answer.items()}}


def _as_json(labels):
    """Labels as the probe's JSON can carry them; None where it cannot."""
    try:
        labels = {key.decode(): value.decode() for key, value in labels.items()}
    except UnicodeDecodeError:
        return None
    return None if any("\0" in key for key in labels) else labels


def _must_be_refused(raw):
    try:
        ext_authz_shallow.CheckRequest.FromString(raw)
    except DecodeError:
        return True
    return False


def _may_overflow(raw):
    """A varint of ten bytes with more than 64 bits: some libraries cut it, Go's and ours refuse it."""
    return re.search(rb"[\x80-\xff]{9}[\x02-\x7f]", raw) is not None


def _compare(probe, raw):
    expected, answer = _protobufs_view(raw), _probes_view(probe, raw)
    if expected is not None:
        if answer is None and (_may_overflow(raw) or
                               _has_mistyped_field(ext_authz_raw.CheckRequest.FromString(raw))):
            return
        assert answer is not None, f"refused although valid: {raw.hex()}"
        for labels in ("source_labels", "destination_labels"):
            expected[labels] = _as_json(expected[labels])
            if expected[labels] is None:
                answer[labels] = None
        assert answer == expected, raw.hex()
    elif _must_be_refused(raw):
        assert answer is None, f"taken although broken: {raw.hex()}"


# ---- tests ---------------------------------------------------------------------------------


def test_random_messages(probe, rng):
    for _ in range(1500):
        _compare(probe, _random_request(rng).SerializeToString())


def test_merged_and_unknown_fields(probe, rng):
    for _ in range(2500):
        raw = _extended(rng, _random_request(rng).SerializeToString())
        assert _protobufs_view(raw) is not None, "the generator makes valid messages only"
        _compare(probe, raw)


def test_broken_bytes(probe, rng):
    refused = 0
    for _ in range(4000):
        raw = wire.mutated(rng, _random_request(rng).SerializeToString())
        refused += _must_be_refused(raw)
        _compare(probe, raw)
        probe.check(raw)
    assert refused > 500


def test_every_truncation(probe, rng):
    raw = _extended(rng, _random_request(rng).SerializeToString())
    for length in range(min(len(raw), 1500)):
        _compare(probe, raw[:length])


def test_random_bytes(probe, rng):
    for _ in range(2000):
        _compare(probe, bytes(rng.choice(b"\x0a\x12\x1a\x22\x00\x01\x02\x05\x08\x0b\x0c\x7f\x80\xff")
                              for _ in range(rng.randint(0, 30))))


def test_texts_that_are_not_utf8(probe, rng):
    check = ext_authz_raw.CheckRequest()
    http = check.attributes.request.http
    http.method, http.path, http.host = b"\xff", b"/\x80\xfe\0x", b"\xc3\x28"
    check.attributes.source.principal = b"\xed\xa0\x80"
    check.attributes.destination.address.socket_address.address = b"\xf8"
    _compare(probe, check.SerializeToString())


def test_pipe_and_socket_address_put_each_other_out(probe):
    """Of a oneof the last one counts, and what came before it is forgotten."""
    socket = ext_authz.Address(socket_address=ext_authz.SocketAddress(
        address="10.0.0.1", port_value=80, protocol=1)).SerializeToString()
    port_only = ext_authz.Address(
        socket_address=ext_authz.SocketAddress(port_value=81)).SerializeToString()
    pipe = ext_authz.Address(pipe=ext_authz.Pipe(path="/x")).SerializeToString()
    for address in (socket + pipe, pipe + socket, socket + pipe + port_only, socket + port_only):
        for side in (1, 2):
            _compare(probe, wire.nested(address, 1, side, 1))


def test_ports_put_each_other_out(probe):
    for content in (wire.field(3, 0, wire.varint(80)) + wire.field(4, 2, b"\x04http"),
                    wire.field(4, 2, b"\x04http") + wire.field(3, 0, wire.varint(80))):
        _compare(probe, wire.nested(content, 1, 1, 1, 1))


def test_numbers_are_cut_to_their_size(probe):
    """A varint may hold more than the 32 bits that a port and an enum have."""
    for number in (1, 3):
        _compare(probe, wire.nested(wire.field(number, 0, wire.varint(2**32 + 1)), 1, 1, 2, 1))


@pytest.mark.parametrize("what", ["headers", "labels", "extensions", "header size", "body"])
def test_big_messages(probe, what):
    check = ext_authz.CheckRequest()
    attributes = check.attributes
    attributes.request.http.path = "/end"
    if what == "headers":
        for number in range(20000):
            attributes.request.http.headers[f"x-{number}"] = "v"
    elif what == "labels":
        for number in range(1000):
            attributes.source.labels[f"label-{number}"] = str(number)
    elif what == "extensions":
        for number in range(20000):
            attributes.context_extensions[f"x-{number}"] = "v"
    elif what == "header size":
        attributes.request.http.headers["x"] = "v" * 1000000
    else:
        attributes.request.http.body = string.printable * 20000
    _compare(probe, check.SerializeToString())


def test_more_labels_than_anyone_has(probe):
    """A decoder may bound their number, by refusing the message and not by forgetting some."""
    check = ext_authz.CheckRequest()
    for number in range(50000):
        check.attributes.source.labels[f"label-{number}"] = "x"
    answer = probe.decode(check.SerializeToString())
    assert not answer["ok"] or len(answer["source_labels"]) == 50000


def test_deep_metadata(probe):
    """Nested far deeper than anyone builds: skipped, or refused, but not fatal."""
    deep = b""
    for _ in range(20000):
        deep = wire.nested(deep, 1)
    probe.decode(wire.nested(deep, 11, 1))
    groups = wire.field(15, 3, b"") * 100000
    assert probe.decode(groups)["ok"] is False
    probe.decode(groups + wire.field(15, 4, b"") * 100000)


@pytest.mark.parametrize("raw", [
    b"\x00", b"\x02\x00", b"\x07", b"\x06", b"\x0c", b"\x0a", b"\x0a\x01", b"\x0a\x02\x0a",
    b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", b"\x78" + b"\xff" * 10 + b"\x01",
    b"\x0a\x02\x22\x05", b"\x7b\x08\x01", b"\x7b\x7c\x7c", b"\x7b\x84\x01", b"\x79seven77", b"\x7dfou",
    b"\x0a\x80", b"\xff",
], ids=lambda raw: raw.hex())
def test_broken_structures(probe, raw):
    assert _must_be_refused(raw), "protobuf refuses it"
    assert probe.decode(raw)["ok"] is False
    assert probe.check(raw).get("undecodable") is True


def test_empty_message(probe):
    _compare(probe, b"")
    assert "undecodable" not in probe.check(b"")
