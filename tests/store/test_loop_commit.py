"""SQLite's one writer, waited for from an event loop: the loop goes on, and the wait ends."""

import asyncio
import errno
import fcntl
import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa

from pdp.domain.errors import Unavailable
from pdp.store.database import Database, Statement, Transaction
from pdp.store.writer_lock import WriterLock
from tests.store.loops import LIMIT, on_a_loop, single, until
from tests.store.test_loop_writer import is_spent, spending
from tests.store.test_writer_lock import held_elsewhere

BRIEF = timedelta(milliseconds=200)
COUNT = Statement("SELECT COUNT(*) FROM single_use")


def one_more(number: int) -> Callable[[Transaction], int]:
    """A work that adds a row, and tells how many it then sees."""

    def work(tx: Transaction) -> int:
        spending(f"{number}")(tx)
        row = tx.one(COUNT, {})
        assert row is not None
        return int(row[0])

    return work


def test_works_run_on_the_loop_itself(sqlite_url: str):
    async def work(writer):
        ran = await asyncio.gather(
            *(single(writer, lambda _tx: threading.get_ident()) for _ in range(20))
        )
        assert {*ran} == {threading.get_ident()}

    on_a_loop(Database.open(sqlite_url), work)


def test_works_that_come_while_another_process_writes_share_the_commit_after_it(
    sqlite_url: str, tmp_path
):
    async def work(writer):
        assert await single(writer, one_more(10)) == 1
        with held_elsewhere(tmp_path / "pratique.db.lock"):
            first = asyncio.ensure_future(single(writer, one_more(0)))
            await asyncio.wait([first], timeout=0.05)
            rest = [asyncio.ensure_future(single(writer, one_more(n))) for n in range(1, 10)]
            await asyncio.wait(rest, timeout=0.05)
            assert not any(each.done() for each in (first, *rest))
            before = commits()
        assert await asyncio.gather(first, *rest) == list(range(2, 12))
        assert commits() == before + 1

    observer = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), check_same_thread=False)

    def commits() -> int:
        # It grows with each commit of another connection.
        return int(observer.execute("PRAGMA data_version").fetchone()[0])

    on_a_loop(Database.open(sqlite_url), work)
    observer.close()


def test_a_lock_that_does_not_come_is_unavailable_to_those_who_waited_for_it(
    sqlite_url: str, tmp_path
):
    async def work(writer):
        with held_elsewhere(tmp_path / "pratique.db.lock"):
            answers = await asyncio.gather(*(single(writer, spending(f"{n}")) for n in range(3)))
        assert all(isinstance(answer, Unavailable) for answer in answers)
        assert await single(writer, spending("0")) is True

    on_a_loop(Database.open(sqlite_url, busy_timeout=BRIEF), work)


def test_who_came_after_those_who_waited_in_vain_goes_on(sqlite_url: str, tmp_path):
    async def work(writer):
        with held_elsewhere(tmp_path / "pratique.db.lock"):
            first = asyncio.ensure_future(single(writer, spending("first")))
            await asyncio.wait([first], timeout=0.1)
            later = asyncio.ensure_future(single(writer, spending("later")))
            assert isinstance(await first, Unavailable)
            assert not later.done()
        assert await later is True

    on_a_loop(Database.open(sqlite_url, busy_timeout=BRIEF), work)


def test_the_lock_is_held_until_the_commit_is_over(sqlite_url: str, tmp_path):
    path = str(tmp_path / "pratique.db.lock")
    database, free = Database.open(sqlite_url), []

    def look(statement: str) -> None:
        if statement in {"BEGIN IMMEDIATE", "COMMIT"}:
            let_go = WriterLock(path, BRIEF).taken_at_once()
            free.append(let_go is not None)
            if let_go is not None:
                let_go()

    @sa.event.listens_for(database.engine, "connect")
    def _watch(connection: sqlite3.Connection, _record: object) -> None:
        connection.set_trace_callback(look)

    async def work(writer):
        for number in range(3):
            assert await single(writer, spending(f"{number}")) is True

    on_a_loop(database, work)
    assert free == [False] * 6


