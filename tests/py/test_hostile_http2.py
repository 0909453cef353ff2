"""Peers of `dikastes server` that break HTTP/2, or keep to it and mean harm.

Whatever they do, the server is unharmed afterwards (see victim.py): alive, right within a
second, its memory back.  Rows of the list of attacks: see test_hostile.py.
"""

import random
import struct

import pytest

import http2_peer as h2
import victim
from http2_peer import (ACK, ALTSVC, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, ORIGIN,
                        PADDED, PING, PREFACE, PRIORITISED, PRIORITY, PRIORITY_UPDATE, PUSH_PROMISE,
                        RST_STREAM, SETTINGS, WINDOW_UPDATE, call, data, frame, header_block, headers, literal,
                        message, number, settings, window_update)
from victim import ALLOWED, BAD, GOOD, MIB, REFUSED

STREAM_LIMIT = 16384
STORM = 20000           # streams of one storm, on one connection
STORMS = 62             # so a million in all, as each is cut off after some 16,000
SANITIZED_STORMS = 20
FLOOD = 200000          # small frames


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


def streams(count, first=1):
    return range(first, first + 2 * count, 2)


def assert_served(peer, first):
    """A yes and a no on the streams `first` and the next."""
    peer.send(call(first, GOOD) + call(first + 2, BAD))
    assert victim.verdict(peer.answer(first)) == ALLOWED
    assert victim.verdict(peer.answer(first + 2)) == REFUSED


def flood(peer, content, times):
    """Sends it again and again, until the server hangs up at the latest."""
    for _ in range(times):
        if not peer.send(content):
            break


# ---- single frames that are wrong ------------------------------------------------------
# Each comes after a stream that is open (1) and one that is done (3); stream 5 and all above are idle.

OPEN, DONE, IDLE = 1, 3, 101
BEYOND = h2.LARGEST_WINDOW

CONNECTION_ERRORS = {
    "HEADERS on stream 0": headers(0),
    "HEADERS on an even stream": headers(102),
    "HEADERS while another block is open": headers(IDLE, flags=0) + headers(103),
    "HEADERS over the size of a frame": frame(HEADERS, END_HEADERS, IDLE, bytes(h2.LARGEST_FRAME + 1)),
    "DATA on stream 0": data(0, b"x"),
    "DATA on an idle stream": data(IDLE, b"x"),
    "DATA over the size of a frame": data(OPEN, bytes(h2.LARGEST_FRAME + 1)),
    "DATA while a block is open": headers(IDLE, flags=0) + data(OPEN, b"x"),
    "DATA with more padding than content": frame(DATA, PADDED, OPEN, b"\x05abc"),
    "DATA that is all padding length": frame(DATA, PADDED, OPEN, b"\xff"),
    "DATA without a padding length": frame(DATA, PADDED, OPEN),
    "HEADERS with more padding than content": frame(HEADERS, END_HEADERS | PADDED, IDLE, b"\xff" + header_block()),
    "HEADERS without a padding length": frame(HEADERS, END_HEADERS | PADDED, IDLE),
    "HEADERS without the priority announced": frame(HEADERS, END_HEADERS | PRIORITISED, IDLE, b"\0\0"),
    "PRIORITY too short": frame(PRIORITY, 0, IDLE, b"\0\0\0\1"),
    "RST_STREAM on stream 0": h2.reset(0),
    "RST_STREAM on an idle stream": h2.reset(IDLE),
    "RST_STREAM too short": frame(RST_STREAM, 0, OPEN, b"\0\0\0"),
    "SETTINGS on a stream": frame(SETTINGS, 0, OPEN),
    "SETTINGS of 5 bytes": frame(SETTINGS, 0, 0, b"\0\1\0\0\0"),
    "SETTINGS ACK with content": frame(SETTINGS, ACK, 0, b"\0\1\0\0\0\0"),
    "ENABLE_PUSH 2": settings((h2.ENABLE_PUSH, 2)),
    "INITIAL_WINDOW_SIZE 2^31": settings((h2.INITIAL_WINDOW, 2**31)),
    "MAX_FRAME_SIZE 1": settings((h2.MAX_FRAME_SIZE, 1)),
    "MAX_FRAME_SIZE 2^24": settings((h2.MAX_FRAME_SIZE, 2**24)),
    "PING on a stream": frame(PING, 0, OPEN, bytes(8)),
    "PING of 7 bytes": frame(PING, 0, 0, bytes(7)),
    "GOAWAY on a stream": frame(GOAWAY, 0, OPEN, bytes(8)),
    "GOAWAY of 7 bytes": frame(GOAWAY, 0, 0, bytes(7)),
    "WINDOW_UPDATE 0": window_update(0, 0),
    "WINDOW_UPDATE beyond the largest window": window_update(0, BEYOND),
    "WINDOW_UPDATE of 3 bytes": frame(WINDOW_UPDATE, 0, 0, b"\0\0\1"),
    "WINDOW_UPDATE on an idle stream": window_update(IDLE, 1),
    "CONTINUATION of nothing": frame(CONTINUATION, END_HEADERS, OPEN, header_block()),
    "CONTINUATION on stream 0": headers(IDLE, flags=0) + frame(CONTINUATION, END_HEADERS, 0),
    "CONTINUATION on another stream": headers(IDLE, flags=0) + frame(CONTINUATION, END_HEADERS, 103),
    "unknown frame within a block": headers(IDLE, flags=0) + frame(0x42, 0, IDLE),
    "PUSH_PROMISE": frame(PUSH_PROMISE, END_HEADERS, OPEN, number(2) + header_block()),
    "PUSH_PROMISE on stream 0": frame(PUSH_PROMISE, END_HEADERS, 0, number(2) + header_block()),
}


