"""Statements that commit by themselves, sent to PostgreSQL from an event loop, each alone.

These are the ones that nothing happened of in a group (`loop_groups`), and a process' first.
Over the connections that threads use, a few at a time: whoever waits there for an answer lets the
loop go on. PostgreSQL commits those that come together by itself, and each holds up nobody else.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from sqlalchemy.util import await_

from pdp.domain.errors import Unavailable
from pdp.store.aside import Aside
from pdp.store.database import Database, Transaction
from pdp.store.links import PostgresqlLink
from pdp.store.loop_patience import LoopPatience, miss

T = TypeVar("T")

#: Connections that the loop uses at once, of those that a process has: threads need some, too.
MOST_LINKS: Final = 8


class LoopLinks:
    """Runs works that are one statement each, on `loop`."""

    def __init__(self, database: Database, loop: asyncio.AbstractEventLoop, aside: Aside) -> None:
        self._database = database
        self._loop = loop
        self._patience = LoopPatience(loop)
        self._aside = aside
        self._places = MOST_LINKS
        self._queue: deque[asyncio.Future[bool]] = deque()

    def run(self, work: Callable[[Transaction], T]) -> T:
        """Return what `work` returns once it is on disk, as `Database.single` does."""
        self._enter()
        try:
            link = self._database.lend_at_once()
            if not isinstance(link, PostgresqlLink):
                # Opening one takes its time; the next work finds it here.
                return self._aside.run(lambda: self._database.single(work))
            return self._database.single_by(lambda: link, partial(self._on_loop, link, work))
        finally:
            self._leave()

    def _on_loop(
        self, link: PostgresqlLink, work: Callable[[Transaction], T], tx: Transaction
    ) -> T:
        """Run the work; before the connection is taken back, its waits are a thread's again."""
        with link.waiting_with(self._patience):
            return work(tx)

    def _enter(self) -> None:
        """Wait for a place among the few; Unavailable if none gets free in time."""
        if self._places:
            self._places -= 1
            return
        place: asyncio.Future[bool] = self._loop.create_future()
        self._queue.append(place)
        late = self._loop.call_later(self._database.patience, miss, place)
        try:
            is_free = await_(place)
        except asyncio.CancelledError:
            # Whoever waited is gone, perhaps with a place in hand.
            if place.done() and not place.cancelled() and place.result():
                self._leave()
            raise
        finally:
            late.cancel()
        if not is_free:
            raise Unavailable("every database connection of the loop is in use")

    def _leave(self) -> None:
        """Pass the place on to whoever waited longest."""
        while self._queue:
            place = self._queue.popleft()
            if not place.done():
                place.set_result(True)
                return
        self._places += 1
