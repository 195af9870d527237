"""Device assertions: all but the very token of the very device is refused, without a crash."""

import base64
import hashlib
import hmac
import json
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from pdp.domain.ids import DeviceId
from pdp.jose import device_proof
from pdp.jose.device_assertion import AssertionClaims, verify_device_assertion
from pdp.jose.device_key import (
    generate_device_key,
    public_jwk,
    thumbprint,
    without_private_part,
)
from pdp.jose.device_proof import ProofRefusal
from tests.builders import DEVICE_JWK, ISSUER, NOW, a_device_assertion

PUBLIC_JWK = without_private_part(DEVICE_JWK)
PRIVATE_KEY = Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(DEVICE_JWK["d"] + "="))
KID = thumbprint(PUBLIC_JWK)
P256_JWK = generate_device_key()
IAT = int(NOW.timestamp())
HEADER = {"typ": "device-assertion+jwt", "kid": KID}
CLAIMS = {
    "iss": "dev_1",
    "aud": ISSUER,
    "nonce": "nonce-1",
    "jti": "jti-1",
    "iat": IAT,
    "exp": IAT + 60,
}
TOKEN = a_device_assertion()


def _verify(token, jwk=PUBLIC_JWK, now=NOW):
    return verify_device_assertion(token, jwk, issuer=ISSUER, now=now)


def _b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header=None, claims=None):
    """Return a token with exactly this header and these claims, truly signed by the device."""
    raw_header = json.dumps(header or {**HEADER, "alg": "Ed25519"}).encode()
    raw_claims = claims if isinstance(claims, bytes) else json.dumps(claims or CLAIMS).encode()
    signing_input = f"{_b64(raw_header)}.{_b64(raw_claims)}"
    signature = PRIVATE_KEY.sign(signing_input.encode())
    return f"{signing_input}.{_b64(signature)}"


def without(claim):
    return {name: value for name, value in CLAIMS.items() if name != claim}


def test_an_assertion_of_the_enrolled_key_is_believed():
    assert _verify(TOKEN) == AssertionClaims(
        device=DeviceId("dev_1"),
        nonce="nonce-1",
        jti="jti-1",
        issued_at=NOW,
        expires_at=NOW + timedelta(seconds=60),
    )
    assert _verify(signed()) == _verify(TOKEN)


def test_a_key_on_p_256_signs_as_well():
    token = a_device_assertion(P256_JWK)

    assert isinstance(_verify(token, without_private_part(P256_JWK)), AssertionClaims)


def test_the_kid_is_the_thumbprint_of_rfc_8037():
    assert KID == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_another_device_is_not_believed():
    assert _verify(TOKEN, without_private_part(P256_JWK)) is ProofRefusal.WRONG_HEADER
    assert _verify(a_device_assertion(P256_JWK)) is ProofRefusal.WRONG_HEADER


@pytest.mark.parametrize("position", range(len(TOKEN)))
def test_a_token_changed_in_any_one_character_is_refused(position):
    other = "A" if TOKEN[position] != "A" else "B"

    assert isinstance(_verify(TOKEN[:position] + other + TOKEN[position + 1 :]), ProofRefusal)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param({**HEADER, "alg": "none"}, id="alg none"),
        pytest.param({**HEADER, "alg": "ES256"}, id="alg of another key"),
        pytest.param({**HEADER, "alg": "EdDSA"}, id="alg EdDSA"),
        pytest.param({**HEADER, "alg": ["Ed25519"]}, id="alg is no string"),
        pytest.param(HEADER, id="no alg"),
        pytest.param({**HEADER, "alg": "Ed25519", "typ": "JWT"}, id="another typ"),
        pytest.param({**HEADER, "alg": "Ed25519", "typ": "at+jwt"}, id="access token"),
        pytest.param({"alg": "Ed25519", "kid": KID}, id="no typ"),
        pytest.param({**HEADER, "alg": "Ed25519", "kid": "x"}, id="another kid"),
        pytest.param({"alg": "Ed25519", "typ": HEADER["typ"]}, id="no kid"),
        pytest.param({**HEADER, "alg": "Ed25519", "crit": ["exp"]}, id="crit"),
        pytest.param({**HEADER, "alg": "Ed25519", "crit": ["b64"], "b64": False}, id="b64"),
        pytest.param({**HEADER, "alg": "Ed25519", "jwk": PUBLIC_JWK}, id="jwk"),
        pytest.param({**HEADER, "alg": "Ed25519", "jku": "https://evil.example"}, id="jku"),
        pytest.param({**HEADER, "alg": "Ed25519", "x5u": "https://evil.example"}, id="x5u"),
        pytest.param({**HEADER, "alg": "Ed25519", "x5c": ["AAAA"]}, id="x5c"),
        pytest.param({**HEADER, "alg": "Ed25519", "zip": "DEF"}, id="zip"),
    ],
)
def test_the_header_is_exactly_ours_though_the_device_signed_another(header):
    assert _verify(signed(header)) is ProofRefusal.WRONG_HEADER


