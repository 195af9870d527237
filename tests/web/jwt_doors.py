"""The doors that take JWTs or other tokens of ours, and a good token of each kind."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Final

from werkzeug.test import TestResponse

from pdp.domain.ids import DeviceId, SubjectId
from pdp.identification.evidence import AssertionClaim
from pdp.jose.device_assertion import sign_device_assertion
from pdp.jose.device_enrolment import sign_enrolment_proof
from pdp.jose.keys import SigningKey, generate
from pdp.jose.tokens import sign_jwt
from pdp.oidc.client_auth import ASSERTION_TYPE
from pdp.store import clients, device_keys
from pdp.usecases.device_nonce import issue_nonce
from pdp.usecases.offer_enrolment import offer_enrolment
from pdp.worker.logout import EVENT
from tests.builders import NOW
from tests.deployment import KEY, a_client
from tests.oidc.world import REDIRECT, VERIFIER, World, secret_of
from tests.web.browser import ISSUER, Browser, authorize_query

ROBOT: Final = generate("ES256", signs_from=NOW)
DEVICE: Final = generate("ES256", signs_from=NOW)
NEW_DEVICE: Final = generate("ES256", signs_from=NOW)
ENROLMENT_TOKEN: Final = "a-token-for-bob"
SECONDS: Final = int(NOW.timestamp())
_ids = count()


@dataclass(frozen=True, slots=True)
class Answered:
    """Whether a text was taken for a good token, and the status that said so."""

    is_taken: bool
    status: int


def prepare(world: World) -> None:
    """Register a client with a key, enrol a device, and offer the enrolment of another."""
    robot = a_client(
        "robot",
        auth_methods=frozenset({"private_key_jwt"}),
        grant_types=frozenset({"client_credentials"}),
        scopes=frozenset({"api.read"}),
        jwks={"keys": [dict(ROBOT.public_jwk)]},
    )
    jwk = {name: DEVICE.public_jwk[name] for name in ("kty", "crv", "x", "y")}
    with world.database.write() as tx:
        clients.add(tx, robot, now=NOW)
        device_keys.add_key(
            tx,
            world.ada.device,
            thumbprint=DEVICE.kid,
            method=AssertionClaim.method,
            jwk=jwk,
            now=NOW,
        )
        offer_enrolment(
            tx,
            SubjectId("usr_ada"),
            ENROLMENT_TOKEN,
            expires_at=NOW + timedelta(minutes=15),
            actor="op",
            now=NOW,
        )


# One good token of each kind, new with each call


def _issued(kind: str) -> Callable[[World], str]:
    return lambda world: world.tokens()[kind]


def _client_assertion(_: World) -> str:
    claims = {
        "iss": "robot",
        "sub": "robot",
        "aud": ISSUER,
        "jti": f"j-{next(_ids)}",
        "iat": SECONDS,
        "exp": SECONDS + 60,
    }
    return sign_jwt(ROBOT, claims, "JWT")


def _logout_token(world: World) -> str:
    claims = {
        "iss": ISSUER,
        "aud": "wiki",
        "iat": SECONDS,
        "exp": SECONDS + 120,
        "jti": f"j-{next(_ids)}",
        "events": {EVENT: {}},
        "sub": world.ada.subject,
        "sid": world.ada.session,
    }
    return sign_jwt(KEY, claims, "logout+jwt")


def _device_assertion(world: World) -> str:
    return sign_device_assertion(
        _private(DEVICE),
        device=DeviceId(world.ada.device),
        issuer=ISSUER,
        nonce=issue_nonce(world.runtime.envelope, now=NOW),
        jti=f"j-{next(_ids)}",
        now=NOW,
    )


def _enrolment_proof(_: World) -> str:
    return sign_enrolment_proof(
        _private(NEW_DEVICE),
        enrolment_token=ENROLMENT_TOKEN,
        issuer=ISSUER,
        jti=f"j-{next(_ids)}",
        now=NOW,
    )


def _private(key: SigningKey) -> dict[str, str]:
    return {name: str(value) for name, value in key.private.as_dict(private=True).items()}


#: How each kind is made, and the key that signs it; codes and refresh tokens are no JWTs.
KINDS: Final[Mapping[str, tuple[Callable[[World], str], SigningKey | None]]] = {
    "access token": (_issued("access_token"), KEY),
    "ID token": (_issued("id_token"), KEY),
    "refresh token": (_issued("refresh_token"), None),
    "code": (lambda world: world.code(), None),
    "logout token": (_logout_token, KEY),
    "client assertion": (_client_assertion, ROBOT),
    "device assertion": (_device_assertion, DEVICE),
    "enrolment proof": (_enrolment_proof, NEW_DEVICE),
}


# The doors


def _posted(browser: Browser, path: str, by: str | None = None, /, **form: str) -> TestResponse:
    auth = None if by is None else (by, secret_of(by))
    return browser.client.post(path, base_url=ISSUER, data=form, auth=auth)


def _userinfo(browser: Browser, text: str) -> Answered:
    answer = browser.client.post(
        "/userinfo", base_url=ISSUER, data={"access_token": _sendable(text)}
    )
    return Answered(answer.status_code == 200, answer.status_code)


def _introspection(browser: Browser, text: str) -> Answered:
    answer = _posted(
        browser, "/introspect", "wiki", token=_sendable(text), token_type_hint="access_token"
    )
    told = answer.get_json()
    return Answered(told.get("active") is True, answer.status_code)


def _code(browser: Browser, text: str) -> Answered:
    answer = _posted(
        browser,
        "/token",
        "wiki",
        grant_type="authorization_code",
        code=_sendable(text),
        redirect_uri=REDIRECT,
        code_verifier=VERIFIER,
    )
    return Answered(answer.status_code == 200, answer.status_code)


def _refresh(browser: Browser, text: str) -> Answered:
    answer = _posted(
        browser, "/token", "wiki", grant_type="refresh_token", refresh_token=_sendable(text)
    )
    return Answered(answer.status_code == 200, answer.status_code)


def _robot(browser: Browser, text: str) -> Answered:
    answer = _posted(
        browser,
        "/token",
        grant_type="client_credentials",
        client_assertion_type=ASSERTION_TYPE,
        client_assertion=_sendable(text),
    )
    return Answered(answer.status_code == 200, answer.status_code)


def _hint_at_sign_in(browser: Browser, text: str) -> Answered:
    query = authorize_query(prompt="none", id_token_hint=_sendable(text) or "-")
    answer = browser.client.get(f"/authorize?{query}", base_url=ISSUER)
    # Nobody is signed in: that is said only once the hint is believed.
    is_taken = "error=login_required" in answer.headers.get("Location", "")
    return Answered(is_taken, answer.status_code)


def _hint_at_sign_out(browser: Browser, text: str) -> Answered:
    answer = _posted(browser, "/logout", id_token_hint=_sendable(text) or "-")
    return Answered(answer.status_code == 200, answer.status_code)


def _device(browser: Browser, text: str) -> Answered:
    answer = browser.client.post(
        "/device/assert",
        base_url=ISSUER,
        json={"code": "ABCD-EFGH"},
        environ_overrides={"HTTP_DEVICE_ASSERTION": _sendable(text)},
    )
    # That no page shows this code is said only to a device that proved itself.
    return Answered(answer.status_code in {204, 404}, answer.status_code)


def _enrolment(browser: Browser, text: str) -> Answered:
    answer = browser.client.post(
        "/device/enrol",
        base_url=ISSUER,
        json={"token": ENROLMENT_TOKEN, "proof": text},
    )
    return Answered(answer.status_code == 200, answer.status_code)


def _sendable(text: str) -> str:
    """Return the text as the bytes of a form or header bring it: half of a pair is none."""
    return text.encode("utf-8", "replace").decode()


#: What each door takes, and how a text is tried there.
DOORS: Final[Mapping[str, tuple[str, Callable[[Browser, str], Answered]]]] = {
    "UserInfo": ("access token", _userinfo),
    "introspection": ("access token", _introspection),
    "code exchange": ("code", _code),
    "refresh": ("refresh token", _refresh),
    "client assertion": ("client assertion", _robot),
    "hint at sign-in": ("ID token", _hint_at_sign_in),
    "hint at sign-out": ("ID token", _hint_at_sign_out),
    "device assertion": ("device assertion", _device),
    "device enrolment": ("enrolment proof", _enrolment),
}
