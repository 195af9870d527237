"""Code exchange, refresh and client credentials, as clients see them, on both databases."""

import base64
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from authlib.oauth2.rfc6749 import InvalidRequestError, OAuth2Error
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from pdp.jose.tokens import at_hash
from pdp.oidc import endpoints
from pdp.oidc.request import Answer, Call
from pdp.oidc.server import Server
from pdp.store import tokens
from tests.oidc.world import API, CHALLENGE, REDIRECT, World, secret_of


def claims_of(world: World, token: str) -> tuple[dict[str, object], dict[str, object]]:
    """Read a token as its receiver does: header and claims, by the published keys."""
    keys = world.runtime.configurations.latest.keys.public_jwks()
    published: list[dict[str, str | list[str]]] = [{**key} for key in keys["keys"]]
    ring = KeySet([ECKey.import_key(key) for key in published])
    decoded = jwt.decode(token, ring, algorithms=["ES256"])
    return dict(decoded.header), dict(decoded.claims)


def test_a_code_becomes_tokens_that_say_who_signed_in_and_how(world: World):
    answer = world.redeem(world.code())

    assert answer.status == 200
    assert answer.body["token_type"] == "Bearer"
    assert answer.body["expires_in"] == 300
    header, access = claims_of(world, str(answer.body["access_token"]))
    assert header["typ"] == "at+jwt"
    assert access["aud"] == API
    assert access["client_id"] == "wiki"
    assert access["sub"] == world.ada.subject
    id_header, identity = claims_of(world, str(answer.body["id_token"]))
    assert id_header["kid"]
    assert identity["aud"] == "wiki"
    assert identity["nonce"] == "n-1"
    assert identity["acr"] == "pwd"
    assert identity["sid"] == world.ada.session
    assert identity["at_hash"] == at_hash(str(answer.body["access_token"]), "ES256")
    assert "nbf" not in identity
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_authorization_answer_names_its_issuer_and_keeps_the_state(world: World):
    location = world.authorize().location

    assert location is not None
    assert location.startswith(REDIRECT + "?")
    query = parse_qs(urlsplit(location).query)
    assert query["iss"] == ["https://id.example.org"]
    assert query["state"] == ["xyz"]


def test_an_access_token_without_resource_scopes_is_for_the_issuer(world: World):
    issued = world.tokens(scope="openid profile")

    _, access = claims_of(world, issued["access_token"])

    assert access["aud"] == "https://id.example.org"


def test_a_code_redeemed_twice_is_refused_and_what_it_gave_ends(world: World):
    code = world.code()
    first = world.redeem(code)

    second = world.redeem(code)

    assert (second.status, second.error) == (400, "invalid_grant")
    assert world.introspect(str(first.body["access_token"])) == {"active": False}
    assert world.refresh(str(first.body["refresh_token"])).error == "invalid_grant"


def test_a_code_is_good_for_a_minute(world: World):
    code = world.code()

    world.pass_time(seconds=60)

    assert world.redeem(code).error == "invalid_grant"


def test_another_clients_code_is_refused_and_stays_usable_for_its_own(world: World):
    code = world.code("wiki")

    stolen = world.redeem(code, "other")

    assert stolen.error == "invalid_grant"
    assert world.redeem(code, "wiki").status == 200


