"""Clients: who is public can keep no secret, and whoever may also use one is not public."""

import pytest

from pdp.domain.client import Client
from pdp.domain.ids import ClientId


@pytest.mark.parametrize(
    ("methods", "public"),
    [
        ({"none"}, True),
        ({"client_secret_basic"}, False),
        ({"private_key_jwt"}, False),
        ({"none", "client_secret_basic"}, False),
        (set(), False),
    ],
    ids=["none", "secret", "key", "none or secret", "no method"],
)
def test_a_client_is_public_when_it_can_prove_nothing(methods: set[str], *, public: bool):
    client = Client(id=ClientId("wiki"), name="Wiki", auth_methods=frozenset(methods))

    assert client.is_public is public
