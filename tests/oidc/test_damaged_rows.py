"""Rows that somebody damaged shut out what they are about, and nothing else."""

import pytest

from pdp.domain.ids import SourceId
from pdp.store import generations, sources
from pdp.store.database import Statement
from pdp.usecases.check_readiness import check_readiness
from pdp.usecases.register_device import register_device
from pdp.worker.timers import review_assessed_otherwise
from tests.builders import NOW, SOURCE, an_envelope
from tests.oidc.world import World

#: Readings that nothing of ours wrote.
DAMAGED = [
    "",
    "{",
    "[]",
    '{"edr":[]}',
    '{"edr":{"risk":[null,0,"evt-1"]}}',
    '{"edr":{"risk":[{"risk":"none"},0,"evt-1"]}}',
    '{"edr":{"compliant":[true,"yesterday","evt-1"]}}',
    '{"edr":{"compliant":[true,99999999999999999999,"evt-1"]}}',
]


def damage(world: World, readings: str) -> None:
    """Damage what is known of ada's device, and let it be assessed on reading."""
    with world.database.write() as tx:
        tx.run(
            Statement(
                "UPDATE devices SET readings = :readings, assessed_with = 'older' WHERE id = :id"
            ),
            {"readings": readings, "id": world.ada.device},
        )


@pytest.mark.parametrize("readings", DAMAGED)
def test_a_token_is_inactive_while_the_devices_readings_cannot_be_read(world: World, readings: str):
    issued = world.tokens()
    damage(world, readings)

    assert world.introspect(issued["access_token"]) == {"active": False}
    assert world.refresh(issued["refresh_token"]).error == "invalid_grant"
    assert world.userinfo(issued["access_token"]).status == 401


def test_the_sweep_goes_on_to_the_next_device(world: World):
    with world.database.write() as tx:
        rules = world.runtime.configurations.current(tx).rules
        register_device(
            tx, rules, owner=world.ada.subject, display_name="spare", actor="operator", now=NOW
        )
        tx.run(Statement("UPDATE devices SET assessed_with = 'older'"), {})
    damage(world, "{")

    assert review_assessed_otherwise(world.runtime, rules) == 1


@pytest.mark.parametrize(
    "secrets",
    [
        "{",
        "null",
        "7",
        '["x"]',
        "[{}]",
        '[{"sealed":"x","created_at":0,"expires_at":null}]',
        '[{"sealed":7,"created_at":0,"expires_at":null}]',
    ],
)
def test_a_source_that_cannot_be_read_is_shut_and_told_and_everything_else_goes_on(
    world: World, secrets: str
):
    token = world.tokens()["access_token"]
    with world.database.write() as tx:
        sources.add(
            tx, an_envelope(), SourceId("mdm"), adapter="generic", secret="whsec_eA==", now=NOW
        )
        tx.run(Statement("UPDATE sources SET secrets = :s WHERE id = 'mdm'"), {"s": secrets})
        generations.advance(tx)

    assert world.introspect(token)["active"] is True
    found = world.runtime.configurations.latest.sources
    assert found[SourceId("mdm")].ring(NOW) == ()
    assert found[SOURCE].ring(NOW) != ()
    checks = check_readiness(world.database, world.runtime.configurations, world.clock).checks
    (told,) = [check for check in checks if check.name == "sources"]
    assert not told.ok
    assert "mdm" in told.detail


def test_a_new_secret_opens_a_source_whose_old_one_cannot_be_read(world: World):
    with world.database.write() as tx:
        stored = '[{"sealed":"x","created_at":0,"expires_at":null}]'
        tx.run(Statement("UPDATE sources SET secrets = :s"), {"s": stored})
        sources.rotate_secret(
            tx, an_envelope(), SOURCE, secret="whsec_eA==", old_expires_at=NOW, now=NOW
        )

    with world.database.read() as tx:
        found = sources.load_all(tx, an_envelope())[SOURCE]
    assert (found.problem, len(found.ring(NOW))) == (None, 1)
