"""The token PEP: what each outcome means at token endpoints, complete by type.

The columns of the enforcement table live here; the code that issues or refuses asks here.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from pdp.domain.access import Decision, Outcome, Reason
from pdp.settings import LifetimeSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On what terms tokens may be issued now.

    `family_ends_at` (UTC) is set where the refresh family must end early; restrictions and
    their expiry are told to the client in the tokens.
    """

    scopes: tuple[str, ...]
    token_lifetime: timedelta
    restrictions: tuple[str, ...] = ()
    family_ends_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """No tokens: the OAuth error to answer, and whether the grant ends with it.

    `page` names the page that `error_uri` points to (RFC 6749 §5.2).
    """

    error: str
    description: str
    page: str
    revokes: bool
    acr: str | None = None


def token_terms(
    decision: Decision,
    scopes: tuple[str, ...],
    lifetimes: LifetimeSettings,
    *,
    now: datetime,
) -> Terms | Refused:
    """Return the terms or the refusal of `decision` for tokens of `scopes`.

    Step-up and remediate consume and revoke nothing: the same refresh token works once the
    person is stronger signed in, or the device healed. Block ends grant and family.
    """
    match decision.outcome:
        case Outcome.FULL:
            return Terms(
                scopes=scopes, token_lifetime=_bounded(lifetimes.access_token, decision, now)
            )
        case Outcome.RESTRICTED:
            return _restricted(decision, scopes, lifetimes, now=now)
        case Outcome.STEP_UP:
            return Refused(
                error="invalid_grant",
                description="A stronger sign-in is needed: send the person to sign in again.",
                page="step-up",
                revokes=False,
                acr=None if decision.step_up is None else decision.step_up.acr,
            )
        case Outcome.REMEDIATE:
            return Refused(
                error="invalid_grant",
                description="The device must be repaired first; the same token works then.",
                page="remediate",
                revokes=False,
            )
        case Outcome.BLOCK:
            # DECISIONS 9: nothing left to restrict to is `invalid_scope` at this endpoint.
            emptied = Reason.EMPTY_RESTRICTION in decision.reasons
            return Refused(
                error="invalid_scope" if emptied else "invalid_grant",
                description="Access is refused.",
                page="block",
                revokes=True,
            )
        case _:
            assert_never(decision.outcome)


def _restricted(
    decision: Decision, scopes: tuple[str, ...], lifetimes: LifetimeSettings, *, now: datetime
) -> Terms | Refused:
    ceiling = decision.restriction
    kept = () if ceiling is None else tuple(name for name in scopes if name in ceiling.scopes)
    if ceiling is None or not kept:
        return Refused(
            error="invalid_scope",
            description="None of the granted scopes may be used now.",
            page="block",
            revokes=False,
        )
    lifetime = min(ceiling.token_lifetime, lifetimes.restricted_token, lifetimes.access_token)
    return Terms(
        scopes=kept,
        token_lifetime=_bounded(lifetime, decision, now),
        restrictions=ceiling.restrictions,
        family_ends_at=now + min(ceiling.session_lifetime, lifetimes.restricted_session),
    )


def _bounded(lifetime: timedelta, decision: Decision, now: datetime) -> timedelta:
    """Cut a lifetime to how long the decision holds: a token never outlives its own reasons."""
    if decision.valid_until is None:
        return lifetime
    return max(timedelta(seconds=1), min(lifetime, decision.valid_until - now))
