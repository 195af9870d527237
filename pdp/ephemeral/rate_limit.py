"""Counts attempts in fixed windows, so that guessing is slow.

With Redis, one count for all processes. When Redis is down, or not configured, each process
counts for itself and allows half of what was asked for (`DECISIONS` 18); never unlimited.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from redis import Redis

from pdp.ephemeral.counters import Counters
from pdp.ephemeral.redis_link import RedisDown, RedisLink, connect

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PREFIX: Final = "pdp:rate:"
_MILLISECOND: Final = timedelta(milliseconds=1)

# One atomic step each. A refused attempt is not counted: taking back an allowed one must make
# room for exactly one more.
_HIT: Final = """
local count = tonumber(redis.call('GET', KEYS[1]) or '0')
if count >= tonumber(ARGV[1]) then return 0 end
redis.call('INCR', KEYS[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""
_TAKE_BACK: Final = """
if tonumber(redis.call('GET', KEYS[1]) or '0') > 0 then return redis.call('DECR', KEYS[1]) end
return 0
"""


@dataclass(frozen=True, slots=True)
class Allowed:
    """The attempt is within the limit."""


@dataclass(frozen=True, slots=True)
class Limited:
    """The attempt must not be made before `retry_after` has passed."""

    retry_after: timedelta


@dataclass(frozen=True, slots=True)
class _Window:
    """One key in one stretch of time: what is counted, and when it ends."""

    key: str
    ends: datetime


class RateLimiter:
    """Limits attempts by key; may be used from several threads.

    `pepper` (at most 64 bytes) keys the digests under which attempts are counted: neither Redis
    nor a dump of it tells user names or addresses. `capacity` bounds what one process keeps.
    """

    def __init__(
        self, redis_url: str | None = None, *, pepper: bytes, capacity: int = 100_000
    ) -> None:
        self._pepper = pepper
        self._local = Counters(capacity)
        self._redis = None if redis_url is None else RedisLink(connect(redis_url))

    def hit(self, key: str, *, limit: int, window: timedelta, now: datetime) -> Allowed | Limited:
        """Count one attempt, unless `limit` of them were counted in this window already."""
        stretch = self._window(key, window, now)
        try:
            allowed = self._hit_shared(stretch, limit, now)
        except RedisDown:
            allowed = self._local.add(stretch.key, _half(limit), ends=stretch.ends, now=now)
        return Allowed() if allowed else Limited(stretch.ends - now)

    def take_back(self, key: str, *, window: timedelta, now: datetime) -> None:
        """Uncount one attempt of this window: it was right, or was not made."""
        stretch = self._window(key, window, now)
        try:
            self._ask(lambda redis: redis.eval(_TAKE_BACK, 1, stretch.key), now)
        except RedisDown:
            self._local.subtract(stretch.key, now=now)

    def reset(self, key: str, *, window: timedelta, now: datetime) -> None:
        """Forget the attempts of this window, on an administrator's word."""
        stretch = self._window(key, window, now)
        self._local.forget(stretch.key)
        try:
            self._ask(lambda redis: redis.delete(stretch.key), now)
        except RedisDown:
            return

    def _hit_shared(self, stretch: _Window, limit: int, now: datetime) -> bool:
        life = max(1, (stretch.ends - now) // _MILLISECOND)
        return self._ask(lambda redis: redis.eval(_HIT, 1, stretch.key, limit, life), now) == 1

    def _ask(self, question: Callable[[Redis], object], now: datetime) -> int:
        if self._redis is None:
            raise RedisDown
        answer = self._redis.ask(question, now)
        return int(answer) if isinstance(answer, int | bytes) else 0

    def _window(self, key: str, window: timedelta, now: datetime) -> _Window:
        digest = hashlib.blake2b(
            key.encode("utf-8", "surrogatepass"), key=self._pepper, digest_size=16
        )
        # Each key has boundaries of its own: no instant at which everybody may try anew.
        shift = timedelta(seconds=digest.digest()[0] / 256 * window.total_seconds())
        number, begun = divmod(now - _EPOCH + shift, window)
        seconds = int(window.total_seconds())
        return _Window(f"{_PREFIX}{digest.hexdigest()}:{seconds}:{number}", now + window - begun)


def _half(limit: int) -> int:
    return max(1, limit // 2)
