"""Programs that the mesh starts, watches and stops, each by its own process id."""

import subprocess
import time
from pathlib import Path
from typing import Callable, Iterable, Mapping, Sequence

_POLL_SECONDS = 0.02
_STOP_SECONDS = 5.0


class StartFailed(Exception):
    """A program ended, or was not ready in time; the message holds the end of its log."""


class Process:
    """One running program and its log file."""

    def __init__(self, name: str, argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.log = log
        with open(log, "ab") as output:
            # A session of its own: the terminal's Ctrl-C is for us, and we then stop our programs in order.
            self._popen = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id (the launchers in front of the program replace themselves by it)."""
        return self._popen.pid

    def wait_until_ready(self, lacks: Callable[[], str | None], seconds: float = 20.0) -> None:
        """Poll until the program lacks nothing; raise StartFailed with its log if it ends or takes too long."""
        deadline = time.monotonic() + seconds
        while (lacking := lacks()) is not None:
            status = self._popen.poll()
            if status is not None:
                raise StartFailed(f"{self.name} ended with status {status}:\n{tail(self.log)}")
            if time.monotonic() > deadline:
                raise StartFailed(f"{self.name} was not ready after {seconds:.0f} s ({lacking}):\n{tail(self.log)}")
            time.sleep(_POLL_SECONDS)

    def ask_to_stop(self) -> None:
        """Ask the program to end, without waiting."""
        self._popen.terminate()

    def kill(self) -> None:
        """End the program as a crash would, without a chance to say goodbye."""
        self._popen.kill()
        self._popen.wait()

    def stop(self) -> int:
        """Ask the program to end, insist if it does not, and return its exit status."""
        self.ask_to_stop()
        try:
            return self._popen.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """End the program at once, as a crash would, and return its exit status."""
        self._popen.kill()
        return self._popen.wait()


def stop_all(processes: Iterable[Process]) -> None:
    """Stop several programs at once: all are asked before the first is waited for."""
    processes = list(processes)
    for process in processes:
        process.ask_to_stop()
    for process in processes:
        process.stop()


def tail(log: Path, lines: int = 15, after: int = 0) -> str:
    """The last lines of a log, of what stands after so many bytes, indented for a message to a person."""
    text = log.read_bytes()[after:].decode(errors="replace") if log.exists() else ""
    return "\n".join(f"    {line}" for line in text.splitlines()[-lines:]) or "    (its log is empty)"
