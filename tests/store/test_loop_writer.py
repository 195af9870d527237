"""What an event loop writes is on disk before it is answered, and fails as it does in threads."""

import asyncio
import contextvars
import sqlite3
import threading
from collections.abc import Callable
from datetime import timedelta

from pdp.domain.errors import Unavailable
from pdp.store import clients, single_use
from pdp.store.aside import MOST_ASIDE
from pdp.store.database import Database, Statement, Transaction
from pdp.store.single_use import Kind
from tests.builders import NOW
from tests.deployment import a_client
from tests.store.loops import LIMIT, on_a_loop, single, until

LATER = NOW + timedelta(minutes=1)
BAD = Statement("INSERT INTO single_use (kind, value) VALUES ('nothing', :value)")


def spending(value: str) -> Callable[[Transaction], bool]:
    """A work that uses a value up."""
    return lambda tx: single_use.spend(tx, Kind.DEVICE_NONCE, value, expires_at=LATER)


def is_spent(url: str, value: str) -> bool:
    """Tell whether a value was used up, as another process sees it."""
    database = Database.open(url)
    with database.read() as tx:
        found = single_use.is_spent(tx, Kind.DEVICE_NONCE, value)
    database.close()
    return found


def test_what_was_answered_is_there_for_everybody(database_url: str):
    async def work(writer):
        assert await single(writer, spending("one")) is True
        assert is_spent(database_url, "one")
        assert await single(writer, spending("one")) is False

    on_a_loop(Database.open(database_url), work)


def test_of_many_at_once_each_gets_its_own_answer_and_one_wins(database_url: str):
    async def work(writer):
        values = [f"own-{number}" if number % 4 else "same" for number in range(100)]
        answers = await asyncio.gather(*(single(writer, spending(value)) for value in values))
        wins = [value for value, won in zip(values, answers, strict=True) if won]
        assert sorted(wins) == sorted({*values})

    on_a_loop(Database.open(database_url), work)


def test_a_work_that_raises_leaves_the_others_their_answers(database_url: str):
    async def work(writer):
        answers = await asyncio.gather(
            single(writer, spending("before")),
            single(writer, lambda tx: tx.run(BAD, {"value": "bad"})),
            single(writer, spending("after")),
        )
        assert answers[0] is answers[2] is True
        # A mistake of ours is no outage, and is not told as one.
        assert isinstance(answers[1], Exception)
        assert not isinstance(answers[1], Unavailable)
        assert await single(writer, spending("afterwards")) is True

    on_a_loop(Database.open(database_url), work)
    assert is_spent(database_url, "before")
    assert is_spent(database_url, "after")


def test_what_takes_longer_is_done_beside_the_loop_in_the_request_s_context(postgresql_url: str):
    who: contextvars.ContextVar[str] = contextvars.ContextVar("who")

    async def work(writer):
        who.set("request")
        loop = threading.get_ident()

        def many(tx: Transaction) -> str:
            assert threading.get_ident() != loop
            assert all(spending(f"many-{number}")(tx) for number in range(10))
            return who.get()

        class Grouped:
            single = staticmethod(writer.grouped)

        assert await single(Grouped, many) == "request"  # type: ignore[arg-type]

    on_a_loop(Database.open(postgresql_url), work)
    assert is_spent(postgresql_url, "many-9")


def test_what_gets_no_thread_in_time_is_unavailable_and_was_not_done(postgresql_url: str):
    patience = timedelta(milliseconds=300)

    async def work(writer):
        over, begun = threading.Event(), []

        def holds_a_thread(_tx: Transaction) -> None:
            begun.append(1)
            over.wait(LIMIT)

        class Grouped:
            single = staticmethod(writer.grouped)

        held = [
            asyncio.ensure_future(single(Grouped, holds_a_thread))  # type: ignore[arg-type]
            for _ in range(MOST_ASIDE)
        ]
        await until(lambda: len(begun) == MOST_ASIDE)
        assert isinstance(await single(Grouped, spending("late")), Unavailable)  # type: ignore[arg-type]
        over.set()
        await asyncio.gather(*held)
        assert await single(Grouped, spending("late")) is True  # type: ignore[arg-type]

    on_a_loop(Database.open(postgresql_url, busy_timeout=patience), work)


