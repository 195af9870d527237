"""Whatever ends access ends it on every channel at once, alone and beside any other reason."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from itertools import permutations

import pytest

from pdp.domain.ids import ClientId
from pdp.domain.session import EndReason
from pdp.oidc import endpoints
from pdp.store import clients, grants, subjects
from pdp.store.documents import DocumentKind
from pdp.usecases.administer_device import block_device, unblock_device
from pdp.usecases.publish_document import publish
from pdp.usecases.revoke_access import end_browser_session
from tests.deployment import a_calm, a_risky, ingest
from tests.oidc.world import World

STAFF = frozenset({"staff"})
#: Staff on a healthy device, and machines; nobody else.
BEFORE = """\
pratique: policies/v1
default: block
policies:
  - {id: staff, outcome: full, when: {all: [{group: staff}, {device_compliance: compliant}]}}
  - {id: machines, outcome: full, when: {grant_type: client_credentials}}
"""
TIGHTER = f"{BEFORE}  - {{id: closed, outcome: block}}\n"

Change = Callable[[World, dict[str, str]], object]


@dataclass(frozen=True, slots=True)
class Reason:
    """Something that ends access, what takes it back where anything does, and what it spares."""

    name: str
    happen: Change
    take_back: Change | None = None
    #: A code that was not redeemed yet is of another grant: what is revoked is not it.
    spares_codes: bool = False


def _disable_person(world: World, _: dict[str, str]) -> None:
    with world.database.write() as tx:
        assert subjects.disable(tx, world.ada.subject, now=world.clock())


def _enable_person(world: World, _: dict[str, str]) -> None:
    with world.database.write() as tx:
        assert subjects.enable(tx, world.ada.subject)


def _set_groups(world: World, groups: frozenset[str]) -> None:
    with world.database.write() as tx:
        assert subjects.set_groups(tx, world.ada.subject, groups)


def _shut_out(world: World, client: str) -> None:
    with world.database.write() as tx:
        clients.set_disabled(tx, ClientId(client), world.clock())


def _disable_client(world: World, _: dict[str, str]) -> None:
    _shut_out(world, "wiki")


def _enable_client(world: World, _: dict[str, str]) -> None:
    with world.database.write() as tx:
        clients.set_disabled(tx, ClientId("wiki"), None)


def _withdraw_consent(world: World, _: dict[str, str]) -> None:
    with world.database.write() as tx:
        grants.revoke_grants_to_client(
            tx,
            world.ada.subject,
            ClientId("wiki"),
            EndReason.CONSENT_WITHDRAWN,
            world.clock(),
        )


def _end_session(world: World, _: dict[str, str]) -> None:
    with world.database.write() as tx:
        configuration = world.runtime.configurations.current(tx)
        end_browser_session(
            tx,
            world.ada.session,
            EndReason.REVOKED,
            configuration,
            now=world.clock(),
            actor="root",
        )


def _turn_risky(world: World, _: dict[str, str]) -> None:
    ingest(world.database, a_risky("bad", world.clock()), now=world.clock())


def _heal(world: World, _: dict[str, str]) -> None:
    at = world.clock() + timedelta(seconds=1)
    ingest(world.database, a_calm("good", at), now=at)


def _block_device(world: World, _: dict[str, str]) -> None:
    with world.database.write() as tx:
        rules = world.runtime.configurations.current(tx).rules
        block_device(tx, world.ada.device, rules, reason="stolen", actor="root", now=world.clock())


def _unblock_device(world: World, _: dict[str, str]) -> None:
    with world.database.write() as tx:
        rules = world.runtime.configurations.current(tx).rules
        unblock_device(tx, world.ada.device, rules, reason="found", actor="root", now=world.clock())


def _policies_say(world: World, text: str) -> None:
    with world.database.write() as tx:
        publish(tx, DocumentKind.POLICIES, text, file="t", actor="root", now=world.clock())


REASONS = (
    Reason("person disabled", _disable_person, _enable_person),
    Reason(
        "group removed",
        lambda world, _: _set_groups(world, frozenset({"staffing", "Staff"})),
        lambda world, _: _set_groups(world, STAFF),
    ),
    Reason("client disabled", _disable_client, _enable_client),
    Reason("device not compliant", _turn_risky, _heal),
    Reason("device blocked", _block_device, _unblock_device),
    Reason(
        "policy tightened",
        lambda world, _: _policies_say(world, TIGHTER),
        lambda world, _: _policies_say(world, BEFORE),
    ),
    Reason("session revoked", _end_session),
    Reason("consent revoked", _withdraw_consent),
    Reason(
        "token revoked",
        lambda world, issued: world.revoke(issued["access_token"]),
        spares_codes=True,
    ),
)


@pytest.fixture
def staffed(world: World) -> World:
    """Ada is staff, and only staff on healthy devices are let in."""
    _set_groups(world, STAFF)
    _policies_say(world, BEFORE)
    return world


def _still_open(world: World, issued: dict[str, str], code: str) -> set[str]:
    """Return the channels on which tokens and code are good for anything.

    Introspection comes first: a refused refresh may revoke what it would then find revoked.
    """
    asked_by_api = world.introspect(issued["access_token"], "api")
    asked_by_client = world.post(endpoints.introspect, "wiki", token=issued["access_token"])
    refresh_token = world.post(endpoints.introspect, "wiki", token=issued["refresh_token"])
    answers = {
        "introspection by the API": asked_by_api["active"],
        "introspection by the client": asked_by_client.body.get("active"),
        "introspection of the refresh token": refresh_token.body.get("active"),
        "UserInfo": world.userinfo(issued["access_token"]).status == 200,
        "code": world.redeem(code).status == 200,
        "refresh": world.refresh(issued["refresh_token"]).status == 200,
    }
    return {channel for channel, is_open in answers.items() if is_open}


def test_without_a_reason_to_stop_every_channel_is_open(staffed: World):
    assert len(_still_open(staffed, staffed.tokens(), staffed.code())) == 6


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: reason.name)
def test_every_reason_to_stop_stops_every_channel_at_once(staffed: World, reason: Reason):
    issued, code = staffed.tokens(), staffed.code()

    reason.happen(staffed, issued)

    assert _still_open(staffed, issued, code) == ({"code"} if reason.spares_codes else set())


#: A client that is shut out cannot revoke its tokens either.
PAIRS = [
    (first, second)
    for first, second in permutations(REASONS, 2)
    if (first.name, second.name) != ("client disabled", "token revoked")
]


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=lambda reason: reason.name)
def test_any_reason_to_stop_suffices_whatever_else_was_and_is_no_more(
    staffed: World, first: Reason, second: Reason
):
    issued, code = staffed.tokens(), staffed.code()

    first.happen(staffed, issued)
    second.happen(staffed, issued)
    if first.take_back is not None:
        first.take_back(staffed, issued)

    spared = second.spares_codes and first.take_back is not None
    assert _still_open(staffed, issued, code) == ({"code"} if spared else set())


def test_a_client_that_is_shut_out_gets_tokens_by_no_grant(staffed: World):
    issued, code = staffed.tokens(), staffed.code()
    for client in ("wiki", "backup"):
        _shut_out(staffed, client)

    answers = [
        staffed.redeem(code),
        staffed.refresh(issued["refresh_token"]),
        staffed.machine_token("backup"),
    ]

    assert {(answer.status, answer.error) for answer in answers} == {(401, "invalid_client")}


@pytest.mark.parametrize(
    "happen",
    [
        pytest.param(lambda world, _: _shut_out(world, "backup"), id="client disabled"),
        pytest.param(lambda world, _: _policies_say(world, TIGHTER), id="policy tightened"),
        pytest.param(lambda world, token: world.revoke(token, "backup"), id="token revoked"),
    ],
)
def test_what_ends_a_machines_access_ends_its_token(
    staffed: World, happen: Callable[[World, str], object]
):
    token = str(staffed.machine_token().body["access_token"])
    assert staffed.introspect(token, "api")["active"] is True

    happen(staffed, token)

    assert staffed.introspect(token, "api") == {"active": False}
