"""Whom the end of a session is told to, on both databases."""

from pdp.domain.ids import ClientId
from pdp.domain.session import EndReason
from pdp.store import clients, grants
from pdp.usecases.revoke_access import Reach, reach_of_end
from tests.builders import NOW
from tests.oidc.world import World, a_confidential_client


def _reach(world: World) -> Reach:
    with world.database.read() as tx:
        configuration = world.runtime.configurations.current(tx)
        return reach_of_end(tx, world.ada.session, configuration, now=world.clock())


def test_only_clients_with_a_live_grant_and_an_address_count_as_told(world: World):
    uri = "https://shop.example/logout"
    with world.database.write() as tx:
        for client_id in ("shop", "left"):
            told = a_confidential_client(client_id, backchannel_logout_uri=uri)
            clients.add(tx, told, now=NOW)
    for client_id in ("shop", "shop", "left", "wiki"):
        world.tokens(client_id)
    with world.database.write() as tx:
        left, reason = ClientId("left"), EndReason.CONSENT_WITHDRAWN
        grants.revoke_grants_to_client(tx, world.ada.subject, left, reason, world.clock())

    assert _reach(world) == Reach(told=(ClientId("shop"),), untold=(left, ClientId("wiki")))


def test_a_session_in_which_nothing_was_used_reaches_nobody(world: World):
    assert _reach(world) == Reach(told=(), untold=())
