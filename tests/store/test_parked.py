"""A waiting request is found by its id in its browser, and by nothing else that a URL may hold."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from pdp.clock import new_id
from pdp.domain.access import Strength
from pdp.domain.ids import ClientId
from pdp.store import clients, parked
from pdp.store.database import Database, Transaction
from tests.builders import NOW
from tests.deployment import a_client, signed_in

_HOUR = timedelta(hours=1)


def _park(database: Database, browser: str) -> str:
    request_id = new_id("req")
    with database.write() as tx:
        clients.add(tx, a_client(), now=NOW)
        parked.park(
            tx,
            request_id,
            browser=browser,
            client=ClientId("wiki"),
            parameters={},
            now=NOW,
            expires_at=NOW + _HOUR,
        )
    return request_id


def test_a_request_waits_for_its_browser(database: Database):
    request_id = _park(database, "mine")

    with database.read() as tx:
        assert parked.find(tx, request_id, browser="mine", now=NOW) is not None
        assert parked.find(tx, request_id, browser="another", now=NOW) is None
        assert parked.find(tx, request_id, browser="mine", now=NOW + _HOUR) is None


@pytest.mark.parametrize(
    "request_id", ["", "\0", "req_\0", "req_" + "A" * 21 + "\n", "ä", "x" * 9999]
)
def test_what_is_no_id_of_ours_finds_and_adopts_nothing(database: Database, request_id: str):
    _park(database, "")

    with database.write() as tx:
        assert parked.find(tx, request_id, browser="mine", now=NOW) is None
        assert not parked.adopt(tx, request_id, browser="mine")


def test_a_request_is_used_up_once(database: Database):
    request_id = _park(database, "mine")

    with database.write() as tx:
        assert parked.finish(tx, request_id, now=NOW)
        assert not parked.finish(tx, request_id, now=NOW)


def _answered_before(tx: Transaction, request_id: str) -> datetime:
    parked.finish(tx, request_id, now=NOW)
    return NOW


def _in_time(_tx: Transaction, _request_id: str) -> datetime:
    return NOW + _HOUR - timedelta(microseconds=1)


def _too_late(_tx: Transaction, _request_id: str) -> datetime:
    return NOW + _HOUR


@pytest.mark.parametrize(
    ("meanwhile", "bound"),
    [(_in_time, True), (_answered_before, False), (_too_late, False)],
    ids=["in time", "answered before", "too late"],
)
def test_a_pairing_code_is_good_only_while_its_request_waits(
    database: Database, meanwhile: Callable[[Transaction, str], datetime], *, bound: bool
):
    request_id = _park(database, "mine")
    device = signed_in(database).device

    with database.write() as tx:
        parked.show_code(tx, request_id, code_digest="digest")
        now = meanwhile(tx, request_id)
        answered = parked.bind_device(
            tx, "digest", device=device, strength=Strength.STRONG, now=now
        )

    assert answered is bound
