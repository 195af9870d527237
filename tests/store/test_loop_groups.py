"""Statements to PostgreSQL from an event loop share a commit, and each has its own answer."""

import asyncio
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from functools import partial

import psycopg
import pytest

from pdp.domain.errors import OutcomeUnknown, Unavailable
from pdp.store import clients, loop_links
from pdp.store.database import Database, Statement
from pdp.store.group_commit import MOST_WORKS
from pdp.store.loop_groups import GROUP_PATIENCE, MOST_GROUPS
from tests.builders import NOW
from tests.deployment import a_client
from tests.store.loops import on_a_loop, single, until
from tests.store.test_loop_links import SLOW, asking, pid_of
from tests.store.test_loop_writer import BAD, is_spent, spending

TRANSACTION = Statement("SELECT CAST(pg_current_xact_id() AS text)")
PATIENCE = Statement("SELECT current_setting('lock_timeout')")
#: Refuses, as it commits, whatever has the value 'orphan'.
REFUSE_AT_COMMIT = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'check_violation'; END $$;
CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON single_use DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (NEW.value = 'orphan') EXECUTE FUNCTION refuse();
"""
ALLOW_AGAIN = "DROP TRIGGER refuse ON single_use; DROP FUNCTION refuse();"
ASLEEP = (
    "FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND state = 'active'"
    " AND datname = current_database() AND pid <> pg_backend_pid()"
)
WRONG = Statement("SELECT 1 / 0")


@contextmanager
def as_admin(url: str):
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as admin:
        yield admin


async def opened(writer, database: Database | None = None, number: int = 1) -> None:
    """Have connections at hand: opening one is a thread's, and its work goes alone."""
    await single(writer, spending("opened"))
    if database is not None:
        with ExitStack() as lent:
            for _ in range(number):
                lent.enter_context(database.read()).one(PATIENCE, {})


def test_those_that_come_together_are_one_transaction(postgresql_url: str):
    async def work(writer):
        await opened(writer)
        told = await asyncio.gather(*(single(writer, asking(TRANSACTION)) for _ in range(50)))
        assert len(set(told)) == 1

    on_a_loop(Database.open(postgresql_url), work)


def test_those_that_come_while_others_are_under_way_are_the_next(postgresql_url: str):
    async def work(writer):
        await opened(writer)
        first = asyncio.ensure_future(single(writer, asking(TRANSACTION)))
        # Once round for it to ask, once more for its group to begin.
        await asyncio.wait([first], timeout=0)
        await asyncio.wait([first], timeout=0)
        later = [asyncio.ensure_future(single(writer, asking(TRANSACTION))) for _ in range(20)]
        await asyncio.gather(first, *later)
        assert first.result() not in {each.result() for each in later}
        assert len({each.result() for each in later}) == 1

    on_a_loop(Database.open(postgresql_url), work)


def test_more_than_fit_into_one_are_several(postgresql_url: str):
    async def work(writer):
        await opened(writer)
        many = (2 * MOST_WORKS) + 1
        told = await asyncio.gather(*(single(writer, asking(TRANSACTION)) for _ in range(many)))
        assert len(set(told)) == 3

    on_a_loop(Database.open(postgresql_url), work)


def test_an_equal_value_in_one_group_is_spent_once(postgresql_url: str):
    async def work(writer):
        await opened(writer)
        told = await asyncio.gather(*(single(writer, spending("one")) for _ in range(10)))
        assert sorted(told) == [False] * 9 + [True]

    on_a_loop(Database.open(postgresql_url), work)


def test_what_one_of_them_fails_for_undoes_none_of_the_others(postgresql_url: str):
    async def work(writer):
        await opened(writer)
        told = await asyncio.gather(
            single(writer, spending("before")),
            single(writer, lambda tx: tx.run(BAD, {"value": "bad"})),
            single(writer, lambda tx: tx.one(WRONG, {})),
            single(writer, spending("after")),
        )
        assert told[0] is told[3] is True
        assert isinstance(told[1], psycopg.errors.NotNullViolation)
        assert isinstance(told[2], psycopg.errors.DivisionByZero)

    on_a_loop(Database.open(postgresql_url), work)
    assert is_spent(postgresql_url, "before")
    assert is_spent(postgresql_url, "after")


