"""Statements to PostgreSQL from an event loop: the loop goes on, and every wait ends."""

import asyncio
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta

import psycopg
import pytest

from pdp.domain.errors import OutcomeUnknown, Unavailable
from pdp.store import loop_links
from pdp.store.database import Database, Statement, Transaction
from tests.servers import free_port, stopped
from tests.store.loops import LIMIT, on_a_loop, single, until
from tests.store.test_loop_writer import is_spent, spending

ONE = Statement("SELECT 1")
PID = Statement("SELECT pg_backend_pid()")
#: What the kernel does not take at once.
LENGTH = Statement("SELECT length(cast(:text AS text))")
SLOW = Statement("SELECT pg_sleep(60)")
BUSY, GRACE = timedelta(milliseconds=500), timedelta(milliseconds=100)


def pid_of(tx: Transaction) -> int:
    row = tx.one(PID, {})
    assert row is not None
    return int(row[0])


def asking(statement: Statement) -> Callable[[Transaction], object]:
    return lambda tx: tx.one(statement, {})


def test_the_loop_uses_few_connections_and_those_of_threads(postgresql_url: str):
    database = Database.open(postgresql_url)
    with database.read() as tx:
        of_threads = pid_of(tx)

    async def work(writer):
        assert await single(writer, pid_of) == of_threads
        used = await asyncio.gather(*(single(writer, pid_of) for _ in range(50)))
        assert of_threads in used
        assert len(set(used)) <= loop_links.MOST_LINKS

    on_a_loop(database, work)


def test_a_statement_longer_than_the_kernel_takes_is_sent_whole(postgresql_url: str):
    async def work(writer):
        await single(writer, pid_of)
        long = {"text": "x" * 16_000_000}
        assert await single(writer, lambda tx: tx.one(LENGTH, long)) == (16_000_000,)

    on_a_loop(Database.open(postgresql_url), work)


@pytest.mark.parametrize("statement", [PID, LENGTH], ids=["short", "long"])
def test_a_server_that_stands_still_is_told_in_time_and_the_loop_goes_on(
    postgresql_url: str, statement: Statement
):
    database = Database.open(postgresql_url, pool_size=1, busy_timeout=BUSY, grace=GRACE)
    text = {"text": "x" * 16_000_000}

    async def work(writer):
        assert await single(writer, lambda tx: tx.one(LENGTH, {"text": "x"})) == (1,)
        with stopped(await single(writer, pid_of)):
            waits = asyncio.ensure_future(single(writer, lambda tx: tx.one(statement, text)))
            rounds = 0
            while not waits.done():
                await asyncio.wait([waits], timeout=0.01)
                rounds += 1
            # It may have been taken in, and be done yet.
            assert isinstance(waits.result(), OutcomeUnknown)
            assert rounds > 10
        assert await single(writer, spending("afterwards")) is True

    on_a_loop(database, work)


def test_a_connection_that_breaks_off_leaves_open_what_was_done(postgresql_url: str):
    async def work(writer):
        pid = await single(writer, pid_of)
        asleep = asyncio.ensure_future(single(writer, asking(SLOW)))
        with psycopg.connect(postgresql_url.replace("+psycopg", ""), autocommit=True) as admin:

            def ended() -> bool:
                question = (
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE pid = %s AND query LIKE '%%pg_sleep%%'"
                )
                return admin.execute(question, [pid]).fetchone() is not None

            await until(ended)
        assert isinstance(await asleep, OutcomeUnknown)
        assert await single(writer, pid_of) != pid

    on_a_loop(Database.open(postgresql_url), work)


def test_a_statement_that_is_refused_is_told_in_the_database_s_words(postgresql_url: str):
    wrong = Statement("SELECT 1 / 0")

    async def work(writer):
        pid = await single(writer, pid_of)
        assert isinstance(await single(writer, asking(wrong)), psycopg.errors.DivisionByZero)
        assert await single(writer, pid_of) != pid

    on_a_loop(Database.open(postgresql_url), work)


def test_a_connection_whose_answer_nobody_awaited_is_used_by_nobody_else(postgresql_url: str):
    async def work(writer):
        pid = await single(writer, pid_of)
        leaves = asyncio.ensure_future(single(writer, asking(SLOW)))
        await asyncio.wait([leaves], timeout=0.05)
        leaves.cancel()
        await asyncio.wait([leaves])
        used = await asyncio.gather(*(single(writer, pid_of) for _ in range(20)))
        assert pid not in used

    on_a_loop(Database.open(postgresql_url), work)


def test_a_thread_gets_no_connection_that_still_waits_as_the_loop_does(postgresql_url: str):
    """The interpreter may go to another thread anywhere; here it does so as often as it can."""
    database, told, over = Database.open(postgresql_url), [], threading.Event()

    def asking_in_a_thread() -> None:
        while not over.is_set():
            try:
                database.single(asking(ONE))
            except Exception as error:  # noqa: BLE001  whatever it is
                told.append(error)

    async def work(writer):
        async def many() -> list[object]:
            return [await single(writer, asking(ONE)) for _ in range(400)]

        answers = await asyncio.gather(*(many() for _ in range(8)))
        over.set()
        assert {answer for each in answers for answer in each} == {(1,)}

    threads = [threading.Thread(target=asking_in_a_thread) for _ in range(4)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        on_a_loop(database, work)
    finally:
        over.set()
        sys.setswitchinterval(before)
        for thread in threads:
            thread.join(LIMIT)
    assert told == []


def test_who_waits_too_long_for_a_place_is_told_so_and_takes_none(postgresql_url: str):
    database = Database.open(postgresql_url, busy_timeout=BUSY, pool_size=16)
    holder = Database.open(postgresql_url)

    async def work(writer):
        with ExitStack() as held:
            spending("row")(held.enter_context(holder.write()))
            waits = [single(writer, spending("row")) for _ in range(loop_links.MOST_LINKS + 4)]
            answers = await asyncio.gather(*waits)
        # The server's own limit for a lock, or ours for a place.
        assert {type(answer) for answer in answers} == {Unavailable}
        others = (single(writer, spending(f"other-{number}")) for number in range(20))
        assert await asyncio.gather(*others) == [True] * 20

    on_a_loop(database, work)
    holder.close()


def test_a_server_that_is_away_is_unavailable_and_keeps_nobody_s_place():
    port = free_port()
    database = Database.open(f"postgresql+psycopg://nobody@127.0.0.1:{port}/nothing")

    async def work(writer):
        for _ in range(3 * loop_links.MOST_LINKS):
            assert isinstance(await single(writer, pid_of), Unavailable)

    on_a_loop(database, work)


def test_one_that_waits_for_a_row_holds_up_nobody_else(postgresql_url: str):
    holder = Database.open(postgresql_url)

    async def work(writer):
        await single(writer, pid_of)
        with ExitStack() as held:
            spending("row")(held.enter_context(holder.write()))
            waits = asyncio.ensure_future(single(writer, spending("row")))
            others = (single(writer, spending(f"other-{number}")) for number in range(20))
            assert await asyncio.gather(*others) == [True] * 20
            assert not waits.done()
        assert await waits is False

    on_a_loop(Database.open(postgresql_url), work)
    holder.close()
    assert is_spent(postgresql_url, "other-19")
