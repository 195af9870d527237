"""The world of the token side, on both databases."""

import pytest

from pdp.store.database import Database
from tests.builders import FrozenClock
from tests.oidc.world import World


@pytest.fixture
def world(database: Database, clock: FrozenClock) -> World:
    """A deployment with clients of each kind, and ada signed in."""
    return World(database, clock)
