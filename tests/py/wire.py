"""Protobuf's wire format by hand: for what a proper encoder never makes."""


def varint(number):
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number, wire_type, content):
    return varint(number << 3 | wire_type) + content


def nested(content, *numbers):
    """The content as a submessage of the first number, that in the next, and so on."""
    for number in numbers:
        content = field(number, 2, varint(len(content)) + content)
    return content


def unknown_field(rng):
    """A field of a number that nobody declares, of any wire type."""
    number = rng.choice([16, 250, 1000, 2**29 - 1])
    wire_type, content = rng.choice([
        (0, varint(rng.choice([0, 1, 2**63]))), (1, b"8 bytes!"), (5, b"four"),
        (2, varint(5) + b"hello"), (2, b"\x00"),
        (3, field(1, 0, b"\x01") + field(number, 4, b"")),
    ])
    return field(number, wire_type, content)


def mutated(rng, raw):
    """The bytes with a few of them cut off, changed, put in or left out."""
    raw = bytearray(raw)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(raw) + 1)
        choice = rng.random()
        if choice < 0.3:
            raw = raw[:at]
        elif choice < 0.6 and at < len(raw):
            raw[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256), raw[at] ^ 1,
                                  raw[at] + 1 & 255])
        elif choice < 0.8:
            raw[at:at] = bytes(rng.randrange(256) for _ in range(rng.randint(1, 3)))
        else:
            del raw[at:at + rng.randint(1, 3)]
    return bytes(raw)