def test_an_unsigned_token_is_refused():
    header = _b64(json.dumps({**HEADER, "alg": "none"}).encode())
    payload = TOKEN.split(".")[1]

    assert _verify(f"{header}.{payload}.") is ProofRefusal.MALFORMED
    assert _verify(f"{header}.{payload}.AAAA") is ProofRefusal.WRONG_HEADER


@pytest.mark.parametrize("secret", [json.dumps(PUBLIC_JWK), PUBLIC_JWK["x"]])
def test_a_mac_with_the_public_key_is_no_signature(secret):
    header = _b64(json.dumps({**HEADER, "alg": "HS256"}).encode())
    signing_input = f"{header}.{TOKEN.split('.')[1]}"
    mac = hmac.new(secret.encode(), signing_input.encode(), hashlib.sha256).digest()

    assert _verify(f"{signing_input}.{_b64(mac)}") is ProofRefusal.WRONG_HEADER


def test_a_signature_over_something_else_is_refused():
    signature = signed(claims={**CLAIMS, "jti": "jti-2"}).rpartition(".")[2]

    assert _verify(f"{TOKEN.rpartition('.')[0]}.{signature}") is ProofRefusal.BAD_SIGNATURE


@pytest.mark.parametrize(
    ("claims", "refusal"),
    [
        ({**CLAIMS, "aud": "https://other.example"}, ProofRefusal.WRONG_AUDIENCE),
        ({**CLAIMS, "aud": ISSUER + "/"}, ProofRefusal.WRONG_AUDIENCE),
        ({**CLAIMS, "aud": [ISSUER]}, ProofRefusal.WRONG_AUDIENCE),
        (without("aud"), ProofRefusal.WRONG_AUDIENCE),
        (without("iss"), ProofRefusal.WRONG_CLAIM),
        ({**CLAIMS, "iss": 7}, ProofRefusal.WRONG_CLAIM),
        (without("nonce"), ProofRefusal.WRONG_CLAIM),
        ({**CLAIMS, "nonce": ""}, ProofRefusal.WRONG_CLAIM),
        (without("jti"), ProofRefusal.WRONG_CLAIM),
        ({**CLAIMS, "jti": ""}, ProofRefusal.WRONG_CLAIM),
        ({**CLAIMS, "jti": "j" * 129}, ProofRefusal.WRONG_CLAIM),
        ({**CLAIMS, "jti": ["jti-1"]}, ProofRefusal.WRONG_CLAIM),
        ({**CLAIMS, "jti": "j\n"}, ProofRefusal.WRONG_CLAIM),
        (without("iat"), ProofRefusal.WRONG_CLAIM),
        (without("exp"), ProofRefusal.WRONG_CLAIM),
        ({**CLAIMS, "exp": str(IAT + 60)}, ProofRefusal.WRONG_CLAIM),
        ({**CLAIMS, "exp": IAT + 59.5}, ProofRefusal.WRONG_CLAIM),
        ({**CLAIMS, "iat": True}, ProofRefusal.WRONG_CLAIM),
        ({**CLAIMS, "iat": float("nan")}, ProofRefusal.WRONG_CLAIM),
        ({**CLAIMS, "exp": IAT}, ProofRefusal.WRONG_CLAIM),
        ({**CLAIMS, "exp": IAT + 61}, ProofRefusal.LIVES_TOO_LONG),
        ({**CLAIMS, "exp": 10**400}, ProofRefusal.LIVES_TOO_LONG),
        ({**CLAIMS, "iat": IAT + 11, "exp": IAT + 60}, ProofRefusal.NOT_YET_VALID),
        ({**CLAIMS, "iat": 10**400, "exp": 10**400 + 1}, ProofRefusal.NOT_YET_VALID),
        ({**CLAIMS, "iat": IAT - 60, "exp": IAT}, ProofRefusal.EXPIRED),
        ({**CLAIMS, "iat": -(10**400), "exp": 1 - 10**400}, ProofRefusal.EXPIRED),
        (b"[]", ProofRefusal.MALFORMED),
        (b"\xff", ProofRefusal.MALFORMED),
        (b"[" * 5000, ProofRefusal.MALFORMED),
        (b'{"exp":' + b"9" * 5000 + b"}", ProofRefusal.MALFORMED),
    ],
)
def test_wrong_claims_are_refused_though_the_device_signed_them(claims, refusal):
    assert _verify(signed(claims=claims)) is refusal


