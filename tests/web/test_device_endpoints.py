"""What a device is told by its endpoints: enough to mend it, and the same whatever was wrong."""

from datetime import timedelta

import pytest

from pdp.domain.compliance import Compliance
from pdp.domain.ids import DeviceId, SubjectId
from pdp.jose.device_assertion import sign_device_assertion
from pdp.jose.device_enrolment import sign_enrolment_proof
from pdp.jose.device_key import generate_device_key
from pdp.store import devices
from pdp.usecases.device_nonce import issue_nonce
from pdp.usecases.offer_enrolment import offer_enrolment
from tests.builders import NOW
from tests.oidc.world import World
from tests.web.browser import ISSUER, Browser

JWK = generate_device_key()
TOKEN = "a-token-for-bob"


def _offer(world: World) -> None:
    """Let bob enrol a device with `TOKEN`."""
    with world.database.write() as tx:
        offer_enrolment(
            tx,
            SubjectId("usr_bob"),
            TOKEN,
            expires_at=NOW + timedelta(minutes=5),
            actor="op",
            now=NOW,
        )


def _enrolled(browser: Browser, world: World, *, clock_off: timedelta = timedelta(0)):
    """Enrol a device for bob, by the clock of the device; return the answer."""
    _offer(world)
    proof = sign_enrolment_proof(
        JWK, enrolment_token=TOKEN, issuer=ISSUER, jti="jti-0", now=NOW + clock_off
    )
    return browser.client.post(
        "/device/enrol", json={"token": TOKEN, "proof": proof}, base_url=ISSUER
    )


def _asserted(browser: Browser, world: World, device: str, jwk=JWK, *, clock_off=timedelta(0)):
    """Answer a page's code, by the clock of the device; return status and text."""
    assertion = sign_device_assertion(
        jwk,
        device=DeviceId(device),
        issuer=ISSUER,
        nonce=issue_nonce(world.runtime.envelope, now=NOW),
        jti="jti-1",
        now=NOW + clock_off,
    )
    answer = browser.client.post(
        "/device/assert",
        json={"code": "ABCD-EFGH"},
        headers={"Device-Assertion": assertion},
        base_url=ISSUER,
    )
    return answer.status_code, (answer.json or {})["detail"]


MINUTES = timedelta(minutes=5)


@pytest.mark.parametrize("clock_off", [-MINUTES, MINUTES], ids=["behind", "ahead"])
def test_a_device_whose_clock_is_off_is_told_to_look_at_it(
    browser: Browser, world: World, clock_off: timedelta
):
    device = _enrolled(browser, world).json["device_id"]

    status, told = _asserted(browser, world, device, clock_off=clock_off)

    assert status == 401
    assert "check the device's clock" in told
    # A stranger's key is told the very same: nothing is learnt of devices.
    assert _asserted(browser, world, device, generate_device_key()) == (status, told)


def test_a_device_in_time_is_told_only_that_no_page_waits(browser: Browser, world: World):
    device = _enrolled(browser, world).json["device_id"]

    status, told = _asserted(browser, world, device)

    assert (status, "No page waits for this code" in told) == (404, True)


def test_an_enrolment_by_a_clock_that_is_off_names_the_clock(browser: Browser, world: World):
    refused = _enrolled(browser, world, clock_off=MINUTES)

    assert refused.status_code == 403
    assert "check the device's clock" in refused.json["detail"]


def test_a_device_says_nothing_of_itself_that_is_not_its_own_to_say(browser: Browser, world: World):
    _offer(world)
    proof = sign_enrolment_proof(JWK, enrolment_token=TOKEN, issuer=ISSUER, jti="jti-0", now=NOW)
    wished = {
        "id": world.ada.device,
        "device_id": world.ada.device,
        "owner": "usr_ada",
        "subject": "usr_ada",
        "shared": True,
        "compliance": "compliant",
        "status": "compliant",
        "risk": "low",
        "override": {"until": "2099-01-01T00:00:00Z"},
        "epoch": 99,
    }

    answer = browser.client.post(
        "/device/enrol", json={**wished, "token": TOKEN, "proof": proof}, base_url=ISSUER
    )

    made = DeviceId(answer.get_json()["device_id"])
    assert made != world.ada.device
    with world.database.read() as tx:
        stored = devices.load_stored(tx, made)
    assert stored is not None
    assert (stored.device.owner, stored.device.shared) == ("usr_bob", False)
    assert (stored.device.override, stored.device.block) == (None, None)
    assert stored.assessment.status is Compliance.UNKNOWN
