"""UserInfo (OpenID Connect Core §5.3): the claims of the token's scopes, if today allows."""

from dataclasses import dataclass

from pdp.domain.access import Channel, Outcome
from pdp.domain.errors import NotFound
from pdp.domain.ids import SubjectId
from pdp.oidc.enforce import Refused, token_terms
from pdp.oidc.introspection import decide_on_token, verify_access_token
from pdp.oidc.issue import Claims, Issuer
from pdp.oidc.request import OidcRequest
from pdp.store import subjects
from pdp.store.decision_log import DecisionLog


@dataclass(frozen=True, slots=True)
class Challenge:
    """Why there are no claims, as the `WWW-Authenticate` header says it (RFC 6750 §3)."""

    error: str
    description: str
    acr: str | None = None

    @property
    def header(self) -> str:
        """Return the header's value; for step-up in the terms of RFC 9470 §3."""
        parts = [f'error="{self.error}"', f'error_description="{self.description}"']
        if self.acr is not None:
            parts.append(f'acr_values="{self.acr}"')
        return "Bearer " + ", ".join(parts)


_INVALID = Challenge("invalid_token", "The access token is not valid.")


def userinfo(
    issuer: Issuer, request: OidcRequest, token: str, log: DecisionLog
) -> Claims | Challenge:
    """Return the person's claims, or the challenge to answer with 401 (insufficient scope: 403)."""
    claims = verify_access_token(issuer, request, token)
    if claims is None or "gid" not in claims:
        return _INVALID
    decided = decide_on_token(issuer, request, claims, Channel.USERINFO, log)
    if decided is None:
        return _INVALID
    judged, scopes = decided.judged, decided.scopes
    terms = token_terms(judged.decision, scopes, issuer.lifetimes, now=request.now)
    if isinstance(terms, Refused):
        if judged.decision.outcome is Outcome.STEP_UP:
            return Challenge(
                "insufficient_user_authentication",
                "A stronger sign-in is needed.",
                acr=terms.acr,
            )
        return _INVALID
    if "openid" not in terms.scopes:
        return Challenge("insufficient_scope", "The token has no 'openid' scope.")
    return _claims_of(request, SubjectId(str(claims["sub"])), frozenset(terms.scopes)) or _INVALID


def _claims_of(
    request: OidcRequest, subject_id: SubjectId, scopes: frozenset[str]
) -> Claims | None:
    """Return the standard claims that `scopes` ask for (OpenID Connect Core §5.4)."""
    try:
        person = subjects.get(request.tx, subject_id)
    except NotFound:
        return None
    claims: Claims = {"sub": person.id}
    if "profile" in scopes:
        claims["name"] = person.name or person.username
        claims["preferred_username"] = person.username
    if "email" in scopes and person.email:
        claims["email"] = person.email
        claims["email_verified"] = True
    if "groups" in scopes:
        claims["groups"] = sorted(person.groups)
    return claims
