"""Links: connections spoken to directly, one class for each database, both with the same words.

Hot paths send prepared statements without a cursor, a row factory or a registry of types between:
on PostgreSQL these cost several times what the statement does.
"""

import sqlite3
from collections.abc import Mapping
from typing import Protocol, cast

import sqlalchemy as sa

from pdp.store.deadline import ImpatientConnection
from pdp.store.postgresql_link import PostgresqlLink
from pdp.store.sqlite_link import SqliteLink
from pdp.store.statements import Row, Statement, Value

__all__ = ["Link", "PostgresqlLink", "Row", "SqliteLink", "Statement", "Value", "link_to"]


class Link(Protocol):
    """A connection with what it takes to speak to it, kept from one use to the next."""

    connection: sa.Connection

    def run(self, statement: Statement, parameters: Mapping[str, Value]) -> int:
        """Execute a change; return how many rows it touched."""
        ...

    def one(self, statement: Statement, parameters: Mapping[str, Value]) -> Row | None:
        """Return the first row, or None."""
        ...

    def all(self, statement: Statement, parameters: Mapping[str, Value]) -> list[Row]:
        """Return every row."""
        ...

    def begin(self) -> None:
        """Begin a transaction that writes, by the first statement at the latest."""
        ...

    def begin_now(self) -> None:
        """Make sure of it, before the connection is used past this link."""
        ...

    def say(self, command: str) -> None:
        """Execute a command of transactions, such as SAVEPOINT."""
        ...

    def commit(self) -> None:
        """Commit. CommitUnheard if nobody can tell whether that happened."""
        ...

    def roll_back(self) -> None:
        """Undo whatever is open, if anything is."""
        ...

    def is_at_rest(self) -> bool:
        """Whether the next one may have it: no transaction is open, no answer is to come."""
        ...

    def is_lost(self) -> bool:
        """Whether the server can no longer be heard."""
        ...


def link_to(connection: sa.Connection) -> Link:
    """Return the link over a connection of the engine's pool."""
    driver = connection.connection.driver_connection
    if isinstance(driver, sqlite3.Connection):
        return SqliteLink(connection, driver)
    return PostgresqlLink(connection, cast("ImpatientConnection", driver))
