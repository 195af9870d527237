"""D24: of every mutation of a good token, none is accepted and none raises."""

import base64
import hashlib
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import KeySet, import_key

from pdp.jose.keys import ALGORITHMS, KeyRing, generate
from pdp.jose.tokens import (
    MAX_TOKEN,
    Refusal,
    at_hash,
    sign_jwt,
    verify_id_token_hint,
    verify_jwt,
)
from pdp.jose.verified import VerifiedTokens
from tests.builders import NOW
from tests.jose.jwt_mutations import STRANGER, encode, mutations

ISSUER = "https://login.example"
API = "https://api.example"
ACCESS = "at+jwt"
MINUTE = timedelta(minutes=1)
KEYS = {alg: generate(alg, signs_from=NOW) for alg in ALGORITHMS}
RING = KeyRing(tuple(KEYS.values()))


def claims(**changes):
    seconds = int(NOW.timestamp())
    usual = {
        "iss": ISSUER,
        "sub": "ada",
        "aud": API,
        "iat": seconds,
        "exp": seconds + 300,
        "jti": "t1",
    }
    return {name: value for name, value in {**usual, **changes}.items() if value is not None}


def token(alg="ES256", typ=ACCESS, **changes):
    return sign_jwt(KEYS[alg], claims(**changes), typ)


def verify(text, *, ring=RING, audience=API, now=NOW, **options):
    return verify_jwt(
        text,
        ring,
        typ=ACCESS,
        algorithms=options.pop("algorithms", tuple(ALGORITHMS)),
        issuer=ISSUER,
        audience=audience,
        now=now,
        **options,
    )


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_what_we_sign_verifies(alg):
    assert verify(token(alg)) == claims()


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_what_we_sign_verifies_elsewhere_with_the_published_keys(alg):
    published = KeySet([import_key({**jwk}) for jwk in RING.public_jwks()["keys"]])

    decoded = jwt.decode(token(alg), published, algorithms=[alg])

    assert decoded.claims == claims()
    assert decoded.header == {"alg": alg, "kid": KEYS[alg].kid, "typ": ACCESS}


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"iss": "https://login.example/"}, Refusal.WRONG_ISSUER),
        ({"iss": None}, Refusal.WRONG_ISSUER),
        ({"iss": [ISSUER]}, Refusal.WRONG_ISSUER),
        ({"aud": "https://api.example.evil"}, Refusal.WRONG_AUDIENCE),
        ({"aud": []}, Refusal.WRONG_AUDIENCE),
        ({"aud": {API: API}}, Refusal.WRONG_AUDIENCE),
        ({"aud": None}, Refusal.WRONG_AUDIENCE),
        ({"exp": int(NOW.timestamp())}, Refusal.EXPIRED),
        ({"exp": None}, Refusal.WRONG_CLAIM),
        ({"exp": True}, Refusal.WRONG_CLAIM),
        ({"exp": 1e300}, Refusal.WRONG_CLAIM),
        ({"exp": "2099-01-01"}, Refusal.WRONG_CLAIM),
        ({"iat": None}, Refusal.WRONG_CLAIM),
        ({"iat": "1"}, Refusal.WRONG_CLAIM),
        ({"iat": int(NOW.timestamp()) + 11}, Refusal.NOT_YET_VALID),
        ({"nbf": int(NOW.timestamp()) + 11}, Refusal.NOT_YET_VALID),
        ({"nbf": True}, Refusal.WRONG_CLAIM),
    ],
    ids=str,
)
def test_claims_that_we_signed_are_still_judged(changes, refusal):
    assert verify(token(**changes)) is refusal


def test_one_of_several_audiences_suffices():
    assert verify(token(aud=["https://other.example", API])) == claims(
        aud=["https://other.example", API]
    )


def test_a_caller_may_judge_the_audience_itself():
    assert verify(token(aud="https://other.example"), audience=None) == claims(
        aud="https://other.example"
    )


def test_a_replica_may_be_a_little_ahead():
    assert verify(token(), now=NOW - timedelta(seconds=10)) == claims()
    assert verify(token(), now=NOW - timedelta(seconds=11)) is Refusal.NOT_YET_VALID


def test_leeway_counts_at_the_end_too():
    late = NOW + 6 * MINUTE

    assert verify(token(), now=late) is Refusal.EXPIRED
    assert verify(token(), now=late, leeway=2 * MINUTE) == claims()


def test_a_token_of_another_type_is_refused():
    assert verify(token(typ="JWT")) is Refusal.WRONG_TYPE
    assert verify(token(typ="AT+JWT")) is Refusal.WRONG_TYPE


def test_an_algorithm_that_this_place_does_not_take_is_refused():
    assert verify(token("RS256"), algorithms=["ES256"]) is Refusal.WRONG_ALGORITHM
    assert verify(token("RS256"), algorithms=[]) is Refusal.WRONG_ALGORITHM


def test_a_key_that_is_not_in_the_ring_is_refused():
    assert verify(sign_jwt(STRANGER, claims(), ACCESS)) is Refusal.UNKNOWN_KEY


def test_an_oversized_token_is_refused_unread():
    assert verify("a" * (MAX_TOKEN + 1)) is Refusal.TOO_LARGE


# A token that was met before


