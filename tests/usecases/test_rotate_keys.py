"""Keys change with an overlap, and the last one that signs is never taken away."""

from datetime import timedelta

import pytest

from pdp.domain.errors import Conflict, NotFound
from pdp.domain.events import Action
from pdp.jose.keys import generate
from pdp.store import audit_trail, signing_keys
from pdp.store.database import Statement
from pdp.usecases.rotate_keys import add_key, retire_key
from tests.builders import NOW
from tests.deployment import KEY, a_deployment

AHEAD = timedelta(minutes=10)
NEW = generate("ES256", signs_from=NOW + AHEAD)


@pytest.fixture
def runtime(database):
    """A deployment with one ES256 key."""
    return a_deployment(database)


def _add(runtime, key=NEW):
    with runtime.database.write() as tx:
        add_key(tx, runtime.envelope, key, actor="cli:ada", now=NOW)


def _retire(runtime, kid, now):
    with runtime.database.write() as tx:
        retire_key(tx, runtime.envelope, kid, actor="cli:ada", now=now)


def _ring(runtime):
    with runtime.database.read() as tx:
        return runtime.configurations.current(tx).keys


def test_a_new_key_is_published_at_once_and_signs_later(runtime):
    _add(runtime)

    ring = _ring(runtime)
    assert {key["kid"] for key in ring.public_jwks()["keys"]} == {KEY.kid, NEW.kid}
    assert ring.signing_key("ES256", NOW).kid == KEY.kid
    assert ring.signing_key("ES256", NOW + AHEAD).kid == NEW.kid
    assert ring.verification_key(KEY.kid) is not None


def test_a_retired_key_verifies_nothing_and_loses_its_private_half(runtime):
    _add(runtime)

    _retire(runtime, KEY.kid, NOW + AHEAD)

    assert _ring(runtime).verification_key(KEY.kid) is None
    with runtime.database.read() as tx:
        row = tx.one(
            Statement("SELECT private FROM signing_keys WHERE kid = :kid"), {"kid": KEY.kid}
        )
    assert row is not None
    assert row[0] == ""


def test_the_only_key_that_signs_is_not_retired(runtime):
    _add(runtime)

    with pytest.raises(Conflict, match="only ES256 key that signs"):
        _retire(runtime, KEY.kid, NOW)

    assert _ring(runtime).signing_key("ES256", NOW).kid == KEY.kid


def test_a_key_is_retired_once(runtime):
    _add(runtime)
    _retire(runtime, KEY.kid, NOW + AHEAD)

    with pytest.raises(Conflict, match="already"):
        _retire(runtime, KEY.kid, NOW + AHEAD)


def test_an_unknown_key_is_not_found(runtime):
    with pytest.raises(NotFound):
        _retire(runtime, "nobodys", NOW)


def test_the_record_tells_a_first_key_from_a_rotation(runtime):
    _add(runtime)
    _add(runtime, generate("Ed25519", signs_from=NOW))

    with runtime.database.read() as tx:
        actions = {event.action for event in audit_trail.recent(tx, kind="key")}
        assert len(signing_keys.list_all(tx)) == 3
    assert actions == {Action.KEY_ROTATED, Action.KEY_CREATED}
