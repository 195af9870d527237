"""Grants: Authlib checks the protocol, the decision is ours, and so is single use."""

from dataclasses import dataclass
from functools import partial

from authlib.oauth2.rfc6749 import (
    InvalidGrantError,
    InvalidRequestError,
    InvalidScopeError,
    OAuth2Error,
)
from authlib.oauth2.rfc6749 import grants as authlib_grants

from pdp.clock import new_id, new_secret
from pdp.domain.access import Channel
from pdp.domain.client import Client
from pdp.domain.events import Action
from pdp.domain.ids import GrantId
from pdp.domain.session import EndReason, Grant, Session
from pdp.oidc import steps
from pdp.oidc.client import OidcClient
from pdp.oidc.enforce import Refused, Terms, token_terms
from pdp.oidc.issue import Issuer, NewRefreshToken, access_token, new_refresh, tokens_of_grant
from pdp.oidc.request import OidcRequest
from pdp.store import decisions, grants, tokens
from pdp.store.rotation import Rotation, rotate
from pdp.store.standings import Held
from pdp.store.tokens import Code, PresentedCode, RefreshToken
from pdp.usecases.decide_access import Judged, judge, judge_held, record, record_row
from pdp.usecases.gather_facts import facts_of_machine

NO_STORE = [
    ("Content-Type", "application/json"),
    ("Cache-Control", "no-store"),
    ("Pragma", "no-cache"),
]

