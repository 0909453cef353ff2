"""Waiting for what happens soon."""

import time
from typing import Callable

_POLL_SECONDS = 0.02


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 10.0) -> None:
    """Wait until something holds; raise TimeoutError, which says what did not, if it takes too long."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not after {seconds:.0f} s: {what}")
        time.sleep(_POLL_SECONDS)
