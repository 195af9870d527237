"""A waiting request is found by its id in its browser, and by nothing else that a URL may hold."""

from datetime import timedelta

import pytest

from pdp.clock import new_id
from pdp.domain.ids import ClientId
from pdp.store import clients, parked
from pdp.store.database import Database
from tests.builders import NOW
from tests.deployment import a_client

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
