"""D25: what is published is public, whatever a key holds; overlap by time."""

from datetime import timedelta

import pytest
from joserfc.jwk import RSAKey

from pdp.domain.errors import Unavailable
from pdp.jose.keys import ALGORITHMS, KeyRing, SigningKey, UnusableKey, generate
from tests.builders import NOW

HOUR = timedelta(hours=1)


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_key_survives_being_stored(alg):
    key = generate(alg, signs_from=NOW)

    again = SigningKey.from_private(key.private_text(), kid=key.kid, alg=alg, signs_from=NOW)

    assert again.public_jwk == key.public_jwk


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_what_is_published_has_only_public_members(alg):
    (jwk,) = KeyRing((generate(alg, signs_from=NOW),)).public_jwks()["keys"]

    assert jwk.keys() <= {"kty", "crv", "x", "y", "n", "e", "kid", "use", "alg"}
    assert (jwk["use"], jwk["alg"]) == ("sig", alg)


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_key_does_not_show_its_private_half(alg):
    key = generate(alg, signs_from=NOW)

    secret = str(key.private.as_dict(private=True)["d"])

    assert secret not in repr(key)
    assert secret not in str(KeyRing((key,)).public_jwks())


def test_the_newest_key_that_may_sign_does():
    keys = [generate("ES256", signs_from=NOW + shift) for shift in (-2 * HOUR, -HOUR, HOUR)]
    ring = KeyRing(tuple(keys))

    assert ring.signing_key("ES256", NOW) is keys[1]
    assert ring.signing_key("ES256", NOW + HOUR) is keys[2]


def test_a_key_is_published_and_verifies_before_it_signs():
    key = generate("ES256", signs_from=NOW + HOUR)
    ring = KeyRing((key,))

    assert ring.verification_key(key.kid) is key
    assert ring.public_jwks()["keys"][0]["kid"] == key.kid
    with pytest.raises(Unavailable, match="keys rotate --alg ES256"):
        ring.signing_key("ES256", NOW)


def test_no_key_is_found_by_another_name():
    assert KeyRing((generate("ES256", signs_from=NOW),)).verification_key("../key") is None


def test_two_keys_of_one_name_are_no_ring():
    key = generate("ES256", signs_from=NOW)

    with pytest.raises(UnusableKey, match="same kid"):
        KeyRing((key, key))


def public_text(key):
    return str(dict(key.public_jwk)).replace("'", '"')


@pytest.mark.parametrize(
    ("text", "alg"),
    [
        (generate("ES256", signs_from=NOW).private_text(), "RS256"),
        (generate("Ed25519", signs_from=NOW).private_text(), "ES256"),
        (public_text(generate("ES256", signs_from=NOW)), "ES256"),
        ("{}", "ES256"),
        ("[]", "ES256"),
        ("null", "RS256"),
        ("not JSON", "RS256"),
        ('{"kty": "oct", "k": "c2VjcmV0"}', "ES256"),
    ],
    ids=["EC for RSA", "OKP for EC", "public only", "empty", "list", "null", "no JSON", "oct"],
)
def test_a_key_that_does_not_fit_is_refused(text, alg):
    with pytest.raises(UnusableKey):
        SigningKey.from_private(text, kid="k", alg=alg, signs_from=NOW)


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_a_short_rsa_key_is_refused():
    short = generate("RS256", signs_from=NOW)
    short = SigningKey("k", "RS256", RSAKey.generate_key(1024), short.public_jwk, NOW)

    with pytest.raises(UnusableKey, match="2048"):
        SigningKey.from_private(short.private_text(), kid="k", alg="RS256", signs_from=NOW)


@pytest.mark.parametrize("alg", ["none", "HS256", "RS512", "EdDSA", ""])
def test_an_algorithm_that_we_do_not_sign_with_is_refused_by_name(alg):
    with pytest.raises(UnusableKey, match="alg must be one of RS256, PS256, ES256, Ed25519"):
        generate(alg, signs_from=NOW)


def test_no_name_of_a_key_looks_like_an_option_of_a_command():
    # One in 64 would: none of 400 is luck once in 500.
    names = [generate("ES256", signs_from=NOW).kid for _ in range(400)]

    assert [name for name in names if name.startswith("-")] == []
