"""HTTP paths: the path as sent, its normal form, and when one covers another."""

import re

MALFORMED = "malformed"            # does not start with "/"
NOT_NORMALISABLE = "no normal form"

_ABSOLUTE_FORM = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")


def reduce_absolute_form(raw):
    """SCHEME://AUTHORITY/x?y becomes /x?y; with no path at all, "/"."""
    match = _ABSOLUTE_FORM.match(raw)
    if not match:
        return raw
    rest = raw[match.end():]
    return rest if rest.startswith(b"/") else b"/" + rest


def steps(path):
    """The numbered steps of the page; None when one of them fails."""
    path = re.split(rb"[?#]", path, maxsplit=1)[0]

    if b"%" in _ESCAPE.sub(b"", path):
        return None
    path = _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), path)

    if re.search(rb"%2e|%2f|%5c|\x00", path, re.I):
        return None

    path = path.replace(b"\\", b"/")
    if not path.startswith(b"/"):
        return None

    kept = []
    for segment in path.split(b"/"):
        segment = segment.split(b";", 1)[0]
        if segment == b"..":
            kept = kept[:-1]
        elif segment not in (b"", b"."):
            kept.append(segment)
    return b"/" + b"/".join(kept)


def normalise_request(raw):
    """The normal form of a request's path, or MALFORMED, or NOT_NORMALISABLE."""
    path = reduce_absolute_form(raw)
    if not path.startswith(b"/"):
        return MALFORMED
    return steps(path) or NOT_NORMALISABLE


def normalise_rule(raw):
    """The normal form of a rule's path; None makes the policy malformed.

    As for requests, the path as it is written has to start with "/".
    """
    return steps(raw) if raw.startswith(b"/") else None


def has_prefix(path, prefix):
    """Equal, or longer at a segment border; both are in normal form."""
    return path == prefix or path.startswith(prefix.rstrip(b"/") + b"/")
