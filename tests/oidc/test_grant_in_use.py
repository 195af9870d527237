"""A policy that names a grant type meets exactly the requests that use it."""

import pytest

from pdp.store.documents import DocumentKind
from pdp.usecases.publish_document import publish
from tests.builders import NOW
from tests.oidc.world import World

GRANTS = ("authorization_code", "refresh_token", "client_credentials")


@pytest.mark.parametrize("grant_type", GRANTS)
def test_only_the_grant_that_a_policy_names_is_blocked(world: World, grant_type: str):
    refresh_token, code = world.tokens()["refresh_token"], world.code()
    text = (
        "pratique: policies/v1\ndefault: block\npolicies:\n"
        "  - {id: everybody, outcome: full}\n"
        f"  - {{id: not-so, outcome: block, when: {{grant_type: {grant_type}}}}}\n"
    )
    with world.database.write() as tx:
        publish(tx, DocumentKind.POLICIES, text, file="grants", actor="test", now=NOW)

    answers = {
        "refresh_token": world.refresh(refresh_token),
        "authorization_code": world.redeem(code),
        "client_credentials": world.machine_token(),
    }

    assert {name for name, answer in answers.items() if answer.status != 200} == {grant_type}
