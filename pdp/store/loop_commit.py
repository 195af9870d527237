"""Group commit from an event loop: SQLite, whose one writer would hold the loop up.

Threads that write hand the interpreter over at each statement, and hold the lock that much longer.
The loop has nobody to hand it to: it runs the works of all requests that wait, one after the other,
and a thread beside it waits for what takes time, the lock and the disk. While one group is
committed, the next one gathers. Whatever goes wrong, every request of the group hears of it.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

from sqlalchemy.util import await_

from pdp.domain.errors import Unavailable
from pdp.store.database import Database, Transaction
from pdp.store.engine import DRIVER_ERRORS
from pdp.store.group_commit import MOST_WORKS, GroupedWork
from pdp.store.links import Link, link_to

T = TypeVar("T")

#: Seconds after which the thread looks whether the loop, which it waits for, is at its end.
_LOOK_AFTER: Final = 0.5


class _Waiting:
    """One request's work, and what the request waits for."""

    __slots__ = ("settled", "work")

    def __init__(self, work: Callable[[Any], Any], settled: "asyncio.Future[None]") -> None:
        self.work = GroupedWork(work)
        self.settled = settled


class _Group:
    """Works that share a commit."""

    __slots__ = ("failure", "parts", "tx")

    def __init__(self, parts: list[_Waiting]) -> None:
        self.parts = parts
        #: The transaction in which all ran, and of which the commit is left; else none is open.
        self.tx: Transaction | None = None
        #: What kept them from running, if waiting would not help.
        self.failure: BaseException | None = None

    def fail(self, failure: BaseException) -> None:
        """Let every work fail that has not failed by itself."""
        for part in self.parts:
            part.work.failure = part.work.failure or failure


class LoopCommit:
    """Gathers works on `loop`, and commits them in its turn among all writers of the database."""

    def __init__(self, database: Database, loop: asyncio.AbstractEventLoop) -> None:
        self._database = database
        self._loop = loop
        self._waiting: list[_Waiting] = []
        #: Whether a group waits for its turn or is committed: others gather meanwhile.
        self._is_under_way = False
        self._is_closed = False
        self._link: Link | None = None
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        threading.Thread(target=self._work, name="loop-commit", daemon=True).start()

    def run(self, work: Callable[[Transaction], T]) -> T:
        """Return what `work` returns once it is on disk; the loop goes on meanwhile.

        As with `Database.grouped`, a work does nothing but change the transaction and return an
        answer: it may be run twice.
        """
        mine = _Waiting(work, self._loop.create_future())
        self._waiting.append(mine)
        if not self._is_under_way:
            self._begin_soon()
        await_(mine.settled)
        if mine.work.failure is not None:
            with self._database.unavailable_when_down():
                raise mine.work.failure
        answer: T = mine.work.answer
        return answer

    def close(self) -> None:
        """End the thread once it has done what it was given; called on the loop."""
        self._is_closed = True
        self._tasks.put(None)

    # On the loop.

    def _begin_soon(self) -> None:
        """Begin when everything that the loop has at hand has joined."""
        self._is_under_way = True
        self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        try:
            give_up_turn = self._database.turn_at_once()
        except Exception as failure:  # noqa: BLE001  raised again in every request that waits
            self._fail(failure, len(self._waiting))
            return
        if give_up_turn is None:
            self._tasks.put(partial(self._commit_in_turn, len(self._waiting)))
            return
        self._tasks.put(partial(self._commit_and_give_up, self._run_works(), give_up_turn))

    def _run_works(self) -> _Group:
        """Run the works that wait, up to their commit; whoever calls it has the right to write."""
        group = _Group(self._take(MOST_WORKS))
        try:
            tx = Transaction(self._opened(), sqlite=True)
            tx.begin()
            if all(tx.run_work(part.work) for part in group.parts):
                group.tx = tx
        except DRIVER_ERRORS:
            # The thread meets it, too: it may wait, and says what it was.
            pass
        except BaseException as failure:  # noqa: BLE001  raised again in every request of the group
            group.failure = failure
        if group.tx is None:
            self._drop_link()
        return group

    def _hand_over(self, ran: "SimpleQueue[_Group]") -> None:
        """Run the works for a thread that has the right to write, if it still waits."""
        if not self._is_closed:
            ran.put(self._run_works())

    def _opened(self) -> Link:
        if self._link is None:
            connection = self._database.engine.connect()
            self._link = link_to(connection)
            # The loop's own: whoever else uses it would stand in the midst of a transaction.
            connection.detach()
            # Others that hold the file are a thread's to wait for.
            self._link.say("PRAGMA busy_timeout=0")
        return self._link

    def _take(self, most: int) -> list[_Waiting]:
        taken, self._waiting = self._waiting[:most], self._waiting[most:]
        return taken

    def _fail(self, failure: BaseException, patient: int) -> None:
        """Settle those that have waited for a turn that did not come; who came later goes on."""
        group = _Group(self._take(patient))
        group.fail(failure)
        self._settle(group)

    def _settle(self, group: _Group) -> None:
        self._is_under_way = False
        if self._waiting:
            self._begin_soon()
        for part in group.parts:
            # Whoever waited may be gone.
            if not part.settled.done():
                part.settled.set_result(None)

    # In the thread. Each task settles its group, whatever is raised: nothing waits for ever.

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()

    def _commit_in_turn(self, patient: int) -> None:
        """Wait for the right to write; then let the loop run what waits by now."""
        group = None
        try:
            with self._database.turn():
                group = self._run_on_loop()
                self._commit(group)
        except BaseException as failure:  # noqa: BLE001  raised again in every request that waits
            if group is None:
                self._tell(partial(self._fail, failure, patient))
                return
        self._tell(partial(self._settle, group))

    def _run_on_loop(self) -> _Group:
        ran: SimpleQueue[_Group] = SimpleQueue()
        self._tell(partial(self._hand_over, ran))
        while True:
            try:
                return ran.get(timeout=_LOOK_AFTER)
            except Empty:
                # The lock is others', too, and a loop at its end runs nothing any more.
                if self._is_closed and ran.empty():
                    raise Unavailable("this process is stopping") from None

    def _commit_and_give_up(self, group: _Group, give_up_turn: Callable[[], None]) -> None:
        self._commit(group)
        with suppress(OSError):
            give_up_turn()
        self._tell(partial(self._settle, group))

    def _commit(self, group: _Group) -> None:
        """Commit for all of a group; what is raised is raised again in every request of it."""
        try:
            self._finish(group)
        except BaseException as failure:  # noqa: BLE001  raised again where it belongs
            self._drop_link()
            group.fail(failure)

    def _finish(self, group: _Group) -> None:
        """Commit what ran; else run it here, where it may wait, and each work may fail alone."""
        if group.failure is not None:
            raise group.failure
        if group.tx is None:
            self._database.commit_all([part.work for part in group.parts])
            return
        try:
            group.tx.commit()
        finally:
            group.tx.close()

    def _tell(self, callback: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:
            if not self._loop.is_closed():
                raise
            # And so is everybody who waited.

    # In either: whoever has the right to write has the connection.

    def _drop_link(self) -> None:
        """Undo what is open, on a connection that nobody uses again: something went wrong on it."""
        link, self._link = self._link, None
        if link is None:
            return
        with suppress(*DRIVER_ERRORS):
            link.roll_back()
        with suppress(*DRIVER_ERRORS):
            link.connection.close()
