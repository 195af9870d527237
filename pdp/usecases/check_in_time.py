"""A quick no: readiness as far as it is known in a moment."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Final

from pdp.usecases.check_readiness import ORDER, Check, Readiness, not_looked_at
from pdp.usecases.in_time import InTime

#: Probes that give up after two seconds hear the answer.
ANSWER_WITHIN: Final = timedelta(seconds=1.5)
_CURE: Final = (
    "run `pdp doctor`, which waits until it knows why; or let database.url lead to another"
)


class PromptReadiness:
    """Tells what was found within `within`, and which check has not answered by then.

    `look` gives the checks in their order, each when it is known.
    """

    def __init__(
        self, look: Callable[[], Iterable[Check]], *, within: timedelta = ANSWER_WITHIN
    ) -> None:
        self._look = InTime("readiness", look, within=within)
        self._late = f"no answer within {within.total_seconds():g} s"

    def __call__(self) -> Readiness:
        """Return what is known now; it is not ready unless every check has answered."""
        seen = self._look()
        if seen.is_over:
            otherwise = "could not be looked at: see the log"
        else:
            otherwise = "still no answer" if seen.is_still_late else self._late
        return Readiness((*seen.found, *_missing(seen.found, otherwise)))


def _missing(found: Sequence[Check], detail: str) -> Iterator[Check]:
    reached = ORDER.index(found[-1].name) + 1 if found else 0
    if reached < len(ORDER):
        name = ORDER[reached]
        yield Check(name=name, ok=False, detail=detail, cure=_CURE)
        yield from not_looked_at(after=name)