def _prepare(peer):
    peer.send(headers(OPEN) + call(DONE, GOOD))
    peer.answer(DONE)


@pytest.mark.parametrize("content", CONNECTION_ERRORS.values(), ids=CONNECTION_ERRORS)
def test_connection_error(peer, content):
    _prepare(peer)
    peer.send(content)
    assert peer.is_hung_up_on()
    assert peer.goaway not in (None, h2.NO_ERROR)
    assert OPEN not in peer.answers, "an open call gets no verdict on the way out"


# In the block itself.  What was read of it cannot be told apart from the blocks to come.
BLOCK_ERRORS = {
    "index 0": b"\x80",
    "index of nothing": b"\xbf",
    "index of 2^31": h2.hpack_integer(2**31, 7, 0x80),
    "index without an end": b"\xff" + b"\x80" * 20,
    "index of 2^70": b"\xff" + b"\xff" * 9 + b"\x7f",
    "table larger than allowed": h2.hpack_integer(2**20, 5, 0x20),
    "table size amid the fields": literal(b"x", b"y") + b"\x20",
    "name longer than the block": b"\x00\x7fshort",
    "value longer than the block": literal(b"x", b"") [:-1] + b"\x7fshort",
    "name of 4 GiB": b"\x00" + h2.hpack_integer(2**32, 7),
    "value of 100,000 bytes": literal(b"x", b"y" * 100000),
    "Huffman's end of string": b"\x00\x01x\x84\xff\xff\xff\xff",
    "Huffman code that stops short": b"\x00\x01x\x81\x00",
    "half a field": b"\x40",
}


@pytest.mark.parametrize("block", BLOCK_ERRORS.values(), ids=BLOCK_ERRORS)
def test_header_block_error(peer, block):
    _prepare(peer)
    block = b"\x83" + block
    pieces = [block[at:at + h2.LARGEST_FRAME] for at in range(0, len(block), h2.LARGEST_FRAME)]
    peer.send(frame(HEADERS, END_STREAM | END_HEADERS * (len(pieces) == 1), IDLE, pieces[0]))
    for at, piece in enumerate(pieces[1:], 2):
        peer.send(frame(CONTINUATION, END_HEADERS * (at == len(pieces)), IDLE, piece))
    assert peer.is_hung_up_on()


def _request_of(*fields):
    """A call with these header fields in place of a gRPC client's."""
    return frame(HEADERS, END_HEADERS, IDLE, b"".join(literal(*field) for field in fields)) + h2.whole_data(
        IDLE, message(GOOD))


def _with(*extra):
    return _request_of(*h2.POST, (b":path", h2.CHECK), *h2.GRPC, *extra)


# Headers that are no HTTP, or smuggle.  The call gets no verdict; the connection may end or live.
BAD_REQUESTS = {
    "no headers": _request_of(),
    "no :path": _request_of(*h2.POST, *h2.GRPC),
    "no :method": _request_of(*h2.POST[1:], (b":path", h2.CHECK), *h2.GRPC),
    ":path twice": _request_of(*h2.POST, (b":path", h2.CHECK), (b":path", h2.CHECK), *h2.GRPC),
    ":path twice, the second another": _request_of(*h2.POST, (b":path", b"/x"), (b":path", h2.CHECK), *h2.GRPC),
    ":path behind the others": _request_of(*h2.POST, *h2.GRPC, (b":path", h2.CHECK)),
    ":status": _request_of(*h2.POST, (b":path", h2.CHECK), (b":status", b"200"), *h2.GRPC),
    "unknown pseudo-header": _request_of(*h2.POST, (b":path", h2.CHECK), (b":x", b"y"), *h2.GRPC),
    "name in upper case": _with((b"X-A", b"b")),
    "name with a blank": _with((b"x a", b"b")),
    "name with a line end": _with((b"x\r\na", b"b")),
    "empty name": _with((b"", b"b")),
    "connection": _with((b"connection", b"close")),
    "transfer-encoding": _with((b"transfer-encoding", b"chunked")),
    "upgrade": _with((b"upgrade", b"h2c")),
    "te": _with((b"te", b"gzip")),
    "content-length too long": _with((b"content-length", b"100000")),
    "content-length too short": _with((b"content-length", b"1")),
    "content-length twice": _with((b"content-length", b"%d" % (len(GOOD) + 5)), (b"content-length", b"1")),
    "content-length negative": _with((b"content-length", b"-1")),
    "content-length beyond 64 bits": _with((b"content-length", b"9" * 30)),
    "trailers without an end": headers(IDLE) + headers(IDLE) + data(IDLE, message(GOOD), END_STREAM),
    "trailers with a pseudo-header": headers(IDLE) + data(IDLE, message(GOOD)) + headers(
        IDLE, flags=END_HEADERS | END_STREAM),
}


