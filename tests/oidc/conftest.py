"""The world of the token side, on both databases."""

from collections.abc import Iterator

import pytest

from pdp.store.database import Database
from tests.builders import FrozenClock
from tests.oidc.world import World


@pytest.fixture
def world(database: Database, clock: FrozenClock) -> Iterator[World]:
    """A deployment with clients of each kind, and ada signed in."""
    world = World(database, clock)
    yield world
    world.runtime.decision_log.close()
