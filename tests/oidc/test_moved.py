"""What moves while an answer is made: it is made anew from the newer state, or not at all."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

import pytest

from pdp.domain.ids import ClientId
from pdp.domain.session import EndReason
from pdp.oidc.request import Answer, OidcRequest
from pdp.oidc.server import Server
from pdp.store import clients, generations, grants, subjects
from tests.builders import NOW
from tests.deployment import a_calm, a_risky, ingest
from tests.oidc.world import World


class Meddled(Server):
    """A server under which something happens between each decision and its transaction."""

    meanwhile: Callable[[], None]

    def token(self, request: OidcRequest) -> Answer:
        answer = super().token(request)
        self.meanwhile()
        return answer


def meddle(world: World, meanwhile: Callable[[], object], *, times: int) -> None:
    """Let `meanwhile` happen so many times, each between a decision and its transaction."""
    left = iter(range(times))

    def happen() -> None:
        if next(left, None) is not None:
            meanwhile()

    server = Meddled(world.runtime)
    server.meanwhile = happen
    world.server = server


def configure_elsewhere(world: World) -> None:
    """Change the configuration as another process would: this one is told by the counter alone."""
    with world.database.write() as tx:
        generations.advance(tx)


def disable_ada(world: World) -> None:
    """Shut ada out."""
    with world.database.write() as tx:
        subjects.disable(tx, world.ada.subject, now=world.clock())


def revoke_grants(world: World) -> None:
    """Revoke whatever ada gave."""
    with world.database.write() as tx:
        grants.revoke_grants_of_subject(tx, world.ada.subject, EndReason.REVOKED, world.clock())


def test_a_machine_gets_its_token_after_another_process_changed_the_configuration(world: World):
    assert world.machine_token().status == 200
    configure_elsewhere(world)

    assert world.machine_token().status == 200
    assert world.machine_token().status == 200


def test_a_machine_that_another_process_shut_out_gets_none(world: World):
    assert world.machine_token().status == 200
    with world.database.write() as tx:
        clients.set_disabled(tx, ClientId("backup"), world.clock())
        generations.advance(tx)

    assert world.machine_token().status == 401


def test_a_machine_that_another_process_let_in_again_is_not_refused(world: World):
    """A no rests on the configuration as much as a yes does."""
    _shut_out_elsewhere(world, world.clock())
    assert world.machine_token().status == 401
    _shut_out_elsewhere(world, None)

    assert world.machine_token().status == 200


def _shut_out_elsewhere(world: World, since: datetime | None) -> None:
    with world.database.write() as tx:
        clients.set_disabled(tx, ClientId("backup"), since)
        generations.advance(tx)


def test_a_machine_that_is_shut_out_meanwhile_gets_none(world: World):
    def shut_out() -> None:
        with world.database.write() as tx:
            clients.set_disabled(tx, ClientId("backup"), world.clock())
            generations.advance(tx)

    meddle(world, shut_out, times=1)

    assert world.machine_token().status == 401


def test_a_refresh_sees_a_device_that_turns_risky_meanwhile_and_uses_nothing_up(world: World):
    token = world.tokens()["refresh_token"]
    meddle(world, lambda: ingest(world.database, a_risky("bad", NOW)), times=1)

    assert world.refresh(token).error == "invalid_grant"
    world.pass_time(seconds=1)
    ingest(world.database, a_calm("good", world.clock()))
    assert world.refresh(token).status == 200


def test_of_250_signals_between_a_decision_and_its_tokens_none_is_missed(world: World):
    """On each of two databases: 500 in all, and the token is as good afterwards as before."""
    token = world.tokens()["refresh_token"]

    for number in range(250):
        world.pass_time(seconds=1)
        bad = a_risky(f"bad-{number}", world.clock())
        meddle(world, partial(ingest, world.database, bad, now=world.clock()), times=1)
        assert world.refresh(token).error == "invalid_grant"
        world.pass_time(seconds=1)
        ingest(world.database, a_calm(f"good-{number}", world.clock()), now=world.clock())

    assert world.refresh(token).status == 200


def test_a_code_sees_a_device_that_turns_risky_meanwhile(world: World):
    code = world.code()
    meddle(world, lambda: ingest(world.database, a_risky("bad", NOW)), times=1)

    assert world.redeem(code).error == "invalid_grant"


@pytest.mark.parametrize("grant", ["refresh", "code"])
def test_a_person_who_is_shut_out_meanwhile_gets_nothing(world: World, grant: str):
    token = world.tokens()["refresh_token"]
    code = world.code()
    meddle(world, lambda: disable_ada(world), times=1)

    answer = world.refresh(token) if grant == "refresh" else world.redeem(code)

    assert answer.error == "invalid_grant"


@pytest.mark.parametrize("grant", ["refresh", "code"])
def test_a_grant_that_is_revoked_meanwhile_gives_nothing(world: World, grant: str):
    token = world.tokens()["refresh_token"]
    code = world.code()
    meddle(world, lambda: revoke_grants(world), times=1)

    answer = world.refresh(token) if grant == "refresh" else world.redeem(code)

    assert answer.error == "invalid_grant"


def test_a_change_of_the_configuration_is_waited_for(world: World):
    token = world.tokens()["refresh_token"]
    meddle(world, lambda: configure_elsewhere(world), times=2)

    assert world.refresh(token).status == 200


def test_what_moves_without_end_is_answered_503_and_nothing_is_used_up(world: World):
    token = world.tokens()["refresh_token"]
    meddle(world, lambda: configure_elsewhere(world), times=100)

    answer = world.refresh(token)

    assert answer.status == 503
    assert answer.headers["Retry-After"] == "1"
    meddle(world, lambda: None, times=0)
    assert world.refresh(token).status == 200
