"""The whole application over HTTP, with policies by which high risk means one certain outcome."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import parse_qs

import orjson
import pyotp

from pdp.domain.access import Outcome
from pdp.domain.ids import SubjectId
from pdp.domain.signal import Signal
from pdp.jose.tokens import Refusal, verify_jwt
from pdp.store import clients, factors
from pdp.store.database import Database
from pdp.store.documents import DocumentKind
from pdp.usecases.publish_document import publish
from pdp.usecases.second_factor import secret_place
from pdp.worker.loop import Worker
from tests.builders import NOW, FrozenClock
from tests.deployment import a_calm, a_risky, ingest
from tests.oidc.world import (
    REDIRECT,
    VERIFIER,
    Answered,
    World,
    a_confidential_client,
    secret_of,
)
from tests.outbound.peers import Peer, answering, peer
from tests.web.browser import ISSUER, Browser, Page, a_person, enrolled

SHOP = "shop"
SCOPE = "openid profile email offline_access api.read api.write"
CEILING = ("openid", "profile", "api.read")
RESTRICTED_TOKEN = timedelta(minutes=2)
RESTRICTED_SESSION = timedelta(minutes=30)
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

_TERMS = {
    Outcome.RESTRICTED: (
        f"    restrict: {{scopes: [{', '.join(CEILING)}], token_lifetime: 2m,"
        " session_lifetime: 30m, restrictions: [read-only]}\n"
    ),
    Outcome.STEP_UP: "    require: {acr: mfa}\n",
}
#: Two ceilings that have nothing in common: together they leave nothing (DECISIONS 9).
NOTHING_LEFT = """\
  - {id: one, outcome: restricted, when: {device_risk: {in: [high], on_missing: false}},
     restrict: {scopes: [openid], token_lifetime: 2m, session_lifetime: 30m}}
  - {id: two, outcome: restricted, when: {device_risk: {in: [high], on_missing: false}},
     restrict: {scopes: [api.read], token_lifetime: 2m, session_lifetime: 30m}}
