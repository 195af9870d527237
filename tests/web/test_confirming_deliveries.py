"""Deliveries on the event loop of PostgreSQL: those that confirm, with what threads would leave."""

import asyncio
import random
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import orjson
import pytest

from pdp.store.database import Database, Statement
from tests.builders import NOW, FrozenClock, a_delivery
from tests.deployment import the_device
from tests.oidc.world import World
from tests.web.test_door import a_signed_webhook
from tests.web.test_on_the_loop import Asked, OnLoop, introspecting, is_active, on_the_loop

MINUTE = timedelta(minutes=1)
_NAME = "(SELECT MIN(value) FROM device_names WHERE device_id = devices.id)"
_LEFT: Mapping[str, Statement] = {
    "devices": Statement(
        f"SELECT {_NAME}, readings, status, risk, causes, valid_until, assessed_with,"  # noqa: S608  names of ours
        " updated_at FROM devices ORDER BY 1"
    ),
    "deliveries": Statement(
        "SELECT source_id, delivery_id, body_digest, received_at FROM deliveries"
        " ORDER BY delivery_id"
    ),
    "signals": Statement(
        "SELECT source_id, signal_id, result, digest, document, event_time, received_at,"  # noqa: S608  names of ours
        f" {_NAME} FROM signals LEFT JOIN devices ON devices.id = device_id ORDER BY signal_id"
    ),
}


@pytest.fixture
def world(postgresql_url: str, clock: FrozenClock) -> Iterator[World]:
    """A deployment on PostgreSQL."""
    database = Database.open(postgresql_url)
    world = World(database, clock)
    yield world
    world.close()
    database.close()


def left(world: World) -> dict[str, list[tuple[Any, ...]]]:
    """Return what is kept of deliveries, devices by their names."""
    with world.database.read() as tx:
        return {
            name: [tuple(row) for row in tx.all(statement, {})] for name, statement in _LEFT.items()
        }


def kept(world: World) -> list[str]:
    """Return the ids of the signals that are kept."""
    return [row[1] for row in left(world)["signals"]]


def confirming(number: int, **members: object) -> Asked:
    """A delivery about ada's device that says once more what is known, a second later each."""
    at = NOW - timedelta(seconds=59 - number)
    given = {"event_time": at.strftime("%Y-%m-%dT%H:%M:%SZ"), **members}
    return a_signed_webhook(delivery_id=f"msg_{number}", id=f"evt-{number}", **given)


async def warmed_up(ways: OnLoop) -> None:
    """Let the loop find a connection at hand, and the device a first reading."""
    ways.in_a_thread(confirming(0, risk="low"))


def test_what_confirms_is_answered_on_the_loop_and_kept(world: World):
    async def work(ways: OnLoop) -> Any:
        await warmed_up(ways)
        before = the_device(world.database, world.ada.device)
        told = await ways.at_once(confirming(1, risk="low"))
        return before, told, the_device(world.database, world.ada.device)

    before, told, after = on_the_loop(world, work)

    assert (told[0], orjson.loads(told[2])) == (202, {"result": "accepted", "signals": 1})
    assert after.device.readings != before.device.readings
    assert "evt-1" in set(kept(world))


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"risk": "high"}, id="a change"),
        pytest.param({"device": {"serial": "nobody knows"}}, id="an unknown device"),
        pytest.param({"event_time": "2026-03-02T09:00:00Z"}, id="a late one"),
    ],
)
def test_what_says_more_is_for_a_thread_and_was_not_begun(
    world: World, members: Mapping[str, object]
):
    async def work(ways: OnLoop) -> Any:
        await warmed_up(ways)
        before = left(world)
        at_once = await ways.at_once(confirming(1, **{"risk": "low", **members}))
        return at_once, left(world) == before, ways.in_a_thread(confirming(1, **members))

    at_once, is_unchanged, in_a_thread = on_the_loop(world, work)

    assert (at_once, is_unchanged, in_a_thread[0]) == (None, True, 202)


