"""Several signals in one body: each id states one thing."""

from collections.abc import Iterable
from typing import Final

from pdp.domain.signal import Signal
from pdp.sources.errors import MalformedSignal

#: A delivery is applied in one transaction; more would hold its locks for too long.
MOST_SIGNALS: Final = 100


def each_once(signals: Iterable[Signal]) -> tuple[Signal, ...]:
    """Return `signals` without repetitions; MalformedSignal if one id says two things."""
    by_id: dict[str, Signal] = {}
    for signal in signals:
        if not _same(by_id.setdefault(signal.id, signal), signal):
            problem = f"id {signal.id[:64]!r} is used for two different signals"
            raise MalformedSignal(problem, "id")
    return tuple(by_id.values())


def _same(first: Signal, second: Signal) -> bool:
    # In Python `True == 1 == 1.0`; in a statement these are three values.
    return first == second and all(
        type(value) is type(second.posture[field]) for field, value in first.posture.items()
    )
