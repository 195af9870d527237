"""The world of the token side, on both databases, answered by threads and by an event loop."""

from collections.abc import Iterator

import pytest

from pdp.store.database import Database
from tests.builders import FrozenClock
from tests.oidc.world import World


@pytest.fixture(params=["threads", "loop"])
def world(
    database: Database, clock: FrozenClock, request: pytest.FixtureRequest
) -> Iterator[World]:
    """A deployment with clients of each kind, and ada signed in."""
    world = World(database, clock, on_loop=request.param == "loop")
    yield world
    world.close()
