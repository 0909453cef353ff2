"""IP addresses, nets and the members of IP sets, as values.

An address is (4 | 6, number); a net is (4 | 6, number, prefix length).  An
IPv4-mapped IPv6 address is its IPv4 address, and so is a net of them.
Everything here returns None for a text that cannot be read.
"""

import ipaddress

PROTOCOLS = {b"icmp": 1, b"tcp": 6, b"udp": 17, b"icmpv6": 58, b"sctp": 132, b"udplite": 136}

MAPPED = 0xFFFF << 32  # ::ffff:0:0/96


def _number(text, most):
    """A plain decimal number: ASCII digits, no sign, no leading zero."""
    if not text.isdigit() or len(text) > 10 or (len(text) > 1 and text[:1] == b"0"):
        return None
    return int(text) if int(text) <= most else None


def _parse_plain(text):
    """The address as written: no zone, no leading zeros, mapped ones left alone."""
    if b"%" in text or b"/" in text:
        return None
    try:
        parsed = ipaddress.ip_address(text.decode("ascii"))
    except ValueError:
        return None
    return parsed.version, int(parsed)


def parse_address(text):
    plain = _parse_plain(text)
    if plain and plain[0] == 6 and plain[1] >> 32 == 0xFFFF:
        return 4, plain[1] & 0xFFFFFFFF
    return plain


def parse_net(text):
    """ADDRESS/LENGTH; bits beyond the length do not count."""
    address, slash, length = text.partition(b"/")
    plain = _parse_plain(address)
    if not slash or plain is None:
        return None
    family, value = plain
    bits = 32 if family == 4 else 128
    length = _number(length, bits)
    if length is None:
        return None
    if family == 6 and length >= 96 and value >> 32 == 0xFFFF:
        family, bits, value, length = 4, 32, value & 0xFFFFFFFF, length - 96
    return family, value >> (bits - length) << (bits - length), length


def net_contains(net, address):
    family, value, length = net
    bits = 32 if family == 4 else 128
    return address[0] == family and address[1] >> (bits - length) == value >> (bits - length)


def parse_net_member(text):
    """A member of a set of nets: a net, or a bare address as its /32 or /128."""
    if b"/" in text:
        return parse_net(text)
    address = parse_address(text)
    return address and (*address, 32 if address[0] == 4 else 128)


def parse_ip_and_port_member(text):
    """ADDRESS,PROTOCOL:PORT as (address, protocol number, port)."""
    ip, comma, rest = text.partition(b",")
    protocol, colon, port = rest.partition(b":")
    address = parse_address(ip)
    protocol = PROTOCOLS.get(protocol.lower())
    port = _number(port, 65535)
    if not comma or not colon or address is None or protocol is None or port is None:
        return None
    return address, protocol, port


def format_address(address):
    if address[0] == 4:
        return str(ipaddress.IPv4Address(address[1]))
    return str(ipaddress.IPv6Address(address[1]))


def format_net(net):
    return f"{format_address(net[:2])}/{net[2]}"