def test_a_failed_client_authentication_does_not_use_the_code_up(world: World):
    code = world.code()
    form = f"grant_type=authorization_code&code={code}&redirect_uri={REDIRECT}"
    wrong = world.post_raw(endpoints.token, form.encode(), "Basic d2lraTp3cm9uZw==")

    assert wrong.status == 401
    assert wrong.error == "invalid_client"
    assert wrong.headers["WWW-Authenticate"].startswith("Basic")
    assert world.redeem(code).status == 200


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"redirect_uri": "https://wiki.example/callback2"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_grant"),
        ({"code_verifier": "w" * 43}, "invalid_grant"),
        ({"code_verifier": CHALLENGE}, "invalid_grant"),
        ({"code_verifier": None}, "invalid_request"),
        ({"code_verifier": "short"}, "invalid_request"),
    ],
    ids=[
        "another redirect uri",
        "no redirect uri",
        "another verifier",
        "the challenge itself",
        "no verifier",
        "a short verifier",
    ],
)
def test_a_redemption_that_does_not_fit_its_request_uses_the_code_up(
    world: World, changes: dict[str, str | None], error: str
):
    code = world.code()

    assert world.redeem(code, **changes).error == error
    assert world.redeem(code).error == "invalid_grant"


def test_a_client_registered_without_pkce_owes_a_nonce(world: World):
    with pytest.raises(InvalidRequestError, match="nonce"):
        world.authorize("legacy", code_challenge=None, code_challenge_method=None, nonce=None)


def test_a_refresh_rotates_the_token_and_renews_the_id_token(world: World):
    first = world.tokens()

    answer = world.refresh(first["refresh_token"])

    assert answer.status == 200
    assert answer.body["refresh_token"] != first["refresh_token"]
    _, identity = claims_of(world, str(answer.body["id_token"]))
    assert identity["auth_time"] == int(world.clock().timestamp())
    assert "nonce" not in identity


def test_a_refresh_token_used_twice_ends_its_family(world: World):
    first = world.tokens()
    second = world.refresh(first["refresh_token"])

    reused = world.refresh(first["refresh_token"])

    assert reused.error == "invalid_grant"
    assert world.refresh(str(second.body["refresh_token"])).error == "invalid_grant"
    assert world.introspect(str(second.body["access_token"])) == {"active": False}


def test_another_clients_refresh_token_is_refused_and_its_family_lives(world: World):
    issued = world.tokens("wiki")

    assert world.refresh(issued["refresh_token"], "other").error == "invalid_grant"
    assert world.refresh(issued["refresh_token"], "wiki").status == 200


def test_a_refresh_may_ask_for_less_and_never_for_more(world: World):
    issued = world.tokens(scope="openid profile offline_access")

    more = world.refresh(issued["refresh_token"], scope="openid api.write")
    less = world.refresh(issued["refresh_token"], scope="openid")

    assert more.error == "invalid_scope"
    assert less.body["scope"] == "openid"


def test_a_refresh_token_dies_when_idle_and_at_the_familys_end(world: World):
    idle = world.tokens()
    world.pass_time(days=14)

    assert world.refresh(idle["refresh_token"]).error == "invalid_grant"


def test_a_machine_gets_a_token_without_person_device_or_refresh_token(world: World):
    answer = world.machine_token()

    assert answer.status == 200
    assert "refresh_token" not in answer.body
    assert "id_token" not in answer.body
    _, access = claims_of(world, str(answer.body["access_token"]))
    assert access["sub"] == "backup"
    assert access["aud"] == API
    assert "sid" not in access


@pytest.mark.parametrize("client", ["wiki", "native"])
def test_client_credentials_are_for_clients_registered_for_them(world: World, client: str):
    assert world.machine_token(client).error == "unauthorized_client"


def test_a_scope_that_the_client_may_not_have_is_no_scope(world: World):
    assert world.machine_token(scope="payroll.write").error == "invalid_scope"


@pytest.mark.parametrize(
    "body",
    [
        b"grant_type=client_credentials&grant_type=client_credentials",
        b"grant_type=client_credentials&scope=api.read&scope=api.write",
    ],
    ids=["grant type", "scope"],
)
def test_a_parameter_that_comes_twice_is_refused(world: World, body: bytes):
    answer = world.post_raw(endpoints.token, body, _basic("backup"))

    assert answer.error == "invalid_request"


