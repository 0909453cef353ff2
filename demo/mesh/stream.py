"""Somebody who asks again and again while something else happens."""

import threading
import time
from typing import Callable, Generic, Sequence, TypeVar

Answer = TypeVar("Answer")

_PAUSE_SECONDS = 0.005
_SECONDS = 20.0


class Stream(Generic[Answer]):
    """Asks in a thread of its own while it is entered, and keeps every answer.

    What the asking raises ends it, and is raised again where the stream is looked at or left.
    """

    def __init__(self, ask: Callable[[], Answer]) -> None:
        self._ask = ask
        self._answers: list[Answer] = []
        self._failure: BaseException | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Stream[Answer]":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_exception: object) -> None:
        self._stopping.set()
        self._thread.join()
        if kind is None:
            self._raise_failure()

    def __len__(self) -> int:
        return len(self._answers)

    def after(self, count: int) -> Sequence[Answer]:
        """The answers after so many, so far."""
        self._raise_failure()
        return self._answers[count:]

    def _run(self) -> None:
        try:
            while not self._stopping.wait(_PAUSE_SECONDS):
                self._answers.append(self._ask())
        except BaseException as failure:
            self._failure = failure

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


def wait_for_all(streams: Sequence[Stream[Answer]], wanted: int) -> list[Sequence[Answer]]:
    """Wait for so many more answers of each stream, and return what came meanwhile."""
    counts, deadline = [len(stream) for stream in streams], time.monotonic() + _SECONDS
    while True:
        answers = [stream.after(count) for stream, count in zip(streams, counts)]
        if (least := min(map(len, answers))) >= wanted:
            return answers
        if time.monotonic() > deadline:
            raise TimeoutError(f"only {least} of {wanted} answers came within {_SECONDS:.0f} s")
        time.sleep(_PAUSE_SECONDS)