TokenAnswer = tuple[int, dict[str, object], list[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class Authorized:
    """A person whose sign-in to the client was decided: Authlib's resource owner."""

    session: Session
    judged: Judged


class CodeOfClient:
    """A code in the shape that Authlib's checks read."""

    def __init__(self, presented: PresentedCode) -> None:
        self.presented = presented
        self.code_challenge = presented.code.code_challenge
        self.code_challenge_method = "S256"

    def get_redirect_uri(self) -> str | None:
        """Return the redirect URI that the token request must repeat, if the first named one."""
        code = self.presented.code
        return code.redirect_uri if code.redirect_uri_named else None


class AuthorizationCodeGrant(authlib_grants.AuthorizationCodeGrant):
    """Code flow (RFC 6749 §4.1, OpenID Connect Core §3.1)."""

    request: OidcRequest
    issuer: Issuer

    @staticmethod
    def validate_authorization_redirect_uri(request: OidcRequest, client: object) -> str:
        """Return the redirect URI, exactly as registered; InvalidRequestError otherwise.

        The text of the request never gets into the error: it may hold what no error may.
        """
        named = request.form.get("redirect_uri")
        uri = named or client.get_default_redirect_uri()  # type: ignore[attr-defined]
        if not uri:
            raise InvalidRequestError("Send 'redirect_uri': the client has several.")
        if not client.check_redirect_uri(uri):  # type: ignore[attr-defined]
            raise InvalidRequestError("This 'redirect_uri' is not registered for the client.")
        return str(uri)

    def generate_authorization_code(self) -> str:
        """Return 256 random bits."""
        return new_secret()

    def save_authorization_code(self, code: str, request: OidcRequest) -> None:
        """Store grant, code and decision, in one transaction with the sign-in they follow."""
        authorized: Authorized = request.user
        session, client, now = authorized.session, request.registered, request.now
        lifetimes = self.issuer.lifetimes
        grant = Grant(
            id=GrantId(new_id("gr")),
            subject=session.subject,
            client=client.id,
            session=session.id,
            device=session.device,
            strength=session.strength,
            scope=tuple((request.scope or "").split()),
            acr=session.acr,
            amr=session.amr,
            auth_time=session.auth_time,
            created_at=now,
            expires_at=now + lifetimes.refresh,
            address=request.address,
            nonce=request.form.get("nonce"),
        )
        grants.insert(request.tx, grant)
        tokens.insert_code(
            request.tx,
            code,
            client.id,
            Code(
                grant=grant.id,
                redirect_uri=self.redirect_uri,
                redirect_uri_named="redirect_uri" in request.form,
                code_challenge=request.form.get("code_challenge"),
                expires_at=now + lifetimes.code,
            ),
        )
        record(request.tx, authorized.judged)

    def query_authorization_code(self, code: str, client: object) -> CodeOfClient | None:
        """Find the code, and use it up whatever its further checks say (RFC 6749 §4.1.2).

        A second redemption by the same client revokes what the first one got (§10.5).
        """
        request, client_id = self.request, client.registered.id  # type: ignore[attr-defined]
        generation, found = tokens.find_code(request.tx, code, client_id)
        request.confirm(generation)
        if found is None:
            return None
        if found.consumed:
            steps.end_family(
                request, found.code.grant, EndReason.CODE_REPLAYED, Action.CODE_REPLAYED
            )
            return None
        request.changes.then(partial(tokens.consume_code, code=found, now=request.now))
        return CodeOfClient(found) if request.now < found.code.expires_at else None

    def create_token_response(self) -> TokenAnswer:
        """Decide, then issue or refuse; runs the PKCE check that Authlib hooks in before."""
        request: OidcRequest = self.request
        code: CodeOfClient = request.authorization_code
        granted = _judged(request, code.presented.held, Channel.CODE_EXCHANGE)
        if granted is None:
            raise InvalidGrantError("The code's grant has ended.")
        terms = _terms(self.issuer, granted, request)
        if isinstance(terms, Refused):
            return _refuse(self.issuer, request, granted, terms)
        grant = granted.held.grant
        refresh = None
        steps.stand_on(request, granted.held)
        steps.record(request, granted.judged)
        if "refresh_token" in request.registered.grant_types:
            refresh = new_refresh(self.issuer, request, grant, terms)
            steps.keep_first(request, refresh, grant.id)
        return _answer(self.issuer, request, granted, terms, refresh=refresh, nonce=grant.nonce)

    def delete_authorization_code(self, authorization_code: object) -> None:
        """Do nothing: the code was used up before, and its tombstone finds replays."""

    def authenticate_user(self, authorization_code: object) -> None:
        """Do nothing: the person is the grant's, and the decision speaks for them."""


class RefreshTokenGrant(authlib_grants.RefreshTokenGrant):
    """Refresh with rotation (RFC 6749 §6, RFC 9700 §4.14.2)."""

    request: OidcRequest
    issuer: Issuer

    def _validate_request_token(self, client: object) -> RefreshToken:
        request = self.request
        presented = request.form.get("refresh_token")
        if presented is None:
            raise InvalidRequestError("Send 'refresh_token'.")
        generation, found = tokens.find_refresh(request.tx, presented)
        request.confirm(generation)
        if found is None or found.held.grant.client != client.registered.id:  # type: ignore[attr-defined]
            # Another client's token stays as it is: its owner must not suffer for a thief's try.
            raise InvalidGrantError("The refresh token is not valid.")
        if found.consumed:
            steps.end_family(request, found.held.grant.id, EndReason.REUSE, Action.REFRESH_REUSED)
            raise InvalidGrantError("The refresh token is not valid.")
        if request.now >= found.expires_at:
            raise InvalidGrantError("The refresh token is not valid.")
        return found

    def _validate_token_scope(self, token: RefreshToken) -> None:
        """Leave the scope to `create_token_response`, which has the grant at hand."""

    def create_token_response(self) -> TokenAnswer:
        """Decide; then rotate and issue, or refuse and leave the token usable."""
        request: OidcRequest = self.request
        used: RefreshToken = request.refresh_token
        granted = _judged(request, used.held, Channel.REFRESH)
        if granted is None:
            raise InvalidGrantError("The refresh token is not valid.")
        wanted = _wanted(request, used.held.grant)
        terms = _terms(self.issuer, granted, request)
        if isinstance(terms, Refused):
            return _refuse(self.issuer, request, granted, terms)
        if wanted is not None:
            terms = _only(terms, wanted)
        refresh = new_refresh(self.issuer, request, used.held.grant, terms)
        decision_id, row = record_row(granted.judged)
        rotation = Rotation(
            used=used,
            fresh=refresh.token,
            expires_at=refresh.expires_at,
            record=row,
            config=request.configuration.generation,
            now=request.now,
        )
        request.changes.then_at_once(partial(rotate, rotation=rotation))
        steps.note_break_glass(request, decision_id, granted.judged)
        return _answer(self.issuer, request, granted, terms, refresh=refresh, nonce=None)

    def authenticate_refresh_token(self, refresh_token: str) -> None:
        """Do nothing: `_validate_request_token` binds token and client in one place."""

    def authenticate_user(self, refresh_token: object) -> None:
        """Do nothing: the person is the grant's."""

    def revoke_old_credential(self, refresh_token: object) -> None:
        """Do nothing: the token was used up before the new one was made."""


class ClientCredentialsGrant(authlib_grants.ClientCredentialsGrant):
    """A machine's token (RFC 6749 §4.4): no person, no device, but the same decision."""

    request: OidcRequest
    issuer: Issuer

    def create_token_response(self) -> TokenAnswer:
        """Decide and issue; the decision's record commits with the answer."""
        request: OidcRequest = self.request
        client: Client = request.registered
        if client.is_public:
            raise InvalidGrantError("A client that proves nothing gets no token of its own.")
        scopes = _machine_scopes(request, client)
        facts = facts_of_machine(
            client,
            channel=Channel.CLIENT_CREDENTIALS,
            scopes=frozenset(scopes),
            address=request.address,
            now=request.now,
        )
        judged = judge(request.configuration, facts, session=None)
        _, row = record_row(judged)
        generation = request.configuration.generation
        # Whether the configuration is in force is asked where the record is written.
        request.confirm(generation)
        request.changes.then_at_once(
            partial(decisions.append_under, row=row, generation=generation)
        )
        terms = token_terms(judged.decision, scopes, self.issuer.lifetimes, now=request.now)
        if isinstance(terms, Refused):
            raise _oauth_error(self.issuer, terms)
        token = access_token(self.issuer, request, client, terms, {"sub": client.id})
        return (
            200,
            {
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": int(terms.token_lifetime.total_seconds()),
                "scope": " ".join(terms.scopes),
            },
            NO_STORE,
        )


def _machine_scopes(request: OidcRequest, client: Client) -> tuple[str, ...]:
    asked = request.form.get("scope")
    if asked is None:
        return tuple(sorted(client.scopes - {"openid", "offline_access"}))
    allowed = OidcClient(client).get_allowed_scope(asked)
    if allowed is None:
        raise InvalidScopeError("None of these scopes is registered for the client.")
    return tuple(allowed.split())


def _wanted(request: OidcRequest, grant: Grant) -> frozenset[str] | None:
    """Return the scopes that a refresh asks for, if it asks for less (RFC 6749 §6)."""
    asked = request.form.get("scope")
    if asked is None:
        return None
    wanted = frozenset(asked.split())
    if not wanted <= frozenset(grant.scope):
        raise InvalidScopeError("A refresh cannot ask for more than was granted.")
    return wanted


@dataclass(frozen=True, slots=True)
class _Granted:
    """A decision about a live grant, with the rows it rests on."""

    held: Held
    judged: Judged


def _judged(request: OidcRequest, held: Held | None, channel: Channel) -> _Granted | None:
    judged = judge_held(request.tx, held, channel, request.configuration, now=request.now)
    return None if judged is None or held is None else _Granted(held, judged)


def _terms(issuer: Issuer, granted: _Granted, request: OidcRequest) -> Terms | Refused:
    scope = granted.held.grant.scope
    return token_terms(granted.judged.decision, scope, issuer.lifetimes, now=request.now)


def _answer(
    issuer: Issuer,
    request: OidcRequest,
    granted: _Granted,
    terms: Terms,
    *,
    refresh: NewRefreshToken | None,
    nonce: str | None,
) -> TokenAnswer:
    grant = granted.held.grant
    if terms.family_ends_at is not None:
        steps.narrow(request, grant.id, terms.family_ends_at)
    body = tokens_of_grant(
        issuer, request, request.registered, grant, terms, refresh=refresh, nonce=nonce
    )
    return 200, body, NO_STORE


def _only(terms: Terms, wanted: frozenset[str]) -> Terms:
    kept = tuple(name for name in terms.scopes if name in wanted)
    if not kept:
        raise InvalidScopeError("None of the scopes asked for may be used now.")
    return Terms(
        scopes=kept,
        token_lifetime=terms.token_lifetime,
        restrictions=terms.restrictions,
        family_ends_at=terms.family_ends_at,
    )


def _refuse(
    issuer: Issuer, request: OidcRequest, granted: _Granted, refused: Refused
) -> TokenAnswer:
    steps.stand_on(request, granted.held)
    steps.record(request, granted.judged)
    if refused.revokes:
        steps.end_family(request, granted.held.grant.id, EndReason.BLOCKED, Action.GRANT_REVOKED)
    raise _oauth_error(issuer, refused)


def _oauth_error(issuer: Issuer, refused: Refused) -> OAuth2Error:
    return OAuth2Error(
        error=refused.error,
        description=refused.description,
        uri=f"{issuer.issuer}/access/{refused.page}",
        status_code=400,
    )
