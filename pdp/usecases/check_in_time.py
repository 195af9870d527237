"""A quick no: readiness is looked at in a thread of its own, and whoever asks waits for a moment.

A database that stands still is found out after many seconds; a probe has gone by then, and would
come again and again. One look goes on at a time, so that its askers hold up nothing.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Final

from pdp.usecases.check_readiness import ORDER, Check, Readiness, not_looked_at

#: Probes that give up after two seconds hear the answer.
ANSWER_WITHIN: Final = timedelta(seconds=1.5)
_CURE: Final = (
    "run `pdp doctor`, which waits until it knows why; or let database.url lead to another"
)


class _Look(threading.Thread):
    """One time of looking; `found` grows while it goes on."""

    def __init__(self, checks: Iterable[Check]) -> None:
        super().__init__(name="readiness", daemon=True)
        self._checks = checks
        self.found: list[Check] = []
        #: Whether somebody waited for it in vain.
        self.is_late = False

    def run(self) -> None:
        """Look; what nobody foresaw ends it, and is logged as of any thread."""
        self.found.extend(self._checks)


class PromptReadiness:
    """Tells what was found within `within`, and which check has not answered by then.

    `look` gives the checks in their order, each when it is known; asked for again only when the
    last look is over.
    """

    def __init__(
        self, look: Callable[[], Iterable[Check]], *, within: timedelta = ANSWER_WITHIN
    ) -> None:
        self._begin = look
        self._within = within
        self._lock = threading.Lock()
        self._latest: _Look | None = None

    def __call__(self) -> Readiness:
        """Return what is known now; it is not ready unless every check has answered."""
        with self._lock:
            look = self._latest
            if look is None or not look.is_alive():
                look = self._latest = _Look(self._begin())
                look.start()
            is_late = look.is_late
        if is_late:
            return _so_far(look, "still no answer")
        look.join(self._within.total_seconds())
        if look.is_alive():
            look.is_late = True
            return _so_far(look, f"no answer within {self._within.total_seconds():g} s")
        return _so_far(look, "could not be looked at: see the log")


def _so_far(look: _Look, otherwise: str) -> Readiness:
    found = tuple(look.found)
    return Readiness((*found, *_missing(found, otherwise)))


def _missing(found: Sequence[Check], detail: str) -> Iterator[Check]:
    reached = ORDER.index(found[-1].name) + 1 if found else 0
    if reached < len(ORDER):
        name = ORDER[reached]
        yield Check(name=name, ok=False, detail=detail, cure=_CURE)
        yield from not_looked_at(after=name)
