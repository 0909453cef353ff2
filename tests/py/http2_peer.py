"""HTTP/2 by hand, for peers that break its rules (RFC 9113, RFC 7541).

Frames and header blocks are bytes that a test puts together as it likes; Peer is a
connection to send them on, and keeps what comes back.  A header block is written with
literals only.  Of those that come back just two fields are looked for, so there is no
decoder: the peer allows no header table, which leaves the server literals, too.
"""

import collections
import select
import socket
import struct
import time

import wire

(DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE,
 CONTINUATION, ALTSVC, _, ORIGIN) = range(13)
PRIORITY_UPDATE = 0x10

END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITISED = 0x20

HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_STREAMS, INITIAL_WINDOW, MAX_FRAME_SIZE = range(1, 6)
LARGEST_WINDOW = 2**31 - 1
LARGEST_FRAME = 16384

NO_ERROR, PROTOCOL_ERROR = 0, 1
CANCEL = 8

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
CHECK = b"/envoy.service.auth.v3.Authorization/Check"
WATCH = b"/grpc.health.v1.Health/Watch"

# "grpc-status" in Huffman's code, as a literal name; the value is shorter without it.
_GRPC_STATUS = bytes.fromhex("889acac8b21234da8f")
# The index of ":status" with another value, in the three forms of a literal.
_STATUS = (b"\x08\x03", b"\x18\x03", b"\x48\x03")


# ---- bytes to send ------------------------------------------------------------------


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">IBBI", len(payload), kind, flags, stream)[1:] + payload


def number(value):
    return struct.pack(">I", value)


def settings(*pairs):
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *pair) for pair in pairs))


def window_update(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, number(increment))


def reset(stream, code=CANCEL):
    return frame(RST_STREAM, 0, stream, number(code))


def priority(depends_on, weight=15):
    """The content of a PRIORITY frame."""
    return number(depends_on) + bytes([weight])


def hpack_integer(value, bits, first=0):
    """An integer with a prefix of so many bits, in a byte whose other bits are `first`."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    return bytes([first | most]) + wire.varint(value - most)


def hpack_text(value):
    return hpack_integer(len(value), 7) + value


def literal(name, value, first=0):
    """A header field; `first` 0x40 has it put into the receiver's table."""
    return bytes([first]) + hpack_text(name) + hpack_text(value)


POST = [(b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"dikastes")]
GRPC = [(b"content-type", b"application/grpc"), (b"te", b"trailers")]


def header_block(path=CHECK, extra=()):
    return b"".join(literal(*field) for field in [*POST, (b":path", path), *GRPC, *extra])


def headers(stream, path=CHECK, extra=(), flags=END_HEADERS):
    return frame(HEADERS, flags, stream, header_block(path, extra))


def message(content, flag=0, length=None):
    """With gRPC's prefix."""
    return bytes([flag]) + number(len(content) if length is None else length) + content


def data(stream, content=b"", flags=0):
    return frame(DATA, flags, stream, content)


def whole_data(stream, content):
    """A whole body, in as many frames as it needs."""
    pieces = [content[at:at + LARGEST_FRAME] for at in range(0, len(content), LARGEST_FRAME)]
    return (b"".join(data(stream, piece) for piece in pieces[:-1])
            + data(stream, pieces[-1], END_STREAM))


def call(stream, content, path=CHECK):
    """A whole unary call."""
    return headers(stream, path) + whole_data(stream, message(content))


# What a decent client begins with; its windows are as large as can be.
GREETING = (PREFACE + settings((HEADER_TABLE_SIZE, 0), (ENABLE_PUSH, 0),
                               (INITIAL_WINDOW, LARGEST_WINDOW))
            + window_update(0, LARGEST_WINDOW - 65535) + frame(SETTINGS, ACK))


# ---- a connection ---------------------------------------------------------------------


