"""PKCE as a truth table: what was asked for, what is shown, and by which kind of client."""

from itertools import product

import pytest
from authlib.oauth2.rfc6749 import InvalidRequestError

from tests.oidc.world import CHALLENGE, REDIRECT, VERIFIER, World

NATIVE_REDIRECT = "com.example.app:/callback"
#: What the authorization request says: `code_challenge`, `code_challenge_method`.
CHALLENGES = {
    "no challenge": (None, None),
    "S256": (CHALLENGE, "S256"),
    "plain": (VERIFIER, "plain"),
    "plain by default": (VERIFIER, None),
    "a bad challenge": ("bad", "S256"),
    "a method alone": (None, "S256"),
}
#: What the token request says: `code_verifier`.
VERIFIERS = {
    "no verifier": None,
    "the right one": VERIFIER,
    "a wrong one": "w" * 43,
    "the challenge itself": CHALLENGE,
    "a short one": "short",
}
#: Two confidential clients, of which `legacy` is registered without PKCE, and a public one.
CLIENTS = ("wiki", "legacy", "native")
TOKENS = {
    *((client, "S256", "the right one") for client in CLIENTS),
    ("legacy", "no challenge", "no verifier"),
}


@pytest.mark.parametrize("case", sorted(product(CLIENTS, CHALLENGES, VERIFIERS)), ids=", ".join)
def test_pkce_is_whole_or_refused(world: World, case: tuple[str, str, str]):
    client, asked, shown = case
    challenge, method = CHALLENGES[asked]
    redirect_uri = NATIVE_REDIRECT if client == "native" else REDIRECT
    if not _is_taken(client, asked):
        with pytest.raises(InvalidRequestError) as refused:
            _ask(world, client, challenge, method, redirect_uri)
        assert refused.value.redirect_uri == redirect_uri
        return

    answer = world.redeem(
        _ask(world, client, challenge, method, redirect_uri),
        client,
        code_verifier=VERIFIERS[shown],
        redirect_uri=redirect_uri,
    )

    assert (answer.status == 200) is (case in TOKENS)
    assert ("access_token" in answer.body) is (case in TOKENS)


def _is_taken(client: str, asked: str) -> bool:
    """Tell whether the authorization request is one that gets a code."""
    return asked == "S256" or (client == "legacy" and asked == "no challenge")


def _ask(
    world: World, client: str, challenge: str | None, method: str | None, redirect_uri: str
) -> str:
    asked = {
        "code_challenge": challenge,
        "code_challenge_method": method,
        "redirect_uri": redirect_uri,
    }
    return world.code(client, **asked)
