"""Group commit from an event loop: PostgreSQL, where a commit costs more than what it commits.

Statements of requests that come together travel together, and one commit answers all of them. While
one group is under way, the next one gathers. None of them waits long for a row that others hold:
then, and whatever else one of them fails for, nothing of the group has happened, and each is tried
by itself; whatever fails there, too, is done alone (`loop_links`), where it may wait, and fails for
itself.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Final, NoReturn, TypeVar

import psycopg
from sqlalchemy.orm import Session
from sqlalchemy.util import await_, greenlet_spawn

from pdp.domain.errors import Unavailable
from pdp.store.at_once import NotAtOnce
from pdp.store.database import Database, Transaction
from pdp.store.group_commit import MOST_WORKS
from pdp.store.links import PostgresqlLink
from pdp.store.loop_links import LoopLinks
from pdp.store.loop_patience import LoopPatience
from pdp.store.postgresql_link import Asked, Told, texts_of
from pdp.store.statements import Row, Statement, Value

T = TypeVar("T")

#: How long a group waits for a row; whoever holds one as ours do is done before.
LOCK_PATIENCE: Final = timedelta(milliseconds=50)
#: How long others gather behind a group; then theirs begins beside it.
GROUP_PATIENCE: Final = timedelta(milliseconds=100)
#: How long one waits to be tried by itself.
FEW_PATIENCE: Final = timedelta(seconds=1)
#: Groups under way at once, each on a connection of those that a process has.
MOST_GROUPS: Final = 4

#: For the group's transaction alone: SET LOCAL, as a statement that can be prepared.
_BE_IMPATIENT: Final[Asked] = (
    Statement("SELECT set_config('lock_timeout', :milliseconds, true)"),
    [str(LOCK_PATIENCE // timedelta(milliseconds=1)).encode()],
)


class _Undone(Exception):
    """Nothing of the group has happened: each of it may try alone."""


_Group = asyncio.Task[Sequence[Told]]


class _Part:
    """One request's statement, and what becomes of it."""

    __slots__ = ("asked", "told")

    def __init__(self, asked: Asked, told: "asyncio.Future[Told]") -> None:
        self.asked = asked
        self.told = told

    # Whoever waited may be gone.

    def settle(self, told: Told) -> None:
        """Say what the statement did."""
        if not self.told.done():
            self.told.set_result(told)

    def fail(self, failure: BaseException) -> None:
        """Say what kept it from doing anything, or from being known to have done it."""
        if not self.told.done():
            self.told.set_exception(failure)


class _InGroup(Transaction):
    """What a work holds for a transaction: good for one statement."""

    __slots__ = ("_ask", "_is_used")

    def __init__(self, ask: Callable[[Asked], Told]) -> None:
        self._ask = ask
        self._is_used = False
        self._sqlite = False
        self.is_reading = False

    def run(self, statement: Statement, parameters: Mapping[str, Value]) -> int:
        """Execute a change; return how many rows it touched."""
        count, _ = self._told(statement, parameters)
        return count

    def one(self, statement: Statement, parameters: Mapping[str, Value]) -> Row | None:
        """Return the first row, or None."""
        _, row = self._told(statement, parameters)
        return row

    def all(self, statement: Statement, parameters: Mapping[str, Value]) -> NoReturn:
        """Raise RuntimeError: a work of a group hears of one row."""
        del statement, parameters
        raise RuntimeError("a list needs Database.write() or read()")

    @property
    def orm(self) -> Session:
        """Raise RuntimeError: sessions ask what they like."""
        raise RuntimeError("an ORM session needs Database.write()")

    def _told(self, statement: Statement, parameters: Mapping[str, Value]) -> Told:
        if self._is_used:
            # It would be committed apart from the first.
            raise RuntimeError("more than one statement needs Database.write()")
        self._is_used = True
        return self._ask((statement, texts_of(statement, parameters)))


