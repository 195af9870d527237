"""`private_key_jwt`: the right key, for this server, soon, once."""

import base64
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from pdp.domain.client import Client
from pdp.oidc import endpoints
from pdp.oidc.client_auth import ASSERTION_TYPE
from pdp.store import clients, single_use
from pdp.store.database import Statement
from tests.builders import NOW
from tests.deployment import a_client
from tests.oidc.world import Answered, World

KEY = ECKey.generate_key("P-256", auto_kid=True)
OTHER = ECKey.generate_key("P-256", auto_kid=True)
ISSUER = "https://id.example.org"

Change = Callable[[dict[str, object]], object]


def a_client_with_a_key() -> Client:
    """Robot, known by `KEY`."""
    return a_client(
        "robot",
        auth_methods=frozenset({"private_key_jwt"}),
        grant_types=frozenset({"client_credentials"}),
        scopes=frozenset({"api.read"}),
        jwks={"keys": [KEY.as_dict(private=False)]},
    )


@pytest.fixture
def robot(world: World) -> World:
    """A world with a client that authenticates with a key."""
    with world.database.write() as tx:
        clients.add(tx, a_client_with_a_key(), now=NOW)
    return world


def _claims(**changes: object) -> dict[str, object]:
    claims = {
        "iss": "robot",
        "sub": "robot",
        "aud": ISSUER,
        "jti": f"j-{time.perf_counter_ns()}",
        "iat": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 60,
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


def _present(world: World, assertion: str, **form: str) -> Answered:
    return world.post(
        endpoints.token,
        None,
        grant_type="client_credentials",
        client_assertion_type=ASSERTION_TYPE,
        client_assertion=assertion,
        **form,
    )


def _signed(claims: dict[str, object], key: ECKey = KEY, **header: object) -> str:
    return jwt.encode({"alg": "ES256", "kid": key.kid, **header}, claims, key, ["ES256"])


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_a_signed_assertion_gets_a_token_once(robot: World):
    assertion = _signed(_claims())

    assert _present(robot, assertion).status == 200
    assert _present(robot, assertion).error == "invalid_client"


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": [ISSUER]},
        {"aud": f"{ISSUER}/token"},
        {"aud": None},
        {"iss": "wiki"},
        {"sub": "wiki"},
        {"sub": 7},
        {"exp": int(NOW.timestamp())},
        {"exp": int(NOW.timestamp()) + 3600},
        {"exp": None},
        {"exp": "soon"},
        {"iat": int(NOW.timestamp()) + 600},
        {"nbf": int(NOW.timestamp()) + 600},
        {"jti": None},
        {"jti": ""},
        {"jti": "x" * 300},
    ],
    ids=str,
)
def test_an_assertion_with_one_wrong_claim_is_refused(robot: World, changes: dict[str, object]):
    assert _present(robot, _signed(_claims(**changes))).error == "invalid_client"


def test_another_key_does_not_speak_for_the_client(robot: World):
    assert _present(robot, _signed(_claims(), OTHER)).error == "invalid_client"
    assert _present(robot, _signed(_claims(), OTHER, kid=KEY.kid)).error == "invalid_client"


def test_the_public_key_is_no_shared_secret(robot: World):
    header = _encoded(json.dumps({"alg": "HS256", "kid": KEY.kid}).encode())
    signed = f"{header}.{_encoded(json.dumps(_claims()).encode())}"
    mac = hmac.digest(KEY.as_pem(private=False), signed.encode(), "sha256")

    assert _present(robot, f"{signed}.{_encoded(mac)}").error == "invalid_client"


@pytest.mark.parametrize("assertion", ["", "x", "a.b.c", "e30.e30.", "x" * 9000])
def test_odd_assertions_are_a_failed_authentication(robot: World, assertion: str):
    assert _present(robot, assertion).error in {"invalid_client", "invalid_request"}


def test_a_secret_beside_the_assertion_is_one_method_too_many(robot: World):
    answer = _present(robot, _signed(_claims()), client_id="robot", client_secret="x")

    assert answer.error == "invalid_request"


def test_another_clients_name_beside_the_assertion_is_refused(robot: World):
    assert _present(robot, _signed(_claims()), client_id="wiki").error == "invalid_client"


def test_an_authentication_that_fails_uses_no_assertion_up(world: World):
    """The key is right, and the client is not registered to prove itself by one."""
    methods = frozenset({"client_secret_basic"})
    with world.database.write() as tx:
        clients.add(tx, replace(a_client_with_a_key(), auth_methods=methods), now=NOW)

    assert _present(world, _signed(_claims())).error == "invalid_client"

    with world.database.read() as tx:
        assert tx.all(Statement("SELECT value FROM single_use"), {}) == []


def test_a_spent_assertion_is_remembered_longer_than_it_could_be_used(robot: World):
    assertion = _signed(_claims(exp=int((NOW + timedelta(minutes=5)).timestamp())))
    _present(robot, assertion)
    robot.pass_time(minutes=4, seconds=59)
    with robot.database.write() as tx:
        single_use.forget_expired(tx, now=robot.clock())

    assert _present(robot, assertion).error == "invalid_client"
