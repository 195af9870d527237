"""Nudges the worker, so that what follows from a change does not wait for its next look.

With Redis, a nudge reaches every process. Without it, or when it is down, a nudge reaches the
worker of the same process, and others find their jobs when they poll: later, never lost.
"""

import threading
from datetime import datetime, timedelta
from typing import Final

from redis import Redis, RedisError
from redis.client import PubSub

from pdp.ephemeral.redis_link import RedisDown, RedisLink, connect

_CHANNEL: Final = "pdp:wakeup"


class Wakeup:
    """One worker waits, anybody nudges. A nudge between two waits is not lost in the process."""

    def __init__(self, redis_url: str | None = None) -> None:
        self._here = threading.Event()
        self._link = None if redis_url is None else RedisLink(connect(redis_url))
        self._listener: PubSub | None = None

    def nudge(self, now: datetime) -> None:
        """Tell the worker that there is something to do; never fails, never waits long."""
        self._here.set()
        if self._link is None:
            return
        try:
            self._link.ask(lambda redis: redis.publish(_CHANNEL, b""), now)
        except RedisDown:
            return

    def wait(self, longest: timedelta, now: datetime) -> None:
        """Return after a nudge, or after `longest`: look for jobs in either case."""
        if not self._here.is_set() and not self._listen(longest, now):
            self._here.wait(longest.total_seconds())
        self._here.clear()

    def close(self) -> None:
        """Let go of Redis."""
        if self._listener is not None:
            self._listener.close()
        if self._link is not None:
            self._link.client.close()

    def _listen(self, longest: timedelta, now: datetime) -> bool:
        """Wait on Redis; False at once when that cannot be done."""
        if self._link is None:
            return False
        try:
            if self._listener is None:
                self._listener = _subscribed(self._link.client)
            self._listener.get_message(timeout=longest.total_seconds())
        except (RedisError, OSError) as error:
            self._link.lost(error, now)
            self._listener = None
            return False
        return True


def _subscribed(client: Redis) -> PubSub:
    listener: PubSub = client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
    listener.subscribe(_CHANNEL)
    return listener
