"""A database that says nothing: one in a while tries to reach it, the others are told at once.

Each try takes as long as patience lasts. If every request tried, each would hold a thread for so
long, and whoever stands behind them would wait for a multiple of it.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

#: Seconds between two tries: a try that hangs is not the last word.
TRY_EVERY: Final = 5.0
#: Seconds that others wait for what a try finds out, from its begin: an answer comes sooner.
_SOON: Final = 1.0


class Silence:
    """Whether a database has stopped to answer, and who may find out if it does again."""

    __slots__ = ("_changed", "_monotonic", "_tried", "is_on")

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.is_on = False
        self._monotonic = monotonic
        self._changed = threading.Condition()
        #: When the last try began; None before the first.
        self._tried: float | None = None

    def begin(self) -> None:
        """Nothing was heard for too long."""
        with self._changed:
            if not self.is_on:
                self.is_on, self._tried = True, None

    def end(self) -> None:
        """Something was heard."""
        with self._changed:
            self.is_on = False
            self._changed.notify_all()

    def may_ask(self) -> bool:
        """Tell whether to ask the database: it is not silent, or it is time for another try."""
        with self._changed:
            if not self.is_on:
                return True
            now = self._monotonic()
            if self._tried is None or now - self._tried >= TRY_EVERY:
                self._tried = now
                return True
            self._changed.wait_for(lambda: not self.is_on, self._tried + _SOON - now)
            return not self.is_on
