"""Enrolment proofs: a key is enrolled by its holder, with this token, here and now."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.jose import device_proof
from pdp.jose.device_enrolment import (
    EnrolmentProof,
    sign_enrolment_proof,
    token_digest,
    verify_enrolment_proof,
)
from pdp.jose.device_key import generate_device_key, imported, thumbprint, without_private_part
from pdp.jose.device_proof import ProofRefusal
from tests.builders import DEVICE_JWK, ISSUER, NOW, a_device_assertion

TOKEN = "enrol-me"
PUBLIC_JWK = without_private_part(DEVICE_JWK)
OTHER_JWK = generate_device_key()
IAT = int(NOW.timestamp())
HEADER = {"typ": "device-enrolment+jwt"}
CLAIMS = {
    "aud": ISSUER,
    "jti": "jti-1",
    "jwk": PUBLIC_JWK,
    "token": token_digest(TOKEN),
    "iat": IAT,
    "exp": IAT + 60,
}


def a_proof(jwk=DEVICE_JWK):
    """Return the proof by which a device enrols its key."""
    return sign_enrolment_proof(jwk, enrolment_token=TOKEN, issuer=ISSUER, jti="jti-1", now=NOW)


def _verify(proof, token=TOKEN, now=NOW):
    return verify_enrolment_proof(proof, enrolment_token=token, issuer=ISSUER, now=now)


def signed(header=HEADER, by=DEVICE_JWK, **claims):
    return device_proof.sign(imported(by), header, {**CLAIMS, **claims})


@pytest.mark.parametrize("jwk", [DEVICE_JWK, OTHER_JWK], ids=["Ed25519", "P-256"])
def test_a_device_enrols_the_public_part_of_its_key(jwk):
    assert _verify(a_proof(jwk)) == EnrolmentProof(
        jwk=without_private_part(jwk),
        thumbprint=thumbprint(jwk),
        jti="jti-1",
        expires_at=NOW + timedelta(seconds=60),
    )


@pytest.mark.parametrize(
    ("proof", "refusal"),
    [
        pytest.param(signed(by=OTHER_JWK), ProofRefusal.WRONG_HEADER, id="another key's alg"),
        pytest.param(
            signed(by=generate_device_key(), jwk=without_private_part(OTHER_JWK)),
            ProofRefusal.BAD_SIGNATURE,
            id="another key's signature",
        ),
        pytest.param(signed(jwk=DEVICE_JWK), ProofRefusal.WRONG_KEY, id="private key sent along"),
        pytest.param(signed(jwk="x"), ProofRefusal.WRONG_KEY, id="no key"),
        pytest.param(signed(jwk={"kty": "oct", "k": "AA"}), ProofRefusal.WRONG_KEY, id="MAC key"),
        pytest.param(signed({"typ": "JWT"}), ProofRefusal.WRONG_HEADER, id="another typ"),
        pytest.param(
            signed({**HEADER, "kid": "x"}), ProofRefusal.WRONG_HEADER, id="more in the header"
        ),
        pytest.param(signed(aud="https://other.example"), ProofRefusal.WRONG_AUDIENCE, id="aud"),
        pytest.param(signed(aud=[ISSUER]), ProofRefusal.WRONG_AUDIENCE, id="a list as aud"),
        pytest.param(signed(token=TOKEN), ProofRefusal.WRONG_TOKEN, id="the token, not its hash"),
        pytest.param(signed(token=None), ProofRefusal.WRONG_TOKEN, id="no token"),
        pytest.param(signed(jti=None), ProofRefusal.WRONG_CLAIM, id="no jti"),
        pytest.param(signed(exp=IAT + 61), ProofRefusal.LIVES_TOO_LONG, id="61 s"),
        pytest.param(signed(iat=IAT - 60, exp=IAT), ProofRefusal.EXPIRED, id="expired"),
        pytest.param(a_device_assertion(), ProofRefusal.WRONG_KEY, id="an assertion"),
        pytest.param("a.b.c", ProofRefusal.MALFORMED, id="no token at all"),
    ],
)
def test_any_other_proof_is_refused(proof, refusal):
    assert _verify(proof) is refusal


@pytest.mark.parametrize("token", ["", "other", TOKEN + " ", "\ud800"])
def test_a_proof_for_another_enrolment_token_is_refused(token):
    assert _verify(a_proof(), token) is ProofRefusal.WRONG_TOKEN


def test_a_proof_changed_in_any_one_character_is_refused():
    proof = a_proof()

    for position, was in enumerate(proof):
        changed = proof[:position] + ("A" if was != "A" else "B") + proof[position + 1 :]
        assert isinstance(_verify(changed), ProofRefusal)


@given(st.text(), st.text())
def test_no_proof_and_no_token_make_it_raise(proof, token):
    assert isinstance(_verify(proof, token), ProofRefusal)


@given(
    st.dictionaries(
        st.sampled_from(["kty", "crv", "x", "y", "d"]),
        st.sampled_from(["EC", "OKP", "P-256", "Ed25519", "A" * 43, "_" * 43])
        | st.integers()
        | st.text(),
    )
)
def test_no_key_makes_it_raise(members):
    outcome = _verify(signed(jwk={**PUBLIC_JWK, **members}))

    assert isinstance(outcome, (EnrolmentProof, ProofRefusal))
