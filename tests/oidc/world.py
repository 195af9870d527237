"""A deployment with clients of each kind, and one person signed in, for tests of the token side."""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import parse_qs, urlencode, urlsplit

import orjson

from pdp.clock import new_secret
from pdp.domain.client import Client, ClientSecret, Resource
from pdp.domain.ids import ClientId
from pdp.oidc import endpoints
from pdp.oidc.authorize import Proceed, next_step, read_request
from pdp.oidc.grants import Authorized
from pdp.oidc.request import Answer, Call, OidcRequest, Parameters
from pdp.oidc.server import Server
from pdp.runtime import Runtime
from pdp.store import clients, sessions
from pdp.store.at_once import NotAtOnce, SqliteReader
from pdp.store.database import Database
from pdp.usecases.client_secrets import client_pepper, secret_digest
from tests.builders import NOW, FrozenClock, an_envelope
from tests.deployment import SignedIn, a_client, a_deployment, signed_in
from tests.oidc.loop import LoopOfProcess

REDIRECT = "https://wiki.example/callback"
API = "https://api.example"
VERIFIER = "v" * 43
CHALLENGE = (
    base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
)
_SCOPES = frozenset({"openid", "profile", "email", "offline_access", "api.read", "api.write"})


def secret_of(client_id: str) -> str:
    """The secret of a confidential client in this world."""
    return f"{client_id}-secret-of-at-least-32-characters"


def a_confidential_client(client_id: str, **changes: object) -> Client:
    """A registered client that authenticates with `secret_of` its id."""
    digest = secret_digest(secret_of(client_id), client_pepper(an_envelope()))
    return a_client(
        client_id,
        **{
            "secrets": (ClientSecret(digest=digest, created_at=NOW),),
            "redirect_uris": (REDIRECT,),
            "scopes": _SCOPES,
            **changes,
        },
    )


