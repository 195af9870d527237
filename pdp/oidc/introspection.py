"""Introspection (RFC 7662): today's decision, or `active: false` without a word why (§2.2).

A plain function over one read transaction, so that it can stand behind any front door.
"""

from dataclasses import dataclass

from authlib.oauth2.rfc6749 import InvalidRequestError

from pdp.domain.access import Channel, Outcome
from pdp.domain.client import ACCESS_TOKEN_ALGORITHMS, Client
from pdp.domain.ids import ClientId, GrantId
from pdp.jose.tokens import Refusal, verify_jwt
from pdp.oidc.enforce import Refused, token_terms
from pdp.oidc.issue import Claims, Issuer
from pdp.oidc.remembered import Remembered
from pdp.oidc.request import OidcRequest
from pdp.policy.condition import earliest
from pdp.store import tokens
from pdp.store.decision_log import DecisionLog
from pdp.store.standings import check_token, marks_of_token
from pdp.usecases.decide_access import (
    Judged,
    count_again,
    judge,
    judge_held,
    record_in_group,
)
from pdp.usecases.gather_facts import facts_of_machine, is_up_to_date

INACTIVE: Claims = {"active": False}
#: What an access token's claims tell its resource; ours alone (`gid`) stay with us.
_TOLD = ("iss", "aud", "sub", "client_id", "iat", "exp", "jti", "acr", "amr", "auth_time", "sid")


@dataclass(frozen=True, slots=True)
class Introspected:
    """The answer, and the decision behind it if there was one to take.

    Where all of the answer follows from an access token's `claims` and a remembered decision, these
    are here, too.
    """

    body: Claims
    outcome: Outcome | None
    claims: Claims | None = None
    remembered: Remembered | None = None


@dataclass(frozen=True, slots=True)
class DecidedOnToken:
    """A decision on an access token, the token's scopes, and where it is remembered, if it is."""

    judged: Judged
    scopes: tuple[str, ...]
    remembered: Remembered | None


def introspect(
    issuer: Issuer, request: OidcRequest, caller: Client, log: DecisionLog
) -> Introspected:
    """Answer an authenticated caller about a token.

    Raises InvalidRequestError without a token. Anything odd about it is `active: false`.
    """
    token = request.form.get("token")
    if token is None:
        raise InvalidRequestError("Send 'token'.")
    claims = verify_access_token(issuer, request, token)
    if claims is None:
        return _refresh_token(request, caller, token)
    if not _may_ask(request, caller, claims):
        return Introspected(INACTIVE, None)
    decided = decide_on_token(issuer, request, claims, Channel.INTROSPECTION, log)
    if decided is None:
        return Introspected(INACTIVE, None)
    judged = decided.judged
    terms = token_terms(judged.decision, decided.scopes, issuer.lifetimes, now=request.now)
    if isinstance(terms, Refused):
        return Introspected(INACTIVE, judged.decision.outcome)
    body: Claims = {
        "active": True,
        "token_type": "Bearer",
        "scope": " ".join(terms.scopes),
        **{name: claims[name] for name in _TOLD if name in claims},
    }
    device = judged.facts.device
    if device is not None and device.id is not None:
        body["device_id"] = device.id
        body["device_compliance"] = device.compliance.value
    if terms.family_ends_at is not None:
        body["session_restrictions"] = list(terms.restrictions)
        body["session_expiry"] = int(terms.family_ends_at.timestamp())
        # It is another one each second.
        return Introspected(body, judged.decision.outcome)
    return Introspected(body, judged.decision.outcome, claims, decided.remembered)


def verify_access_token(issuer: Issuer, request: OidcRequest, token: str) -> Claims | None:
    """Return the claims of an access token of ours that has not run out; None for anything else."""
    verified = verify_jwt(
        token,
        request.configuration.keys,
        typ="at+jwt",
        algorithms=ACCESS_TOKEN_ALGORITHMS,
        issuer=issuer.issuer,
        audience=None,
        now=request.now,
        seen=issuer.seen,
    )
    return None if isinstance(verified, Refusal) else dict(verified)