@pytest.mark.parametrize(
    ("offset", "believed"), [(-11, False), (-10, True), (0, True), (59, True), (60, False)]
)
def test_an_assertion_lives_60_s_and_clocks_may_be_10_s_apart(offset, believed):
    outcome = _verify(TOKEN, now=NOW + timedelta(seconds=offset))

    assert isinstance(outcome, AssertionClaims) is believed


@pytest.mark.parametrize("token", ["", ".", "..", "a.b", "a.b.c.d", "é.é.é", "A" * 8193])
def test_what_is_no_token_is_refused(token):
    assert _verify(token) is ProofRefusal.MALFORMED


@given(
    st.text()
    | st.tuples(st.binary(), st.binary(), st.binary()).map(lambda parts: ".".join(map(_b64, parts)))
)
def test_no_token_makes_it_raise(token):
    assert isinstance(_verify(token), ProofRefusal)


@given(st.dictionaries(st.sampled_from(sorted(CLAIMS)), st.none() | st.integers() | st.text()))
def test_no_signed_claims_make_it_raise(changed):
    outcome = _verify(signed(claims={**CLAIMS, **changed}))

    assert isinstance(outcome, (AssertionClaims, ProofRefusal))


@pytest.mark.parametrize(
    ("jwk", "problem"),
    [
        ({}, "EC key on P-256 or an OKP key on Ed25519"),
        ({"kty": "oct", "k": "AAAA"}, "EC key on P-256"),
        ({**PUBLIC_JWK, "crv": "X25519"}, "EC key on P-256"),
        ({**P256_JWK, "crv": "P-384"}, "EC key on P-256"),
        (DEVICE_JWK, "must have exactly crv, kty, x"),
        (P256_JWK, "must have exactly crv, kty, x, y"),
        ({**PUBLIC_JWK, "use": "sig"}, "must have exactly"),
        ({"kty": "OKP", "crv": "Ed25519"}, "must have exactly"),
        ({**PUBLIC_JWK, "x": 7}, "not base64url of 32 bytes"),
        ({**PUBLIC_JWK, "x": "AAAA"}, "not base64url of 32 bytes"),
        ({"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "B" * 43}, "cannot be read"),
        ({"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 43}, "not on its curve"),
    ],
)
def test_what_is_no_public_key_of_a_device_is_refused(jwk, problem):
    with pytest.raises(ValueError, match=problem):
        public_jwk(jwk)


def test_a_key_of_ours_that_is_damaged_is_an_error_and_no_refusal():
    with pytest.raises(ValueError, match="EC key on P-256"):
        _verify(TOKEN, {"kty": "RSA"})


def test_a_proof_keeps_words_only():
    proof = device_proof.Proof(
        claims={"a": "x y", "b": "x"}, jti="j", issued_at=NOW, expires_at=NOW
    )

    assert (proof.word("a"), proof.word("b"), proof.word("c")) == (None, "x", None)
