"""Decisions on access tokens, remembered with the marks of the rows that they were taken on.

The marks are read anew for each check. Where all are what they were, the policies in force among
them, and the decision said that it still holds, deciding again could only say the same
(`test_a_decision_stands_until_it_said`): it is spared, not the question.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

from pdp.domain.access import Channel
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
    """The last `capacity` decisions, by token and channel; may be used from threads."""

    __slots__ = ("_capacity", "_decisions", "_lock")

    def __init__(self, capacity: int = 4096) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._decisions: OrderedDict[Key, Remembered] = OrderedDict()

    def find(self, key: Key, now: datetime) -> Remembered | None:
        """Return what was decided, if that holds as long as nothing has moved."""
        with self._lock:
            known = self._decisions.get(key)
            if known is not None:
                self._decisions.move_to_end(key)
        if known is None:
            return None
        return known if known.until is None or now < known.until else None

    def keep(self, key: Key, decided: Remembered) -> None:
        """Remember a decision; the one that was used longest ago makes room."""
        with self._lock:
            self._decisions[key] = decided
            if len(self._decisions) > self._capacity:
                self._decisions.popitem(last=False)