"""


def risk_means(outcome: Outcome) -> str:
    """Return policies under which high risk has this outcome, and everything else is full."""
    if outcome is Outcome.FULL:
        return ""
    condition = "{device_risk: {in: [high], on_missing: false}}"
    if outcome is Outcome.STEP_UP:
        condition = "{device_risk: {in: [high], on_missing: false}, not: {acr_at_least: mfa}}"
    return (
        f"  - id: risky\n    outcome: {outcome.wire}\n    when: {condition}\n"
        f"{_TERMS.get(outcome, '')}"
    )


@dataclass(slots=True)
class Enforced:
    """Bob on his device in front of the application; the shop relies on it."""

    world: World
    receiver: Peer
    browser: Browser = field(init=False)
    bob: SubjectId = field(init=False)
    code: str = ""
    tokens: dict[str, str] = field(default_factory=dict)
    told: int = 0

    def __post_init__(self) -> None:
        self.browser = Browser(self.world)
        self.bob = a_person(self.world, email="bob@example.org")
        enrolled(self.world, self.browser, self.world.ada.device, self.bob)
        shop = a_confidential_client(
            SHOP, backchannel_logout_uri=f"http://127.0.0.1:{self.receiver.port}/logout"
        )
        with self.world.database.write() as tx:
            clients.add(tx, shop, now=NOW)

    # What happens

    def policies_say(self, policies: str) -> None:
        """Put policies in force that come on top of one that lets everybody in."""
        text = (
            "pratique: policies/v1\ndefault: block\npolicies:\n"
            f"  - {{id: everybody, outcome: full}}\n{policies}"
        )
        with self.world.database.write() as tx:
            publish(tx, DocumentKind.POLICIES, text, file="table", actor="test", now=NOW)

    def source_says_risky(self) -> None:
        """Let the device's source say high risk; nothing has followed from it yet."""
        self._say(a_risky)

    def device_turns_risky(self) -> None:
        """Let the device's source say high risk, and the worker do what follows."""
        self._say(a_risky)
        self._work()

    def device_heals(self) -> None:
        """Let the device's source say low risk, and the worker do what follows."""
        self._say(a_calm)
        self._work()

    def _say(self, stated: Callable[[str, datetime], Signal]) -> None:
        self.told += 1
        self.world.pass_time(seconds=1)
        now = self.world.clock()
        ingest(self.world.database, stated(f"told-{self.told}", now), now=now)

    def _work(self) -> None:
        worker = Worker(self.world.runtime, chance=lambda: 1.0)
        while worker.run_due():
            pass
        worker.close()

    # What Bob and the shop do

    def visits(self, **parameters: str) -> Page:
        """Send Bob's browser to the shop's sign-in; he gives his password if he is asked."""
        page = self.browser.authorize(SHOP, scope=SCOPE, **parameters)
        return self.browser.sign_in(page) if page.path.startswith("/signin/") else page

    def signs_in(self) -> None:
        """Sign Bob in; the shop holds the code."""
        self.code = self.visits().answer["code"]

    def signs_in_and_redeems(self) -> None:
        """Sign Bob in; the shop holds tokens."""
        self.signs_in()
        answer = self.redeem()
        assert answer.status == 200, answer.body
        self.tokens = {name: str(value) for name, value in answer.body.items()}

    def redeem(self) -> Answered:
        """Redeem the code."""
        return self._post(
            "/token",
            SHOP,
            grant_type="authorization_code",
            code=self.code,
            redirect_uri=REDIRECT,
            code_verifier=VERIFIER,
        )

    def refresh(self) -> Answered:
        """Refresh; the shop holds the newest tokens."""
        answer = self._post(
            "/token",
            SHOP,
            grant_type="refresh_token",
            refresh_token=self.tokens["refresh_token"],
        )
        if answer.status == 200:
            self.tokens = {name: str(value) for name, value in answer.body.items()}
        return answer

    def introspect(self) -> dict[str, object]:
        """Ask about the access token as the API."""
        answer = self._post("/introspect", "api", token=self.tokens["access_token"])
        assert answer.status == 200
        return answer.body

    def userinfo(self) -> Answered:
        """Ask for Bob's claims with the access token."""
        bearer = {"Authorization": f"Bearer {self.tokens['access_token']}"}
        answer = self.browser.client.get("/userinfo", base_url=ISSUER, headers=bearer)
        body = orjson.loads(answer.data) if answer.data else {}
        return Answered(answer.status_code, body, dict(answer.headers))

    def is_signed_in(self) -> bool:
        """Tell whether our own session stands: whatever the answer, it is not `login_required`."""
        return self.visits(prompt="none").answer.get("error") != "login_required"

    def logout_tokens(self) -> list[dict[str, object]]:
        """Return the claims of what the shop was sent by back-channel logout."""
        bodies = [sent.partition(b"\r\n\r\n")[2].decode() for sent in self.receiver.requests]
        return [self._claims(parse_qs(body)["logout_token"][0], "logout+jwt") for body in bodies]

    def id_token(self) -> dict[str, object]:
        """Return the claims of the newest ID token."""
        return self._claims(self.tokens["id_token"], "JWT")

    def _claims(self, token: str, typ: str) -> dict[str, object]:
        with self.world.database.read() as tx:
            keys = self.world.runtime.configurations.current(tx).keys
        claims = verify_jwt(
            token,
            keys,
            typ=typ,
            algorithms=["ES256"],
            issuer=ISSUER,
            audience=SHOP,
            now=self.world.clock(),
        )
        assert not isinstance(claims, Refusal), claims
        return dict(claims)

    def _post(self, path: str, client_id: str, **form: str) -> Answered:
        answer = self.browser.client.post(
            path, base_url=ISSUER, data=form, auth=(client_id, secret_of(client_id))
        )
        return Answered(answer.status_code, orjson.loads(answer.data), dict(answer.headers))


def a_factor(enforced: Enforced) -> pyotp.TOTP:
    """Give Bob a second factor; return his authenticator app."""
    world, secret = enforced.world, pyotp.random_base32()
    envelope = world.runtime.envelope
    sealed = envelope.seal(secret, place=secret_place(enforced.bob))
    pending = envelope.seal(secret, place=f"pending:{enforced.bob}")
    with world.database.write() as tx:
        factors.begin(tx, enforced.bob, sealed=pending)
        assert factors.confirm(tx, enforced.bob, pending=pending, sealed=sealed, step=0, now=NOW)
    return pyotp.TOTP(secret)


@contextmanager
def enforcement(database: Database, clock: FrozenClock) -> Iterator[Enforced]:
    """Set everything up on an empty database."""
    with peer(answering(_OK)) as receiver:
        yield Enforced(World(database, clock), receiver)
