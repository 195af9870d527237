"""One transaction, as everything that reads or writes holds it."""

from collections.abc import Mapping

from sqlalchemy.orm import Session

from pdp.store.group_commit import GroupedWork
from pdp.store.links import Link, Row, Statement, Value


class Transaction:
    """One transaction: driver-level statements for hot paths, an ORM session for the rest.

    Both run on the same connection, so a state change, its audit row and its jobs commit
    together whichever way each was written.
    """

    __slots__ = ("_link", "_orm", "_sqlite", "is_reading")

    def __init__(self, link: Link, *, sqlite: bool, reading: bool = False) -> None:
        self._link = link
        self._sqlite = sqlite
        #: Whether nothing may be written: there is no transaction that would hold it together.
        self.is_reading = reading
        self._orm: Session | None = None

    def run(self, statement: Statement, parameters: Mapping[str, Value]) -> int:
        """Execute a change; return how many rows it touched. RuntimeError where one only reads."""
        if self.is_reading:
            raise RuntimeError("a change needs Database.write(), and this only reads")
        self.flush()
        return self._link.run(statement, parameters)

    def one(self, statement: Statement, parameters: Mapping[str, Value]) -> Row | None:
        """Return the first row, or None."""
        self.flush()
        return self._link.one(statement, parameters)

    def all(self, statement: Statement, parameters: Mapping[str, Value]) -> list[Row]:
        """Return every row."""
        self.flush()
        return self._link.all(statement, parameters)

    @property
    def orm(self) -> Session:
        """The ORM session of this transaction, for administration; flushed, never committed."""
        if self._orm is None:
            self._link.begin_now()
            self._orm = Session(bind=self._link.connection, expire_on_commit=False)
        return self._orm

    @property
    def is_sqlite(self) -> bool:
        """Whether this is SQLite, whose writers queue, so that no row needs a lock."""
        return self._sqlite

    def may_take_long(self) -> None:
        """Say that what follows does: NotAtOnce where nobody may wait for it, as on a loop."""

    def flush(self) -> None:
        """Send pending ORM changes, so that driver-level statements see them."""
        if self._orm is not None:
            self._orm.flush()

    def begin(self) -> None:
        """Begin to write: on SQLite at once, on PostgreSQL with the first statement."""
        self._link.begin()

    def run_work(self, work: GroupedWork) -> bool:
        """Run one work of several; False if it raised, which is kept for its caller."""
        if not work.run(self):
            return False
        self.flush()
        return True

    def run_behind_savepoint(self, work: GroupedWork) -> None:
        """Run one work of several; what it raises is kept for its caller, and undone."""
        self._link.say("SAVEPOINT work")
        if not self.run_work(work):
            # After a full disk SQLite may have undone the whole transaction by itself: then
            # there is no savepoint any more, this raises, and nobody's work is answered for.
            self._link.say("ROLLBACK TO work")
        self._link.say("RELEASE work")

    def commit(self) -> None:
        """Commit what both sides did."""
        self.flush()
        self._link.commit()

    def close(self) -> None:
        """Undo whatever is open and let go of the ORM session."""
        try:
            self._link.roll_back()
        finally:
            if self._orm is not None:
                if not self._link.is_at_rest():
                    # The session would ask for a rollback once more, and what it heard would
                    # take the place of what happened.
                    self._link.connection.invalidate()
                self._orm.close()