def decide_on_token(
    issuer: Issuer, request: OidcRequest, claims: Claims, channel: Channel, log: DecisionLog
) -> DecidedOnToken | None:
    """Decide on an access token as of now, and record it within a second.

    None when nothing stands behind it any more.
    """
    scopes = tuple(str(claims.get("scope", "")).split())
    jti = str(claims["jti"])
    grant_id = None if "gid" not in claims else GrantId(str(claims["gid"]))
    known = issuer.decided.find((jti, channel), request.now)
    if known is not None and _still_holds(request, known, jti, grant_id):
        decision_id = log.count(known.log_key)
        if decision_id is not None:
            count_again(known.judged, decision_id)
            return DecidedOnToken(known.judged, scopes, known)
    check = check_token(request.tx, jti, grant_id)
    request.confirm(check.generation)
    if check.revoked:
        return None
    held = check.held()
    if grant_id is None:
        judged = _judge_machine(request, claims, channel, scopes)
    else:
        judged = judge_held(
            request.tx,
            held,
            channel,
            request.configuration,
            now=request.now,
            scopes=frozenset(scopes),
        )
    if judged is None:
        return None
    key = record_in_group(
        log, judged, token=jti, subject_epoch=0 if held is None else held.standing.epoch
    )
    kept = None
    if held is None or is_up_to_date(
        held.standing.device, request.configuration.rules, request.now
    ):
        ends = None if held is None else held.grant.expires_at
        until = earliest((ends, judged.decision.valid_until))
        kept = Remembered(check.marks, judged, until, key)
        issuer.decided.keep((jti, channel), kept)
    return DecidedOnToken(judged, scopes, kept)


def _still_holds(
    request: OidcRequest, known: Remembered, jti: str, grant_id: GrantId | None
) -> bool:
    """Tell whether nothing has moved that a remembered decision rests on."""
    marks = marks_of_token(request.tx, jti, grant_id)
    request.confirm(marks.generation)
    return marks == known.marks


def _judge_machine(
    request: OidcRequest, claims: Claims, channel: Channel, scopes: tuple[str, ...]
) -> Judged | None:
    client = request.configuration.clients.get(ClientId(str(claims["client_id"])))
    if client is None or client.disabled:
        return None
    facts = facts_of_machine(
        client, channel=channel, scopes=frozenset(scopes), address=None, now=request.now
    )
    return judge(request.configuration, facts, session=None)


def _may_ask(request: OidcRequest, caller: Client, claims: Claims) -> bool:
    """Tell whether the caller is the token's client, or a resource that the token is for."""
    if claims.get("client_id") == caller.id:
        return True
    audience = claims.get("aud")
    named = {audience} if isinstance(audience, str) else set(audience or ())  # type: ignore[call-overload]
    return bool(named & request.configuration.audiences_of(caller.id))


def _refresh_token(request: OidcRequest, caller: Client, token: str) -> Introspected:
    """Answer about a refresh token, to the client that holds it alone."""
    generation, found = tokens.find_refresh(request.tx, token)
    request.confirm(generation)
    if found is None or found.consumed or request.now >= found.expires_at:
        return Introspected(INACTIVE, None)
    grant = found.held.grant
    judged = judge_held(
        request.tx, found.held, Channel.INTROSPECTION, request.configuration, now=request.now
    )
    if judged is None or grant.client != caller.id:
        return Introspected(INACTIVE, None)
    outcome = judged.decision.outcome
    if outcome > Outcome.RESTRICTED:
        return Introspected(INACTIVE, outcome)
    return Introspected(
        {
            "active": True,
            "token_type": "refresh_token",
            "client_id": caller.id,
            "sub": grant.subject,
            "scope": " ".join(grant.scope),
            "exp": int(found.expires_at.timestamp()),
        },
        outcome,
    )
