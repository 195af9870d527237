"""Statements that commit by themselves, sent to PostgreSQL from an event loop.

Over the connections that threads use, a few at a time: whoever waits there for an answer lets the
loop go on. PostgreSQL commits those that come together by itself, and each holds up nobody else.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, TypeVar

from sqlalchemy.util import await_

from pdp.store.aside import Aside
from pdp.store.database import Database, Transaction
from pdp.store.links import PostgresqlLink

T = TypeVar("T")

#: Connections that the loop uses at once, of those that a process has: threads need some, too.
MOST_LINKS: Final = 4


class LoopLinks:
    """Runs works that are one statement each, on `loop`."""

    def __init__(self, database: Database, loop: asyncio.AbstractEventLoop, aside: Aside) -> None:
        self._database = database
        self._loop = loop
        self._aside = aside
        self._places = MOST_LINKS
        self._queue: deque[asyncio.Future[None]] = deque()

    def run(self, work: Callable[[Transaction], T]) -> T:
        """Return what `work` returns once it is on disk, as `Database.single` does."""
        self._enter()
        try:
            link = self._database.lend_at_once()
            if not isinstance(link, PostgresqlLink):
                # Opening one takes its time; the next work finds it here.
                return self._aside.run(lambda: self._database.single(work))
            with link.waiting_with(self):
                return self._database.single_by(lambda: link, work)
        finally:
            self._leave()

    def _enter(self) -> None:
        if self._places:
            self._places -= 1
            return
        place = self._loop.create_future()
        self._queue.append(place)
        try:
            await_(place)
        except asyncio.CancelledError:
            # Whoever waited is gone, perhaps with a place in hand.
            if place.done() and not place.cancelled():
                self._leave()
            raise

    def _leave(self) -> None:
        """Pass the place on to whoever waited longest."""
        while self._queue:
            place = self._queue.popleft()
            if not place.done():
                place.set_result(None)
                return
        self._places += 1

    def for_answer(self, socket: int, milliseconds: int) -> bool:
        """Let the loop go on until there is something to read; False if nothing comes in time."""
        happened: asyncio.Future[bool] = self._loop.create_future()
        late = self._loop.call_later(milliseconds / 1000, _miss, happened)
        self._loop.add_reader(socket, _happen, happened)
        try:
            return await_(happened)
        finally:
            late.cancel()
            self._loop.remove_reader(socket)

    def for_room_or_answer(self, socket: int, milliseconds: int) -> bool:
        """Do the same, or until something can be sent."""
        happened: asyncio.Future[bool] = self._loop.create_future()
        late = self._loop.call_later(milliseconds / 1000, _miss, happened)
        self._loop.add_reader(socket, _happen, happened)
        self._loop.add_writer(socket, _happen, happened)
        try:
            return await_(happened)
        finally:
            late.cancel()
            self._loop.remove_reader(socket)
            self._loop.remove_writer(socket)


def _happen(happened: "asyncio.Future[bool]") -> None:
    if not happened.done():
        happened.set_result(True)


def _miss(happened: "asyncio.Future[bool]") -> None:
    if not happened.done():
        happened.set_result(False)
