"""A quick answer: whatever looks for it does so in a thread of its own, and askers wait a moment.

What stands still is found out after many seconds; whoever asked has gone by then, and would come
again and again. One look goes on at a time, so that its askers hold up nothing.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Seen(Generic[T]):
    """What was found, in order; whether that is all, and else whether others heard so before."""

    found: tuple[T, ...]
    is_over: bool
    is_still_late: bool = False


class _Look(threading.Thread, Generic[T]):
    """One time of looking; `found` grows while it goes on."""

    def __init__(self, name: str, look: Callable[[], Iterable[T]]) -> None:
        super().__init__(name=name, daemon=True)
        self._look = look
        self.found: list[T] = []
        #: Whether somebody waited for it in vain.
        self.is_late = False

    def run(self) -> None:
        """Look; what nobody foresaw ends it, and is logged as of any thread."""
        self.found.extend(self._look())


class InTime(Generic[T]):
    """Tells what was found `within` a moment.

    `look` gives things in their order, each when it is known; asked for again only when the last
    look is over. While one that was late goes on, nobody waits for it any more.
    """

    def __init__(self, name: str, look: Callable[[], Iterable[T]], *, within: timedelta) -> None:
        self._name = name
        self._look = look
        self._within = within.total_seconds()
        self._lock = threading.Lock()
        self._latest: _Look[T] | None = None

    def __call__(self) -> Seen[T]:
        """Return what is known now."""
        with self._lock:
            look = self._latest
            if look is None or not look.is_alive():
                look = self._latest = _Look(self._name, self._look)
                look.start()
            is_late = look.is_late
        if not is_late:
            look.join(self._within)
            look.is_late = look.is_alive()
        # In this order: a look that ends in between has found all.
        is_over = not look.is_alive()
        return Seen(tuple(look.found), is_over, is_late)