@pytest.mark.parametrize("endpoint", [endpoints.token, endpoints.introspect, endpoints.revoke])
def test_a_form_that_nobody_needs_so_long_is_not_read(
    world: World, endpoint: Callable[[Server, Call], Answer]
):
    body = b"grant_type=client_credentials&token=" + b"%41" * 22_000

    answer = world.post_raw(endpoint, body, _basic("backup"))

    assert (answer.status, answer.error) == (400, "invalid_request")
    assert "too long" in str(answer.body["error_description"])


@pytest.mark.parametrize("grant_type", [None, "password", 'x"y', "urn:ietf:params:é"])
def test_an_unknown_grant_type_is_refused_with_an_oauth_error(world: World, grant_type: str | None):
    answer = world.token("backup", grant_type=grant_type)

    assert answer.status == 400
    assert answer.error in {"unsupported_grant_type", "invalid_request"}
    assert "grant_type" in str(answer.body["error_description"])


def test_credentials_in_two_places_are_refused(world: World):
    body = f"grant_type=client_credentials&client_id=backup&client_secret={secret_of('backup')}"

    assert world.post_raw(endpoints.token, body.encode(), None).status == 200
    assert world.post_raw(endpoints.token, body.encode(), _basic("backup")).status == 400


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic",
        "Basic !!!",
        "Basic /////w==",
        "Bearer abc",
        "Basic YmFja3Vw",
        "Basic w6k6w6k=",
        "Basic YmFja3VwOgA=",
    ],
)
def test_odd_authorization_headers_are_a_failed_authentication(world: World, authorization: str):
    answer = world.post_raw(endpoints.token, b"grant_type=client_credentials", authorization)

    assert (answer.status, answer.error) == (401, "invalid_client")


def test_an_empty_basic_header_beside_a_secret_in_the_body_counts_as_none(world: World):
    body = f"grant_type=client_credentials&client_id=backup&client_secret={secret_of('backup')}"

    assert world.post_raw(endpoints.token, body.encode(), "Basic Og==").status == 200


def test_guessing_secrets_is_slowed_down_and_right_ones_are_not(world: World):
    wrong = [
        world.post_raw(endpoints.token, b"grant_type=client_credentials", "Basic YmFja3VwOng=")
        for _ in range(61)
    ]

    assert wrong[0].status == 401
    assert wrong[-1].status == 429
    assert int(wrong[-1].headers["Retry-After"]) > 0
    assert world.machine_token().status == 200


def test_unknown_client_and_wrong_secret_are_told_the_same(world: World):
    unknown = world.post_raw(endpoints.token, b"grant_type=client_credentials", _basic("nobody"))
    wrong = world.post_raw(
        endpoints.token, b"grant_type=client_credentials", "Basic YmFja3VwOndyb25n"
    )

    assert unknown == wrong


def test_tokens_are_stored_as_digests_only(world: World):
    issued = world.tokens()
    with world.database.read() as tx:
        _, found = tokens.find_refresh(tx, issued["refresh_token"])

    assert found is not None
    assert found.digest != issued["refresh_token"]


@pytest.mark.parametrize("port", [1, 8080, 65535])
def test_a_native_app_may_listen_on_any_port_of_the_loopback_address(world: World, port: int):
    uri = f"http://127.0.0.1:{port}/callback"

    assert str(world.authorize("native", redirect_uri=uri).location).startswith(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "http://localhost:8080/callback",
        "http://127.0.0.1:8080/other",
        "https://127.0.0.1:8080/callback",
        "http://127.0.0.1.evil.example/callback",
        "http://127.0.0.1:80@evil.example/callback",
        "http://127.0.0.1:999999/callback",
    ],
)
def test_a_native_apps_freedom_ends_with_the_port(world: World, uri: str):
    with pytest.raises(OAuth2Error) as refused:
        world.authorize("native", redirect_uri=uri)

    assert not refused.value.redirect_uri


def _basic(client_id: str) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{secret_of(client_id)}".encode()).decode()