def test_a_remembered_token_gives_the_same_claims():
    seen = VerifiedTokens()
    text = token()

    assert verify(text, seen=seen) == verify(text, seen=seen) == claims()
    assert len(seen) == 1


def test_a_remembered_token_expires():
    seen = VerifiedTokens()
    text = token()
    verify(text, seen=seen)

    assert verify(text, seen=seen, now=NOW + 6 * MINUTE) is Refusal.EXPIRED


def test_a_remembered_token_dies_with_its_key():
    seen = VerifiedTokens()
    text = token()
    verify(text, seen=seen)

    without = KeyRing(tuple(key for key in RING.keys if key.alg != "ES256"))

    assert verify(text, seen=seen, ring=without) is Refusal.UNKNOWN_KEY


def test_a_remembered_token_is_still_of_its_type_and_audience():
    seen = VerifiedTokens()
    text = token(typ="JWT")
    verify(text, seen=seen)

    assert verify(text, seen=seen) is Refusal.WRONG_TYPE
    assert verify(token(), seen=seen, audience="https://other.example") is Refusal.WRONG_AUDIENCE


def test_a_refused_signature_is_not_remembered():
    seen = VerifiedTokens()
    verify(token()[:-4] + "AAAA", seen=seen)

    assert len(seen) == 0


def test_memory_is_bounded_and_keeps_what_is_used():
    seen = VerifiedTokens(capacity=2)
    first, second, third = (token(jti=str(number)) for number in range(3))
    for text in (first, second, first, third):
        verify(text, seen=seen)

    assert len(seen) == 2
    assert seen.find(first) is not None
    assert seen.find(second) is None


def test_claims_cannot_be_changed_by_whoever_reads_them():
    with pytest.raises(TypeError):
        verify(token())["sub"] = "eve"


# id_token_hint


def hint(text, *, audience="app", now=NOW):
    return verify_id_token_hint(
        text, RING, algorithms=["RS256", "ES256"], issuer=ISSUER, audience=audience, now=now
    )


def test_an_expired_id_token_is_a_good_hint():
    text = token("RS256", typ="JWT", aud="app")

    assert hint(text, now=NOW + timedelta(days=400)) == claims(aud="app")


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        (token(aud="app"), Refusal.WRONG_TYPE),
        (token(typ="logout+jwt", aud="app"), Refusal.WRONG_TYPE),
        (token(typ="JWT", aud="other"), Refusal.WRONG_AUDIENCE),
        (token(typ="JWT", aud="app", iss="https://evil.example"), Refusal.WRONG_ISSUER),
        (token(typ="JWT", aud="app", iat=None), Refusal.WRONG_CLAIM),
        (token("Ed25519", typ="JWT", aud="app"), Refusal.WRONG_ALGORITHM),
        (token(typ="JWT", aud="app")[:-2], Refusal.BAD_SIGNATURE),
    ],
    ids=["access token", "logout token", "audience", "issuer", "iat", "algorithm", "signature"],
)
def test_what_is_no_id_token_of_ours_is_no_hint(text, refusal):
    assert hint(text) is refusal


# at_hash


def test_at_hash_is_the_left_half_of_the_algorithms_hash():
    # The example of OpenID Connect Core 1.0, A.3.
    example = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"

    assert at_hash(example, "RS256") == "77QmUPtjPfzWtF2AnpK9RQ"
    assert at_hash(example, "ES256") == at_hash(example, "PS256") == at_hash(example, "RS256")

    half = hashlib.sha512(example.encode()).digest()[:32]
    assert at_hash(example, "Ed25519") == base64.urlsafe_b64encode(half).decode().rstrip("=")


# Mutations


MUTATIONS = dict(mutations(token(), KEYS["ES256"]))
SWAPPED = {
    f"{typ} {alg}": token(alg, typ=typ)
    for typ in ("JWT", "logout+jwt", "secevent+jwt", "device-assertion+jwt")
    for alg in ALGORITHMS
}


def test_there_are_at_least_300_mutations():
    assert len(MUTATIONS) >= 300


@pytest.mark.parametrize("text", SWAPPED.values(), ids=SWAPPED.keys())
def test_our_own_token_of_another_type_is_refused(text):
    assert verify(text) is Refusal.WRONG_TYPE


@pytest.mark.parametrize("text", MUTATIONS.values(), ids=MUTATIONS.keys())
def test_a_mutated_token_is_refused(text):
    seen = VerifiedTokens()

    assert isinstance(verify(text), Refusal)
    assert isinstance(verify(text, seen=seen), Refusal)
    assert isinstance(verify(text, seen=seen), Refusal)


@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*", fullmatch=True))
def test_any_text_is_refused(text):
    assert isinstance(verify(text), Refusal)


@given(st.binary(), st.binary(), st.binary())
def test_any_bytes_in_the_right_shape_are_refused(head, body, signature):
    assert isinstance(verify(f"{encode(head)}.{encode(body)}.{encode(signature)}"), Refusal)


@given(st.data())
def test_any_signature_under_a_good_header_is_refused(data):
    alg = data.draw(st.sampled_from(sorted(ALGORITHMS)))
    head, body, _ = token(alg).split(".")
    signature = data.draw(st.binary(max_size=300))

    assert verify(f"{head}.{body}.{encode(signature)}") in {
        Refusal.BAD_SIGNATURE,
        Refusal.MALFORMED,
    }
