"""A CheckRequest reduced to what the rules ask about."""

from dataclasses import dataclass

from model import address, identity

TCP, UDP = 6, 17


@dataclass
class Peer:
    address: tuple   # a value of model.address, None when there is none to be read
    port: int        # None when it is no number of a port
    identity: object  # of model.identity
    labels: dict


@dataclass
class Request:
    source: Peer
    destination: Peer
    protocol: int
    has_http: bool
    method: bytes
    path: bytes


def _port(socket):
    """The port; a name, or a number above 65535, says nothing."""
    if socket.WhichOneof("port_specifier") == "named_port" or socket.port_value > 65535:
        return None
    return socket.port_value


def _peer(peer, trust_domains):
    socket = peer.address.socket_address  # empty for a pipe, or without an address
    return Peer(
        address=address.parse_address(socket.address),
        port=_port(socket),
        identity=identity.parse(peer.principal, trust_domains),
        labels={pair.key: pair.value for pair in peer.labels},
    )


def from_message(check, trust_domains=None):
    attributes = check.attributes
    protocol = attributes.destination.address.socket_address.protocol
    http = attributes.request.http
    return Request(
        source=_peer(attributes.source, trust_domains),
        destination=_peer(attributes.destination, trust_domains),
        protocol=UDP if protocol == 1 else TCP,
        has_http=attributes.request.HasField("http"),
        method=http.method,
        path=http.path,
    )
