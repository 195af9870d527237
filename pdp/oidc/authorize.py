"""The authorization request of OpenID Connect, and what it takes next: a value, never a page.

Authlib validates client, redirect URI, scope and PKCE; what it does not read is read here.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import assert_never

import orjson
from authlib.oauth2.rfc6749 import InvalidRequestError, OAuth2Error

from pdp.domain.access import Decision, Outcome
from pdp.domain.client import ID_TOKEN_ALGORITHMS, Client
from pdp.domain.session import acr_reaches
from pdp.jose.tokens import Refusal, verify_id_token_hint
from pdp.oidc.request import OidcRequest
from pdp.store import consents, standings
from pdp.store.parked import ParkedRequest
from pdp.store.sessions import LiveSession
from pdp.usecases.decide_access import Judged, judge
from pdp.usecases.gather_facts import facts_of_session

_PROMPTS = frozenset({"none", "login", "consent", "select_account"})
#: Bytes of one request, which anybody may have kept for as long as it waits.
LONGEST_REQUEST = 16 * 1024
_REFUSED_PARAMETERS = {
    "request": ("request_not_supported", "Send the parameters themselves, not a request object."),
    "request_uri": ("request_uri_not_supported", "Send the parameters themselves, not a URL."),
    "registration": ("registration_not_supported", "Clients are registered by the operator."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticationRequest:
    """What an authorization request asks of the sign-in (OpenID Connect Core §3.1.2.1)."""

    client: Client
    scopes: frozenset[str]
    prompts: frozenset[str] = frozenset()
    max_age: timedelta | None = None
    acr: str | None = None
    acr_essential: bool = False
    login_hint: str = ""
    hinted_subject: str | None = None

    @property
    def silent(self) -> bool:
        """Whether no page may be shown (`prompt=none`)."""
        return "none" in self.prompts


# What a request takes next.


@dataclass(frozen=True, slots=True)
class NeedsSignIn:
    """The person must sign in; `again` when somebody is signed in already."""

    again: bool


@dataclass(frozen=True, slots=True)
class NeedsNewPassword:
    """The password is one that the person must replace first."""


@dataclass(frozen=True, slots=True)
class NeedsFactor:
    """A second factor is asked for; `enrolled` tells whether the person has one."""

    enrolled: bool
    judged: Judged


@dataclass(frozen=True, slots=True)
class NeedsConsent:
    """The person must agree to what a third party's client asks for."""

    scopes: frozenset[str]
    judged: Judged


@dataclass(frozen=True, slots=True)
class NeedsRemediation:
    """The device must be repaired first."""

    judged: Judged


@dataclass(frozen=True, slots=True)
class Proceed:
    """A code may be given."""

    judged: Judged


@dataclass(frozen=True, slots=True)
class Deny:
    """The client is told no; on block the browser session ends with it."""

    error: str
    description: str
    judged: Judged | None = None
    ends_session: bool = False


Step = (
    NeedsSignIn | NeedsNewPassword | NeedsFactor | NeedsConsent | NeedsRemediation | Proceed | Deny
)


def read_request(request: OidcRequest, issuer: str) -> AuthenticationRequest:
    """Read what Authlib leaves unread of a validated request.

    Raises OAuth2Error without redirect URI: the caller knows the validated one and adds it.
    """
    form = request.form
    if request.parameters.size > LONGEST_REQUEST:
        raise InvalidRequestError("The parameters are longer than 16 KiB together.")
    for name, (error, description) in _REFUSED_PARAMETERS.items():
        if name in form:
            raise OAuth2Error(error=error, description=description)
    if form.get("response_mode", "query") != "query":
        raise InvalidRequestError("The only 'response_mode' is 'query'.")
    prompts = frozenset(form.get("prompt", "").split())
    if not prompts <= _PROMPTS or ("none" in prompts and len(prompts) > 1):
        raise InvalidRequestError("'prompt' is none, or any of login, consent, select_account.")
    acr, essential = _acr(form.get("acr_values"), form.get("claims"))
    return AuthenticationRequest(
        client=request.registered,
        scopes=frozenset((request.scope or "").split()),
        prompts=prompts,
        max_age=_max_age(form.get("max_age")),
        acr=acr,
        acr_essential=essential,
        login_hint=form.get("login_hint", ""),
        hinted_subject=_hinted_subject(request, form.get("id_token_hint"), issuer),
    )


def next_step(
    request: OidcRequest,
    asked: AuthenticationRequest,
    live: LiveSession | None,
    parked: ParkedRequest | None,
) -> Step:
    """Tell what an authorization request takes next, given who is signed in now.

    Total and repeatable: the same request is asked again after each page, until it may proceed
    or is denied. `prompt=none` turns each page into its error.
    """
    if live is None or _must_sign_in_again(request, asked, live, parked):
        if asked.silent:
            return Deny("login_required", "Nobody is signed in as asked.")
        return NeedsSignIn(again=live is not None)
    if live.must_change_password:
        if asked.silent:
            return Deny("interaction_required", "The person must choose a new password.")
        return NeedsNewPassword()
    judged = _judge(request, asked, live)
    if judged is None:
        return Deny("access_denied", "Access is refused.", ends_session=True)
    return _enforce(request, asked, live, parked, judged)