def both_of_them() -> Asked:
    """Two signals in one delivery, each of which confirms."""
    signals = [
        {
            "id": f"evt-{number}",
            "event_time": (NOW - timedelta(seconds=9 - number)).isoformat(),
            "device": {"serial": "C02XK1"},
            "risk": "low",
        }
        for number in (1, 2)
    ]
    body = orjson.dumps({"signals": signals})
    signed = a_delivery(body, delivery_id="both").headers
    headers = {f"HTTP_{name.upper().replace('-', '_')}": said[0] for name, said in signed.items()}
    return {**headers, "PATH_INFO": "/webhooks/edr", "CONTENT_TYPE": "application/json"}, body


def test_a_batch_is_for_a_thread(world: World):
    async def work(ways: OnLoop) -> Any:
        await warmed_up(ways)
        return await ways.at_once(both_of_them()), await ways.in_either(both_of_them())

    at_once, told = on_the_loop(world, work)

    assert at_once is None
    assert orjson.loads(told[2]) == {"result": "accepted", "signals": 2}
    assert {"evt-1", "evt-2"} <= set(kept(world))


def test_the_same_delivery_sent_many_times_at_once_counts_once(world: World):
    asked = confirming(1, risk="low")

    async def work(ways: OnLoop) -> Any:
        await warmed_up(ways)

        return await asyncio.gather(*(ways.in_either(asked) for _ in range(16)))

    told = on_the_loop(world, work)

    results = sorted(orjson.loads(each[2])["result"] for each in told)
    assert results == ["accepted"] + ["duplicate"] * 15
    assert kept(world).count("evt-1") == 1


def test_many_about_one_device_at_once_are_all_kept(world: World):
    async def work(ways: OnLoop) -> Any:
        await warmed_up(ways)

        asked = [confirming(number, risk="low") for number in range(1, 30)]
        return await asyncio.gather(*(ways.in_either(each) for each in asked))

    told = on_the_loop(world, work)

    assert {orjson.loads(each[2])["result"] for each in told} == {"accepted"}
    assert {f"evt-{number}" for number in range(1, 30)} <= {
        row[1] for row in left(world)["signals"]
    }


def test_a_change_that_comes_with_confirmations_is_never_written_over(world: World):
    """The newest statement counts, whatever was read before it came."""
    token = world.tokens()["access_token"]
    bad = a_signed_webhook(
        delivery_id="bad", id="bad", risk="high", event_time="2026-03-02T10:00:30Z"
    )

    async def work(ways: OnLoop) -> Any:
        await warmed_up(ways)
        few = [asyncio.ensure_future(ways.at_once(confirming(n, risk="low"))) for n in range(1, 10)]
        change = asyncio.ensure_future(ways.in_either(bad))
        few += [
            asyncio.ensure_future(ways.at_once(confirming(n, risk="low"))) for n in range(10, 15)
        ]
        await asyncio.gather(*few, change)
        return await ways.at_once(introspecting(token))

    assert not is_active(on_the_loop(world, work))


def _any_delivery(chance: random.Random, number: int) -> Asked:
    """A delivery as a source, a confused one at times, may send it."""
    repeated = chance.randrange(number + 1)
    at = NOW - timedelta(seconds=59 - number / 2) - chance.choice([0, 0, 0, 1]) * MINUTE
    return a_signed_webhook(
        delivery_id=f"msg_{chance.choice([number] * 9 + [repeated])}",
        id=f"evt-{chance.choice([number] * 9 + [repeated])}",
        device={"serial": chance.choice(["C02XK1", "C02XK1", "F5KP2"])},
        risk=chance.choice(["low"] * 8 + ["medium", "high"]),
        event_time=at.isoformat(),
    )


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_delivered_leaves_what_threads_would_have_left(
    world: World, sqlite_url: str, seed: int
):
    database = Database.open(sqlite_url)
    other = World(database, FrozenClock())
    chance = random.Random(seed)  # noqa: S311  the same each time
    asked = [_any_delivery(chance, number) for number in range(80)]

    async def on_both_ways(ways: OnLoop) -> Any:
        await warmed_up(ways)
        quick = [await ways.at_once(each) or ways.in_a_thread(each)[:1] for each in asked]
        return [told[0] for told in quick], sum(len(told) > 1 for told in quick)

    async def in_threads(ways: OnLoop) -> Any:
        await warmed_up(ways)
        return [ways.in_a_thread(each)[0] for each in asked]

    told, quick = on_the_loop(world, on_both_ways)

    assert told == on_the_loop(other, in_threads)
    assert left(world) == left(other)
    assert quick > 10
    other.close()
    database.close()