class Answer:
    """What came on one stream."""

    def __init__(self):
        self.http_status = self.grpc_status = self.reset = None
        self.body = b""
        self.ended = False

    @property
    def message(self):
        """The one message of the body."""
        assert self.body and len(self.body) == 5 + struct.unpack(">I", self.body[1:5])[0], self.body
        return self.body[5:]

    def take_headers(self, block):
        if b"\x88" in block[:2]:
            self.http_status = 200
        for first in _STATUS:
            if first in block[:3]:
                self.http_status = int(block.partition(first)[2][:3])
        _, found, value = block.partition(_GRPC_STATUS)
        if found:
            self.grpc_status = int(value[1:1 + value[0]])


class Peer:
    """Sends any bytes; reads whatever comes, unless it is deaf.

    answers: by stream.  goaway: the code of the server's GOAWAY.  gone: the server has
    hung up.  counts: frames that came, by kind.
    """

    def __init__(self, path, greeting=GREETING, deaf=False):
        self.answers = collections.defaultdict(Answer)
        self.counts = collections.Counter()
        self.goaway = None
        self.gone = False
        self.deaf = deaf
        self._input = bytearray()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._socket.setblocking(False)
        self.send(greeting)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._socket.close()

    def stop_sending(self):
        """The other direction stays open."""
        self._socket.shutdown(socket.SHUT_WR)

    def send(self, content, patience=10.0):
        """Whether the server took it all; False as soon as it hangs up.

        With a deaf peer also when the server has taken nothing for as long as `patience`.
        """
        rest = memoryview(content)
        while rest and not self.gone:
            events = self._wait(select.POLLOUT | (0 if self.deaf else select.POLLIN), patience)
            if not events:
                assert self.deaf, "the server neither reads nor writes"
                return False
            if events & select.POLLIN:
                self._receive()
            if events & ~select.POLLIN:
                rest = rest[self._send_some(rest):]
        return not self.gone

    def _wait(self, events, seconds):
        """Which of the events, or what error, has come."""
        poll = select.poll()
        poll.register(self._socket, events)
        return sum(found for _, found in poll.poll(seconds * 1000))

    def _send_some(self, content):
        try:
            return self._socket.send(content[:65536])
        except BlockingIOError:
            return 0
        except (BrokenPipeError, ConnectionResetError):
            self._read_rest()
            self.gone = True
            return 0

    def _read_rest(self):
        while not self.gone and not self.deaf and self._receive():
            pass

    def _receive(self):
        """Takes in what there is; False if nothing is."""
        try:
            content = self._socket.recv(262144)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            content = b""
        if not content:
            self.gone = True
            return False
        self._input += content
        self._take_frames()
        return True

    def _take_frames(self):
        at = 0
        while len(self._input) - at >= 9:
            length = int.from_bytes(self._input[at:at + 3], "big")
            end = at + 9 + length
            if len(self._input) < end:
                break
            kind, flags, stream = struct.unpack_from(">BBI", self._input, at + 3)
            self._take(kind, flags, stream & LARGEST_WINDOW, bytes(self._input[at + 9:end]))
            at = end
        del self._input[:at]

    def _take(self, kind, flags, stream, payload):
        self.counts[kind] += 1
        if kind == GOAWAY:
            self.goaway = struct.unpack_from(">I", payload, 4)[0]
        elif kind == RST_STREAM:
            self.answers[stream].reset = struct.unpack(">I", payload)[0]
        elif kind == HEADERS:
            self.answers[stream].take_headers(payload)
        elif kind == DATA:
            self.answers[stream].body += payload
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            self.answers[stream].ended = True

    def wait_for(self, condition, seconds=10.0):
        """Reads until the condition holds; whether it does in the end."""
        end = time.monotonic() + seconds
        while not condition():
            left = end - time.monotonic()
            if left <= 0 or self.gone:
                return False
            if self._wait(select.POLLIN, left):
                self._receive()
        return True

    def answer(self, stream, seconds=10.0):
        """What came on a stream, once it has ended or was reset."""
        answer = self.answers[stream]
        assert self.wait_for(lambda: answer.ended or answer.reset is not None, seconds), \
            f"no answer on stream {stream}: gone {self.gone}, GOAWAY {self.goaway}"
        return answer

    def is_hung_up_on(self, seconds=10.0):
        """Whether the server ends the connection."""
        self.wait_for(lambda: self.gone, seconds)
        return self.gone
