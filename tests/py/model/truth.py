"""The truth values of a rule's parts, and how they combine.

Beside true and false there are: unknown (with its reason), missing (an IP set is
not there) and bad path (the request's path does not start with "/").
"""

from typing import NamedTuple


class Truth(NamedTuple):
    name: str
    reason: str = ""


TRUE = Truth("true")
FALSE = Truth("false")
MISSING = Truth("missing", "missing_ip_set")
BAD_PATH = Truth("bad path", "malformed_path")


def unknown(reason):
    return Truth("unknown", reason)


def of(flag):
    return TRUE if flag else FALSE


def negate(value):
    return {TRUE: FALSE, FALSE: TRUE}.get(value, value)


def _first(values, *names):
    for name in names:
        for value in values:
            if value.name == name:
                return value
    return None


def every(values):
    """And: one false decides, then one that is missing, then the first unknown."""
    return _first(values, "false", "missing", "bad path", "unknown") or TRUE


def some(values):
    """Or: one true decides, then one that is missing, then the first unknown."""
    return _first(values, "true", "missing", "unknown") or FALSE
