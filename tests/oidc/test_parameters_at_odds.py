"""A parameter that comes twice, in two places, or for two clients could be read in two ways."""

import base64
from urllib.parse import urlencode

import pytest

from pdp.oidc import endpoints
from pdp.oidc.client_auth import ASSERTION_TYPE
from tests.oidc.world import REDIRECT, VERIFIER, Answered, World, secret_of

#: What each kind of request sends beside its credentials; `{code}` and its like are filled in.
REQUESTS = {
    "code": (
        endpoints.token,
        {
            "grant_type": "authorization_code",
            "code": "{code}",
            "redirect_uri": REDIRECT,
            "code_verifier": VERIFIER,
        },
    ),
    "refresh": (
        endpoints.token,
        {
            "grant_type": "refresh_token",
            "refresh_token": "{refresh_token}",
            "scope": "openid",
        },
    ),
    "introspection": (
        endpoints.introspect,
        {"token": "{access_token}", "token_type_hint": "access_token"},
    ),
    "revocation": (
        endpoints.revoke,
        {"token": "{access_token}", "token_type_hint": "access_token"},
    ),
}
CREDENTIALS = {"client_id": "wiki", "client_secret": secret_of("wiki")}
CASES = [
    (kind, parameter)
    for kind, (_, form) in REQUESTS.items()
    for parameter in (*form, *CREDENTIALS, "unheard_of")
]


def _basic(client_id: str) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{secret_of(client_id)}".encode()).decode()


def _filled_in(world: World, kind: str) -> dict[str, str]:
    known = {**world.tokens(), "code": world.code()}
    return {name: value.format_map(known) for name, value in REQUESTS[kind][1].items()}


def _post(
    world: World, kind: str, pairs: list[tuple[str, str]], authorization: str | None = None
) -> Answered:
    return world.post_raw(REQUESTS[kind][0], urlencode(pairs).encode(), authorization)


@pytest.mark.parametrize(("kind", "parameter"), CASES)
@pytest.mark.parametrize("value", ["the same", "another"])
def test_a_parameter_that_comes_twice_is_refused_and_uses_nothing_up(
    world: World, kind: str, parameter: str, value: str
):
    form = {**_filled_in(world, kind), **CREDENTIALS}
    once = list(form.items())
    again = form.get(parameter, "x") if value == "the same" else "another"
    extra = [(parameter, again)] * (1 if parameter in form else 2)

    for twice in (once + extra, extra + once):
        answer = _post(world, kind, twice)
        assert (answer.status, answer.error) == (400, "invalid_request")

    right = _post(world, kind, once)
    assert right.status == 200
    assert right.body.get("active", True) is True


@pytest.mark.parametrize("kind", REQUESTS)
def test_an_array_of_values_is_no_parameter(world: World, kind: str):
    for name in REQUESTS[kind][1]:
        form = {**_filled_in(world, kind), **CREDENTIALS}
        value = form.pop(name)
        array = [(f"{name}[]", value), (f"{name}[0]", value)]
        is_optional = name in {"scope", "token_type_hint"}

        answer = _post(world, kind, [*form.items(), *array])

        assert (answer.status == 200) is is_optional, name


@pytest.mark.parametrize("kind", REQUESTS)
def test_a_client_in_the_header_and_another_in_the_body_are_no_client(world: World, kind: str):
    form = _filled_in(world, kind)

    mixed = [
        _post(world, kind, list({**form, "client_id": "other"}.items()), _basic("wiki")),
        _post(world, kind, list({**form, "client_id": "wiki"}.items()), _basic("other")),
    ]

    assert {(answer.status, answer.error) for answer in mixed} == {(400, "invalid_request")}
    right = _post(world, kind, list({**form, "client_id": "wiki"}.items()), _basic("wiki"))
    assert right.status == 200


@pytest.mark.parametrize(
    "second",
    [
        {"client_secret": secret_of("wiki")},
        {"client_secret": "x"},
        {"client_assertion": "x.y.z", "client_assertion_type": ASSERTION_TYPE},
        {"client_assertion_type": ASSERTION_TYPE},
    ],
    ids=", ".join,
)
@pytest.mark.parametrize("kind", REQUESTS)
def test_two_ways_to_say_who_asks_are_refused(world: World, kind: str, second: dict[str, str]):
    form = {**_filled_in(world, kind), **second}

    answer = _post(world, kind, list(form.items()), _basic("wiki"))

    assert (answer.status, answer.error) == (400, "invalid_request")


@pytest.mark.parametrize("kind", ["code", "refresh", "revocation"])
@pytest.mark.parametrize("thief", ["other", "native"])
def test_what_one_client_was_given_is_of_no_use_to_another(world: World, kind: str, thief: str):
    form = _filled_in(world, kind)

    stolen = world.post(REQUESTS[kind][0], thief, **form)

    assert (stolen.status, stolen.error) == (400, "invalid_grant")
    assert "access_token" not in stolen.body
    right = world.post(REQUESTS[kind][0], "wiki", **form)
    assert right.status == 200


@pytest.mark.parametrize("thief", ["other", "backup", "api"])
def test_another_client_learns_nothing_of_a_token(world: World, thief: str):
    issued = world.tokens(scope="openid profile offline_access")

    for token in (issued["access_token"], issued["refresh_token"], issued["id_token"]):
        assert world.introspect(token, thief) == {"active": False}
    assert world.introspect(issued["access_token"])["active"] is True
