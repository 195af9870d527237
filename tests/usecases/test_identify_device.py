"""A device assertion counts once: with a nonce of ours, for the device whose key signed it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest

from pdp.domain.access import Strength
from pdp.identification.evidence import AssertionClaim, RequestEvidence
from pdp.jose.device_assertion import sign_device_assertion
from pdp.jose.device_key import generate_device_key, thumbprint, without_private_part
from pdp.settings import LifetimeSettings
from pdp.store import device_keys, single_use
from pdp.store.envelope import Envelope
from pdp.usecases.device_nonce import issue_nonce
from pdp.usecases.identify_device import IdentifiedDevice, Verifier, identify_device
from pdp.usecases.register_device import register_device
from tests.builders import ISSUER, NOW, an_envelope
from tests.deployment import RULES

JWK = generate_device_key()
VERIFIER = Verifier(envelope=an_envelope(), issuer=ISSUER, lifetimes=LifetimeSettings())
SECOND = timedelta(seconds=1)


def _a_device(database, jwk=None):
    """Make a record of a device, with a key if there is one; return its id."""
    with database.write() as tx:
        device = register_device(tx, RULES, actor="op", now=NOW)
        if jwk is not None:
            device_keys.add_key(
                tx,
                device,
                thumbprint=thumbprint(jwk),
                method=AssertionClaim.method,
                jwk=without_private_part(jwk),
                now=NOW,
            )
    return device


@pytest.fixture
def device(database):
    """A device that is enrolled with `JWK`."""
    return _a_device(database, JWK)


def _nonce(*, at=NOW, envelope=VERIFIER.envelope):
    return issue_nonce(envelope, now=at)


def _signed(device, *, nonce=None, jti="jti-1", jwk=JWK):
    return sign_device_assertion(
        jwk, device=device, issuer=ISSUER, nonce=nonce or _nonce(), jti=jti, now=NOW
    )


def _identify(database, assertion):
    with database.write() as tx:
        evidence = RequestEvidence(device_assertion_headers=(assertion,))
        return identify_device(tx, evidence, VERIFIER, now=NOW)


def _proved(device):
    return IdentifiedDevice(device, Strength.STRONG)


def test_an_assertion_with_a_nonce_of_ours_identifies_its_device(database, device):
    assert _identify(database, _signed(device)) == _proved(device)


def test_an_assertion_identifies_nothing_when_it_comes_again(database, device):
    assertion = _signed(device)

    assert _identify(database, assertion) == _proved(device)
    assert _identify(database, assertion) is None


def test_a_nonce_identifies_nothing_when_it_comes_again_in_another_assertion(database, device):
    nonce = _nonce()

    assert _identify(database, _signed(device, nonce=nonce, jti="jti-1")) == _proved(device)
    assert _identify(database, _signed(device, nonce=nonce, jti="jti-2")) is None


def test_what_was_used_is_remembered_for_as_long_as_it_could_be_used(database, device):
    nonce = _nonce()
    assertion = _signed(device, nonce=nonce)
    assert _identify(database, assertion) == _proved(device)
    last = NOW + 60 * SECOND

    with database.write() as tx:
        single_use.forget_expired(tx, now=last)

    assert _identify(database, _signed(device, nonce=nonce, jti="jti-2")) is None
    assert _identify(database, _signed(device, jti="jti-1")) is None
    assert _identify(database, assertion) is None


def test_an_id_of_an_assertion_identifies_nothing_when_it_comes_again_with_another_nonce(
    database, device
):
    assert _identify(database, _signed(device, nonce=_nonce())) == _proved(device)
    assert _identify(database, _signed(device, nonce=_nonce())) is None


def test_an_id_of_an_assertion_is_spent_for_its_own_key_alone(database, device):
    jwk = generate_device_key()
    other = _a_device(database, jwk)

    assert _identify(database, _signed(device)) == _proved(device)
    assert _identify(database, _signed(other, jwk=jwk)) == _proved(other)


def test_of_one_assertion_presented_32_times_at_once_one_identifies(database, device):
    barrier = Barrier(8)

    def present(assertion):
        barrier.wait()
        return [_identify(database, assertion) for _ in range(4)]

    with ThreadPoolExecutor(8) as pool:
        for number in range(10):
            assertion = _signed(device, jti=f"jti-{number}")
            answers = [one for some in pool.map(present, [assertion] * 8) for one in some]

            assert answers.count(_proved(device)) == 1
            assert answers.count(None) == 31


@pytest.mark.parametrize(
    "nonce",
    [
        pytest.param("nonce-1", id="anything"),
        pytest.param(_nonce(envelope=Envelope(bytes([1] * 32))), id="of another deployment"),
        pytest.param(_nonce(at=NOW - 60 * SECOND), id="expired"),
        pytest.param(_nonce(at=NOW + SECOND), id="of the future"),
    ],
)
def test_an_assertion_without_a_nonce_that_we_gave_just_now_identifies_nothing(
    database, device, nonce
):
    assert _identify(database, _signed(device, nonce=nonce)) is None


def test_a_nonce_counts_to_its_last_second(database, device):
    nonce = _nonce(at=NOW - 59 * SECOND)

    assert _identify(database, _signed(device, nonce=nonce)) == _proved(device)


@pytest.mark.usefixtures("device")
def test_a_key_that_names_another_device_identifies_neither(database):
    other = _a_device(database, generate_device_key())

    assert _identify(database, _signed(other)) is None


def test_a_key_that_nobody_enrolled_identifies_nothing(database, device):
    assert _identify(database, _signed(device, jwk=generate_device_key())) is None


def test_a_key_that_was_revoked_identifies_nothing(database, device):
    with database.write() as tx:
        device_keys.revoke_keys(tx, device, now=NOW)

    assert _identify(database, _signed(device)) is None
