"""Counts in the process, bounded in memory without a way around the bound.

Only what has ended makes room. While there is none, new keys share one count: a flood of keys
slows strangers down together, and never frees one that was counted by itself.
"""

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

#: Looking for room takes time when there is none: not with every attempt of a flood.
_SWEEP_EVERY: Final = timedelta(seconds=1)


@dataclass(slots=True)
class _Count:
    number: int
    ends: datetime


class Counters:
    """At most `capacity` counts, each until its own end; may be used from several threads."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._counts: dict[str, _Count] = {}
        self._shared: _Count | None = None
        self._sweep_at: datetime | None = None

    def __len__(self) -> int:
        return len(self._counts)

    def add(self, key: str, limit: int, *, ends: datetime, now: datetime) -> bool:
        """Count one and return True, unless `limit` were counted: then return False."""
        with self._lock:
            count = self._find(key, now) or self._begin(key, ends, now)
            if count.number >= limit:
                return False
            count.number += 1
            return True

    def count(self, key: str, *, now: datetime) -> int:
        """Return how many were counted, for a key without room of its own by all of those."""
        with self._lock:
            count = self._find(key, now)
            return 0 if count is None else count.number

    def subtract(self, key: str, *, now: datetime) -> None:
        """Uncount one, if one is counted."""
        with self._lock:
            count = self._find(key, now)
            if count is not None and count.number > 0:
                count.number -= 1

    def forget(self, key: str) -> None:
        """Drop the count of one key."""
        with self._lock:
            self._counts.pop(key, None)

    def _find(self, key: str, now: datetime) -> _Count | None:
        count = self._counts.get(key)
        if count is None and len(self._counts) >= self._capacity:
            count = self._shared
        return count if count is not None and now < count.ends else None

    def _begin(self, key: str, ends: datetime, now: datetime) -> _Count:
        fresh = _Count(0, ends)
        if key not in self._counts and not self._has_room(now):
            self._shared = fresh
        else:
            self._counts[key] = fresh
        return fresh

    def _has_room(self, now: datetime) -> bool:
        full = len(self._counts) >= self._capacity
        if full and (self._sweep_at is None or now >= self._sweep_at):
            self._sweep_at = now + _SWEEP_EVERY
            self._counts = {key: count for key, count in self._counts.items() if now < count.ends}
            return len(self._counts) < self._capacity
        return not full
