"""Migrated, empty PostgreSQL databases, lent to one test after the other.

Making one costs a quarter of a second, undoing what a test wrote a few milliseconds: a database
that was left with the structure that it had is lent again; any other is dropped.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import sqlalchemy as sa
from psycopg import sql

from pdp.store.schema import upgrade

_TEMPLATE = sql.Identifier("migrated")
_OTHERS = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
_TABLES = (
    "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
)
#: Every column of every table and index, the revision, what was set for the database, and how
#: many constraints, triggers and functions there are.
_STRUCTURE = """
SELECT string_agg(concat_ws(' ', c.relname, c.relkind, a.attname, a.atttypid, a.atttypmod,
                            a.attnotnull), ',' ORDER BY c.relname, a.attnum),
       (SELECT string_agg(version_num, ',') FROM alembic_version),
       (SELECT count(*) FROM pg_db_role_setting),
       (SELECT count(*) FROM pg_constraint WHERE connamespace = 'public'::regnamespace),
       (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal),
       (SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace)
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0
"""


class _Database:
    """One that can be lent, with what it was like when it was new."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self._connection = psycopg.connect(url, autocommit=True)
        self._structure = self._connection.execute(_STRUCTURE).fetchone()
        self._tables = [name for (name,) in self._connection.execute(_TABLES)]
        # As a replica deletes: foreign keys ask for no order.
        self._connection.execute("SET session_replication_role = replica")
        self._rows = {name: self._rows_of(name) for name in self._tables}

    def is_as_new(self) -> bool:
        """Send everybody else away and undo what was written; False if it is not the same then."""
        try:
            self._connection.execute(_OTHERS)
            if self._connection.execute(_STRUCTURE).fetchone() != self._structure:
                return False
            self._connection.execute(
                sql.SQL(";").join(
                    sql.SQL("DELETE FROM {}").format(sql.Identifier(name)) for name in self._tables
                )
            )
            for name, rows in self._rows.items():
                for row in rows:
                    values = sql.SQL(",").join(map(sql.Literal, row))
                    table = sql.Identifier(name)
                    self._connection.execute(
                        sql.SQL("INSERT INTO {} VALUES ({})").format(table, values)
                    )
        except psycopg.Error:
            return False
        return True

    def close(self) -> None:
        """Close our connection."""
        self._connection.close()

    def _rows_of(self, name: str) -> list[tuple[object, ...]]:
        query = sql.SQL("SELECT * FROM {}").format(sql.Identifier(name))
        return self._connection.execute(query).fetchall()


class Databases:
    """The databases of one server, by its maintenance database's `postgresql://` URL."""

    def __init__(self, maintenance: str) -> None:
        self._maintenance = maintenance
        self._idle: list[_Database] = []
        self._made = 0
        self._say("CREATE DATABASE {template}")
        migrate(self.url_of("migrated"))

    @contextmanager
    def lent(self) -> Iterator[str]:
        """Lend one; yield its SQLAlchemy URL. Nobody is connected to it any more afterwards."""
        database = self._idle.pop() if self._idle else self._make()
        yield self.url_of(database.name)
        if database.is_as_new():
            self._idle.append(database)
        else:
            database.close()
            self._say("DROP DATABASE {name} WITH (FORCE)", database.name)

    def close(self) -> None:
        """Let go of the connections; the server's end is the databases' end."""
        for database in self._idle:
            database.close()

    def url_of(self, name: str) -> str:
        """Return the SQLAlchemy URL of the database of this name."""
        url = sa.make_url(self._maintenance).set(drivername="postgresql+psycopg", database=name)
        return url.render_as_string(hide_password=False)

    def _make(self) -> _Database:
        self._made += 1
        name = f"test_{self._made}"
        self._say("CREATE DATABASE {name} TEMPLATE {template}", name)
        url = sa.make_url(self._maintenance).set(database=name)
        return _Database(name, url.render_as_string(hide_password=False))

    def _say(self, command: str, name: str = "") -> None:
        words = {"name": sql.Identifier(name or "-"), "template": _TEMPLATE}
        with psycopg.connect(self._maintenance, autocommit=True) as connection:
            connection.execute(sql.SQL(command).format(**words))


def break_off_at_commit(url: str, table: str) -> None:
    """Make the server end the connection of whoever commits a new row of this table."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "CREATE FUNCTION break_off() RETURNS trigger LANGUAGE plpgsql AS"
                " 'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END'"
            )
        )
        connection.execute(
            sa.text(
                f"CREATE CONSTRAINT TRIGGER break_off AFTER INSERT ON {table}"
                " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION break_off()"
            )
        )
    engine.dispose()


def migrate(url: str) -> None:
    """Bring an empty database to the newest schema."""
    engine = sa.create_engine(url)
    upgrade(engine)
    engine.dispose()
