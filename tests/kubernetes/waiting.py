"""Waiting for what happens soon."""

import time
from pathlib import Path
from typing import Callable

_POLL_SECONDS = 0.02


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 10.0) -> None:
    """Wait until something holds; raise TimeoutError, which says what did not, if it takes too long."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not after {seconds:.0f} s: {what}")
        time.sleep(_POLL_SECONDS)


def process_runs(pid: int) -> bool:
    """Whether a process runs; one that has ended, but that its parent has not asked for yet, does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
