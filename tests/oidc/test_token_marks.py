"""The marks of a token move whenever anything does that a decision on it could see."""

from collections.abc import Callable
from datetime import timedelta

import orjson
import pytest
from joserfc import jws

from pdp.domain.ids import ClientId, GrantId
from pdp.domain.session import EndReason
from pdp.store import clients, grants, subjects, tokens
from pdp.store.database import Transaction
from pdp.store.standings import TokenMarks, check_token, marks_of_token
from pdp.usecases.administer_device import (
    block_device,
    override_device,
    share_device,
    unblock_device,
)
from tests.builders import NOW
from tests.deployment import RULES, a_calm, a_risky, ingest
from tests.oidc.world import World

LATER = NOW + timedelta(seconds=1)


class Watched:
    """A token of ada's, and its marks."""

    def __init__(self, world: World) -> None:
        self.world = world
        token = jws.extract_compact(world.tokens()["access_token"].encode())
        claims = orjson.loads(token.payload)
        self.jti, self.grant = str(claims["jti"]), GrantId(str(claims["gid"]))

    def marks(self) -> TokenMarks:
        """Read the marks, which are those of the whole row."""
        with self.world.database.read() as tx:
            marks = marks_of_token(tx, self.jti, self.grant)
            assert check_token(tx, self.jti, self.grant).marks == marks
        return marks


Change = Callable[[Transaction, Watched], object]

CHANGES: dict[str, Change] = {
    "configuration": lambda tx, _: clients.set_disabled(tx, ClientId("other"), NOW),
    "token revoked": lambda tx, it: tokens.revoke_token(tx, it.jti, expires_at=LATER),
    "grant revoked": lambda tx, it: grants.revoke_grant(tx, it.grant, EndReason.REVOKED, NOW),
    "family narrowed": lambda tx, it: grants.narrow(tx, it.grant, LATER),
    "person disabled": lambda tx, it: subjects.disable(tx, it.world.ada.subject, now=NOW),
    "groups": lambda tx, it: subjects.set_groups(tx, it.world.ada.subject, frozenset({"new"})),
    "break glass": lambda tx, it: subjects.set_break_glass(tx, it.world.ada.subject, flagged=True),
    "device blocked": lambda tx, it: block_device(
        tx, it.world.ada.device, RULES, reason="stolen", actor="op", now=NOW
    ),
    "device overridden": lambda tx, it: override_device(
        tx, it.world.ada.device, RULES, until=LATER, reason="loan", actor="op", now=NOW
    ),
    "device shared": lambda tx, it: share_device(
        tx, it.world.ada.device, RULES, shared=True, actor="op", now=NOW
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_a_decision_could_see_moves_the_marks(world: World, change: Change):
    watched = Watched(world)
    before = watched.marks()

    with world.database.write() as tx:
        change(tx, watched)

    assert watched.marks() != before


def test_marks_do_not_come_back_when_a_change_is_taken_back(world: World):
    watched = Watched(world)
    seen = [watched.marks()]
    ingest(world.database, a_risky("bad", LATER), now=LATER)
    seen.append(watched.marks())
    ingest(world.database, a_calm("good", LATER + timedelta(seconds=1)))
    seen.append(watched.marks())
    with world.database.write() as tx:
        block_device(tx, world.ada.device, RULES, reason="stolen", actor="op", now=NOW)
        unblock_device(tx, world.ada.device, RULES, reason="found", actor="op", now=NOW)
    seen.append(watched.marks())

    assert len({marks.row for marks in seen}) == len(seen)


def test_a_signal_that_only_confirms_leaves_the_marks(world: World):
    """What was decided holds for longer than it said: there is no reason to decide again."""
    ingest(world.database, a_calm("one", LATER), now=LATER)
    watched = Watched(world)
    before = watched.marks()

    ingest(world.database, a_calm("two", LATER + timedelta(seconds=9)))

    assert watched.marks() == before


def test_a_machine_s_token_has_marks_too(world: World):
    token = jws.extract_compact(str(world.machine_token().body["access_token"]).encode())
    jti = str(orjson.loads(token.payload)["jti"])

    with world.database.read() as tx:
        marks = marks_of_token(tx, jti, None)
        assert check_token(tx, jti, None).marks == marks
    with world.database.write() as tx:
        tokens.revoke_token(tx, jti, expires_at=LATER)
        assert marks_of_token(tx, jti, None) != marks