class LoopGroups:
    """Gathers works that are one statement each, on `loop`, and commits them together."""

    def __init__(
        self, database: Database, loop: asyncio.AbstractEventLoop, alone: LoopLinks
    ) -> None:
        self._database = database
        self._loop = loop
        self._alone = alone
        self._patience = LoopPatience(loop)
        #: Those who try by themselves: connections are few.
        self._few = asyncio.Semaphore(MOST_GROUPS)
        self._waiting: list[_Part] = []
        #: Whether a group begins once the loop has gone round.
        self._is_to_begin = False
        #: The group that others gather behind.
        self._ahead: _Group | None = None
        self._under_way: set[_Group] = set()

    def run(self, work: Callable[[Transaction], T]) -> T:
        """Return what `work` returns once it is on disk, as `Database.single` does.

        A work does nothing but run its statement and return an answer: it may be run twice.
        """
        try:
            return self.attempt(work)
        except NotAtOnce:
            return self._alone.run(work)

    def attempt(self, work: Callable[[Transaction], T]) -> T:
        """Do the same without a long wait or not at all: NotAtOnce, and nothing has happened."""
        for ask in (self._in_group, self._by_itself):
            with suppress(_Undone):
                return work(_InGroup(ask))
        raise NotAtOnce

    def _by_itself(self, asked: Asked) -> Told:
        """Do the same as `_in_group`, in none: what undid that was perhaps another's."""
        try:
            await_(asyncio.wait_for(self._few.acquire(), FEW_PATIENCE.total_seconds()))
        except TimeoutError:
            raise _Undone from None
        try:
            [told] = self._commit([asked])
        finally:
            self._few.release()
        return told

    def _in_group(self, asked: Asked) -> Told:
        """Return what a statement did, once that is on disk; _Undone if it did nothing."""
        mine = _Part(asked, self._loop.create_future())
        self._waiting.append(mine)
        self._begin_soon()
        told: Told = await_(mine.told)
        return told

    def _begin_soon(self) -> None:
        """Begin with those that wait, if there is no group for them to gather behind."""
        if self._is_to_begin or self._ahead is not None or len(self._under_way) >= MOST_GROUPS:
            return
        if self._waiting:
            # Not at once: whatever else the loop has at hand may join.
            self._is_to_begin = True
            self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        self._is_to_begin = False
        group, self._waiting = self._waiting[:MOST_WORKS], self._waiting[MOST_WORKS:]
        # A task of its own: whoever came first may leave.
        task = self._loop.create_task(greenlet_spawn(self._commit, [part.asked for part in group]))
        self._ahead = task
        self._under_way.add(task)
        late = self._loop.call_later(GROUP_PATIENCE.total_seconds(), self._pass_by, task)
        task.add_done_callback(partial(self._end, group, late))

    def _pass_by(self, task: _Group) -> None:
        """Let nobody gather behind a group any longer."""
        if self._ahead is task:
            self._ahead = None
            self._begin_soon()

    def _end(self, group: Sequence[_Part], late: asyncio.TimerHandle, task: _Group) -> None:
        """Let every request of a group know what it did, or why it did not."""
        late.cancel()
        self._under_way.discard(task)
        if self._ahead is task:
            self._ahead = None
        self._begin_soon()
        # Nobody but a loop at its end cancels one.
        stopping = Unavailable("this process is stopping") if task.cancelled() else None
        if (failure := stopping or task.exception()) is not None:
            for part in group:
                part.fail(failure)
            return
        for part, told in zip(group, task.result(), strict=True):
            part.settle(told)

    def _commit(self, asked: Sequence[Asked]) -> Sequence[Told]:
        link = self._database.lend_at_once()
        if not isinstance(link, PostgresqlLink):
            # Opening one takes its time.
            raise _Undone
        return self._database.single_by(lambda: link, partial(self._together, link, asked))[1:]

    def _together(
        self, link: PostgresqlLink, asked: Sequence[Asked], _: Transaction
    ) -> Sequence[Told]:
        try:
            # Before the connection is taken back, its waits are a thread's again.
            with link.waiting_with(self._patience):
                return link.together([_BE_IMPATIENT, *asked])
        except psycopg.Error as error:
            if link.is_lost():
                raise
            raise _Undone from error
