"""A browser session, the grants given from it, and what their tokens hang on."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Self

from pdp.domain.access import Strength
from pdp.domain.errors import InvalidTransition
from pdp.domain.ids import ClientId, DeviceId, GrantId, SessionId, SubjectId

#: From weakest to strongest (`DECISIONS` 13); what a policy may ask for and a token may say.
ACR_ORDER = ("pwd", "mfa", "phr", "phrh")


def acr_reaches(acr: str, wanted: str) -> bool:
    """Tell whether a sign-in at level `acr` satisfies `wanted`; unknown levels satisfy nothing."""
    if acr not in ACR_ORDER or wanted not in ACR_ORDER:
        return False
    return ACR_ORDER.index(acr) >= ACR_ORDER.index(wanted)


class EndReason(StrEnum):
    """Why a session or grant ended; told in logs and audit, never to a token's bearer."""

    SIGNED_OUT = "signed-out"
    REVOKED = "revoked"
    BLOCKED = "blocked"
    REUSE = "reuse-detected"
    SUBJECT_DISABLED = "subject-disabled"
    PASSWORD_CHANGED = "password-changed"  # noqa: S105  a reason, not a password
    FACTOR_RESET = "factor-reset"
    CODE_REPLAYED = "code-replayed"
    CONSENT_WITHDRAWN = "consent-withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One person signed in with one browser. Times are UTC.

    `id` is the `sid` that tokens carry; the cookie holds another secret, of which the store
    keeps a digest. `device` is the one identified while the person signed in, or None.
    """

    id: SessionId
    subject: SubjectId
    device: DeviceId | None
    strength: Strength
    acr: str
    amr: tuple[str, ...]
    auth_time: datetime
    created_at: datetime
    idle_expires_at: datetime
    expires_at: datetime
    address: str | None = None
    ended_at: datetime | None = None
    end_reason: EndReason | None = None

    def is_live(self, now: datetime) -> bool:
        """Tell whether the session stands: not ended, neither idle nor over."""
        return self.ended_at is None and now < self.idle_expires_at and now < self.expires_at

    def ended(self, now: datetime, reason: EndReason) -> Self:
        """Return the session ended at `now`; InvalidTransition if it has ended already."""
        if self.ended_at is not None:
            raise InvalidTransition(f"session {self.id} has ended")
        return replace(self, ended_at=now, end_reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a person gave to a client in one sign-in: the root that every token hangs on.

    `scope` is what was first granted; each refresh issues that cut to today's ceiling.
    `expires_at` is the family's absolute end. Revoking the grant ends all its tokens.
    """

    id: GrantId
    subject: SubjectId
    client: ClientId
    session: SessionId
    device: DeviceId | None
    strength: Strength
    scope: tuple[str, ...]
    acr: str
    amr: tuple[str, ...]
    auth_time: datetime
    created_at: datetime
    expires_at: datetime
    address: str | None = None
    nonce: str | None = None
    revoked_at: datetime | None = None
