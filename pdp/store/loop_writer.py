"""Writing from an event loop, on either database."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from pdp.store.aside import Aside
from pdp.store.database import Database, Transaction
from pdp.store.loop_commit import LoopCommit
from pdp.store.loop_groups import LoopGroups
from pdp.store.loop_links import LoopLinks

T = TypeVar("T")


class LoopWriter:
    """What is small is written from `loop` itself, what takes longer in threads beside it.

    Small is whatever SQLite writes, which asks nobody; on PostgreSQL it is a single statement:
    to wait on the loop for the answer to each of several costs as much as a thread.

    Each answers and fails as `Database` says; whoever calls one runs in a `greenlet_spawn`.
    """

    def __init__(self, database: Database, loop: asyncio.AbstractEventLoop) -> None:
        self._database = database
        self._aside = Aside(loop, patience=database.patience)
        self._commit = LoopCommit(database, loop) if database.is_sqlite else None
        self._groups = LoopGroups(database, loop, LoopLinks(database, loop, self._aside))

    def single(self, work: Callable[[Transaction], T]) -> T:
        """Do what `Database.single` does."""
        return self._groups.run(work) if self._commit is None else self._commit.run(work)

    def attempt(self, work: Callable[[Transaction], T]) -> T:
        """Do it with whatever else is written on PostgreSQL; NotAtOnce if it had to go alone."""
        return self._groups.attempt(work)

    def grouped(self, work: Callable[[Transaction], T]) -> T:
        """Do what `Database.grouped` does."""
        if self._commit is not None:
            return self._commit.run(work)
        return self._aside.run(lambda: self._database.grouped(work))

    def close(self) -> None:
        """Take no more."""
        if self._commit is not None:
            self._commit.close()
        self._aside.close()
