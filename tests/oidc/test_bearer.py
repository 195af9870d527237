"""Where UserInfo takes a token from, and how exactly it must be spelled (RFC 6750)."""

import pytest

from pdp.oidc import endpoints
from pdp.oidc.request import Call
from tests.oidc.world import World

FORM = "application/x-www-form-urlencoded"


def a_call(body: str = "", authorization: str | None = None) -> Call:
    """A call with a token in its body, or in its header."""
    return Call(
        body=body.encode(), content_type=FORM, authorization=authorization, address="192.0.2.7"
    )


def test_a_get_takes_no_token_from_a_body(world: World):
    token = world.tokens()["access_token"]

    assert endpoints.userinfo_by_get(world.server, a_call(f"access_token={token}")).status == 401
    header = a_call(authorization=f"Bearer {token}")
    assert endpoints.userinfo_by_get(world.server, header).status == 200


def test_a_post_takes_the_token_from_header_or_form(world: World):
    token = world.tokens()["access_token"]

    assert endpoints.userinfo(world.server, a_call(f"access_token={token}")).status == 200
    twice = a_call(f"access_token={token}&access_token={token}")
    assert endpoints.userinfo(world.server, twice).status == 401
    header = a_call(authorization=f"bearer {token}")
    assert endpoints.userinfo(world.server, header).status == 200


@pytest.mark.parametrize("spelled", ["{} ", " {}", "{}\t", "{} x", "{},", "", " "])
def test_a_token_with_anything_around_it_is_none(world: World, spelled: str):
    header = f"Bearer {spelled.format(world.tokens()['access_token'])}"

    for endpoint in (endpoints.userinfo, endpoints.userinfo_by_get):
        assert endpoint(world.server, a_call(authorization=header)).status == 401