def test_what_sqlite_writes_in_several_statements_is_one_transaction_on_the_loop(sqlite_url: str):
    ran_in = []

    def two(tx: Transaction) -> bool:
        ran_in.append(threading.get_ident())
        return spending("first")(tx) and spending("second")(tx)

    def half(tx: Transaction) -> None:
        spending("half")(tx)
        raise LookupError("its own")

    async def work(writer):
        class Grouped:
            single = staticmethod(writer.grouped)

        assert await single(Grouped, two) is True  # type: ignore[arg-type]
        assert ran_in == [threading.get_ident()]
        assert isinstance(await single(Grouped, half), LookupError)  # type: ignore[arg-type]

    on_a_loop(Database.open(sqlite_url), work)
    told = [is_spent(sqlite_url, value) for value in ("first", "second", "half")]
    assert told == [True, True, False]


def test_what_a_work_changes_through_the_orm_is_kept(sqlite_url: str):
    async def work(writer):
        assert await single(writer, lambda tx: clients.add(tx, a_client("kept"), now=NOW)) is None

    on_a_loop(Database.open(sqlite_url), work)

    database = Database.open(sqlite_url)
    with database.read() as tx:
        assert set(clients.load_all(tx)) == {"kept"}
    database.close()


def test_whoever_asked_may_be_gone(database_url: str):
    async def work(writer):
        gone = [asyncio.ensure_future(single(writer, spending(f"gone-{n}"))) for n in range(10)]
        stays = asyncio.ensure_future(single(writer, spending("stays")))
        await asyncio.wait([*gone, stays], timeout=0)
        for each in gone:
            each.cancel()
        assert await stays is True
        # Nothing is held up by those who left.
        answers = [single(writer, spending(f"later-{n}")) for n in range(20)]
        assert await asyncio.gather(*answers) == [True] * 20

    on_a_loop(Database.open(database_url), work)


def test_a_database_that_is_no_more_is_unavailable(sqlite_url: str, tmp_path):
    (tmp_path / "pratique.db").rename(tmp_path / "away")
    (tmp_path / "pratique.db").write_bytes(b"this is no database, and was never one" * 1000)

    async def work(writer):
        assert isinstance(await single(writer, spending("one")), Unavailable)
        (tmp_path / "pratique.db").unlink()
        (tmp_path / "away").rename(tmp_path / "pratique.db")
        assert await single(writer, spending("one")) is True

    on_a_loop(Database.open(sqlite_url), work)


def test_a_commit_that_is_refused_answers_nobody_of_its_group(sqlite_url: str):
    def orphan(tx: Transaction) -> bool:
        # A reference is looked at when the transaction ends, as a full disk is noticed then.
        tx.run(Statement("PRAGMA defer_foreign_keys=ON"), {})
        tx.run(
            Statement(
                "INSERT INTO refresh_tokens (digest, grant_id, generation, issued_at, expires_at)"
                " VALUES ('d', 'nobody', 0, 0, 0)"
            ),
            {},
        )
        return True

    def refuse(_tx: Transaction) -> None:
        raise LookupError("its own")

    async def work(writer):
        answers = await asyncio.gather(
            single(writer, spending("one")), single(writer, orphan), single(writer, spending("two"))
        )
        assert all(isinstance(answer, sqlite3.IntegrityError) for answer in answers)
        # What failed by itself is told that.
        refused, fails = await asyncio.gather(single(writer, refuse), single(writer, orphan))
        assert (type(refused), type(fails)) == (LookupError, sqlite3.IntegrityError)
        assert await single(writer, spending("three")) is True

    on_a_loop(Database.open(sqlite_url), work)
    assert [is_spent(sqlite_url, value) for value in ("one", "two", "three")] == [
        False,
        False,
        True,
    ]
