"""Questions to PostgreSQL from an event loop: each gets its own answer, or is left to a thread."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy.util import greenlet_spawn

from pdp.store import at_once
from pdp.store.at_once import NotAtOnce
from pdp.store.database import Database, Statement
from pdp.store.pipeline import MOST_OPEN, PipelineReader
from tests.servers import free_port, stopped

ECHO = Statement(
    "SELECT CAST(:value AS text), CAST(:number AS bigint), CAST(:value AS text) IS NULL"
)
PID = Statement("SELECT pg_backend_pid()")
NOTHING = Statement("SELECT 1 WHERE false")
BAD = Statement("SELECT 1 / CAST(:number AS bigint)")
UNKNOWN = Statement("SELECT nothing FROM nowhere")
#: More than a busy machine takes to answer, little enough to wait for.
PATIENCE = timedelta(seconds=2)


def on_a_loop(
    url: str,
    work: Callable[[PipelineReader], Awaitable[object]],
    *,
    patience: timedelta = PATIENCE,
):
    """Run `work` with an open reader, on a loop in a thread of its own."""

    async def run():
        database = Database.open(url)
        reader = PipelineReader(database.engine, asyncio.get_running_loop(), patience=patience)
        try:
            await opened(reader)
            return await work(reader)
        finally:
            reader.close()
            database.close()

    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, run()).result()


async def opened(reader: PipelineReader) -> None:
    """Wait until a connection stands."""
    async with asyncio.timeout(20):
        while not reader.is_open:
            await turn()


async def turn() -> None:
    """Let the loop go round, and threads have their turn: spinning would keep them from it."""
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), 0.02)


async def ask(reader: PipelineReader, statement: Statement, **parameters):
    """Ask one question as a handler does; NotAtOnce is returned, not raised."""
    try:
        return await greenlet_spawn(reader.one, statement, parameters)
    except NotAtOnce as no:
        return no


def test_each_of_many_questions_gets_its_own_answer(postgresql_url: str):
    async def work(reader):
        questions = [ask(reader, ECHO, value=f"v{n}", number=n) for n in range(200)]
        first = await asyncio.gather(*questions)
        # One asks again while others are under way.
        second = await asyncio.gather(
            ask(reader, PID), *(ask(reader, ECHO, value=None, number=n) for n in range(50))
        )
        return first, second

    first, (pid, *second) = on_a_loop(postgresql_url, work)

    assert first == [(f"v{n}", n, False) for n in range(200)]
    assert second == [(None, n, True) for n in range(50)]
    assert pid[0] > 0


def test_no_row_is_an_answer(postgresql_url: str):
    assert on_a_loop(postgresql_url, lambda reader: ask(reader, NOTHING)) is None


def test_a_value_that_postgresql_cannot_hold_harms_nobody_else(postgresql_url: str):
    async def work(reader):
        bad = ask(reader, ECHO, value="a\0b", number=1)
        return await asyncio.gather(bad, ask(reader, ECHO, value="c", number=2))

    bad, good = on_a_loop(postgresql_url, work)

    assert isinstance(bad, NotAtOnce)
    assert good == ("c", 2, False)


@pytest.mark.parametrize("statement", [BAD, UNKNOWN])
def test_a_statement_that_fails_leaves_all_under_way_to_threads_and_a_new_connection_serves(
    postgresql_url: str, statement: Statement
):
    async def work(reader):
        (pid,) = await ask(reader, PID)
        under_way = await asyncio.gather(
            ask(reader, statement, number=0), ask(reader, ECHO, value="c", number=2)
        )
        closed = await ask(reader, PID)
        await opened(reader)
        return pid, under_way, closed, await ask(reader, PID)

    pid, under_way, closed, (later,) = on_a_loop(postgresql_url, work)

    assert all(isinstance(each, NotAtOnce) for each in (*under_way, closed))
    assert later != pid


LOCKED = Statement("SELECT COUNT(*) FROM jobs WHERE id = :value")
LOCKED_TOO = Statement("SELECT COUNT(*) + 1 FROM jobs WHERE id = :value")


@pytest.mark.parametrize("is_known", [True, False], ids=["prepared", "new"])
def test_a_question_about_a_table_that_is_held_is_a_thread_s_and_holds_up_no_other(
    postgresql_url: str, *, is_known: bool
):
    """As by whoever changes its structure; nothing else is read from it."""

    async def work(reader):
        (pid,) = await ask(reader, PID)
        if is_known:
            await ask(reader, LOCKED, value="x")
        with closing(Database.open(postgresql_url)) as beside, beside.write() as tx:
            tx.run(Statement("LOCK TABLE jobs"), {})
            questions = [
                ask(reader, ECHO, value="before", number=0),
                *(ask(reader, LOCKED, value="x") for _ in range(3)),
                ask(reader, LOCKED_TOO, value="x"),
                *(ask(reader, ECHO, value="behind", number=number) for number in range(5)),
            ]
            told = await asyncio.gather(*questions)
        return pid, told, await ask(reader, LOCKED, value="x"), await ask(reader, PID)

    pid, (before, *held), later, (same,) = on_a_loop(postgresql_url, work)

    assert before == ("before", 0, False)
    assert all(isinstance(each, NotAtOnce) for each in held[:4])
    assert held[4:] == [("behind", number, False) for number in range(5)]
    assert (later, same) == ((0,), pid)


def test_however_many_ask_about_a_table_that_is_held_others_are_answered(postgresql_url: str):
    async def work(reader):
        loop = asyncio.get_running_loop()
        await ask(reader, LOCKED, value="x")
        waits, held = [], []
        with closing(Database.open(postgresql_url)) as beside, beside.write() as tx:
            tx.run(Statement("LOCK TABLE jobs"), {})
            # More than would be through one after the other.
            for _ in range(3):
                held += [asyncio.ensure_future(ask(reader, LOCKED, value="x")) for _ in range(150)]
                began = loop.time()
                answer = await ask(reader, ECHO, value="free", number=1)
                waits.append((answer, loop.time() - began))
        return waits, await asyncio.gather(*held), reader.is_open

    waits, held, is_open = on_a_loop(postgresql_url, work)

    assert {answer for answer, _ in waits} == {("free", 1, False)}
    assert max(waited for _, waited in waits) < PATIENCE.total_seconds()
    assert all(isinstance(each, NotAtOnce) for each in held)
    assert is_open


def test_whoever_asks_without_a_pause_about_a_table_that_is_held_keeps_nobody_waiting(
    postgresql_url: str,
):
    async def work(reader):
        loop = asyncio.get_running_loop()
        await ask(reader, LOCKED, value="x")
        held: list[asyncio.Future[object]] = []
        waits: list[tuple[object, float]] = []

        async def insist():
            while len(waits) < 30:
                held.append(asyncio.ensure_future(ask(reader, LOCKED, value="x")))
                await asyncio.wait(held[-1:], timeout=0.005)

        async def ask_others():
            for _ in range(30):
                began = loop.time()
                answer = await ask(reader, ECHO, value="free", number=1)
                waits.append((answer, loop.time() - began))

        with closing(Database.open(postgresql_url)) as beside, beside.write() as tx:
            tx.run(Statement("LOCK TABLE jobs"), {})
            await asyncio.gather(insist(), ask_others())
        return waits, await asyncio.gather(*held), reader.is_open

    waits, held, is_open = on_a_loop(postgresql_url, work)

    # An answer, or a thread's: either soon.
    assert all(isinstance(each, NotAtOnce) or each == ("free", 1, False) for each, _ in waits)
    assert max(waited for _, waited in waits) < PATIENCE.total_seconds() / 2
    # The last ones may come after its release.
    assert all(isinstance(each, NotAtOnce) or each == (0,) for each in held)
    assert is_open


def test_what_cannot_be_sent_again_is_left_to_threads(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
):
    expect = vars(PipelineReader)["_expect"]

    async def work(reader):
        await ask(reader, LOCKED, value="x")
        await ask(reader, ECHO, value="known", number=0)
        expected = []

        def refuse(self, question):
            expected.append(question)
            if len(expected) > 8:
                raise psycopg.OperationalError("on purpose")
            expect(self, question)

        with closing(Database.open(postgresql_url)) as beside, beside.write() as tx:
            tx.run(Statement("LOCK TABLE jobs"), {})
            monkeypatch.setattr(PipelineReader, "_expect", refuse)
            questions = [ask(reader, ECHO, value="b", number=number) for number in range(6)]
            async with asyncio.timeout(20):
                told = await asyncio.gather(ask(reader, LOCKED, value="x"), *questions)
            monkeypatch.undo()
        await opened(reader)
        return told, await ask(reader, ECHO, value="later", number=1)

    told, later = on_a_loop(postgresql_url, work)

    assert all(isinstance(each, NotAtOnce) for each in told)
    assert later == ("later", 1, False)


def test_a_statement_that_was_first_asked_behind_a_lock_costs_nobody_the_connection(
    postgresql_url: str,
):
    async def work(reader):
        (pid,) = await ask(reader, PID)
        await ask(reader, LOCKED, value="x")
        with closing(Database.open(postgresql_url)) as beside, beside.write() as tx:
            tx.run(Statement("LOCK TABLE jobs"), {})
            first = [ask(reader, LOCKED, value="x"), ask(reader, ECHO, value="new", number=1)]
            under_way = [asyncio.ensure_future(each) for each in first]
            # Sent, and not answered yet.
            await asyncio.wait(under_way, timeout=0.01)
            second = await asyncio.gather(*(ask(reader, ECHO, value="2", number=2) for _ in "ab"))
            await asyncio.gather(*under_way)
        return pid, second, await ask(reader, ECHO, value="3", number=3), await ask(reader, PID)

    pid, second, third, same = on_a_loop(postgresql_url, work)

    assert all(isinstance(each, NotAtOnce) or each == ("2", 2, False) for each in second)
    assert (third, same) == (("3", 3, False), (pid,))


def test_a_connection_that_the_server_ends_is_replaced(postgresql_url: str):
    async def work(reader):
        (pid,) = await ask(reader, PID)
        with closing(Database.open(postgresql_url)) as beside, beside.read() as tx:
            tx.one(Statement("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        async with asyncio.timeout(20):
            while reader.is_open:
                await turn()
        await opened(reader)
        return pid, await ask(reader, ECHO, value="d", number=3)

    _, answer = on_a_loop(postgresql_url, work)

    assert answer == ("d", 3, False)


def test_a_server_that_stands_still_is_given_up_and_the_questions_left_to_threads(
    postgresql_url: str,
):
    async def work(reader):
        (pid,) = await ask(reader, PID)
        with stopped(pid):
            under_way = await asyncio.gather(*(ask(reader, PID) for _ in range(5)))
            open_now = reader.is_open
        await opened(reader)
        return under_way, open_now, await ask(reader, ECHO, value="e", number=4)

    under_way, open_now, later = on_a_loop(
        postgresql_url, work, patience=timedelta(milliseconds=300)
    )

    assert all(isinstance(each, NotAtOnce) for each in under_way)
    assert not open_now
    assert later == ("e", 4, False)


def test_questions_beyond_a_number_are_not_kept_waiting(postgresql_url: str):
    async def work(reader):
        (pid,) = await ask(reader, PID)
        with stopped(pid):
            waiting = [asyncio.ensure_future(ask(reader, PID)) for _ in range(MOST_OPEN + 8)]
            async with asyncio.timeout(20):
                while sum(each.done() for each in waiting) < 1:
                    await turn()
            early = sum(each.done() for each in waiting)
            reader.close()
            return early, await asyncio.gather(*waiting)

    early, answers = on_a_loop(postgresql_url, work, patience=timedelta(seconds=60))

    assert 0 < early <= 8
    assert all(isinstance(each, NotAtOnce) for each in answers)


def test_whoever_stopped_waiting_leaves_the_others_their_answers(postgresql_url: str):
    async def work(reader):
        gone = asyncio.ensure_future(ask(reader, ECHO, value="x", number=1))
        await turn()
        gone.cancel()
        return await ask(reader, ECHO, value="f", number=5)

    assert on_a_loop(postgresql_url, work) == ("f", 5, False)


def test_the_connection_goes_with_those_that_an_outage_ends(postgresql_url: str):
    """A primary that a failover made read-only goes on answering, with what was true before it."""

    async def work(reader):
        (pid,) = await ask(reader, PID)
        reader.engine.dispose()
        async with asyncio.timeout(20):
            while reader.is_open:
                await turn()
        between = await ask(reader, PID)
        await opened(reader)
        return pid, between, await ask(reader, PID)

    pid, between, (later,) = on_a_loop(postgresql_url, work)

    assert isinstance(between, NotAtOnce)
    assert later != pid


def test_a_connection_that_was_opened_before_an_outage_is_not_taken_after_it(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
):
    opened_before: list[int] = []
    connect = at_once.own_connection

    def own_connection(engine):
        connection = connect(engine)
        if not opened_before:
            opened_before.append(connection.info.backend_pid)
            engine.dispose()
        return connection

    monkeypatch.setattr("pdp.store.pipeline.own_connection", own_connection)

    (pid,) = on_a_loop(postgresql_url, lambda reader: ask(reader, PID))

    assert [pid] != opened_before


def test_what_fails_while_a_connection_is_taken_over_is_tried_again(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
):
    failures = [OSError("no descriptor is left")]
    duplicate = os.dup

    def dup(descriptor):
        if failures:
            raise failures.pop()
        return duplicate(descriptor)

    monkeypatch.setattr("pdp.store.pipeline.os.dup", dup)

    answer = on_a_loop(postgresql_url, lambda reader: ask(reader, ECHO, value="g", number=6))

    assert answer == ("g", 6, False)
    assert not failures


def test_a_closed_reader_answers_nothing_and_opens_nothing(postgresql_url: str):
    async def work(reader):
        reader.close()
        return await ask(reader, PID), reader.is_open

    answer, is_open = on_a_loop(postgresql_url, work)

    assert isinstance(answer, NotAtOnce)
    assert not is_open


def test_a_server_that_is_away_leaves_everything_to_threads():
    async def run():
        database = Database.open(f"postgresql+psycopg://pdp@127.0.0.1:{free_port()}/pdp")
        reader = PipelineReader(database.engine, asyncio.get_running_loop())
        answer = await ask(reader, PID)
        reader.close()
        database.close()
        return answer

    with ThreadPoolExecutor(max_workers=1) as thread:
        assert isinstance(thread.submit(asyncio.run, run()).result(), NotAtOnce)
