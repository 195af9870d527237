"""The link to SQLite."""

import sqlite3
from collections.abc import Mapping

import sqlalchemy as sa

from pdp.store.statements import Row, Statement, Value


class SqliteLink:
    """SQLite, whose driver keeps prepared statements by itself."""

    __slots__ = ("_driver", "connection")

    def __init__(self, connection: sa.Connection, driver: sqlite3.Connection) -> None:
        self.connection = connection
        self._driver = driver

    def run(self, statement: Statement, parameters: Mapping[str, Value]) -> int:
        """Execute a change; return how many rows it touched."""
        return self._driver.execute(statement.sqlite, parameters).rowcount

    def one(self, statement: Statement, parameters: Mapping[str, Value]) -> Row | None:
        """Return the first row, or None."""
        row: Row | None = self._driver.execute(statement.sqlite, parameters).fetchone()
        return row

    def all(self, statement: Statement, parameters: Mapping[str, Value]) -> list[Row]:
        """Return every row."""
        rows: list[Row] = self._driver.execute(statement.sqlite, parameters).fetchall()
        return rows

    def begin(self) -> None:
        """Take the write lock at once, so that no upgrade can deadlock."""
        self._driver.execute("BEGIN IMMEDIATE")

    def begin_now(self) -> None:
        """Nothing to do: `begin` did it."""

    def say(self, command: str) -> None:
        """Execute a command of transactions, such as SAVEPOINT."""
        self._driver.execute(command)

    def commit(self) -> None:
        """Commit."""
        self._driver.execute("COMMIT")

    def is_lost(self) -> bool:
        """No: what holds the database is in this process."""
        return False

    def roll_back(self) -> None:
        """Undo whatever is open, if anything is."""
        if self._driver.in_transaction:
            self._driver.execute("ROLLBACK")

    def is_at_rest(self) -> bool:
        """Whether no transaction is open."""
        return not self._driver.in_transaction