@pytest.mark.parametrize("content", BAD_REQUESTS.values(), ids=BAD_REQUESTS)
def test_bad_request(peer, content):
    _prepare(peer)
    peer.send(content)
    peer.wait_for(lambda: peer.answers[IDLE].ended or peer.answers[IDLE].reset is not None)
    assert peer.answers[IDLE].body == b""
    assert peer.answers[IDLE].grpc_status != 0
    if not peer.gone:
        assert_served(peer, IDLE + 2)


METHOD_PATHS = {
    "no slash": h2.CHECK[1:],
    "empty": b"",
    "star": b"*",
    "in upper case": h2.CHECK.upper(),
    "in lower case": h2.CHECK.lower(),
    "two slashes": b"/" + h2.CHECK,
    "slash behind": h2.CHECK + b"/",
    "query": h2.CHECK + b"?x",
    "fragment": h2.CHECK + b"#x",
    "parameters": h2.CHECK + b";x",
    "encoded": h2.CHECK.replace(b"C", b"%43"),
    "encoded slash": h2.CHECK[:-6] + b"%2fCheck",
    "dots": b"/x/.." + h2.CHECK,
    "backslash": b"\\" + h2.CHECK[1:],
    "absolute": b"http://dikastes" + h2.CHECK,
    "blank": h2.CHECK + b" ",
    "NUL": h2.CHECK + b"\0",
    "NUL and more": h2.CHECK + b"\0/x",
    "bytes that are no text": h2.CHECK + b"\xff",
}


@pytest.mark.parametrize("path", METHOD_PATHS.values(), ids=METHOD_PATHS)
def test_path_of_the_call_is_not_quite_the_method(peer, path):
    peer.send(call(1, GOOD, path))
    answer = peer.answer(1)
    assert answer.body == b"" and answer.grpc_status in (None, 12)
    assert answer.grpc_status == 12 or answer.reset == h2.PROTOCOL_ERROR
    assert_served(peer, 3)


# ---- frames that are to be ignored, or served ---------------------------------------------

HARMLESS = {
    "ALTSVC": frame(ALTSVC, 0, 0, b"\0\1hh2=\":1\""),
    "ALTSVC on a stream": frame(ALTSVC, 0, OPEN, b"\0\0h2=\":1\""),
    "ALTSVC cut": frame(ALTSVC, 0, 0, b"\xff\xff"),
    "ORIGIN": frame(ORIGIN, 0, 0, b"\0\1h"),
    "PRIORITY_UPDATE": frame(PRIORITY_UPDATE, 0, 0, number(OPEN) + b"u=0"),
    "PRIORITY_UPDATE of stream 0": frame(PRIORITY_UPDATE, 0, 0, number(0) + b"u=0"),
    "PRIORITY_UPDATE cut": frame(PRIORITY_UPDATE, 0, 0, b"\0"),
    "PRIORITY_UPDATE on a stream": frame(PRIORITY_UPDATE, 0, OPEN, number(OPEN) + b"u=9999999999"),
    "unknown frame": frame(0x42, 0xff, OPEN, b"hello"),
    "unknown frame on an idle stream": frame(0xff, 0xff, IDLE, bytes(h2.LARGEST_FRAME)),
    "unknown settings": settings((0, 1), (7, 1), (0xffff, 2**32 - 1)),
    "settings of another time": settings(*[(h2.MAX_STREAMS, 2**32 - 1)] * 30),
    "PING ACK of nothing": frame(PING, ACK, 0, bytes(8)) * 10,
    "PRIORITY": frame(PRIORITY, 0, OPEN, h2.priority(DONE)),
    "PRIORITY on an idle stream": frame(PRIORITY, 0, 1001, h2.priority(0)),
    "PRIORITY in a ring": frame(PRIORITY, 0, 7, h2.priority(9)) + frame(PRIORITY, 0, 9, h2.priority(7)),
    "WINDOW_UPDATE on a done stream": window_update(DONE, 1),
    "RST_STREAM on a done stream": h2.reset(DONE),
    "RST_STREAM with an unknown code": headers(IDLE) + h2.reset(IDLE, 2**32 - 1),
    "empty DATA": data(OPEN) * 10,
    "reserved bit of a stream": frame(0x42, 0, 2**31 | OPEN),
}