def _clients() -> tuple[Client, ...]:
    return (
        a_confidential_client("wiki"),
        a_confidential_client("other"),
        a_confidential_client("legacy", pkce_required=False, nonce_required=True),
        a_confidential_client("api", grant_types=frozenset({"client_credentials"})),
        a_confidential_client(
            "backup",
            grant_types=frozenset({"client_credentials"}),
            scopes=frozenset({"api.read", "api.write"}),
        ),
        a_client(
            "native",
            auth_methods=frozenset({"none"}),
            redirect_uris=("http://127.0.0.1/callback", "com.example.app:/callback"),
            scopes=_SCOPES,
        ),
    )


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer of a token-side endpoint, its JSON read."""

    status: int
    body: dict[str, object]
    headers: dict[str, str]

    @property
    def error(self) -> object:
        """The OAuth error code, if it is one."""
        return self.body.get("error")


@dataclass(slots=True)
class World:
    """One process on one database, with `ada` signed in from a healthy device."""

    database: Database
    clock: FrozenClock
    runtime: Runtime = field(init=False)
    server: Server = field(init=False)
    ada: SignedIn = field(init=False)
    at_once: Server | None = field(init=False)
    #: Whether tokens and checks are answered on an event loop, as `pdp serve` does.
    on_loop: bool = False
    loop: LoopOfProcess | None = field(init=False)

    def __post_init__(self) -> None:
        self.runtime = a_deployment(self.database, self.clock, *_clients())
        with self.database.write() as tx:
            clients.add_resource(
                tx,
                Resource(
                    identifier=API,
                    scopes=frozenset({"api.read", "api.write"}),
                    client=ClientId("api"),
                ),
                now=NOW,
            )
        self.server = Server(self.runtime)
        self.at_once = None
        self.loop = LoopOfProcess(self.runtime) if self.on_loop else None
        if self.database.is_sqlite and not self.on_loop:
            self.at_once = self.server.at_once(SqliteReader(self.database.engine))
        self.ada = signed_in(self.database)

    def close(self) -> None:
        """Write what waits to be recorded, and end the loop."""
        self.runtime.decision_log.close()
        if self.loop is not None:
            self.loop.close()

    def authorize(self, client_id: str = "wiki", /, **parameters: str | None) -> Answer:
        """Ask for a code in ada's session; raises Authlib's errors like the edge sees them."""
        asked_for = {
            "client_id": client_id,
            "response_type": "code",
            "redirect_uri": REDIRECT,
            "scope": "openid profile email offline_access api.read api.write",
            "state": "xyz",
            "nonce": "n-1",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            **parameters,
        }
        values = {name: value for name, value in asked_for.items() if value is not None}
        with self.database.write() as tx:
            request = OidcRequest(
                "GET",
                Parameters(values),
                address="192.0.2.7",
                tx=tx,
                configuration=self.runtime.configurations.current(tx),
                now=self.clock(),
            )
            grant = self.server.validate_authorization(request)
            asked = read_request(request, self.server.issuer.issuer)
            cookie = new_secret()
            session = sessions.get(tx, self.ada.session)
            assert session is not None
            assert sessions.rotate(tx, session, cookie=cookie)
            live = sessions.find_live(tx, cookie, now=self.clock())
            assert live is not None
            step = next_step(request, asked, live, None)
            assert isinstance(step, Proceed)
            return self.server.authorize(request, grant, Authorized(live.session, step.judged))

    def code(self, client_id: str = "wiki", /, **parameters: str | None) -> str:
        """Return a fresh authorization code."""
        location = self.authorize(client_id, **parameters).location
        assert location is not None
        return parse_qs(urlsplit(location).query)["code"][0]

    def redeem(self, code: str, client_id: str = "wiki", /, **form: str | None) -> Answered:
        """Redeem a code."""
        return self.token(
            client_id,
            grant_type="authorization_code",
            code=code,
            **{"redirect_uri": REDIRECT, "code_verifier": VERIFIER, **form},
        )

    def tokens(self, client_id: str = "wiki", **parameters: str | None) -> dict[str, str]:
        """Return fresh tokens of ada's."""
        answer = self.redeem(self.code(client_id, **parameters), client_id)
        assert answer.status == 200, answer.body
        return {name: str(value) for name, value in answer.body.items()}

    def refresh(self, refresh_token: str, client_id: str = "wiki", **form: str) -> Answered:
        """Refresh."""
        return self.token(
            client_id, grant_type="refresh_token", refresh_token=refresh_token, **form
        )

    def machine_token(self, client_id: str = "backup", **form: str) -> Answered:
        """Ask for a machine's token."""
        return self.token(client_id, grant_type="client_credentials", **form)

    def token(self, client_id: str, **form: str | None) -> Answered:
        """Post to the token endpoint as a client."""
        return self.post(endpoints.token, client_id, **form)

    def introspect(self, token: str, client_id: str = "wiki") -> dict[str, object]:
        """Ask about a token as a client."""
        answer = self.post(endpoints.introspect, client_id, token=token)
        assert answer.status == 200
        return answer.body

    def revoke(self, token: str, client_id: str = "wiki", **form: str) -> Answered:
        """Revoke a token as a client."""
        return self.post(endpoints.revoke, client_id, token=token, **form)

    def userinfo(self, access_token: str) -> Answered:
        """Ask for the claims of a token's person."""
        call = Call(
            body=b"",
            content_type="",
            authorization=f"Bearer {access_token}",
            address="192.0.2.7",
        )
        return _answered(self._answer(endpoints.userinfo, call))

    def post(
        self, endpoint: Callable[[Server, Call], Answer], by: str | None, /, **form: str | None
    ) -> Answered:
        """Post a form, authenticated by header; a public client names itself in the body."""
        values = {name: value for name, value in form.items() if value is not None}
        authorization = None
        if by == "native":
            values["client_id"] = by
        elif by is not None:
            pair = f"{by}:{secret_of(by)}"
            authorization = "Basic " + base64.b64encode(pair.encode()).decode()
        return self.post_raw(endpoint, urlencode(values).encode(), authorization)

    def post_raw(
        self, endpoint: Callable[[Server, Call], Answer], body: bytes, authorization: str | None
    ) -> Answered:
        """Post bytes to an endpoint."""
        call = Call(
            body=body,
            content_type="application/x-www-form-urlencoded",
            authorization=authorization,
            address="192.0.2.7",
        )
        return _answered(self._answer(endpoint, call))

    def _answer(self, endpoint: Callable[[Server, Call], Answer], call: Call) -> Answer:
        if self.loop is not None:
            return self.loop.answer(endpoint, self.server, call)
        answer = endpoint(self.server, call)
        if endpoint in {endpoints.introspect, endpoints.userinfo}:
            self._ask_at_once(endpoint, call, answer)
        return answer

    def _ask_at_once(
        self, endpoint: Callable[[Server, Call], Answer], call: Call, answer: Answer
    ) -> None:
        """Make sure that the event loop gives the same answer to a check, or none."""
        if self.at_once is None:
            return
        try:
            again = endpoint(self.at_once, call)
        except NotAtOnce:
            return
        assert (again.status, again.body, again.headers) == (
            answer.status,
            answer.body,
            answer.headers,
        )

    def pass_time(self, **by: float) -> None:
        """Let time pass: `seconds=61`."""
        self.clock.advance(timedelta(**by))


def _answered(answer: Answer) -> Answered:
    body = orjson.loads(answer.body) if answer.body else {}
    return Answered(answer.status, body, dict(answer.headers))