def test_a_connection_that_cannot_be_made_is_told_to_all_who_wait_and_tried_again(sqlite_url: str):
    database = Database.open(sqlite_url)
    failures = [MemoryError("for now")]

    @sa.event.listens_for(database.engine, "connect")
    def _fail(_connection: object, _record: object) -> None:
        if failures:
            raise failures.pop()

    async def work(writer):
        answers = await asyncio.gather(*(single(writer, spending(f"{n}")) for n in range(3)))
        assert [type(answer) for answer in answers] == [MemoryError] * 3
        assert await single(writer, spending("0")) is True

    on_a_loop(database, work)


@pytest.mark.parametrize("is_held", [True, False], ids=["waiting for the lock", "at once"])
def test_whatever_goes_wrong_with_the_lock_is_told_and_the_next_one_is_written(
    sqlite_url: str, tmp_path, monkeypatch, *, is_held: bool
):
    def no_locks(_handle: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    def no_threads(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def work(writer):
        with monkeypatch.context() as patched:
            if is_held:
                patched.setattr(threading.Thread, "start", no_threads)
                with held_elsewhere(tmp_path / "pratique.db.lock"):
                    assert isinstance(await single(writer, spending("one")), Unavailable)
            else:
                patched.setattr(fcntl, "flock", no_locks)
                assert isinstance(await single(writer, spending("one")), Unavailable)
        assert await single(writer, spending("one")) is True

    on_a_loop(Database.open(sqlite_url), work)


def test_a_loop_at_its_end_leaves_the_lock_to_others(sqlite_url: str, tmp_path):
    path = tmp_path / "pratique.db.lock"

    async def work(writer):
        with held_elsewhere(path):
            waits = asyncio.ensure_future(single(writer, spending("one")))
            await asyncio.wait([waits], timeout=0.1)
            writer.close()
        # As at the end of a process: whatever is due after this, the loop does not come to it.
        with WriterLock(str(path), timedelta(seconds=LIMIT)).held():
            pass
        assert isinstance(await waits, Unavailable)

    on_a_loop(Database.open(sqlite_url), work)


def test_a_folder_that_is_gone_is_unavailable(sqlite_url: str, tmp_path):
    (tmp_path / "pratique.db.lock").mkdir()

    async def work(writer):
        assert isinstance(await single(writer, spending("one")), Unavailable)

    on_a_loop(Database.open(sqlite_url), work)


def test_a_program_that_holds_the_file_itself_is_waited_for_beside_the_loop(sqlite_url: str):
    holder = sqlite3.connect(
        sqlite_url.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False
    )

    async def work(writer):
        assert await single(writer, spending("before")) is True
        holder.execute("BEGIN IMMEDIATE")
        waits = asyncio.ensure_future(single(writer, spending("one")))
        began = time.monotonic()
        # The loop goes round meanwhile: had it waited itself, this would take ten seconds.
        for _ in range(10):
            await asyncio.wait([waits], timeout=0.01)
        assert not waits.done()
        assert time.monotonic() - began < 5
        holder.execute("ROLLBACK")
        assert await waits is True

    on_a_loop(Database.open(sqlite_url), work)
    holder.close()
    assert is_spent(sqlite_url, "one")


def test_threads_and_the_loop_write_in_turns(sqlite_url: str):
    database = Database.open(sqlite_url)
    answers: list[bool] = []

    def write(thread: int) -> None:
        works = (spending(f"thread-{thread}-{number}") for number in range(50))
        answers.extend(database.grouped(work) for work in works)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(2)]

    async def work(writer):
        for thread in threads:
            thread.start()
        works = (spending(f"loop-{number}") for number in range(50))
        answers.extend([await single(writer, work) for work in works])
        await until(lambda: len(answers) == 150)

    on_a_loop(database, work)
    for thread in threads:
        thread.join(LIMIT)
    assert answers == [True] * 150


def test_more_works_than_one_commit_takes_are_all_answered(sqlite_url: str):
    async def work(writer):
        answers = await asyncio.gather(*(single(writer, spending(f"{n}")) for n in range(200)))
        assert answers == [True] * 200

    on_a_loop(Database.open(sqlite_url), work)
