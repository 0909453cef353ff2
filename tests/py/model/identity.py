"""Who the peer is, from the principal that Envoy took out of its certificate."""

from typing import NamedTuple


class Spiffe(NamedTuple):
    trust_domain: bytes
    namespace: bytes
    account: bytes


NONE = "none"        # no certificate: plain text
UNKNOWN = "unknown"  # a certificate, but not one that names an account


def parse(principal, trust_domains=None):
    """NONE, UNKNOWN or a Spiffe; trust_domains are those believed, None for any."""
    if not principal:
        return NONE
    pieces = principal.split(b"/")
    if len(pieces) != 7:
        return UNKNOWN
    scheme, nothing, domain, ns, namespace, sa, account = pieces
    if (scheme, nothing, ns, sa) != (b"spiffe:", b"", b"ns", b"sa"):
        return UNKNOWN
    if not domain or not namespace or not account:
        return UNKNOWN
    if trust_domains is not None and domain not in trust_domains:
        return UNKNOWN
    return Spiffe(domain, namespace, account)
