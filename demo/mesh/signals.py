"""Ctrl-C, SIGTERM and SIGHUP as one exception, so that every way out runs the same cleanup."""

import signal
from contextlib import contextmanager
from typing import Callable, Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """Somebody asked the run to stop. Not an Exception: no handler on the way may swallow it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_status = 128 + number


@contextmanager
def interruptible() -> Iterator[None]:
    """Within, a signal raises Interrupted in the main thread. Main thread only."""

    def interrupt(number: int, _frame: object) -> None:
        raise Interrupted(number)

    with _handlers(interrupt):
        yield


@contextmanager
def deferred() -> Iterator[None]:
    """Within, a signal waits: neither a creation nor a cleanup is cut in half. Main thread only."""
    waiting: list[int] = []
    with _handlers(lambda number, _frame: waiting.append(number)):
        yield
    if waiting:
        signal.raise_signal(waiting[0])


@contextmanager
def _handlers(handler: Callable[[int, object], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