@pytest.mark.parametrize("content", HARMLESS.values(), ids=HARMLESS)
def test_ignored(peer, content):
    _prepare(peer)
    peer.send(content)
    assert_served(peer, IDLE + 2)
    peer.send(h2.whole_data(OPEN, message(GOOD)))
    assert victim.verdict(peer.answer(OPEN)) == ALLOWED


def _padded(content, padding):
    return bytes([padding]) + content + bytes(padding)


ODD_BUT_RIGHT = {
    "padded HEADERS": lambda body: frame(HEADERS, END_HEADERS | PADDED, 1, _padded(header_block(), 255))
    + data(1, body, END_STREAM),
    "prioritised HEADERS": lambda body: frame(HEADERS, END_HEADERS | PRIORITISED, 1,
                                              h2.priority(2**31 | 99, 255) + header_block())
    + data(1, body, END_STREAM),
    "padded DATA": lambda body: headers(1) + frame(DATA, PADDED | END_STREAM, 1, _padded(body, 255)),
    "padding of no bytes": lambda body: headers(1) + frame(DATA, PADDED | END_STREAM, 1, _padded(body, 0)),
    "DATA of padding alone": lambda body: headers(1) + frame(DATA, PADDED, 1, _padded(b"", 255)) * 20
    + data(1, body) + frame(DATA, PADDED | END_STREAM, 1, _padded(b"", 255)),
    "end behind the DATA": lambda body: headers(1) + data(1, body) + data(1, b"", END_STREAM),
    "trailers": lambda body: headers(1) + data(1, body) + frame(HEADERS, END_HEADERS | END_STREAM, 1,
                                                                literal(b"x-a", b"b")),
    "header block in pieces": lambda body: headers(1, flags=0)[:9].replace(
        len(header_block()).to_bytes(3, "big"), b"\0\0\1", 1) + header_block()[:1]
    + frame(CONTINUATION, 0, 1, header_block()[1:70]) + frame(CONTINUATION, 0, 1)
    + frame(CONTINUATION, END_HEADERS, 1, header_block()[70:]) + data(1, body, END_STREAM),
    "one byte a frame": lambda body: headers(1) + b"".join(data(1, body[at:at + 1]) for at in range(len(body)))
    + data(1, b"", END_STREAM),
    "empty DATA between": lambda body: headers(1) + b"".join(
        data(1, body[at:at + 3]) + data(1) for at in range(0, len(body), 3)) + data(1, b"", END_STREAM),
    "flags that mean nothing": lambda body: frame(HEADERS, END_HEADERS | 0xd2, 1, header_block())
    + frame(DATA, END_STREAM | 0xf6, 1, body),
    "the last stream there is": lambda body: call(2**31 - 1, body[5:]),
}


@pytest.mark.parametrize("make", ODD_BUT_RIGHT.values(), ids=ODD_BUT_RIGHT)
def test_served_all_the_same(attacked, make):
    for content, wanted in ((GOOD, ALLOWED), (BAD, REFUSED)):
        with attacked.peer() as peer:
            peer.send(make(message(content)))
            assert peer.wait_for(lambda: any(answer.ended for answer in peer.answers.values()))
            answer, = peer.answers.values()
            assert victim.verdict(answer) == wanted


def test_one_byte_frames_of_many_calls_in_turn(peer):
    """Bodies that grow side by side do not get into each other."""
    numbers = streams(200)
    bodies = {stream: message((GOOD, BAD)[index % 2]) for index, stream in enumerate(numbers)}
    peer.send(b"".join(map(headers, numbers)))
    for at in range(max(map(len, bodies.values()))):
        peer.send(b"".join(data(stream, body[at:at + 1]) for stream, body in bodies.items()))
    peer.send(b"".join(data(stream, b"", END_STREAM) for stream in numbers))
    assert [victim.verdict(peer.answer(stream)) for stream in numbers] == [ALLOWED, REFUSED] * 100


# ---- floods ---------------------------------------------------------------------------------

