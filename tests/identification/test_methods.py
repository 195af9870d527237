"""Which device: the strongest evidence decides, also when it is broken."""

import base64
import hashlib
import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.domain.access import Strength
from pdp.identification import METHODS
from pdp.identification.evidence import (
    AssertionClaim,
    CertificateClaim,
    CookieClaim,
    MalformedEvidence,
    RequestEvidence,
)
from pdp.identification.strongest import examine, strongest_claim
from pdp.jose.device_key import thumbprint
from tests.builders import (
    CERTIFIED_FROM,
    CERTIFIED_UNTIL,
    DEVICE_JWK,
    NOW,
    a_certificate,
    a_device_assertion,
)

COOKIE = "k3yk3yk3yk3yk3yk3yk3yk3yk3yk3yk3yk3yk3yk3y0"
ASSERTION = a_device_assertion()
KID = thumbprint(DEVICE_JWK)


DER = a_certificate()
CLIENT_CERT = f":{base64.b64encode(DER).decode()}:"
# RFC 5280 §4.1.2.1: `[0] EXPLICIT INTEGER` is 0, 1 or 2, and 2 means version 3.
OF_NO_VERSION = DER.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020105"), 1)


def _b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _with_header(header):
    """Return an assertion whose JOSE header is `header` (a dict, or bytes as they are)."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return ".".join([_b64(raw), *ASSERTION.split(".")[1:]])


def by_assertion(*values, **others):
    return RequestEvidence(device_assertion_headers=values, **others)


def by_certificate(*values, **others):
    return RequestEvidence(client_cert_headers=values, from_trusted_proxy=True, **others)


def test_no_evidence_is_no_device():
    assert strongest_claim(RequestEvidence()) is None
    assert examine(RequestEvidence()) is None


def test_a_cookie_is_a_weak_claim_on_its_hash():
    claim = strongest_claim(RequestEvidence(device_cookies=(COOKIE,)))

    assert claim == CookieClaim(key=hashlib.sha256(COOKIE.encode()).hexdigest())
    assert (claim.method, claim.strength) == ("device_cookie", Strength.WEAK)


def test_an_assertion_is_a_strong_claim_on_the_key_that_must_have_signed_it():
    claim = strongest_claim(by_assertion(ASSERTION))

    assert claim == AssertionClaim(key=KID, token=ASSERTION)
    assert (claim.method, claim.strength) == ("device_assertion", Strength.STRONG)


def test_a_certificate_is_a_strong_claim_with_its_thumbprint_and_time():
    claim = strongest_claim(by_certificate(CLIENT_CERT))

    assert claim == CertificateClaim(
        key=_b64(hashlib.sha256(DER).digest()), not_before=CERTIFIED_FROM, not_after=CERTIFIED_UNTIL
    )
    assert (claim.method, claim.strength) == ("client_certificate", Strength.STRONG)


@pytest.mark.parametrize(
    ("now", "valid"),
    [
        (CERTIFIED_FROM - timedelta(seconds=1), False),
        (CERTIFIED_FROM, True),
        (NOW, True),
        (CERTIFIED_UNTIL, True),
        (CERTIFIED_UNTIL + timedelta(seconds=1), False),
    ],
)
def test_a_certificate_counts_within_its_time_only(now, valid):
    claim = strongest_claim(by_certificate(CLIENT_CERT))

    assert isinstance(claim, CertificateClaim)
    assert claim.is_valid_at(now) is valid


def test_a_certificate_from_anybody_but_a_trusted_proxy_is_as_good_as_absent():
    evidence = RequestEvidence(client_cert_headers=(CLIENT_CERT,), device_cookies=(COOKIE,))

    assert isinstance(strongest_claim(evidence), CookieClaim)


def test_the_strongest_evidence_decides():
    everything = by_certificate(
        CLIENT_CERT, device_assertion_headers=(ASSERTION,), device_cookies=(COOKIE,)
    )

    assert isinstance(strongest_claim(everything), CertificateClaim)
    assert isinstance(
        strongest_claim(by_assertion(ASSERTION, device_cookies=(COOKIE,))), AssertionClaim
    )


def test_methods_are_ordered_strongest_first():
    order = [method.__module__.rsplit(".", 1)[-1] for method in METHODS]

    assert order == ["client_certificate", "device_assertion", "device_cookie"]


@pytest.mark.parametrize(
    "evidence",
    [
        pytest.param(by_assertion("broken", device_cookies=(COOKIE,)), id="assertion over cookie"),
        pytest.param(
            by_certificate("broken", device_assertion_headers=(ASSERTION,)),
            id="certificate over assertion",
        ),
    ],
)
def test_broken_evidence_is_no_device_although_weaker_evidence_would_do(evidence):
    assert strongest_claim(evidence) is None
    assert isinstance(examine(evidence), MalformedEvidence)


GOOD = {"typ": "device-assertion+jwt", "alg": "Ed25519", "kid": KID}


@pytest.mark.parametrize(
    "values",
    [
        pytest.param((ASSERTION, ASSERTION), id="twice"),
        pytest.param(("",), id="empty"),
        pytest.param((ASSERTION + ".x",), id="four parts"),
        pytest.param((ASSERTION.rpartition(".")[0],), id="two parts"),
        pytest.param((ASSERTION + "\n",), id="newline"),
        pytest.param((ASSERTION + "é",), id="not ASCII"),
        pytest.param((ASSERTION + "A" * 8192,), id="over 8 KiB"),
        pytest.param((_with_header({**GOOD, "alg": "none"}),), id="alg none"),
        pytest.param((_with_header({**GOOD, "alg": "HS256"}),), id="HS256"),
        pytest.param((_with_header({**GOOD, "alg": "EdDSA"}),), id="EdDSA"),
        pytest.param((_with_header({**GOOD, "alg": ["ES256"]}),), id="alg is no string"),
        pytest.param((_with_header({**GOOD, "typ": "JWT"}),), id="another typ"),
        pytest.param((_with_header({**GOOD, "kid": "../keys/1"}),), id="kid is a path"),
        pytest.param((_with_header({**GOOD, "kid": 1}),), id="kid is no string"),
        pytest.param((_with_header({**GOOD, "kid": KID + "\n"}),), id="kid with a newline"),
        *(
            pytest.param((_with_header({**GOOD, name: "x"}),), id=f"with {name}")
            for name in ("jwk", "jku", "x5u", "x5c", "crit", "b64", "cty")
        ),
        *(
            pytest.param((_with_header({k: v for k, v in GOOD.items() if k != name}),), id=name)
            for name in GOOD
        ),
        pytest.param((_with_header(b"[]"),), id="header is an array"),
        pytest.param((_with_header(b"\xff"),), id="header is no text"),
        pytest.param((_with_header(b"[" * 700),), id="header is deep"),
        pytest.param(
            (_with_header(json.dumps(GOOD).encode()[:-1] + b', "kid": "x"}'),), id="kid twice"
        ),
        pytest.param(("A." + ASSERTION.partition(".")[2],), id="header is no base64"),
    ],
)
def test_a_malformed_assertion_is_no_device(values):
    assert strongest_claim(by_assertion(*values, device_cookies=(COOKIE,))) is None


@pytest.mark.parametrize(
    "values",
    [
        pytest.param((CLIENT_CERT, CLIENT_CERT), id="twice"),
        pytest.param(("",), id="empty"),
        pytest.param(("::",), id="no bytes"),
        pytest.param((CLIENT_CERT.strip(":"),), id="without colons"),
        pytest.param((f"{CLIENT_CERT}, {CLIENT_CERT}",), id="a list"),
        pytest.param((f":{base64.b64encode(DER[:-1]).decode()}:",), id="cut off"),
        pytest.param((f":{base64.b64encode(DER + b'x').decode()}:",), id="more behind it"),
        pytest.param((":AAAA:",), id="no certificate"),
        pytest.param((f":{base64.b64encode(OF_NO_VERSION).decode()}:",), id="of no version"),
        pytest.param((":A:",), id="no base64"),
        pytest.param((f":{'A' * 16_384}:",), id="over 16 KiB"),
    ],
)
def test_a_malformed_certificate_is_no_device(values):
    assert strongest_claim(by_certificate(*values, device_cookies=(COOKIE,))) is None


@pytest.mark.parametrize("values", [(COOKIE, COOKIE), ("",), ("short",), (COOKIE + "é",)])
def test_a_malformed_cookie_is_no_device(values):
    assert strongest_claim(RequestEvidence(device_cookies=values)) is None


_values = st.lists(
    st.text()
    | st.binary().map(lambda der: f":{base64.b64encode(der).decode()}:")
    | st.binary().map(_with_header),
    max_size=2,
).map(tuple)


@given(
    assertions=_values,
    certificates=_values,
    cookies=st.lists(st.text(), max_size=2).map(tuple),
    trusted=st.booleans(),
)
def test_no_evidence_makes_it_raise(assertions, certificates, cookies, trusted):
    evidence = RequestEvidence(
        device_assertion_headers=assertions,
        client_cert_headers=certificates,
        device_cookies=cookies,
        from_trusted_proxy=trusted,
    )

    assert strongest_claim(evidence) in {None, examine(evidence)}


# A serial number that is none, which other software writes, too, is taken with a warning.
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@given(position=st.integers(0, len(DER) - 1), value=st.integers(0, 255))
def test_no_damaged_certificate_makes_it_raise(position, value):
    damaged = DER[:position] + bytes([value]) + DER[position + 1 :]
    claim = strongest_claim(by_certificate(f":{base64.b64encode(damaged).decode()}:"))

    assert claim is None or claim.key == _b64(hashlib.sha256(damaged).digest())
