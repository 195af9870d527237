"""Compliance rules: what makes a device other than compliant, from when, and what helps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar, Final, TypeVar, assert_never

from pdp.domain.compliance import Cause, Compliance
from pdp.domain.ids import SourceId
from pdp.domain.signal import RiskLevel

#: Steps for devices of any platform stand under this name.
ANY_PLATFORM: Final = "any"
LANGUAGE: Final = "en"

#: The rule of causes that no document defines.
BLOCKED: Final = "pratique:blocked"
OVERRIDE: Final = "pratique:override"
NO_READINGS: Final = "pratique:no-readings"
SILENT: Final = "pratique:silent"

_Text = TypeVar("_Text")


@dataclass(frozen=True, slots=True)
class RiskIs:
    """A source calls the device's risk one of these."""

    attribute: ClassVar[str] = "risk"

    levels: frozenset[RiskLevel]


@dataclass(frozen=True, slots=True)
class SaysNotCompliant:
    """A source's own verdict is "not compliant"."""

    attribute: ClassVar[str] = "compliant"


@dataclass(frozen=True, slots=True)
class FindingIs:
    """A source has an open finding of these severities and categories (None: any category)."""

    #: Each finding is an attribute of its own.
    attribute: ClassVar[None] = None

    severities: frozenset[RiskLevel]
    categories: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class PostureIsFalse:
    """A posture field, which is named so that `true` is healthy, is false."""

    field: str

    @property
    def attribute(self) -> str:
        """The attribute that the test is about."""
        return f"posture.{self.field}"


@dataclass(frozen=True, slots=True)
class PostureIsBelow:
    """A posture field, of which more is healthier, is below the limit."""

    field: str
    limit: float

    @property
    def attribute(self) -> str:
        """The attribute that the test is about."""
        return f"posture.{self.field}"


@dataclass(frozen=True, slots=True)
class PostureIsIn:
    """A posture field is one of these words."""

    field: str
    words: frozenset[str]

    @property
    def attribute(self) -> str:
        """The attribute that the test is about."""
        return f"posture.{self.field}"


@dataclass(frozen=True, slots=True)
class PostureIsMissing:
    """No source that the rule listens to has said anything of the posture field."""

    field: str

    @property
    def attribute(self) -> str:
        """The attribute that the test is about."""
        return f"posture.{self.field}"


Test = (
    RiskIs
    | SaysNotCompliant
    | FindingIs
    | PostureIsFalse
    | PostureIsBelow
    | PostureIsIn
    | PostureIsMissing
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Where `test` holds, the device has `status`, after `grace` if there is any.

    `source` limits the rule to one source. `max_age` is how long a statement that the rule
    passes over stays good; after that the device is stale until it is confirmed. Titles are by
    language, steps by language and platform.
    """

    id: str
    test: Test
    status: Compliance
    grace: timedelta | None = None
    source: SourceId | None = None
    max_age: timedelta | None = None
    title: Mapping[str, str] = field(default_factory=dict)
    steps: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules of a deployment; `max_age` is how long a device may be silent before it is stale.

    `version` is the hash of what they say.
    """

    rules: tuple[Rule, ...]
    max_age: timedelta
    version: str


@dataclass(frozen=True, slots=True)
class Remediation:
    """What a person reads: what is wrong and what to do; there is always something to do."""

    title: str
    steps: tuple[str, ...]


def remediation_for(
    rules: Rules, cause: Cause, *, language: str = LANGUAGE, platform: str | None = None
) -> Remediation:
    """Return the text for a cause, in the language and for the platform as far as there is one.

    Falls back to English, to steps for any platform, and to text of our own, never to nothing.
    """
    fallback = _FALLBACKS.get(cause.rule, _fallback_by_status(cause.status))
    rule = next((rule for rule in rules.rules if rule.id == cause.rule), None)
    if rule is None:
        return fallback
    by_platform = _in_language(rule.steps, language) or {}
    steps = by_platform.get((platform or ANY_PLATFORM).lower()) or by_platform.get(ANY_PLATFORM)
    return Remediation(
        title=_in_language(rule.title, language) or fallback.title,
        steps=steps or fallback.steps,
    )


def _in_language(texts: Mapping[str, _Text], language: str) -> _Text | None:
    primary = language.lower().partition("-")[0]
    for candidate in (language.lower(), primary, LANGUAGE, *sorted(texts)):
        if candidate in texts:
            return texts[candidate]
    return None


_ASK_FOR_HELP: Final = "If this does not help, ask your administrator and tell them this title."

_FALLBACKS: Final[Mapping[str, Remediation]] = {
    BLOCKED: Remediation(
        "An administrator has blocked this device",
        ("Contact your administrator: only they can unblock the device.",),
    ),
    OVERRIDE: Remediation(
        "An administrator has vouched for this device for a while",
        ("There is nothing to do until the exception ends.",),
    ),
    NO_READINGS: Remediation(
        "We know nothing about the health of this device",
        (
            "Check that the device is enrolled and that its security agent is running.",
            "Connect the device to the internet and wait for it to report.",
            _ASK_FOR_HELP,
        ),
    ),
    SILENT: Remediation(
        "This device has not reported its health for too long",
        (
            "Connect the device to the internet.",
            "Check that its security agent is running, or restart the device.",
            _ASK_FOR_HELP,
        ),
    ),
}


def _fallback_by_status(status: Compliance) -> Remediation:
    match status:
        case Compliance.STALE:
            return _FALLBACKS[SILENT]
        case Compliance.UNKNOWN:
            return _FALLBACKS[NO_READINGS]
        case Compliance.ERROR:
            return Remediation(
                "The health of this device could not be assessed",
                ("Contact your administrator: the fault is not with your device.",),
            )
        case Compliance.NOT_COMPLIANT | Compliance.IN_GRACE | Compliance.COMPLIANT:
            return Remediation(
                "This device does not meet the requirements of your organisation",
                (
                    "Install pending updates, restart the device and wait for it to report.",
                    _ASK_FOR_HELP,
                ),
            )
        case _:
            assert_never(status)