FLOODS = {
    "PING": frame(PING, 0, 0, b"12345678"),
    "PING ACK": frame(PING, ACK, 0, b"12345678"),
    "SETTINGS": settings(),
    "SETTINGS with many values": settings(*[(h2.INITIAL_WINDOW, size) for size in range(30)]),
    "SETTINGS ACK": frame(SETTINGS, ACK),
    "empty DATA": data(OPEN),
    "padding": frame(DATA, PADDED, OPEN, _padded(b"", 255)),
    "PRIORITY": frame(PRIORITY, 0, IDLE, h2.priority(OPEN)),
    "WINDOW_UPDATE": window_update(OPEN, 1),
    "RST_STREAM of a done stream": h2.reset(DONE),
    "unknown frame": frame(0x42, 0, 0, b"x" * 50),
    "ALTSVC": frame(ALTSVC, 0, 0, b"\0\1hh2=\":1\""),
    "GOAWAY": frame(GOAWAY, 0, 0, bytes(8) + b"because"),
    "DATA of a done stream": data(DONE, b"x"),
}


@pytest.mark.parametrize("pace", [1000, 30], ids=["at once", "in small parts"])
@pytest.mark.parametrize("content", FLOODS.values(), ids=FLOODS)
def test_flood(peer, content, pace):
    """Whether the server puts up with it or hangs up."""
    _prepare(peer)
    flood(peer, content * pace, (FLOOD if pace > 500 else FLOOD // 4) // pace)


def test_flood_of_priorities_on_idle_streams(peer):
    for first in range(1001, 2 * FLOOD, 2000):
        peer.send(b"".join(frame(PRIORITY, 0, stream, h2.priority(stream - 2))
                           for stream in range(first, first + 2000, 2)))


def test_settings_that_touch_every_open_stream(attacked, peer):
    """A new window size costs work for each stream: others must not have to wait for it."""
    peer.send(b"".join(map(headers, streams(STREAM_LIMIT - 1))))
    for size in range(5):
        peer.send(settings((h2.INITIAL_WINDOW, 65535 + size)) * 900)
        attacked.assert_serving()
        peer.wait_for(lambda: peer.counts[SETTINGS] > 900 * (size + 1))


def test_flood_of_frames_that_nobody_reads(attacked):
    """The server has much to say to a peer that does not listen."""
    for content in (frame(PING, 0, 0, b"12345678"), settings()):
        with attacked.peer(deaf=True) as peer:
            for _ in range(FLOOD // 500):
                if not peer.send(content * 500, patience=0.2):
                    break
            attacked.assert_serving()
            attacked.assert_memory_below(8 * MIB)


# ---- resets -----------------------------------------------------------------------------------

_FIELDS = [*h2.POST, (b":path", h2.CHECK), *h2.GRPC]
# The first block puts the fields into the server's table, the others name them: 6 bytes each.
_FIRST_BLOCK = b"".join(literal(*field, 0x40) for field in _FIELDS)
_NEXT_BLOCK = bytes(0x80 | 62 + place for place in reversed(range(len(_FIELDS))))


def storm(behind, count=STORM):
    """Many calls, each with these bytes (made from its stream) behind its headers."""
    return b"".join(frame(HEADERS, END_HEADERS, stream, _NEXT_BLOCK if stream > 1 else _FIRST_BLOCK) + behind(stream)
                    for stream in streams(count))


RESETS = {
    "by the peer": lambda stream: h2.reset(stream),
    "by the peer, within the message": lambda stream: data(stream, b"\0\0\0\0") + h2.reset(stream),
    "by the peer, when it is answered": lambda stream: data(stream, message(GOOD), END_STREAM) + h2.reset(stream),
    "by the server, for a window too large": lambda stream: window_update(stream, h2.LARGEST_WINDOW),
    "by the server, for an increment of 0": lambda stream: window_update(stream, 0),
    "by the server, for DATA behind the end": lambda stream: data(stream, message(GOOD), END_STREAM) + data(
        stream, b"x"),
    "by the server, for HEADERS behind the end": lambda stream: data(stream, message(GOOD), END_STREAM) + frame(
        HEADERS, END_HEADERS, stream, _NEXT_BLOCK),
    "by the server, for its own dependence": lambda stream: frame(PRIORITY, 0, stream, h2.priority(stream)),
    "by the server, for a bad length": lambda stream: data(stream, b"\0\xff\xff\xff\xff"),
    "by the server, for a compressed message": lambda stream: data(stream, b"\1\0\0\0\1x"),
}


@pytest.mark.parametrize("behind", RESETS.values(), ids=RESETS)
def test_reset_storm(attacked, behind):
    """CVE-2023-44487 and CVE-2025-8671: a connection after the other."""
    content = storm(behind)
    for _ in range(SANITIZED_STORMS if victim.IS_SANITIZED else STORMS // len(RESETS) + 1):
        with attacked.peer() as peer:
            peer.send(content)
    attacked.assert_serving()


def test_a_million_rapid_resets(attacked):
    content = storm(RESETS["by the peer"])
    for _ in range(SANITIZED_STORMS if victim.IS_SANITIZED else STORMS):
        with attacked.peer() as peer:
            peer.send(content)
            assert peer.is_hung_up_on(), "such a peer is disconnected"
    attacked.assert_memory_below(16 * MIB)


def test_resets_as_a_proxy_makes_them(peer):
    """All calls that are open may be given up at once."""
    numbers = streams(5000)
    peer.send(b"".join(map(headers, numbers)) + b"".join(map(h2.reset, numbers)))
    assert_served(peer, 10001)


def test_reset_watches(attacked, peer):
    """Calls that the server keeps: a reset ends them, and the work for them."""
    for part in range(3):
        numbers = streams(4000, first=1 + 8000 * part)
        peer.send(b"".join(call(stream, b"", h2.WATCH) for stream in numbers))
        assert peer.wait_for(lambda: all(peer.answers[stream].body for stream in numbers))
        # Half of them by the peer, half by making the server do it.
        peer.send(b"".join(h2.reset(stream) if stream % 4 == 1 else window_update(stream, h2.LARGEST_WINDOW)
                           for stream in numbers))
    assert_served(peer, 50001)
    attacked.assert_memory_below(8 * MIB)


def test_watches_of_a_peer_that_goes_away(attacked):
    for _ in range(3):
        with attacked.peer() as peer:
            peer.send(b"".join(call(stream, b"", h2.WATCH) for stream in streams(4000)))
            assert peer.wait_for(lambda: peer.answers[7999].body)


# ---- header blocks --------------------------------------------------------------------------

PIECES = {
    "empty": b"",
    "a byte": b"\x83",
    "small fields": literal(b"x", b"y") * 10,
    "large fields": literal(b"x", b"y" * 16000),
}


@pytest.mark.parametrize("piece", PIECES.values(), ids=PIECES)
def test_endless_continuation(attacked, peer, piece):
    """CVE-2024-28182, CVE-2024-27316."""
    peer.send(headers(1, flags=0))
    flood(peer, frame(CONTINUATION, 0, 1, piece), 10000)
    assert peer.is_hung_up_on()
    attacked.assert_memory_below(8 * MIB)


def test_header_bomb(attacked, peer):
    """One large field in the table, named again and again by a byte each."""
    bomb = header_block() + literal(b"x", b"y" * 4000, 0x40) + b"\xbe" * 12000
    for stream in streams(20):
        block = bomb if stream == 1 else header_block() + b"\xbe" * 15000
        pieces = [block[:h2.LARGEST_FRAME], block[h2.LARGEST_FRAME:]]
        peer.send(frame(HEADERS, END_STREAM, stream, pieces[0]) + frame(CONTINUATION, END_HEADERS, stream, pieces[1]))
        assert peer.answer(stream).grpc_status == 8
    attacked.assert_memory_below(8 * MIB)
    assert_served(peer, 101)


@pytest.mark.parametrize("count, status", [(1000, 0), (1900, 8), (4000, 8)])
def test_many_headers(peer, count, status):
    """Below 64 KiB they are served, above refused; each counts for 32 more than its bytes."""
    block = header_block() + b"".join(literal(b"x%04d" % each, b"") for each in range(count))
    peer.send(frame(HEADERS, 0, 1, block[:h2.LARGEST_FRAME])
              + frame(CONTINUATION, 0, 1, block[h2.LARGEST_FRAME:2 * h2.LARGEST_FRAME])
              + frame(CONTINUATION, END_HEADERS, 1, block[2 * h2.LARGEST_FRAME:])
              + h2.whole_data(1, message(GOOD)))
    assert peer.answer(1).grpc_status == status
    assert_served(peer, 3)


def test_table_that_is_filled_and_emptied(attacked, peer):
    """Every block changes the whole table of the server."""
    churn = b"\x20" + h2.hpack_integer(4096, 5, 0x20) + b"".join(
        literal(b"x-%03d" % each, b"y" * 20, 0x40) for each in range(200))
    peer.send(b"".join(frame(HEADERS, END_HEADERS | END_STREAM, stream, churn + header_block())
                       for stream in streams(500)))
    # The fields come before the pseudo-headers, so none is a good request.
    assert peer.wait_for(lambda: peer.gone or peer.answers[999].reset is not None)
    attacked.assert_memory_below(8 * MIB)


# ---- many streams ----------------------------------------------------------------------------


def test_10000_streams_at_once(attacked, peer):
    """All are open before the first is complete; each gets its own answer."""
    numbers = streams(10000)
    peer.send(b"".join(map(headers, numbers)))
    assert not peer.answers
    peer.send(b"".join(h2.whole_data(stream, message(BAD if stream % 3 else GOOD)) for stream in numbers))
    peer.wait_for(lambda: sum(answer.ended for answer in peer.answers.values()) == len(numbers), 30)
    for stream in numbers:
        assert victim.verdict(peer.answer(stream)) == (REFUSED if stream % 3 else ALLOWED)


def test_more_streams_than_allowed(peer):
    """Those beyond the limit get no verdict, whatever becomes of the connection."""
    numbers = streams(STREAM_LIMIT + 100)
    peer.send(b"".join(map(headers, numbers)))
    peer.send(h2.whole_data(numbers[-1], message(GOOD)))
    peer.wait_for(lambda: peer.gone or peer.answers[numbers[-1]].reset is not None)
    assert peer.answers[numbers[-1]].body == b""


def test_deadlines_of_many_calls(attacked, peer):
    """Calls that never become complete end when their time is up."""
    numbers = streams(10000)
    peer.send(b"".join(headers(stream, extra=[(b"grpc-timeout", b"%dm" % (stream % 100 + 1))])
                       for stream in numbers))
    peer.wait_for(lambda: sum(answer.ended for answer in peer.answers.values()) == len(numbers), 20)
    assert {peer.answer(stream).grpc_status for stream in numbers} == {4}


# ---- windows: peers that do not take their answers -----------------------------------------------


def calls_in_turn(count):
    """Whole calls, allowed and refused in turn."""
    return storm(lambda stream: data(stream, message(GOOD if stream % 4 == 1 else BAD), END_STREAM), count)


def test_peers_that_never_read(attacked):
    """Not read from either, when 4 MiB wait for them; all others are served."""
    content = calls_in_turn(50000)
    deaf = [attacked.peer(deaf=True) for _ in range(4)]
    try:
        assert not any(peer.send(content, patience=0.5) for peer in deaf), "all of it was taken"
        attacked.assert_serving()
        attacked.assert_memory_below(len(deaf) * 10 * MIB)
    finally:
        for peer in deaf:
            peer.close()


def test_peer_that_reads_later(attacked):
    """What it asked for is still right."""
    with attacked.peer(deaf=True) as peer:
        assert not peer.send(calls_in_turn(50000), patience=0.5), "all of it was taken"
        peer.deaf = False
        assert peer.wait_for(lambda: peer.answers[10003].ended)
        assert victim.verdict(peer.answers[1]) == victim.verdict(peer.answers[10001]) == ALLOWED
        assert victim.verdict(peer.answers[3]) == victim.verdict(peer.answers[10003]) == REFUSED


def test_peer_without_a_window(attacked):
    """Answers wait; they are there when the window opens."""
    no_window = PREFACE + settings((h2.HEADER_TABLE_SIZE, 0), (h2.INITIAL_WINDOW, 0)) + frame(SETTINGS, ACK)
    numbers = streams(STREAM_LIMIT - 1)
    with attacked.peer(greeting=no_window) as peer:
        peer.send(b"".join(call(stream, GOOD if stream % 4 == 1 else BAD) for stream in numbers))
        attacked.assert_serving()
        attacked.assert_memory_below(48 * MIB)
        peer.send(window_update(0, h2.LARGEST_WINDOW - 65535) + settings((h2.INITIAL_WINDOW, 65535)))
        peer.wait_for(lambda: sum(answer.ended for answer in peer.answers.values()) == len(numbers), 30)
        for stream in numbers:
            assert victim.verdict(peer.answer(stream)) == (ALLOWED if stream % 4 == 1 else REFUSED)


def test_window_that_opens_by_a_byte(attacked):
    tiny = PREFACE + settings((h2.HEADER_TABLE_SIZE, 0), (h2.INITIAL_WINDOW, 1)) + frame(SETTINGS, ACK)
    with attacked.peer(greeting=tiny) as peer:
        peer.send(call(1, GOOD))
        for size in range(1, 1000):
            assert peer.wait_for(lambda: peer.answers[1].ended or len(peer.answers[1].body) >= size)
            if peer.answers[1].ended:
                break
            peer.send(window_update(1, 1))
        assert victim.verdict(peer.answer(1)) == ALLOWED


def test_window_that_becomes_negative(attacked, peer):
    """An answer that is under way when the window shrinks to nothing goes on when it grows."""
    peer.send(settings((h2.INITIAL_WINDOW, 10)) + call(1, GOOD))
    assert peer.wait_for(lambda: len(peer.answers[1].body) == 10)
    peer.send(settings((h2.INITIAL_WINDOW, 0)))
    for _ in range(100):
        peer.send(window_update(1, 20))
    assert victim.verdict(peer.answer(1)) == ALLOWED


# ---- all of it, again ---------------------------------------------------------------------------


def test_memory_does_not_grow_with_every_round(attacked):
    """Whatever the first round leaves behind is used again by the others."""
    storms = [storm(behind, 5000) for behind in RESETS.values()]
    watches = b"".join(call(stream, b"", h2.WATCH) for stream in streams(3000))
    unfinished = storm(lambda stream: data(stream, message(bytes(1000), length=2000)), 5000)
    after = []
    for _ in range(5):
        for content in (*storms, watches, unfinished):
            with attacked.peer() as peer:
                peer.send(content)
        attacked.assert_serving()
        after.append(attacked.memory())
    assert after[-1] < after[1] + 2 * MIB, after


# ---- the end of a connection ------------------------------------------------------------------


def test_frames_after_the_peers_goaway(peer):
    """It announced to take no more streams of the server's, which has none: its calls go on."""
    peer.send(headers(1) + frame(GOAWAY, 0, 0, number(0) + number(0)))
    peer.send(h2.whole_data(1, message(GOOD)))
    assert victim.verdict(peer.answer(1)) == ALLOWED


TERMINATORS = ["DATA on stream 0", "SETTINGS of 5 bytes", "WINDOW_UPDATE 0", "PING of 7 bytes", "PUSH_PROMISE",
               "HEADERS on an even stream", "CONTINUATION of nothing"]


@pytest.mark.parametrize("first", TERMINATORS)
def test_frames_after_the_servers_goaway(attacked, first):
    """CVE-2026-27135: what ends the session and then any bad frame, in one piece."""
    followers = [*HARMLESS.values(), *CONNECTION_ERRORS.values(), call(IDLE, GOOD)]
    for follower in followers:
        with attacked.peer() as peer:
            peer.send(CONNECTION_ERRORS[first] + follower + call(IDLE + 2, GOOD))
            assert peer.is_hung_up_on()
            assert not any(answer.body for answer in peer.answers.values())


# ---- bytes that are no HTTP/2, or only a part of it ------------------------------------------------

GARBAGE = {
    "HTTP/1.1": b"POST /envoy.service.auth.v3.Authorization/Check HTTP/1.1\r\nHost: x\r\n\r\n",
    "upgrade": b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
               b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
    "TLS": bytes.fromhex("16030100c8010000c40303") + b"r" * 189,
    "zeros": bytes(100),
    "ones": b"\xff" * 100,
    "PROXY protocol": b"PROXY TCP4 10.0.0.1 10.0.0.2 40000 80\r\n" + PREFACE,
    "preface in lower case": PREFACE.lower(),
    "preface, the last byte wrong": PREFACE[:-1] + b"\0",
    "preface twice": PREFACE + PREFACE,
    "preface and no SETTINGS": PREFACE + call(1, GOOD),
    "preface and a cut SETTINGS": PREFACE + settings((h2.INITIAL_WINDOW, 1))[:-1] + b"\0\0\0\0\0\0\0\0\0",
    "random": random.Random(1).randbytes(100000),
    "preface and random": PREFACE + settings() + random.Random(2).randbytes(100000),
}


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE)
def test_garbage(attacked, content):
    with attacked.peer(greeting=content) as peer:
        peer.stop_sending()
        assert peer.is_hung_up_on()
        assert not any(answer.body for answer in peer.answers.values())


def test_every_cut(attacked):
    """A connection that ends anywhere within a call."""
    content = h2.GREETING + call(1, GOOD)
    for at in range(len(content)):
        with attacked.peer(greeting=content[:at]):
            pass


def test_every_byte_changed(attacked):
    """Of the first frames' heads and all of the call; whatever it means then, it means no harm."""
    generator = random.Random(3)
    content = call(1, GOOD) + call(3, BAD)
    for at in range(len(content)):
        changed = bytearray(content)
        changed[at] ^= generator.choice([1, 2, 4, 8, 16, 32, 64, 128, 255])
        with attacked.peer() as peer:
            peer.send(bytes(changed))


def test_random_frames(attacked):
    """Well-formed frames of any kind, flags and stream, with contents that fit or do not."""
    generator = random.Random(4)
    contents = [b"", b"\0", bytes(4), bytes(8), number(5), h2.priority(3), header_block(), message(GOOD),
                struct.pack(">HI", 4, 70000), b"\xbe\xbf\xc0", b"\xff" * 30]
    for _ in range(300):
        with attacked.peer() as peer:
            peer.send(b"".join(
                frame(generator.choice([*range(11), 12, 16, 200]), generator.choice([0, 1, 4, 5, 8, 9, 13, 32, 255]),
                      generator.choice([0, 1, 1, 1, 3, 5, 2, 2**31 - 1]), generator.choice(contents))
                for _ in range(30)) + call(generator.choice([7, 9, 11]), GOOD))


def test_frame_longer_than_what_comes(attacked):
    """Announced and never sent; the connection waits and costs next to nothing."""
    with attacked.peer() as peer:
        peer.send(headers(1) + data(1, bytes(16000))[:50])
        attacked.assert_serving()
        attacked.assert_memory_below(8 * MIB)
