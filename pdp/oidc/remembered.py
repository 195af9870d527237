"""Decisions on access tokens, remembered with the marks of the rows that they were taken on.

The marks are read anew for each check. Where all are what they were, the policies in force among
them, and the decision said that it still holds, deciding again could only say the same
(`test_a_decision_stands_until_it_said`): it is spared, not the question.
"""

from dataclasses import dataclass
from datetime import datetime

from pdp.domain.access import Channel
from pdp.lately import Lately
from pdp.store.decision_log import Key as LogKey
from pdp.store.standings import TokenMarks
from pdp.usecases.decide_access import Judged

Key = tuple[str, Channel]


@dataclass(frozen=True, slots=True)
class Remembered:
    """A decision, marks of what it rests on, its end (UTC), and where its repeats are counted."""

    marks: TokenMarks
    judged: Judged
    until: datetime | None
    log_key: LogKey


class RememberedDecisions:
    """The last decisions, by token and channel; may be used from threads."""

    __slots__ = ("_decisions",)

    def __init__(self) -> None:
        self._decisions: Lately[Key, Remembered] = Lately()

    def find(self, key: Key, now: datetime) -> Remembered | None:
        """Return what was decided, if that holds as long as nothing has moved."""
        known = self._decisions.find(key)
        if known is None or (known.until is not None and now >= known.until):
            return None
        return known

    def keep(self, key: Key, decided: Remembered) -> None:
        """Remember a decision."""
        self._decisions.keep(key, decided)
