"""A connection to Redis that fails fast and is left alone for a moment after it failed.

When Redis is down, callers get `RedisDown` at once and use what they have in the process; one
line a minute says so. Nothing that Redis answers is ever the only reason to allow something.
"""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, TypeVar

import structlog
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

_log: Final = structlog.get_logger(__name__)

_TIMEOUT_SECONDS: Final = 0.25
_LEFT_ALONE: Final = timedelta(seconds=1)
_SAID_AGAIN: Final = timedelta(minutes=1)

Answer = TypeVar("Answer")


class RedisDown(Exception):
    """Redis did not answer, or did not answer a moment ago."""


def connect(url: str) -> Redis:
    """Return a client that waits a quarter of a second, tries once, and connects when used."""
    return Redis.from_url(
        url,
        socket_connect_timeout=_TIMEOUT_SECONDS,
        socket_timeout=_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )


class RedisLink:
    """Guards calls to one Redis; may be used from several threads."""

    def __init__(self, client: Redis) -> None:
        self.client = client
        self._lock = threading.Lock()
        self._retry_at: datetime | None = None
        self._say_at: datetime | None = None

    def ask(self, question: Callable[[Redis], Answer], now: datetime) -> Answer:
        """Return what Redis answers to `question`; RedisDown if it does not."""
        if self._retry_at is not None and now < self._retry_at:
            raise RedisDown
        try:
            answer = question(self.client)
        except (RedisError, OSError) as error:
            self.lost(error, now)
            raise RedisDown from error
        self._retry_at = None
        return answer

    def lost(self, error: Exception, now: datetime) -> None:
        """Leave Redis alone for a second, and say so once a minute."""
        with self._lock:
            self._retry_at = now + _LEFT_ALONE
            silent = self._say_at is not None and now < self._say_at
            if not silent:
                self._say_at = now + _SAID_AGAIN
        if not silent:
            # The kind of error only: its text may hold the URL, and the URL a password.
            _log.warning("redis.connection.lost", problem=type(error).__name__)