def test_a_commit_that_is_refused_answers_nobody_of_its_group(postgresql_url: str):
    async def work(writer):
        await opened(writer)
        told = await asyncio.gather(
            single(writer, spending("one")),
            single(writer, spending("orphan")),
            single(writer, spending("two")),
        )
        # The refused one fails alone; the others were done again, and are answered for.
        assert isinstance(told[1], psycopg.errors.CheckViolation)
        assert told[0] is told[2] is True

    with as_admin(postgresql_url) as admin:
        admin.execute(REFUSE_AT_COMMIT)
        try:
            on_a_loop(Database.open(postgresql_url), work)
        finally:
            admin.execute(ALLOW_AGAIN)
    assert [is_spent(postgresql_url, value) for value in ("one", "orphan", "two")] == [
        True,
        False,
        True,
    ]


def test_text_that_the_database_does_not_keep_is_refused_to_whoever_sent_it(postgresql_url: str):
    async def work(writer):
        await opened(writer)
        told = await asyncio.gather(
            single(writer, spending("fine")), single(writer, spending("not\0fine"))
        )
        assert told[0] is True
        assert isinstance(told[1], psycopg.DataError)

    on_a_loop(Database.open(postgresql_url), work)


def test_a_group_waits_for_a_row_a_moment_and_whoever_is_alone_as_long_as_it_takes(
    postgresql_url: str,
):
    database, holder = Database.open(postgresql_url), Database.open(postgresql_url)

    async def work(writer):
        await opened(writer)
        assert (await single(writer, asking(PATIENCE))) == ("50ms",)
        with ExitStack() as held:
            spending("row")(held.enter_context(holder.write()))
            waits = asyncio.ensure_future(single(writer, spending("row")))
            assert await single(writer, spending("other")) is True
            # It is done by now, whose row was held is not.
            assert is_spent(postgresql_url, "other")
            assert not waits.done()
        assert await waits is False

    on_a_loop(database, work)
    holder.close()
    # The connection itself is as patient as before.
    database = Database.open(postgresql_url)
    assert database.single(asking(PATIENCE)) == ("10s",)
    database.close()


def test_many_who_wait_for_a_row_hold_up_nobody_who_came_with_them(postgresql_url: str):
    database, holder = Database.open(postgresql_url, pool_size=24), Database.open(postgresql_url)

    async def work(writer):
        await opened(writer, database, 16)
        with ExitStack() as held:
            spending("row")(held.enter_context(holder.write()))
            victims = [
                asyncio.ensure_future(single(writer, spending("row")))
                for _ in range(2 * loop_links.MOST_LINKS)
            ]
            for round_ in range(5):
                others = (single(writer, spending(f"{round_}-{n}")) for n in range(4))
                assert await asyncio.gather(*others) == [True] * 4
            assert not any(each.done() for each in victims)
        assert await asyncio.gather(*victims) == [False] * len(victims)

    on_a_loop(database, work)
    holder.close()


def test_while_a_whole_table_is_held_everybody_is_told_so_in_time(postgresql_url: str):
    """Even where the statement was not prepared before, which is waited for longer."""
    busy = timedelta(seconds=2)
    database = Database.open(postgresql_url, pool_size=24, busy_timeout=busy)

    async def work(writer):
        with ExitStack() as lent:
            for _ in range(16):
                lent.enter_context(database.read()).one(PATIENCE, {})
        with as_admin(postgresql_url) as admin, admin.transaction():
            admin.execute("LOCK TABLE single_use")
            began = asyncio.get_running_loop().time()
            told = await asyncio.gather(*(single(writer, spending(f"t-{n}")) for n in range(32)))
            took = asyncio.get_running_loop().time() - began
        assert {type(each) for each in told} == {Unavailable}
        # A group, one's own try, a place and a lock: not one after the other for all.
        assert took < 10

    on_a_loop(database, work)


def test_the_patience_of_a_group_ends_with_it(postgresql_url: str):
    database = Database.open(postgresql_url)

    async def work(writer):
        pid = await single(writer, pid_of)
        assert (await single(writer, asking(PATIENCE))) == ("50ms",)
        with database.read() as tx:
            assert (pid_of(tx), tx.one(PATIENCE, {})) == (pid, ("10s",))

    on_a_loop(database, work)


def test_who_crosses_another_s_rows_is_answered_and_so_is_the_other(postgresql_url: str):
    """Two groups that hold each other's rows: neither waits for the server to find it out."""
    databases = [Database.open(postgresql_url) for _ in range(2)]

    async def work(writer):
        other = type(writer)(databases[1], asyncio.get_running_loop())
        try:
            for round_ in range(30):
                values = [f"{round_}-{number}" for number in range(8)]
                told = await asyncio.gather(
                    *(single(writer, spending(value)) for value in values),
                    *(single(other, spending(value)) for value in reversed(values)),
                )
                assert sorted(told) == [False] * 8 + [True] * 8
                both = zip(told[:8], reversed(told[8:]), strict=True)
                assert all(one is not another for one, another in both)
        finally:
            other.close()
            databases[1].close()

    on_a_loop(databases[0], work)


