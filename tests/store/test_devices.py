"""A device's epoch moves when there is a reason to decide again, and only then."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from pdp.store import devices
from pdp.store.database import Database
from tests.builders import NOW
from tests.deployment import a_deployment, signed_in, the_device

_SOON, _LATER = NOW + timedelta(hours=1), NOW + timedelta(hours=2)


def _stands_until(database: Database, valid_until: datetime | None) -> int:
    """Let the assessment of the only device stand so long, and else be what it was."""
    with database.write() as tx:
        before = devices.lock(tx, the_device(database).device.id)
        assert before is not None
        assessment = replace(before.assessment, valid_until=valid_until)
        devices.save(
            tx,
            before,
            before.device,
            assessment,
            rules_version=before.assessed_with,
            now=NOW,
        )
    return the_device(database).device.epoch


@pytest.mark.parametrize(
    ("before", "after", "moves"),
    [
        pytest.param(_LATER, _SOON, 1, id="less long"),
        pytest.param(None, _SOON, 1, id="not for ever any more"),
        pytest.param(_SOON, _SOON, 0, id="as long"),
        pytest.param(_SOON, _LATER, 0, id="longer"),
        pytest.param(_SOON, None, 0, id="for ever"),
        pytest.param(None, None, 0, id="for ever as before"),
    ],
)
def test_the_epoch_moves_when_an_assessment_stands_for_less_long(
    database: Database, before: datetime | None, after: datetime | None, moves: int
):
    a_deployment(database)
    signed_in(database)
    epoch = _stands_until(database, before)

    assert (_stands_until(database, after) > epoch) is bool(moves)
    assert the_device(database).assessment.valid_until == after
