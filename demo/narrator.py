"""How the story is told: headings, requests, answers and reasons, and whether each came out as told."""

import os
import sys
import textwrap
from typing import TextIO

_WIDTH = 100
_STYLES = {"heading": "1", "command": "36", "good": "32", "bad": "31;1", "reason": "2"}


class Narrator:
    """Writes the story and keeps the score."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._colour = out.isatty() and not os.environ.get("NO_COLOR")
        self._failures: list[str] = []
        self.results: list[tuple[str, bool]] = []

    def heading(self, text: str) -> None:
        """Begin a part of the story."""
        self._line("")
        self._line(text, "heading")

    def text(self, text: str) -> None:
        """Say something in plain words."""
        for line in textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False):
            self._line(f"   {line}")

    def command(self, prompt: str, command: str) -> None:
        """Show what is typed, behind the prompt of where it is typed."""
        self._line(f"   {prompt} {command}", "command")

    def answer(self, text: str) -> None:
        """Show what came back."""
        self._line(f"   {text}")

    def reason(self, who: str, text: str) -> None:
        """Show why."""
        self._line(f"     {who}: {text}", "reason")

    def expect(self, held: bool, told: str) -> None:
        """Say whether what was told came true."""
        if held:
            self._line(f"   ✓ {told}", "good")
        else:
            self.fail(f"not as told: {told}")

    def fail(self, what: str) -> None:
        """Say what went wrong; the step has failed."""
        self._failures.append(what)
        self._line(f"   ✗ {what}", "bad")

    def finish_step(self, title: str) -> bool:
        """Write the step down; true if it came out as told."""
        came_out = not self._failures
        self.results.append((title, came_out))
        self._failures.clear()
        return came_out

    def quote(self, name: str, text: str) -> None:
        """Show the end of a log."""
        self._line(f"   {name}:")
        self._line(text, "reason")

    def summary(self) -> bool:
        """The table of what was shown; true if everything came out as told."""
        self.heading("What was shown")
        for title, came_out in self.results:
            self._line(f"   {'✓' if came_out else '✗'} {title}", "good" if came_out else "bad")
        return all(came_out for _title, came_out in self.results)

    def _line(self, text: str, style: str | None = None) -> None:
        if self._colour and style:
            text = f"\033[{_STYLES[style]}m{text}\033[0m"
        print(text, file=self._out, flush=True)