def test_a_slow_group_lets_the_next_one_begin_beside_it(postgresql_url: str):
    database = Database.open(postgresql_url)

    async def work(writer):
        await opened(writer, database, 8)
        slow = asyncio.ensure_future(single(writer, asking(SLOW)))
        await asyncio.wait([slow], timeout=0.01)
        assert await single(writer, spending("beside")) is True
        assert not slow.done()
        slow.cancel()

    on_a_loop(database, work)


def test_slow_groups_are_few_and_those_behind_them_get_their_turn(postgresql_url: str):
    database = Database.open(postgresql_url)

    async def work(writer):
        await opened(writer, database, 8)
        slow = []
        with as_admin(postgresql_url) as admin:

            def begun(number: int) -> bool:
                return len(admin.execute(f"SELECT 1 {ASLEEP}").fetchall()) == number

            for number in range(1, MOST_GROUPS + 1):
                slow.append(asyncio.ensure_future(single(writer, asking(SLOW))))
                await until(partial(begun, number))
            behind = asyncio.ensure_future(single(writer, spending("behind")))
            await asyncio.wait([behind], timeout=2 * GROUP_PATIENCE.total_seconds())
            assert not behind.done()
            admin.execute(f"SELECT pg_terminate_backend(pid) {ASLEEP}")
        assert await behind is True
        assert {type(each) for each in await asyncio.gather(*slow)} == {OutcomeUnknown}

    on_a_loop(database, work)


def test_a_group_whose_connection_breaks_off_leaves_open_what_was_done(postgresql_url: str):
    async def work(writer):
        await opened(writer)
        group = [asyncio.ensure_future(single(writer, spending(f"g-{n}"))) for n in range(5)]
        group.append(asyncio.ensure_future(single(writer, asking(SLOW))))
        with as_admin(postgresql_url) as admin:
            ended = f"SELECT pg_terminate_backend(pid) {ASLEEP}"
            await until(lambda: admin.execute(ended).fetchone() is not None)
        told = await asyncio.gather(*group)
        assert {type(each) for each in told} == {OutcomeUnknown}
        # Nothing was committed here; whoever asks again finds that out.
        assert await single(writer, spending("g-0")) is True

    on_a_loop(Database.open(postgresql_url), work)


def test_whoever_came_first_may_leave_the_others(postgresql_url: str):
    async def work(writer):
        await opened(writer)
        first = asyncio.ensure_future(single(writer, spending("first")))
        others = [asyncio.ensure_future(single(writer, spending(f"o-{n}"))) for n in range(5)]
        await asyncio.wait([first], timeout=0)
        first.cancel()
        with suppress(asyncio.CancelledError):
            await first
        assert await asyncio.gather(*others) == [True] * 5

    on_a_loop(Database.open(postgresql_url), work)


def test_a_loop_that_ends_leaves_nobody_waiting(postgresql_url: str):
    told = []

    async def work(writer):
        await opened(writer)

        async def waits() -> None:
            try:
                told.append(await single(writer, asking(SLOW)))
            except asyncio.CancelledError:
                told.append("cancelled")

        kept.extend(asyncio.ensure_future(waits()) for _ in range(3))
        await asyncio.wait(kept, timeout=0.01)

    kept: list[asyncio.Future[None]] = []
    on_a_loop(Database.open(postgresql_url), work)
    assert len(told) == 3
    assert all(each == "cancelled" or isinstance(each, Unavailable) for each in told)


@pytest.mark.parametrize(
    "work",
    [
        lambda tx: (spending("one")(tx), spending("two")(tx)),
        lambda tx: tx.all(PATIENCE, {}),
        lambda tx: clients.add(tx, a_client("kept"), now=NOW),
    ],
    ids=["two statements", "a list", "a session"],
)
def test_what_is_more_than_one_statement_is_refused(postgresql_url: str, work):
    async def try_it(writer):
        await opened(writer)
        assert isinstance(await single(writer, work), RuntimeError)

    on_a_loop(Database.open(postgresql_url), try_it)
    assert not is_spent(postgresql_url, "two")


def test_with_every_connection_in_use_it_is_waited_for(postgresql_url: str):
    database = Database.open(postgresql_url, pool_size=1)

    async def work(writer):
        await opened(writer)
        with database.read() as tx:
            tx.one(PATIENCE, {})
            waits = asyncio.ensure_future(single(writer, spending("late")))
            await asyncio.wait([waits], timeout=0.05)
            assert not waits.done()
        assert await waits is True

    on_a_loop(database, work)
