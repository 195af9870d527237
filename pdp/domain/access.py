"""Access: the facts a decision sees, and the decision."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from ipaddress import IPv4Address, IPv6Address

from pdp.domain.compliance import Compliance
from pdp.domain.ids import ClientId, DeviceId, PolicyId, SubjectId
from pdp.domain.signal import RiskLevel, Scalar


class Outcome(IntEnum):
    """From most to least permissive; the strictest matching policy wins."""

    FULL = 0
    RESTRICTED = 1
    STEP_UP = 2
    REMEDIATE = 3
    BLOCK = 4

    @property
    def wire(self) -> str:
        """The outcome as documents, tokens and APIs spell it."""
        return _OUTCOME_WORDS[self]

    @classmethod
    def from_wire(cls, word: str) -> "Outcome":
        """Return the outcome spelled `word`; ValueError for any other word."""
        for outcome, spelled in _OUTCOME_WORDS.items():
            if spelled == word:
                return outcome
        raise ValueError(word)


_OUTCOME_WORDS = {
    Outcome.FULL: "full",
    Outcome.RESTRICTED: "restricted",
    Outcome.STEP_UP: "step-up",
    Outcome.REMEDIATE: "remediate",
    Outcome.BLOCK: "block",
}


class Channel(StrEnum):
    """Where the decision is asked for."""

    SIGN_IN = "sign-in"
    CODE_EXCHANGE = "code-exchange"
    REFRESH = "refresh"
    CLIENT_CREDENTIALS = "client-credentials"
    INTROSPECTION = "introspection"
    USERINFO = "userinfo"
    SESSION = "session"


class Strength(StrEnum):
    """How sure we are which device is speaking, from not at all to a proof of possession."""

    NONE = "none"
    WEAK = "weak"
    STRONG = "strong"


class Reason(StrEnum):
    """Why a decision came out as it did: machine words; sentences for people live elsewhere."""

    NO_POLICY_MATCHED = "no-policy-matched"
    DEVICE_BLOCKED = "device-blocked"
    DEVICE_COMPLIANCE = "device-compliance"
    DEVICE_RISK = "device-risk"
    DEVICE_PLATFORM = "device-platform"
    IDENTIFICATION_STRENGTH = "identification-strength"
    AUTHENTICATION = "authentication"
    CLIENT = "client"
    SCOPE = "scope"
    SUBJECT = "subject"
    GROUP = "group"
    GRANT_TYPE = "grant-type"
    CHANNEL = "channel"
    NETWORK = "network"
    TIME_WINDOW = "time-window"
    POLICY = "policy"
    EMPTY_RESTRICTION = "empty-restriction"
    BREAK_GLASS = "break-glass"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectFacts:
    """The person, as our store knows them."""

    id: SubjectId
    groups: frozenset[str] = frozenset()
    break_glass: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientFacts:
    """The relying party or resource that asks."""

    id: ClientId
    first_party: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFacts:
    """The device bound to the session; without one, all that is known is that nothing is."""

    id: DeviceId | None = None
    compliance: Compliance = Compliance.UNKNOWN
    risk: RiskLevel = RiskLevel.UNKNOWN
    platform: str | None = None
    os_version: str | None = None
    strength: Strength = Strength.NONE
    blocked: bool = False
    epoch: int = 0
    open_tasks: int = 0
    valid_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticationFacts:
    """How and when the person signed in (`acr` in the order `pwd` < `mfa` < `phr` < `phrh`)."""

    acr: str
    amr: frozenset[str] = frozenset()
    time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything a policy may look at. Assembled once, then read-only.

    `subject`, `device` and `authentication` are None where no person takes part (client
    credentials): a condition on them is then UNKNOWN, never false.
    """

    channel: Channel
    client: ClientFacts
    now: datetime
    grant_type: str | None = None
    scopes: frozenset[str] = frozenset()
    subject: SubjectFacts | None = None
    device: DeviceFacts | None = None
    authentication: AuthenticationFacts | None = None
    address: IPv4Address | IPv6Address | None = None
    action: str | None = None
    resource: str | None = None
    request: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restriction:
    """What a restricted session keeps: a ceiling of scopes, lifetimes, named restrictions."""

    scopes: frozenset[str]
    token_lifetime: timedelta
    session_lifetime: timedelta
    restrictions: tuple[str, ...] = ()

    def narrowed_by(self, other: "Restriction") -> "Restriction":
        """Return both together: scopes intersect, lifetimes are the least, restrictions unite."""
        return Restriction(
            scopes=self.scopes & other.scopes,
            token_lifetime=min(self.token_lifetime, other.token_lifetime),
            session_lifetime=min(self.session_lifetime, other.session_lifetime),
            restrictions=tuple(sorted({*self.restrictions, *other.restrictions})),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StepUp:
    """What a stronger or fresher sign-in must reach (RFC 9470 `acr_values`, `max_age`)."""

    acr: str
    max_age: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer: an outcome, why, what goes with it, and how long it holds.

    `restriction` is set exactly when the outcome is restricted, `step_up` exactly when it is
    step-up. `valid_until` (UTC) is the first instant at which the same facts may decide
    otherwise. `report_only` says what policies that only report would have decided.
    `fail_open` is true only where a break-glass person was let past an evaluation error: count
    it in `fail_open_total` and alert.
    """

    outcome: Outcome
    reasons: tuple[Reason, ...]
    matched: tuple[PolicyId, ...] = ()
    restriction: Restriction | None = None
    step_up: StepUp | None = None
    valid_until: datetime | None = None
    report_only: tuple[tuple[PolicyId, Outcome], ...] = ()
    policy_version: str = ""
    fail_open: bool = False
