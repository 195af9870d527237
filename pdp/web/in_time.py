"""A quick answer or none: what takes too long goes on in a thread of its own, one at a time."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Generic, TypeVar

T = TypeVar("T")


class _Turn(threading.Thread, Generic[T]):
    """One time of asking."""

    def __init__(self, work: Callable[[], T]) -> None:
        super().__init__(name="in-time", daemon=True)
        self._work = work
        self.answer: T | None = None
        #: Whether somebody waited for it in vain.
        self.is_late = False

    def run(self) -> None:
        """Ask; what nobody foresaw ends it, and is logged as of any thread."""
        self.answer = self._work()


class InTime(Generic[T]):
    """Gives what `work` returns, or None if that is not known `within` a moment.

    While one that was late goes on, nobody else waits for it.
    """

    def __init__(self, work: Callable[[], T], *, within: timedelta) -> None:
        self._work = work
        self._within = within.total_seconds()
        self._lock = threading.Lock()
        self._latest: _Turn[T] | None = None

    def __call__(self) -> T | None:
        """Ask now, unless the last time is not over."""
        with self._lock:
            turn = self._latest
            if turn is not None and turn.is_alive() and turn.is_late:
                return None
            if turn is None or not turn.is_alive():
                turn = self._latest = _Turn(self._work)
                turn.start()
        turn.join(self._within)
        if turn.is_alive():
            turn.is_late = True
            return None
        return turn.answer
