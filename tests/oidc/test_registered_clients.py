"""What a client is registered with binds it: its secrets while they last, its addresses."""

from datetime import timedelta

import pytest
from authlib.oauth2.rfc6749 import OAuth2Error

from pdp.domain.ids import ClientId
from pdp.oidc import endpoints
from pdp.store import clients
from pdp.usecases.client_secrets import client_pepper, secret_digest
from pdp.usecases.register_client import rotate_client_secret
from tests.builders import NOW, an_envelope
from tests.oidc.world import World, a_confidential_client, secret_of

_OVERLAP = timedelta(hours=24)
_NEW_SECRET = "another-secret-of-at-least-32-characters"
_LOOPBACK = "http://127.0.0.1:8080/callback"


def _rotate(world: World, client_id: str) -> None:
    """Give a client a new secret, with an overlap."""
    digest = secret_digest(_NEW_SECRET, client_pepper(an_envelope()))
    with world.database.write() as tx:
        rotate_client_secret(
            tx, ClientId(client_id), digest, overlap=_OVERLAP, actor="cli:ada", now=NOW
        )


def _status_with(world: World, secret: str) -> int:
    """Ask for a token as `backup` with a secret."""
    form = f"grant_type=client_credentials&client_id=backup&client_secret={secret}"
    return world.post_raw(endpoints.token, form.encode(), None).status


def test_the_secret_before_a_rotation_is_good_until_the_overlap_ends(world: World):
    _rotate(world, "backup")
    old, tick = secret_of("backup"), timedelta(microseconds=1)

    world.clock.now = NOW + _OVERLAP - tick
    assert (_status_with(world, old), _status_with(world, _NEW_SECRET)) == (200, 200)

    world.clock.now = NOW + _OVERLAP
    assert (_status_with(world, old), _status_with(world, _NEW_SECRET)) == (401, 200)


def test_only_a_client_that_can_keep_no_secret_may_listen_on_any_port(world: World):
    """RFC 8252 §7.3: the port is a native app's freedom; a server knows its own."""
    with world.database.write() as tx:
        clients.add(tx, a_confidential_client("desk", redirect_uris=(_LOOPBACK,)), now=NOW)
    world.machine_token()  # the process hears of the new client

    assert str(world.authorize("desk", redirect_uri=_LOOPBACK).location).startswith(_LOOPBACK)
    with pytest.raises(OAuth2Error) as refused:
        world.authorize("desk", redirect_uri=_LOOPBACK.replace("8080", "8081"))

    assert not refused.value.redirect_uri
