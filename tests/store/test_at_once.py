"""A question on the event loop: answered there, or left to a thread with nothing done."""

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from pdp.store.at_once import MOST_QUESTIONS, AtOnce, NotAtOnce, SqliteReader
from pdp.store.database import Database, Statement

ECHO = Statement("SELECT :value")
NOTHING = Statement("SELECT 1 WHERE 1 = 0")
WRITE = Statement("DELETE FROM jobs")
NONSENSE = Statement("SELECT nothing FROM nowhere")


@pytest.fixture
def on_sqlite(sqlite_url: str):
    database = Database.open(sqlite_url)
    reader = SqliteReader(database.engine)
    yield AtOnce(database.engine, reader)
    reader.close()
    database.close()


def test_one_question_is_answered(on_sqlite: AtOnce):
    with on_sqlite.read() as tx:
        assert tx.one(ECHO, {"value": "yes"}) == ("yes",)
    with on_sqlite.read() as tx:
        assert tx.one(NOTHING, {}) is None


def test_many_questions_are_not_for_the_loop(on_sqlite: AtOnce):
    with on_sqlite.read() as tx:
        for _ in range(MOST_QUESTIONS):
            tx.one(ECHO, {"value": "yes"})
        with pytest.raises(NotAtOnce):
            tx.one(ECHO, {"value": "yes"})


@pytest.mark.parametrize(
    "ask",
    [
        lambda database: database.write(),
        lambda database: database.grouped(lambda _tx: None),
        lambda database: database.single(lambda _tx: None),
        lambda database: database.lend(),
        lambda database: database.read().__enter__().all(ECHO, {"value": 1}),
        lambda database: database.read().__enter__().run(WRITE, {}),
        lambda database: database.read().__enter__().orm,
        lambda database: database.read().__enter__().may_take_long(),
    ],
)
def test_whatever_may_wait_is_not_for_the_loop(on_sqlite: AtOnce, ask):
    with pytest.raises(NotAtOnce):
        ask(on_sqlite)


def test_what_was_committed_a_moment_ago_is_seen(on_sqlite: AtOnce, sqlite_url: str):
    beside = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    beside.execute("CREATE TABLE numbers (number INTEGER)")
    for number in range(3):
        beside.execute("INSERT INTO numbers VALUES (?)", (number,))
        with on_sqlite.read() as tx:
            assert tx.one(Statement("SELECT MAX(number) FROM numbers"), {}) == (number,)
    beside.close()


def test_a_file_that_somebody_holds_is_not_waited_for(on_sqlite: AtOnce, sqlite_url: str):
    holder = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    holder.execute("PRAGMA journal_mode=DELETE")
    holder.execute("BEGIN EXCLUSIVE")

    with on_sqlite.read() as tx, pytest.raises(NotAtOnce):
        tx.one(Statement("SELECT * FROM sqlite_schema"), {})
    holder.execute("ROLLBACK")
    holder.close()

    with on_sqlite.read() as tx:
        assert tx.one(ECHO, {"value": 1}) == (1,)


def test_a_process_out_of_files_is_told_so_by_sqlite_alone(
    on_sqlite: AtOnce, monkeypatch: pytest.MonkeyPatch
):
    def no_more(*_arguments: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", no_more)
        with on_sqlite.read() as tx:
            assert tx.one(ECHO, {"value": "there"}) == ("there",)


def test_a_statement_that_fails_is_left_to_a_thread_and_the_next_one_is_answered(on_sqlite: AtOnce):
    with on_sqlite.read() as tx, pytest.raises(NotAtOnce):
        tx.one(NONSENSE, {})

    with on_sqlite.read() as tx:
        assert tx.one(ECHO, {"value": 1}) == (1,)


def test_a_database_that_is_gone_is_left_to_a_thread_until_it_is_back(
    on_sqlite: AtOnce, sqlite_url: str, tmp_path: Path
):
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    for part in path.parent.glob(f"{path.name}*"):
        part.rename(tmp_path / f"away-{part.name}")
    path.write_bytes(b"this is no database, and was never one" * 1000)

    with on_sqlite.read() as tx, pytest.raises(NotAtOnce):
        tx.one(Statement("SELECT * FROM sqlite_schema"), {})

    path.unlink()
    with on_sqlite.read() as tx:
        assert tx.one(ECHO, {"value": 1}) == (1,)