def _enforce(
    request: OidcRequest,
    asked: AuthenticationRequest,
    live: LiveSession,
    parked: ParkedRequest | None,
    judged: Judged,
) -> Step:
    """Carry the decision out: the sign-in column of the enforcement table."""
    match judged.decision.outcome:
        case Outcome.FULL | Outcome.RESTRICTED:
            return _grant(request, asked, live, parked, judged)
        case Outcome.STEP_UP:
            if asked.silent:
                return Deny("interaction_required", "A stronger sign-in is needed.", judged)
            if _needs_only_fresh_sign_in(judged.decision, live):
                return NeedsSignIn(again=True)
            return NeedsFactor(live.has_factor, judged)
        case Outcome.REMEDIATE:
            if asked.silent:
                return Deny("interaction_required", "The device must be repaired.", judged)
            return NeedsRemediation(judged)
        case Outcome.BLOCK:
            return Deny("access_denied", "Access is refused.", judged, ends_session=True)
        case _:
            assert_never(judged.decision.outcome)


def _grant(
    request: OidcRequest,
    asked: AuthenticationRequest,
    live: LiveSession,
    parked: ParkedRequest | None,
    judged: Judged,
) -> Step:
    if asked.acr is not None and not acr_reaches(live.session.acr, asked.acr):
        reachable = live.has_factor and acr_reaches("mfa", asked.acr)
        if asked.acr_essential and (asked.silent or not reachable):
            return Deny(
                "unmet_authentication_requirements",
                "The person cannot sign in as strongly as asked.",
                judged,
            )
        if reachable and not asked.silent:
            return NeedsFactor(enrolled=True, judged=judged)
    missing = _unconsented(request, asked, live, parked)
    if missing:
        if asked.silent:
            return Deny("consent_required", "The person has not agreed to this.", judged)
        return NeedsConsent(missing, judged)
    return Proceed(judged)


def _judge(request: OidcRequest, asked: AuthenticationRequest, live: LiveSession) -> Judged | None:
    session = live.session
    standings.hold_still(request.tx, session.subject, session.device)
    standing = standings.standing_of_subject(request.tx, session.subject, session.device)
    if standing is None or standing.disabled:
        return None
    facts = facts_of_session(
        request.tx,
        session,
        standing,
        asked.client,
        request.configuration.rules,
        scopes=asked.scopes,
        address=request.address,
        now=request.now,
    )
    return judge(request.configuration, facts, session.id)


def _must_sign_in_again(
    request: OidcRequest,
    asked: AuthenticationRequest,
    live: LiveSession,
    parked: ParkedRequest | None,
) -> bool:
    session = live.session
    if asked.hinted_subject is not None and asked.hinted_subject != session.subject:
        return True
    if asked.prompts & {"login", "select_account"} and not _has_signed_in_for(parked, live):
        return True
    return asked.max_age is not None and request.now - session.auth_time > asked.max_age


def _has_signed_in_for(parked: ParkedRequest | None, live: LiveSession) -> bool:
    """Tell whether this very session was begun or renewed for the request, or later.

    A browser may change its cookies: what another session's person did counts for nobody else.
    """
    if parked is None or parked.reauthenticated_at is None:
        return False
    return live.session.auth_time >= parked.reauthenticated_at


def _needs_only_fresh_sign_in(decision: Decision, live: LiveSession) -> bool:
    """Tell whether a step-up is about the age of the sign-in, its level being high enough.

    Somebody whose level came from a second factor renews it with that factor.
    """
    wanted = decision.step_up
    return (
        wanted is not None
        and acr_reaches(live.session.acr, wanted.acr)
        and not acr_reaches(live.session.acr, "mfa")
    )


def _unconsented(
    request: OidcRequest,
    asked: AuthenticationRequest,
    live: LiveSession,
    parked: ParkedRequest | None,
) -> frozenset[str]:
    """Return the scopes that this person has not agreed to, with `prompt=consent` anew."""
    subject, client = live.session.subject, asked.client
    if "consent" in asked.prompts:
        if parked is None or parked.consented_at is None:
            return asked.scopes
        since = parked.consented_at
        return asked.scopes - consents.given(request.tx, subject, client.id, since=since)
    if client.first_party:
        return frozenset()
    return asked.scopes - consents.given(request.tx, subject, client.id)


def _max_age(text: str | None) -> timedelta | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 9):  # noqa: PLR2004  thirty years
        raise InvalidRequestError("'max_age' is a whole number of seconds.")
    return timedelta(seconds=int(text))


def _acr(acr_values: str | None, claims: str | None) -> tuple[str | None, bool]:
    """Return the level asked for, and whether it is essential (OpenID Connect Core §5.5.1.1).

    Of several `acr_values` the first is the preferred one.
    """
    if claims is not None:
        acr, essential = _acr_in_claims(claims)
        if acr is not None:
            return acr, essential
    preferred = (acr_values or "").split()
    return (preferred[0], False) if preferred else (None, False)


def _acr_in_claims(claims: str) -> tuple[str | None, bool]:
    try:
        members = orjson.loads(claims)
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError("'claims' is not JSON.") from error
    id_token = members.get("id_token") if isinstance(members, dict) else None
    wanted = id_token.get("acr") if isinstance(id_token, dict) else None
    if not isinstance(wanted, dict):
        return None, False
    values = wanted.get("values") or [wanted.get("value")]
    if not isinstance(values, list) or not isinstance(values[0], str):
        return None, False
    return values[0], wanted.get("essential") is True


def _hinted_subject(request: OidcRequest, hint: str | None, issuer: str) -> str | None:
    if hint is None:
        return None
    claims = verify_id_token_hint(
        hint,
        request.configuration.keys,
        algorithms=ID_TOKEN_ALGORITHMS,
        issuer=issuer,
        audience=request.registered.id,
        now=request.now,
    )
    if isinstance(claims, Refusal):
        raise InvalidRequestError("'id_token_hint' is not an ID token of this server.")
    return str(claims["sub"])
