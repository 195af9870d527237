"""Deliveries on the event loop: what a thread would say; what must wait is left to one."""

import asyncio
from collections.abc import Iterator

import orjson
import pytest
from prometheus_client import REGISTRY

from pdp.domain.ids import ClientId
from pdp.store.database import Database, Statement
from pdp.usecases.register_client import disable_client
from pdp.web.on_the_loop import MOST_DELIVERIES
from tests.builders import NOW, SOURCE, FrozenClock
from tests.oidc.world import World
from tests.web.test_confirming_deliveries import both_of_them
from tests.web.test_door import a_signed_webhook
from tests.web.test_on_the_loop import Asked, OnLoop, introspecting, is_active, on_the_loop

_KEPT = Statement("SELECT COUNT(*) FROM signals")


@pytest.fixture
def world(sqlite_url: str, clock: FrozenClock) -> Iterator[World]:
    """A deployment on SQLite: on PostgreSQL most are for threads (`test_confirming_deliveries`)."""
    database = Database.open(sqlite_url)
    world = World(database, clock)
    yield world
    world.close()
    database.close()


def kept(world: World) -> int:
    """Return how many signals are kept."""
    with world.database.read() as tx:
        row = tx.one(_KEPT, {})
    assert row is not None
    return int(row[0])


def refused() -> float:
    """Return how many deliveries counted as wrongly signed."""
    labels = {"source": SOURCE, "result": "bad-signature"}
    return REGISTRY.get_sample_value("pdp_signals_received_total", labels) or 0


def test_a_delivery_is_kept_before_it_is_accepted(world: World):
    before = kept(world)

    async def work(ways: OnLoop) -> object:
        return await ways.at_once(a_signed_webhook()), kept(world)

    told, after = on_the_loop(world, work)

    assert told[0] == 202
    assert orjson.loads(told[2]) == {"result": "accepted", "signals": 1}
    assert after == before + 1


def test_each_is_answered_as_a_thread_would(world: World):
    environ, body = a_signed_webhook(delivery_id="msg_2")
    asked = {
        "the same again": a_signed_webhook(),
        "its id with another body": a_signed_webhook(id="evt-2"),
        "no signal": a_signed_webhook(delivery_id="msg_3", risk="bad"),
        "another type": ({**environ, "CONTENT_TYPE": "text/plain"}, body),
    }

    async def work(ways: OnLoop) -> object:
        await ways.at_once(a_signed_webhook())
        return {name: await ways.both(each) for name, each in asked.items()}

    told = on_the_loop(world, work)

    for at_once, in_a_thread in told.values():
        assert at_once == in_a_thread
    assert [at_once[0] for at_once, _ in told.values()] == [202, 409, 400, 415]


def test_a_batch_is_for_a_thread(world: World):
    """Of many signals each would hold up whatever else is asked."""

    async def work(ways: OnLoop) -> object:
        return await ways.at_once(both_of_them()), await ways.in_either(both_of_them())

    at_once, told = on_the_loop(world, work)

    assert at_once is None
    assert orjson.loads(told[2]) == {"result": "accepted", "signals": 2}


def test_what_nobody_signed_is_for_a_thread_to_count(world: World):
    environ, body = a_signed_webhook()
    before = refused()

    async def work(ways: OnLoop) -> object:
        return await ways.both((environ, body + b" "))

    at_once, in_a_thread = on_the_loop(world, work)

    assert (at_once, in_a_thread[0]) == (None, 401)
    assert refused() == before + 1


def test_a_large_delivery_is_for_a_thread_to_read(world: World):
    async def work(ways: OnLoop) -> object:
        return await ways.both(a_signed_webhook(device={"serial": "S1", "edr_id": "x" * 5000}))

    at_once, in_a_thread = on_the_loop(world, work)

    assert (at_once, in_a_thread[0]) == (None, 400)


def test_a_configuration_that_moved_is_for_a_thread_to_load_and_nothing_was_applied(world: World):
    before = kept(world)

    async def work(ways: OnLoop) -> object:
        with world.database.write() as tx:
            disable_client(tx, ClientId("other"), actor="test", now=NOW)
        at_once = await ways.at_once(a_signed_webhook())
        unapplied = kept(world) == before
        return at_once, unapplied, ways.in_a_thread(a_signed_webhook())

    at_once, unapplied, in_a_thread = on_the_loop(world, work)

    assert at_once is None
    assert unapplied
    assert orjson.loads(in_a_thread[2]) == {"result": "accepted", "signals": 1}


def test_the_next_check_counts_what_a_delivery_said(world: World):
    asked = introspecting(world.tokens()["access_token"])

    async def work(ways: OnLoop) -> object:
        before = await ways.at_once(asked)
        delivered = await ways.at_once(a_signed_webhook(risk="high"))
        return before, delivered, await ways.at_once(asked)

    before, delivered, after = on_the_loop(world, work)

    assert delivered[0] == 202
    assert is_active(before)
    assert not is_active(after)


def test_deliveries_are_for_the_loop_and_nothing_else_under_their_name(world: World):
    async def work(ways: OnLoop) -> object:
        asked = [("POST", "/webhooks/edr"), ("GET", "/webhooks/edr"), ("POST", "/webhooks")]
        return [ways.checks.knows(*each) for each in asked]

    assert on_the_loop(world, work) == [True, False, False]


def test_of_a_burst_the_loop_takes_few_and_threads_the_rest(world: World):
    def numbered(number: int) -> Asked:
        return a_signed_webhook(delivery_id=f"msg_{number}", id=f"evt-{number}")

    async def work(ways: OnLoop) -> object:
        with world.database.write():
            few = [asyncio.ensure_future(ways.at_once(numbered(n))) for n in range(MOST_DELIVERIES)]
            await asyncio.wait(few, timeout=0)
            one_more = await ways.at_once(numbered(MOST_DELIVERIES))
        told = await asyncio.gather(*few)
        return one_more, [each[0] for each in told if each], await ways.at_once(numbered(99))

    one_more, taken_in, afterwards = on_the_loop(world, work)

    assert one_more is None
    assert taken_in == [202] * MOST_DELIVERIES
    assert afterwards[0] == 202
