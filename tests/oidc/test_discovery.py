"""Discovery and keys: what relying parties start from."""

from pdp.oidc.discovery import metadata
from tests.oidc.world import World

ISSUER = "https://id.example.org"


def test_the_document_names_everything_that_relying_parties_insist_on(world: World):
    with world.database.read() as tx:
        resources = world.runtime.configurations.current(tx).resources
    document = metadata(ISSUER, resources)

    assert document["issuer"] == ISSUER
    for endpoint in (
        "authorization_endpoint",
        "token_endpoint",
        "jwks_uri",
        "userinfo_endpoint",
        "end_session_endpoint",
        "introspection_endpoint",
        "revocation_endpoint",
    ):
        assert str(document[endpoint]).startswith(f"{ISSUER}/")
    assert document["subject_types_supported"] == ["public"]
    assert document["response_types_supported"] == ["code"]
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["authorization_response_iss_parameter_supported"] is True
    assert {"openid", "api.read"} <= set(document["scopes_supported"])  # type: ignore[call-overload]


def test_published_keys_have_an_id_and_no_private_member(world: World):
    with world.database.read() as tx:
        keys = world.runtime.configurations.current(tx).keys.public_jwks()["keys"]

    assert keys
    for key in keys:
        assert key["kid"]
        assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & key.keys()
