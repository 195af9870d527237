"""A browser in front of the whole application, with bob and his healthy device."""

from collections.abc import Iterator

import pytest

from pdp.store.database import Database
from tests.builders import FrozenClock
from tests.oidc.world import World
from tests.web.browser import Browser, a_person, enrolled


@pytest.fixture
def world(sqlite_url: str, clock: FrozenClock) -> Iterator[World]:
    """A deployment with clients of each kind; what differs by database is tested below the web."""
    database = Database.open(sqlite_url)
    world = World(database, clock)
    yield world
    world.runtime.decision_log.close()
    database.close()


@pytest.fixture
def browser(world: World) -> Browser:
    """A browser enrolled as the healthy device C02XK1, which is bob's; bob is not signed in."""
    browser = Browser(world)
    enrolled(world, browser, world.ada.device, a_person(world))
    return browser
