"""What a sidecar's Envoy wrote about the requests it judged.

A 403 alone proves nothing: Envoy answers 403 as well when nobody answered *it*. Only the response code
details tell a verdict (`ext_authz_denied`) from a failure to get one (`ext_authz_error`).
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Mapping

from .envoy_config import METADATA_KEYS

_POLL_SECONDS = 0.01
_LINE_SECONDS = 10.0


class NotLogged(Exception):
    """Envoy did not write the line that was waited for."""


@dataclass(frozen=True)
class Entry:
    """One line: a request to an HTTP port, or a connection to a TCP port."""

    fields: Mapping[str, Any]

    @property
    def code(self) -> int:
        """The HTTP status; 0 for a TCP connection."""
        return int(self.fields["code"] or 0)

    @property
    def details(self) -> str:
        """Envoy's own word on why the answer is what it is."""
        return self.fields["details"] or ""

    @property
    def source(self) -> str:
        """The peer's ADDRESS:PORT."""
        return self.fields["source"]

    @property
    def peer(self) -> str:
        """The identity in the peer's certificate; empty for plain text."""
        return self.fields["peer"] or ""

    @property
    def request_id(self) -> str:
        """The x-request-id; empty for TCP."""
        return self.fields["id"] or ""

    @property
    def policy(self) -> str:
        """The deciding policy as dikastes names it; empty if none decided."""
        return str(self.fields["policy"] or "")

    @property
    def reason(self) -> str:
        """Why, in dikastes' vocabulary; empty if it said nothing."""
        return str(self.fields["reason"] or "")

    @property
    def denied(self) -> bool:
        """Refused by a verdict."""
        return self.details.startswith("ext_authz_denied")

    @property
    def unanswered(self) -> bool:
        """Refused because there was no verdict."""
        return self.details.startswith("ext_authz_error")

    @property
    def turned_away(self) -> bool:
        """Closed before anything was asked: no filter chain takes such a connection (plain text under STRICT)."""
        return "NR" in (self.fields["flags"] or "")

    @property
    def allowed(self) -> bool:
        """Let through, whatever the application then made of it."""
        return not (self.denied or self.unanswered or self.turned_away)

    @property
    def verdict(self) -> str:
        """What became of it, in words."""
        if self.denied:
            return f"refused ({self.details})"
        if self.unanswered:
            return f"refused for lack of a verdict ({self.details})"
        if self.turned_away:
            return f"turned away by Envoy itself ({self.details})"
        return "allowed"

    def explanation(self) -> str:
        """What dikastes said, as `key=value` words."""
        told = {key: self.fields[key] for key in METADATA_KEYS if self.fields[key] is not None}
        return " ".join(f"{key}={_word(value)}" for key, value in told.items()) or "(dikastes was not asked)"


class AccessLog:
    """The access log of one sidecar, read while Envoy appends to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._entries: list[Entry] = []
        self._read = 0  # bytes, all of whole lines

    def entries(self) -> list[Entry]:
        """Every complete line so far."""
        if self.path.exists():
            with open(self.path, "rb") as log:
                log.seek(self._read)
                whole, newline, _unfinished = log.read().rpartition(b"\n")
            self._read += len(whole) + len(newline)
            self._entries += [Entry(json.loads(line)) for line in whole.splitlines()]
        return self._entries

    def wait_for(self, wanted: Callable[[Entry], bool], after: int = 0) -> Entry:
        """The first wanted line after so many; Envoy writes a line a little later than it answers."""
        deadline = time.monotonic() + _LINE_SECONDS
        while True:
            for entry in self.entries()[after:]:
                if wanted(entry):
                    return entry
            if time.monotonic() > deadline:
                raise NotLogged(f"no line of the kind that was waited for appeared in {self.path}")
            time.sleep(_POLL_SECONDS)


def _word(value: Any) -> str:
    """A Struct knows only doubles: rule 2 arrives as 2.0. A policy's name comes with its kind."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return f'"{value}"' if " " in str(value) else str(value)
